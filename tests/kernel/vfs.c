// SPDX-License-Identifier: Apache-2.0
/*
 * Makes each operation that the VFS level sees, and says what it did: one JSON line per call, with the paths it led to and
 * the inodes that lstat tells. What it does for itself, between those calls, is not said.
 * Usage: vfs DIRECTORY [CASE...]; DIRECTORY is empty and anybody may search it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOBODY 65534
#define ROUNDS 100
#define THREADS 4

static const char *here, *now_case;
static FILE *said;
static char *text;
static size_t length;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* CLOCK_BOOTTIME around this thread's last call. */
static __thread long long begun, ended;

static long long clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

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
static char *in(const char *name)
{
	static __thread char buffers[8][512];
	static __thread int next;
	char *buffer = buffers[next++ % 8];

	snprintf(buffer, sizeof(buffers[0]), name[0] == '/' ? "%s%s" : "%s/%s", name[0] == '/' ? "" : here, name);
	return buffer;
}

static unsigned long long inode_of(const char *name)
{
	struct stat st;

	return lstat(in(name), &st) ? 0 : st.st_ino;
}

static struct place there(const char *name)
{
	return (struct place){ name, inode_of(name) };
}

static void member(const char *key, const char *path)
{
	if (path)
		fprintf(said, ",\"%s\":\"%s\"", key, in(path));
}

static long did(struct deed d)
{
	pthread_mutex_lock(&lock);
	fprintf(said, "{\"case\":\"%s\",\"tid\":%ld,\"op\":\"%s\",\"call\":\"%s\",\"result\":%lld", now_case, syscall(SYS_gettid), d.op,
		d.call, d.result);
	fprintf(said, ",\"begun\":%lld,\"ended\":%lld", begun, ended);
	if (d.hooks)
		fprintf(said, ",\"hooks\":\"%s\"", d.hooks);
	member("path", d.path);
	member("target", d.target.name);
	member("asked", d.asked);
	member("asked_target", d.asked_target);
	if (d.inode)
		fprintf(said, ",\"inode\":%llu", d.inode);
	if (d.target.inode)
		fprintf(said, ",\"target_inode\":%llu", d.target.inode);
	if (d.offset)
		fprintf(said, ",\"offset\":%lld", d.offset);
	if (d.size)
		fprintf(said, ",\"size\":%lld", d.size);
	if (d.argument)
		fprintf(said, ",\"argument\":%lld", d.argument);
	if (d.fd)
		fprintf(said, ",\"fd\":%d", d.fd - 1);
	fprintf(said, ",\"early\":%d,\"silent\":%d,\"unknown\":%d}\n", d.early, d.silent, d.unknown);
	pthread_mutex_unlock(&lock);
	return d.result;
}

#define DID(...) did((struct deed){ __VA_ARGS__ })
#define INODE(name) .inode = inode_of(name)

static void check(bool good, int line)
{
	if (!good) {
		fprintf(stderr, "vfs.c:%d: %s\n", line, strerror(errno));
		exit(2);
	}
}

#define CHECK(good) check(good, __LINE__)

static long call(long nr, long a, long b, long c, long d, long e, long f)
{
	long result;

	begun = clock_ns();
	result = syscall(nr, a, b, c, d, e, f);
	ended = clock_ns();
	return result == -1 ? -errno : result;
}

#define CALL_(nr, a, b, c, d, e, f, ...) call(SYS_##nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define CALL(...) CALL_(__VA_ARGS__, 0, 0, 0, 0, 0, 0)

/* A file of 'size' bytes, made without a word. */
static void make(const char *name, int size)
{
	static const char zeroes[8192];
	int fd = open(in(name), O_CREAT | O_WRONLY, 0644);

	CHECK(fd >= 0 && write(fd, zeroes, size) == size && !close(fd));
}

static int opened(const char *name, int flags)
{
	int fd = open(in(name), flags, 0644);

	CHECK(fd >= 0);
	return fd;
}

static void made_directory(void)
{
	int fd;
	long r;

	r = CALL(mkdir, in("new"), 0750);
	DID("mkdir", "mkdir", .path = "new", INODE("new"), .size = 0750, .result = r);
	fd = opened("new", O_RDONLY | O_DIRECTORY);
	r = CALL(mkdirat, fd, "below", 0700);
	DID("mkdir", "mkdirat", .path = "new/below", INODE("new/below"), .asked = "new/below", .size = 0700, .result = r);
	r = CALL(mkdir, in("new"), 0700);
	DID("mkdir", "mkdir", .path = "new", .size = 0700, .result = r, .early = true);
	r = CALL(mkdir, in("absent/new"), 0700);
	DID("mkdir", "mkdir", .path = "absent/new", .size = 0700, .result = r, .early = true);
	CHECK(!symlink("new", in("newlink")));
	r = CALL(mkdir, in("newlink/through"), 0711);
	DID("mkdir", "mkdir", .path = "new/through", INODE("new/through"), .asked = "newlink/through", .size = 0711, .result = r);
	CHECK(!seteuid(NOBODY));
	r = CALL(mkdir, in("new/denied"), 0700);
	CHECK(!seteuid(0));
	DID("mkdir", "mkdir", .path = "new/denied", .size = 0700, .result = r);
	CHECK(!mkdir(in("full"), 0755) && !mount("full", in("full"), "tmpfs", 0, "nr_inodes=1"));
	r = CALL(mkdir, in("full/new"), 0700);
	DID("mkdir", "mkdir", .path = "full/new", .size = 0700, .result = r);
	CHECK(!umount(in("full")) && !close(fd));
}

