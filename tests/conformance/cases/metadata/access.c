/* access(2) for reading and writing: granted. */
#include "case.h"

int main(void)
{
	make_file("a", 10);
	long result = syscall(SYS_access, "a", R_OK | W_OK);

	expect("access", "access", "%s,\"resolved\":false,\"flags\":[\"R_OK\",\"W_OK\"],\"result\":%ld", path("a"), outcome(result));
	return 0;
}
