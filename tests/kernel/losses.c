// SPDX-License-Identifier: Apache-2.0
/*
 * More than a tracer can hold: too fast, too many files, too many processes. Prints JSON lines about what it did, so
 * that a test needs nothing from the tracer itself.
 * Usage: losses storm DIRECTORY THREADS FILES ROUNDS | losses matrix DIRECTORY THREADS FILES CALLS [STEP]
 * losses number FILE THREADS | losses files DIRECTORY COUNT KEPT [STEP] | losses vain DIRECTORY COUNT [STEP]
 * losses children FILE FORKS EXECS | losses pending - COUNT ENTRIES
 */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST 1024

static const char *directory;
static int files, rounds, in_step;
static pthread_barrier_t all;
static volatile sig_atomic_t stopped;

static void check(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		_exit(1);
	}
}

/* Runs one function in several threads; each gets its number. */
static void run(int threads, void *(*function)(void *))
{
	pthread_attr_t small;
	pthread_t ids[MOST];

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 64 << 10);
	pthread_barrier_init(&all, NULL, threads);
	for (long i = 0; i < threads; i++)
		check(!pthread_create(&ids[i], &small, function, (void *)i), "pthread_create");
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
}

static void say(int file, const char *op, long count, long bytes)
{
	printf("{\"thread\":%d,\"path\":\"%s/%d\",\"op\":\"%s\",\"count\":%ld,\"bytes\":%ld}\n", gettid(), directory, file, op, count,
	       bytes);
}

/* One round on one file: opened, two writes, two reads, closed. */
static void round_on(int file, long *written, long *got)
{
	char name[4096], bytes[64] = "";
	int fd;

	snprintf(name, sizeof(name), "%s/%d", directory, file);
	fd = open(name, O_RDWR);
	check(fd >= 0, name);
	*written += write(fd, bytes, file + 1);
	*written += pwrite(fd, bytes, 2, 8);
	*got += read(fd, bytes, sizeof(bytes));
	*got += pread(fd, bytes, 5, 1);
	close(fd);
}

static void *storm(void *unused)
{
	long written[MOST] = {}, got[MOST] = {};

	pthread_barrier_wait(&all);
	for (int i = 0; i < rounds; i++)
		for (int file = 0; file < files; file++)
			round_on(file, &written[file], &got[file]);
	for (int file = 0; file < files; file++) {
		say(file, "open", rounds, 0);
		say(file, "close", rounds, 0);
		say(file, "write", 2 * rounds, written[file]);
		say(file, "read", 2 * rounds, got[file]);
	}
	return unused;
}

/* Every thread reads every file this many times, each thread its own number of bytes. After every STEP reads it waits for a
 * line. */
static int descriptors[MOST];

static void *matrix(void *number)
{
	long size = (long)number % 7 + 1;
	char bytes[8];

	for (int i = 0; i < rounds; i++) {
		int waits = in_step && i && i % in_step == 0;

		if (waits && !number)
			getchar();
		if (waits || !i)
			pthread_barrier_wait(&all);
		for (int file = 0; file < files; file++)
			check(pread(descriptors[file], bytes, size, 0) == size, "pread");
	}
	for (int file = 0; file < files; file++)
		say(file, "read", rounds, rounds * size);
	return NULL;
}

static void open_all(void)
{
	char name[4096];

	for (int file = 0; file < files; file++) {
		snprintf(name, sizeof(name), "%s/%d", directory, file);
		descriptors[file] = open(name, O_RDONLY);
		check(descriptors[file] >= 0, name);
	}
}

static void on_signal(int unused)
{
	stopped = unused;
}

/* Each call has the next number as its offset, until SIGTERM. */
static void *number(void *unused)
{
	struct timespec pause = { .tv_nsec = 20000 };
	long i;
	char byte;

	for (i = 0; !stopped; i++) {
		check(pread(descriptors[0], &byte, 1, i) >= 0, "pread");
		nanosleep(&pause, NULL);
	}
	printf("{\"thread\":%d,\"calls\":%ld}\n", gettid(), i);
	return unused;
}

static void name_of(char *name, const char *kind, long i)
{
	snprintf(name, 4096, "%s/%ld/%s%ld", directory, i / 1000, kind, i);
}

/* The size of file i. */
static int size_of(long i)
{
	return i % 61 + 1;
}

static void write_once(long i)
{
	char name[4096], bytes[64] = "";
	struct stat st;
	int fd;

	name_of(name, "file", i);
	fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
	check(fd >= 0 && write(fd, bytes, size_of(i)) == size_of(i), name);
	check(i % 1000 || !fstat(fd, &st), "fstat");
	if (i % 1000 == 0)
		printf("{\"file\":%ld,\"inode\":\"%lu\"}\n", i, (unsigned long)st.st_ino);
	close(fd);
}

static void read_again(long i)
{
	char name[4096], bytes[64];
	int fd;

	name_of(name, "file", i);
	fd = open(name, O_RDONLY);
	check(fd >= 0 && read(fd, bytes, sizeof(bytes)) == size_of(i), name);
	close(fd);
	check(!unlink(name), name);
}

/* This many files, of which the newest KEPT exist at a time; a file is read again before it is removed. After every STEP of
 * them it waits for a line, if STEP is given. */
