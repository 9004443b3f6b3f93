/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sockets from their first sight on. */
#ifndef L7TRACE_SYSCALLS_SOCKET_H
#define L7TRACE_SYSCALLS_SOCKET_H

#include "syscalls_marks.h"
#include "syscalls_tell.h"

/* Which end of a Unix connection this is: the accepted one bears the listener's name. */
static __always_inline __u32 unix_side(struct sock *sk)
{
	struct unix_sock *remote = (struct unix_sock *)BPF_CORE_READ((struct unix_sock *)sk, peer);
	bool named = BPF_CORE_READ((struct unix_sock *)sk, addr);
	bool peer_named = remote && BPF_CORE_READ(remote, addr);

	if (named == peer_named)
		return 0;
	return named ? SOCKET_SERVER : SOCKET_CLIENT;
}

/* Begins to keep a socket: apart, as a state would take much of the 512 bytes of stack that a program has. */
static __noinline struct socket_state *keep(struct sock *sk, __u32 flags, __u64 inode, __u64 time)
{
	__u64 key = (__u64)sk;
	struct socket_state fresh = {
		.id = new_id(),
		.opened = time,
		.inode = inode,
		.flags = flags,
		.socket = key,
	};

	bpf_map_update_elem(&sockets, &key, &fresh, BPF_ANY);
	return bpf_map_lookup_elem(&sockets, &key);
}

/* The state of a Unix socket that a call was made on. */
static __always_inline struct socket_state *keep_unix(struct sock *sk, __u32 flags, __u64 inode, __u64 time)
{
	flags |= unix_side(sk) | SOCKET_SENT_KNOWN | SOCKET_RECEIVED_KNOWN | (is_settled() ? SOCKET_BORN : 0);
	return keep(sk, flags, inode, time);
}

/*
 * The state of a socket of this family that a wanted process, the one that runs, has in its hands, told of as far as it
 * was not yet; 0 where it is not wanted.
 */
static __always_inline struct socket_state *state_for(struct sock *sk, int family, __u64 time)
{
	__u64 key = (__u64)sk;
	struct socket_state *state = bpf_map_lookup_elem(&sockets, &key);
	bool kernel_thread = OF_CURRENT(flags) & PF_KTHREAD;
	__u64 inode = 0;
	__u32 what = 0;

	/* What lives where a dead one was is another. */
	if (state && state->flags & SOCKET_DEAD && LOAD(sk, __sk_common.skc_state) != TCP_CLOSE)
		state = NULL;
	if (!state && !wanted_socket(sk))
		return NULL;
	if (!wanted_current())
		return NULL;
	if (family == AF_UNIX) {
		inode = inode_of(sk);
		if (!state || state->inode != inode)
			state = keep_unix(sk, 0, inode, time);
	} else if (!state) {
		state = keep(sk, 0, 0, time);
	}
	if (!state)
		return NULL;
	state->flags |= SOCKET_WANTED;
	if (!kernel_thread && state->owner != current_owner())
		what = INTRODUCE_FACTS | INTRODUCE_OWNER;
	else if (!(state->flags & SOCKET_TOLD))
		what = INTRODUCE_FACTS | (kernel_thread ? 0 : INTRODUCE_OWNER);
	if (family == AF_UNIX && !(state->flags & SOCKET_NAMED))
		what |= INTRODUCE_NAMES;
	if ((state->flags & (SOCKET_BORN | SOCKET_OPEN_TOLD)) == SOCKET_BORN)
		what |= INTRODUCE_OPEN;
	if (what)
		introduce(state->socket, bpf_get_current_task(), what, time);
	return state;
}

#endif
