/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes each system call of a table once, by number, and prints one JSON line per call: its values, the file and the
 * position from lseek, fstat and /proc, and the time around it. Cases are separated by an open of /case/NAME.
 * Usage: calls DIRECTORY, which contains: data (10000 bytes), link -> data, loop -> loop, dir/, secret (mode 0), fifo.
 */
#ifndef CALLS_H
#define CALLS_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NONE (-1000)

extern const char *directory;

struct expected {
	const char *call;
	long nr;
	int fd; /* described before the call; NONE: the result is a descriptor, described after */
	long long offset; /* NONE: the event has none; of an open: its flags */
	long long size; /* the same; its mode */
	const char *requested; /* of a failed open */
};

long raw(long nr, long a, long b, long c, long d, long e, long f);
void begin(const char *name);
long make_call(struct expected w, long a, long b, long c, long d, long e, long f);
void print_lines(void);
const char *at(const char *name);
/* For the set-up of a case, before its marker or with calls that are not traced. */
int quiet_open(const char *path, int flags);

void close_(int fd);
void read_(int fd, long size);
void pread_(int fd, long size, long long offset);
void write_(int fd, long size, long long offset);

void opens(void);
void closes(void);
void reads(void);
void writes(void);

#endif
