/* Descriptors that exec closes (O_CLOEXEC) and that the end of the process closes: there is no close(2). */
#include "case.h"

int main(int count, char **arguments)
{
	(void)arguments;
	if (count == 2)
		return 0;
	open_file("data", O_CREAT | O_RDWR | O_CLOEXEC);
	open_file("data", O_RDONLY);
	puts("{\"op\":\"close\",\"none\":true}");
	fflush(stdout);
	return execl("/proc/self/exe", "again", "again", NULL);
}
