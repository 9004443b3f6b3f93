/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is told of a socket beside its bytes. */
#ifndef L7TRACE_SYSCALLS_TELL_H
#define L7TRACE_SYSCALLS_TELL_H

#include "ring.h"
#include "syscalls.h"
#include "syscalls_state.h"

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

#endif
