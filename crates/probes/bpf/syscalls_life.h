/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The beginning and the end of sockets and of processes: the same for every engine. */
#ifndef L7TRACE_SYSCALLS_LIFE_H
#define L7TRACE_SYSCALLS_LIFE_H

#include "syscalls_call.h"
#include "syscalls_socket.h"

/* Tells what is known of a socket, if it is wanted: whoever holds it, if nothing is asked of that. */
static __always_inline bool is_told(struct socket_state *state, __u64 time)
{
	__u32 what = 0;

	if (!(state->flags & SOCKET_WANTED) && asks_for_processes())
		return false;
	if (!(state->flags & SOCKET_TOLD))
		what = INTRODUCE_FACTS;
	if ((state->flags & (SOCKET_BORN | SOCKET_OPEN_TOLD)) == SOCKET_BORN)
		what |= INTRODUCE_OPEN;
	if (what)
		introduce(state->socket, 0, what, time);
	return state->flags & SOCKET_TOLD;
}

/* A process asks for a connection: the last moment at which it is the one that runs. */
static __always_inline void connecting(struct sock *sk, __u64 time)
{
	struct task_struct *task = CURRENT();
	struct socket_state *state;
	struct process process;

	if (!wanted_socket(sk) || !wanted_current())
		return;
	if (is_compat(task)) {
		hide(task, CAUSE_COMPAT);
		tell_blind(BLIND_COMPAT, time);
	}
	state = keep(sk, SOCKET_CLIENT | SOCKET_WANTED, 0, time);
	if (!state)
		return;
	state->owner = current_owner();
	describe(task, &process);
	bpf_map_update_elem(&processes, &state->owner, &process, BPF_ANY);
}

/* The handshake is over. */
static __always_inline void established(struct sock *sk, struct tcp_sock *tcp, struct socket_state *state, int from, __u64 time)
{
	if (from == TCP_SYN_RECV) {
		if (!wanted_socket(sk))
			return;
		state = keep(sk, SOCKET_SERVER, 0, time);
	}
	if (!state)
		return;
	/* A client's SYN may have carried data; what was acknowledged since counts from the SYN. */
	state->open_sent = from == TCP_SYN_RECV ? LOAD(tcp, write_seq) : LOAD(tcp, snd_una) - (__u32)LOAD(tcp, bytes_acked) + 1;
	state->open_received = LOAD(tcp, copied_seq);
	state->sent = state->open_sent;
	state->received = state->open_received;
	state->opened = time;
	state->flags |= SOCKET_BORN | SOCKET_SENT_KNOWN | SOCKET_RECEIVED_KNOWN;
	if (!each_end) {
		name_ways(state->socket);
		forget_marks(state);
	}
	is_told(state, time);
}

/* The cause of what went unseen, where the process that runs is a 32-bit one. */
static __always_inline __u8 compat_of_current(__u64 time)
{
	struct task_struct *task = CURRENT();

	if (!is_compat(task))
		return 0;
	tell_blind(BLIND_COMPAT, time);
	return CAUSE_COMPAT;
}

/* Our FIN is about to go, or the peer's has come. */
static __always_inline void ending(struct sock *sk, struct tcp_sock *tcp, struct socket_state *state, int to, __u64 time)
{
	__u32 received = received_of(sk, tcp);
	__u32 sent = LOAD(tcp, write_seq);
	__u8 what = 0;

	if ((to == TCP_FIN_WAIT1 || to == TCP_LAST_ACK) && !(state->flags & SOCKET_SENT_ENDED))
		what |= STATE_SENT_END;
	if (all_received(sk, tcp, received) && !(state->flags & SOCKET_RECEIVED_ENDED))
		what |= STATE_RECEIVED_END;
	if (!what)
		return;
	if (is_told(state, time)) {
		tell_last_skipped(state, time);
		/* Only a process that closes or shuts down gets here, and it is the one that runs. */
		if (what & STATE_SENT_END && state->flags & SOCKET_SENT_KNOWN)
			tell_hidden(state, SENT, state->sent, sent, time, compat_of_current(time));
		tell_state(state->id, what, time, sent, received);
	}
	if (what & STATE_SENT_END) {
		state->flags |= SOCKET_SENT_ENDED;
		state->sent = sent;
	}
	if (what & STATE_RECEIVED_END)
		state->flags |= SOCKET_RECEIVED_ENDED;
}

/*
 * The connection is no more; true where the socket is no more as well. One that a process still
 * holds may be in the middle of a call, whose bytes are told when it ends.
 */
