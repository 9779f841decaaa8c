// SPDX-License-Identifier: Apache-2.0
/*
 * Processes and threads that are born, become something else and end, each in every way there is; says what it did in
 * one JSON line each. Every child leaves a trace of its own: a failed open of /child/WAY.
 * Usage: procs births | exec HOW PATH | execs DIRECTORY | storm DIRECTORY N | die SIGNAL | leave STATUS | chain N FILE
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void touch(const char *way)
{
	char name[64];

	snprintf(name, sizeof(name), "/child/%s", way);
	syscall(SYS_open, name, O_RDONLY, 0);
}

static void born(const char *way, const char *call, const char *op, long child)
{
	int status = 0;

	if (!strcmp(op, "fork"))
		waitpid(child, &status, 0);
	printf("{\"way\":\"%s\",\"call\":\"%s\",\"op\":\"%s\",\"parent\":%d,\"child\":%ld}\n", way, call, op, getpid(), child);
	fflush(stdout);
}

static void *thread(void *way)
{
	touch(way);
	return (void *)(intptr_t)gettid();
}

static char stack[65536] __attribute__((aligned(16)));

static int cloned(void *way)
{
	touch(way);
	syscall(SYS_exit_group, 6);
	return 0;
}

static void births(void)
{
	struct clone_args three = { .exit_signal = SIGCHLD };
	pthread_t id;
	void *tid;
	long child;

	child = syscall(SYS_fork);
	if (!child) {
		touch("fork");
		_exit(3);
	}
	born("fork", "fork", "fork", child);
	child = vfork();
	if (!child) {
		touch("vfork");
		_exit(4);
	}
	born("vfork", "vfork", "fork", child);
	child = clone(cloned, stack + sizeof(stack), SIGCHLD, "clone");
	born("clone", "clone", "fork", child);
	child = clone(cloned, stack + sizeof(stack), CLONE_VM | CLONE_FILES | SIGCHLD, "sharing");
	born("sharing", "clone", "fork", child);
	child = syscall(SYS_clone3, &three, sizeof(three));
	if (!child) {
		touch("clone3");
		_exit(5);
	}
	born("clone3", "clone3", "fork", child);
	pthread_create(&id, NULL, thread, "thread");
	pthread_join(id, &tid);
	born("thread", "clone3", "thread", (intptr_t)tid);
}

static void exec(const char *how, char *path)
{
	char *arguments[] = { path, "one argument", "caf\xc3\xa9\xff", NULL };
	char *name = strrchr(path, '/') + 1, directory[4096];
	int fd;

	snprintf(directory, sizeof(directory), "%.*s", (int)(name - path), path);
	if (!strcmp(how, "execve"))
		syscall(SYS_execve, path, arguments, environ);
	else if (!strcmp(how, "relative") && !chdir(directory))
		syscall(SYS_execve, name, arguments, environ);
	else if (!strcmp(how, "execveat"))
		syscall(SYS_execveat, open(directory, O_PATH | O_DIRECTORY), name, arguments, environ, 0);
	else if (!strcmp(how, "empty") && (fd = open(path, O_PATH | O_CLOEXEC)) >= 0)
		syscall(SYS_execveat, fd, "", arguments, environ, AT_EMPTY_PATH);
	else if (!strcmp(how, "fexecve") && (fd = open(path, O_RDONLY)) >= 0)
		fexecve(fd, arguments, environ);
	printf("{\"error\":%d}\n", errno);
	fflush(stdout);
}

static void *exec_thread(void *path)
{
	exec("execve", path);
	return NULL;
}

/* Many children at once, each opening one file of its own. */
static void storm(const char *directory, int count)
{
	char name[4096];
	int failed = 0, status;

	for (int i = 0; i < count; i++) {
		pid_t child = fork();

		if (!child) {
			snprintf(name, sizeof(name), "%s/%d", directory, i);
			int fd = open(name, O_RDONLY);
			char byte[16];

			_exit(read(fd, byte, sizeof(byte)) != 5 || close(fd));
		}
		failed += child < 0;
	}
	while (wait(&status) > 0)
		failed += status != 0;
	printf("{\"failed\":%d}\n", failed);
}

/* Executes itself so often, then reads the file. */
static void chain(char **argv)
{
	char count[16], byte[16];
	int left = atoi(argv[2]), fd;

	if (left) {
		snprintf(count, sizeof(count), "%d", left - 1);
		argv[2] = count;
		execv(argv[0], argv);
	}
	fd = open(argv[3], O_RDONLY);
	if (read(fd, byte, sizeof(byte)) < 0)
		exit(1);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	pthread_t id;

	if (!strcmp(verb, "births"))
		births();
	else if (!strcmp(verb, "exec"))
		exec(argv[2], argv[3]);
	else if (!strcmp(verb, "thread-exec") && !pthread_create(&id, NULL, exec_thread, argv[2]))
		pthread_join(id, NULL);
	else if (!strcmp(verb, "storm"))
		storm(argv[2], atoi(argv[3]));
	else if (!strcmp(verb, "chain"))
		chain(argv);
	else if (!strcmp(verb, "die"))
		raise(atoi(argv[2]));
	else if (!strcmp(verb, "leave"))
		syscall(SYS_exit_group, atoi(argv[2]));
	return 0;
}
