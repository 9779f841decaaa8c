/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the kernel reuse memory and inode numbers: reuse COUNT RECLAIM TEXT MODE..., in its working directory. RECLAIM
 * is a file that frees unused dentries when TEXT is written to it. Each file is read once; a line on standard output has
 * its inode, its size, its name in /proc/self/fd while it is open, and the mode.
 * Separate from files.c, because here the order of creating and removing matters.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition) ((condition) ? (void)0 : err(1, "line %d: %s", __LINE__, #condition))

static const char *reclaim_file, *reclaim_text, *mode_name;

/* A dentry's memory is free after a grace period of RCU. */
static void settle(void)
{
	struct timespec pause = { .tv_nsec = 15000000 };

	nanosleep(&pause, NULL);
}

static void reclaim(void)
{
	int fd = open(reclaim_file, O_WRONLY);

	CHECK(fd >= 0);
	/* EAGAIN: less was reclaimed than the text requests. */
	CHECK(write(fd, reclaim_text, strlen(reclaim_text)) > 0 || errno == EAGAIN || errno == EBUSY);
	close(fd);
	settle();
}

static void say(int fd)
{
	char link[64], path[PATH_MAX];
	struct stat status;
	ssize_t length;

	sprintf(link, "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	CHECK(length > 0 && !fstat(fd, &status));
	path[length] = 0;
	printf("%lu %ld %s %s\n", (unsigned long)status.st_ino, (long)status.st_size, path, mode_name);
}

static void take(const char *name)
{
	char content[256];
	int fd = open(name, O_RDONLY);

	CHECK(fd >= 0 && read(fd, content, sizeof(content)) >= 0);
	say(fd);
	close(fd);
}

static void make(const char *name, int bytes)
{
	char content[256] = "";
	int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);

	CHECK(fd >= 0 && write(fd, content, bytes) == bytes);
	close(fd);
}

/* New files, each with a name of its own. */
static void new_files(int at)
{
	char name[32];

	sprintf(name, "n%03d", at);
	make(name, 1);
	take(name);
	CHECK(!unlink(name));
}

/* New files of one name and of different sizes. */
static void same_name(int at)
{
	make("same", 1 + at);
	take("same");
	CHECK(!unlink("same"));
}

/* One file under names that are created and removed. */
static void links(int at)
{
	char name[32];

	sprintf(name, "n%03d", at);
	CHECK(!link("file", name));
	take(name);
	CHECK(!unlink(name));
}

/* One file under one name in two directories. */
static void two_directories(int at)
{
	const char *name = at % 2 ? "d1/name" : "d2/name";

	CHECK(!link("file", name));
	take(name);
	CHECK(!unlink(name));
}

/* One file and similar names, below directories that are created again each time. */
static void new_directories(int at)
{
	char directory[32], inner[40], name[48];

	sprintf(directory, "t%03d", at);
	sprintf(inner, "%s/sub", directory);
	sprintf(name, "%s/name", inner);
	CHECK(!mkdir(directory, 0755) && !mkdir(inner, 0755) && !link("file", name));
	take(name);
	CHECK(!unlink(name) && !rmdir(inner) && !rmdir(directory));
}

/* New files of one name below directories that are created again each time. */
static void new_trees(int at)
{
	char directory[32], inner[40], name[48];

	sprintf(directory, "t%03d", at);
	sprintf(inner, "%s/sub", directory);
	sprintf(name, "%s/name", inner);
	CHECK(!mkdir(directory, 0755) && !mkdir(inner, 0755));
	make(name, 1);
	take(name);
	CHECK(!unlink(name) && !rmdir(inner) && !rmdir(directory));
}

/* A file is renamed, and its old dentry's memory is reclaimed before it is looked up under the new name. */
static void renamed(int at)
{
	char old[32], new[32];

	sprintf(old, "r%03d", at);
	sprintf(new, "r%03d", at + 1);
	if (!at)
		make(old, 1);
	take(old);
	CHECK(!rename(old, new));
	reclaim();
	take(new);
	reclaim();
}

/* The same file by another of its names, after the first name's dentry was reclaimed. */
static void reclaimed_links(int at)
{
	if (!at)
		CHECK(!link("file", "d1/name") && !link("file", "d2/name"));
	take(at % 2 ? "d1/name" : "d2/name");
	reclaim();
}

/* Files that have no name in any directory. */
static void anonymous(int at)
{
	sigset_t mask;
	int fd;

	sigemptyset(&mask);
	for (int kind = 0; kind < 5; kind++) {
		fd = kind == 0   ? inotify_init1(0)
		     : kind == 1 ? epoll_create1(0)
		     : kind == 2 ? eventfd(0, 0)
		     : kind == 3 ? timerfd_create(CLOCK_MONOTONIC, 0)
				 : signalfd(-1, &mask, 0);
		CHECK(fd >= 0);
		say(fd);
		close(fd);
	}
	(void)at;
}

static const struct mode {
	const char *name;
	void (*run)(int at);
} modes[] = {
	{ "new_files", new_files },
	{ "same_name", same_name },
	{ "links", links },
	{ "two_directories", two_directories },
	{ "new_directories", new_directories },
	{ "new_trees", new_trees },
	{ "renamed", renamed },
	{ "reclaimed_links", reclaimed_links },
	{ "anonymous", anonymous },
};

static void run_mode(const char *name, int count)
{
	unsigned i = 0;

	while (strcmp(modes[i].name, name))
		if (++i == sizeof(modes) / sizeof(*modes))
			errx(2, "no mode %s", name);
	mode_name = name;
	for (int at = 0; at < count; at++) {
		modes[i].run(at);
		settle();
	}
}

int main(int argc, char **argv)
{
	if (argc < 5)
		errx(2, "usage: reuse COUNT RECLAIM TEXT MODE...");
	reclaim_file = argv[2];
	reclaim_text = argv[3];
	make("file", 1);
	for (int i = 0; i < 2; i++)
		CHECK(!mkdir(i ? "d2" : "d1", 0755) || errno == EEXIST);
	for (int i = 4; i < argc; i++)
		run_mode(argv[i], atoi(argv[1]));
}
