// SPDX-License-Identifier: Apache-2.0
/* Calls that duplicate descriptors, files that have no name, and the order of all cases. */
#include "calls.h"

static int dup_(const char *call, long nr, int fd, long b, long c)
{
	return make_call((struct expected){ call, nr, fd, NONE, NONE, NULL }, fd, b, c, 0, 0, 0);
}

static void dups(void)
{
	int fd = quiet_open(at("data"), O_RDONLY), other = quiet_open(at("out"), O_RDONLY), copy;

	begin("dup");
	copy = dup_("dup", SYS_dup, fd, 0, 0);
	read_(copy, 10);
	read_(fd, 10);
	begin("dup2");
	dup_("dup2", SYS_dup2, fd, 300, 0);
	dup_("dup2", SYS_dup2, fd, fd, 0);
	dup_("dup2", SYS_dup2, other, 300, 0);
	pread_(300, 10, 5);
	dup_("dup2", SYS_dup2, fd, 1 << 30, 0);
	begin("dup3");
	dup_("dup3", SYS_dup3, fd, 301, O_CLOEXEC);
	dup_("dup3", SYS_dup3, fd, fd, 0);
	begin("fcntl");
	dup_("fcntl", SYS_fcntl, fd, F_DUPFD, 400);
	dup_("fcntl", SYS_fcntl, fd, F_DUPFD_CLOEXEC, 500);
	dup_("fcntl", SYS_fcntl, fd, F_DUPFD, 1 << 30);
	raw(SYS_fcntl, fd, F_GETFD, 0, 0, 0, 0);
	raw(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC, 0, 0, 0);
	begin("setup");
}

static void special(void)
{
	int memory = memfd_create("my memory", 0), gone = quiet_open(at("doomed"), O_CREAT | O_RDWR);
	int nameless = quiet_open(directory, O_TMPFILE | O_RDWR);

	begin("memfd");
	write_(memory, 11, 0);
	pread_(memory, 20, 1);
	close_(memory);
	begin("deleted");
	write_(gone, 5, 0);
	unlink(at("doomed"));
	write_(gone, 6, 5);
	pread_(gone, 20, 2);
	close_(gone);
	begin("tmpfile");
	write_(nameless, 5, 0);
	close_(nameless);
	begin("setup");
}

int main(int argc, char **argv)
{
	directory = argv[1];
	umask(0);
	opens();
	closes();
	reads();
	writes();
	dups();
	special();
	print_lines();
	return argc != 2;
}
