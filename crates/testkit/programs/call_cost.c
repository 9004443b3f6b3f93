// What calls cost, in nanoseconds: `call_cost [ROUNDS]`. The least of several rounds, since the
// machine has other work: getppid; a read and a write of 512 bytes between devices; a send and a
// receive of 1 byte to 64 KB over loopback TCP, both ends in this thread.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int a, b, zero, null;
static char buffer[65536];

// Of this thread: the machine has other work.
static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

static void own_parent(void)
{
	syscall(SYS_getppid);
}

static void devices(void)
{
	if (read(zero, buffer, 512) != 512 || write(null, buffer, 512) != 512)
		exit(1);
}

static void exchange(int n)
{
	if (send(a, buffer, n, 0) != n || recv(b, buffer, n, MSG_WAITALL) != n)
		exit(1);
}

static void one_byte(void)
{
	exchange(1);
}

static void four_kilobytes(void)
{
	exchange(4096);
}

static void sixteen_kilobytes(void)
{
	exchange(16384);
}

static void sixty_four_kilobytes(void)
{
	exchange(65536);
}

static void measure(const char *name, void (*call)(void), int calls, int count, int rounds)
{
	double least = 1e18;
	for (int round = 0; round < rounds; round++) {
		double begun = now();
		for (int i = 0; i < count; i++)
			call();
		double each = (now() - begun) / count / calls;
		if (each < least)
			least = each;
	}
	printf("%-10s %8.0f\n", name, least);
}

int main(int count, char **arguments)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int rounds = count > 1 ? atoi(arguments[1]) : 30, one = 1;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 1))
		return 1;
	getsockname(listener, (struct sockaddr *)&address, &length);
	a = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(a, (struct sockaddr *)&address, length))
		return 1;
	b = accept(listener, NULL, NULL);
	setsockopt(a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	zero = open("/dev/zero", O_RDONLY);
	null = open("/dev/null", O_WRONLY);
	measure("getppid", own_parent, 1, 50000, rounds);
	measure("devices", devices, 2, 20000, rounds);
	measure("1_byte", one_byte, 2, 5000, rounds);
	measure("4_KB", four_kilobytes, 2, 5000, rounds);
	measure("16_KB", sixteen_kilobytes, 2, 2000, rounds);
	measure("64_KB", sixty_four_kilobytes, 2, 1000, rounds);
	return 0;
}
