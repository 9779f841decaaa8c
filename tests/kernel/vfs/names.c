// SPDX-License-Identifier: Apache-2.0
/* Operations by name: directories, links, renames, attributes. */
#include <sys/resource.h>

#include "vfs.h"

void made_directory(void)
{
	int fd;
	long r;

	r = CALL(mkdir, in("new"), 0750);
	DID("mkdir", "mkdir", .path = "new", INODE("new"), .size = 0750, .result = r);
	fd = opened("new", O_RDONLY | O_DIRECTORY);
	r = CALL(mkdirat, fd, "below", 0700);
	DID("mkdir", "mkdirat", .path = "new/below", INODE("new/below"), .asked = "new/below", .size = 0700, .result = r);
	r = CALL(mkdir, in("new"), 0700);
	DID("mkdir", "mkdir", .path = "new", .size = 0700, .result = r, .early = true);
	r = CALL(mkdir, in("absent/new"), 0700);
	DID("mkdir", "mkdir", .path = "absent/new", .size = 0700, .result = r, .early = true);
	CHECK(!symlink("new", in("newlink")));
	r = CALL(mkdir, in("newlink/through"), 0711);
	DID("mkdir", "mkdir", .path = "new/through", INODE("new/through"), .asked = "newlink/through", .size = 0711, .result = r);
	CHECK(!seteuid(NOBODY));
	r = CALL(mkdir, in("new/denied"), 0700);
	CHECK(!seteuid(0));
	DID("mkdir", "mkdir", .path = "new/denied", .size = 0700, .result = r);
	CHECK(!mkdir(in("full"), 0755) && !mount("full", in("full"), "tmpfs", 0, "nr_inodes=1"));
	r = CALL(mkdir, in("full/new"), 0700);
	DID("mkdir", "mkdir", .path = "full/new", .size = 0700, .result = r);
	CHECK(!umount(in("full")) && !close(fd));
}

void removed_directory(void)
{
	unsigned long long inode;
	long r;

	CHECK(!mkdir(in("a"), 0700) && !mkdir(in("a/b"), 0700));
	r = CALL(rmdir, in("a"));
	DID("rmdir", "rmdir", .path = "a", INODE("a"), .result = r);
	inode = inode_of("a/b");
	r = CALL(unlinkat, AT_FDCWD, in("a/b"), AT_REMOVEDIR);
	DID("rmdir", "unlinkat", .path = "a/b", .inode = inode, .result = r);
	inode = inode_of("a");
	r = CALL(rmdir, in("a"));
	DID("rmdir", "rmdir", .path = "a", .inode = inode, .result = r);
	r = CALL(rmdir, in("a"));
	DID("rmdir", "rmdir", .path = "a", .result = r, .hooks = "", .early = true);
}

void made_node(void)
{
	long r;

	r = CALL(mknod, in("fifo"), S_IFIFO | 0640, 0);
	DID("mknod", "mknod", .path = "fifo", INODE("fifo"), .size = S_IFIFO | 0640, .result = r);
	r = CALL(mknodat, AT_FDCWD, in("file"), S_IFREG | 0600, 0);
	DID("mknod", "mknodat", .path = "file", INODE("file"), .size = S_IFREG | 0600, .result = r);
	r = CALL(mknod, in("fifo"), S_IFIFO | 0640, 0);
	DID("mknod", "mknod", .path = "fifo", .size = S_IFIFO | 0640, .result = r, .early = true);
}

