/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What user space says that it has no use for; mirrored by crates/probes/src/limits.rs. */
#ifndef L7TRACE_LIMITS_H
#define L7TRACE_LIMITS_H

#include "kernel.h"

/* What of one direction. */
enum skip {
	SKIP_NOTHING = 0,
	SKIP_UNTIL = 1, /* bytes before a position are not wanted */
	SKIP_ALL = 2,   /* none are that are still to come */
};

/* What is said of one socket, by what it sends and what it receives, or of one way that packets go. */
struct limit {
	__u64 id; /* whose limit it is; another's means none */
	__u32 skip_until[2];
	__u8 skip[2];        /* enum skip */
	__u8 unused[14];
};
_Static_assert(sizeof(struct limit) == 32, "");
_Static_assert(__builtin_offsetof(struct limit, skip_until) == 8, "");
_Static_assert(__builtin_offsetof(struct limit, skip) == 16, "");

/* User space writes into it without a system call. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct limit);
} limits SEC(".maps");

/* The size of `limits`, less one; the loader sets both. */
const volatile __u32 limits_mask = 0;

/* What is said of what has this id, at the place that its hash leads to, if anything. */
static __always_inline const struct limit *limit_of(__u64 id, __u32 hash)
{
	__u32 place = hash & limits_mask;
	const struct limit *limit = bpf_map_lookup_elem(&limits, &place);

	return limit && limit->id == id ? limit : NULL;
}

/* Whether bytes up to `end` are not wanted. */
static __always_inline bool is_unwanted(const struct limit *limit, int direction, __u32 end)
{
	if (!limit || !limit->skip[direction])
		return false;
	return limit->skip[direction] == SKIP_ALL || (__s32)(limit->skip_until[direction] - end) >= 0;
}

#endif
