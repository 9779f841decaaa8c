/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a case reports what it does: one JSON line on standard output for each event that a tracer should report.
 * Separate, so that a case is a few lines and names no tracer.
 * A case runs in an empty directory of its own. Its first comment is its title. The operations it expects are exact: a
 * tracer that reports fewer or more events of these operations, below that directory or on these files, has failed. Exit
 * status 77, with the missing kernel facility on standard error: this machine does not support the case.
 */
#ifndef CASE_H
#define CASE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define CANNOT 77
#define CHECK(condition) ((condition) ? (void)0 : give_up(#condition, __LINE__))

static inline void give_up(const char *what, int line)
{
	fprintf(stderr, "line %d: %s: %s\n", line, what, strerror(errno));
	exit(1);
}

static inline void cannot(const char *facility)
{
	fprintf(stderr, "%s\n", facility);
	exit(CANNOT);
}

/* Returns the result of a raw call as a tracer sees it: the value, or the negative error. */
static inline long outcome(long returned)
{
	return returned == -1 ? -errno : returned;
}

/* "path": the absolute path of a name in the case's directory (or of an absolute name), as JSON members. */
static inline const char *path(const char *name)
{
	static char texts[8][PATH_MAX + 32];
	static int turn;
	char *text = texts[turn++ % 8], directory[PATH_MAX];

	CHECK(getcwd(directory, sizeof(directory)));
	if (name[0] == '/')
		snprintf(text, sizeof(texts[0]), "\"path\":\"%s\"", name);
	else
		snprintf(text, sizeof(texts[0]), "\"path\":\"%s/%s\"", directory, name);
	return text;
}

/* "inode" and "device" from stat(2), as JSON members. */
static inline const char *identity(const struct stat *status)
{
	static char texts[8][96];
	static int turn;
	char *text = texts[turn++ % 8];

	snprintf(text, sizeof(texts[0]), "\"inode\":\"%lu\",\"device\":\"%u:%u\"", (unsigned long)status->st_ino, major(status->st_dev),
		 minor(status->st_dev));
	return text;
}

static inline const char *identity_of(int fd)
{
	struct stat status;

	CHECK(!fstat(fd, &status));
	return identity(&status);
}

/* Reports one event: its operation and call, and other members as JSON ("\"offset\":%d", ...). Members are path, inode, device,
 * resolved, deleted (of the file), target (an object with the same), and all of io: fd, offset, size, result, flags, ... Only
 * the given ones are compared. */
__attribute__((format(printf, 3, 4))) static inline void expect(const char *op, const char *call, const char *members, ...)
{
	va_list values;

	printf("{\"op\":\"%s\",\"call\":\"%s\"%s", op, call, *members ? "," : "");
	va_start(values, members);
	vprintf(members, values);
	va_end(values);
	puts("}");
	fflush(stdout);
}

/* Creates a file of this size, and closes it. */
static inline void make_file(const char *name, int bytes)
{
	int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);
	char *content = calloc(1, bytes + 1);

	CHECK(fd >= 0 && content);
	CHECK(write(fd, content, bytes) == bytes);
	CHECK(!close(fd));
	free(content);
}

static inline int open_file(const char *name, int flags)
{
	int fd = open(name, flags, 0644);

	CHECK(fd >= 0);
	return fd;
}

#endif
