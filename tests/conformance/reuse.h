/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the cases of the group reuse: files and names that are created, read once and removed, so that the kernel
 * reuses their memory and numbers. Separate from case.h, because no other case repeats operations so often.
 */
#ifndef REUSE_H
#define REUSE_H

#include "case.h"
#include <sched.h>
#include <sys/mount.h>
#include <time.h>

#define ROUNDS 30

/* A dentry's memory is free after a grace period of RCU. */
static inline void settle(void)
{
	struct timespec pause = { .tv_nsec = 15000000 };

	nanosleep(&pause, NULL);
}

static inline void own_mounts(void)
{
	if (unshare(CLONE_NEWNS))
		cannot("a mount namespace needs CAP_SYS_ADMIN");
	CHECK(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
}

/* Changes to a new working directory on tmpfs. */
static inline void enter_tmpfs(void)
{
	own_mounts();
	CHECK(!mkdir("m", 0755) && !mount("tmpfs", "m", "tmpfs", 0, NULL) && !chdir("m"));
}

/* Changes to a new working directory on overlayfs, as in a container. */
static inline void enter_overlay(void)
{
	CHECK(!mkdir("lower", 0755) && !mkdir("upper", 0755) && !mkdir("work", 0755) && !mkdir("all", 0755));
	own_mounts();
	if (mount("overlay", "all", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work"))
		cannot("overlayfs");
	CHECK(!chdir("all"));
}

/* Makes one read(2) of a file, which is expected under its name in /proc/self/fd at that time. */
static inline void take(const char *name)
{
	char content[256], link[64], now[PATH_MAX];
	int fd = open_file(name, O_RDONLY);
	long result = outcome(syscall(SYS_read, fd, content, sizeof(content)));

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, now, sizeof(now) - 1);
	struct stat status;
	CHECK(length > 0 && !fstat(fd, &status));
	now[length] = 0;
	expect("read", "read", "\"path\":\"%s\",\"inode\":\"%lu\",\"fd\":%d,\"result\":%ld", now, (unsigned long)status.st_ino, fd, result);
	CHECK(!close(fd));
}

/* Appends the number 'at' to a word. */
static inline const char *numbered(const char *word, int at)
{
	static char texts[4][64];
	static int turn;
	char *text = texts[turn++ % 4];

	snprintf(text, sizeof(texts[0]), "%s%03d", word, at);
	return text;
}

/* Creates, reads and removes a file with its own name. */
static inline void take_new(const char *name)
{
	make_file(name, 10);
	take(name);
	CHECK(!unlink(name));
	settle();
}

/* Reads the file "a" under another name, which exists only for that. */
static inline void take_link(const char *name)
{
	CHECK(!link("a", name));
	take(name);
	CHECK(!unlink(name));
	settle();
}

/* Creates nested directories, and a link to "a" or a new file there. */
static inline void take_in_new_directory(int at, int is_link)
{
	char directory[64], inner[80], name[96];

	snprintf(directory, sizeof(directory), "%s", numbered("d", at));
	snprintf(inner, sizeof(inner), "%s/sub", directory);
	snprintf(name, sizeof(name), "%s/name", inner);
	CHECK(!mkdir(directory, 0755) && !mkdir(inner, 0755));
	if (is_link)
		take_link(name);
	else
		take_new(name);
	CHECK(!rmdir(inner) && !rmdir(directory));
	settle();
}

#endif