void linked(void)
{
	long r;

	make("one", 1);
	CHECK(!symlink("one", in("soft")) && !mkdir(in("d"), 0755));
	r = CALL(link, in("one"), in("d/two"));
	DID("link", "link", .path = "one", INODE("one"), .target = there("d/two"), .result = r);
	r = CALL(linkat, AT_FDCWD, in("soft"), AT_FDCWD, in("three"), AT_SYMLINK_FOLLOW);
	DID("link", "linkat", .path = "one", .asked = "soft", INODE("one"), .target = there("three"), .result = r);
	r = CALL(link, in("soft"), in("four"));
	DID("link", "link", .path = "soft", INODE("soft"), .target = there("four"), .result = r);
	r = CALL(link, in("one"), in("three"));
	DID("link", "link", .path = "one", .target.name = "three", .result = r, .early = true);
	CHECK(!seteuid(NOBODY));
	r = CALL(link, in("d"), in("d/no"));
	CHECK(!seteuid(0));
	DID("link", "link", .path = "d", .target.name = "d/no", .result = r, .early = true);
	r = CALL(symlink, "one/../x", in("d/text"));
	DID("symlink", "symlink", .path = "d/x", .target = there("d/text"), .result = r);
	r = CALL(symlinkat, "/absolute", AT_FDCWD, in("text"));
	DID("symlink", "symlinkat", .path = "/absolute", .target = there("text"), .result = r);
	r = CALL(symlink, "one", in("text"));
	DID("symlink", "symlink", .path = "one", .target.name = "text", .result = r, .early = true);
}

void unlinked(void)
{
	unsigned long long inode;
	long r;

	make("u", 1);
	CHECK(!link(in("u"), in("v")) && !mkdir(in("ud"), 0755) && !symlink("u", in("us")));
	inode = inode_of("v");
	r = CALL(unlink, in("v"));
	DID("unlink", "unlink", .path = "v", .inode = inode, .result = r);
	inode = inode_of("us");
	r = CALL(unlink, in("us"));
	DID("unlink", "unlink", .path = "us", .inode = inode, .result = r);
	r = CALL(unlink, in("us"));
	DID("unlink", "unlink", .path = "us", .result = r, .early = true);
	r = CALL(unlink, in("ud"));
	DID("unlink", "unlink", .path = "ud", INODE("ud"), .result = r);
	CHECK(!seteuid(NOBODY));
	r = CALL(unlink, in("u"));
	CHECK(!seteuid(0));
	DID("unlink", "unlink", .path = "u", INODE("u"), .result = r);
	CHECK(!chdir(here));
	inode = inode_of("u");
	r = CALL(unlinkat, AT_FDCWD, "./ud/../u", 0);
	DID("unlink", "unlinkat", .path = "u", .inode = inode, .result = r);
}

void renamed(void)
{
	unsigned long long inode;
	int d, e;
	long r;

	make("r1", 1);
	make("r2", 1);
	make("r3", 1);
	CHECK(!mkdir(in("rd"), 0755) && !mkdir(in("re"), 0755) && !mkdir(in("re/full"), 0755) && !symlink("rd", in("rs")));
	inode = inode_of("r1");
	r = CALL(rename, in("r1"), in("rd/r1"));
	DID("rename", "rename", .path = "r1", .inode = inode, .target = there("rd/r1"), .result = r);
	inode = inode_of("r2");
	r = CALL(rename, in("r2"), in("rs/r1"));
	DID("rename", "rename", .path = "r2", .inode = inode, .target = there("rd/r1"), .asked_target = "rs/r1", .result = r);
	inode = inode_of("rd/r1");
	r = CALL(renameat2, AT_FDCWD, in("rd/r1"), AT_FDCWD, in("r3"), RENAME_EXCHANGE);
	DID("rename", "renameat2", .path = "rd/r1", .inode = inode, .target = there("r3"), .argument = RENAME_EXCHANGE, .result = r);
	r = CALL(renameat2, AT_FDCWD, in("r3"), AT_FDCWD, in("rd/r1"), RENAME_NOREPLACE);
	DID("rename", "renameat2", .path = "r3", .target.name = "rd/r1", .argument = RENAME_NOREPLACE, .result = r, .early = true);
	r = CALL(rename, in("rd"), in("re"));
	DID("rename", "rename", .path = "rd", INODE("rd"), .target = there("re"), .result = r);
	r = CALL(rename, in("absent"), in("re"));
	DID("rename", "rename", .path = "absent", .target.name = "re", .result = r, .early = true);
	d = opened("rd", O_RDONLY | O_DIRECTORY);
	e = opened("re", O_RDONLY | O_DIRECTORY);
	inode = inode_of("rd/r1");
	r = CALL(renameat, d, "r1", e, "full/../r1");
	DID("rename", "renameat", .path = "rd/r1", .inode = inode, .target = there("re/r1"), .result = r);
	CHECK(!link(in("r3"), in("r4")));
	r = CALL(rename, in("r3"), in("r4"));
	DID("rename", "rename", .path = "r3", INODE("r3"), .target = there("r4"), .result = r);
	CHECK(!close(d) && !close(e));
}

