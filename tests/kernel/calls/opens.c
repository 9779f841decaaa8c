// SPDX-License-Identifier: Apache-2.0
/* Calls that open and close. */
#include <linux/openat2.h>

#include "calls.h"

/* The four ways to open. */
static int open_(const char *path, int flags, int mode)
{
	return make_call((struct expected){ "open", SYS_open, NONE, flags, mode, path }, (long)path, flags, mode, 0, 0, 0);
}

static int openat_(int dir, const char *path, int flags, int mode)
{
	return make_call((struct expected){ "openat", SYS_openat, NONE, flags, mode, path }, dir, (long)path, flags, mode, 0, 0);
}

static int openat2_(int dir, const char *path, struct open_how how, size_t size)
{
	return make_call((struct expected){ "openat2", SYS_openat2, NONE, how.flags, how.mode, path }, dir, (long)path, (long)&how, size, 0,
			 0);
}

static int creat_(const char *path, int mode)
{
	return make_call((struct expected){ "creat", SYS_creat, NONE, O_CREAT | O_WRONLY | O_TRUNC, mode, path }, (long)path, mode, 0, 0, 0,
			 0);
}

void close_(int fd)
{
	make_call((struct expected){ "close", SYS_close, fd, NONE, NONE, NULL }, fd, 0, 0, 0, 0, 0);
}

void opens(void)
{
	int dir = quiet_open(directory, O_RDONLY | O_DIRECTORY), data = quiet_open(at("data"), O_RDONLY);
	struct open_how how = { .flags = O_RDWR | O_CLOEXEC };

	begin("open");
	open_(at("data"), O_RDONLY, 0);
	open_(at("data"), O_RDWR | O_APPEND | O_CLOEXEC, 0);
	open_(at("data"), O_PATH, 0);
	open_(at("data"), O_WRONLY | O_SYNC | O_NOATIME, 0);
	begin("open_create");
	open_(at("made"), O_RDWR | O_CREAT | O_EXCL, 0640);
	open_(at("made"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	open_(at("made"), O_WRONLY | O_CREAT | O_EXCL, 0600);
	begin("open_symlink");
	open_(at("link"), O_RDONLY, 0);
	open_(at("dir/../link"), O_RDONLY, 0);
	open_(at("link"), O_RDONLY | O_NOFOLLOW, 0);
	begin("open_errors");
	open_(at("missing"), O_RDONLY, 0);
	open_(at("missing/deeper"), O_RDONLY, 0);
	open_(at("loop"), O_RDONLY, 0);
	open_(at("dir"), O_WRONLY, 0);
	open_(at("data/x"), O_RDONLY, 0);
	open_(at("data"), O_RDONLY | O_DIRECTORY, 0);
	open_(at("fifo"), O_WRONLY | O_NONBLOCK, 0);
	open_(at("./dir//.././missing"), O_RDONLY, 0);
	open_("", O_RDONLY, 0);
	make_call((struct expected){ "open", SYS_open, NONE, O_RDONLY, 0, "" }, 8, O_RDONLY, 0, 0, 0, 0);
	begin("open_relative");
	if (chdir(at("dir")))
		exit(3);
	open_("../data", O_RDONLY, 0);
	open_("nothing", O_RDONLY, 0);
	open_("../../nothing", O_RDONLY, 0);
	begin("openat");
	openat_(dir, "data", O_RDONLY, 0);
	openat_(AT_FDCWD, "../data", O_RDWR, 0);
	openat_(-1, at("data"), O_RDONLY, 0);
	openat_(dir, "created", O_CREAT | O_WRONLY, 0604);
	openat_(dir, "dir/none", O_RDONLY, 0);
	openat_(dir, "../none", O_RDONLY, 0);
	openat_(data, "x", O_RDONLY, 0);
	openat_(AT_FDCWD, "none", O_RDONLY, 0);
	begin("openat2");
	openat2_(dir, "data", how, sizeof(how));
	how.flags = O_CREAT | O_WRONLY, how.mode = 0611;
	openat2_(dir, "created2", how, sizeof(how));
	how.flags = O_RDONLY, how.mode = 0, how.resolve = RESOLVE_BENEATH;
	openat2_(dir, "../escape", how, sizeof(how));
	how.resolve = RESOLVE_NO_SYMLINKS;
	openat2_(dir, "link", how, sizeof(how));
	how.resolve = 0, how.flags = 1ull << 40;
	openat2_(dir, "data", how, sizeof(how));
	begin("creat");
	creat_(at("creat"), 0622);
	creat_(at("creat"), 0);
	creat_(at("dir"), 0644);
	creat_(at("missing/x"), 0644);
	begin("open_tmpfile");
	open_(directory, O_TMPFILE | O_RDWR, 0600);
	begin("open_denied");
	if (seteuid(65534))
		exit(3);
	open_(at("secret"), O_RDONLY, 0);
	open_(at("data"), O_RDONLY, 0);
	if (seteuid(0))
		exit(3);
	begin("open_limit");
	struct rlimit old, few = { 3, 4096 };
	getrlimit(RLIMIT_NOFILE, &old);
	few.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_NOFILE, &few);
	open_(at("data"), O_RDONLY, 0);
	setrlimit(RLIMIT_NOFILE, &old);
	begin("setup");
	if (chdir("/"))
		exit(3);
}

void closes(void)
{
	int fd = quiet_open(at("data"), O_RDONLY), two = dup(fd), gone = quiet_open(at("gone"), O_CREAT | O_RDWR);

	begin("close");
	close_(two);
	close_(fd);
	unlink(at("gone"));
	close_(gone);
	begin("setup");
}
