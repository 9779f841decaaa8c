/* Faults in a file on tmpfs: a write to an existing page, a read of a page that does not exist yet. */
#include "case.h"

int main(void)
{
	char name[64];

	snprintf(name, sizeof(name), "/dev/shm/case-%d", getpid());
	make_file(name, 4096);
	int fd = open_file(name, O_RDWR);
	CHECK(!unlink(name));
	CHECK(!ftruncate(fd, 4 << 20));
	volatile char *at = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(at != MAP_FAILED);
	at[99] = 'x';
	(void)at[3 << 20];
	expect("fault", "page_fault_user", "%s,%s,\"address\":\"%p\",\"offset\":99,\"access\":\"write\",\"fault\":\"minor\",\"result\":0",
	       path(name), identity_of(fd), at + 99);
	expect("fault", "page_fault_user",
	       "%s,%s,\"address\":\"%p\",\"offset\":3145728,\"access\":\"read\",\"fault\":\"minor\",\"result\":0", path(name),
	       identity_of(fd), at + (3 << 20));
	return 0;
}
