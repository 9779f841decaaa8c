// SPDX-License-Identifier: Apache-2.0
/*
 * Linux AIO by number, without a library. Each case has a file of its own name and prints one JSON line per request, in
 * the order of their events, with the values of io_event.res and of its own iocb.
 * Usage: aio DIRECTORY [IMAGES], on a file system that supports O_DIRECT
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define MANY 300
#define MOST 4500
#define SIZE 65536

struct ring {
	unsigned id, nr, head, tail, magic, compat, incompat, length;
	struct io_event events[];
};

static aio_context_t context;
static const char *name;
static char memory[SIZE] __attribute__((aligned(4096)));
static struct iovec pieces[] = { { memory, 4096 }, { memory + 8192, 8192 } };

static void check(int good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

static void setup(unsigned requests)
{
	if (context)
		check(!syscall(SYS_io_destroy, context), "io_destroy");
	context = 0;
	check(!syscall(SYS_io_setup, requests, &context), "io_setup");
}

/* Creates and opens a file of SIZE bytes. */
static int begin(const char *name_, int flags)
{
	int fd = open(name_, O_CREAT | O_TRUNC | O_RDWR, 0644);

	name = name_;
	check(fd >= 0 && write(fd, memory, SIZE) == SIZE && !close(fd), name);
	fd = open(name, flags);
	check(fd >= 0, name);
	setup(64);
	return fd;
}

static struct iocb request(int command, int fd, long size, long long offset)
{
	struct iocb iocb = { .aio_lio_opcode = command, .aio_fildes = fd, .aio_offset = offset };
	int vectored = command == IOCB_CMD_PREADV || command == IOCB_CMD_PWRITEV;

	if (command != IOCB_CMD_FSYNC && command != IOCB_CMD_FDSYNC)
		iocb.aio_buf = (unsigned long)(vectored ? (void *)pieces : memory);
	iocb.aio_nbytes = vectored ? 2 : size;
	return iocb;
}

static void say(const struct iocb *iocb, long long result)
{
	static const char *const ops[] = { "read", "write", "sync", "sync", "", "", "", "read", "write" };
	int vectored = iocb->aio_lio_opcode >= IOCB_CMD_PREADV;

	printf("{\"case\":\"%s\",\"op\":\"%s\",\"fd\":%u,\"offset\":%lld,\"size\":%llu,\"result\":%lld}\n", name, ops[iocb->aio_lio_opcode],
	       iocb->aio_fildes, (long long)iocb->aio_offset, vectored ? 12288ULL : (unsigned long long)iocb->aio_nbytes, result);
}

static void submit(struct iocb **iocbs, long count, long expected)
{
	check(syscall(SYS_io_submit, context, count, iocbs) == expected, "io_submit");
}

static void reap(long count)
{
	struct io_event events[MANY];

	check(syscall(SYS_io_getevents, context, count, count, events, NULL) == count, "io_getevents");
	for (int i = 0; i < count; i++)
		say((struct iocb *)(unsigned long)events[i].obj, events[i].res);
}

static void one(struct iocb iocb)
{
	struct iocb *list = &iocb;

	submit(&list, 1, 1);
	reap(1);
}

static void buffered(void)
{
	int fd = begin("buffered", O_RDWR);

	one(request(IOCB_CMD_PWRITE, fd, 600, 1000));
	one(request(IOCB_CMD_PREAD, fd, 5000, SIZE - 100)); /* short */
	one(request(IOCB_CMD_PREAD, fd, 5000, SIZE + 100)); /* at the end of the file */
	one(request(IOCB_CMD_PWRITEV, fd, 0, 8));
	one(request(IOCB_CMD_PREADV, fd, 0, SIZE - 5000));
	one(request(IOCB_CMD_FSYNC, fd, 0, 0));
	one(request(IOCB_CMD_FDSYNC, fd, 0, 0));
}

static void several(void)
{
	int fd = begin("several", O_RDWR);
	struct iocb iocbs[3] = { request(IOCB_CMD_PWRITE, fd, 10, 0), request(IOCB_CMD_PREAD, fd, 20, 5),
				 request(IOCB_CMD_PWRITE, fd, 30, 70000) };
	struct iocb *list[] = { &iocbs[0], &iocbs[1], &iocbs[2] };

	submit(list, 3, 3);
	reap(3);
}

/* More than fit in the first page of the ring. */
static void many(void)
{
	static struct iocb iocbs[MANY];
	static struct iocb *list[MANY];
	int fd = begin("many", O_RDONLY);

	for (int i = 0; i < MANY; i++) {
		iocbs[i] = request(IOCB_CMD_PREAD, fd, i, 100 * i);
		list[i] = &iocbs[i];
	}
	setup(MANY);
	submit(list, MANY, MANY);
	reap(MANY);
}

static void direct(void)
{
	int fd = begin("direct", O_RDONLY | O_DIRECT);
	struct iocb misaligned = request(IOCB_CMD_PREAD, fd, 100, 1);
	struct iocb *list = &misaligned;
	struct io_event event;

	one(request(IOCB_CMD_PREAD, fd, 8192, 4096));
	one(request(IOCB_CMD_PREADV, fd, 0, SIZE - 4096));
	submit(&list, 1, 1);
	check(syscall(SYS_io_pgetevents, context, 1, 1, &event, NULL, NULL) == 1, "io_pgetevents");
	say(&misaligned, event.res);
}

