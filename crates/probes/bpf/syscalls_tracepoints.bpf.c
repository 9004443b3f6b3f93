/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The `tracepoints` engine: the per-call tracepoints syscalls:sys_enter_… and sys_exit_…, which every
 * kernel has. What a call was made on is noted when it begins, as the descriptor may be closed, and
 * its number used again, before it ends.
 */
#include "syscalls_life.h"
#include "syscalls_moved.h"

/* The context of every syscalls:sys_enter_… tracepoint, with as many arguments as the call has. */
struct enter_context {
	__u64 common;
	__s32 number;
	__u32 unused;
	__u64 arguments[6];
};

/* The context of every syscalls:sys_exit_… tracepoint. */
struct exit_context {
	__u64 common;
	__s32 number;
	__u32 unused;
	__s64 result;
};

/* A call that has begun. */
struct begun {
	__u64 socket;
	struct call call;
	__u32 direction;
	__u32 unused;
};

/* By thread. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 15);
	__type(key, __u64);
	__type(value, struct begun);
} calls SEC(".maps");

static __always_inline enum direction direction_of(__u32 number)
{
	switch (number) {
	case CALL_READ:
	case CALL_READV:
	case CALL_PREADV2:
	case CALL_RECVFROM:
	case CALL_RECVMSG:
	case CALL_RECVMMSG:
		return RECEIVED;
	}
	return SENT;
}

/* Notes a call on a descriptor, if that is a stream socket's and its process is wanted. */
static __always_inline bool begin(struct begun *begun, __u32 descriptor)
{
	struct task_struct *task = CURRENT();
	__u64 thread = bpf_get_current_pid_tgid();
	struct sock *sk;

	if (!wanted_process(task))
		return false;
	if (sock_of_descriptor(task, descriptor, &sk) != DESCRIPTOR_SOCKET || !sk)
		return false;
	if (!stream_family(sk) && LOAD(sk, sk_protocol) != IPPROTO_MPTCP)
		return false;
	begun->socket = (__u64)sk;
	bpf_map_update_elem(&calls, &thread, begun, BPF_ANY);
	return true;
}

static __always_inline void enter(struct enter_context *context, bool has_four)
{
	struct begun begun = {};

	begun.call.number = context->number;
	begun.call.arguments[0] = context->arguments[0];
	begun.call.arguments[1] = context->arguments[1];
	begun.call.arguments[2] = context->arguments[2];
	if (has_four)
		begun.call.arguments[3] = context->arguments[3];
	begun.direction = direction_of(context->number);
	begin(&begun, context->arguments[0]);
}

SEC("tracepoint")
int enter_three(struct enter_context *context)
{
	enter(context, false);
	return 0;
}

SEC("tracepoint")
int enter_four(struct enter_context *context)
{
	enter(context, true);
	return 0;
}

/* One of splice's two descriptors is a pipe's. */
SEC("tracepoint")
int enter_splice(struct enter_context *context)
{
	struct begun begun = { .direction = RECEIVED };

	begun.call.number = context->number;
	if (begin(&begun, context->arguments[0]))
		return 0;
	begun.direction = SENT;
	begin(&begun, context->arguments[2]);
	return 0;
}

/* Who waits for io_uring's work moves bytes that no other call tells of. */
SEC("tracepoint")
int enter_uring(struct enter_context *context)
{
	struct task_struct *task = CURRENT();

	if (!wanted_process(task))
		return 0;
	hide(task, CAUSE_IO_URING);
	tell_blind(BLIND_IO_URING, bpf_ktime_get_ns());
	return 0;
}

/* The flags that a receiving call was given. */
static __always_inline __u64 receive_flags(const struct call *call)
{
	switch (call->number) {
	case CALL_RECVFROM:
	case CALL_RECVMMSG:
		return call->arguments[3];
	case CALL_RECVMSG:
		return call->arguments[2];
	}
	return 0;
}

#define MESSAGES 1024

/* How many bytes the first `count` messages of a call moved together. */
__noinline int length_of_messages(__u64 messages, __u32 count)
{
	__u32 total = 0;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < MESSAGES; i++) {
		__u32 length = 0;

		if (i >= count)
			break;
		bpf_probe_read_user(&length, sizeof(length), (void *)(messages + sizeof(struct message)));
		total += length;
		messages += sizeof(struct message_with_length);
	}
	return total;
}

SEC("tracepoint")
int leave(struct exit_context *context)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct begun *found = bpf_map_lookup_elem(&calls, &thread);
	struct task_struct *task = CURRENT();
	__s64 result = context->result;
	struct socket_state *state;
	struct begun begun;
	struct walk *walk;
	struct sock *sk;
	bool several;
	__u64 flags;
	__u32 moved;

	if (!found)
		return 0;
	begun = *found;
	bpf_map_delete_elem(&calls, &thread);
	if (begun.call.number != (__u32)context->number || result < 0)
		return 0;
	sk = (struct sock *)begun.socket;
	flags = begun.direction == RECEIVED ? receive_flags(&begun.call) : 0;
	if (flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB))
		return 0;
	if (!result) {
		if (begun.direction == RECEIVED)
			read_end(sk, task);
		return 0;
	}
	walk = own_walk();
	if (!walk)
		return 0;
	moved = result;
	several = begun.call.number == CALL_SENDMMSG || begun.call.number == CALL_RECVMMSG;
	if (several)
		moved = length_of_messages(begun.call.arguments[1], result);
	if (!moved)
		return 0;
	state = moved_through(sk, task, moved, begun.direction, &walk->next);
	if (!state)
		return 0;
	walk->call = begun.call;
	tell_moved(sk, state, walk, 0, several ? result : 0, moved, flags);
	return 0;
}

/*
 * Unix sockets have no tracepoint of their own at which they end: the last descriptor is closed, or
 * they are shut down.
 */
static __always_inline void end_unix(__u32 descriptor, bool closes)
{
	struct task_struct *task = CURRENT();
	__u64 time = bpf_ktime_get_ns();
	struct socket_state *state;
	struct sock *sk;
	__u64 key;

	if (sock_of_descriptor(task, descriptor, &sk) != DESCRIPTOR_SOCKET || !sk)
		return;
	if (LOAD(sk, __sk_common.skc_family) != AF_UNIX)
		return;
	key = (__u64)sk;
	state = bpf_map_lookup_elem(&sockets, &key);
	if (!state || !(state->flags & SOCKET_TOLD) || state->inode != inode_of(sk))
		return;
	if (closes && !is_last_descriptor(sk))
		return;
	if (!(state->flags & SOCKET_SENT_ENDED)) {
		state->flags |= SOCKET_SENT_ENDED;
		tell_state(state->id, STATE_SENT_END, time, state->sent, state->received);
	}
	if (closes) {
		tell_state(state->id, STATE_GONE, time, state->sent, state->received);
		bpf_map_delete_elem(&sockets, &key);
	}
}

SEC("tracepoint")
int enter_close(struct enter_context *context)
{
	end_unix(context->arguments[0], true);
	return 0;
}

SEC("tracepoint")
int enter_shutdown(struct enter_context *context)
{
	if (context->arguments[1]) /* not SHUT_RD */
		end_unix(context->arguments[0], false);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
