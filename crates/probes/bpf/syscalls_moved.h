/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What happens when a socket moved bytes, whichever hook says so. */
#ifndef L7TRACE_SYSCALLS_MOVED_H
#define L7TRACE_SYSCALLS_MOVED_H

#include "limits.h"
#include "syscalls_copy.h"
#include "syscalls_socket.h"

/* What was skipped is told of when the last of it went by; before that after so many bytes or so long. */
#define SKIPPED_BYTES (512 << 10)
#define SKIPPED_TIME 50000000

/* Whether kernel TLS has taken the socket over: its positions count records, not the caller's bytes. */
static __always_inline bool has_kernel_tls(struct tcp_sock *tcp)
{
	const struct tcp_ulp_ops *protocol = LOAD(tcp, inet_conn.icsk_ulp_ops);
	char name[4] = {};

	if (!protocol)
		return false;
	bpf_probe_read_kernel(name, 3, (void *)protocol + bpf_core_field_offset(protocol->name));
	return name[0] == 't' && name[1] == 'l' && name[2] == 's';
}

/*
 * Notes that a call moved `moved` bytes up to `end`, and gives the position of the first. Another
 * thread may have sent on the same socket between the end of the transfer and now: then this call
 * takes the last place, and the other fills the hole that this leaves.
 */
static __always_inline __u32 begin_sent(struct socket_state *state, struct data_record *header, __u32 end, __u32 moved)
{
	__u32 position = end - moved;

	if (state->flags & SOCKET_SENT_KNOWN) {
		if ((__s32)(position - state->sent) > 0) {
			state->hole = state->sent;
			state->hole_length = position - state->sent;
			tell_hidden(state, SENT, state->sent, position, header->time, 0);
		} else if (position != state->sent && state->hole_length == moved) {
			position = state->hole;
			state->hole_length = 0;
			return position;
		}
	}
	state->sent = end;
	state->flags |= SOCKET_SENT_KNOWN;
	return position;
}

/* The same for what was received. What was stepped over went by splice, or by no call at all. */
static __always_inline __u32 begin_received(struct socket_state *state, struct data_record *header, __u32 end, __u32 moved)
{
	__u32 position = end - moved;

	if (state->flags & SOCKET_RECEIVED_KNOWN)
		tell_hidden(state, RECEIVED, state->received, position, header->time, CAUSE_ZERO_COPY);
	state->received = end;
	state->flags |= SOCKET_RECEIVED_KNOWN;
	return position;
}

/* What was received since something was last sent goes with what is sent now. */
static __always_inline void say_what_was_heard(struct socket_state *state, struct data_record *header)
{
	if (!state->heard_length)
		return;
	header->heard = state->heard;
	header->heard_at = state->heard_at;
	header->heard_length = state->heard_length;
	header->more_length = state->more_length;
	header->more_at = state->more_at;
	state->heard_length = 0;
}

/*
 * A call of the task that runs moved `moved` bytes through `sk`. Fills `header` and gives the socket's state;
 * 0 where there is nothing to hand up.
 */
static __always_inline struct socket_state *moved_through(struct sock *sk, __u32 moved,
							   enum direction direction, struct data_record *header)
{
	int family = stream_family(sk);
	__u64 time = bpf_ktime_get_ns();
	struct socket_state *state;

	if (!family) {
		if (LOAD(sk, sk_protocol) == IPPROTO_MPTCP && wanted_socket(sk) && wanted_current())
			tell_blind(BLIND_MPTCP, time);
		return NULL;
	}
	state = state_for(sk, family, time);
	if (!state || state->flags & SOCKET_REFUSED)
		return NULL;
	header->kind = RECORD_DATA;
	header->direction = direction;
	header->cause = 0;
	header->unused = 0;
	header->length = 0;
	header->id = state->id;
	header->time = time;
	header->acknowledged = 0;
	header->missing = 0;
	header->heard_length = 0;
	header->more_length = 0;
	if (family == AF_UNIX) {
		header->acknowledged = state->received;
		if (direction == SENT) {
			header->position = state->sent;
			state->sent += moved;
		} else {
			header->position = state->received;
			state->received += moved;
		}
	} else {
		struct tcp_sock *tcp = TCP_OF(sk);
		__u32 received;

		if (!tcp)
			return NULL;
		if (has_kernel_tls(tcp)) {
			state->flags |= SOCKET_REFUSED;
			tell_blind(BLIND_KERNEL_TLS, time);
			return NULL;
		}
		if (!each_end && !state->ways[SENT])
			name_ways(state->socket);
		received = received_of(sk, tcp);
		if (direction == SENT) {
			header->acknowledged = received;
			header->position = begin_sent(state, header, sent_of(sk, tcp), moved);
			say_what_was_heard(state, header);
		} else {
			header->position = begin_received(state, header, received, moved);
		}
	}
	if (!(state->flags & SOCKET_TOLD)) {
		count_lost(moved);
		return NULL;
	}
	return state;
}

