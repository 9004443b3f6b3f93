// Moves bytes of a known pattern through one stream connection in every way that Linux has, one way
// a run: `socket_calls SCENARIO [gated]`; gated, it begins when a line comes in. Says on standard output what it moved:
//
//     end a port 40000 | end a inode 4711     the end that connected, or the first of a socketpair
//     total a 1000                             bytes that end a sent
//     missing a sender zero_copy 500           of those, not to be had at the sender's calls
//     unread b 50                              of b's, never read by a
//
// Byte i of the stream that end d (0: a, 1: b) sends is (i * 131 + (i >> 8) * 17 + d * 7) mod 256.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(WHAT)                                                                     \
	({                                                                              \
		long result_ = (WHAT);                                                  \
		if (result_ < 0) {                                                      \
			fprintf(stderr, "%s:%d: %s: %m\n", __FILE__, __LINE__, #WHAT); \
			exit(1);                                                        \
		}                                                                       \
		result_;                                                                \
	})
#define REQUIRE(WHAT)                                                                \
	do {                                                                         \
		if (!(WHAT)) {                                                       \
			fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #WHAT); \
			exit(1);                                                     \
		}                                                                    \
	} while (0)

static int a, b;         // the two ends
static long total[2];    // bytes that each end sent
static long seen[2];     // bytes of each end's that the other has checked
static char buffer[8 << 20];

static unsigned char pattern(long i, int end)
{
	return i * 131 + (i >> 8) * 17 + end * 7;
}

// The next `n` bytes that `end` will send.
static char *next(int end, char *to, long n)
{
	for (long i = 0; i < n; i++)
		to[i] = pattern(total[end] + i, end);
	return to;
}

static void sent(int end, long n)
{
	total[end] += n;
}

// `n` bytes of `end`'s came in.
static void check(int end, const char *bytes, long n)
{
	for (long i = 0; i < n; i++)
		REQUIRE((unsigned char)bytes[i] == pattern(seen[end] + i, end));
	seen[end] += n;
}

static void missing(int end, const char *who, const char *cause, long n)
{
	printf("missing %c %s %s %ld\n", "ab"[end], who, cause, n);
}

static void put(int fd, int end, long n)
{
	char *bytes = malloc(n);
	next(end, bytes, n);
	for (long done = 0; done < n;)
		done += CHECK(write(fd, bytes + done, n - done));
	free(bytes);
	sent(end, n);
}

static void take(int fd, int end, long n)
{
	char *bytes = malloc(n);
	for (long done = 0; done < n;) {
		long got = CHECK(read(fd, bytes + done, n - done > 100000 ? 100000 : n - done));
		REQUIRE(got > 0);
		done += got;
	}
	check(end, bytes, n);
	free(bytes);
}

struct taker {
	int fd, end;
	long n;
};

static void *take_in_thread(void *argument)
{
	struct taker *taker = argument;
	take(taker->fd, taker->end, taker->n);
	return NULL;
}

// Starts to read `n` bytes of `end`'s beside what follows.
static pthread_t taking(struct taker *taker, int fd, int end, long n)
{
	pthread_t thread;
	*taker = (struct taker){ fd, end, n };
	REQUIRE(!pthread_create(&thread, NULL, take_in_thread, taker));
	return thread;
}

static void write_read(void)
{
	put(a, 0, 1);
	take(b, 0, 1);
	for (int n = 1; n < 20000; n = n * 3 + 1) {
		put(a, 0, n);
		take(b, 0, n);
		put(b, 1, n + 5);
		take(a, 1, n + 5);
	}
}

static void send_recv(void)
{
	for (int n = 63; n < 5000; n = n * 2 + 1) {
		REQUIRE(CHECK(send(a, next(0, buffer, n), n, 0)) == n);
		sent(0, n);
		for (int done = 0; done < n;) {
			long got = CHECK(recvfrom(b, buffer, 900, 0, NULL, NULL));
			check(0, buffer, got);
			done += got;
		}
	}
}

static void vectors(int count, int each)
{
	struct iovec *vector = calloc(count, sizeof(*vector));
	long n = (long)count * each;
	struct taker taker;
	pthread_t thread = taking(&taker, b, 0, n);
	char *bytes = next(0, malloc(n), n);

	for (int i = 0; i < count; i++)
		vector[i] = (struct iovec){ bytes + (long)i * each, each };
	REQUIRE(CHECK(writev(a, vector, count)) == n);
	sent(0, n);
	pthread_join(thread, NULL);
	put(b, 1, n);
	for (long done = 0; done < n;) {
		char *in = calloc(1, n);
		int entries = 0;
		for (int i = 0; i < count; i++, entries++)
			vector[i] = (struct iovec){ in + (long)i * each, each };
		long got = CHECK(readv(a, vector, entries));
		check(1, in, got);
		done += got;
		free(in);
		if (n - done < (long)count * each)
			count = (n - done + each - 1) / each;
	}
}

static void writev_1(void) { vectors(1, 3000); }
static void writev_16(void) { vectors(16, 300); }
static void writev_300(void) { vectors(300, 11); }
static void writev_1024(void) { vectors(1024, 700); }
static void readv_bytes(void) { vectors(500, 1); }

// Short and long pieces, and empty ones.
static void writev_mixed(void)
{
	long sizes[] = { 10, 0, 5000, 3, 40000, 0, 0, 1, 2048, 16384, 20000, 7 };
	struct iovec vector[12];
	long n = 0;
	for (int i = 0; i < 12; i++) {
		vector[i] = (struct iovec){ buffer + n, sizes[i] };
		n += sizes[i];
	}
	next(0, buffer, n);
	struct taker taker;
	pthread_t thread = taking(&taker, b, 0, n);
	REQUIRE(CHECK(writev(a, vector, 12)) == n);
	sent(0, n);
	pthread_join(thread, NULL);
}

static void sendmsg_recvmsg(void)
{
	for (int round = 0; round < 5; round++) {
		struct iovec vector[3] = { { buffer, 100 }, { buffer + 100, 3000 }, { buffer + 3100, 50 } };
		struct msghdr message = { .msg_iov = vector, .msg_iovlen = 3 };
		next(0, buffer, 3150);
		REQUIRE(CHECK(sendmsg(a, &message, 0)) == 3150);
		sent(0, 3150);
		for (int done = 0; done < 3150;) {
			char in[700];
			struct iovec pieces[2] = { { in, 7 }, { in + 7, 693 } };
			struct msghdr into = { .msg_iov = pieces, .msg_iovlen = 2 };
			long got = CHECK(recvmsg(b, &into, 0));
			check(0, in, got);
			done += got;
		}
	}
}

static void several_messages(void)
{
	for (int round = 0; round < 6; round++) {
		static char out[5][600];
		struct iovec vector[5];
		struct mmsghdr messages[5] = {};
		for (int i = 0; i < 5; i++) {
			long n = 100 + i * 90 + round;
			next(0, out[i], n);
			sent(0, n);
			vector[i] = (struct iovec){ out[i], n };
			messages[i].msg_hdr.msg_iov = &vector[i];
			messages[i].msg_hdr.msg_iovlen = 1;
			messages[i].msg_len = 77;
		}
		REQUIRE(CHECK(sendmmsg(a, messages, 5, 0)) == 5);
		static char in[5][211];
		while (seen[0] < total[0]) {
			for (int i = 0; i < 5; i++) {
				vector[i] = (struct iovec){ in[i], 211 };
				messages[i].msg_hdr.msg_iov = &vector[i];
			}
			int count = CHECK(recvmmsg(b, messages, 5, MSG_WAITFORONE, NULL));
			for (int i = 0; i < count; i++)
				check(0, in[i], messages[i].msg_len);
		}
	}
}

static int file_of_pattern(int end, long n)
{
	int fd = CHECK(memfd_create("pattern", 0));
	char *bytes = next(end, malloc(n), n);
	REQUIRE(CHECK(write(fd, bytes, n)) == n);
	free(bytes);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static void send_file(void)
{
	long n = 200000;
	struct taker taker;
	put(a, 0, 50);
	take(b, 0, 50);
	int file = file_of_pattern(0, n);
	pthread_t thread = taking(&taker, b, 0, n);
	for (long done = 0; done < n;)
		done += CHECK(sendfile(a, file, NULL, n - done));
	sent(0, n);
	pthread_join(thread, NULL);
	missing(0, "sender", "zero_copy", n);
	put(a, 0, 50);
	take(b, 0, 50);
}

static void splice_both(void)
{
	long n = 100000;
	int pipe_in[2], pipe_out[2];
	CHECK(pipe(pipe_in));
	CHECK(pipe(pipe_out));
	put(a, 0, 10);
	take(b, 0, 10);
	int file = file_of_pattern(0, n);
	for (long done = 0; done < n;) {
		long into = CHECK(splice(file, NULL, pipe_in[1], NULL, 30000, 0));
		for (long out = 0; out < into;)
			out += CHECK(splice(pipe_in[0], NULL, a, NULL, into - out, 0));
		sent(0, into);
		for (long out = 0; out < into;) {
			long got = CHECK(splice(b, NULL, pipe_out[1], NULL, into - out, 0));
			REQUIRE(got > 0);
			out += got;
			take(pipe_out[0], 0, got);
		}
		done += into;
	}
	put(a, 0, 10);
	take(b, 0, 10);
	missing(0, "sender", "zero_copy", n);
	missing(0, "receiver", "zero_copy", n);
}

static void peek(void)
{
	for (int n = 10; n < 3000; n += 700) {
		put(a, 0, n);
		for (int done = 0; done < n;) {
			long got = CHECK(recv(b, buffer, 400, MSG_PEEK));
			REQUIRE(got > 0);
			got = CHECK(recv(b, buffer, 400, 0));
			check(0, buffer, got);
			done += got;
		}
	}
}

static void zero_copy(void)
{
	int one = 1;
	long n = 100000;
	struct taker taker;
	CHECK(setsockopt(a, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)));
	put(a, 0, 20);
	take(b, 0, 20);
	pthread_t thread = taking(&taker, b, 0, n);
	next(0, buffer, n);
	for (long done = 0; done < n;)
		done += CHECK(send(a, buffer + done, n - done, MSG_ZEROCOPY));
	sent(0, n);
	pthread_join(thread, NULL);
	struct msghdr message = {};
	char control[200];
	message.msg_control = control;
	message.msg_controllen = sizeof(control);
	while (recvmsg(a, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0 && errno == EAGAIN)
		usleep(1000);
	missing(0, "sender", "zero_copy", n);
}

static void would_block(void)
{
	long n = 3000000, out = 0, in = 0;
	fcntl(a, F_SETFL, O_NONBLOCK);
	fcntl(b, F_SETFL, O_NONBLOCK);
	next(0, buffer, n);
	while (in < n) {
		for (int i = 0; i < 3 && out < n; i++) {
			long done = write(a, buffer + out, n - out > 200000 ? 200000 : n - out);
			if (done > 0)
				out += done;
			else
				REQUIRE(errno == EAGAIN);
		}
		for (int i = 0; i < 30; i++) {
			static char bytes[50000];
			long got = recv(b, bytes, 50000, 0);
			if (got > 0) {
				check(0, bytes, got);
				in += got;
			} else {
				REQUIRE(got < 0 && errno == EAGAIN);
			}
		}
	}
	sent(0, n);
}

// Throws bytes away without having them copied.
static void truncated(void)
{
	put(a, 0, 5000);
	for (int done = 0; done < 2000;) {
		long got = CHECK(recv(b, buffer, 2000 - done, MSG_TRUNC));
		done += got;
	}
	seen[0] += 2000;
	take(b, 0, 3000);
	missing(0, "receiver", "zero_copy", 2000);
}

static void big_writes(void)
{
	long n = 900000;
	struct taker taker;
	pthread_t thread = taking(&taker, b, 0, n);
	REQUIRE(CHECK(send(a, next(0, buffer, n), n, 0)) == n);
	sent(0, n);
	pthread_join(thread, NULL);
}

// One call of more than is copied of one.
static void beyond_limit(void)
{
	long n = 3000000;
	struct taker taker;
	pthread_t thread = taking(&taker, b, 0, n);
	REQUIRE(CHECK(send(a, next(0, buffer, n), n, 0)) == n);
	sent(0, n);
	pthread_join(thread, NULL);
	missing(0, "sender", "capture_limit", n - (1 << 20));
}

static void *echo(void *argument)
{
	long n = (long)argument;
	take(b, 0, n);
	return NULL;
}

// A reader and a writer on each end at once.
static void threads(void)
{
	long n = 500000;
	pthread_t reader;
	struct taker taker;
	REQUIRE(!pthread_create(&reader, NULL, echo, (void *)n));
	pthread_t other = taking(&taker, a, 1, n);
	char *one = next(0, malloc(n), n), *two = next(1, malloc(n), n);
	for (long i = 0; i < n; i += 1000) {
		REQUIRE(CHECK(write(a, one + i, 1000)) == 1000);
		REQUIRE(CHECK(write(b, two + i, 1000)) == 1000);
	}
	sent(0, n);
	sent(1, n);
	pthread_join(reader, NULL);
	pthread_join(other, NULL);
}

static void forked(void)
{
	put(a, 0, 100);
	take(b, 0, 100);
	if (!fork()) {
		take(b, 0, 300);
		put(b, 1, 70);
		_exit(0);
	}
	put(a, 0, 300);
	take(a, 1, 70);
	sent(1, 70);
	wait(NULL);
}

static void passed(void)
{
	int pair[2];
	CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	if (!fork()) {
		char data[1], control[CMSG_SPACE(sizeof(int))];
		struct iovec vector = { data, 1 };
		struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
		close(b);
		CHECK(recvmsg(pair[1], &message, 0));
		int fd;
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
		take(fd, 0, 300);
		put(fd, 1, 70);
		_exit(0);
	}
	char data[1] = "x", control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec vector = { data, 1 };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &b, sizeof(b));
	CHECK(sendmsg(pair[0], &message, 0));
	close(b);
	put(a, 0, 300);
	take(a, 1, 70);
	sent(1, 70);
	wait(NULL);
}

static void duplicated(void)
{
	int c = CHECK(dup(a)), d = CHECK(dup2(b, 200)), e = CHECK(dup3(a, 201, O_CLOEXEC));
	put(c, 0, 10);
	take(d, 0, 10);
	close(a);
	a = e;
	put(e, 0, 20);
	take(b, 0, 20);
	put(d, 1, 30);
	take(c, 1, 30);
	close(c);
	close(d);
}

static void *wait_for_byte(void *argument)
{
	(void)argument;
	char byte;
	REQUIRE(CHECK(read(b, &byte, 1)) == 1);
	check(0, &byte, 1);
	return NULL;
}

// Another thread closes the descriptor, and its number stands for something else, while a read waits.
static void closed_while_waiting(void)
{
	pthread_t thread;
	int number = b, keep = dup(b);
	REQUIRE(!pthread_create(&thread, NULL, wait_for_byte, NULL));
	usleep(100000);
	close(b);
	REQUIRE(CHECK(socket(AF_INET, SOCK_STREAM, 0)) == number);
	put(a, 0, 1);
	pthread_join(thread, NULL);
	close(number);
	b = keep;
	put(a, 0, 10);
	take(b, 0, 10);
}

static void half_closed(void)
{
	put(a, 0, 500);
	CHECK(shutdown(a, SHUT_WR));
	take(b, 0, 500);
	REQUIRE(read(b, buffer, 10) == 0);
	put(b, 1, 5000);
	take(a, 1, 5000);
	CHECK(shutdown(b, SHUT_WR));
	REQUIRE(read(a, buffer, 10) == 0);
}

static void offsets_refused(void)
{
	struct iovec vector = { next(0, buffer, 100), 100 };
	REQUIRE(pwritev(a, &vector, 1, 0) < 0 && errno == ESPIPE);
	REQUIRE(CHECK(pwritev2(a, &vector, 1, -1, 0)) == 100);
	sent(0, 100);
	vector = (struct iovec){ buffer, 60 };
	REQUIRE(CHECK(preadv2(b, &vector, 1, -1, 0)) == 60);
	check(0, buffer, 60);
	take(b, 0, 40);
}

// io_uring without a library: one operation at a time, through io_uring_enter.
struct uring {
	int fd;
	unsigned *tail, *mask, *array, *done_head, *done_mask;
	struct io_uring_sqe *entries;
	struct io_uring_cqe *done;
};

static void uring_open(struct uring *ring)
{
	struct io_uring_params parameters = {};
	ring->fd = CHECK(syscall(SYS_io_uring_setup, 8, &parameters));
	char *sq = mmap(NULL, parameters.sq_off.array + 8 * 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQ_RING);
	char *cq = mmap(NULL, parameters.cq_off.cqes + 16 * sizeof(*ring->done), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_CQ_RING);
	ring->entries = mmap(NULL, 8 * sizeof(*ring->entries), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQES);
	REQUIRE(sq != MAP_FAILED && cq != MAP_FAILED && (void *)ring->entries != MAP_FAILED);
	ring->tail = (unsigned *)(sq + parameters.sq_off.tail);
	ring->mask = (unsigned *)(sq + parameters.sq_off.ring_mask);
	ring->array = (unsigned *)(sq + parameters.sq_off.array);
	ring->done_head = (unsigned *)(cq + parameters.cq_off.head);
	ring->done_mask = (unsigned *)(cq + parameters.cq_off.ring_mask);
	ring->done = (struct io_uring_cqe *)(cq + parameters.cq_off.cqes);
}

static long uring_do(struct uring *ring, int operation, int fd, void *bytes, long n)
{
	unsigned index = *ring->tail & *ring->mask;
	ring->entries[index] = (struct io_uring_sqe){ .opcode = operation, .fd = fd, .addr = (unsigned long)bytes, .len = n, .off = operation == IORING_OP_READ || operation == IORING_OP_WRITE ? -1 : 0 };
	ring->array[index] = index;
	atomic_thread_fence(memory_order_seq_cst);
	*ring->tail += 1;
	atomic_thread_fence(memory_order_seq_cst);
	CHECK(syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	long result = ring->done[*ring->done_head & *ring->done_mask].res;
	*ring->done_head += 1;
	return result;
}

static void uring(void)
{
	struct uring ring;
	uring_open(&ring);
	put(a, 0, 100);
	take(b, 0, 100);
	for (int round = 0; round < 4; round++) {
		int n = 1000 + round;
		REQUIRE(uring_do(&ring, round & 1 ? IORING_OP_SEND : IORING_OP_WRITE, a, next(0, buffer, n), n) == n);
		sent(0, n);
		take(b, 0, n);
		put(b, 1, n);
		long got = uring_do(&ring, round & 1 ? IORING_OP_RECV : IORING_OP_READ, a, buffer, n);
		REQUIRE(got == n);
		check(1, buffer, n);
	}
	missing(0, "sender", "io_uring", 4006);
	missing(1, "receiver", "io_uring", 4006);
}

static void *answer_later(void *argument)
{
	(void)argument;
	usleep(50000);
	put(b, 1, 333);
	return NULL;
}

// The transfer happens in work that the thread does after it has waited.
static void uring_waits(void)
{
	struct uring ring;
	pthread_t thread;
	uring_open(&ring);
	put(a, 0, 100);
	take(b, 0, 100);
	REQUIRE(!pthread_create(&thread, NULL, answer_later, NULL));
	REQUIRE(uring_do(&ring, IORING_OP_RECV, a, buffer, 333) == 333);
	check(1, buffer, 333);
	pthread_join(thread, NULL);
	missing(1, "receiver", "io_uring", 333);
}

// The calls of 32-bit programs, which a 64-bit one may make as well; their pointers have 32 bits.
static long compat_call(long number, long one, long two, long three)
{
#ifdef __x86_64__
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(one), "c"(two), "d"(three) : "memory", "r8", "r9", "r10", "r11");
	return result;
#else
	(void)one, (void)two;
	return number == 4 || number == 3 ? three : -1;
#endif
}

static void compat(void)
{
#ifdef __x86_64__
	char *low = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	REQUIRE(low != MAP_FAILED);
	put(a, 0, 100);
	take(b, 0, 100);
	if (compat_call(4, a, (long)next(0, low, 500), 500) != 500) // write
		return; // this kernel has no 32-bit calls
	sent(0, 500);
	REQUIRE(compat_call(3, b, (long)low, 500) == 500); // read
	check(0, low, 500);
	put(a, 0, 100);
	take(b, 0, 100);
	missing(0, "sender", "compat", 500);
	missing(0, "receiver", "compat", 500);
#else
	(void)compat_call;
#endif
}

static void tcp(int family)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	struct sockaddr_in address4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr *name = family == AF_INET6 ? (struct sockaddr *)&address : (struct sockaddr *)&address4;
	socklen_t length = family == AF_INET6 ? sizeof(address) : sizeof(address4);
	int listener = CHECK(socket(family, SOCK_STREAM, 0)), one = 1;
	CHECK(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	CHECK(bind(listener, name, length));
	CHECK(listen(listener, 5));
	CHECK(getsockname(listener, name, &length));
	a = CHECK(socket(family, SOCK_STREAM, 0));
	CHECK(connect(a, name, length));
	b = CHECK(accept(listener, NULL, NULL));
	CHECK(setsockopt(a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
	CHECK(getsockname(a, name, &length));
	printf("end a port %d\n", ntohs(family == AF_INET6 ? address.sin6_port : address4.sin_port));
	close(listener);
}

static void inode_of_a(void)
{
	struct stat status;
	CHECK(fstat(a, &status));
	printf("end a inode %lu\n", (unsigned long)status.st_ino);
}

static void unix_named(int abstract)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
	socklen_t length = offsetof(struct sockaddr_un, sun_path);
	length += sprintf(address.sun_path + abstract, "%sl7trace-test-%d", abstract ? "" : "/tmp/", getpid()) + 1;
	unlink(address.sun_path);
	CHECK(bind(listener, (struct sockaddr *)&address, length));
	CHECK(listen(listener, 5));
	a = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK(connect(a, (struct sockaddr *)&address, length));
	inode_of_a();
	printf("name b %s%s\n", abstract ? "@" : "", address.sun_path + abstract);
	put(a, 0, 10); // before anybody has accepted
	b = CHECK(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	take(b, 0, 10);
	close(listener);
	unlink(address.sun_path);
}

static void pair(void)
{
	int ends[2];
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	a = ends[0];
	b = ends[1];
	inode_of_a();
}

static void unix_parts(void)
{
	write_read();
	send_recv();
	peek();
	sendmsg_recvmsg();
	half_closed();
}

// The descriptor's number is another connection's right after.
static void reused(void)
{
	put(a, 0, 40);
	take(b, 0, 40);
	int numbers[2] = { a, b };
	close(a);
	close(b);
	printf("total a %ld\ntotal b %ld\nnext\n", total[0], total[1]);
	total[0] = total[1] = seen[0] = seen[1] = 0;
	tcp(AF_INET);
	REQUIRE(a == numbers[0] || b == numbers[0] || b == numbers[1] || a == numbers[1]);
	put(a, 0, 50);
	take(b, 0, 50);
}

static void wait_for_line(void)
{
	char line[10];
	fflush(stdout);
	CHECK(read(0, line, sizeof(line)));
}

// A connection that is older than its tracer: says what went by before, and waits.
static void older(void)
{
	put(a, 0, 1000);
	take(b, 0, 900); // in mid-request
	put(b, 1, 70);
	take(a, 1, 70);
	printf("before a %ld\nbefore b %ld\n", total[0], total[1]);
	wait_for_line();
	take(b, 0, 100);
	write_read();
}

// More than a small ring holds, as fast as it goes.
static void flood(void)
{
	long n = 100 << 20;
	char *bytes = calloc(1, 65536);
	if (!fork()) {
		for (long done = 0; done < n;)
			done += CHECK(read(b, buffer, 65536));
		_exit(0);
	}
	for (long done = 0; done < n;)
		done += CHECK(write(a, bytes, n - done > 65536 ? 65536 : n - done));
	sent(0, n);
	wait(NULL);
}

// The peer breaks the connection off.
static void reset(void)
{
	struct linger linger = { 1, 0 };
	put(a, 0, 100);
	take(b, 0, 100);
	put(b, 1, 50);
	CHECK(setsockopt(b, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	close(b);
	usleep(20000);
	b = CHECK(dup(a));
	puts("unread b 50");
}

enum kind { IPV4, IPV6, PATH, ABSTRACT, PAIR };

static const struct scenario {
	const char *name;
	enum kind kind;
	void (*run)(void);
} scenarios[] = {
	{ "write_read", IPV4, write_read },
	{ "write_read_v6", IPV6, write_read },
	{ "send_recv", IPV4, send_recv },
	{ "writev_1", IPV4, writev_1 },
	{ "writev_16", IPV4, writev_16 },
	{ "writev_300", IPV4, writev_300 },
	{ "writev_1024", IPV4, writev_1024 },
	{ "writev_mixed", IPV4, writev_mixed },
	{ "readv_bytes", IPV4, readv_bytes },
	{ "sendmsg_recvmsg", IPV4, sendmsg_recvmsg },
	{ "several_messages", IPV4, several_messages },
	{ "send_file", IPV4, send_file },
	{ "splice", IPV4, splice_both },
	{ "peek", IPV4, peek },
	{ "zero_copy", IPV4, zero_copy },
	{ "would_block", IPV4, would_block },
	{ "truncated", IPV4, truncated },
	{ "big_writes", IPV4, big_writes },
	{ "beyond_limit", IPV4, beyond_limit },
	{ "threads", IPV4, threads },
	{ "forked", IPV4, forked },
	{ "passed", IPV4, passed },
	{ "duplicated", IPV4, duplicated },
	{ "reused", IPV4, reused },
	{ "closed_while_waiting", IPV4, closed_while_waiting },
	{ "half_closed", IPV4, half_closed },
	{ "offsets_refused", IPV4, offsets_refused },
	{ "uring", IPV4, uring },
	{ "uring_waits", IPV4, uring_waits },
	{ "reset", IPV4, reset },
	{ "compat", IPV4, compat },
	{ "unix_path", PATH, unix_parts },
	{ "unix_abstract", ABSTRACT, unix_parts },
	{ "unix_forked", PATH, forked },
	{ "socketpair", PAIR, unix_parts },
};

// Those that only a test with a part in it runs; not listed.
static const struct scenario special[] = {
	{ "older", IPV4, older },
	{ "older_unix", PATH, older },
	{ "flood", IPV4, flood },
};

static int run(const struct scenario *scenario, int gated)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	if (gated)
		wait_for_line();
	switch (scenario->kind) {
	case IPV4: tcp(AF_INET); break;
	case IPV6: tcp(AF_INET6); break;
	case PATH: unix_named(0); break;
	case ABSTRACT: unix_named(1); break;
	case PAIR: pair(); break;
	}
	fflush(stdout);
	scenario->run();
	close(a);
	close(b);
	printf("total a %ld\ntotal b %ld\n", total[0], total[1]);
	return 0;
}

int main(int count, char **arguments)
{
	alarm(40);
	if (count < 2) {
		for (unsigned i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++)
			puts(scenarios[i].name);
		return 0;
	}
	for (unsigned i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++)
		if (!strcmp(scenarios[i].name, arguments[1]))
			return run(&scenarios[i], count > 2);
	for (unsigned i = 0; i < sizeof(special) / sizeof(*special); i++)
		if (!strcmp(special[i].name, arguments[1]))
			return run(&special[i], 0);
	return 2;
}
