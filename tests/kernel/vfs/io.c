// SPDX-License-Identifier: Apache-2.0
/* Opens, reads, writes, copies. */
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "vfs.h"

void opened_files(void)
{
	char link[64], name[512] = "";
	struct stat st;
	int d;
	long r;

	make("o", 10);
	CHECK(!mkdir(path_of("od"), 0755) && !symlink("od", path_of("os")));
	r = CALL(open, path_of("o"), O_RDONLY);
	REPORT("open", "open", .path = "o", INODE("o"), .result = r);
	close(r);
	r = CALL(open, path_of("os/new"), O_CREAT | O_EXCL | O_RDWR, 0640);
	REPORT("open", "open", .path = "od/new", INODE("od/new"), .offset = O_CREAT | O_EXCL | O_RDWR, .hooks = CREATED, .result = r);
	close(r);
	r = CALL(open, path_of("o"), O_CREAT | O_WRONLY, 0640);
	REPORT("open", "open", .path = "o", INODE("o"), .offset = O_CREAT | O_WRONLY, .result = r);
	close(r);
	d = opened("od", O_RDONLY | O_DIRECTORY);
	r = CALL(openat, d, "../o", O_CREAT | O_TRUNC | O_WRONLY, 0640);
	REPORT("open", "openat", .path = "o", INODE("o"), .offset = O_CREAT | O_TRUNC | O_WRONLY,
	       .hooks = "security_file_open/open " FILE_TRUNCATED, .result = r);
	close(r);
	r = CALL(open, path_of("o"), O_CREAT | O_EXCL, 0640);
	REPORT("open", "open", .path = "o", .offset = O_CREAT | O_EXCL, .result = r, .early = true);
	r = CALL(open, path_of("absent"), O_RDONLY);
	REPORT("open", "open", .path = "absent", .result = r, .early = true);
	CHECK(!chmod(path_of("o"), 0) && !seteuid(NOBODY));
	r = CALL(open, path_of("o"), O_RDONLY);
	CHECK(!seteuid(0));
	REPORT("open", "open", .path = "o", .result = r, .early = true);
	r = CALL(open, path_of("od"), O_TMPFILE | O_RDWR, 0600);
	CHECK(r >= 0 && !fstat(r, &st));
	snprintf(link, sizeof(link), "/proc/self/fd/%ld", r);
	CHECK(readlink(link, name, sizeof(name) - 1) > 0);
	*strstr(name, " (deleted)") = 0;
	REPORT("open", "open", .path = name, .inode = st.st_ino, .offset = O_TMPFILE | O_RDWR, .result = r);
	CHECK(!close(r) && !close(d));
}

void moved_bytes(void)
{
	char buffer[100] = "";
	struct iovec two[2] = { { buffer, 30 }, { buffer, 20 } };
	off_t zero = 0;
	int fd, to, full;
	char *at;
	long r;

	make("i", 200);
	make("j", 0);
	fd = opened("i", O_RDWR);
	to = opened("j", O_RDWR);
	r = CALL(read, fd, buffer, 100);
	REPORT("read", "read", .path = "i", INODE("i"), .result = r);
	r = CALL(pread64, fd, buffer, 100, 150);
	REPORT("read", "pread64", .path = "i", INODE("i"), .result = r);
	r = CALL(readv, fd, two, 2);
	REPORT("read", "readv", .path = "i", INODE("i"), .result = r);
	r = CALL(pread64, fd, buffer, 100, 1000);
	REPORT("read", "pread64", .path = "i", INODE("i"), .result = r);
	r = CALL(write, to, buffer, 100);
	REPORT("write", "write", .path = "j", INODE("j"), .hooks = WRITTEN, .result = r);
	r = CALL(pwritev, to, two, 2, 500, 0);
	REPORT("write", "pwritev", .path = "j", INODE("j"), .hooks = WRITTEN, .result = r);
	r = CALL(write, to, buffer, 0);
	REPORT("write", "write", .path = "j", INODE("j"), .hooks = "security_file_permission/write", .result = r);
	r = CALL(fallocate, to, 0, 0, 8192);
	REPORT("fallocate", "fallocate", .path = "j", INODE("j"), .hooks = WRITTEN, .result = r);
	r = CALL(sendfile, to, fd, &zero, 50);
	REPORT("sendfile", "sendfile", .path = "i", INODE("i"), .target = target_at("j"), .hooks = COPIED, .result = r);
	zero = 0;
	r = CALL(copy_file_range, fd, &zero, to, NULL, 60, 0);
	REPORT("copy_file_range", "copy_file_range", .path = "i", INODE("i"), .target = target_at("j"), .hooks = COPIED, .result = r);
	CHECK(!mkdir(path_of("tiny"), 0755) && !mount("tiny", path_of("tiny"), "tmpfs", 0, "size=4096"));
	make("tiny/f", 4096);
	full = opened("tiny/f", O_WRONLY | O_APPEND);
	r = CALL(write, full, buffer, 100);
	REPORT("write", "write", .path = "tiny/f", INODE("tiny/f"), .hooks = "security_file_permission/write", .result = r);
	CHECK(!close(full) && !umount(path_of("tiny")));
	r = CALL(mmap, NULL, 200, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	REPORT("mmap", "mmap", .path = "i", INODE("i"), .argument = PROT_READ | PROT_WRITE | MAP_PRIVATE << 8, .result = r);
	at = (char *)r;
	CHECK(!munmap(at, 200));
	CHECK(!close(fd) && !close(to));
}
