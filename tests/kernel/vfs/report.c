// SPDX-License-Identifier: Apache-2.0
/* How a case makes its calls and reports what each did. */
#include "vfs.h"

const char *directory, *current_case;
__thread long long begun, ended;
static FILE *output;
static char *text;
static size_t length;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

long long clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

char *path_of(const char *name)
{
	static __thread char buffers[8][512];
	static __thread int next;
	char *buffer = buffers[next++ % 8];

	snprintf(buffer, sizeof(buffers[0]), name[0] == '/' ? "%s%s" : "%s/%s", name[0] == '/' ? "" : directory, name);
	return buffer;
}

unsigned long long inode_of(const char *name)
{
	struct stat st;

	return lstat(path_of(name), &st) ? 0 : st.st_ino;
}

struct target target_at(const char *name)
{
	return (struct target){ name, inode_of(name) };
}

static void print_path(const char *key, const char *path)
{
	if (path)
		fprintf(output, ",\"%s\":\"%s\"", key, path_of(path));
}

long report(struct operation d)
{
	pthread_mutex_lock(&lock);
	fprintf(output, "{\"case\":\"%s\",\"tid\":%ld,\"op\":\"%s\",\"call\":\"%s\",\"result\":%lld", current_case, syscall(SYS_gettid),
		d.op, d.call, d.result);
	fprintf(output, ",\"begun\":%lld,\"ended\":%lld", begun, ended);
	if (d.hooks)
		fprintf(output, ",\"hooks\":\"%s\"", d.hooks);
	print_path("path", d.path);
	print_path("target", d.target.name);
	print_path("requested", d.requested);
	print_path("requested_target", d.requested_target);
	if (d.inode)
		fprintf(output, ",\"inode\":%llu", d.inode);
	if (d.target.inode)
		fprintf(output, ",\"target_inode\":%llu", d.target.inode);
	if (d.offset)
		fprintf(output, ",\"offset\":%lld", d.offset);
	if (d.size)
		fprintf(output, ",\"size\":%lld", d.size);
	if (d.argument)
		fprintf(output, ",\"argument\":%lld", d.argument);
	if (d.fd)
		fprintf(output, ",\"fd\":%d", d.fd - 1);
	fprintf(output, ",\"early\":%d,\"silent\":%d,\"unknown\":%d}\n", d.early, d.silent, d.unknown);
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
	int fd = open(path_of(name), O_CREAT | O_WRONLY, 0644);

	CHECK(fd >= 0 && write(fd, zeroes, size) == size && !close(fd));
}

int opened(const char *name, int flags)
{
	int fd = open(path_of(name), flags, 0644);

	CHECK(fd >= 0);
	return fd;
}

/* Runs a function in a child process. */
static int child(void (*act)(void))
{
	int status;
	pid_t pid;

	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		act();
		fclose(output);
		if (write(STDOUT_FILENO, text, length) != (ssize_t)length)
			_exit(1);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return status;
}

void forked(void (*act)(void))
{
	fflush(output);
	CHECK(write(STDOUT_FILENO, text, length) == (ssize_t)length);
	fclose(output);
	free(text);
	output = open_memstream(&text, &length);
	CHECK(WEXITSTATUS(child(act)) == 0);
}

void open_report(void)
{
	output = open_memstream(&text, &length);
}

int print_report(void)
{
	fclose(output);
	return write(STDOUT_FILENO, text, length) != (ssize_t)length;
}
