// SPDX-License-Identifier: Apache-2.0
/* Files whose paths are hard to find. */
#include "vfs.h"

static void report_open(const char *name)
{
	long r = CALL(open, path_of(name), O_RDONLY);

	REPORT("open", "open", .path = name, INODE(name), .result = r);
	CHECK(r >= 0 && !close(r));
}

static void opened_in_chroot(void)
{
	CHECK(!chroot(path_of("cage")) && !chdir("/"));
	CHECK(!close(open("/kept", O_RDONLY)));
}

/* Nested directories, as long as a path may be; the file in the last is opened by its name alone. */
static void opened_far_below(void)
{
	char name[NAME_MAX + 1];
	size_t room = PATH_MAX - 10 - strlen(directory);

	CHECK(!chdir(directory));
	for (size_t step; room > 1; room -= step + 1) {
		step = room - 1 < 200 ? room - 1 : 200;
		memset(name, 'x', step);
		name[step] = 0;
		CHECK(!mkdir(name, 0755) && !chdir(name));
	}
	CHECK(!close(open("far", O_CREAT | O_RDWR, 0644)));
	CHECK(!chdir(directory));
}

/* Paths that are hard to find; the kernel's own paths are the oracle (d_path.bpf.c). */
void hidden(void)
{
	char deep[400] = "deep", options[2048], link[64];
	int fd;

	for (int i = 0; i < 40; i++) {
		CHECK(!mkdir(path_of(deep), 0755));
		snprintf(deep + strlen(deep), sizeof(deep) - strlen(deep), "/d%d", i);
	}
	make(deep, 1);
	report_open(deep);
	CHECK(!mkdir(path_of("cage"), 0755) && !mkdir(path_of("bound"), 0755));
	make("cage/kept", 1);
	CHECK(!mount(path_of("cage"), path_of("bound"), NULL, MS_BIND, NULL));
	report_open("bound/kept");
	CHECK(!umount(path_of("bound")));
	forked(opened_in_chroot);
	make("gone", 1);
	fd = opened("gone", O_RDONLY);
	CHECK(!unlink(path_of("gone")));
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	CHECK(!close(open(link, O_RDONLY)) && !close(fd));
	opened_far_below();
	CHECK(!mkdir(path_of("lay"), 0755) && !mount("lay", path_of("lay"), "tmpfs", 0, NULL));
	CHECK(!mkdir(path_of("lay/low"), 0755) && !mkdir(path_of("lay/up"), 0755) && !mkdir(path_of("lay/work"), 0755) &&
	      !mkdir(path_of("lay/all"), 0755));
	make("lay/low/one", 100);
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", path_of("lay/low"), path_of("lay/up"),
		 path_of("lay/work"));
	CHECK(!mount("overlay", path_of("lay/all"), "overlay", 0, options));
	fd = opened("lay/all/one", O_RDONLY);
	CHECK(!close(fd));
	fd = opened("lay/all/one", O_RDWR);
	CHECK(write(fd, "x", 1) == 1 && !close(fd));
	fd = opened("lay/all/one", O_RDONLY);
	CHECK(!close(fd) && !umount(path_of("lay/all")) && !umount(path_of("lay")));
}
