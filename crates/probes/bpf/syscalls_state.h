/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is kept of a socket, and what its kernel structure says. */
#ifndef L7TRACE_SYSCALLS_STATE_H
#define L7TRACE_SYSCALLS_STATE_H

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

#endif