static void removed_directory(void)
{
	unsigned long long inode;
	long r;

	CHECK(!mkdir(in("a"), 0700) && !mkdir(in("a/b"), 0700));
	r = CALL(rmdir, in("a"));
	DID("rmdir", "rmdir", .path = "a", INODE("a"), .result = r);
	inode = inode_of("a/b");
	r = CALL(unlinkat, AT_FDCWD, in("a/b"), AT_REMOVEDIR);
	DID("rmdir", "unlinkat", .path = "a/b", .inode = inode, .result = r);
	inode = inode_of("a");
	r = CALL(rmdir, in("a"));
	DID("rmdir", "rmdir", .path = "a", .inode = inode, .result = r);
	r = CALL(rmdir, in("a"));
	DID("rmdir", "rmdir", .path = "a", .result = r, .hooks = "", .early = true);
}

static void made_node(void)
{
	long r;

	r = CALL(mknod, in("fifo"), S_IFIFO | 0640, 0);
	DID("mknod", "mknod", .path = "fifo", INODE("fifo"), .size = S_IFIFO | 0640, .result = r);
	r = CALL(mknodat, AT_FDCWD, in("file"), S_IFREG | 0600, 0);
	DID("mknod", "mknodat", .path = "file", INODE("file"), .size = S_IFREG | 0600, .result = r);
	r = CALL(mknod, in("fifo"), S_IFIFO | 0640, 0);
	DID("mknod", "mknod", .path = "fifo", .size = S_IFIFO | 0640, .result = r, .early = true);
}

static void linked(void)
{
	long r;

	make("one", 1);
	CHECK(!symlink("one", in("soft")) && !mkdir(in("d"), 0755));
	r = CALL(link, in("one"), in("d/two"));
	DID("link", "link", .path = "one", INODE("one"), .target = there("d/two"), .result = r);
	r = CALL(linkat, AT_FDCWD, in("soft"), AT_FDCWD, in("three"), AT_SYMLINK_FOLLOW);
	DID("link", "linkat", .path = "one", .asked = "soft", INODE("one"), .target = there("three"), .result = r);
	r = CALL(link, in("soft"), in("four"));
	DID("link", "link", .path = "soft", INODE("soft"), .target = there("four"), .result = r);
	r = CALL(link, in("one"), in("three"));
	DID("link", "link", .path = "one", .target.name = "three", .result = r, .early = true);
	CHECK(!seteuid(NOBODY));
	r = CALL(link, in("d"), in("d/no"));
	CHECK(!seteuid(0));
	DID("link", "link", .path = "d", .target.name = "d/no", .result = r, .early = true);
	r = CALL(symlink, "one/../x", in("d/text"));
	DID("symlink", "symlink", .path = "d/x", .target = there("d/text"), .result = r);
	r = CALL(symlinkat, "/absolute", AT_FDCWD, in("text"));
	DID("symlink", "symlinkat", .path = "/absolute", .target = there("text"), .result = r);
	r = CALL(symlink, "one", in("text"));
	DID("symlink", "symlink", .path = "one", .target.name = "text", .result = r, .early = true);
}

static void unlinked(void)
{
	unsigned long long inode;
	long r;

	make("u", 1);
	CHECK(!link(in("u"), in("v")) && !mkdir(in("ud"), 0755) && !symlink("u", in("us")));
	inode = inode_of("v");
	r = CALL(unlink, in("v"));
	DID("unlink", "unlink", .path = "v", .inode = inode, .result = r);
	inode = inode_of("us");
	r = CALL(unlink, in("us"));
	DID("unlink", "unlink", .path = "us", .inode = inode, .result = r);
	r = CALL(unlink, in("us"));
	DID("unlink", "unlink", .path = "us", .result = r, .early = true);
	r = CALL(unlink, in("ud"));
	DID("unlink", "unlink", .path = "ud", INODE("ud"), .result = r);
	CHECK(!seteuid(NOBODY));
	r = CALL(unlink, in("u"));
	CHECK(!seteuid(0));
	DID("unlink", "unlink", .path = "u", INODE("u"), .result = r);
	CHECK(!chdir(here));
	inode = inode_of("u");
	r = CALL(unlinkat, AT_FDCWD, "./ud/../u", 0);
	DID("unlink", "unlinkat", .path = "u", .inode = inode, .result = r);
}

