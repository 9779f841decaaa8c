// SPDX-License-Identifier: Apache-2.0
/* Operations by name: directories, links, renames, attributes. */
#include <sys/resource.h>

#include "vfs.h"

void made_directory(void)
{
	int fd;
	long r;

	r = CALL(mkdir, path_of("new"), 0750);
	REPORT("mkdir", "mkdir", .path = "new", INODE("new"), .size = 0750, .result = r);
	fd = opened("new", O_RDONLY | O_DIRECTORY);
	r = CALL(mkdirat, fd, "below", 0700);
	REPORT("mkdir", "mkdirat", .path = "new/below", INODE("new/below"), .requested = "new/below", .size = 0700, .result = r);
	r = CALL(mkdir, path_of("new"), 0700);
	REPORT("mkdir", "mkdir", .path = "new", .size = 0700, .result = r, .early = true);
	r = CALL(mkdir, path_of("absent/new"), 0700);
	REPORT("mkdir", "mkdir", .path = "absent/new", .size = 0700, .result = r, .early = true);
	CHECK(!symlink("new", path_of("newlink")));
	r = CALL(mkdir, path_of("newlink/through"), 0711);
	REPORT("mkdir", "mkdir", .path = "new/through", INODE("new/through"), .requested = "newlink/through", .size = 0711, .result = r);
	CHECK(!seteuid(NOBODY));
	r = CALL(mkdir, path_of("new/denied"), 0700);
	CHECK(!seteuid(0));
	REPORT("mkdir", "mkdir", .path = "new/denied", .size = 0700, .result = r);
	CHECK(!mkdir(path_of("full"), 0755) && !mount("full", path_of("full"), "tmpfs", 0, "nr_inodes=1"));
	r = CALL(mkdir, path_of("full/new"), 0700);
	REPORT("mkdir", "mkdir", .path = "full/new", .size = 0700, .result = r);
	CHECK(!umount(path_of("full")) && !close(fd));
}

void removed_directory(void)
{
	unsigned long long inode;
	long r;

	CHECK(!mkdir(path_of("a"), 0700) && !mkdir(path_of("a/b"), 0700));
	r = CALL(rmdir, path_of("a"));
	REPORT("rmdir", "rmdir", .path = "a", INODE("a"), .result = r);
	inode = inode_of("a/b");
	r = CALL(unlinkat, AT_FDCWD, path_of("a/b"), AT_REMOVEDIR);
	REPORT("rmdir", "unlinkat", .path = "a/b", .inode = inode, .result = r);
	inode = inode_of("a");
	r = CALL(rmdir, path_of("a"));
	REPORT("rmdir", "rmdir", .path = "a", .inode = inode, .result = r);
	r = CALL(rmdir, path_of("a"));
	REPORT("rmdir", "rmdir", .path = "a", .result = r, .hooks = "", .early = true);
}

void made_node(void)
{
	long r;

	r = CALL(mknod, path_of("fifo"), S_IFIFO | 0640, 0);
	REPORT("mknod", "mknod", .path = "fifo", INODE("fifo"), .size = S_IFIFO | 0640, .result = r);
	r = CALL(mknodat, AT_FDCWD, path_of("file"), S_IFREG | 0600, 0);
	REPORT("mknod", "mknodat", .path = "file", INODE("file"), .size = S_IFREG | 0600, .result = r);
	r = CALL(mknod, path_of("fifo"), S_IFIFO | 0640, 0);
	REPORT("mknod", "mknod", .path = "fifo", .size = S_IFIFO | 0640, .result = r, .early = true);
}

