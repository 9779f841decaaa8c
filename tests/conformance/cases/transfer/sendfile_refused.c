/* sendfile(2) to a descriptor open for reading only: EBADF, and to one open for appending: EINVAL. */
#include "case.h"
#include <sys/sendfile.h>

int main(void)
{
	static const int flags[] = { O_RDONLY, O_WRONLY | O_APPEND };

	make_file("source", 10000);
	make_file("target", 0);
	int from = open_file("source", O_RDONLY);
	for (int i = 0; i < 2; i++) {
		int to = open_file("target", flags[i]);
		long result = outcome(sendfile(to, from, NULL, 100));

		expect("sendfile", "sendfile", "%s,%s,\"fd\":%d,\"size\":100,\"target\":{%s,%s},\"target_fd\":%d,\"result\":%ld",
		       path("source"), identity_of(from), from, path("target"), identity_of(to), to, result);
	}
	return 0;
}
