/* One file is linked under one name into directories that are created and removed. */
#include "reuse.h"

int main(void)
{
	make_file("a", 10);
	for (int i = 0; i < ROUNDS; i++)
		take_in_new_directory(i, 1);
	return 0;
}
