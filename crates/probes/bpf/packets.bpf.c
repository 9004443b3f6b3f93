// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A filter on a packet socket that hands TCP packets up through the ring and keeps nothing on the
 * socket. The socket is of type SOCK_DGRAM: the kernel then shows every packet, of whatever device
 * and in either direction, from behind its link-layer header.
 *
 * Needs Linux 5.8 (ring buffer) and no BTF of the kernel: it reads its context and helpers alone.
 */
#include "kernel.h"
#include "limits.h"
#include "packets.h"
#include "ring.h"
#include "ways.h"
#include <bpf/bpf_endian.h>

#define ETH_P_IP 0x0800
#define ETH_P_8021Q 0x8100
#define ETH_P_8021AD 0x88a8
#define ETH_P_IPV6 0x86dd

#define PACKET_OUTGOING 4
#define LOOPBACK_IFINDEX 1 /* include/linux/netdevice.h: in every network namespace */

#define PROTOCOL_HOP_BY_HOP 0
#define PROTOCOL_TCP 6
#define PROTOCOL_ROUTING 43
#define PROTOCOL_FRAGMENT 44
#define PROTOCOL_AUTHENTICATION 51
#define PROTOCOL_DESTINATION 60
#define PROTOCOL_MOBILITY 135

#define IPV4_FRAGMENT_OFFSET 0x1fff
#define TCP_FIN 1
#define TCP_PSH 8

/* The longest record: more than the 65,535 bytes that an IP header can name. */
#define RECORD_BYTES 65536
/* Of a longer packet, payload for each part and how many parts there are at most: 17 × 32 KB is
 * beyond 524,280, the largest packet that Linux builds (GSO_MAX_SIZE). */
#define PART_BYTES 32768
#define PARTS 17
/* Headers of such a packet; a power of two, as they are bounded by a mask. */
#define PART_HEADERS 256

/* Whether only the ports set in `ports` are wanted. */
const volatile __u8 only_ports = 0;
/* One bit a port. */
const volatile __u64 ports[1024] = {};

/* Where a packet's parts are, from the start of the data. */
struct place {
	__u32 network;   /* the IP header */
	__u32 transport; /* the TCP header, or what a later fragment carries */
	__u32 length;    /* from the IP header on, as it says itself; else as there is */
	bool fragment;   /* a later fragment: no TCP header */
	bool v6;
};

/*
 * Finds the IP header behind VLAN tags that stand in the data; -1 if there is none. The kernel moves
 * the outermost tag into the skb's metadata on most ways, and on some the data begins with the next
 * (its last two bytes name what follows); on others `protocol` still names a tag and the data begins
 * with IP. What is inside the tag decides, since an IPv4 header whose length field reads like an
 * Ethernet type is rare and would need a second IP header four bytes on.
 */
__noinline int behind_tags(struct __sk_buff *skb)
{
	__be16 protocol = skb->protocol;
	__u32 offset = 0;

	for (int depth = 0; depth < 4; depth++) {
		__u8 head[8];
		__be16 inner;

		if (protocol != bpf_htons(ETH_P_8021Q) && protocol != bpf_htons(ETH_P_8021AD))
			return -1;
		if (bpf_skb_load_bytes(skb, offset, head, sizeof(head)))
			return -1;
		inner = *(__be16 *)(head + 2);
		if ((inner == bpf_htons(ETH_P_IP) && head[4] >> 4 == 4) ||
		    (inner == bpf_htons(ETH_P_IPV6) && head[4] >> 4 == 6))
			return offset + 4;
		if (inner != bpf_htons(ETH_P_8021Q) && inner != bpf_htons(ETH_P_8021AD))
			return head[0] >> 4 == 4 || head[0] >> 4 == 6 ? offset : -1;
		protocol = inner;
		offset += 4;
	}
	return -1;
}

/* Reads an IPv4 header; 0 if TCP follows. */
static __always_inline int read_ipv4(struct __sk_buff *skb, const __u8 *head, struct place *at)
{
	__u32 total = bpf_ntohs(*(__be16 *)(head + 2));

	if (head[9] != PROTOCOL_TCP)
		return -1;
	at->transport = at->network + (head[0] & 15) * 4;
	at->fragment = (bpf_ntohs(*(__be16 *)(head + 6)) & IPV4_FRAGMENT_OFFSET) != 0;
	at->length = skb->len - at->network;
	/* Behind it there may be link-layer padding. It is 0 in a packet too long for the field. */
	if (total >= 20 && total < at->length)
		at->length = total;
	at->v6 = false;
	return 0;
}