static void renamed(void)
{
	unsigned long long inode;
	int d, e;
	long r;

	make("r1", 1);
	make("r2", 1);
	make("r3", 1);
	CHECK(!mkdir(in("rd"), 0755) && !mkdir(in("re"), 0755) && !mkdir(in("re/full"), 0755) && !symlink("rd", in("rs")));
	inode = inode_of("r1");
	r = CALL(rename, in("r1"), in("rd/r1"));
	DID("rename", "rename", .path = "r1", .inode = inode, .target = there("rd/r1"), .result = r);
	inode = inode_of("r2");
	r = CALL(rename, in("r2"), in("rs/r1"));
	DID("rename", "rename", .path = "r2", .inode = inode, .target = there("rd/r1"), .asked_target = "rs/r1", .result = r);
	inode = inode_of("rd/r1");
	r = CALL(renameat2, AT_FDCWD, in("rd/r1"), AT_FDCWD, in("r3"), RENAME_EXCHANGE);
	DID("rename", "renameat2", .path = "rd/r1", .inode = inode, .target = there("r3"), .argument = RENAME_EXCHANGE, .result = r);
	r = CALL(renameat2, AT_FDCWD, in("r3"), AT_FDCWD, in("rd/r1"), RENAME_NOREPLACE);
	DID("rename", "renameat2", .path = "r3", .target.name = "rd/r1", .argument = RENAME_NOREPLACE, .result = r, .early = true);
	r = CALL(rename, in("rd"), in("re"));
	DID("rename", "rename", .path = "rd", INODE("rd"), .target = there("re"), .result = r);
	r = CALL(rename, in("absent"), in("re"));
	DID("rename", "rename", .path = "absent", .target.name = "re", .result = r, .early = true);
	d = opened("rd", O_RDONLY | O_DIRECTORY);
	e = opened("re", O_RDONLY | O_DIRECTORY);
	inode = inode_of("rd/r1");
	r = CALL(renameat, d, "r1", e, "full/../r1");
	DID("rename", "renameat", .path = "rd/r1", .inode = inode, .target = there("re/r1"), .result = r);
	CHECK(!link(in("r3"), in("r4")));
	r = CALL(rename, in("r3"), in("r4"));
	DID("rename", "rename", .path = "r3", INODE("r3"), .target = there("r4"), .result = r);
	CHECK(!close(d) && !close(e));
}

static void attributes(void)
{
	struct timespec times[2] = { { 1, 0 }, { 2, 0 } };
	int fd;
	long r;

	make("s", 1);
	CHECK(!symlink("s", in("sl")));
	fd = opened("s", O_RDONLY);
	r = CALL(chmod, in("sl"), 0640);
	DID("setattr", "chmod", .path = "s", .asked = "sl", INODE("s"), .size = 0640, .result = r);
	r = CALL(fchmod, fd, 0600);
	DID("setattr", "fchmod", .path = "s", INODE("s"), .size = 0600, .fd = fd + 1, .result = r);
	r = CALL(fchmodat, AT_FDCWD, in("s"), 0644);
	DID("setattr", "fchmodat", .path = "s", INODE("s"), .size = 0644, .result = r);
	CHECK(!seteuid(NOBODY));
	r = CALL(chmod, in("s"), 0777);
	CHECK(!seteuid(0));
	DID("setattr", "chmod", .path = "s", INODE("s"), .size = 0777, .result = r);
	r = CALL(chmod, in("absent"), 0777);
	DID("setattr", "chmod", .path = "absent", .size = 0777, .result = r, .early = true);
	r = CALL(chown, in("sl"), 12, 34);
	DID("setattr", "chown", .path = "s", .asked = "sl", INODE("s"), .offset = 12, .size = 34, .result = r);
	r = CALL(lchown, in("sl"), 13, 35);
	DID("setattr", "lchown", .path = "sl", INODE("sl"), .offset = 13, .size = 35, .result = r);
	r = CALL(fchown, fd, 14, 36);
	DID("setattr", "fchown", .path = "s", INODE("s"), .offset = 14, .size = 36, .fd = fd + 1, .result = r);
	r = CALL(fchownat, fd, "", 15, 37, AT_EMPTY_PATH);
	DID("setattr", "fchownat", .path = "s", INODE("s"), .offset = 15, .size = 37, .fd = fd + 1, .result = r);
	r = CALL(utimensat, AT_FDCWD, in("sl"), times, 0);
	DID("setattr", "utimensat", .path = "s", .asked = "sl", INODE("s"), .result = r);
	r = CALL(utimensat, AT_FDCWD, in("sl"), times, AT_SYMLINK_NOFOLLOW);
	DID("setattr", "utimensat", .path = "sl", INODE("sl"), .result = r);
	r = CALL(utimensat, fd, NULL, times, 0);
	DID("setattr", "utimensat", .path = "s", INODE("s"), .fd = fd + 1, .result = r);
	CHECK(!close(fd));
}

