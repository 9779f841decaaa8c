/* On tmpfs one file is linked under one name into two directories, in turn. */
#include "reuse.h"

int main(void)
{
	enter_tmpfs();
	make_file("a", 10);
	CHECK(!mkdir("d1", 0755) && !mkdir("d2", 0755));
	for (int i = 0; i < ROUNDS; i++)
		take_link(i % 2 ? "d1/name" : "d2/name");
	return 0;
}