#define LATER_FRAGMENT (1 << 16)

/*
 * Where TCP begins behind an IPv6 header, from that header on: behind any extension headers. With
 * LATER_FRAGMENT where it is a part of a packet that is TCP, or may be. -1 if it is not.
 */
__noinline int behind_extensions(struct __sk_buff *skb, __u32 network, __u32 next)
{
	__u32 offset = 40;

	for (int i = 0; i < 8; i++) {
		__u8 extension[4];

		if (next == PROTOCOL_TCP)
			return offset;
		if (next != PROTOCOL_HOP_BY_HOP && next != PROTOCOL_ROUTING && next != PROTOCOL_FRAGMENT &&
		    next != PROTOCOL_AUTHENTICATION && next != PROTOCOL_DESTINATION && next != PROTOCOL_MOBILITY)
			return -1;
		if (bpf_skb_load_bytes(skb, network + offset, extension, sizeof(extension)))
			return -1;
		if (next == PROTOCOL_FRAGMENT) {
			offset += 8;
			/* Only the first fragment tells what follows further extension headers. */
			if (bpf_ntohs(*(__be16 *)(extension + 2)) & 0xfff8)
				return extension[0] == PROTOCOL_TCP || extension[0] == PROTOCOL_DESTINATION ?
					       (int)(offset | LATER_FRAGMENT) : -1;
		} else if (next == PROTOCOL_AUTHENTICATION) {
			offset += (extension[1] + 2) * 4;
		} else {
			offset += (extension[1] + 1) * 8;
		}
		next = extension[0];
	}
	return -1;
}

/* Reads an IPv6 header and those behind it; 0 if TCP follows, or may (later fragments). */
static __always_inline int read_ipv6(struct __sk_buff *skb, const __u8 *head, struct place *at)
{
	__u32 payload = bpf_ntohs(*(__be16 *)(head + 4));
	int transport = 40;

	if (head[6] != PROTOCOL_TCP)
		transport = behind_extensions(skb, at->network, head[6]);
	if (transport < 0)
		return -1;
	at->v6 = true;
	at->fragment = (transport & LATER_FRAGMENT) != 0;
	at->transport = at->network + (transport & 0xffff);
	at->length = skb->len - at->network;
	if (payload && payload + 40 < at->length)
		at->length = payload + 40;
	return 0;
}

static __always_inline bool wanted_port(__u16 port)
{
	return ports[port >> 6] >> (port & 63) & 1;
}

/* Whether either port is one that was asked for. Later fragments name none and are let through. */
static __always_inline bool wanted(struct __sk_buff *skb, const struct place *at)
{
	__be16 pair[2];

	if (!only_ports || at->fragment)
		return true;
	if (bpf_skb_load_bytes(skb, at->transport, pair, sizeof(pair)))
		return false;
	return wanted_port(bpf_ntohs(pair[0])) || wanted_port(bpf_ntohs(pair[1]));
}

/* The length of all headers up to the payload, from the network header on. */
static __always_inline __u32 headers_length(struct __sk_buff *skb, const struct place *at)
{
	__u32 length = at->transport - at->network;
	__u8 offset;

	if (!at->fragment && !bpf_skb_load_bytes(skb, at->transport + 12, &offset, 1))
		length += (offset >> 4) * 4;
	return length;
}

/* Counts a record without room by the payload that it would have carried. */
static __always_inline void lose(struct __sk_buff *skb, const struct place *at)
{
	__u32 headers = headers_length(skb, at);

	count_lost(at->length > headers ? at->length - headers : 0);
}

/*
 * `length` as a helper wants it: in 64 bits and within [1, limit] for every verifier since 5.8, none
 * of which but the newest learns from a comparison with 0. The empty asm keeps the compiler from
 * using what it knows of `length` itself in place of what was compared. 0 where it is out of bounds.
 */
static __always_inline __u64 bounded(__u32 length, const __u32 limit)
{
	__u64 last = (__u64)length - 1;

	asm volatile("" : "+r"(last));
	return last > limit - 1 ? 0 : last + 1;
}

static __always_inline void describe(struct __sk_buff *skb, struct packet_record *record, __u32 length, __u8 flags)
{
	record->time = bpf_ktime_get_ns();
	record->interface = skb->ifindex;
	record->length = length;
	record->captured = length;
	record->type = skb->pkt_type;
	record->flags = flags;
	record->unused = 0;
}

