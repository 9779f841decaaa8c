/* On tmpfs one file under links that come and go: it is read under the one that is there. */
#include "reuse.h"

int main(void)
{
	enter_tmpfs();
	make_file("a", 10);
	for (int i = 0; i < ROUNDS; i++)
		take_link(numbered("n", i));
	return 0;
}