static void *reaper(void *unused)
{
	for (int i = 0; i < 200; i++)
		reap(1);
	return NULL;
}

/* One thread submits, another sees the completion, perhaps before io_submit returns. */
static void threads(void)
{
	static struct iocb iocbs[200];
	int fd = begin("threads", O_RDONLY | O_DIRECT);
	pthread_t id;

	setup(200);
	check(!pthread_create(&id, NULL, reaper, NULL), "pthread_create");
	for (int i = 0; i < 200; i++) {
		struct iocb *list = &iocbs[i];

		iocbs[i] = request(IOCB_CMD_PREAD, i % 2 ? fd : open("threads", O_RDONLY), 4096, 4096 * (i % 16));
		submit(&list, 1, 1);
	}
	pthread_join(id, NULL);
}

/* The program takes completions from the ring itself, and uses the same request again. */
static void from_ring(void)
{
	int fd = begin("from_ring", O_RDONLY | O_DIRECT);
	volatile struct ring *ring = (void *)context;
	struct iocb iocb, *list = &iocb;

	for (int i = 0; i < 5; i++) {
		iocb = request(IOCB_CMD_PREAD, fd, 4096 * (i + 1), 4096 * i);
		submit(&list, 1, 1);
		while (ring->head == ring->tail)
			;
		say(&iocb, ring->events[ring->head].res);
		ring->head = (ring->head + 1) % ring->nr;
	}
	setup(1);
}

/* Not fetched, and its place in the ring is in no page table: a fault maps 64 KiB, and no later page is read. */
static void unknown(void)
{
	static struct io_event events[MOST + 1];
	static struct iocb iocbs[MOST];
	static struct iocb *list[MOST];
	int fd = begin("unknown", O_RDONLY), null = open("/dev/null", O_RDONLY);

	setup(MOST + 1);
	for (int i = 0; i < MOST; i++) {
		iocbs[i] = request(IOCB_CMD_PREAD, i == MOST - 1 ? fd : null, 4096, 0);
		list[i] = &iocbs[i];
	}
	submit(list, MOST, MOST);
	say(list[MOST - 1], 0);
	iocbs[MOST - 1].aio_nbytes = 100;
	submit(list + MOST - 1, 1, 1);
	check(syscall(SYS_io_getevents, context, MOST + 1, MOST + 1, events, NULL) == MOST + 1, "io_getevents");
	say(list[MOST - 1], 0);
}

static void refused(void)
{
	int fd = begin("refused", O_RDWR);
	struct iocb good = request(IOCB_CMD_PREAD, fd, 10, 20), bad = request(IOCB_CMD_PWRITE, 999, 30, 40);
	struct iocb odd = request(4, fd, 50, 60), zero = request(IOCB_CMD_PREAD, fd, -1, 70);
	struct iocb *list[] = { &good, &bad, &good }, *second = &odd, *third = &zero;

	submit(list, 3, 1);
	reap(1);
	check(syscall(SYS_io_submit, context, 2, list + 1) == -1, "io_submit");
	say(&bad, -errno);
	check(syscall(SYS_io_submit, context, 1, &second) == -1, "io_submit");
	check(syscall(SYS_io_submit, context, 1, &third) == -1, "io_submit");
	say(&zero, -errno);
	bad.aio_nbytes = -1; /* refused before the descriptor is looked at */
	check(syscall(SYS_io_submit, context, 1, list + 1) == -1 && errno == EINVAL, "io_submit");
	say(&bad, -errno);
	good.aio_nbytes = 11;
	submit(list, 1, 1);
	reap(1);
}

/* The data goes to the end of the file, whatever offset is given. */
static void append(void)
{
	int fd = begin("append", O_WRONLY | O_APPEND);
	struct iocb iocb = request(IOCB_CMD_PWRITE, fd, 100, 5), *list = &iocb;
	struct io_event event;

	submit(&list, 1, 1);
	check(syscall(SYS_io_getevents, context, 1, 1, &event, NULL) == 1, "io_getevents");
	iocb.aio_offset = lseek(fd, 0, SEEK_END) - 100;
	say(&iocb, event.res);
}

/* A program that ends while a request is under way; the next image of its process has one at the same address. */
static void images(char **argv, int left)
{
	char number[16], *words[] = { argv[0], ".", number, NULL };
	struct iocb *iocb = mmap((void *)0x20000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	int fd = begin("images", O_RDONLY | O_DIRECT);

	check(iocb != MAP_FAILED, "mmap");
	*iocb = request(IOCB_CMD_PREAD, fd, 4096, 4096);
	submit(&iocb, 1, 1);
	reap(1);
	fflush(stdout);
	if (!left)
		return;
	iocb->aio_offset = 8192;
	submit(&iocb, 1, 1);
	snprintf(number, sizeof(number), "%d", left - 1);
	execv(argv[0], words);
	check(0, "execv");
}

int main(int argc, char **argv)
{
	check(argc >= 2 && !chdir(argv[1]), "chdir");
	if (argc > 2) {
		images(argv, atoi(argv[2]));
		return 0;
	}
	buffered();
	several();
	many();
	direct();
	threads();
	from_ring();
	unknown();
	refused();
	append();
	return 0;
}
