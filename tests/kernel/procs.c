// SPDX-License-Identifier: Apache-2.0
/*
 * Processes and threads that are created, exec and end, each in every possible way; prints one JSON line for each. Every
 * child makes a failed open of /child/WAY as a marker.
 * Usage: procs births | exec HOW PATH | execs DIRECTORY | storm DIRECTORY N | die SIGNAL | leave STATUS | chain N FILE |
 * worker
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

/* Executes itself N times, then reads the file. */
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

/* All other threads of this process run only when the CPU is idle. */
static void yield_to_me(void)
{
	const struct sched_param none = { 0 };
	DIR *tasks = opendir("/proc/self/task");

	for (struct dirent *one; (one = readdir(tasks));)
		if (atoi(one->d_name) > 0 && atoi(one->d_name) != gettid() && sched_setscheduler(atoi(one->d_name), SCHED_IDLE, &none))
			exit(2);
	closedir(tasks);
}

/* A read by an io_uring worker on the one CPU that it shares with this process, which ends first. Exits 77 without io_uring. */
static void worker(void)
{
	struct io_uring_params p = { 0 };
	int fd = syscall(SYS_io_uring_setup, 1, &p);
	struct io_uring_sqe *sqe;
	cpu_set_t cpus;
	char *at, byte;

	if (fd < 0)
		exit(77);
	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	at = mmap(NULL, p.sq_off.array + sizeof(unsigned), PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	sqe = mmap(NULL, sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
	if (at == MAP_FAILED || sqe == MAP_FAILED || sched_setaffinity(0, sizeof(cpus), &cpus) ||
	    syscall(SYS_io_uring_register, fd, IORING_REGISTER_IOWQ_AFF, &cpus, sizeof(cpus)))
		exit(2);
	*sqe = (struct io_uring_sqe){ .opcode = IORING_OP_READ,
				      .flags = IOSQE_ASYNC,
				      .fd = open("/proc/self/exe", O_RDONLY),
				      .addr = (unsigned long)&byte,
				      .len = 1 };
	__atomic_add_fetch((unsigned *)(at + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		exit(2);
	yield_to_me();
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
	else if (!strcmp(verb, "worker"))
		worker();
	else if (!strcmp(verb, "leave"))
		syscall(SYS_exit_group, atoi(argv[2]));
	return 0;
}
