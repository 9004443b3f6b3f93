/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What packets.bpf.c hands up; mirrored by crates/probes/src/packets.rs. */
#ifndef L7TRACE_PACKETS_H
#define L7TRACE_PACKETS_H

#include "kernel.h"

/* One packet from its network header on, or a part of one. */
struct packet_record {
	__u64 time;      /* CLOCK_MONOTONIC, nanoseconds */
	__u32 interface; /* its index in the network namespace of the socket */
	__u32 length;    /* of the packet from its network header on, without link-layer padding */
	__u32 captured;  /* how much of it follows */
	__u8 type;       /* PACKET_HOST, PACKET_OUTGOING, … of include/uapi/linux/if_packet.h */
	__u8 flags;      /* PACKET_PART */
	__u16 unused;
	__u8 bytes[];
};

/*
 * The record is a part of a packet too long for one: it carries the packet's headers, with lengths,
 * sequence number and flags made its own, so that it reads like a packet cut in time.
 */
#define PACKET_PART 1
/* Of the record only the headers were copied, since nobody needs what is behind them. */
#define PACKET_SKIPPED 2

_Static_assert(sizeof(struct packet_record) == 24, "");
_Static_assert(__builtin_offsetof(struct packet_record, time) == 0, "");
_Static_assert(__builtin_offsetof(struct packet_record, interface) == 8, "");
_Static_assert(__builtin_offsetof(struct packet_record, length) == 12, "");
_Static_assert(__builtin_offsetof(struct packet_record, captured) == 16, "");
_Static_assert(__builtin_offsetof(struct packet_record, type) == 20, "");
_Static_assert(__builtin_offsetof(struct packet_record, flags) == 21, "");
_Static_assert(__builtin_offsetof(struct packet_record, bytes) == 24, "");

#endif
