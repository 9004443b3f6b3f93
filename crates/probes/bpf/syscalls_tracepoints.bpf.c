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
	__u64 socket; /* 0: none that is of interest */
	struct call call;
	__u32 direction;
	__u32 unused;
};

/* By thread. What a thread once did here stays, to be filled in again: that costs a third. */
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

/* Where to note a call of the thread that runs. */
static __always_inline struct begun *place_of_call(void)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct begun *place = bpf_map_lookup_elem(&calls, &thread);
	struct begun none = {};

	if (place)
		return place;
	bpf_map_update_elem(&calls, &thread, &none, BPF_ANY);
	return bpf_map_lookup_elem(&calls, &thread);
}

/*
 * Notes a call on a descriptor, if that is a socket's and its process is wanted. Whether it is a stream's is asked when
 * the call has moved something: to ask here as well cost those who are traced more than it spared others.
 */
static __always_inline bool begin(struct enter_context *context, __u32 descriptor, int arguments, enum direction direction)
{
	struct begun *begun;
	struct sock *sk;

	if (!wanted_current())
		return false;
	if (current_sock_of_descriptor(descriptor, &sk) != DESCRIPTOR_SOCKET || !sk)
		return false;
	begun = place_of_call();
	if (!begun)
		return false;
	begun->call.number = context->number;
	begun->call.cause = 0;
	begun->call.arguments[0] = context->arguments[0];
	if (arguments > 2) {
		begun->call.arguments[1] = context->arguments[1];
		begun->call.arguments[2] = context->arguments[2];
	}
	if (arguments > 3)
		begun->call.arguments[3] = context->arguments[3];
	begun->direction = direction;
	begun->socket = (__u64)sk;
	return true;
}

SEC("tracepoint")
int enter_three(struct enter_context *context)
{
	UNPREEMPTED(begin(context, context->arguments[0], 3, direction_of(context->number)));
	return 0;
}

SEC("tracepoint")
int enter_four(struct enter_context *context)
{
	UNPREEMPTED(begin(context, context->arguments[0], 4, direction_of(context->number)));
	return 0;
}

/* One of splice's two descriptors is a pipe's. */
SEC("tracepoint")
int enter_splice(struct enter_context *context)
{
	UNPREEMPTED(if (!begin(context, context->arguments[0], 1, RECEIVED)) begin(context, context->arguments[2], 1, SENT));
	return 0;
}

/* Who waits for io_uring's work moves bytes that no other call tells of. */
SEC("tracepoint")
int enter_uring(struct enter_context *context)
{
	struct task_struct *task = CURRENT();

	if (!wanted_current())
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

/* A call takes 1024 messages at most: the verifier counts every turn of a loop, so there are two. */
#define MESSAGES 32

/* How many bytes up to MESSAGES messages moved together, of `count` that there are. */
__noinline int length_of_some(__u64 messages, __u32 count)
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

/* How many bytes the first `count` messages of a call moved together. */
__noinline int length_of_messages(__u64 messages, __u32 count)
{
	__u32 total = 0;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < MESSAGES; i++) {
		if (i * MESSAGES >= count)
			break;
		total += length_of_some(messages, count - i * MESSAGES);
		messages += MESSAGES * sizeof(struct message_with_length);
	}
	return total;
}

/* What the programs of this engine run on are calls; all messages of one are told together. */
static __always_inline bool receives_plainly(void)
{
	return true;
}

static __always_inline void left(struct exit_context *context)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct begun *begun = bpf_map_lookup_elem(&calls, &thread);
	__s64 result = context->result;
	struct socket_state *state;
	enum direction direction;
	struct walk *walk;
	struct sock *sk;
	bool several;
	__u64 flags;
	__u32 moved;

	if (!begun || !begun->socket)
		return;
	sk = (struct sock *)begun->socket;
	begun->socket = 0;
	if (begun->call.number != (__u32)context->number || result < 0)
		return;
	direction = begun->direction;
	flags = direction == RECEIVED ? receive_flags(&begun->call) : 0;
	if (flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB))
		return;
	if (!result) {
		if (direction == RECEIVED)
			read_end(sk);
		return;
	}
	walk = own_walk();
	if (!walk)
		return;
	moved = result;
	several = begun->call.number == CALL_SENDMMSG || begun->call.number == CALL_RECVMMSG;
	if (several)
		moved = length_of_messages(begun->call.arguments[1], result);
	if (!moved || (direction == RECEIVED && hear_in_passing(sk, moved)))
		return;
	state = moved_through(sk, moved, direction, &walk->next);
	if (!state)
		return;
	walk->call = begun->call;
	tell_moved(sk, state, walk, 0, several ? result : 0, moved, flags);
}

SEC("tracepoint")
int leave(struct exit_context *context)
{
	UNPREEMPTED(left(context));
	return 0;
}

/*
 * Unix sockets have no tracepoint of their own at which they end: the last descriptor is closed, or
 * they are shut down.
 */
static __always_inline void end_unix(__u32 descriptor, bool closes)
{
	struct socket_state *state;
	struct sock *sk;
	__u64 time;
	__u64 key;

	if (current_sock_of_descriptor(descriptor, &sk) != DESCRIPTOR_SOCKET || !sk)
		return;
	if (LOAD(sk, __sk_common.skc_family) != AF_UNIX)
		return;
	key = (__u64)sk;
	state = bpf_map_lookup_elem(&sockets, &key);
	if (!state || !(state->flags & SOCKET_TOLD) || state->inode != inode_of(sk))
		return;
	if (closes && !is_last_descriptor(sk))
		return;
	time = bpf_ktime_get_ns();
	tell_last_skipped(state, time);
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
	UNPREEMPTED(end_unix(context->arguments[0], true));
	return 0;
}

SEC("tracepoint")
int enter_shutdown(struct enter_context *context)
{
	if (context->arguments[1]) /* not SHUT_RD */
		UNPREEMPTED(end_unix(context->arguments[0], false));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