static __always_inline bool gone(struct sock *sk, struct tcp_sock *tcp, struct socket_state *state, int from, __u64 time)
{
	bool closed = LOAD(sk, sk_shutdown) == SHUTDOWN_MASK;
	__u32 received = received_of(sk, tcp);
	__u32 sent = LOAD(tcp, write_seq);
	__u8 what = closed ? STATE_GONE : 0;

	if (from == TCP_SYN_SENT)
		return true;
	/* One load from either of two places would be, to the verifier, of no known kind. */
	asm volatile("" : "+r"(sent));
	if (state->flags & SOCKET_SENT_ENDED)
		sent = state->sent;
	if (LOAD(sk, sk_err) && !(state->flags & SOCKET_SENT_ENDED && state->flags & SOCKET_RECEIVED_ENDED))
		what |= STATE_RECEIVED_RESET;
	else if (!(state->flags & SOCKET_SENT_ENDED))
		what |= STATE_SENT_RESET;
	else if (all_received(sk, tcp, received) && !(state->flags & SOCKET_RECEIVED_ENDED))
		what |= STATE_RECEIVED_END;
	state->flags |= SOCKET_DEAD | SOCKET_SENT_ENDED | SOCKET_RECEIVED_ENDED;
	if (!is_told(state, time))
		return closed;
	tell_last_skipped(state, time);
	if (closed) {
		__u8 compat = compat_of_current(time);

		if (state->flags & SOCKET_SENT_KNOWN)
			tell_hidden(state, SENT, state->sent, sent, time, compat);
		if (state->flags & SOCKET_RECEIVED_KNOWN)
			tell_hidden(state, RECEIVED, state->received, received, time, compat ? compat : CAUSE_ZERO_COPY);
	}
	tell_state(state->id, what, time, sent, received);
	return closed;
}

static __always_inline void state_changed(struct sock *sk, int from, int to)
{
	__u64 key = (__u64)sk;
	__u64 time = bpf_ktime_get_ns();
	struct socket_state *state;
	struct tcp_sock *tcp;

	if (LOAD(sk, sk_protocol) != IPPROTO_TCP)
		return;
	if (to == TCP_SYN_SENT) {
		connecting(sk, time);
		return;
	}
	state = bpf_map_lookup_elem(&sockets, &key);
	if (state && state->flags & SOCKET_DEAD) {
		/* The dead do not change: another lives in its place. */
		if (state->flags & SOCKET_TOLD)
			tell_state(state->id, STATE_GONE, time, state->sent, state->received);
		bpf_map_delete_elem(&sockets, &key);
		state = NULL;
	}
	if (!state && !(from == TCP_SYN_RECV && to == TCP_ESTABLISHED))
		return;
	tcp = TCP_OF(sk);
	if (!tcp)
		return;
	if (to == TCP_ESTABLISHED) {
		established(sk, tcp, state, from, time);
	} else if (state && to == TCP_CLOSE) {
		if (gone(sk, tcp, state, from, time))
			bpf_map_delete_elem(&sockets, &key);
	} else if (state) {
		ending(sk, tcp, state, to, time);
	}
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int from, int to)
{
	UNPREEMPTED(state_changed(sk, from, to));
	return 0;
}

/* Children of wanted processes are wanted, where that was asked for. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(sched_process_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 process = process_of(parent);
	__u32 born = process_of(child);
	__u8 one = 1;

	if (follow && born && bpf_map_lookup_elem(&wanted_pids, &process))
		bpf_map_update_elem(&wanted_pids, &born, &one, BPF_ANY);
	return 0;
}

/* A process id is used again: it is wanted no longer than its process lives. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(sched_process_exit, struct task_struct *task)
{
	__u32 process = process_of(task);

	if (pids && !BPF_CORE_READ(task, signal, live.counter))
		bpf_map_delete_elem(&wanted_pids, &process);
	return 0;
}

/* The task whose files are walked over, as a number, which can be handed to functions. */
static volatile __u64 listed;

/* A socket that `task` held when tracing began. */
static __always_inline void existed(struct sock *sk, struct task_struct *task)
{
	__u64 time = bpf_ktime_get_ns();
	int family = stream_family(sk);
	__u64 key = (__u64)sk;
	struct socket_state *state;

	if (!family || !wanted_socket(sk) || !wanted_process(task) || bpf_map_lookup_elem(&sockets, &key))
		return;
	switch (LOAD(sk, __sk_common.skc_state)) {
	case TCP_CLOSE:
	case TCP_SYN_SENT:
		return;
	case TCP_LISTEN:
		if (family == AF_UNIX)
			return;
		state = keep(sk, SOCKET_LISTENS, 0, time);
		if (state) {
			listed = (__u64)task;
			introduce(state->socket, listed, INTRODUCE_FACTS | INTRODUCE_OWNER, time);
			bpf_map_delete_elem(&sockets, &key);
		}
		return;
	}
	if (family == AF_UNIX) {
		state = keep_unix(sk, SOCKET_WANTED | SOCKET_EXISTED, inode_of(sk), time);
	} else {
		struct tcp_sock *tcp = TCP_OF(sk);

		state = keep(sk, SOCKET_WANTED | SOCKET_EXISTED | SOCKET_SENT_KNOWN | SOCKET_RECEIVED_KNOWN, 0, time);
		if (state && tcp) {
			state->sent = sent_of(sk, tcp);
			state->received = received_of(sk, tcp);
		}
	}
	if (!state)
		return;
	listed = (__u64)task;
	introduce(state->socket, listed, INTRODUCE_FACTS | INTRODUCE_OWNER | (family == AF_UNIX ? INTRODUCE_NAMES : 0), time);
}

/* Walks over every open file of every process, once. */
SEC("iter/task_file")
int existing(struct bpf_iter__task_file *context)
{
	struct task_struct *task = context->task;
	struct file *file = context->file;
	struct socket *socket;
	struct sock *sk;

	if (!task || !file)
		return 0;
#ifdef TYPED_POINTERS
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
#else
	if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
#endif
	if (sk)
		existed(sk, task);
	return 0;
}

#endif
