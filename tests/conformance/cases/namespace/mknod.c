/* mknod(2) of a named pipe; the mode contains its type. */
#include "case.h"

int main(void)
{
	long result = syscall(SYS_mknod, "pipe", S_IFIFO | 0640, 0);

	expect("mknod", "mknod", "%s,\"resolved\":false,\"mode\":\"0%o\",\"result\":%ld", path("pipe"), S_IFIFO | 0640, outcome(result));
	return 0;
}
