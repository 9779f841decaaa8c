// SPDX-License-Identifier: Apache-2.0
/* How a call is made and reported. */
#include <time.h>

#include "calls.h"

const char *directory;
static const char *current_case = "";
static char text[1 << 20];
static size_t length;

static long long clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

long raw(long nr, long a, long b, long c, long d, long e, long f)
{
	long result = syscall(nr, a, b, c, d, e, f);

	return result == -1 ? -errno : result;
}

void begin(const char *name)
{
	char marker[256];

	current_case = name;
	snprintf(marker, sizeof(marker), "/case/%s", name);
	raw(SYS_open, (long)marker, O_RDONLY, 0, 0, 0, 0);
}

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

long make_call(struct expected w, long a, long b, long c, long d, long e, long f)
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
		"\"path\":\"%s\",\"inode\":%llu,\"major\":%u,\"minor\":%u,\"mode\":%u,\"requested\":\"%s\",\"before\":%lld,\"after\":%lld}\n",
		current_case, w.call, w.fd == NONE ? (result >= 0 ? result : -1) : w.fd, w.offset, w.size, result, path,
		(unsigned long long)st.st_ino, (unsigned)(st.st_dev >> 8 & 0xfff), (unsigned)(st.st_dev & 0xff), st.st_mode,
		w.requested ? w.requested : "", before, after);
	return result;
}

const char *at(const char *name)
{
	static char names[16][8192];
	static int next;
	char *full = names[next++ % 16];

	snprintf(full, 8192, "%s/%s", directory, name);
	return full;
}

int quiet_open(const char *path, int flags)
{
	int fd = open(path, flags, 0644);

	if (fd < 0) {
		perror(path);
		exit(3);
	}
	return fd;
}

void print_lines(void)
{
	fwrite(text, 1, length, stdout);
}
