/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random creates, links, renames, removals and reads by several tasks in one tree: soak DIRECTORY LOG TASKS SECONDS SEED
 * [RECLAIM].
 *
 * For each read(2) a task writes a line to LOG.<pid>: the file's name in /proc/self/fd right before and right after it, or "?" if
 * the two differ. RECLAIM is a file that frees unused dentries when "0" is written to it.
 *
 * Separate from operations.c, because here names are compared, not counts.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DIRECTORIES 6
#define NAMES 12

static unsigned seed;
static FILE *log_file;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static unsigned pick(unsigned below)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % below;
}

static const char *directory(void)
{
	static char texts[4][32];
	static int turn;
	char *text = texts[turn++ % 4];

	if (pick(2))
		snprintf(text, sizeof(texts[0]), "d%u", pick(DIRECTORIES));
	else
		snprintf(text, sizeof(texts[0]), "d%u/s%u", pick(DIRECTORIES), pick(3));
	return text;
}

static const char *file(void)
{
	static char texts[4][64];
	static int turn;
	char *text = texts[turn++ % 4];

	snprintf(text, sizeof(texts[0]), "%s/n%u", directory(), pick(NAMES));
	return text;
}

static int name_of(int fd, char *name)
{
	char link[32];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, name, PATH_MAX - 1);
	if (length < 0)
		fail("readlink");
	name[length] = 0;
	return length;
}

/* Another task may rename or remove the file meanwhile: a name that is the same before and after was valid at the read. */
static void read_one(int fd)
{
	char before[PATH_MAX], after[PATH_MAX], content[64];

	name_of(fd, before);
	if (pread(fd, content, sizeof(content), 0) < 0)
		fail("pread");
	name_of(fd, after);
	fprintf(log_file, "%s\n", strcmp(before, after) ? "?" : before);
}

static void read_some(void)
{
	int fd = open(file(), O_RDONLY);

	if (fd < 0)
		return;
	for (unsigned times = 1 + pick(3); times; times--)
		read_one(fd);
	close(fd);
}

static void create(void)
{
	int fd = open(file(), O_CREAT | O_RDWR, 0644);

	if (fd < 0)
		return;
	if (write(fd, "content", 1 + pick(7)) < 0)
		fail("write");
	read_one(fd);
	close(fd);
}

static void act(const char *reclaim)
{
	unsigned what = pick(100);
	int fd;

	if (what < 40)
		read_some();
	else if (what < 60)
		create();
	else if (what < 70)
		(void)!link(file(), file());
	else if (what < 80)
		(void)!rename(file(), file());
	else if (what < 92)
		unlink(file());
	else if (what < 94)
		(void)!rename(directory(), directory());
	else if (what < 96)
		rmdir(directory());
	else if (what < 99 || !reclaim || pick(20))
		mkdir(directory(), 0755);
	else if ((fd = open(reclaim, O_WRONLY)) >= 0) {
		(void)!write(fd, "0", 1);
		close(fd);
	}
}

/* A dentry's memory is free after a grace period of RCU. */
static void settle(void)
{
	struct timespec pause = { .tv_nsec = 10000000 };

	nanosleep(&pause, NULL);
}

static void read_name(const char *name)
{
	int fd = open(name, O_RDONLY);

	if (fd < 0)
		return;
	read_one(fd);
	close(fd);
}

/* New files, or new links to one, each read and removed: undisturbed, so that each gets the memory and the number of the last. */
static void replace_often(int is_link)
{
	char own[64], name[64];
	int fd;

	snprintf(own, sizeof(own), "own%d", getpid());
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "%s/p%d-%d", directory(), getpid(), i);
		fd = open(is_link ? own : name, O_CREAT | O_WRONLY, 0644);
		if (fd < 0)
			continue;
		close(fd);
		if (is_link)
			(void)!link(own, name);
		read_name(name);
		unlink(name);
		settle();
	}
}

/* One name in directories that are created again. */
static void replace_directories(void)
{
	char outer[64], inner[80], name[96], own[64];

	snprintf(own, sizeof(own), "own%d", getpid());
	for (int i = 0; i < 40; i++) {
		snprintf(outer, sizeof(outer), "t%d-%d", getpid(), i);
		snprintf(inner, sizeof(inner), "%s/s", outer);
		snprintf(name, sizeof(name), "%s/name", inner);
		if (mkdir(outer, 0755) || mkdir(inner, 0755) || link(own, name))
			close(open(name, O_CREAT | O_WRONLY, 0644));
		read_name(name);
		unlink(name);
		rmdir(inner);
		rmdir(outer);
		settle();
	}
}

static void quiet_time(void)
{
	unsigned what = pick(3);

	if (what == 2)
		replace_directories();
	else
		replace_often(what);
}

static int work(const char *log, long seconds, unsigned number, const char *reclaim)
{
	struct timespec now, end;
	char name[PATH_MAX];

	snprintf(name, sizeof(name), "%s.%d", log, getpid());
	log_file = fopen(name, "we");
	if (!log_file)
		fail(name);
	seed = number;
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += seconds;
	do {
		quiet_time();
		for (int i = 0; i < 200; i++)
			act(reclaim);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
	return fclose(log_file) != 0;
}

int main(int argc, char **argv)
{
	int status, failed = 0;

	if (argc < 6 || chdir(argv[1])) {
		fprintf(stderr, "usage: soak DIRECTORY LOG TASKS SECONDS SEED [RECLAIM]\n");
		return 2;
	}
	for (int i = 0; i < atoi(argv[3]); i++)
		if (!fork())
			_exit(work(argv[2], atol(argv[4]), (unsigned)(atol(argv[5]) * 7919 + i * 104729 + 1), argc > 6 ? argv[6] : NULL));
	while (wait(&status) > 0)
		failed |= status;
	return failed != 0;
}
