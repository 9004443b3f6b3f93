/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What owners.bpf.c hands up; mirrored by crates/probes/src/owners.rs. */
#ifndef L7TRACE_OWNERS_H
#define L7TRACE_OWNERS_H

#include "kernel.h"

/* A process. */
struct owner {
	__u64 started; /* since boot, nanoseconds */
	__u64 cgroup;
	__u32 process; /* its id, in the tracer's namespace */
	__u32 unused;
	char command[16];
};

/* It holds the local end of this connection. */
struct owner_record {
	struct owner owner;
	__u16 family;
	__u16 local_port; /* in the machine's order, as the next */
	__u16 remote_port;
	__u16 unused;
	__u8 local[16]; /* an IPv4 address takes the first four bytes */
	__u8 remote[16];
};

_Static_assert(sizeof(struct owner) == 40, "");
_Static_assert(sizeof(struct owner_record) == 80, "");
_Static_assert(__builtin_offsetof(struct owner_record, family) == 40, "");
_Static_assert(__builtin_offsetof(struct owner_record, local) == 48, "");
_Static_assert(__builtin_offsetof(struct owner_record, remote) == 64, "");

#endif
