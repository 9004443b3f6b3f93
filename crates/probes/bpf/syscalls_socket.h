/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is kept of a socket, and what is told of it beside its bytes. */
#ifndef L7TRACE_SYSCALLS_SOCKET_H
#define L7TRACE_SYSCALLS_SOCKET_H

#include "ring.h"
#include "ways.h"
#include "syscalls.h"
#include "syscalls_filter.h"

#define SOCKET_TOLD 1        /* a facts_record reached the ring */
#define SOCKET_BORN 2        /* `sent` and `received` began where its streams began */
#define SOCKET_OPEN_TOLD 4
#define SOCKET_SENT_ENDED 8
#define SOCKET_RECEIVED_ENDED 16
#define SOCKET_CLIENT 32
#define SOCKET_SERVER 64
#define SOCKET_SENT_KNOWN 128     /* `sent` holds a position */
#define SOCKET_RECEIVED_KNOWN 256
#define SOCKET_EXISTED 512
#define SOCKET_WANTED 1024   /* a wanted process had it in its hands */
#define SOCKET_NAMED 2048
#define SOCKET_LISTENS 8192
#define SOCKET_DEAD 16384    /* its connection is no more */
#define SOCKET_REFUSED 4096  /* its bytes mean nothing to us (kernel TLS) */
#define SOCKET_ROW_RECEIVED 65536 /* the bytes in a row are what it received */
#define SOCKET_MORE_WAITS 32768 /* when it was last read, there was more to be read at once */

/* A socket that is traced. */
struct socket_state {
	__u64 id;
	__u64 owner;     /* owner_of() the task that was last told of */
	__u64 opened;    /* when */
	__u64 inode;     /* of a Unix socket: whose state this is, as the structure's place is used again */
	__u32 sent;      /* the position after the last byte told of */
	__u32 received;
	__u32 open_sent; /* where the streams began */
	__u32 open_received;
	__u32 hole;      /* the start of what `sent` jumped over … */
	__u32 hole_length; /* … and how much that was */
	__u32 flags;     /* SOCKET_… */
	__u32 descriptor; /* by which its owner was last seen to move bytes, and 1 */
	__u64 socket;    /* the structure's place as a number, which can be handed to functions */
	__u64 ways[2];   /* by enum direction: names it in `marks`; 0: it has none, or not yet */
	__u64 heard_at;  /* as in struct data_record, and the next */
	__u64 more_at;
	__u32 heard;
	__u32 heard_length;
	__u32 more_length;
	__u32 in_a_row;  /* how many bytes were copied one way since any went the other way */
	__u32 skipped[2]; /* by enum direction: how many bytes were skipped that are still to be told of, … */
	__u32 skipped_to[2]; /* … up to where … */
	__u64 skipped_since; /* … and since when */
};

/* By the address of the socket's structure. The loader sets the size. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 17);
	__type(key, __u64);
	__type(value, struct socket_state);
} sockets SEC(".maps");

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

/* How many ids each CPU has given. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} ids SEC(".maps");

/* Set to 1 by user space once every socket that existed at the start has been walked over. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} settled SEC(".maps");

/* Who a process is. */
struct process {
	__u32 process;
	__u32 unused;
	__u64 started;
	__u64 cgroup;
	char command[16];
};

/* By owner_of(): processes that asked for connections, which come about while others run. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, struct process);
} processes SEC(".maps");

/* A process that was told to be blind, and why. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u8);
} blinded SEC(".maps");

static __always_inline __u64 new_id(void)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&ids, &zero);

	if (!count)
		return 0;
	*count += 1;
	return *count * 4096 + bpf_get_smp_processor_id();
}

static __always_inline bool is_settled(void)
{
	__u32 zero = 0;
	__u32 *value = bpf_map_lookup_elem(&settled, &zero);

	return value && *value;
}

/* TCP or a Unix stream; 0 for what is no stream of ours. */
static __always_inline int stream_family(struct sock *sk)
{
	int family = LOAD(sk, __sk_common.skc_family);

	if (family == AF_INET || family == AF_INET6)
		return LOAD(sk, sk_protocol) == IPPROTO_TCP ? family : 0;
	if (family == AF_UNIX)
		return LOAD(sk, sk_type) == SOCK_STREAM ? family : 0;
	return 0;
}

