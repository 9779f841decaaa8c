// SPDX-License-Identifier: Apache-2.0
/* Files whose paths are hard to find. */
#include "vfs.h"

static void say_open(const char *name)
{
	long r = CALL(open, in(name), O_RDONLY);

	DID("open", "open", .path = name, INODE(name), .result = r);
	CHECK(r >= 0 && !close(r));
}

static void opened_in_chroot(void)
{
	CHECK(!chroot(in("cage")) && !chdir("/"));
	CHECK(!close(open("/kept", O_RDONLY)));
}

/* Directories one below the other, as long as a path may be; the file in the last is opened by its name alone. */
static void opened_far_below(void)
{
	char name[NAME_MAX + 1];
	size_t room = PATH_MAX - 10 - strlen(here);

	CHECK(!chdir(here));
	for (size_t step; room > 1; room -= step + 1) {
		step = room - 1 < 200 ? room - 1 : 200;
		memset(name, 'x', step);
		name[step] = 0;
		CHECK(!mkdir(name, 0755) && !chdir(name));
	}
	CHECK(!close(open("far", O_CREAT | O_RDWR, 0644)));
	CHECK(!chdir(here));
}

/* Where names are hard to find: what they are the kernel says (d_path.bpf.c). */
void hidden(void)
{
	char deep[400] = "deep", options[2048], link[64];
	int fd;

	for (int i = 0; i < 40; i++) {
		CHECK(!mkdir(in(deep), 0755));
		snprintf(deep + strlen(deep), sizeof(deep) - strlen(deep), "/d%d", i);
	}
	make(deep, 1);
	say_open(deep);
	CHECK(!mkdir(in("cage"), 0755) && !mkdir(in("bound"), 0755));
	make("cage/kept", 1);
	CHECK(!mount(in("cage"), in("bound"), NULL, MS_BIND, NULL));
	say_open("bound/kept");
	CHECK(!umount(in("bound")));
	forked(opened_in_chroot);
	make("gone", 1);
	fd = opened("gone", O_RDONLY);
	CHECK(!unlink(in("gone")));
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	CHECK(!close(open(link, O_RDONLY)) && !close(fd));
	opened_far_below();
	CHECK(!mkdir(in("lay"), 0755) && !mount("lay", in("lay"), "tmpfs", 0, NULL));
	CHECK(!mkdir(in("lay/low"), 0755) && !mkdir(in("lay/up"), 0755) && !mkdir(in("lay/work"), 0755) && !mkdir(in("lay/all"), 0755));
	make("lay/low/one", 100);
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", in("lay/low"), in("lay/up"), in("lay/work"));
	CHECK(!mount("overlay", in("lay/all"), "overlay", 0, options));
	fd = opened("lay/all/one", O_RDONLY);
	CHECK(!close(fd));
	fd = opened("lay/all/one", O_RDWR);
	CHECK(write(fd, "x", 1) == 1 && !close(fd));
	fd = opened("lay/all/one", O_RDONLY);
	CHECK(!close(fd) && !umount(in("lay/all")) && !umount(in("lay")));
}
