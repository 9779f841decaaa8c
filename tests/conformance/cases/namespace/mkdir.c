/* mkdir(2), and again: EEXIST. */
#include "case.h"

int main(void)
{
	long made = outcome(syscall(SYS_mkdir, "sub", 0750));
	long taken = outcome(syscall(SYS_mkdir, "sub", 0700));

	expect("mkdir", "mkdir", "%s,\"resolved\":false,\"mode\":\"0750\",\"result\":%ld", path("sub"), made);
	expect("mkdir", "mkdir", "%s,\"resolved\":false,\"mode\":\"0700\",\"result\":%ld", path("sub"), taken);
	return 0;
}
