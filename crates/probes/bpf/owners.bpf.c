// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Which process holds an end of a TCP connection, said at the only moments at which the kernel runs
 * it: when it asks for the connection, and when it closes its end. What goes between needs no look.
 *
 * Needs Linux 5.8 and BTF. Nothing here is on the way of the bytes.
 */
#include "syscalls_kernel.h"
#include "owners.h"
#include "ring.h"

/* Set by the loader. */
const volatile __u32 network_namespace = 0; /* only connections in it; 0: in any */
const volatile __u64 pid_namespace_device = 0; /* the tracer's, where it is not the first one */
const volatile __u64 pid_namespace_inode = 0;

/* Who asked for a connection, until it is there and its ports are known. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct owner);
} asking SEC(".maps");

/* include/uapi/linux/bpf.h */
struct bpf_pidns_info {
	__u32 pid;
	__u32 tgid;
};

/* The process that runs; false where the tracer's namespace does not show it. */
static __always_inline bool describe(struct owner *owner)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct bpf_pidns_info ids = {};

	owner->process = bpf_get_current_pid_tgid() >> 32;
	if (pid_namespace_inode) {
		if (bpf_get_ns_current_pid_tgid(pid_namespace_device, pid_namespace_inode, (void *)&ids, sizeof(ids)))
			return false;
		owner->process = ids.tgid;
	}
	owner->unused = 0;
	owner->started = BPF_CORE_READ(task, group_leader, start_boottime);
	owner->cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	BPF_CORE_READ_INTO(&owner->command, task, group_leader, comm);
	return owner->process && !(BPF_CORE_READ(task, flags) & PF_KTHREAD);
}

static __always_inline void tell(struct sock *sk, const struct owner *owner)
{
	struct owner_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record) {
		count_lost(0);
		return;
	}
	record->owner = *owner;
	record->family = sk->__sk_common.skc_family;
	record->local_port = sk->__sk_common.skc_num;
	record->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	record->unused = 0;
	__builtin_memset(record->local, 0, sizeof(record->local) + sizeof(record->remote));
	if (record->family == AF_INET6) {
		BPF_CORE_READ_INTO(&record->local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&record->remote, sk, __sk_common.skc_v6_daddr);
	} else {
		__builtin_memcpy(record->local, (__be32[]){ sk->__sk_common.skc_rcv_saddr }, 4);
		__builtin_memcpy(record->remote, (__be32[]){ sk->__sk_common.skc_daddr }, 4);
	}
	submit(record, sizeof(*record));
}

static __always_inline void state_changed(struct sock *sk, int from, int to)
{
	__u64 key = (__u64)sk;
	struct owner owner, *asked;

	if (sk->sk_protocol != IPPROTO_TCP)
		return;
	if (network_namespace && sk->__sk_common.skc_net.net->ns.inum != network_namespace)
		return;
	if (to == TCP_SYN_SENT) {
		/* Its port is chosen a little later. */
		if (describe(&owner))
			bpf_map_update_elem(&asking, &key, &owner, BPF_ANY);
	} else if (from == TCP_SYN_SENT) {
		asked = bpf_map_lookup_elem(&asking, &key);
		if (!asked)
			return;
		if (to == TCP_ESTABLISHED)
			tell(sk, asked);
		bpf_map_delete_elem(&asking, &key);
	} else if (to == TCP_FIN_WAIT1 || to == TCP_LAST_ACK || to == TCP_LISTEN) {
		/* Only a process that closes, shuts down or listens gets here, and it is the one that runs. */
		if (describe(&owner))
			tell(sk, &owner);
	}
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int from, int to)
{
	UNPREEMPTED(state_changed(sk, from, to));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