#define PATH_TRUNCATED "security_path_truncate/truncate security_path_truncate/modify"
#define FILE_TRUNCATED "security_file_truncate/truncate security_file_truncate/modify"

static void truncated(void)
{
	struct rlimit limit = { 4096, RLIM_INFINITY };
	int fd;
	long r;

	make("t", 100);
	CHECK(!symlink("t", in("tl")));
	fd = opened("t", O_RDWR);
	r = CALL(truncate, in("tl"), 50);
	DID("truncate", "truncate", .path = "t", .asked = "tl", INODE("t"), .hooks = PATH_TRUNCATED, .result = r);
	r = CALL(ftruncate, fd, 10);
	DID("truncate", "ftruncate", .path = "t", INODE("t"), .hooks = FILE_TRUNCATED, .fd = fd + 1, .result = r);
	r = CALL(truncate, in("absent"), 50);
	DID("truncate", "truncate", .path = "absent", .result = r, .early = true);
	CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && !setrlimit(RLIMIT_FSIZE, &limit));
	r = CALL(truncate, in("t"), 5000);
	limit.rlim_cur = RLIM_INFINITY;
	CHECK(!setrlimit(RLIMIT_FSIZE, &limit));
	DID("truncate", "truncate", .path = "t", INODE("t"), .hooks = "security_path_truncate/truncate", .result = r);
	CHECK(!close(fd));
}

#define CREATED "security_path_mknod/mknod security_file_open/open"

static void opened_files(void)
{
	char link[64], name[512] = "";
	struct stat st;
	int d;
	long r;

	make("o", 10);
	CHECK(!mkdir(in("od"), 0755) && !symlink("od", in("os")));
	r = CALL(open, in("o"), O_RDONLY);
	DID("open", "open", .path = "o", INODE("o"), .result = r);
	close(r);
	r = CALL(open, in("os/new"), O_CREAT | O_EXCL | O_RDWR, 0640);
	DID("open", "open", .path = "od/new", INODE("od/new"), .offset = O_CREAT | O_EXCL | O_RDWR, .hooks = CREATED, .result = r);
	close(r);
	r = CALL(open, in("o"), O_CREAT | O_WRONLY, 0640);
	DID("open", "open", .path = "o", INODE("o"), .offset = O_CREAT | O_WRONLY, .result = r);
	close(r);
	d = opened("od", O_RDONLY | O_DIRECTORY);
	r = CALL(openat, d, "../o", O_CREAT | O_TRUNC | O_WRONLY, 0640);
	DID("open", "openat", .path = "o", INODE("o"), .offset = O_CREAT | O_TRUNC | O_WRONLY,
	    .hooks = "security_file_open/open " FILE_TRUNCATED, .result = r);
	close(r);
	r = CALL(open, in("o"), O_CREAT | O_EXCL, 0640);
	DID("open", "open", .path = "o", .offset = O_CREAT | O_EXCL, .result = r, .early = true);
	r = CALL(open, in("absent"), O_RDONLY);
	DID("open", "open", .path = "absent", .result = r, .early = true);
	CHECK(!chmod(in("o"), 0) && !seteuid(NOBODY));
	r = CALL(open, in("o"), O_RDONLY);
	CHECK(!seteuid(0));
	DID("open", "open", .path = "o", .result = r, .early = true);
	r = CALL(open, in("od"), O_TMPFILE | O_RDWR, 0600);
	CHECK(r >= 0 && !fstat(r, &st));
	snprintf(link, sizeof(link), "/proc/self/fd/%ld", r);
	CHECK(readlink(link, name, sizeof(name) - 1) > 0);
	*strstr(name, " (deleted)") = 0;
	DID("open", "open", .path = name, .inode = st.st_ino, .offset = O_TMPFILE | O_RDWR, .result = r);
	CHECK(!close(r) && !close(d));
}

#define WRITTEN "security_file_permission/write security_file_permission/modify"
#define COPIED "security_file_permission/read " WRITTEN

