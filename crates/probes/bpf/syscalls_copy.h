/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bytes from a caller's buffers into the ring. */
#ifndef L7TRACE_SYSCALLS_COPY_H
#define L7TRACE_SYSCALLS_COPY_H

#include "ring.h"
#include "syscalls.h"
#include "syscalls_call.h"

/* The most that one record carries. */
#define RECORD_BYTES 16384
/* Pieces shorter than this are gathered into one record. */
#define GATHER_BELOW 2048
/* How many pieces one run of a program walks over, and how many runs one call gets. */
#define STEPS 64
#define RUNS 30

/* How much of a call is copied at most. */
const volatile __u32 copy_limit = 1 << 20;

/*
 * A record of `size` bytes of payload, a constant as the verifier demands. It wants to see the
 * length clamped to the buffer; the empty assembly keeps the compiler from folding that away on the
 * ground that the length was clamped before.
 */
#define COPY_INTO(SIZE)                                                                   \
	do {                                                                              \
		struct data_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record) + SIZE, 0); \
		__u32 clamped = length;                                                   \
                                                                                          \
		if (!record) {                                                            \
			count_lost(length);                                               \
			return;                                                           \
		}                                                                         \
		__builtin_memcpy(record, header, sizeof(*record));                        \
		asm volatile("" : "+r"(clamped));                                         \
		clamped = ((clamped - 1) & (SIZE - 1)) + 1;                               \
		record->length = clamped;                                                 \
		if (bpf_probe_read_user(record + 1, clamped, (void *)base)) {          \
			record->length = 0;                                               \
			record->missing = length;                                         \
			record->cause = CAUSE_UNREADABLE;                                 \
		}                                                                         \
		submit(record, sizeof(*record) + SIZE);                                   \
	} while (0)

/* Copies 1 to RECORD_BYTES bytes at `base` into a record that begins with `header`. */
static __always_inline void copy(const struct data_record *header, __u64 base, __u32 length)
{
	if (length <= 128)
		COPY_INTO(128);
	else if (length <= 512)
		COPY_INTO(512);
	else if (length <= 2048)
		COPY_INTO(2048);
	else if (length <= 4096)
		COPY_INTO(4096);
	else
		COPY_INTO(RECORD_BYTES);
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

/* A walk over several buffers, too long for the stack and for one run of a program. */
struct walk {
	struct buffers buffers;
	__u64 messages; /* of a call of several: where the next one is, */
	__u32 count;    /* and how many are left */
	__u32 left; /* moved by the call, or the message, and not yet accounted for */
	__u32 room; /* how much more may be copied */
	__u32 limited; /* whether user space set the room, not the option */
	__u32 unused;
	__u32 runs;
	__u32 gathered; /* how many bytes stand in `bytes` */
	struct data_record next; /* what the next record begins with */
	struct data_record gather;
	__u8 bytes[RECORD_BYTES + GATHER_BELOW]; /* follows `gather`, as its bytes */
};
_Static_assert(__builtin_offsetof(struct walk, bytes) == __builtin_offsetof(struct walk, gather) + sizeof(struct data_record), "");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct walk);
} walks SEC(".maps");

/* Hands up what was gathered. */
static __always_inline void flush(struct walk *walk)
{
	__u32 length = walk->gathered;
	__u64 waiting;
	__u64 flags;

	if (!length)
		return;
	walk->gather.length = length;
	walk->gathered = 0;
	asm volatile("" : "+r"(length));
	length &= RECORD_BYTES - 1;
	waiting = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	flags = waiting < wake_at && waiting + length + 48 >= wake_at ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
	if (bpf_ringbuf_output(&ring, &walk->gather, sizeof(struct data_record) + length, flags))
		count_lost(length);
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
		flush(walk);
		tell_missing(&walk->next, length, CAUSE_UNREADABLE);
		return;
	}
	walk->gathered = at + length;
}

/* Why what is beyond the room for a call is not copied: it is nobody's wish, or somebody's. */
static __always_inline __u8 beyond_room(const struct walk *walk)
{
	return walk->limited ? CAUSE_SKIPPED : CAUSE_CAPTURE_LIMIT;
}

/* Goes to the next message of a call of several. */
static __always_inline bool next_message(struct walk *walk)
{
	__u32 length = 0;

	if (!walk->count)
		return false;
	walk->count -= 1;
	walk->buffers.length = 0;
	walk->buffers.entries = 0;
	bpf_probe_read_user(&length, sizeof(length), (void *)(walk->messages + sizeof(struct message)));
	buffers_of_message(walk->messages, &walk->buffers);
	walk->messages += sizeof(struct message_with_length);
	walk->left = length;
	return true;
}

/* Takes one piece of the walk; false where it is over. */
static __always_inline bool step(struct walk *walk)
{
	__u32 length = walk->left;

	if (!length)
		return next_message(walk);
	if (!walk->buffers.length && !next_buffer(&walk->buffers)) {
		flush(walk);
		tell_missing(&walk->next, length, CAUSE_UNREADABLE);
		walk->left = 0;
		return false;
	}
	if (!walk->room) {
		flush(walk);
		tell_missing(&walk->next, length, beyond_room(walk));
		walk->left = 0;
		return false;
	}
	if (length > walk->buffers.length)
		length = walk->buffers.length;
	if (length > walk->room)
		length = walk->room;
	if (length > RECORD_BYTES)
		length = RECORD_BYTES;
	if (!length)
		return true; /* an empty buffer */
	if (length < GATHER_BELOW) {
		gather(walk, length);
	} else {
		flush(walk);
		copy(&walk->next, walk->buffers.base, length);
	}
	walk->next.position += length;
	walk->buffers.base += length;
	walk->buffers.length -= length;
	walk->left -= length;
	walk->room -= length;
	return true;
}

/*
 * Walks on, in a program of its own, as the verifier counts every step; true where the walk is not
 * over when this run's share of it is.
 */
static __always_inline bool walk_on(void)
{
	__u32 zero = 0;
	struct walk *walk = bpf_map_lookup_elem(&walks, &zero);

	if (!walk)
		return false;
#pragma clang loop unroll(disable)
	for (int i = 0; i < STEPS; i++)
		if (!step(walk)) {
			flush(walk);
			return false;
		}
	walk->runs += 1;
	if (walk->runs < RUNS && (walk->left || walk->count))
		return true;
	flush(walk);
	if (walk->left)
		tell_missing(&walk->next, walk->left, CAUSE_CAPTURE_LIMIT);
	return false;
}

/* Hands up `moved` bytes of `buffers`, `room` of them at most; true where walk_on must follow. */
static __always_inline bool hand_up(const struct data_record *header, const struct buffers *buffers, __u32 moved, __u32 room)
{
	__u32 zero = 0;
	struct walk *walk;

	if (moved <= buffers->length && moved <= room && moved <= RECORD_BYTES) {
		copy(header, buffers->base, moved);
		return false;
	}
	walk = bpf_map_lookup_elem(&walks, &zero);
	if (!walk)
		return false;
	walk->buffers = *buffers;
	walk->count = 0;
	walk->left = moved;
	walk->room = room;
	walk->limited = room < copy_limit;
	walk->runs = 0;
	walk->gathered = 0;
	walk->next = *header;
	return true;
}

#endif