void linked(void)
{
	long r;

	make("one", 1);
	CHECK(!symlink("one", path_of("soft")) && !mkdir(path_of("d"), 0755));
	r = CALL(link, path_of("one"), path_of("d/two"));
	REPORT("link", "link", .path = "one", INODE("one"), .target = target_at("d/two"), .result = r);
	r = CALL(linkat, AT_FDCWD, path_of("soft"), AT_FDCWD, path_of("three"), AT_SYMLINK_FOLLOW);
	REPORT("link", "linkat", .path = "one", .requested = "soft", INODE("one"), .target = target_at("three"), .result = r);
	r = CALL(link, path_of("soft"), path_of("four"));
	REPORT("link", "link", .path = "soft", INODE("soft"), .target = target_at("four"), .result = r);
	r = CALL(link, path_of("one"), path_of("three"));
	REPORT("link", "link", .path = "one", .target.name = "three", .result = r, .early = true);
	CHECK(!seteuid(NOBODY));
	r = CALL(link, path_of("d"), path_of("d/no"));
	CHECK(!seteuid(0));
	REPORT("link", "link", .path = "d", .target.name = "d/no", .result = r, .early = true);
	r = CALL(symlink, "one/../x", path_of("d/text"));
	REPORT("symlink", "symlink", .path = "d/x", .target = target_at("d/text"), .result = r);
	r = CALL(symlinkat, "/absolute", AT_FDCWD, path_of("text"));
	REPORT("symlink", "symlinkat", .path = "/absolute", .target = target_at("text"), .result = r);
	r = CALL(symlink, "one", path_of("text"));
	REPORT("symlink", "symlink", .path = "one", .target.name = "text", .result = r, .early = true);
}

void unlinked(void)
{
	unsigned long long inode;
	long r;

	make("u", 1);
	CHECK(!link(path_of("u"), path_of("v")) && !mkdir(path_of("ud"), 0755) && !symlink("u", path_of("us")));
	inode = inode_of("v");
	r = CALL(unlink, path_of("v"));
	REPORT("unlink", "unlink", .path = "v", .inode = inode, .result = r);
	inode = inode_of("us");
	r = CALL(unlink, path_of("us"));
	REPORT("unlink", "unlink", .path = "us", .inode = inode, .result = r);
	r = CALL(unlink, path_of("us"));
	REPORT("unlink", "unlink", .path = "us", .result = r, .early = true);
	r = CALL(unlink, path_of("ud"));
	REPORT("unlink", "unlink", .path = "ud", INODE("ud"), .result = r);
	CHECK(!seteuid(NOBODY));
	r = CALL(unlink, path_of("u"));
	CHECK(!seteuid(0));
	REPORT("unlink", "unlink", .path = "u", INODE("u"), .result = r);
	CHECK(!chdir(directory));
	inode = inode_of("u");
	r = CALL(unlinkat, AT_FDCWD, "./ud/../u", 0);
	REPORT("unlink", "unlinkat", .path = "u", .inode = inode, .result = r);
}

void renamed(void)
{
	unsigned long long inode;
	int d, e;
	long r;

	make("r1", 1);
	make("r2", 1);
	make("r3", 1);
	CHECK(!mkdir(path_of("rd"), 0755) && !mkdir(path_of("re"), 0755) && !mkdir(path_of("re/full"), 0755) &&
	      !symlink("rd", path_of("rs")));
	inode = inode_of("r1");
	r = CALL(rename, path_of("r1"), path_of("rd/r1"));
	REPORT("rename", "rename", .path = "r1", .inode = inode, .target = target_at("rd/r1"), .result = r);
	inode = inode_of("r2");
	r = CALL(rename, path_of("r2"), path_of("rs/r1"));
	REPORT("rename", "rename", .path = "r2", .inode = inode, .target = target_at("rd/r1"), .requested_target = "rs/r1", .result = r);
	inode = inode_of("rd/r1");
	r = CALL(renameat2, AT_FDCWD, path_of("rd/r1"), AT_FDCWD, path_of("r3"), RENAME_EXCHANGE);
	REPORT("rename", "renameat2", .path = "rd/r1", .inode = inode, .target = target_at("r3"), .argument = RENAME_EXCHANGE, .result = r);
	r = CALL(renameat2, AT_FDCWD, path_of("r3"), AT_FDCWD, path_of("rd/r1"), RENAME_NOREPLACE);
	REPORT("rename", "renameat2", .path = "r3", .target.name = "rd/r1", .argument = RENAME_NOREPLACE, .result = r, .early = true);
	r = CALL(rename, path_of("rd"), path_of("re"));
	REPORT("rename", "rename", .path = "rd", INODE("rd"), .target = target_at("re"), .result = r);
	r = CALL(rename, path_of("absent"), path_of("re"));
	REPORT("rename", "rename", .path = "absent", .target.name = "re", .result = r, .early = true);
	d = opened("rd", O_RDONLY | O_DIRECTORY);
	e = opened("re", O_RDONLY | O_DIRECTORY);
	inode = inode_of("rd/r1");
	r = CALL(renameat, d, "r1", e, "full/../r1");
	REPORT("rename", "renameat", .path = "rd/r1", .inode = inode, .target = target_at("re/r1"), .result = r);
	CHECK(!link(path_of("r3"), path_of("r4")));
	r = CALL(rename, path_of("r3"), path_of("r4"));
	REPORT("rename", "rename", .path = "r3", INODE("r3"), .target = target_at("r4"), .result = r);
	CHECK(!close(d) && !close(e));
}

