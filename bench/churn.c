// SPDX-License-Identifier: Apache-2.0
/*
 * The workload that never meets a file twice: what a tracer keeps for each file shows here.
 *
 * churn DIRECTORY COUNT    COUNT times: create a file, write 16 bytes, close it, unlink it
 *
 * One JSON line on standard output, as workload.c's: {"calls":..,"bytes":..,"ns":..}.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void make_and_remove(const char *path, long i)
{
	char name[4096];
	int fd;

	snprintf(name, sizeof(name), "%s/%d-%ld", path, getpid(), i);
	fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);
	if (fd < 0 || write(fd, "0123456789abcdef", 16) != 16)
		fail(name);
	close(fd);
	if (unlink(name))
		fail(name);
}

int main(int argc, char **argv)
{
	struct timespec a, b;
	long count;

	if (argc != 3) {
		fprintf(stderr, "see the head of bench/churn.c\n");
		return 2;
	}
	count = atol(argv[2]);
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (long i = 0; i < count; i++)
		make_and_remove(argv[1], i);
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("{\"calls\":%ld,\"bytes\":%ld,\"ns\":%lld}\n", count, count * 16,
	       (b.tv_sec - a.tv_sec) * 1000000000LL + b.tv_nsec - a.tv_nsec);
	return 0;
}
