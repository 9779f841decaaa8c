// SPDX-License-Identifier: Apache-2.0
/* Operations in a chroot, in another mount namespace, through bind mounts and on overlayfs. */
#include <sched.h>

#include "vfs.h"

static void in_chroot(void)
{
	struct stat st;
	long r;

	CHECK(!chroot(path_of("jail")) && !chdir("/"));
	r = CALL(mkdir, "/inside", 0700);
	CHECK(!stat("/inside", &st));
	REPORT("mkdir", "mkdir", .path = "jail/inside", .inode = st.st_ino, .size = 0700, .result = r);
	r = CALL(rename, "inside", "outside");
	REPORT("rename", "rename", .path = "jail/inside", .inode = st.st_ino, .target.name = "jail/outside", .target.inode = st.st_ino,
	       .result = r);
}

static void in_namespace(void)
{
	long r;

	CHECK(!unshare(CLONE_NEWNS) && !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	CHECK(!mount("own", path_of("jail"), "tmpfs", 0, NULL));
	r = CALL(mkdir, path_of("jail/own"), 0700);
	REPORT("mkdir", "mkdir", .path = "jail/own", INODE("jail/own"), .size = 0700, .result = r);
}

void elsewhere(void)
{
	unsigned long long inode;
	long r;

	CHECK(!mkdir(path_of("jail"), 0755) && !mkdir(path_of("src"), 0755) && !mkdir(path_of("bind"), 0755));
	CHECK(!mount(path_of("src"), path_of("bind"), NULL, MS_BIND, NULL));
	r = CALL(mkdir, path_of("bind/made"), 0700);
	REPORT("mkdir", "mkdir", .path = "bind/made", INODE("bind/made"), .size = 0700, .result = r);
	inode = inode_of("src/made");
	r = CALL(rename, path_of("src/made"), path_of("src/moved"));
	REPORT("rename", "rename", .path = "src/made", .inode = inode, .target = target_at("src/moved"), .result = r);
	CHECK(!umount(path_of("bind")));
	forked(in_chroot);
	forked(in_namespace);
}

void overlay(void)
{
	char options[2048], buffer[100];
	int fd;
	long r;

	CHECK(!mkdir(path_of("ov"), 0755) && !mount("ov", path_of("ov"), "tmpfs", 0, NULL));
	CHECK(!mkdir(path_of("ov/low"), 0755) && !mkdir(path_of("ov/up"), 0755) && !mkdir(path_of("ov/work"), 0755) &&
	      !mkdir(path_of("ov/all"), 0755));
	make("ov/low/one", 100);
	make("ov/low/two", 100);
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", path_of("ov/low"), path_of("ov/up"), path_of("ov/work"));
	CHECK(!mount("overlay", path_of("ov/all"), "overlay", 0, options));
	REPORT("mkdir", "mkdir", .path = "ov/all/dir", .size = 0700, .result = CALL(mkdir, path_of("ov/all/dir"), 0700));
	r = CALL(open, path_of("ov/all/one"), O_RDONLY);
	fd = REPORT("open", "open", .path = "ov/all/one", .result = r);
	r = CALL(read, fd, buffer, 60);
	REPORT("read", "read", .path = "ov/all/one", .result = r);
	close(fd);
	r = CALL(open, path_of("ov/all/one"), O_RDWR);
	fd = REPORT("open", "open", .path = "ov/all/one", .offset = O_RDWR, .result = r);
	r = CALL(write, fd, buffer, 10);
	REPORT("write", "write", .path = "ov/all/one", .hooks = WRITTEN, .result = r);
	r = CALL(pread64, fd, buffer, 50, 0);
	REPORT("read", "pread64", .path = "ov/all/one", .result = r);
	r = CALL(mmap, NULL, 50, PROT_READ, MAP_SHARED, fd, 0);
	REPORT("mmap", "mmap", .path = "ov/all/one", .argument = PROT_READ | MAP_SHARED << 8, .result = r);
	munmap((void *)r, 50);
	r = CALL(ftruncate, fd, 20);
	REPORT("truncate", "ftruncate", .path = "ov/all/one", .hooks = FILE_TRUNCATED, .result = r);
	close(fd);
	r = CALL(chmod, path_of("ov/all/two"), 0600);
	REPORT("setattr", "chmod", .path = "ov/all/two", .size = 0600, .result = r);
	r = CALL(rename, path_of("ov/all/two"), path_of("ov/all/three"));
	REPORT("rename", "rename", .path = "ov/all/two", .target.name = "ov/all/three", .result = r);
	r = CALL(link, path_of("ov/all/three"), path_of("ov/all/four"));
	REPORT("link", "link", .path = "ov/all/three", .target.name = "ov/all/four", .result = r);
	r = CALL(unlink, path_of("ov/all/three"));
	REPORT("unlink", "unlink", .path = "ov/all/three", .result = r);
	r = CALL(rmdir, path_of("ov/all/dir"));
	REPORT("rmdir", "rmdir", .path = "ov/all/dir", .result = r);
	CHECK(!umount(path_of("ov/all")) && !umount(path_of("ov")));
}
