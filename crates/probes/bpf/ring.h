/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one way from the kernel to user space: a ring buffer, and beside it the account of what found
 * no room there. The loader sets the sizes of both maps and `wake_at`.
 */
#ifndef L7TRACE_RING_H
#define L7TRACE_RING_H

#include "kernel.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} ring SEC(".maps");

/* What one CPU could not hand up; a cache line each, so that CPUs do not share one. */
struct lost {
	__u64 records;
	__u64 bytes;
	__u64 unused[6];
};
_Static_assert(sizeof(struct lost) == 64, "crates/probes/src/lib.rs mirrors it");

/* One for each possible CPU. An array that user space maps costs no system call to read. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lost);
} lost SEC(".maps");

/*
 * Since Linux 7.0 a program may be preempted. Another thread's call of it on the same processor is
 * then not traced at all, until the first one goes on; and what is kept for each processor would be
 * two programs' at once. There the loader puts the kernel's bpf_preempt_disable and
 * bpf_preempt_enable in the place of these two calls, and nothing elsewhere.
 */
#define CALL_PLACEHOLDER(NUMBER) asm volatile("call %0" : : "i"(NUMBER) : "r0", "r1", "r2", "r3", "r4", "r5", "memory")
#define UNPREEMPTED(WORK)                     \
	do {                                  \
		CALL_PLACEHOLDER(0x7fff0001); \
		WORK;                         \
		CALL_PLACEHOLDER(0x7fff0002); \
	} while (0)

/* How many bytes must wait in the ring before its reader is woken: a quarter of it. */
const volatile __u64 wake_at = 1 << 22;

/*
 * Functions that are not static are verified once, by themselves, and not for every way that leads
 * to them: it makes loading many times faster. They take and give back numbers alone.
 */

/* Counts a record that found no room, and the bytes of payload that it stood for. */
__noinline int count_lost(__u64 bytes)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct lost *mine = bpf_map_lookup_elem(&lost, &cpu);

	/* Adding a known 0 would become an atomic OR, which kernels before 5.12 do not have. */
	asm volatile("" : "+r"(bytes));
	if (mine) {
		__sync_fetch_and_add(&mine->records, 1);
		__sync_fetch_and_add(&mine->bytes, bytes);
	}
	return 0;
}

/* The reader sets it before it sleeps for long, and whoever wakes it takes it away. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} asleep SEC(".maps");

static __always_inline bool takes_sleep_away(void)
{
	__u32 first = 0;
	__u64 *flag = bpf_map_lookup_elem(&asleep, &first);

	if (!flag || !*flag)
		return false;
	*flag = 0;
	return true;
}

/*
 * How a record of `size` bytes is handed up, `waiting` being what waits with it. While there is
 * traffic, the reader looks by a timer of its own; a wake-up costs microseconds and is given by the
 * record that makes the ring a quarter full, and by the first one after a silence.
 */
static __always_inline __u64 wake_flags(__u64 waiting, __u64 size)
{
	bool crossed = waiting >= wake_at && waiting - size < wake_at;

	return crossed || takes_sleep_away() ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

/* Hands a record of `size` bytes up. */
static __always_inline void submit(void *record, __u64 size)
{
	bpf_ringbuf_submit(record, wake_flags(bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA), size));
}

/* Wakes the reader: by an empty record that it never sees. */
static __always_inline void wake_reader(void)
{
	void *record = bpf_ringbuf_reserve(&ring, 8, 0);

	if (record)
		bpf_ringbuf_discard(record, BPF_RB_FORCE_WAKEUP);
}

#endif
