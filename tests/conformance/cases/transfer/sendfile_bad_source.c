/* sendfile(2) from a descriptor that is not open: EBADF. */
#include "case.h"
#include <sys/sendfile.h>

int main(void)
{
	int to = open_file("target", O_CREAT | O_WRONLY);
	long result = outcome(sendfile(to, 999, NULL, 100));

	expect("sendfile", "sendfile", "\"fd\":999,\"size\":100,\"target_fd\":%d,\"result\":%ld", to, result);
	return 0;
}
