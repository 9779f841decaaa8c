// SPDX-License-Identifier: Apache-2.0
/* Programs that are executed, or cannot be. */
#include "vfs.h"

/* Children that exec, or try to. */
static void exec_garbage(void)
{
	char *words[] = { path_of("garbage"), NULL };
	long r = CALL(execve, words[0], words, NULL);

	REPORT("exec", "execve", .path = "garbage", INODE("garbage"), .result = r);
}

static void exec_denied(void)
{
	char *words[] = { path_of("denied"), NULL };
	long r = CALL(execve, words[0], words, NULL);

	REPORT("exec", "execve", .path = "denied", .result = r, .early = true);
}

static void exec_lost(void)
{
	char *words[] = { path_of("lost"), NULL };
	long r = CALL(execve, words[0], words, NULL);

	REPORT("exec", "execve", .path = "lost", INODE("lost"), .result = r);
}

static void make_executable(const char *name, const char *contents, int mode)
{
	int fd = open(path_of(name), O_CREAT | O_WRONLY, 0644);

	CHECK(fd >= 0 && write(fd, contents, strlen(contents)) == (ssize_t)strlen(contents) && !fchmod(fd, mode) && !close(fd));
}

void executed(void)
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
		char *words[] = { path_of("script"), NULL };

		execve(words[0], words, NULL);
		_exit(99);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}