void attributes(void)
{
	struct timespec times[2] = { { 1, 0 }, { 2, 0 } };
	int fd;
	long r;

	make("s", 1);
	CHECK(!symlink("s", in("sl")));
	fd = opened("s", O_RDONLY);
	r = CALL(chmod, in("sl"), 0640);
	DID("setattr", "chmod", .path = "s", .asked = "sl", INODE("s"), .size = 0640, .result = r);
	r = CALL(fchmod, fd, 0600);
	DID("setattr", "fchmod", .path = "s", INODE("s"), .size = 0600, .fd = fd + 1, .result = r);
	r = CALL(fchmodat, AT_FDCWD, in("s"), 0644);
	DID("setattr", "fchmodat", .path = "s", INODE("s"), .size = 0644, .result = r);
	CHECK(!seteuid(NOBODY));
	r = CALL(chmod, in("s"), 0777);
	CHECK(!seteuid(0));
	DID("setattr", "chmod", .path = "s", INODE("s"), .size = 0777, .result = r);
	r = CALL(chmod, in("absent"), 0777);
	DID("setattr", "chmod", .path = "absent", .size = 0777, .result = r, .early = true);
	r = CALL(chown, in("sl"), 12, 34);
	DID("setattr", "chown", .path = "s", .asked = "sl", INODE("s"), .offset = 12, .size = 34, .result = r);
	r = CALL(lchown, in("sl"), 13, 35);
	DID("setattr", "lchown", .path = "sl", INODE("sl"), .offset = 13, .size = 35, .result = r);
	r = CALL(fchown, fd, 14, 36);
	DID("setattr", "fchown", .path = "s", INODE("s"), .offset = 14, .size = 36, .fd = fd + 1, .result = r);
	r = CALL(fchownat, fd, "", 15, 37, AT_EMPTY_PATH);
	DID("setattr", "fchownat", .path = "s", INODE("s"), .offset = 15, .size = 37, .fd = fd + 1, .result = r);
	r = CALL(utimensat, AT_FDCWD, in("sl"), times, 0);
	DID("setattr", "utimensat", .path = "s", .asked = "sl", INODE("s"), .result = r);
	r = CALL(utimensat, AT_FDCWD, in("sl"), times, AT_SYMLINK_NOFOLLOW);
	DID("setattr", "utimensat", .path = "sl", INODE("sl"), .result = r);
	r = CALL(utimensat, fd, NULL, times, 0);
	DID("setattr", "utimensat", .path = "s", INODE("s"), .fd = fd + 1, .result = r);
	CHECK(!close(fd));
}

void truncated(void)
{
	struct rlimit limit = { 4096, RLIM_INFINITY };
	int fd;
	long r;

	make("t", 100);
	CHECK(!symlink("t", in("tl")));
	fd = opened("t", O_RDWR);
	r = CALL(truncate, in("tl"), 50);
	DID("truncate", "truncate", .path = "t", .asked = "tl", INODE("t"), .hooks = PATH_TRUNCATED, .result = r);
	r = CALL(ftruncate, fd, 10);
	DID("truncate", "ftruncate", .path = "t", INODE("t"), .hooks = FILE_TRUNCATED, .fd = fd + 1, .result = r);
	r = CALL(truncate, in("absent"), 50);
	DID("truncate", "truncate", .path = "absent", .result = r, .early = true);
	CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && !setrlimit(RLIMIT_FSIZE, &limit));
	r = CALL(truncate, in("t"), 5000);
	limit.rlim_cur = RLIM_INFINITY;
	CHECK(!setrlimit(RLIMIT_FSIZE, &limit));
	DID("truncate", "truncate", .path = "t", INODE("t"), .hooks = "security_path_truncate/truncate", .result = r);
	CHECK(!close(fd));
}
