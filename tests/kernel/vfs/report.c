// SPDX-License-Identifier: Apache-2.0
/* How a case makes its calls and reports what each did. */
#include "vfs.h"

const char *here, *now_case;
__thread long long begun, ended;
static FILE *said;
static char *text;
static size_t length;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

long long clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

char *in(const char *name)
{
	static __thread char buffers[8][512];
	static __thread int next;
	char *buffer = buffers[next++ % 8];

	snprintf(buffer, sizeof(buffers[0]), name[0] == '/' ? "%s%s" : "%s/%s", name[0] == '/' ? "" : here, name);
	return buffer;
}

unsigned long long inode_of(const char *name)
{
	struct stat st;

	return lstat(in(name), &st) ? 0 : st.st_ino;
}

struct place there(const char *name)
{
	return (struct place){ name, inode_of(name) };
}

static void member(const char *key, const char *path)
{
	if (path)
		fprintf(said, ",\"%s\":\"%s\"", key, in(path));
}

long did(struct deed d)
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

void check(bool good, const char *file, int line)
{
	if (!good) {
		fprintf(stderr, "%s:%d: %s\n", file, line, strerror(errno));
		exit(2);
	}
}

long call(long nr, long a, long b, long c, long d, long e, long f)
{
	long result;

	begun = clock_ns();
	result = syscall(nr, a, b, c, d, e, f);
	ended = clock_ns();
	return result == -1 ? -errno : result;
}

void make(const char *name, int size)
{
	static const char zeroes[8192];
	int fd = open(in(name), O_CREAT | O_WRONLY, 0644);

	CHECK(fd >= 0 && write(fd, zeroes, size) == size && !close(fd));
}

int opened(const char *name, int flags)
{
	int fd = open(in(name), flags, 0644);

	CHECK(fd >= 0);
	return fd;
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

void forked(void (*act)(void))
{
	fflush(said);
	CHECK(write(STDOUT_FILENO, text, length) == (ssize_t)length);
	fclose(said);
	free(text);
	said = open_memstream(&text, &length);
	CHECK(WEXITSTATUS(child(act)) == 0);
}

void begin_report(void)
{
	said = open_memstream(&text, &length);
}

int end_report(void)
{
	fclose(said);
	return write(STDOUT_FILENO, text, length) != (ssize_t)length;
}