/* Names who acts, the task that runs: a process, and which program it was executing. */
static __always_inline __u64 current_owner(void)
{
	return (__u64)OF_CURRENT(tgid) << 32 | (__u32)OF_CURRENT(self_exec_id);
}

static __always_inline bool flag_of(struct sock *sk, int flag)
{
	return LOAD(sk, __sk_common.skc_flags) >> flag & 1;
}

/* The inode number of a socket; 0 while it waits to be accepted. */
static __always_inline __u64 inode_of(struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_socket, file, f_inode, i_ino);
}

/* Whether one descriptor alone, of all processes', stands for the socket. */
static __always_inline bool is_last_descriptor(struct sock *sk)
{
	struct file *file = BPF_CORE_READ(sk, sk_socket, file);
	struct file___counted *counted = (void *)file;

	if (bpf_core_field_exists(counted->f_ref))
		return BPF_CORE_READ(counted, f_ref.refcnt.counter) == 0; /* it counts from 0 */
	return BPF_CORE_READ(file, f_count.counter) == 1;
}

/* The position after the last byte that was sent. A FIN takes one, and is no byte. */
static __always_inline __u32 sent_of(struct sock *sk, struct tcp_sock *tcp)
{
	__u32 end = LOAD(tcp, write_seq);

	switch (LOAD(sk, __sk_common.skc_state)) {
	case TCP_FIN_WAIT1:
	case TCP_FIN_WAIT2:
	case TCP_CLOSING:
	case TCP_LAST_ACK:
	case TCP_TIME_WAIT:
		return end - 1;
	}
	return end;
}

/* The position after the last byte that was read; reading past a FIN steps over it as well. */
static __always_inline __u32 received_of(struct sock *sk, struct tcp_sock *tcp)
{
	__u32 end = LOAD(tcp, copied_seq);

	if (flag_of(sk, bpf_core_enum_value(enum sock_flags, SOCK_DONE)) && end == LOAD(tcp, rcv_nxt))
		return end - 1;
	return end;
}

/* Whether the peer's FIN has come and every byte before it was read. */
static __always_inline bool all_received(struct sock *sk, struct tcp_sock *tcp, __u32 received)
{
	return flag_of(sk, bpf_core_enum_value(enum sock_flags, SOCK_DONE)) && received + 1 == LOAD(tcp, rcv_nxt);
}

/*
 * The functions from here on that tell something are not static, and so are given no pointers: they
 * find what they need anew. What they tell comes once for a socket.
 */

/* Tells the two names of a Unix connection, if it has any. */
static __always_inline void tell_names(struct sock *sk, struct socket_state *state, __u64 time)
{
	struct unix_sock *local = (struct unix_sock *)sk;
	struct unix_sock *remote = (struct unix_sock *)BPF_CORE_READ(local, peer);
	struct unix_address *local_name = BPF_CORE_READ(local, addr);
	struct unix_address *remote_name = remote ? BPF_CORE_READ(remote, addr) : NULL;
	struct names_record *record;

	if (!local_name && !remote_name) {
		state->flags |= SOCKET_NAMED;
		return;
	}
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		count_lost(0);
		return;
	}
	record->kind = RECORD_NAMES;
	record->local_length = 0;
	record->remote_length = 0;
	record->unused = 0;
	record->unused2 = 0;
	record->id = state->id;
	record->time = time;
	if (local_name) {
		record->local_length = BPF_CORE_READ(local_name, len) - 2;
		bpf_probe_read_kernel(record->local, 108, (void *)local_name + bpf_core_field_offset(local_name->name) + 2);
	}
	if (remote_name) {
		record->remote_length = BPF_CORE_READ(remote_name, len) - 2;
		bpf_probe_read_kernel(record->remote, 108, (void *)remote_name + bpf_core_field_offset(remote_name->name) + 2);
	}
	state->flags |= SOCKET_NAMED;
	submit(record, sizeof(*record));
}

