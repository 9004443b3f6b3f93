/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The `sock` engine: the kernel says of each transfer through a socket how long it was (since 6.3),
 * and the caller's saved registers say where the bytes are. Nothing runs on any other call.
 */
#define TYPED_POINTERS
#include "syscalls_life.h"
#include "syscalls_moved.h"

/* Where a thread is in a call that moves several messages: each is a transfer of its own. */
struct progress {
	__u64 messages; /* the address of the array */
	__u64 socket;
	__u32 next;
	__u32 unused;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, struct progress);
} progresses SEC(".maps");

/* Whether such a call was ever seen: until then nobody need look into the map. */
static volatile bool progresses_used;

/* A transfer that moved nothing: an error ends a call of several messages, an empty message does not. */
static __always_inline void moved_nothing(int result)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct progress *progress;

	if (!progresses_used)
		return;
	progress = bpf_map_lookup_elem(&progresses, &thread);
	if (!progress)
		return;
	if (result < 0)
		bpf_map_delete_elem(&progresses, &thread);
	else
		progress->next += 1;
}

/* Which message of its call this transfer was. */
static __always_inline __u32 message_index(const struct call *call, struct sock *sk)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct progress *progress = bpf_map_lookup_elem(&progresses, &thread);
	__u32 count = call->arguments[2];
	__u32 index = 0;

	if (progress && progress->messages == call->arguments[1] && progress->socket == (__u64)sk)
		index = progress->next;
	if (index + 1 >= count) {
		bpf_map_delete_elem(&progresses, &thread);
	} else {
		struct progress next = { .messages = call->arguments[1], .socket = (__u64)sk, .next = index + 1 };

		bpf_map_update_elem(&progresses, &thread, &next, BPF_ANY);
		progresses_used = true;
	}
	return index;
}

/*
 * Whether it is the call's own descriptor whose socket moved the bytes: the kernel also sends on
 * sockets of its own while it serves a call on a file. A descriptor that was closed, or is another
 * socket's by now, was this one's when the call began. Asked once for each descriptor by which a
 * socket's owner moves bytes.
 */
static __always_inline bool is_callers(struct socket_state *state, const struct call *call, struct task_struct *task)
{
	__u32 descriptor = call->arguments[0];
	struct sock *found;

	if (call->number == CALL_SPLICE || call->number == CALL_SENDFILE)
		return true;
	if (state->descriptor == descriptor + 1 && state->owner == current_owner())
		return true;
	if (sock_of_descriptor(task, descriptor, &found) == DESCRIPTOR_FILE)
		return false;
	state->descriptor = descriptor + 1;
	return true;
}

static __always_inline bool receives_plainly(void)
{
	struct call call;

	call_of(bpf_get_current_task_btf(), &call);
	return !call.cause && call.number != CALL_RECVMMSG;
}

/* Hands up what a transfer of `moved` bytes moved. */
static __always_inline void transferred(struct sock *sk, __u32 moved, int flags, enum direction direction)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct walk *walk = own_walk();
	struct socket_state *state;
	struct call *call;
	__u32 index = 0;

	if (!walk || (direction == RECEIVED && hear_in_passing(sk, moved)))
		return;
	state = moved_through(sk, moved, direction, &walk->next);
	if (!state)
		return;
	call = &walk->call;
	call_of(task, call);
	if (!call->cause && (call->number == CALL_SENDMMSG || call->number == CALL_RECVMMSG))
		index = message_index(call, sk);
	if (call->cause == CAUSE_IO_URING)
		tell_blind(BLIND_IO_URING, walk->next.time);
	if (call->cause == CAUSE_COMPAT)
		tell_blind(BLIND_COMPAT, walk->next.time);
	if (!call->cause && !is_callers(state, call, task))
		call->cause = CAUSE_KERNEL;
	tell_moved(sk, state, walk, index, 0, moved, flags);
}

static __always_inline void sent(struct sock *sk, int moved, int flags)
{
	if (moved <= 0)
		moved_nothing(moved);
	else
		transferred(sk, moved, flags, SENT);
}

static __always_inline void received(struct sock *sk, int moved, int flags)
{
	if (moved <= 0) {
		moved_nothing(moved);
		if (!moved && !(flags & (MSG_PEEK | MSG_ERRQUEUE)))
			read_end(sk);
	} else if (!(flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB))) {
		transferred(sk, moved, flags, RECEIVED);
	}
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(sock_send_length, struct sock *sk, int moved, int flags)
{
	UNPREEMPTED(sent(sk, moved, flags));
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(sock_recv_length, struct sock *sk, int moved, int flags)
{
	UNPREEMPTED(received(sk, moved, flags));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
