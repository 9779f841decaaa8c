// SPDX-License-Identifier: Apache-2.0
/*
 * The workloads of opening and reading, by any number of threads.
 *
 * workload pread FILE COUNT THREADS         tight loop of pread64(fd, buffer, 64, 0)
 * workload orc DIRECTORY FILES ROUNDS THREADS   open, read, close over files made by 'workload tree'
 * workload tree DIRECTORY FILES             makes FILES files six levels deep
 * workload idle SECONDS
 *
 * One JSON line, see outcome.h. With FILETAP_GO set to a file descriptor, it waits for one byte there before it starts.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>
#include "outcome.h"

static const char *path;
static long files, count;
static long long moved;
static pthread_barrier_t start;

static void name_of(char *name, size_t size, long i)
{
	snprintf(name, size, "%s/a%ld/b%ld/c%ld/d/e/file%ld", path, i % 10, i / 10 % 10, i % 2, i);
}

static void make_parents(char *name)
{
	for (char *at = name + 1; (at = strchr(at, '/')); at++) {
		*at = 0;
		mkdir(name, 0755);
		*at = '/';
	}
}

static void make_tree(void)
{
	char name[4096];

	for (long i = 0; i < files; i++) {
		name_of(name, sizeof(name), i);
		make_parents(name);
		int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0644);

		if (fd < 0 || write(fd, "0123456789abcdef", 16) != 16)
			fail(name);
		close(fd);
	}
}

static void *pread_loop(void *unused)
{
	char buffer[64];
	long long bytes = 0;
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		fail(path);
	pthread_barrier_wait(&start);
	for (long i = 0; i < count; i++)
		bytes += pread(fd, buffer, sizeof(buffer), 0);
	__atomic_add_fetch(&moved, bytes, __ATOMIC_RELAXED);
	close(fd);
	return unused;
}

static void *orc_loop(void *unused)
{
	char name[4096], buffer[64];
	long long bytes = 0;

	pthread_barrier_wait(&start);
	for (long round = 0; round < count; round++) {
		for (long i = 0; i < files; i++) {
			name_of(name, sizeof(name), i);
			int fd = open(name, O_RDONLY);

			if (fd < 0)
				fail(name);
			bytes += read(fd, buffer, sizeof(buffer));
			close(fd);
		}
	}
	__atomic_add_fetch(&moved, bytes, __ATOMIC_RELAXED);
	return unused;
}

static void run(void *(*loop)(void *), int threads, long calls, const char *ops)
{
	pthread_t ids[64];

	pthread_barrier_init(&start, NULL, threads + 1);
	if (getenv("FILETAP_GO") && read(atoi(getenv("FILETAP_GO")), &(char){ 0 }, 1) < 0)
		fail("FILETAP_GO");
	if (threads == 1) {
		pthread_barrier_destroy(&start);
		pthread_barrier_init(&start, NULL, 1);
		begin();
		loop(NULL);
	} else {
		for (int i = 0; i < threads; i++)
			pthread_create(&ids[i], NULL, loop, NULL);
		pthread_barrier_wait(&start);
		begin();
		for (int i = 0; i < threads; i++)
			pthread_join(ids[i], NULL);
	}
	say(ops, calls * threads, moved, since());
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "pread")) {
		path = argv[2], count = atol(argv[3]);
		run(pread_loop, atoi(argv[4]), count, "read");
	} else if (argc == 6 && !strcmp(argv[1], "orc")) {
		path = argv[2], files = atol(argv[3]), count = atol(argv[4]);
		run(orc_loop, atoi(argv[5]), count * files, "open read close");
	} else if (argc == 4 && !strcmp(argv[1], "tree")) {
		path = argv[2], files = atol(argv[3]);
		make_tree();
	} else if (argc == 3 && !strcmp(argv[1], "idle")) {
		sleep(atoi(argv[2]));
	} else {
		fprintf(stderr, "see the head of bench/workload.c\n");
		return 2;
	}
	return 0;
}
