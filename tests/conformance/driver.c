/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs cases one after another, each in its directory: driver LOG LIST; LIST has a program and a directory on each line.
 * This is the one command that a tracer traces: it is attached once for all cases. Separate from runner.py, because no
 * other process may do anything between the start and the end of a case.
 * LOG gets a line for each: its index, its wait status, and start and end on CLOCK_REALTIME and on CLOCK_BOOTTIME.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 20 /* seconds for a case; then it is killed, which its status shows */

struct moment {
	long long real, boot;
};

static long long read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* In the middle of a pause, so that neither clocks in microseconds nor a late event are assigned to the wrong case. */
static struct moment look(void)
{
	struct timespec pause = { .tv_nsec = 1000000 };
	struct moment now;

	nanosleep(&pause, NULL);
	now.real = read_clock(CLOCK_REALTIME);
	now.boot = read_clock(CLOCK_BOOTTIME);
	nanosleep(&pause, NULL);
	return now;
}

/* Runs the case and its descendants; whatever does not end by itself is killed. Returns the case's own status. */
static int wait_for_all(pid_t started)
{
	long long end = read_clock(CLOCK_BOOTTIME) + PATIENCE * 1000000000LL;
	struct timespec pause = { .tv_nsec = 200000 };
	int status = -1, one;
	pid_t pid;

	while ((pid = waitpid(-1, &one, WNOHANG)) >= 0) {
		if (pid == started)
			status = one;
		if (pid)
			continue;
		if (read_clock(CLOCK_BOOTTIME) > end)
			kill(-started, SIGKILL);
		nanosleep(&pause, NULL);
	}
	return status;
}

/* Output of the case goes into DIRECTORY.out and DIRECTORY.err. */
static void redirect(const char *directory, const char *suffix, int fd)
{
	char name[PATH_MAX];
	int file;

	snprintf(name, sizeof(name), "%s%s", directory, suffix);
	file = open(name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
	if (file < 0 || dup2(file, fd) != fd)
		err(1, "%s", name);
	close(file);
}

static void enter(const char *directory)
{
	if (chdir(directory))
		err(1, "%s", directory);
	redirect(directory, ".out", STDOUT_FILENO);
	redirect(directory, ".err", STDERR_FILENO);
}

static int run(const char *program)
{
	char *arguments[] = { (char *)program, NULL }, *environment[] = { "LC_ALL=C", NULL };
	pid_t pid = fork();

	if (!pid) {
		setpgid(0, 0);
		execve(program, arguments, environment);
		_exit(127);
	}
	setpgid(pid, pid);
	return wait_for_all(pid);
}

/* Mounts of a case end with this process, and its remaining children are waited for. */
static void prepare(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		err(1, "mount namespace");
	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		err(1, "PR_SET_CHILD_SUBREAPER");
}

int main(int argc, char **argv)
{
	char *line = NULL, *program, *directory;
	size_t room = 0;

	if (argc != 3)
		errx(2, "usage: driver LOG LIST");
	FILE *log = fopen(argv[1], "we"), *list = fopen(argv[2], "re");
	if (!log || !list)
		err(1, "%s", log ? argv[2] : argv[1]);
	prepare();
	for (int index = 0; getline(&line, &room, list) > 0; index++) {
		program = strtok(line, "\t\n");
		directory = strtok(NULL, "\t\n");
		enter(directory);
		struct moment start = look();
		int status = run(program);
		struct moment end = look();
		fprintf(log, "%d %d %lld %lld %lld %lld\n", index, status, start.real, end.real, start.boot, end.boot);
		fflush(log);
	}
	return fclose(log) != 0;
}
