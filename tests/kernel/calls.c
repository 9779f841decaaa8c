// SPDX-License-Identifier: Apache-2.0
/*
 * Makes each system call of a table once, by number, and says what it did: one JSON line per call, with the file and the
 * position as lseek, fstat and /proc tell them, and the time around it. Cases are parted by an open of /case/NAME.
 * Usage: calls DIRECTORY, which holds: data (10000 bytes), link -> data, loop -> loop, dir/, secret (mode 0), fifo.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

#define NONE (-1000)

static const char *here, *now_case = "";
static char text[1 << 20];
static size_t length;
static char buffer[65536];

static long long clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long raw(long nr, long a, long b, long c, long d, long e, long f)
{
	long result = syscall(nr, a, b, c, d, e, f);

	return result == -1 ? -errno : result;
}

static void begin(const char *name)
{
	char marker[256];

	now_case = name;
	snprintf(marker, sizeof(marker), "/case/%s", name);
	raw(SYS_open, (long)marker, O_RDONLY, 0, 0, 0, 0);
}

struct what {
	const char *call;
	long nr;
	int fd; /* described before the call; NONE: the result is a descriptor, described after */
	long long offset; /* NONE: the event has none; of an open: its flags */
	long long size; /* the same; its mode */
	const char *asked; /* of a failed open */
};

static void describe(int fd, char *path, size_t size, struct stat *st)
{
	char link[64];
	ssize_t n;

	memset(st, 0, sizeof(*st));
	path[0] = 0;
	if (fd < 0 || fstat(fd, st))
		return;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, size - 1);
	path[n > 0 ? n : 0] = 0;
}

static long shoot(struct what w, long a, long b, long c, long d, long e, long f)
{
	char path[4096];
	struct stat st;
	long long before, after;
	long result;

	describe(w.fd, path, sizeof(path), &st);
	before = clock_ns();
	result = raw(w.nr, a, b, c, d, e, f);
	after = clock_ns();
	if (w.fd == NONE && result >= 0)
		describe(result, path, sizeof(path), &st);
	length += snprintf(
		text + length, sizeof(text) - length,
		"{\"case\":\"%s\",\"call\":\"%s\",\"fd\":%ld,\"offset\":%lld,\"size\":%lld,\"result\":%ld,"
		"\"path\":\"%s\",\"inode\":%llu,\"major\":%u,\"minor\":%u,\"mode\":%u,\"asked\":\"%s\",\"before\":%lld,\"after\":%lld}\n",
		now_case, w.call, w.fd == NONE ? (result >= 0 ? result : -1) : w.fd, w.offset, w.size, result, path,
		(unsigned long long)st.st_ino, (unsigned)(st.st_dev >> 8 & 0xfff), (unsigned)(st.st_dev & 0xff), st.st_mode,
		w.asked ? w.asked : "", before, after);
	return result;
}

static const char *at(const char *name)
{
	static char names[16][8192];
	static int next;
	char *full = names[next++ % 16];

	snprintf(full, 8192, "%s/%s", here, name);
	return full;
}

/* The four ways to open. */
static int open_(const char *path, int flags, int mode)
{
	return shoot((struct what){ "open", SYS_open, NONE, flags, mode, path }, (long)path, flags, mode, 0, 0, 0);
}

static int openat_(int dir, const char *path, int flags, int mode)
{
	return shoot((struct what){ "openat", SYS_openat, NONE, flags, mode, path }, dir, (long)path, flags, mode, 0, 0);
}

static int openat2_(int dir, const char *path, struct open_how how, size_t size)
{
	return shoot((struct what){ "openat2", SYS_openat2, NONE, how.flags, how.mode, path }, dir, (long)path, (long)&how, size, 0, 0);
}

static int creat_(const char *path, int mode)
{
	return shoot((struct what){ "creat", SYS_creat, NONE, O_CREAT | O_WRONLY | O_TRUNC, mode, path }, (long)path, mode, 0, 0, 0, 0);
}

static void close_(int fd)
{
	shoot((struct what){ "close", SYS_close, fd, NONE, NONE, NULL }, fd, 0, 0, 0, 0, 0);
}

static long long position(int fd)
{
	return lseek(fd, 0, SEEK_CUR);
}

static long long size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_size;
}

/* Without a trace: the case's own set-up is made with calls that are no operation of ours, or before its marker. */
static int quiet_open(const char *path, int flags)
{
	int fd = open(path, flags, 0644);

	if (fd < 0) {
		perror(path);
		exit(3);
	}
	return fd;
}