static __always_inline void describe(struct task_struct *task, struct process *process)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);

	process->process = pid_namespace ? process_in_namespace(task) : (__u32)BPF_CORE_READ(task, tgid);
	process->unused = 0;
	process->started = BPF_CORE_READ(leader, start_boottime);
	process->cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	BPF_CORE_READ_INTO(&process->command, leader, comm);
}

/* Says which socket a state's id stands for and who holds it: `task`, or whom the state names. */
static __always_inline void tell_facts(struct sock *sk, struct task_struct *task, struct socket_state *state, __u64 time)
{
	struct facts_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	struct process described;
	struct process *process = &described;

	if (!record) {
		count_lost(0);
		return;
	}
	__builtin_memset(record, 0, sizeof(*record));
	record->kind = RECORD_FACTS;
	record->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	record->flags = (state->flags & SOCKET_CLIENT ? FACTS_CLIENT : 0) | (state->flags & SOCKET_SERVER ? FACTS_SERVER : 0) |
			(state->flags & SOCKET_EXISTED ? FACTS_EXISTS : 0) | (state->flags & SOCKET_BORN ? FACTS_BORN : 0) |
			(state->flags & SOCKET_LISTENS ? FACTS_LISTENS : 0);
	record->id = state->id;
	record->time = time;
	record->namespace = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (record->family == AF_UNIX) {
		struct sock *peer = BPF_CORE_READ((struct unix_sock *)sk, peer);
		__u64 *local = (__u64 *)record->local;
		__u64 *remote = (__u64 *)record->remote;

		local[0] = state->inode;
		local[1] = (__u64)sk;
		remote[0] = inode_of(peer);
		remote[1] = (__u64)peer;
	} else {
		record->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
		record->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
		if (record->family == AF_INET) {
			*(__u32 *)record->local = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
			*(__u32 *)record->remote = BPF_CORE_READ(sk, __sk_common.skc_daddr);
		} else {
			BPF_CORE_READ_INTO(&record->local, sk, __sk_common.skc_v6_rcv_saddr);
			BPF_CORE_READ_INTO(&record->remote, sk, __sk_common.skc_v6_daddr);
		}
	}
	if (task) {
		describe(task, process);
		state->owner = (__u64)BPF_CORE_READ(task, tgid) << 32 | (__u32)BPF_CORE_READ(task, self_exec_id);
		state->descriptor = 0;
	} else {
		process = bpf_map_lookup_elem(&processes, &state->owner);
	}
	if (process) {
		record->process = process->process;
		record->started = process->started;
		record->cgroup = process->cgroup;
		__builtin_memcpy(record->command, process->command, sizeof(record->command));
	}
	state->flags |= SOCKET_TOLD;
	submit(record, sizeof(*record));
}

__noinline int tell_state(__u64 id, __u32 what, __u64 time, __u32 sent, __u32 received)
{
	struct state_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record)
		return count_lost(0);
	record->kind = RECORD_STATE;
	record->what = what;
	record->unused = 0;
	record->unused2 = 0;
	record->id = id;
	record->time = time;
	record->sent = sent;
	record->received = received;
	submit(record, sizeof(*record));
	return 0;
}

/* What `introduce` is to tell of a socket. */
#define INTRODUCE_FACTS 1
#define INTRODUCE_OWNER 2 /* with the facts: that the task at `holder` holds it */
#define INTRODUCE_NAMES 4
#define INTRODUCE_OPEN 8

/* Tells what is to be known of the socket at this place before its bytes. */
__noinline int introduce(__u64 socket, __u64 holder, __u32 what, __u64 time)
{
	struct socket_state *state = bpf_map_lookup_elem(&sockets, &socket);
	struct sock *sk = (struct sock *)socket;

	if (!state)
		return 0;
	if (what & INTRODUCE_FACTS)
		tell_facts(sk, what & INTRODUCE_OWNER ? (struct task_struct *)holder : NULL, state, time);
	if (what & INTRODUCE_NAMES)
		tell_names(sk, state, time);
	if (what & INTRODUCE_OPEN) {
		state->flags |= SOCKET_OPEN_TOLD;
		tell_state(state->id, STATE_OPEN, state->opened, state->open_sent - 1, state->open_received - 1);
	}
	return 0;
}

