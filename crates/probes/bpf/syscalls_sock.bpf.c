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

#define CONTINUATION(NAME)                               \
	struct {                                         \
		__uint(type, BPF_MAP_TYPE_PROG_ARRAY);   \
		__uint(max_entries, 1);                  \
		__type(key, __u32);                      \
		__type(value, __u32);                    \
	} NAME SEC(".maps")

CONTINUATION(continue_send);
CONTINUATION(continue_receive);

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
 * socket's by now, was this one's when the call began.
 */
static __always_inline bool is_callers(const struct call *call, struct task_struct *task)
{
	struct sock *found;

	if (call->number == CALL_SPLICE || call->number == CALL_SENDFILE)
		return true;
	return sock_of_descriptor(task, call->arguments[0], &found) != DESCRIPTOR_FILE;
}

/* Hands up what a transfer of `moved` bytes moved; true where walk_on must follow. */
static __always_inline bool transferred(struct sock *sk, __u32 moved, int flags, enum direction direction)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct data_record header;
	struct call call = {};
	__u32 index = 0;

	if (!moved_through(sk, task, moved, direction, &header))
		return false;
	call_of(task, &call);
	if (!call.cause && (call.number == CALL_SENDMMSG || call.number == CALL_RECVMMSG))
		index = message_index(&call, sk);
	if (call.cause == CAUSE_IO_URING)
		tell_blind(task, BLIND_IO_URING, header.time);
	if (call.cause == CAUSE_COMPAT)
		tell_blind(task, BLIND_COMPAT, header.time);
	if (!call.cause && !is_callers(&call, task))
		call.cause = CAUSE_KERNEL;
	return hand_up_call(sk, &call, index, &header, moved, flags);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(sock_send_length, struct sock *sk, int moved, int flags)
{
	if (moved <= 0)
		moved_nothing(moved);
	else if (transferred(sk, moved, flags, SENT))
		bpf_tail_call(ctx, &continue_send, 0);
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(sock_send_on, struct sock *sk, int moved, int flags)
{
	if (walk_on())
		bpf_tail_call(ctx, &continue_send, 0);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(sock_recv_length, struct sock *sk, int moved, int flags)
{
	if (moved <= 0) {
		moved_nothing(moved);
		if (!moved && !(flags & (MSG_PEEK | MSG_ERRQUEUE)))
			read_end(sk, bpf_get_current_task_btf());
		return 0;
	}
	if (flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB))
		return 0;
	if (transferred(sk, moved, flags, RECEIVED))
		bpf_tail_call(ctx, &continue_receive, 0);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(sock_recv_on, struct sock *sk, int moved, int flags)
{
	if (walk_on())
		bpf_tail_call(ctx, &continue_receive, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