static void opens(void)
{
	int dir = quiet_open(here, O_RDONLY | O_DIRECTORY), data = quiet_open(at("data"), O_RDONLY);
	struct open_how how = { .flags = O_RDWR | O_CLOEXEC };

	begin("open");
	open_(at("data"), O_RDONLY, 0);
	open_(at("data"), O_RDWR | O_APPEND | O_CLOEXEC, 0);
	open_(at("data"), O_PATH, 0);
	open_(at("data"), O_WRONLY | O_SYNC | O_NOATIME, 0);
	begin("open_create");
	open_(at("made"), O_RDWR | O_CREAT | O_EXCL, 0640);
	open_(at("made"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	open_(at("made"), O_WRONLY | O_CREAT | O_EXCL, 0600);
	begin("open_symlink");
	open_(at("link"), O_RDONLY, 0);
	open_(at("dir/../link"), O_RDONLY, 0);
	open_(at("link"), O_RDONLY | O_NOFOLLOW, 0);
	begin("open_errors");
	open_(at("missing"), O_RDONLY, 0);
	open_(at("missing/deeper"), O_RDONLY, 0);
	open_(at("loop"), O_RDONLY, 0);
	open_(at("dir"), O_WRONLY, 0);
	open_(at("data/x"), O_RDONLY, 0);
	open_(at("data"), O_RDONLY | O_DIRECTORY, 0);
	open_(at("fifo"), O_WRONLY | O_NONBLOCK, 0);
	open_(at("./dir//.././missing"), O_RDONLY, 0);
	open_("", O_RDONLY, 0);
	shoot((struct what){ "open", SYS_open, NONE, O_RDONLY, 0, "" }, 8, O_RDONLY, 0, 0, 0, 0);
	begin("open_relative");
	if (chdir(at("dir")))
		exit(3);
	open_("../data", O_RDONLY, 0);
	open_("nothing", O_RDONLY, 0);
	open_("../../nothing", O_RDONLY, 0);
	begin("openat");
	openat_(dir, "data", O_RDONLY, 0);
	openat_(AT_FDCWD, "../data", O_RDWR, 0);
	openat_(-1, at("data"), O_RDONLY, 0);
	openat_(dir, "created", O_CREAT | O_WRONLY, 0604);
	openat_(dir, "dir/none", O_RDONLY, 0);
	openat_(dir, "../none", O_RDONLY, 0);
	openat_(data, "x", O_RDONLY, 0);
	openat_(AT_FDCWD, "none", O_RDONLY, 0);
	begin("openat2");
	openat2_(dir, "data", how, sizeof(how));
	how.flags = O_CREAT | O_WRONLY, how.mode = 0611;
	openat2_(dir, "created2", how, sizeof(how));
	how.flags = O_RDONLY, how.mode = 0, how.resolve = RESOLVE_BENEATH;
	openat2_(dir, "../escape", how, sizeof(how));
	how.resolve = RESOLVE_NO_SYMLINKS;
	openat2_(dir, "link", how, sizeof(how));
	how.resolve = 0, how.flags = 1ull << 40;
	openat2_(dir, "data", how, sizeof(how));
	begin("creat");
	creat_(at("creat"), 0622);
	creat_(at("creat"), 0);
	creat_(at("dir"), 0644);
	creat_(at("missing/x"), 0644);
	begin("open_tmpfile");
	open_(here, O_TMPFILE | O_RDWR, 0600);
	begin("open_denied");
	if (seteuid(65534))
		exit(3);
	open_(at("secret"), O_RDONLY, 0);
	open_(at("data"), O_RDONLY, 0);
	if (seteuid(0))
		exit(3);
	begin("open_limit");
	struct rlimit old, few = { 3, 4096 };
	getrlimit(RLIMIT_NOFILE, &old);
	few.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_NOFILE, &few);
	open_(at("data"), O_RDONLY, 0);
	setrlimit(RLIMIT_NOFILE, &old);
	begin("setup");
	if (chdir("/"))
		exit(3);
}

static void closes(void)
{
	int fd = quiet_open(at("data"), O_RDONLY), two = dup(fd), gone = quiet_open(at("gone"), O_CREAT | O_RDWR);

	begin("close");
	close_(two);
	close_(fd);
	unlink(at("gone"));
	close_(gone);
	begin("setup");
}

static void read_(int fd, long size)
{
	shoot((struct what){ "read", SYS_read, fd, position(fd), size, NULL }, fd, (long)buffer, size, 0, 0, 0);
}

static struct iovec three[3] = { { buffer, 7 }, { buffer + 100, 0 }, { buffer + 200, 20 } };

static void readv_(int fd, struct iovec *v, int count, long long size)
{
	shoot((struct what){ "readv", SYS_readv, fd, position(fd), size, NULL }, fd, (long)v, count, 0, 0, 0);
}

static void pread_(int fd, long size, long long offset)
{
	shoot((struct what){ "pread64", SYS_pread64, fd, offset, size, NULL }, fd, (long)buffer, size, offset, 0, 0);
}

static void preadv_(int fd, long long offset)
{
	shoot((struct what){ "preadv", SYS_preadv, fd, offset, 27, NULL }, fd, (long)three, 3, offset, 0, 0);
}

static void preadv2_(int fd, long long offset, int flags)
{
	long long expect = offset == -1 ? position(fd) : offset;

	shoot((struct what){ "preadv2", SYS_preadv2, fd, expect, 27, NULL }, fd, (long)three, 3, offset, 0, flags);
}

static void reads(void)
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
	shoot((struct what){ "read", SYS_read, fd, 17, 100, NULL }, fd, 8, 100, 0, 0, 0);
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

static void write_(int fd, long size, long long offset)
{
	shoot((struct what){ "write", SYS_write, fd, offset, size, NULL }, fd, (long)buffer, size, 0, 0, 0);
}

static void writev_(int fd, long long offset)
{
	shoot((struct what){ "writev", SYS_writev, fd, offset, 27, NULL }, fd, (long)three, 3, 0, 0, 0);
}

static void pwrite_(int fd, long size, long long offset, long long lands)
{
	shoot((struct what){ "pwrite64", SYS_pwrite64, fd, lands, size, NULL }, fd, (long)buffer, size, offset, 0, 0);
}

static void pwritev_(int fd, long long offset, long long lands)
{
	shoot((struct what){ "pwritev", SYS_pwritev, fd, lands, 27, NULL }, fd, (long)three, 3, offset, 0, 0);
}

static void pwritev2_(int fd, long long offset, int flags, long long lands)
{
	shoot((struct what){ "pwritev2", SYS_pwritev2, fd, lands, 27, NULL }, fd, (long)three, 3, offset, 0, flags);
}

static void writes(void)
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
	shoot((struct what){ "write", SYS_write, fd, 40, 100, NULL }, fd, 8, 100, 0, 0, 0);
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

static int dup_(const char *call, long nr, int fd, long b, long c)
{
	return shoot((struct what){ call, nr, fd, NONE, NONE, NULL }, fd, b, c, 0, 0, 0);
}

static void dups(void)
{
	int fd = quiet_open(at("data"), O_RDONLY), other = quiet_open(at("out"), O_RDONLY), copy;

	begin("dup");
	copy = dup_("dup", SYS_dup, fd, 0, 0);
	read_(copy, 10);
	read_(fd, 10);
	begin("dup2");
	dup_("dup2", SYS_dup2, fd, 300, 0);
	dup_("dup2", SYS_dup2, fd, fd, 0);
	dup_("dup2", SYS_dup2, other, 300, 0);
	pread_(300, 10, 5);
	dup_("dup2", SYS_dup2, fd, 1 << 30, 0);
	begin("dup3");
	dup_("dup3", SYS_dup3, fd, 301, O_CLOEXEC);
	dup_("dup3", SYS_dup3, fd, fd, 0);
	begin("fcntl");
	dup_("fcntl", SYS_fcntl, fd, F_DUPFD, 400);
	dup_("fcntl", SYS_fcntl, fd, F_DUPFD_CLOEXEC, 500);
	dup_("fcntl", SYS_fcntl, fd, F_DUPFD, 1 << 30);
	raw(SYS_fcntl, fd, F_GETFD, 0, 0, 0, 0);
	raw(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC, 0, 0, 0);
	begin("setup");
}

static void special(void)
{
	int memory = memfd_create("my memory", 0), gone = quiet_open(at("doomed"), O_CREAT | O_RDWR);
	int nameless = quiet_open(here, O_TMPFILE | O_RDWR);

	begin("memfd");
	write_(memory, 11, 0);
	pread_(memory, 20, 1);
	close_(memory);
	begin("deleted");
	write_(gone, 5, 0);
	unlink(at("doomed"));
	write_(gone, 6, 5);
	pread_(gone, 20, 2);
	close_(gone);
	begin("tmpfile");
	write_(nameless, 5, 0);
	close_(nameless);
	begin("setup");
}

int main(int argc, char **argv)
{
	here = argv[1];
	umask(0);
	opens();
	closes();
	reads();
	writes();
	dups();
	special();
	fwrite(text, 1, length, stdout);
	return argc != 2;
}
