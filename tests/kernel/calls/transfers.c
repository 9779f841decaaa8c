// SPDX-License-Identifier: Apache-2.0
/* Calls that read and write. */
#include <sys/uio.h>

#include "calls.h"

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

static char buffer[65536];

static long long position(int fd)
{
	return lseek(fd, 0, SEEK_CUR);
}

static long long size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_size;
}

void read_(int fd, long size)
{
	make_call((struct expected){ "read", SYS_read, fd, position(fd), size, NULL }, fd, (long)buffer, size, 0, 0, 0);
}

static struct iovec three[3] = { { buffer, 7 }, { buffer + 100, 0 }, { buffer + 200, 20 } };

static void readv_(int fd, struct iovec *v, int count, long long size)
{
	make_call((struct expected){ "readv", SYS_readv, fd, position(fd), size, NULL }, fd, (long)v, count, 0, 0, 0);
}

void pread_(int fd, long size, long long offset)
{
	make_call((struct expected){ "pread64", SYS_pread64, fd, offset, size, NULL }, fd, (long)buffer, size, offset, 0, 0);
}

static void preadv_(int fd, long long offset)
{
	make_call((struct expected){ "preadv", SYS_preadv, fd, offset, 27, NULL }, fd, (long)three, 3, offset, 0, 0);
}

static void preadv2_(int fd, long long offset, int flags)
{
	long long expect = offset == -1 ? position(fd) : offset;

	make_call((struct expected){ "preadv2", SYS_preadv2, fd, expect, 27, NULL }, fd, (long)three, 3, offset, 0, flags);
}

void reads(void)
{
	int fd = quiet_open(at("data"), O_RDONLY), out = quiet_open(at("data"), O_WRONLY), big = quiet_open(at("big"), O_RDWR | O_CREAT);
	static struct iovec many[1025];

	for (int i = 0; i < 1025; i++)
		many[i] = (struct iovec){ buffer, 3 };
	if (ftruncate(big, 6ll << 30))
		exit(3);
	begin("read");
	read_(fd, 100);
	read_(fd, 0);
	lseek(fd, 5000, SEEK_SET);
	read_(fd, 3);
	lseek(fd, 9990, SEEK_SET);
	read_(fd, 4096);
	read_(fd, 4096);
	lseek(fd, 20000, SEEK_SET);
	read_(fd, 1);
	lseek(big, 5ll << 30, SEEK_SET);
	read_(big, 1000);
	read_(big, 10);
	begin("read_errors");
	lseek(fd, 17, SEEK_SET);
	make_call((struct expected){ "read", SYS_read, fd, 17, 100, NULL }, fd, 8, 100, 0, 0, 0);
	read_(out, 10);
	begin("readv");
	lseek(fd, 11, SEEK_SET);
	readv_(fd, three, 3, 27);
	readv_(fd, three, 0, 0);
	readv_(fd, many, 1024, 3072);
	readv_(out, three, 3, 27);
	begin("readv_errors");
	readv_(fd, (struct iovec *)8, 2, NONE);
	readv_(fd, many, 1025, NONE);
	begin("pread64");
	pread_(fd, 10, 0);
	pread_(fd, 10, 9995);
	pread_(fd, 10, 1234567890123ll);
	pread_(big, 65536, (4ll << 30) + 1);
	pread_(out, 10, 33);
	begin("preadv");
	preadv_(fd, 0);
	preadv_(fd, 9980);
	preadv_(big, 5ll << 30);
	begin("preadv2");
	preadv2_(fd, 100, 0);
	lseek(fd, 3000, SEEK_SET);
	preadv2_(fd, -1, 0);
	preadv2_(fd, -1, 0);
	preadv2_(fd, 0, RWF_HIPRI);
	preadv2_(fd, 5, 1 << 30);
	begin("setup");
}

void write_(int fd, long size, long long offset)
{
	make_call((struct expected){ "write", SYS_write, fd, offset, size, NULL }, fd, (long)buffer, size, 0, 0, 0);
}

static void writev_(int fd, long long offset)
{
	make_call((struct expected){ "writev", SYS_writev, fd, offset, 27, NULL }, fd, (long)three, 3, 0, 0, 0);
}

static void pwrite_(int fd, long size, long long offset, long long lands)
{
	make_call((struct expected){ "pwrite64", SYS_pwrite64, fd, lands, size, NULL }, fd, (long)buffer, size, offset, 0, 0);
}

static void pwritev_(int fd, long long offset, long long lands)
{
	make_call((struct expected){ "pwritev", SYS_pwritev, fd, lands, 27, NULL }, fd, (long)three, 3, offset, 0, 0);
}

static void pwritev2_(int fd, long long offset, int flags, long long lands)
{
	make_call((struct expected){ "pwritev2", SYS_pwritev2, fd, lands, 27, NULL }, fd, (long)three, 3, offset, 0, flags);
}

void writes(void)
{
	int fd = quiet_open(at("out"), O_RDWR | O_CREAT), log = quiet_open(at("log"), O_RDWR | O_CREAT | O_APPEND);
	int in = quiet_open(at("data"), O_RDONLY);
	struct rlimit old, small;

	begin("write");
	write_(fd, 100, position(fd));
	write_(fd, 0, position(fd));
	write_(fd, 50, position(fd));
	lseek(fd, 5ll << 30, SEEK_SET);
	write_(fd, 65536, position(fd));
	begin("write_append");
	write_(log, 10, size_of(log));
	lseek(log, 3, SEEK_SET);
	write_(log, 7, size_of(log));
	lseek(log, 0, SEEK_SET);
	writev_(log, size_of(log));
	begin("write_errors");
	lseek(fd, 40, SEEK_SET);
	make_call((struct expected){ "write", SYS_write, fd, 40, 100, NULL }, fd, 8, 100, 0, 0, 0);
	write_(in, 10, 0);
	begin("write_limit");
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small = old, small.rlim_cur = 200;
	setrlimit(RLIMIT_FSIZE, &small);
	lseek(fd, 190, SEEK_SET);
	write_(fd, 100, 190);
	write_(fd, 100, 200);
	setrlimit(RLIMIT_FSIZE, &old);
	begin("writev");
	lseek(fd, 77, SEEK_SET);
	writev_(fd, 77);
	writev_(fd, 104);
	begin("pwrite64");
	pwrite_(fd, 10, 0, 0);
	pwrite_(fd, 10, 6ll << 30, 6ll << 30);
	pwrite_(in, 10, 21, 21);
	begin("pwrite64_append");
	pwrite_(log, 10, 0, size_of(log));
	pwrite_(log, 10, 5, size_of(log));
	begin("pwritev");
	pwritev_(fd, 12, 12);
	pwritev_(fd, 5ll << 30, 5ll << 30);
	begin("pwritev2");
	lseek(fd, 500, SEEK_SET);
	pwritev2_(fd, -1, 0, 500);
	pwritev2_(fd, 9, 0, 9);
	pwritev2_(fd, 9, RWF_DSYNC, 9);
	begin("pwritev2_append");
	pwritev2_(fd, 0, RWF_APPEND, size_of(fd));
	pwritev2_(fd, -1, RWF_APPEND, size_of(fd));
	pwritev2_(log, 4, 0, size_of(log));
	pwritev2_(log, -1, 0, size_of(log));
	pwritev2_(log, 4, RWF_NOAPPEND, 4);
	begin("setup");
}