/* What is known of the headers of a packet that is handed up in parts, as one number. */
#define PART_FACTS(network, transport, headers, v6) \
	((__u64)(network) | (__u64)(transport) << 16 | (__u64)(headers) << 32 | (__u64)(v6) << 48)

/*
 * Hands up one part of a packet too long for one record: its headers, then `count` bytes of payload
 * from `done` on, of `left` that there are. Lengths, sequence number and flags become the part's own;
 * checksums stay what they were.
 */
__noinline int hand_up_part(struct __sk_buff *skb, __u64 facts, __u32 done, __u32 left)
{
	__u32 network = facts & 0xffff;
	__u32 transport = facts >> 16 & (PART_HEADERS - 1);
	__u32 headers = facts >> 32 & 0xffff;
	__u32 count = left < PART_BYTES ? left : PART_BYTES;
	__u64 own = bounded(headers, PART_HEADERS);
	__u64 payload = bounded(count, PART_BYTES);
	struct packet_record *record;
	__be32 *sequence;

	if (!own || !payload)
		return 0;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record) + PART_HEADERS + PART_BYTES, 0);
	if (!record) {
		count_lost(count);
		return 0;
	}
	if (bpf_skb_load_bytes(skb, network, record->bytes, own) ||
	    bpf_skb_load_bytes(skb, network + headers + done, record->bytes + own, payload)) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return 0;
	}
	if (facts >> 48) {
		*(__be16 *)(record->bytes + 4) = bpf_htons(headers + count - 40);
		/* A jumbo payload option would contradict it: pad in its place. */
		if (record->bytes[6] == PROTOCOL_HOP_BY_HOP && record->bytes[42] == 0xc2) {
			record->bytes[42] = 1;
			*(__u32 *)(record->bytes + 44) = 0;
		}
	} else {
		*(__be16 *)(record->bytes + 2) = bpf_htons(headers + count);
	}
	/* Headers have lengths of whole words. */
	sequence = (__be32 *)(record->bytes + (transport & ~3u) + 4);
	*sequence = bpf_htonl(bpf_ntohl(*sequence) + done);
	if (left > count)
		record->bytes[transport + 13] &= ~(TCP_FIN | TCP_PSH);
	describe(skb, record, headers + count, PACKET_PART);
	submit(record, sizeof(*record) + PART_HEADERS + PART_BYTES + 8);
	return 0;
}

/* Hands up a packet longer than a record: BIG TCP. */
__noinline int hand_up_in_parts(struct __sk_buff *skb, __u32 network, __u32 transport, __u32 length, __u32 v6)
{
	struct place at = { .network = network, .transport = transport, .length = length };
	__u32 headers = headers_length(skb, &at);
	__u64 facts = PART_FACTS(network & 0xffff, (transport - network) & 0xffff, headers & 0xffff, v6 & 1);

	if (headers >= PART_HEADERS || headers >= length) {
		count_lost(length);
		return 0;
	}
	for (__u32 i = 0; i < PARTS; i++) {
		__u32 done = i * PART_BYTES;

		if (headers + done >= length)
			break;
		hand_up_part(skb, facts, done, length - headers - done);
	}
	return 0;
}

/*
 * Large packets are likely parts of a body that nobody needs, and user space can say so only when it
 * has seen where it begins: the reader is woken early, but not more often than this.
 */
#define WAKE_EVERY 1000000
#define LARGE 8160

static volatile __u64 woken;

/* Hands up a packet in a record of `capacity`, a constant, as a reserve's size must be; whether there
 * was room. */
static __always_inline bool hand_up(struct __sk_buff *skb, __u32 network, __u32 whole, const __u32 capacity)
{
	struct packet_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record) + capacity, 0);
	__u64 length = bounded(whole, capacity);

	if (!record)
		return false;
	if (!length || bpf_skb_load_bytes(skb, network, record->bytes, length)) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return true;
	}
	describe(skb, record, length, 0);
	if (capacity > LARGE && record->time - woken > WAKE_EVERY) {
		woken = record->time;
		bpf_ringbuf_submit(record, BPF_RB_FORCE_WAKEUP);
	} else {
		submit(record, sizeof(*record) + capacity + 8);
	}
	return true;
}

/* From so many bytes on it is worth asking whether they are needed. */
#define ASK_FROM 1500
/* The longest headers of IP and TCP that are looked at then. */
#define ASK_HEADERS 160