/* By process: by what its bytes go unseen (enum cause), where that was noticed. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u8);
} hidden SEC(".maps");

/* Notes that what a process moves may go unseen. */
static __always_inline void hide(struct task_struct *task, __u8 cause)
{
	__u32 process = LOAD(task, tgid);

	bpf_map_update_elem(&hidden, &process, &cause, BPF_ANY);
}

/* Tells of what was skipped one way up to here. */
__noinline int tell_skipped(__u64 socket, __u32 direction, __u64 time)
{
	struct socket_state *state = bpf_map_lookup_elem(&sockets, &socket);
	struct data_record *record;
	__u32 skipped;

	direction &= 1;
	if (!state || !state->skipped[direction])
		return 0;
	skipped = state->skipped[direction];
	state->skipped[direction] = 0;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record)
		return count_lost(skipped);
	__builtin_memset(record, 0, sizeof(*record));
	record->kind = RECORD_DATA;
	record->direction = direction;
	record->cause = CAUSE_SKIPPED;
	record->id = state->id;
	record->time = time;
	record->position = state->skipped_to[direction] - skipped;
	record->acknowledged = state->received;
	record->missing = skipped;
	submit(record, sizeof(*record));
	return 0;
}

/* Before a socket ends: what it skipped last. */
static __always_inline void tell_last_skipped(struct socket_state *state, __u64 time)
{
	if (state->skipped[SENT])
		tell_skipped(state->socket, SENT, time);
	if (state->skipped[RECEIVED])
		tell_skipped(state->socket, RECEIVED, time);
}

/* See tell_hidden. */
__noinline int tell_hidden_of(__u64 socket, __u32 direction_and_otherwise, __u32 from, __u32 to, __u64 time)
{
	struct socket_state *state = bpf_map_lookup_elem(&sockets, &socket);
	__u8 otherwise = direction_and_otherwise >> 8;
	struct data_record *record;
	__u32 process;
	__u8 *cause;

	if (!state || !(state->flags & SOCKET_TOLD))
		return 0;
	process = state->owner >> 32;
	cause = bpf_map_lookup_elem(&hidden, &process);
	if (cause)
		otherwise = *cause;
	if (!otherwise)
		return 0;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record)
		return count_lost(to - from);
	__builtin_memset(record, 0, sizeof(*record));
	record->kind = RECORD_DATA;
	record->direction = direction_and_otherwise;
	record->cause = otherwise;
	record->id = state->id;
	record->time = time;
	record->position = from;
	record->acknowledged = state->received;
	record->missing = to - from;
	submit(record, sizeof(*record));
	return 0;
}

/*
 * Tells of bytes between two positions that no call was seen to move, as the counters say they
 * were: by `otherwise`, unless the owner is known to move them by other means. 0: by nothing known.
 */
static __always_inline void tell_hidden(struct socket_state *state, enum direction direction, __u32 from, __u32 to,
					__u64 time, __u8 otherwise)
{
	if ((__s32)(to - from) > 0)
		tell_hidden_of(state->socket, direction | (__u32)otherwise << 8, from, to, time);
}

/* Says once that the process that runs is out of sight. */
__noinline int tell_blind(__u32 why, __u64 time)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	__u64 key = (__u64)BPF_CORE_READ(task, tgid) << 32 | why;
	struct blind_record *record;
	__u8 one = 1;

	if (bpf_map_lookup_elem(&blinded, &key))
		return 0;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record)
		return 0;
	bpf_map_update_elem(&blinded, &key, &one, BPF_ANY);
	record->kind = RECORD_BLIND;
	record->why = why;
	record->unused = 0;
	record->process = pid_namespace ? process_in_namespace(task) : (__u32)BPF_CORE_READ(task, tgid);
	record->time = time;
	BPF_CORE_READ_INTO(&record->command, task, group_leader, comm);
	submit(record, sizeof(*record));
	return 0;
}

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