static void moved_bytes(void)
{
	char buffer[100] = "";
	struct iovec two[2] = { { buffer, 30 }, { buffer, 20 } };
	off_t zero = 0;
	int fd, to, full;
	char *at;
	long r;

	make("i", 200);
	make("j", 0);
	fd = opened("i", O_RDWR);
	to = opened("j", O_RDWR);
	r = CALL(read, fd, buffer, 100);
	DID("read", "read", .path = "i", INODE("i"), .result = r);
	r = CALL(pread64, fd, buffer, 100, 150);
	DID("read", "pread64", .path = "i", INODE("i"), .result = r);
	r = CALL(readv, fd, two, 2);
	DID("read", "readv", .path = "i", INODE("i"), .result = r);
	r = CALL(pread64, fd, buffer, 100, 1000);
	DID("read", "pread64", .path = "i", INODE("i"), .result = r);
	r = CALL(write, to, buffer, 100);
	DID("write", "write", .path = "j", INODE("j"), .hooks = WRITTEN, .result = r);
	r = CALL(pwritev, to, two, 2, 500, 0);
	DID("write", "pwritev", .path = "j", INODE("j"), .hooks = WRITTEN, .result = r);
	r = CALL(write, to, buffer, 0);
	DID("write", "write", .path = "j", INODE("j"), .hooks = "security_file_permission/write", .result = r);
	r = CALL(fallocate, to, 0, 0, 8192);
	DID("fallocate", "fallocate", .path = "j", INODE("j"), .hooks = WRITTEN, .result = r);
	r = CALL(sendfile, to, fd, &zero, 50);
	DID("sendfile", "sendfile", .path = "i", INODE("i"), .target = there("j"), .hooks = COPIED, .result = r);
	zero = 0;
	r = CALL(copy_file_range, fd, &zero, to, NULL, 60, 0);
	DID("copy_file_range", "copy_file_range", .path = "i", INODE("i"), .target = there("j"), .hooks = COPIED, .result = r);
	CHECK(!mkdir(in("tiny"), 0755) && !mount("tiny", in("tiny"), "tmpfs", 0, "size=4096"));
	make("tiny/f", 4096);
	full = opened("tiny/f", O_WRONLY | O_APPEND);
	r = CALL(write, full, buffer, 100);
	DID("write", "write", .path = "tiny/f", INODE("tiny/f"), .hooks = "security_file_permission/write", .result = r);
	CHECK(!close(full) && !umount(in("tiny")));
	r = CALL(mmap, NULL, 200, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	DID("mmap", "mmap", .path = "i", INODE("i"), .argument = PROT_READ | PROT_WRITE | MAP_PRIVATE << 8, .result = r);
	at = (char *)r;
	CHECK(!munmap(at, 200));
	CHECK(!close(fd) && !close(to));
}

/* The same places in code: what one round has noted must not be told of the next. */
static void loops(void)
{
	CHECK(!mkdir(in("l"), 0755) && !mkdir(in("l/full"), 0755) && !mkdir(in("l/full/x"), 0755) && !mkdir(in("l/d"), 0755));
	for (int i = 0; i < ROUNDS; i++) {
		char from[64], to[64];
		unsigned long long inode;
		long r;

		snprintf(from, sizeof(from), i % 5 == 3 ? "l/absent%d" : "l/from%d", i);
		snprintf(to, sizeof(to), i % 5 == 1 ? "l/absent/%d" : "l/to%d", i);
		if (i % 5 != 3)
			make(from, 1);
		inode = inode_of(from);
		r = CALL(rename, i % 10 == 0 ? in("l/d") : in(from), i % 10 == 0 ? in("l/full") : in(to));
		if (i % 10 == 0)
			DID("rename", "rename", .path = "l/d", INODE("l/d"), .target = there("l/full"), .result = r);
		else if (r)
			DID("rename", "rename", .path = from, .target.name = to, .result = r, .early = true);
		else
			DID("rename", "rename", .path = from, .inode = inode, .target = there(to), .result = r);
	}
}

static void *one_thread(void *number)
{
	for (int i = 0; i < ROUNDS / 2; i++) {
		char path[64], to[64];
		unsigned long long inode;
		long r;

		snprintf(path, sizeof(path), "th/%ld.%d", (long)number, i / 2);
		snprintf(to, sizeof(to), "th/%ld-%d", (long)number, i / 2);
		if (i % 2) { /* it was renamed */
			r = CALL(mkdir, in(to), 0700);
			DID("mkdir", "mkdir", .path = to, .size = 0700, .result = r, .early = true);
			continue;
		}
		r = CALL(mkdir, in(path), 0700);
		inode = inode_of(path);
		DID("mkdir", "mkdir", .path = path, .inode = inode, .size = 0700, .result = r);
		r = CALL(rename, in(path), in(to));
		DID("rename", "rename", .path = path, .inode = inode, .target = there(to), .result = r);
	}
	return NULL;
}

static void threads(void)
{
	pthread_t thread[THREADS];

	CHECK(!mkdir(in("th"), 0755));
	for (long i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&thread[i], NULL, one_thread, (void *)i));
	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_join(thread[i], NULL));
}

/* A child's operations, and its end. */
static int child(void (*act)(void))
{
	int status;
	pid_t pid;

	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		act();
		fclose(said);
		if (write(STDOUT_FILENO, text, length) != (ssize_t)length)
			_exit(1);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return status;
}

/* A child writes only what it says itself. */
static void forked(void (*act)(void))
{
	fflush(said);
	CHECK(write(STDOUT_FILENO, text, length) == (ssize_t)length);
	fclose(said);
	free(text);
	said = open_memstream(&text, &length);
	CHECK(WEXITSTATUS(child(act)) == 0);
}