/*
 * Hands up the headers of a packet whose payload nobody needs; 0 where somebody may, and nothing was
 * handed up.
 */
__noinline int hand_up_headers(struct __sk_buff *skb, __u32 network, __u32 transport, __u32 length, __u32 v6)
{
	struct place at = { .network = network, .transport = transport };
	__u64 source[2] = { 0, bpf_htonl(0xffff) };
	__u64 destination[2] = { 0, bpf_htonl(0xffff) };
	__be32 inner[2] = {};
	struct packet_record *record;
	const struct limit *limit;
	__u64 way, headers;
	__be32 sequence;
	__be16 port[2];

	if (v6) {
		if (bpf_skb_load_bytes(skb, network + 8, source, 16) || bpf_skb_load_bytes(skb, network + 24, destination, 16))
			return 0;
		inner[0] = source[1] >> 32;
		inner[1] = destination[1] >> 32;
	} else if (bpf_skb_load_bytes(skb, network + 12, inner, sizeof(inner))) {
		return 0;
	}
	if (bpf_skb_load_bytes(skb, transport, port, sizeof(port)) ||
	    bpf_skb_load_bytes(skb, transport + 4, &sequence, sizeof(sequence)))
		return 0;
	way = name_of_way(name_of_end(source, inner[0], bpf_ntohs(port[0])),
			  name_of_end(destination, inner[1], bpf_ntohs(port[1])), 0);
	limit = limit_of(way, way >> 32);
	headers = bounded(headers_length(skb, &at), ASK_HEADERS);
	if (!limit || !headers || headers >= length || !is_unwanted(limit, 0, bpf_ntohl(sequence) + length - headers))
		return 0;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record) + ASK_HEADERS, 0);
	if (!record) {
		count_lost(length - headers);
		return 1;
	}
	if (bpf_skb_load_bytes(skb, network, record->bytes, headers)) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return 0;
	}
	describe(skb, record, headers, PACKET_SKIPPED);
	record->length = length;
	submit(record, sizeof(*record) + ASK_HEADERS + 8);
	return 1;
}

/* With its header of 24 bytes and the ring's own 8, a record takes a power of two or half of one. */
__noinline int hand_up_whole(struct __sk_buff *skb, __u32 network, __u32 length)
{
	if (length <= 96)
		return hand_up(skb, network, length, 96);
	if (length <= 224)
		return hand_up(skb, network, length, 224);
	if (length <= 480)
		return hand_up(skb, network, length, 480);
	if (length <= 992)
		return hand_up(skb, network, length, 992);
	if (length <= 1504)
		return hand_up(skb, network, length, 1504);
	if (length <= 2016)
		return hand_up(skb, network, length, 2016);
	if (length <= 4064)
		return hand_up(skb, network, length, 4064);
	if (length <= 8160)
		return hand_up(skb, network, length, 8160);
	if (length <= 16352)
		return hand_up(skb, network, length, 16352);
	if (length <= 32736)
		return hand_up(skb, network, length, 32736);
	return hand_up(skb, network, length, RECORD_BYTES);
}

SEC("socket")
int packets(struct __sk_buff *skb)
{
	struct place at = {};
	__be16 protocol = skb->protocol;
	__u8 head[20];
	int missing;

	/* What leaves by loopback comes in by it. Its socket does not even ask for it, another may. */
	if (skb->ifindex == LOOPBACK_IFINDEX && skb->pkt_type == PACKET_OUTGOING)
		return 0;
	if (protocol != bpf_htons(ETH_P_IP) && protocol != bpf_htons(ETH_P_IPV6)) {
		int offset = behind_tags(skb);

		if (offset < 0)
			return 0;
		at.network = offset;
	}
	if (bpf_skb_load_bytes(skb, at.network, head, sizeof(head)))
		return 0;
	if (head[0] >> 4 == 4)
		missing = read_ipv4(skb, head, &at);
	else if (head[0] >> 4 == 6)
		missing = read_ipv6(skb, head, &at);
	else
		return 0;
	if (missing || !wanted(skb, &at))
		return 0;

	if (at.length >= ASK_FROM && !at.fragment && hand_up_headers(skb, at.network, at.transport, at.length, at.v6))
		return 0;
	if (at.length > RECORD_BYTES)
		return at.fragment ? 0 : hand_up_in_parts(skb, at.network, at.transport, at.length, at.v6);
	if (!hand_up_whole(skb, at.network, at.length))
		lose(skb, &at);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
