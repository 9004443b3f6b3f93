/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bytes from a caller's buffers into the ring. */
#ifndef L7TRACE_SYSCALLS_COPY_H
#define L7TRACE_SYSCALLS_COPY_H

#include "ring.h"
#include "syscalls.h"
#include "syscalls_call.h"

/* The most that one record carries. */
#define RECORD_BYTES 16384
/* What a record takes beside its bytes: its header, and the ring's own. */
#define COPY_HEAD (sizeof(struct data_record) + 8)
/* Pieces shorter than this are gathered into one record. */
#define GATHER_BELOW 2048
/* The pieces of one call are walked over in so many steps at most. */
#define STEPS 1920
/* A call of so many buffers at most, and so many bytes, is copied without a walk. */
#define FEW 6
#define FEW_BYTES 4096

/* How much of a call is copied at most. */
const volatile __u32 copy_limit = 1 << 20;

/* A call that moved bytes, and a walk over its buffers where there are many: too long for the stack. */
struct walk {
	struct call call;
	struct buffers buffers;
	struct buffers few;
	__u64 messages; /* of a call of several: where the next one is, */
	__u32 count;    /* and how many are left */
	__u32 left; /* moved by the call, or the message, and not yet accounted for */
	__u32 room; /* how much more may be copied */
	__u32 incomplete; /* whether something of the call is not in the ring */
	__u32 gathered; /* how many bytes stand in `bytes` */
	struct data_record next; /* what the next record begins with */
	struct data_record gather;
	__u8 bytes[RECORD_BYTES + GATHER_BELOW]; /* follows `gather`, as its bytes */
};
_Static_assert(__builtin_offsetof(struct walk, bytes) == __builtin_offsetof(struct walk, gather) + sizeof(struct data_record), "");
_Static_assert(RECORD_BYTES + GATHER_BELOW >= 2 * FEW_BYTES, "");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct walk);
} walks SEC(".maps");

static __always_inline struct walk *own_walk(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&walks, &zero);
}

/*
 * `length` as a helper wants it: in 64 bits and within [1, limit] for every verifier. The empty asm
 * keeps the compiler from using what it knows of `length` itself in place of what was compared. 0
 * where it is out of bounds.
 */
static __always_inline __u64 bounded(__u32 length, const __u32 limit)
{
	__u64 last = (__u64)length - 1;

	asm volatile("" : "+r"(last));
	return last > limit - 1 ? 0 : last + 1;
}

/* Says that bytes were moved that are not in the ring. */
static __always_inline void tell_missing(const struct data_record *header, __u32 length, __u8 cause)
{
	struct data_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record) {
		count_lost(length);
		return;
	}
	__builtin_memcpy(record, header, sizeof(*record));
	record->length = 0;
	record->missing = length;
	record->cause = cause;
	submit(record, sizeof(*record));
}

/* Copies into a record with room for `capacity` bytes, a constant, as a reserve's size must be. */
static __always_inline int copy_into(struct walk *walk, __u64 base, __u32 length, const __u32 capacity)
{
	struct data_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record) + capacity, 0);
	__u64 size = bounded(length, capacity);

	if (!record) {
		count_lost(length);
		walk->incomplete = 1;
		return 0;
	}
	__builtin_memcpy(record, &walk->next, sizeof(*record));
	record->length = length;
	if (!size || bpf_probe_read_user(record + 1, size, (void *)base)) {
		record->length = 0;
		record->missing = length;
		record->cause = CAUSE_UNREADABLE;
		walk->incomplete = 1;
	}
	submit(record, sizeof(*record) + capacity);
	return 0;
}

/*
 * Copies 1 to RECORD_BYTES bytes at `base` into a record that begins with what stands in `next`. With
 * its header and the ring's own 8 bytes, a record takes a power of two, as far as that is worth it.
 */
__noinline int copy(__u64 base, __u32 length)
{
	struct walk *walk = own_walk();

	if (!walk)
		return 0;
	if (length <= 128 - COPY_HEAD)
		return copy_into(walk, base, length, 128 - COPY_HEAD);
	if (length <= 256 - COPY_HEAD)
		return copy_into(walk, base, length, 256 - COPY_HEAD);
	if (length <= 512 - COPY_HEAD)
		return copy_into(walk, base, length, 512 - COPY_HEAD);
	if (length <= 1024)
		return copy_into(walk, base, length, 1024);
	if (length <= 2048)
		return copy_into(walk, base, length, 2048);
	if (length <= 4096)
		return copy_into(walk, base, length, 4096);
	if (length <= 8192)
		return copy_into(walk, base, length, 8192);
	return copy_into(walk, base, length, RECORD_BYTES);
}

/* Puts a record that stands whole in `gather` into the ring. */
static __always_inline void output(struct walk *walk, __u32 length)
{
	__u64 size = length + COPY_HEAD;
	__u64 flags = wake_flags(bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) + size, size);

	walk->gather.length = length;
	asm volatile("" : "+r"(length));
	length &= RECORD_BYTES - 1;
	if (bpf_ringbuf_output(&ring, &walk->gather, sizeof(struct data_record) + length, flags)) {
		count_lost(length);
		walk->incomplete = 1;
	}
}