void attributes(void)
{
	struct timespec times[2] = { { 1, 0 }, { 2, 0 } };
	int fd;
	long r;

	make("s", 1);
	CHECK(!symlink("s", path_of("sl")));
	fd = opened("s", O_RDONLY);
	r = CALL(chmod, path_of("sl"), 0640);
	REPORT("setattr", "chmod", .path = "s", .requested = "sl", INODE("s"), .size = 0640, .result = r);
	r = CALL(fchmod, fd, 0600);
	REPORT("setattr", "fchmod", .path = "s", INODE("s"), .size = 0600, .fd = fd + 1, .result = r);
	r = CALL(fchmodat, AT_FDCWD, path_of("s"), 0644);
	REPORT("setattr", "fchmodat", .path = "s", INODE("s"), .size = 0644, .result = r);
	CHECK(!seteuid(NOBODY));
	r = CALL(chmod, path_of("s"), 0777);
	CHECK(!seteuid(0));
	REPORT("setattr", "chmod", .path = "s", INODE("s"), .size = 0777, .result = r);
	r = CALL(chmod, path_of("absent"), 0777);
	REPORT("setattr", "chmod", .path = "absent", .size = 0777, .result = r, .early = true);
	r = CALL(chown, path_of("sl"), 12, 34);
	REPORT("setattr", "chown", .path = "s", .requested = "sl", INODE("s"), .offset = 12, .size = 34, .result = r);
	r = CALL(lchown, path_of("sl"), 13, 35);
	REPORT("setattr", "lchown", .path = "sl", INODE("sl"), .offset = 13, .size = 35, .result = r);
	r = CALL(fchown, fd, 14, 36);
	REPORT("setattr", "fchown", .path = "s", INODE("s"), .offset = 14, .size = 36, .fd = fd + 1, .result = r);
	r = CALL(fchownat, fd, "", 15, 37, AT_EMPTY_PATH);
	REPORT("setattr", "fchownat", .path = "s", INODE("s"), .offset = 15, .size = 37, .fd = fd + 1, .result = r);
	r = CALL(utimensat, AT_FDCWD, path_of("sl"), times, 0);
	REPORT("setattr", "utimensat", .path = "s", .requested = "sl", INODE("s"), .result = r);
	r = CALL(utimensat, AT_FDCWD, path_of("sl"), times, AT_SYMLINK_NOFOLLOW);
	REPORT("setattr", "utimensat", .path = "sl", INODE("sl"), .result = r);
	r = CALL(utimensat, fd, NULL, times, 0);
	REPORT("setattr", "utimensat", .path = "s", INODE("s"), .fd = fd + 1, .result = r);
	CHECK(!close(fd));
}

void truncated(void)
{
	struct rlimit limit = { 4096, RLIM_INFINITY };
	int fd;
	long r;

	make("t", 100);
	CHECK(!symlink("t", path_of("tl")));
	fd = opened("t", O_RDWR);
	r = CALL(truncate, path_of("tl"), 50);
	REPORT("truncate", "truncate", .path = "t", .requested = "tl", INODE("t"), .hooks = PATH_TRUNCATED, .result = r);
	r = CALL(ftruncate, fd, 10);
	REPORT("truncate", "ftruncate", .path = "t", INODE("t"), .hooks = FILE_TRUNCATED, .fd = fd + 1, .result = r);
	r = CALL(truncate, path_of("absent"), 50);
	REPORT("truncate", "truncate", .path = "absent", .result = r, .early = true);
	CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && !setrlimit(RLIMIT_FSIZE, &limit));
	r = CALL(truncate, path_of("t"), 5000);
	limit.rlim_cur = RLIM_INFINITY;
	CHECK(!setrlimit(RLIMIT_FSIZE, &limit));
	REPORT("truncate", "truncate", .path = "t", INODE("t"), .hooks = "security_path_truncate/truncate", .result = r);
	CHECK(!close(fd));
}