/* What hand_up_call is told of the socket, which it cannot be given. */
#define TRAIT_UNIX 1
#define TRAIT_ZERO_COPY 2

static __always_inline __u32 traits_of(struct sock *sk)
{
	return (LOAD(sk, __sk_common.skc_family) == AF_UNIX ? TRAIT_UNIX : 0) |
	       (flag_of(sk, bpf_core_enum_value(enum sock_flags, SOCK_ZEROCOPY)) ? TRAIT_ZERO_COPY : 0);
}

/* Hands up the `moved` bytes that the walk's call moved, `index` being the message that it is at. */
__noinline int hand_up_call(__u32 index, __u32 moved, __u32 flags, __u32 traits)
{
	struct walk *walk = own_walk();
	struct data_record *header;
	__u32 cause;

	if (!walk)
		return 0;
	header = &walk->next;
	cause = walk->call.cause;
	/* Thrown away on the way in, as the caller wished. */
	if (!cause && header->direction == RECEIVED && flags & MSG_TRUNC && !(traits & TRAIT_UNIX))
		cause = CAUSE_ZERO_COPY;
	if (!cause)
		cause = buffers_of(&walk->call, index, header->direction == SENT && traits & TRAIT_ZERO_COPY, &walk->buffers);
	if (cause) {
		tell_missing(header, moved, cause);
		walk->incomplete = 1;
		return 0;
	}
	hand_up(walk, moved);
	return 0;
}

/* The same for all `count` messages of a call of several. */
__noinline int hand_up_messages(__u32 count, __u32 moved, __u32 flags, __u32 traits)
{
	struct walk *walk = own_walk();

	if (!walk)
		return 0;
	if ((walk->next.direction == SENT && walk->call.arguments[3] & MSG_ZEROCOPY) || flags & MSG_TRUNC)
		return hand_up_call(0, moved, flags, traits);
	walk->buffers.length = 0;
	walk->buffers.entries = 0;
	walk->left = 0;
	walk->messages = walk->call.arguments[1];
	walk->count = count;
	walk->room = copy_limit;
	walk->gathered = 0;
	return walk_over();
}

/*
 * Notes that bytes were received of which their sender told, to be told with what is sent next; not where that must
 * wait too long, as they are not the first.
 */
static __always_inline bool hear(struct socket_state *state, __u32 position, __u32 moved, __u64 time)
{
	if (!state->heard_length) {
		state->heard = position;
		state->heard_length = moved;
		state->heard_at = time;
		state->more_length = 0;
		return true;
	}
	if (!(state->flags & SOCKET_MORE_WAITS) || position != state->heard + state->heard_length + state->more_length)
		return false;
	state->more_length += moved;
	state->more_at = time;
	return true;
}

/* What user space says of a socket, if anything. */
static __always_inline const struct limit *limit_of_socket(__u64 id)
{
	return limit_of(id, (id >> 12) + (id & 4095) * 1021);
}

/* Whether nobody needs the bytes that moved: then they are told of, at the latest with the last of them. */
static __always_inline bool is_skipped(struct socket_state *state, struct data_record *header,
				       enum direction direction, __u32 moved)
{
	const struct limit *limit = limit_of_socket(state->id);
	__u32 end = header->position + moved;
	__u8 skip = limit ? limit->skip[direction] : SKIP_NOTHING;
	bool last = skip != SKIP_ALL && limit && limit->skip_until[direction] == end;

	if (skip == SKIP_UNTIL && (__s32)(limit->skip_until[direction] - end) < 0)
		skip = SKIP_NOTHING;
	if (state->skipped[direction] && (!skip || header->heard_length || state->skipped_to[direction] != header->position))
		tell_skipped(state->socket, direction, header->time);
	if (!skip)
		return false;
	if (header->heard_length) {
		tell_missing(header, moved, CAUSE_SKIPPED);
		return true;
	}
	if (!state->skipped[direction])
		state->skipped_since = header->time;
	state->skipped[direction] += moved;
	state->skipped_to[direction] = end;
	if (last || state->skipped[direction] >= SKIPPED_BYTES || header->time - state->skipped_since >= SKIPPED_TIME)
		tell_skipped(state->socket, direction, header->time);
	return true;
}

/* Whether it is in the middle of what is skipped: when it was received is of no interest. */
static __always_inline bool is_amid_skipped(const struct socket_state *state, __u32 end)
{
	const struct limit *limit = limit_of_socket(state->id);

	if (!limit || !limit->skip[RECEIVED])
		return false;
	return limit->skip[RECEIVED] == SKIP_ALL || (__s32)(limit->skip_until[RECEIVED] - end) > 0;
}

/* Notes whether there is more to be received at once. */
static __always_inline void note_what_waits(struct socket_state *state, struct tcp_sock *tcp)
{
	bool more = LOAD(tcp, rcv_nxt) != LOAD(tcp, copied_seq);

	state->flags = more ? state->flags | SOCKET_MORE_WAITS : state->flags & ~SOCKET_MORE_WAITS;
}

/* Whether the task that runs received by a call of its own, of one message; each engine has its own way to know. */
static __always_inline bool receives_plainly(void);

