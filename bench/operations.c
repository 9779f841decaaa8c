// SPDX-License-Identifier: Apache-2.0
/*
 * The workloads of file operations other than open, read and close. The work before the clock starts does not depend on
 * the count, so a run of none shows what else a tracer saw.
 *
 * operations stat DIRECTORY FILES COUNT    stat(2) of files made by 'workload tree', absolute and relative in turn
 * operations churn DIRECTORY COUNT         never the same file: open, write one block, close, rename, unlink
 * operations touch FILE MODE COUNT         mmap FILE, touch each page, munmap; MODE: read, or write (privately)
 * operations exec PROGRAM COUNT            vfork, execve, waitpid; PROGRAM should do nothing
 *
 * One JSON line, see outcome.h.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "outcome.h"

#define BLOCK 4096

static char **names_below(const char *directory, long files)
{
	char **names = calloc(files, sizeof(*names));

	for (long i = 0; i < files; i++)
		if (asprintf(&names[i], "%s/a%ld/b%ld/c%ld/d/e/file%ld", directory, i % 10, i / 10 % 10, i % 2, i) < 0)
			fail("asprintf");
	return names;
}

/* The relative name is the part of the absolute one after the directory. */
static void stat_loop(const char *directory, long files, long count)
{
	char **names = names_below(directory, files);
	size_t offset = strlen(directory) + 1;
	struct stat found;

	if (chdir(directory))
		fail(directory);
	begin();
	for (long i = 0; i < count; i++) {
		const char *name = names[i % files] + (i % 2 ? offset : 0);

		if (stat(name, &found))
			fail(name);
	}
	say("stat", count, 0, since());
}

static void make_and_remove(const char *directory, long i)
{
	static const char block[BLOCK];
	char name[4096], renamed[4096];
	int fd;

	snprintf(name, sizeof(name), "%s/filetap-bench-%d-%ld", directory, getpid(), i);
	snprintf(renamed, sizeof(renamed), "%s/filetap-bench-%d-%ld-renamed", directory, getpid(), i);
	fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);
	if (fd < 0 || write(fd, block, BLOCK) != BLOCK || close(fd))
		fail(name);
	if (rename(name, renamed) || unlink(renamed))
		fail(renamed);
}

static void churn_loop(const char *directory, long count)
{
	begin();
	for (long i = 0; i < count; i++)
		make_and_remove(directory, i);
	say("open write close rename unlink", count, count * BLOCK, since());
}

static void touch_pages(int fd, size_t size, int writing)
{
	volatile char *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	if (pages == MAP_FAILED || madvise((void *)pages, size, MADV_RANDOM))
		fail("mmap");
	for (size_t at = 0; at < size; at += BLOCK) {
		if (writing)
			pages[at] = 1;
		else
			(void)pages[at];
	}
	munmap((void *)pages, size);
}

static long faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt + usage.ru_majflt;
}

/*
 * Faults are the kernel's own count, because one of them maps more pages than the one that was read. The functions used
 * here are called once before, so that their pages are mapped.
 */
static void touch_loop(const char *path, int writing, long count)
{
	int fd = open(path, O_RDONLY);
	struct stat found;
	long before;

	if (fd < 0 || fstat(fd, &found))
		fail(path);
	begin();
	faults();
	before = faults();
	begin();
	for (long i = 0; i < count; i++)
		touch_pages(fd, found.st_size, writing);
	say("fault", faults() - before, 0, since());
}

static pid_t spawn(char *program)
{
	char *words[] = { program, NULL }, *none[] = { NULL };
	pid_t child = vfork();

	if (!child) {
		execve(program, words, none);
		_exit(127);
	}
	return child;
}

static void exec_loop(char *program, long count)
{
	int status;

	begin();
	for (long i = 0; i < count; i++) {
		pid_t child = spawn(program);

		if (child < 0 || waitpid(child, &status, 0) != child || status)
			fail(program);
	}
	say("fork exec exit", count, 0, since());
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "stat")) {
		stat_loop(argv[2], atol(argv[3]), atol(argv[4]));
	} else if (argc == 4 && !strcmp(argv[1], "churn")) {
		churn_loop(argv[2], atol(argv[3]));
	} else if (argc == 5 && !strcmp(argv[1], "touch")) {
		touch_loop(argv[2], !strcmp(argv[3], "write"), atol(argv[4]));
	} else if (argc == 4 && !strcmp(argv[1], "exec")) {
		exec_loop(argv[2], atol(argv[3]));
	} else {
		fprintf(stderr, "see the head of bench/operations.c\n");
		return 2;
	}
	return 0;
}