/*
 * Copies what the first of the few buffers has of `moved` bytes to `bytes` at `at`, and goes to the
 * next; gives the place behind it, or one beyond all that was moved where it cannot be read.
 */
__noinline int copy_one_of_few(__u32 at, __u32 moved)
{
	struct walk *walk = own_walk();
	__u32 length = moved - at;
	__u64 place = at;
	__u64 size;

	if (!walk || at >= FEW_BYTES)
		return moved + 1;
	if (length > walk->few.length)
		length = walk->few.length;
	size = bounded(length, FEW_BYTES);
	asm volatile("" : "+r"(place));
	if (size && place < FEW_BYTES && bpf_probe_read_user(&walk->bytes[place], size, (void *)walk->few.base))
		return moved + 1;
	if (at + length < moved && !next_buffer(&walk->few))
		return moved + 1;
	return at + length;
}

/*
 * Copies the `moved` bytes of a few buffers into one record; 0 where that cannot be, and nothing was
 * told of them.
 */
__noinline int copy_few(__u32 moved)
{
	struct walk *walk = own_walk();
	__u32 at = 0;

	if (!walk || moved > FEW_BYTES)
		return 0;
	walk->few = walk->buffers;
#pragma clang loop unroll(disable)
	for (int i = 0; i < FEW; i++) {
		at = copy_one_of_few(at, moved);
		if (at > moved)
			return 0;
		if (at == moved)
			break;
	}
	if (at != moved)
		return 0;
	walk->gather = walk->next;
	output(walk, moved);
	return 1;
}

/* Hands up what was gathered. */
static __always_inline void flush(struct walk *walk)
{
	__u32 length = walk->gathered;

	if (!length)
		return;
	walk->gathered = 0;
	output(walk, length);
}

/* Says of bytes of a walk that they are not in the ring. */
static __always_inline void give_up(struct walk *walk, __u32 length, __u8 cause)
{
	flush(walk);
	tell_missing(&walk->next, length, cause);
	walk->incomplete = 1;
}

/* Adds a short piece to what is gathered; what cannot be read is said to be missing. */
static __always_inline void gather(struct walk *walk, __u32 length)
{
	__u32 at = walk->gathered;

	if (at + length >= RECORD_BYTES) {
		flush(walk);
		at = 0;
	}
	if (!at)
		walk->gather = walk->next;
	at &= RECORD_BYTES - 1;
	asm volatile("" : "+r"(length));
	length &= GATHER_BELOW - 1;
	if (bpf_probe_read_user(&walk->bytes[at], length, (void *)walk->buffers.base)) {
		give_up(walk, length, CAUSE_UNREADABLE);
		return;
	}
	walk->gathered = at + length;
}

/* Goes to the next message of a call of several. */
static __always_inline int next_message(struct walk *walk)
{
	__u32 length = 0;

	if (!walk->count) {
		flush(walk);
		return 0;
	}
	walk->count -= 1;
	walk->buffers.length = 0;
	walk->buffers.entries = 0;
	bpf_probe_read_user(&length, sizeof(length), (void *)(walk->messages + sizeof(struct message)));
	buffers_of_message(walk->messages, &walk->buffers);
	walk->messages += sizeof(struct message_with_length);
	walk->left = length;
	return 1;
}

/* Takes one piece of the walk; 0 where it is over, and all of it told of. */
__noinline int step(void)
{
	struct walk *walk = own_walk();
	__u32 length;

	if (!walk)
		return 0;
	length = walk->left;
	if (!length)
		return next_message(walk);
	if (!walk->buffers.length && !next_buffer(&walk->buffers)) {
		give_up(walk, length, CAUSE_UNREADABLE);
		walk->left = 0;
		return 0;
	}
	if (!walk->room) {
		give_up(walk, length, CAUSE_CAPTURE_LIMIT);
		walk->left = 0;
		return 0;
	}
	if (length > walk->buffers.length)
		length = walk->buffers.length;
	if (length > walk->room)
		length = walk->room;
	if (length > RECORD_BYTES)
		length = RECORD_BYTES;
	if (!length)
		return 1; /* an empty buffer */
	if (length < GATHER_BELOW) {
		gather(walk, length);
	} else {
		flush(walk);
		copy(walk->buffers.base, length);
	}
	walk->next.position += length;
	walk->next.heard_length = 0;
	walk->buffers.base += length;
	walk->buffers.length -= length;
	walk->left -= length;
	walk->room -= length;
	return 1;
}

/* Walks over everything that a call moved. */
__noinline int walk_over(void)
{
	struct walk *walk = own_walk();

	if (!walk)
		return 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < STEPS; i++)
		if (!step())
			return 0;
	flush(walk);
	if (walk->left)
		give_up(walk, walk->left, CAUSE_CAPTURE_LIMIT);
	return 0;
}

/* Hands up the `moved` bytes of the walk's buffers. */
static __always_inline void hand_up(struct walk *walk, __u32 moved)
{
	__u32 room = copy_limit;

	if (moved <= room && moved <= walk->buffers.length && moved <= RECORD_BYTES) {
		copy(walk->buffers.base, moved);
		return;
	}
	if (moved <= room && copy_few(moved))
		return;
	walk->count = 0;
	walk->left = moved;
	walk->room = room;
	walk->gathered = 0;
	walk_over();
}

#endif
