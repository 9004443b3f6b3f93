/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A system call: its number, its arguments, and where its caller's buffers are. */
#ifndef L7TRACE_SYSCALLS_CALL_H
#define L7TRACE_SYSCALLS_CALL_H

#include "syscalls.h"
#include "syscalls_filter.h"

#if defined(__TARGET_ARCH_x86)
enum system_call {
	CALL_READ = 0,
	CALL_WRITE = 1,
	CALL_CLOSE = 3,
	CALL_READV = 19,
	CALL_WRITEV = 20,
	CALL_SENDFILE = 40,
	CALL_CONNECT = 42,
	CALL_SENDTO = 44,
	CALL_RECVFROM = 45,
	CALL_SENDMSG = 46,
	CALL_RECVMSG = 47,
	CALL_SPLICE = 275,
	CALL_TEE = 276,
	CALL_VMSPLICE = 278,
	CALL_RECVMMSG = 299,
	CALL_SENDMMSG = 307,
	CALL_PREADV2 = 327,
	CALL_PWRITEV2 = 328,
	CALL_IO_URING_ENTER = 426,
};
#elif defined(__TARGET_ARCH_arm64)
enum system_call {
	CALL_CLOSE = 57,
	CALL_READ = 63,
	CALL_WRITE = 64,
	CALL_READV = 65,
	CALL_WRITEV = 66,
	CALL_SENDFILE = 71,
	CALL_VMSPLICE = 75,
	CALL_SPLICE = 76,
	CALL_TEE = 77,
	CALL_CONNECT = 203,
	CALL_SENDTO = 206,
	CALL_RECVFROM = 207,
	CALL_SENDMSG = 211,
	CALL_RECVMSG = 212,
	CALL_RECVMMSG = 243,
	CALL_SENDMMSG = 269,
	CALL_PREADV2 = 286,
	CALL_PWRITEV2 = 287,
	CALL_IO_URING_ENTER = 426,
};
#else
#error "the system calls of this architecture are not known"
#endif

/* A call as its caller made it. */
struct call {
	__u32 number;
	__u32 cause; /* enum cause: why there is no call to speak of */
	__u64 arguments[4];
};

/* Where a call's bytes are: one buffer, and after it the rest of an array of them. */
struct buffers {
	__u64 base;
	__u64 length;
	__u64 vector; /* address of the next struct buffer; means nothing where `entries` is 0 */
	__u64 entries;
};

/* include/uapi: struct iovec, and the members of struct user_msghdr around its array. */
struct buffer {
	__u64 base;
	__u64 length;
};

struct message {
	__u64 name;
	__u64 name_length;
	__u64 vector;
	__u64 entries;
	__u64 control;
	__u64 control_length;
	__u64 flags;
};

struct message_with_length {
	struct message message;
	__u64 length;
};
_Static_assert(sizeof(struct message_with_length) == 64, "struct mmsghdr");

/* Whether the caller runs in 32-bit mode: its structures are not laid out as we read them. */
static __always_inline bool is_compat(struct task_struct *task)
{
#if defined(__TARGET_ARCH_x86)
	return LOAD(task, thread_info.status) & 2; /* TS_COMPAT */
#else
	return LOAD(task, thread_info.flags) & (1 << 22); /* TIF_32BIT */
#endif
}

#ifdef TYPED_POINTERS
/*
 * The call that `task` is in, from the registers it saved when it entered the kernel. A socket is
 * also moved by work that a thread does on its way out of another call (io_uring's): then the
 * register of the result is written already.
 */
static __always_inline void call_of(struct task_struct *task, struct call *call)
{
	struct pt_regs *registers = (struct pt_regs *)bpf_task_pt_regs(task);
	__u32 flags = LOAD(task, flags);

	call->cause = 0;
	if (flags & PF_KTHREAD) {
		call->cause = CAUSE_KERNEL;
		return;
	}
	if (flags & PF_IO_WORKER) {
		call->cause = CAUSE_IO_URING;
		return;
	}
#if defined(__TARGET_ARCH_x86)
	call->number = registers->orig_ax;
	call->arguments[0] = registers->di;
	call->arguments[1] = registers->si;
	call->arguments[2] = registers->dx;
	call->arguments[3] = registers->r10;
	if ((long)registers->ax != -ENOSYS)
		call->cause = CAUSE_IO_URING;
#else
	call->number = registers->syscallno;
	call->arguments[0] = registers->orig_x0;
	call->arguments[1] = registers->regs[1];
	call->arguments[2] = registers->regs[2];
	call->arguments[3] = registers->regs[3];
	if (registers->regs[0] != registers->orig_x0)
		call->cause = CAUSE_IO_URING;
#endif
	if (call->number == CALL_IO_URING_ENTER)
		call->cause = CAUSE_IO_URING;
	else if (is_compat(task))
		call->cause = CAUSE_COMPAT;
}
#endif

