/* On tmpfs one file with links that are created and removed: it is read by the current one. */
#include "reuse.h"

int main(void)
{
	enter_tmpfs();
	make_file("a", 10);
	for (int i = 0; i < ROUNDS; i++)
		take_link(numbered("n", i));
	return 0;
}
