/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which end of a connection tells of its bytes. */
#ifndef L7TRACE_SYSCALLS_MARKS_H
#define L7TRACE_SYSCALLS_MARKS_H

#include "ways.h"
#include "syscalls_state.h"

/*
 * How far the sending end's program has told of the bytes that go one way through a connection: what
 * it told, the receiving end need not tell once more. Each way has a place by its name, of which the
 * last to come takes possession; without one, both ends tell.
 */
struct mark {
	__u64 way;
	__u64 told; /* up to this position, in the upper half, so many bytes without a hole, in the lower */
};

#define MARKS 65536
/* No more than a receiver can be behind its sender, so that an old mark is taken for no other. */
#define MOST_MARKED (16 << 20)

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MARKS);
	__type(key, __u32);
	__type(value, struct mark);
} marks SEC(".maps");

/*
 * Names the two ways of the TCP connection of the socket at this place. Addresses may mean something
 * else in every network namespace: ends in two of them never meet here.
 */
__noinline int name_ways(__u64 socket)
{
	struct socket_state *state = bpf_map_lookup_elem(&sockets, &socket);
	struct sock *sk = (struct sock *)socket;
	__u64 local[2] = { 0, bpf_htonl(0xffff) };
	__u64 remote[2] = { 0, bpf_htonl(0xffff) };
	__u64 namespace, one, other;

	if (!state)
		return 0;
	namespace = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6) {
		BPF_CORE_READ_INTO(&local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&remote, sk, __sk_common.skc_v6_daddr);
	}
	one = name_of_end(local, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr), BPF_CORE_READ(sk, __sk_common.skc_num));
	other = name_of_end(remote, BPF_CORE_READ(sk, __sk_common.skc_daddr),
			    bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport)));
	state->ways[SENT] = name_of_way(one, other, namespace);
	state->ways[RECEIVED] = name_of_way(other, one, namespace);
	return 0;
}

static __always_inline struct mark *mark_of(__u64 way)
{
	__u32 place = way >> 48;

	return bpf_map_lookup_elem(&marks, &place);
}

/* What an earlier connection between the same two ends left behind means nothing any more. */
static __always_inline void forget_marks(struct socket_state *state)
{
	for (int i = 0; i < 2; i++) {
		struct mark *mark = mark_of(state->ways[i]);

		if (mark && mark->way == state->ways[i])
			mark->told = 0;
	}
}

/* Marks that the sender told of bytes, or that something of them is not in the ring. */
static __always_inline void mark_told(const struct socket_state *state, __u32 position, __u32 moved, bool complete)
{
	struct mark *mark = mark_of(state->ways[SENT]);
	__u64 length = moved;
	__u64 told;

	if (!mark)
		return;
	if (mark->way != state->ways[SENT]) {
		mark->told = 0;
		barrier();
		mark->way = state->ways[SENT];
	} else {
		told = mark->told;
		if (told >> 32 == position)
			length += (__u32)told;
		if (length > MOST_MARKED)
			length = MOST_MARKED;
	}
	barrier();
	mark->told = (__u64)(position + moved) << 32 | (complete ? (__u32)length : 0);
}

/* Whether the sender told of these bytes. */
static __always_inline bool was_told(const struct socket_state *state, __u32 position, __u32 moved)
{
	struct mark *mark = mark_of(state->ways[RECEIVED]);
	__s32 ahead;
	__u64 told;

	if (!mark || mark->way != state->ways[RECEIVED])
		return false;
	told = *(volatile __u64 *)&mark->told;
	ahead = (__s32)((__u32)(told >> 32) - (position + moved));
	return ahead >= 0 && (__u64)ahead + moved <= (__u32)told;
}

#endif