/*
 * Whether bytes were received of which nothing needs to be said now, as their sender told of them: in the middle of
 * what nobody needs, nothing at all; else when they were received, which is noted here. Asked first, with no more than
 * it takes: half of the calls of an exchange are such where both of its ends are traced, and a body is read in many.
 */
static __always_inline bool hear_in_passing(struct sock *sk, __u32 moved)
{
	const __u32 flags = SOCKET_TOLD | SOCKET_RECEIVED_KNOWN | SOCKET_REFUSED | SOCKET_DEAD;
	__u64 key = (__u64)sk;
	struct socket_state *state = bpf_map_lookup_elem(&sockets, &key);
	struct tcp_sock *tcp = TCP_OF(sk);
	__u32 position, end;
	bool amid;

	if (!tcp || !state || !state->ways[RECEIVED] || (state->flags & flags) != (SOCKET_TOLD | SOCKET_RECEIVED_KNOWN))
		return false;
	position = state->received;
	end = position + moved;
	if (LOAD(tcp, copied_seq) != end || LOAD(tcp, inet_conn.icsk_ulp_ops) || !was_told(state, position, moved))
		return false;
	amid = is_amid_skipped(state, end);
	if (!amid) {
		if (commands || cgroups || state->owner != current_owner() || !receives_plainly() ||
		    (state->flags & (SOCKET_BORN | SOCKET_OPEN_TOLD)) == SOCKET_BORN ||
		    !hear(state, position, moved, bpf_ktime_get_ns()))
			return false;
		note_what_waits(state, tcp);
	}
	state->received = end;
	return true;
}

/*
 * Many bytes in a row are likely a body that nobody needs, and user space can say so only when it has
 * seen where it begins: the reader is woken early, at every doubling, so that it costs little where
 * they are needed.
 */
#define WAKE_FROM (128 << 10)

static __always_inline void count_in_a_row(struct socket_state *state, enum direction direction, __u32 moved)
{
	bool same = !(state->flags & SOCKET_ROW_RECEIVED) == (direction == SENT);
	__u32 before = same ? state->in_a_row : 0;
	__u32 after = before + moved;

	if (!same)
		state->flags ^= SOCKET_ROW_RECEIVED;
	state->in_a_row = after;
	if (after >= WAKE_FROM && (before < WAKE_FROM || (before ^ after) > before))
		wake_reader();
}

/* Hands up the bytes of the walk's call as far as nobody did, and notes it for the other end. */
static __always_inline void tell_moved(struct sock *sk, struct socket_state *state, struct walk *walk, __u32 index,
				       __u32 count, __u32 moved, __u32 flags)
{
	enum direction direction = walk->next.direction & 1;
	__u32 position = walk->next.position;

	if (direction == RECEIVED && state->ways[RECEIVED] && was_told(state, position, moved)) {
		if (!is_amid_skipped(state, position + moved) && !hear(state, position, moved, walk->next.time))
			tell_missing(&walk->next, moved, CAUSE_ELSEWHERE);
	} else {
		walk->incomplete = 0;
		if (!is_skipped(state, &walk->next, direction, moved)) {
			if (count)
				hand_up_messages(count, moved, flags, traits_of(sk));
			else
				hand_up_call(index, moved, flags, traits_of(sk));
			count_in_a_row(state, direction, moved);
		}
		if (direction == SENT && state->ways[SENT])
			mark_told(state, position, moved, !walk->incomplete);
	}
	if (direction == RECEIVED && state->ways[RECEIVED]) {
		struct tcp_sock *tcp = TCP_OF(sk);

		if (tcp)
			note_what_waits(state, tcp);
	}
}

/* The reader of a stream was told that it is over. */
static __always_inline void read_end(struct sock *sk)
{
	int family = stream_family(sk);
	__u8 shutdown = LOAD(sk, sk_shutdown);
	__u64 time = bpf_ktime_get_ns();
	struct socket_state *state;
	__u32 what = 0;

	if (!family || !(shutdown & RCV_SHUTDOWN))
		return;
	state = state_for(sk, family, time);
	if (!state)
		return;
	if (!(state->flags & SOCKET_RECEIVED_ENDED)) {
		state->flags |= SOCKET_RECEIVED_ENDED;
		what |= STATE_RECEIVED_END;
	}
	if (family == AF_UNIX) {
		/* Closed by the peer, not only shut down: nothing can be sent any more. */
		if (shutdown == SHUTDOWN_MASK && !(state->flags & SOCKET_SENT_ENDED)) {
			state->flags |= SOCKET_SENT_ENDED;
			what |= STATE_SENT_END;
		}
	} else {
		struct tcp_sock *tcp = TCP_OF(sk);

		if (!tcp || !flag_of(sk, bpf_core_enum_value(enum sock_flags, SOCK_DONE)))
			return;
		state->received = received_of(sk, tcp);
	}
	if (what) {
		tell_last_skipped(state, time);
		tell_state(state->id, what, time, state->sent, state->received);
	}
}

#endif