static void many_files(long count, long kept, long step)
{
	char name[4096];

	for (long i = 0; i < count + kept; i++) {
		if (i < count && i % 1000 == 0) {
			snprintf(name, sizeof(name), "%s/%ld", directory, i / 1000);
			check(!mkdir(name, 0700), name);
		}
		if (i < count)
			write_once(i);
		if (i >= kept)
			read_again(i - kept);
		if (i >= kept && (i - kept) % 1000 == 999) {
			snprintf(name, sizeof(name), "%s/%ld", directory, (i - kept) / 1000);
			check(!rmdir(name), name);
		}
		if (step && i % step == step - 1)
			check(getchar() == '\n', "stdin");
	}
}

/* This many failed names, each used once. After every STEP of them it waits for a line, if STEP is given. */
static void in_vain(long count, long step)
{
	char name[4096];

	for (long i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%s/none%ld", directory, i);
		check(open(name, O_RDONLY) < 0, name);
		if (step && i % step == step - 1)
			check(getchar() == '\n', "stdin");
	}
}

/* This many reads of one byte under way at once, by io_uring, before there is anything to read. The ring has room for twice as
 * many completions as ENTRIES, the others wait in the overflow list. With a file instead of "-" kernel workers read it, several
 * at a time. Exits 77 without io_uring. */
static void pending(unsigned count, unsigned entries)
{
	struct io_uring_params p = { 0 };
	int fd = syscall(SYS_io_uring_setup, entries, &p), ends[2];
	char *bytes = calloc(1, count), *at;
	struct io_uring_sqe *sqes, sqe = { .opcode = IORING_OP_READ, .addr = (unsigned long)bytes, .len = 1 };
	int piped = !strcmp(directory, "-");

	if (fd < 0)
		exit(77);
	at = mmap(NULL, p.sq_off.array + entries * sizeof(unsigned), PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	sqes = mmap(NULL, entries * sizeof(*sqes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
	check(at != MAP_FAILED && sqes != MAP_FAILED && !pipe(ends), "pending");
	sqe.fd = piped ? ends[0] : open(directory, O_RDONLY);
	sqe.flags = piped ? 0 : IOSQE_ASYNC;
	for (unsigned i = 0; i < entries; i++) {
		((unsigned *)(at + p.sq_off.array))[i] = i;
		sqes[i] = sqe;
	}
	for (unsigned i = 0; i < count; i++) {
		__atomic_add_fetch((unsigned *)(at + p.sq_off.tail), 1, __ATOMIC_RELEASE);
		check(syscall(SYS_io_uring_enter, fd, 1, 0, 0, NULL, 0) == 1, "io_uring_enter");
	}
	check(!piped || write(ends[1], bytes, count) == (int)count, "write");
	for (unsigned i = 0; i < count; i++) {
		check(syscall(SYS_io_uring_enter, fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 0, "io_uring_enter");
		__atomic_add_fetch((unsigned *)(at + p.cq_off.head), 1, __ATOMIC_RELEASE);
	}
}

static void child(int fd, long size)
{
	char bytes[64];

	_exit(pread(fd, bytes, size, 0) != size);
}

/* The i-th child reads size_of(i) bytes; the last ones after an exec of this program. */
static void children(const char *self, long forks, long execs)
{
	int fd = open(directory, O_RDONLY), status;
	char size[16], descriptor[16];

	snprintf(descriptor, sizeof(descriptor), "%d", fd);
	for (long i = 0; i < forks + execs; i++) {
		pid_t pid = i < forks ? fork() : vfork();

		if (!pid && i < forks)
			child(fd, size_of(i));
		if (!pid) {
			snprintf(size, sizeof(size), "%d", size_of(i));
			execl(self, self, "child", descriptor, size, NULL);
			_exit(2);
		}
		check(pid > 0 && waitpid(pid, &status, 0) == pid && !status, "child");
		printf("{\"child\":%d,\"size\":%d,\"executed\":%s}\n", pid, size_of(i), i < forks ? "false" : "true");
	}
}

int main(int argc, char **argv)
{
	const char *verb = argc > 3 ? argv[1] : "";
	int count = argc > 3 ? atoi(argv[3]) : 0;

	directory = argc > 3 ? argv[2] : "";
	files = argc > 4 ? atoi(argv[4]) : 1;
	rounds = argc > 5 ? atoi(argv[5]) : 0;
	in_step = argc > 6 ? atoi(argv[6]) : 0;
	setlinebuf(stdout); /* children must not inherit buffered output */
	if (!strcmp(verb, "storm"))
		run(count, storm);
	else if (!strcmp(verb, "matrix")) {
		open_all();
		run(count, matrix);
	} else if (!strcmp(verb, "number")) {
		signal(SIGTERM, on_signal);
		descriptors[0] = open(directory, O_RDONLY);
		run(count, number);
	} else if (!strcmp(verb, "files"))
		many_files(count, files, rounds);
	else if (!strcmp(verb, "vain"))
		in_vain(count, argc > 4 ? files : 0);
	else if (!strcmp(verb, "pending"))
		pending(count, files);
	else if (!strcmp(verb, "children"))
		children(argv[0], count, files);
	else if (!strcmp(verb, "child"))
		child(atoi(argv[2]), count);
	return 0;
}
