/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the syscalls programs hand up; mirrored by crates/probes/src/syscalls.rs. */
#ifndef L7TRACE_SYSCALLS_H
#define L7TRACE_SYSCALLS_H

#include "kernel.h"

/* The first byte of every record. */
enum record_kind {
	RECORD_DATA = 1,  /* struct data_record */
	RECORD_STATE = 2, /* struct state_record */
	RECORD_FACTS = 3, /* struct facts_record */
	RECORD_NAMES = 4, /* struct names_record */
	RECORD_BLIND = 5, /* struct blind_record */
};

/* Of the socket that a record is about: what it sent, or what it received. */
enum direction {
	SENT = 0,
	RECEIVED = 1,
};

/* Why bytes were moved but not copied; 0 where nothing is missing. */
enum cause {
	CAUSE_CAPTURE_LIMIT = 1,
	CAUSE_UNREADABLE = 2,
	CAUSE_ZERO_COPY = 3,
	CAUSE_IO_URING = 4,
	CAUSE_KERNEL = 5,
	CAUSE_COMPAT = 6,
	CAUSE_SKIPPED = 7,
	CAUSE_ELSEWHERE = 8, /* nothing is missing: the other end's program told of these bytes */
};

/*
 * Bytes that one call moved through one socket, or a part of them; they follow it. With what was
 * sent goes what was noted of what had been received since the last was: where the other end's
 * program told of the bytes, their receiver tells of no more than when it got them.
 */
struct data_record {
	__u8 kind;
	__u8 direction; /* enum direction */
	__u8 cause;     /* enum cause, of what is missing */
	__u8 unused;
	__u32 length;   /* of what follows */
	__u64 id;       /* of the socket: a facts_record told it before */
	__u64 time;     /* CLOCK_MONOTONIC, nanoseconds */
	__u32 position; /* of the first byte */
	__u32 acknowledged; /* for what was sent: up to where the socket had been read */
	__u32 missing;  /* how many bytes after `length` were moved but not copied */
	__u32 heard;    /* the position of what was noted, */
	__u64 heard_at; /* when that came, */
	__u32 heard_length; /* how much it was; 0: nothing is noted, */
	__u32 more_length;  /* how much came behind it at once, */
	__u64 more_at;      /* and when the last of that came */
};
_Static_assert(sizeof(struct data_record) == 64, "");
_Static_assert(__builtin_offsetof(struct data_record, length) == 4, "");
_Static_assert(__builtin_offsetof(struct data_record, id) == 8, "");
_Static_assert(__builtin_offsetof(struct data_record, time) == 16, "");
_Static_assert(__builtin_offsetof(struct data_record, position) == 24, "");
_Static_assert(__builtin_offsetof(struct data_record, acknowledged) == 28, "");
_Static_assert(__builtin_offsetof(struct data_record, missing) == 32, "");
_Static_assert(__builtin_offsetof(struct data_record, heard) == 36, "");
_Static_assert(__builtin_offsetof(struct data_record, heard_at) == 40, "");
_Static_assert(__builtin_offsetof(struct data_record, heard_length) == 48, "");
_Static_assert(__builtin_offsetof(struct data_record, more_length) == 52, "");
_Static_assert(__builtin_offsetof(struct data_record, more_at) == 56, "");

/* What a state_record says. */
#define STATE_OPEN 1        /* `sent` and `received` are where the two SYNs stand */
#define STATE_SENT_END 2    /* the socket sent its last byte: `sent` is the position after it */
#define STATE_RECEIVED_END 4 /* the peer did: `received` is the position after it */
#define STATE_SENT_RESET 8
#define STATE_RECEIVED_RESET 16
#define STATE_GONE 32       /* the socket is no more: nothing with this id follows */

/* The opening and ending of a socket's two directions. */
struct state_record {
	__u8 kind;
	__u8 what; /* STATE_… */
	__u16 unused;
	__u32 unused2;
	__u64 id;
	__u64 time;
	__u32 sent;
	__u32 received;
};
_Static_assert(sizeof(struct state_record) == 32, "");
_Static_assert(__builtin_offsetof(struct state_record, id) == 8, "");
_Static_assert(__builtin_offsetof(struct state_record, time) == 16, "");
_Static_assert(__builtin_offsetof(struct state_record, sent) == 24, "");
_Static_assert(__builtin_offsetof(struct state_record, received) == 28, "");

/* What a facts_record says of its socket beside who and where. */
#define FACTS_CLIENT 1 /* it called connect */
#define FACTS_SERVER 2 /* it was accepted */
#define FACTS_EXISTS 4 /* it existed when tracing began, and was seen in the table of files */
#define FACTS_LISTENS 16 /* it listened when tracing began; no id */
#define FACTS_BORN 8   /* it was made after tracing began: its counters began at 0 */

/* Who holds a socket and what it connects: sent before all else, and again when the owner changes. */
struct facts_record {
	__u8 kind;
	__u8 family; /* AF_INET, AF_INET6 or AF_UNIX */
	__u8 flags;  /* FACTS_… */
	__u8 unused;
	__u32 process; /* 0: not known yet */
	__u64 id;
	__u64 time;
	__u64 started; /* the process, nanoseconds since boot */
	__u64 cgroup;  /* its id, in the unified hierarchy */
	__u32 namespace; /* the network namespace's inode number */
	__u16 local_port; /* host order, as the next */
	__u16 remote_port;
	/*
	 * IPv4 in the first four bytes. Of a Unix socket its inode number, 0 where it has none yet or
	 * no longer, and the address of its structure, which is its own while either end lives.
	 */
	__u8 local[16];
	__u8 remote[16];
	char command[16]; /* of the process's leader */
};
_Static_assert(sizeof(struct facts_record) == 96, "");
_Static_assert(__builtin_offsetof(struct facts_record, process) == 4, "");
_Static_assert(__builtin_offsetof(struct facts_record, id) == 8, "");
_Static_assert(__builtin_offsetof(struct facts_record, started) == 24, "");
_Static_assert(__builtin_offsetof(struct facts_record, cgroup) == 32, "");
_Static_assert(__builtin_offsetof(struct facts_record, namespace) == 40, "");
_Static_assert(__builtin_offsetof(struct facts_record, local_port) == 44, "");
_Static_assert(__builtin_offsetof(struct facts_record, local) == 48, "");
_Static_assert(__builtin_offsetof(struct facts_record, remote) == 64, "");
_Static_assert(__builtin_offsetof(struct facts_record, command) == 80, "");

/* The names that the two ends of a Unix socket were bound to. */
struct names_record {
	__u8 kind;
	__u8 local_length; /* 0: not bound */
	__u8 remote_length;
	__u8 unused;
	__u32 unused2;
	__u64 id;
	__u64 time;
	__u8 local[112]; /* a path, or a zero byte and an abstract name */
	__u8 remote[112];
};
_Static_assert(sizeof(struct names_record) == 248, "");
_Static_assert(__builtin_offsetof(struct names_record, local) == 24, "");
_Static_assert(__builtin_offsetof(struct names_record, remote) == 136, "");

/* What keeps a process's bytes out of sight. */
enum blind_why {
	BLIND_IO_URING = 1,
	BLIND_KERNEL_TLS = 2,
	BLIND_COMPAT = 3,
	BLIND_MPTCP = 4,
};

/* A process whose bytes cannot be seen, told once for each reason. */
struct blind_record {
	__u8 kind;
	__u8 why;
	__u16 unused;
	__u32 process;
	__u64 time;
	char command[16];
};
_Static_assert(sizeof(struct blind_record) == 32, "");

#endif
