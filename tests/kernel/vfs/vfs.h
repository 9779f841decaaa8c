/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes each operation that the VFS level sees, and says what it did: one JSON line per call, with the paths it led to and
 * the inodes that lstat tells. What it does for itself, between those calls, is not said.
 * Usage: vfs DIRECTORY [CASE...]; DIRECTORY is empty and anybody may search it.
 */
#ifndef VFS_H
#define VFS_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOBODY 65534
#define ROUNDS 100

extern const char *here, *now_case;

/* CLOCK_BOOTTIME around this thread's last call. */
extern __thread long long begun, ended;

long long clock_ns(void);

struct place {
	const char *name;
	unsigned long long inode; /* of the file that is there; 0: nothing to be said of it */
};

/* What one call did. A path that does not begin with a slash is below 'here'; a zero: nothing to be said. */
struct deed {
	const char *op, *call;
	const char *hooks; /* what of the VFS level it passed, where that is not what its name says: FUNCTION/OP ... */
	const char *path;
	struct place target;
	const char *asked, *asked_target; /* how the caller called them, where a path is told as it was asked for */
	long long result;
	unsigned long long inode;
	long long offset, size, argument;
	int fd; /* 1 + the descriptor that was given */
	bool early; /* failed before any hook */
	bool silent; /* no system call that is decoded: of an io_uring, or 32-bit */
	bool unknown; /* no call returns with its result */
};

/* In a buffer of its own for each of a few calls. */
char *in(const char *name);
unsigned long long inode_of(const char *name);
struct place there(const char *name);
void begin_report(void);
int end_report(void);
long did(struct deed d);

#define DID(...) did((struct deed){ __VA_ARGS__ })
#define INODE(name) .inode = inode_of(name)

void check(bool good, const char *file, int line);

#define CHECK(good) check(good, __FILE__, __LINE__)

long call(long nr, long a, long b, long c, long d, long e, long f);

#define CALL_(nr, a, b, c, d, e, f, ...) call(SYS_##nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define CALL(...) CALL_(__VA_ARGS__, 0, 0, 0, 0, 0, 0)

/* A file of 'size' bytes, made without a word. */
void make(const char *name, int size);
int opened(const char *name, int flags);
/* A child writes only what it says itself. */
void forked(void (*act)(void));

#define PATH_TRUNCATED "security_path_truncate/truncate security_path_truncate/modify"
#define FILE_TRUNCATED "security_file_truncate/truncate security_file_truncate/modify"
#define CREATED "security_path_mknod/mknod security_file_open/open"
#define WRITTEN "security_file_permission/write security_file_permission/modify"
#define COPIED "security_file_permission/read " WRITTEN

void made_directory(void);
void removed_directory(void);
void made_node(void);
void linked(void);
void unlinked(void);
void renamed(void);
void attributes(void);
void truncated(void);
void opened_files(void);
void moved_bytes(void);
void loops(void);
void threads(void);
void elsewhere(void);
void overlay(void);
void narrow(void);
void requests(void);
void rings(void);
void hidden(void);
void executed(void);

#endif
