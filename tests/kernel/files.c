// SPDX-License-Identifier: Apache-2.0
/*
 * Names that are created and removed, and 32-bit calls. Each file contains its own name, so that a test can compare an
 * event's path with the file that was really open.
 * Usage: files tumble DIRECTORY ROUNDS | files recreate DIRECTORY ROUNDS | files swap DIRECTORY ROUNDS |
 * files compat FILE | files deep DIRECTORY NAME DEPTH
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char text[5000];

/* Creates, writes and removes a few names repeatedly: inode numbers and dentries are reused at once. The size of each write
 * identifies the name. Prints the inode of each. */
static void recreate(const char *directory, int rounds)
{
	char name[4096];
	struct stat st;

	for (int i = 0; i < rounds; i++) {
		int number = i % 7;

		snprintf(name, sizeof(name), "%s/name%d", directory, number);
		int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);

		if (fd < 0 || write(fd, text, number + 1) != number + 1 || fstat(fd, &st))
			exit(1);
		close(fd);
		unlink(name);
		printf("%lu\n", (unsigned long)st.st_ino);
	}
}

/* Renames a file back and forth while it is open and reads it under both names: 1 byte as 'here', 2 bytes as 'there'. */
static void swap(const char *directory, int rounds)
{
	char here[4096], there[4096], bytes[8];

	snprintf(here, sizeof(here), "%s/here", directory);
	snprintf(there, sizeof(there), "%s/there", directory);
	int fd = open(here, O_RDONLY);

	for (int i = 0; i < rounds; i++) {
		if (pread(fd, bytes, 1, 0) != 1 || rename(here, there) || pread(fd, bytes, 2, 0) != 2 || rename(there, here))
			exit(1);
	}
}

static long int80(long nr, long a, long b, long c)
{
	long result;

	asm volatile("int $0x80" : "=a"(result) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
	return result;
}

/* 32-bit numbers mean other calls: 3 is read (64-bit: close), 4 write (stat), 5 open (fstat), 6 close (lstat), 0 restart
 * (read), 17 break (pread64), 20 getpid (writev), 33 access (dup2), 180 pread64. */
static void compat(const char *file)
{
	char *low = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	char byte;
	int fd;

	strcpy(low, file);
	fd = int80(5, (long)low, O_RDWR, 0);
	printf("{\"fd\":%d,\"read\":%ld,", fd, int80(3, fd, (long)low + 4096, 5));
	printf("\"write\":%ld,\"pid\":%ld,", int80(4, fd, (long)low + 4096, 2), int80(20, fd, 0, 0));
	printf("\"close\":%ld,\"none\":%ld}\n", int80(6, fd, 0, 0), int80(17, 0, 0, 0));
	fd = open(file, O_RDONLY);
	if (read(fd, &byte, 1) != 1)
		exit(1);
	close(fd);
}

/* A file DEPTH directories deep, each of that name, created step by step: the whole path is longer than a path may be. */
static void deep(const char *directory, const char *name, int depth)
{
	char byte = 'x';

	if (chdir(directory))
		exit(1);
	for (int i = 0; i < depth; i++) {
		mkdir(name, 0700);
		if (chdir(name))
			exit(2);
	}
	int fd = open("leaf", O_CREAT | O_RDWR, 0600);

	if (write(fd, &byte, 1) != 1)
		exit(3);
	close(fd);
	open("leaf/none", O_RDONLY);
}

/* A child renames DIRECTORY/here to there and back without pause, while a file far below is opened again and read. */
static void tumble(const char *directory, int rounds)
{
	char here[4096], there[4096], byte;
	int parent;
	pid_t child;

	snprintf(here, sizeof(here), "%s/here", directory);
	snprintf(there, sizeof(there), "%s/there", directory);
	snprintf(text, sizeof(text), "%s/a/b/c/d/e/f", here);
	parent = open(text, O_PATH | O_DIRECTORY);
	child = fork();
	if (!child) {
		for (;;) {
			rename(here, there);
			rename(there, here);
		}
	}
	for (int i = 0; i < rounds; i++) {
		int fd;

		snprintf(text, sizeof(text), "file%d", i % 50);
		fd = openat(parent, text, O_RDONLY);
		if (read(fd, &byte, 1) != 1)
			exit(1);
		close(fd);
	}
	kill(child, SIGKILL);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (!strcmp(verb, "recreate"))
		recreate(argv[2], atoi(argv[3]));
	else if (!strcmp(verb, "swap"))
		swap(argv[2], atoi(argv[3]));
	else if (!strcmp(verb, "compat"))
		compat(argv[2]);
	else if (!strcmp(verb, "deep"))
		deep(argv[2], argv[3], atoi(argv[4]));
	else if (!strcmp(verb, "tumble"))
		tumble(argv[2], atoi(argv[3]));
	return 0;
}
