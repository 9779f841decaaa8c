// SPDX-License-Identifier: Apache-2.0
/*
 * Threads that share a descriptor table. 'agent' starts threads and has each of them open a file on command; the other
 * verbs race and print what really happened.
 * Usage: threads survivor FILE | threads agent | threads dup2 ONE TWO ROUNDS |
 * threads shared FILE THREADS ROUNDS | threads pipe FILE ROUNDS
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MOST 64

struct agent {
	pthread_t id;
	int wake[2], done[2];
	long tid;
	char path[4096];
};

static struct agent agents[MOST];
static int count;

static void pass(int fd)
{
	if (write(fd, "x", 1) != 1)
		exit(4);
}

static void await(int fd)
{
	char byte;

	if (read(fd, &byte, 1) != 1)
		exit(5);
}

static void *agent(void *context)
{
	struct agent *me = context;

	me->tid = syscall(SYS_gettid);
	for (;;) {
		pass(me->done[1]);
		await(me->wake[0]);
		close(open(me->path, O_RDONLY));
	}
	return NULL;
}

static void start(void)
{
	struct agent *a = &agents[count++];

	if (pipe(a->wake) || pipe(a->done) || pthread_create(&a->id, NULL, agent, a))
		exit(6);
	await(a->done[0]);
	printf("%ld\n", a->tid);
}

static void touch(int number, const char *path)
{
	struct agent *a = &agents[number];

	snprintf(a->path, sizeof(a->path), "%s", path);
	pass(a->wake[1]);
	await(a->done[0]);
	printf("%ld\n", a->tid);
}

/* One command per line; ends each answer like the shell in harness.py. */
static void obey(void)
{
	char line[5000], path[4096];
	int number;

	while (fgets(line, sizeof(line), stdin)) {
		if (!strncmp(line, "start", 5))
			start();
		else if (sscanf(line, "touch %d %4095s", &number, path) == 2)
			touch(number, path);
		else if (!strncmp(line, "echo", 4))
			printf("--done--\n");
		fflush(stdout);
	}
}

/* Waits until a thread's file in /proc has this value: which file, and the text from which character on. */
static void wait_until(long tid, const char *file, char from, const char *beginning)
{
	char name[64], text[256], *at;
	int fd, size;

	snprintf(name, sizeof(name), "/proc/self/task/%ld/%s", tid, file);
	do {
		fd = open(name, O_RDONLY);
		size = read(fd, text, sizeof(text) - 1);
		text[size > 0 ? size : 0] = 0;
		close(fd);
		at = from ? strrchr(text, from) : text;
		sched_yield();
	} while (!at || strncmp(at, beginning, strlen(beginning)));
}

static atomic_int stop, swaps;
static int one, two, target = 100;
static long rounds;

static void *swap(void *unused)
{
	while (!stop) {
		dup2(one, target);
		dup2(two, target);
		swaps++;
	}
	return unused;
}

/* Reads through a descriptor that another thread points to two files in turn. The files contain only 'a' or only 'b', so the
 * data identifies the file. Prints one letter per read. Now and then it waits for the other thread, which may share its CPU. */
static void race(const char *first, const char *second)
{
	char *truth = calloc(1, rounds + 1);
	pthread_t id;

	one = open(first, O_RDONLY);
	two = open(second, O_RDONLY);
	dup2(one, target);
	pthread_create(&id, NULL, swap, NULL);
	for (long i = 0; i < rounds; i++) {
		for (int before = swaps; i % 200 == 0 && swaps == before;)
			sched_yield();
		if (pread(target, truth + i, 1, i % 1000) != 1)
			truth[i] = '-';
	}
	stop = 1;
	pthread_join(id, NULL);
	puts(truth);
}

static int shared;

struct reads {
	long tid;
	long long *offsets; /* the data gives the position: the file holds its own offsets, 8 bytes each */
};

static void *read_shared(void *context)
{
	struct reads *r = context;

	r->tid = syscall(SYS_gettid);
	for (long i = 0; i < rounds; i++)
		if (read(shared, &r->offsets[i], 8) != 8)
			exit(7);
	return NULL;
}

static void share(const char *path, int threads)
{
	struct reads r[MOST];
	pthread_t ids[MOST];

	shared = open(path, O_RDONLY);
	for (int i = 0; i < threads; i++) {
		r[i].offsets = calloc(rounds, 8);
		pthread_create(&ids[i], NULL, read_shared, &r[i]);
	}
	for (int i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
		printf("{\"tid\":%ld,\"offsets\":[", r[i].tid);
		for (long j = 0; j < rounds; j++)
			printf("%s%lld", j ? "," : "", r[i].offsets[j]);
		puts("]}");
	}
}

static void *replace(void *file)
{
	char asleep[32];

	snprintf(asleep, sizeof(asleep), "%d %#x ", SYS_read, target);
	wait_until(getpid(), "syscall", 0, asleep);
	dup2(open(file, O_RDONLY), target);
	pass(two);
	return NULL;
}

/* A read that blocks on a pipe while the descriptor becomes a file. */
static void block(char *path)
{
	int ends[2];
	pthread_t id;
	char byte;

	if (pipe(ends))
		exit(8);
	two = ends[1];
	dup2(ends[0], target);
	pthread_create(&id, NULL, replace, path);
	printf("{\"result\":%zd}\n", read(target, &byte, 1));
	pthread_join(id, NULL);
}

static void *survive(void *path)
{
	char byte;
	int fd;

	wait_until(getpid(), "stat", ')', ") Z ");
	fd = open(path, O_RDONLY);
	if (read(fd, &byte, 1) != 1)
		exit(9);
	printf("{\"tid\":%ld}\n", syscall(SYS_gettid));
	exit(5);
	return NULL;
}

/* The first thread ends; the process goes on without it. */
static void survivor(char *path)
{
	pthread_t id;

	pthread_create(&id, NULL, survive, path);
	pthread_exit(NULL);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (!strcmp(verb, "agent"))
		obey();
	else if (!strcmp(verb, "dup2"))
		rounds = atol(argv[4]), race(argv[2], argv[3]);
	else if (!strcmp(verb, "shared"))
		rounds = atol(argv[4]), share(argv[2], atoi(argv[3]));
	else if (!strcmp(verb, "pipe"))
		block(argv[2]);
	else if (!strcmp(verb, "survivor"))
		survivor(argv[2]);
	return 0;
}
