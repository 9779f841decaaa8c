/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes each operation that the VFS level sees, and prints one JSON line per call, with the resolved paths and the
 * inodes from lstat. Its own calls in between are not printed.
 * Usage: vfs DIRECTORY [CASE...]; DIRECTORY is empty and all users may search it.
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

extern const char *directory, *current_case;

/* CLOCK_BOOTTIME around this thread's last call. */
extern __thread long long begun, ended;

long long clock_ns(void);

struct target {
	const char *name;
	unsigned long long inode; /* of the file at this path; 0: not compared */
};

/* What one call did. A path without a leading slash is below 'directory'; a zero field is not compared. */
struct operation {
	const char *op, *call;
	const char *hooks; /* VFS hooks that the call passes, if its name does not show them: FUNCTION/OP ... */
	const char *path;
	struct target target;
	const char *requested, *requested_target; /* the names that the caller gave, where these are reported */
	long long result;
	unsigned long long inode;
	long long offset, size, argument;
	int fd; /* 1 + the descriptor that was given */
	bool early; /* failed before any hook */
	bool silent; /* not a decoded system call: by io_uring, or 32-bit */
	bool unknown; /* no call returns its result */
};

/* Uses one of a few static buffers in turn. */
char *path_of(const char *name);
unsigned long long inode_of(const char *name);
struct target target_at(const char *name);
void open_report(void);
int print_report(void);
long report(struct operation d);

#define REPORT(...) report((struct operation){ __VA_ARGS__ })
#define INODE(name) .inode = inode_of(name)

void check(bool good, const char *file, int line);

#define CHECK(good) check(good, __FILE__, __LINE__)

long call(long nr, long a, long b, long c, long d, long e, long f);

#define CALL_(nr, a, b, c, d, e, f, ...) call(SYS_##nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define CALL(...) CALL_(__VA_ARGS__, 0, 0, 0, 0, 0, 0)

/* Creates a file of 'size' bytes, unreported. */
void make(const char *name, int size);
int opened(const char *name, int flags);
/* Runs a function in a child, which prints only its own lines. */
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
