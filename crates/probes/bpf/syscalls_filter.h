/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which processes and sockets are wanted; asked before anything is read or copied. */
#ifndef L7TRACE_SYSCALLS_FILTER_H
#define L7TRACE_SYSCALLS_FILTER_H

#include "syscalls_kernel.h"

/*
 * LOAD(pointer, member, …) follows pointers. Programs of the tracing type hold typed pointers that
 * the verifier lets them follow with plain loads; others must ask a helper for each.
 */
#ifdef TYPED_POINTERS
#define LOAD(...) ___arrow(__VA_ARGS__)
#define CURRENT() bpf_get_current_task_btf()
#define TCP_OF(sk) bpf_skc_to_tcp_sock(sk)
#define UNIX_OF(sk) bpf_skc_to_unix_sock(sk)
#else
#define LOAD(...) BPF_CORE_READ(__VA_ARGS__)
#define CURRENT() ((struct task_struct *)bpf_get_current_task())
#define TCP_OF(sk) ((struct tcp_sock *)(sk))
#define UNIX_OF(sk) ((struct unix_sock *)(sk))
#endif

/* Set by the loader. What is 0 is not asked for, and the verifier drops its code. */
const volatile __u32 tracer = 0;            /* the tracer's own process id, never traced */
const volatile __u32 pid_namespace = 0;     /* the tracer's, by inode number, where it is not the first one */
const volatile __u32 network_namespaces = 0; /* how many stand in wanted_namespaces; as the next */
const volatile __u32 pids = 0;
const volatile __u32 commands = 0;
const volatile __u32 cgroups = 0;
const volatile __u32 ports = 0;
const volatile __u32 each_end = 0; /* whether what the sending end told is told by the receiving one as well */
const volatile __u32 follow = 0; /* whether children of wanted processes are wanted */

#define FILTER(NAME, KEY, ENTRIES)                   \
	struct {                                     \
		__uint(type, BPF_MAP_TYPE_HASH);     \
		__uint(max_entries, ENTRIES);        \
		__type(key, KEY);                    \
		__type(value, __u8);                 \
	} NAME SEC(".maps")

struct command {
	char name[16];
};

FILTER(wanted_pids, __u32, 65536);
FILTER(wanted_commands, struct command, 64);
FILTER(wanted_cgroups, __u64, 64);
FILTER(wanted_namespaces, __u32, 64);
FILTER(wanted_ports, __u16, 1024);

/* What was found of a cgroup: whether it is a wanted one or below one. A cgroup never moves. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u8);
} known_cgroups SEC(".maps");

#ifdef TYPED_POINTERS
#define OF_CURRENT(MEMBER) bpf_get_current_task_btf()->MEMBER
#else
/*
 * The task that runs, where the kernel gives it as a pointer that programs of every kind may follow
 * with plain loads (since 5.11). The verifier drops what a kernel without it cannot run.
 */
#define HAS_TYPED_CURRENT bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf)
#define OF_CURRENT(MEMBER)                                                                            \
	(HAS_TYPED_CURRENT ? bpf_get_current_task_btf()->MEMBER : BPF_CORE_READ(CURRENT(), MEMBER))
#endif

#define CGROUP_DEPTH 24
#define PID_NAMESPACE_DEPTH 8

/* The process id as a PID namespace that is not the first one has it; 0 where it has none there. */
static __always_inline __u32 process_in_namespace(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < PID_NAMESPACE_DEPTH; i++) {
		struct {
			int number;
			struct pid_namespace *namespace;
		} entry;
		struct pid_namespace *namespace;
		void *place = (void *)pid + bpf_core_field_offset(pid->numbers) + i * sizeof(entry);

		if (i > level || bpf_probe_read_kernel(&entry, sizeof(entry), place))
			break;
		namespace = entry.namespace;
		if (BPF_CORE_READ(namespace, ns.inum) == pid_namespace)
			return entry.number;
	}
	return 0;
}

/* The process id as the tracer's PID namespace has it; 0 where it has none there. */
static __always_inline __u32 process_of(struct task_struct *task)
{
	return pid_namespace ? process_in_namespace(task) : (__u32)LOAD(task, tgid);
}

/* Walks up from a cgroup to the root, looking for a wanted one. */
static __always_inline bool below_wanted_cgroup(struct cgroup *cgroup)
{
	__u64 own = BPF_CORE_READ(cgroup, kn, id);
	__u8 *known = bpf_map_lookup_elem(&known_cgroups, &own);
	__u8 found = 0;

	if (known)
		return *known;
#pragma clang loop unroll(disable)
	for (int i = 0; i < CGROUP_DEPTH; i++) {
		__u64 id = BPF_CORE_READ(cgroup, kn, id);

		if (bpf_map_lookup_elem(&wanted_cgroups, &id)) {
			found = 1;
			break;
		}
		/* `self` is the first member of a cgroup, so its parent's is its parent. */
		cgroup = (struct cgroup *)BPF_CORE_READ(cgroup, self.parent);
		if (!cgroup)
			break;
	}
	bpf_map_update_elem(&known_cgroups, &own, &found, BPF_ANY);
	return found;
}

/* Whether anything is asked of the process: then a socket alone cannot be said to be wanted. */
static __always_inline bool asks_for_processes(void)
{
	return pids || commands || cgroups;
}

/* Whether the process that `task` belongs to, and whose id is `process`, is wanted. */
static __always_inline bool is_wanted(struct task_struct *task, __u32 process)
{
	if (process == tracer || (pid_namespace && !process))
		return false;
	if (pids && !bpf_map_lookup_elem(&wanted_pids, &process))
		return false;
	if (commands) {
		struct command command = {};

		/* Up to its zero: what an earlier, longer name left stands behind it in older kernels. */
		BPF_CORE_READ_STR_INTO(&command.name, task, group_leader, comm);
		if (!bpf_map_lookup_elem(&wanted_commands, &command))
			return false;
	}
	if (cgroups && !below_wanted_cgroup(BPF_CORE_READ(task, cgroups, dfl_cgrp)))
		return false;
	return true;
}

static __always_inline bool wanted_process(struct task_struct *task)
{
	return is_wanted(task, process_of(task));
}

/* Whether the process that runs is wanted. */
static __always_inline bool wanted_current(void)
{
	struct task_struct *task = CURRENT();

	return is_wanted(task, pid_namespace ? process_in_namespace(task) : (__u32)OF_CURRENT(tgid));
}

/* Whether a socket's network namespace and ports are wanted. */
static __always_inline bool wanted_socket(struct sock *sk)
{
	if (network_namespaces) {
		__u32 namespace = LOAD(sk, __sk_common.skc_net.net, ns.inum);

		if (!bpf_map_lookup_elem(&wanted_namespaces, &namespace))
			return false;
	}
	if (ports) {
		__u16 local = LOAD(sk, __sk_common.skc_num);
		__u16 remote = bpf_ntohs(LOAD(sk, __sk_common.skc_dport));

		if (LOAD(sk, __sk_common.skc_family) == AF_UNIX)
			return false;
		if (!bpf_map_lookup_elem(&wanted_ports, &local) && !bpf_map_lookup_elem(&wanted_ports, &remote))
			return false;
	}
	return true;
}

#endif