/* What a file descriptor stands for. */
enum descriptor {
	DESCRIPTOR_CLOSED,
	DESCRIPTOR_FILE,
	DESCRIPTOR_SOCKET,
};

/* Finds the socket that the entry of a table of files stands for. */
static __always_inline enum descriptor sock_of_entry(struct file **place, struct sock **sk)
{
	struct socket *socket;
	struct file *file;

	if (bpf_probe_read_kernel(&file, sizeof(file), place) || !file)
		return DESCRIPTOR_CLOSED;
	if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return DESCRIPTOR_FILE;
	socket = BPF_CORE_READ(file, private_data);
	*sk = BPF_CORE_READ(socket, sk);
	return DESCRIPTOR_SOCKET;
}

/* Finds the socket that a descriptor of `task` stands for. */
static __always_inline enum descriptor sock_of_descriptor(struct task_struct *task, __u32 number, struct sock **sk)
{
	struct fdtable *table = LOAD(task, files, fdt);
	struct file **place = LOAD(table, fd);

	*sk = NULL;
	return number < LOAD(table, max_fds) ? sock_of_entry(place + number, sk) : DESCRIPTOR_CLOSED;
}

#ifndef TYPED_POINTERS
/* The same of the task that runs. */
static __always_inline enum descriptor current_sock_of_descriptor(__u32 number, struct sock **sk)
{
	if (HAS_TYPED_CURRENT) {
		struct task_struct *task = bpf_get_current_task_btf();
		struct fdtable *table = task->files->fdt;

		*sk = NULL;
		return number < table->max_fds ? sock_of_entry(table->fd + number, sk) : DESCRIPTOR_CLOSED;
	}
	return sock_of_descriptor(CURRENT(), number, sk);
}
#endif

/* Goes to the next buffer of the array. */
static __always_inline bool next_buffer(struct buffers *buffers)
{
	struct buffer buffer;

	if (!buffers->entries || bpf_probe_read_user(&buffer, sizeof(buffer), (void *)buffers->vector))
		return false;
	buffers->base = buffer.base;
	buffers->length = buffer.length;
	buffers->vector += sizeof(buffer);
	buffers->entries -= 1;
	return true;
}

static __always_inline bool buffers_of_vector(__u64 vector, __u64 entries, struct buffers *buffers)
{
	buffers->vector = vector;
	buffers->entries = entries;
	return next_buffer(buffers);
}

static __always_inline bool buffers_of_message(__u64 address, struct buffers *buffers)
{
	/* The vector's two words alone: a message as a whole would take more of the stack than there is. */
	__u64 vector[2];

	if (bpf_probe_read_user(vector, sizeof(vector), (void *)address + __builtin_offsetof(struct message, vector)))
		return false;
	return buffers_of_vector(vector[0], vector[1], buffers);
}

/*
 * Where the bytes of a call are, `index` being the message that a call of several is at. Gives the
 * cause where they are nowhere that can be read, else 0.
 */
static __always_inline __u32 buffers_of(const struct call *call, __u32 index, bool zero_copy, struct buffers *buffers)
{
	__u64 flags = 0;
	bool found = true;

	buffers->entries = 0;
	switch (call->number) {
	case CALL_READ:
	case CALL_WRITE:
		buffers->base = call->arguments[1];
		buffers->length = call->arguments[2];
		break;
	case CALL_SENDTO:
	case CALL_RECVFROM:
		buffers->base = call->arguments[1];
		buffers->length = call->arguments[2];
		flags = call->arguments[3];
		break;
	case CALL_READV:
	case CALL_WRITEV:
	case CALL_PREADV2:
	case CALL_PWRITEV2:
		found = buffers_of_vector(call->arguments[1], call->arguments[2], buffers);
		break;
	case CALL_SENDMSG:
	case CALL_RECVMSG:
		found = buffers_of_message(call->arguments[1], buffers);
		flags = call->arguments[2];
		break;
	case CALL_SENDMMSG:
	case CALL_RECVMMSG:
		found = buffers_of_message(call->arguments[1] + index * sizeof(struct message_with_length), buffers);
		flags = call->arguments[3];
		break;
	case CALL_SENDFILE:
	case CALL_SPLICE:
		return CAUSE_ZERO_COPY;
	default:
		return CAUSE_KERNEL;
	}
	if (zero_copy && flags & MSG_ZEROCOPY)
		return CAUSE_ZERO_COPY;
	return found ? 0 : CAUSE_UNREADABLE;
}

#endif