static void in_chroot(void)
{
	struct stat st;
	long r;

	CHECK(!chroot(in("jail")) && !chdir("/"));
	r = CALL(mkdir, "/inside", 0700);
	CHECK(!stat("/inside", &st));
	DID("mkdir", "mkdir", .path = "jail/inside", .inode = st.st_ino, .size = 0700, .result = r);
	r = CALL(rename, "inside", "outside");
	DID("rename", "rename", .path = "jail/inside", .inode = st.st_ino, .target.name = "jail/outside", .target.inode = st.st_ino,
	    .result = r);
}

static void in_namespace(void)
{
	long r;

	CHECK(!unshare(CLONE_NEWNS) && !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	CHECK(!mount("own", in("jail"), "tmpfs", 0, NULL));
	r = CALL(mkdir, in("jail/own"), 0700);
	DID("mkdir", "mkdir", .path = "jail/own", INODE("jail/own"), .size = 0700, .result = r);
}

static void elsewhere(void)
{
	unsigned long long inode;
	long r;

	CHECK(!mkdir(in("jail"), 0755) && !mkdir(in("src"), 0755) && !mkdir(in("bind"), 0755));
	CHECK(!mount(in("src"), in("bind"), NULL, MS_BIND, NULL));
	r = CALL(mkdir, in("bind/made"), 0700);
	DID("mkdir", "mkdir", .path = "bind/made", INODE("bind/made"), .size = 0700, .result = r);
	inode = inode_of("src/made");
	r = CALL(rename, in("src/made"), in("src/moved"));
	DID("rename", "rename", .path = "src/made", .inode = inode, .target = there("src/moved"), .result = r);
	CHECK(!umount(in("bind")));
	forked(in_chroot);
	forked(in_namespace);
}

static void overlay(void)
{
	char options[2048], buffer[100];
	int fd;
	long r;

	CHECK(!mkdir(in("ov"), 0755) && !mount("ov", in("ov"), "tmpfs", 0, NULL));
	CHECK(!mkdir(in("ov/low"), 0755) && !mkdir(in("ov/up"), 0755) && !mkdir(in("ov/work"), 0755) && !mkdir(in("ov/all"), 0755));
	make("ov/low/one", 100);
	make("ov/low/two", 100);
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", in("ov/low"), in("ov/up"), in("ov/work"));
	CHECK(!mount("overlay", in("ov/all"), "overlay", 0, options));
	DID("mkdir", "mkdir", .path = "ov/all/dir", .size = 0700, .result = CALL(mkdir, in("ov/all/dir"), 0700));
	r = CALL(open, in("ov/all/one"), O_RDONLY);
	fd = DID("open", "open", .path = "ov/all/one", .result = r);
	r = CALL(read, fd, buffer, 60);
	DID("read", "read", .path = "ov/all/one", .result = r);
	close(fd);
	r = CALL(open, in("ov/all/one"), O_RDWR);
	fd = DID("open", "open", .path = "ov/all/one", .offset = O_RDWR, .result = r);
	r = CALL(write, fd, buffer, 10);
	DID("write", "write", .path = "ov/all/one", .hooks = WRITTEN, .result = r);
	r = CALL(pread64, fd, buffer, 50, 0);
	DID("read", "pread64", .path = "ov/all/one", .result = r);
	r = CALL(mmap, NULL, 50, PROT_READ, MAP_SHARED, fd, 0);
	DID("mmap", "mmap", .path = "ov/all/one", .argument = PROT_READ | MAP_SHARED << 8, .result = r);
	munmap((void *)r, 50);
	r = CALL(ftruncate, fd, 20);
	DID("truncate", "ftruncate", .path = "ov/all/one", .hooks = FILE_TRUNCATED, .result = r);
	close(fd);
	r = CALL(chmod, in("ov/all/two"), 0600);
	DID("setattr", "chmod", .path = "ov/all/two", .size = 0600, .result = r);
	r = CALL(rename, in("ov/all/two"), in("ov/all/three"));
	DID("rename", "rename", .path = "ov/all/two", .target.name = "ov/all/three", .result = r);
	r = CALL(link, in("ov/all/three"), in("ov/all/four"));
	DID("link", "link", .path = "ov/all/three", .target.name = "ov/all/four", .result = r);
	r = CALL(unlink, in("ov/all/three"));
	DID("unlink", "unlink", .path = "ov/all/three", .result = r);
	r = CALL(rmdir, in("ov/all/dir"));
	DID("rmdir", "rmdir", .path = "ov/all/dir", .result = r);
	CHECK(!umount(in("ov/all")) && !umount(in("ov")));
}

/* One request, taken by the kernel at once or given to a worker of its own. Returns its result. */
static int ring(unsigned char op, int fd, const void *address, unsigned length_, unsigned long offset, unsigned char flags)
{
	struct io_uring_params p = { 0 };
	int ring = syscall(SYS_io_uring_setup, 4, &p), result;
	char *sq, *cq;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqe;

	CHECK(ring >= 0);
	sq = mmap(NULL, p.sq_off.array + 16, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + 8 * sizeof(*cqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
	sqes = mmap(NULL, 4 * sizeof(*sqes), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	CHECK(sq != MAP_FAILED && cq != MAP_FAILED && (void *)sqes != MAP_FAILED);
	memset(sqes, 0, sizeof(*sqes));
	*sqes = (struct io_uring_sqe){
		.opcode = op, .flags = flags, .fd = fd, .addr = (unsigned long)address, .len = length_, .off = offset
	};
	*(unsigned *)(sq + p.sq_off.array) = 0;
	__atomic_store_n((unsigned *)(sq + p.sq_off.tail), 1, __ATOMIC_SEQ_CST);
	CHECK(CALL(io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS) == 1);
	cqe = (void *)(cq + p.cq_off.cqes);
	result = cqe->res;
	close(ring);
	return result;
}

static void rings(void)
{
	static char buffer[100];
	int fd, r;

	make("q", 0);
	fd = opened("q", O_RDWR);
	for (int i = 0; i < 2; i++) {
		unsigned char flags = i ? IOSQE_ASYNC : 0;

		r = ring(IORING_OP_WRITE, fd, buffer, 50, 0, flags);
		DID("write", i ? "worker" : "ring", .path = "q", INODE("q"), .hooks = WRITTEN, .result = r, .silent = true,
		    .unknown = true);
		r = ring(IORING_OP_READ, fd, buffer, 40, 0, flags);
		DID("read", i ? "worker" : "ring", .path = "q", INODE("q"), .result = r, .silent = true, .unknown = true);
	}
	close(fd);
}

static void requests(void)
{
	static char buffer[100];
	struct io_event event;
	aio_context_t context = 0;
	int fd;

	make("p", 100);
	fd = opened("p", O_RDWR);
	CHECK(!syscall(SYS_io_setup, 4, &context));
	for (int write = 0; write < 2; write++) {
		struct iocb one = { .aio_fildes = fd,
				    .aio_lio_opcode = write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
				    .aio_buf = (long)buffer,
				    .aio_nbytes = 30 },
			    *list = &one;

		long long start = clock_ns();

		CHECK(CALL(io_submit, context, 1, &list) == 1 && CALL(io_getevents, context, 1, 1, &event) == 1);
		begun = start;
		DID(write ? "write" : "read", "io_submit", .path = "p", INODE("p"), .hooks = write ? WRITTEN : NULL, .result = event.res,
		    .silent = true, .unknown = true);
	}
	CHECK(!syscall(SYS_io_destroy, context) && !close(fd));
}

static long int80(long number, long a, long b, long c)
{
	long result = -ENOSYS;

#ifdef __x86_64__
	begun = clock_ns();
	asm volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
	ended = clock_ns();
#endif
	return (int)result;
}

/* Numbers of arch/x86/entry/syscalls/syscall_32.tbl. */
static void narrow(void)
{
	char *low = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0), *more = low + 4096;
	unsigned long long inode;
	int fd;
	long r;

	CHECK(low != MAP_FAILED);
	strcpy(low, in("n"));
	strcpy(more, in("m"));
	r = int80(39, (long)low, 0700, 0);
	DID("mkdir", "mkdir", .path = "n", INODE("n"), .size = 0700, .result = r, .silent = true);
	r = int80(39, (long)low, 0700, 0);
	DID("mkdir", "mkdir", .path = "n", .size = 0700, .result = r, .early = true, .silent = true);
	inode = inode_of("n");
	r = int80(38, (long)low, (long)more, 0);
	DID("rename", "rename", .path = "n", .inode = inode, .target = there("m"), .result = r, .silent = true);
	inode = inode_of("m");
	r = int80(40, (long)more, 0, 0);
	DID("rmdir", "rmdir", .path = "m", .inode = inode, .result = r, .silent = true);
	make("n", 10);
	r = int80(15, (long)low, 0600, 0);
	DID("setattr", "chmod", .path = "n", INODE("n"), .size = 0600, .result = r, .silent = true);
	fd = int80(5, (long)low, O_RDWR, 0);
	DID("open", "open", .path = "n", INODE("n"), .offset = O_RDWR, .result = fd, .silent = true);
	r = int80(4, fd, (long)more, 5);
	DID("write", "write", .path = "n", INODE("n"), .hooks = WRITTEN, .result = r, .silent = true);
	close(fd);
	r = CALL(rename, in("absent"), in("m"));
	DID("rename", "rename", .path = "absent", .target.name = "m", .result = r, .early = true);
}

static void say_open(const char *name)
{
	long r = CALL(open, in(name), O_RDONLY);

	DID("open", "open", .path = name, INODE(name), .result = r);
	CHECK(r >= 0 && !close(r));
}

static void opened_in_chroot(void)
{
	CHECK(!chroot(in("cage")) && !chdir("/"));
	CHECK(!close(open("/kept", O_RDONLY)));
}

/* Directories one below the other, as long as a path may be; the file in the last is opened by its name alone. */
static void opened_far_below(void)
{
	char name[NAME_MAX + 1];
	size_t room = PATH_MAX - 10 - strlen(here);

	CHECK(!chdir(here));
	for (size_t step; room > 1; room -= step + 1) {
		step = room - 1 < 200 ? room - 1 : 200;
		memset(name, 'x', step);
		name[step] = 0;
		CHECK(!mkdir(name, 0755) && !chdir(name));
	}
	CHECK(!close(open("far", O_CREAT | O_RDWR, 0644)));
	CHECK(!chdir(here));
}

/* Where names are hard to find: what they are the kernel says (d_path.bpf.c). */
static void hidden(void)
{
	char deep[400] = "deep", options[2048], link[64];
	int fd;

	for (int i = 0; i < 40; i++) {
		CHECK(!mkdir(in(deep), 0755));
		snprintf(deep + strlen(deep), sizeof(deep) - strlen(deep), "/d%d", i);
	}
	make(deep, 1);
	say_open(deep);
	CHECK(!mkdir(in("cage"), 0755) && !mkdir(in("bound"), 0755));
	make("cage/kept", 1);
	CHECK(!mount(in("cage"), in("bound"), NULL, MS_BIND, NULL));
	say_open("bound/kept");
	CHECK(!umount(in("bound")));
	forked(opened_in_chroot);
	make("gone", 1);
	fd = opened("gone", O_RDONLY);
	CHECK(!unlink(in("gone")));
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	CHECK(!close(open(link, O_RDONLY)) && !close(fd));
	opened_far_below();
	CHECK(!mkdir(in("lay"), 0755) && !mount("lay", in("lay"), "tmpfs", 0, NULL));
	CHECK(!mkdir(in("lay/low"), 0755) && !mkdir(in("lay/up"), 0755) && !mkdir(in("lay/work"), 0755) && !mkdir(in("lay/all"), 0755));
	make("lay/low/one", 100);
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", in("lay/low"), in("lay/up"), in("lay/work"));
	CHECK(!mount("overlay", in("lay/all"), "overlay", 0, options));
	fd = opened("lay/all/one", O_RDONLY);
	CHECK(!close(fd));
	fd = opened("lay/all/one", O_RDWR);
	CHECK(write(fd, "x", 1) == 1 && !close(fd));
	fd = opened("lay/all/one", O_RDONLY);
	CHECK(!close(fd) && !umount(in("lay/all")) && !umount(in("lay")));
}

/* Children that exec, or try to. */
static void exec_garbage(void)
{
	char *words[] = { in("garbage"), NULL };
	long r = CALL(execve, words[0], words, NULL);

	DID("exec", "execve", .path = "garbage", INODE("garbage"), .result = r);
}

static void exec_denied(void)
{
	char *words[] = { in("denied"), NULL };
	long r = CALL(execve, words[0], words, NULL);

	DID("exec", "execve", .path = "denied", .result = r, .early = true);
}

static void exec_lost(void)
{
	char *words[] = { in("lost"), NULL };
	long r = CALL(execve, words[0], words, NULL);

	DID("exec", "execve", .path = "lost", INODE("lost"), .result = r);
}

static void make_executable(const char *name, const char *contents, int mode)
{
	int fd = open(in(name), O_CREAT | O_WRONLY, 0644);

	CHECK(fd >= 0 && write(fd, contents, strlen(contents)) == (ssize_t)strlen(contents) && !fchmod(fd, mode) && !close(fd));
}

static void executed(void)
{
	int status;
	pid_t pid;

	make_executable("garbage", "\001\002\003 no program", 0755);
	make_executable("denied", "#!/bin/true\n", 0644);
	make_executable("lost", "#!/absent/interpreter\n", 0755);
	make_executable("script", "#!/bin/true\n", 0755);
	forked(exec_garbage);
	forked(exec_denied);
	forked(exec_lost);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		char *words[] = { in("script"), NULL };

		execve(words[0], words, NULL);
		_exit(99);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static const struct {
	const char *name;
	void (*act)(void);
} cases[] = {
	{ "mkdir", made_directory }, { "rmdir", removed_directory }, { "mknod", made_node },    { "link", linked },
	{ "unlink", unlinked },      { "rename", renamed },          { "setattr", attributes }, { "truncate", truncated },
	{ "open", opened_files },    { "io", moved_bytes },          { "loop", loops },         { "thread", threads },
	{ "elsewhere", elsewhere },  { "overlay", overlay },         { "narrow", narrow },      { "aio", requests },
	{ "uring", rings },          { "hidden", hidden },           { "exec", executed },
};

static bool wanted(const char *name, char **words)
{
	if (!*words)
		return true;
	for (; *words; words++)
		if (!strcmp(name, *words))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	CHECK(argc > 1);
	here = argv[1];
	said = open_memstream(&text, &length);
	umask(0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (!wanted(cases[i].name, argv + 2))
			continue;
		now_case = cases[i].name;
		CHECK(!chdir(here));
		cases[i].act();
	}
	fclose(said);
	return write(STDOUT_FILENO, text, length) != (ssize_t)length;
}
