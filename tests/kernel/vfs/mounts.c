// SPDX-License-Identifier: Apache-2.0
/* Operations in a chroot, in another mount namespace, through bind mounts and on overlayfs. */
#include <sched.h>

#include "vfs.h"

static void in_chroot(void)
{
	struct stat st;
	long r;

	CHECK(!chroot(in("jail")) && !chdir("/"));
	r = CALL(mkdir, "/inside", 0700);
	CHECK(!stat("/inside", &st));
	DID("mkdir", "mkdir", .path = "jail/inside", .inode = st.st_ino, .size = 0700, .result = r);
	r = CALL(rename, "inside", "outside");
	DID("rename", "rename", .path = "jail/inside", .inode = st.st_ino, .target.name = "jail/outside", .target.inode = st.st_ino,
	    .result = r);
}

static void in_namespace(void)
{
	long r;

	CHECK(!unshare(CLONE_NEWNS) && !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	CHECK(!mount("own", in("jail"), "tmpfs", 0, NULL));
	r = CALL(mkdir, in("jail/own"), 0700);
	DID("mkdir", "mkdir", .path = "jail/own", INODE("jail/own"), .size = 0700, .result = r);
}

void elsewhere(void)
{
	unsigned long long inode;
	long r;

	CHECK(!mkdir(in("jail"), 0755) && !mkdir(in("src"), 0755) && !mkdir(in("bind"), 0755));
	CHECK(!mount(in("src"), in("bind"), NULL, MS_BIND, NULL));
	r = CALL(mkdir, in("bind/made"), 0700);
	DID("mkdir", "mkdir", .path = "bind/made", INODE("bind/made"), .size = 0700, .result = r);
	inode = inode_of("src/made");
	r = CALL(rename, in("src/made"), in("src/moved"));
	DID("rename", "rename", .path = "src/made", .inode = inode, .target = there("src/moved"), .result = r);
	CHECK(!umount(in("bind")));
	forked(in_chroot);
	forked(in_namespace);
}

void overlay(void)
{
	char options[2048], buffer[100];
	int fd;
	long r;

	CHECK(!mkdir(in("ov"), 0755) && !mount("ov", in("ov"), "tmpfs", 0, NULL));
	CHECK(!mkdir(in("ov/low"), 0755) && !mkdir(in("ov/up"), 0755) && !mkdir(in("ov/work"), 0755) && !mkdir(in("ov/all"), 0755));
	make("ov/low/one", 100);
	make("ov/low/two", 100);
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", in("ov/low"), in("ov/up"), in("ov/work"));
	CHECK(!mount("overlay", in("ov/all"), "overlay", 0, options));
	DID("mkdir", "mkdir", .path = "ov/all/dir", .size = 0700, .result = CALL(mkdir, in("ov/all/dir"), 0700));
	r = CALL(open, in("ov/all/one"), O_RDONLY);
	fd = DID("open", "open", .path = "ov/all/one", .result = r);
	r = CALL(read, fd, buffer, 60);
	DID("read", "read", .path = "ov/all/one", .result = r);
	close(fd);
	r = CALL(open, in("ov/all/one"), O_RDWR);
	fd = DID("open", "open", .path = "ov/all/one", .offset = O_RDWR, .result = r);
	r = CALL(write, fd, buffer, 10);
	DID("write", "write", .path = "ov/all/one", .hooks = WRITTEN, .result = r);
	r = CALL(pread64, fd, buffer, 50, 0);
	DID("read", "pread64", .path = "ov/all/one", .result = r);
	r = CALL(mmap, NULL, 50, PROT_READ, MAP_SHARED, fd, 0);
	DID("mmap", "mmap", .path = "ov/all/one", .argument = PROT_READ | MAP_SHARED << 8, .result = r);
	munmap((void *)r, 50);
	r = CALL(ftruncate, fd, 20);
	DID("truncate", "ftruncate", .path = "ov/all/one", .hooks = FILE_TRUNCATED, .result = r);
	close(fd);
	r = CALL(chmod, in("ov/all/two"), 0600);
	DID("setattr", "chmod", .path = "ov/all/two", .size = 0600, .result = r);
	r = CALL(rename, in("ov/all/two"), in("ov/all/three"));
	DID("rename", "rename", .path = "ov/all/two", .target.name = "ov/all/three", .result = r);
	r = CALL(link, in("ov/all/three"), in("ov/all/four"));
	DID("link", "link", .path = "ov/all/three", .target.name = "ov/all/four", .result = r);
	r = CALL(unlink, in("ov/all/three"));
	DID("unlink", "unlink", .path = "ov/all/three", .result = r);
	r = CALL(rmdir, in("ov/all/dir"));
	DID("rmdir", "rmdir", .path = "ov/all/dir", .result = r);
	CHECK(!umount(in("ov/all")) && !umount(in("ov")));
}
