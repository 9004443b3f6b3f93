/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names for the two ways through a TCP connection; mirrored by crates/probes/src/ways.rs. */
#ifndef L7TRACE_WAYS_H
#define L7TRACE_WAYS_H

#include "kernel.h"
#include <bpf/bpf_endian.h>

static __always_inline __u64 mix(__u64 one, __u64 other)
{
	__u64 mixed = (one ^ other >> 32) * 0x9e3779b97f4a7c15ull + other * 0xc2b2ae3d27d4eb4full;

	mixed ^= mixed >> 31;
	mixed *= 0xd6e8feb86659fd93ull;
	return mixed ^ mixed >> 29;
}

/*
 * A number for one end of a connection, whose port is in host order: the same for IPv4 (`inner`) as
 * for IPv4 within IPv6.
 */
static __always_inline __u64 name_of_end(const __u64 address[2], __be32 inner, __u64 port)
{
	bool mapped = !address[0] && (__u32)address[1] == bpf_htonl(0xffff);

	return mix(mapped ? inner : mix(address[0], address[1]), port);
}

/* A number for what goes from one end to another; never 0. */
static __always_inline __u64 name_of_way(__u64 from, __u64 to, __u64 namespace)
{
	return mix(mix(from, to), namespace) | 1;
}

#endif
