/* On overlayfs, as in a container: new files, each read and removed, reuse inode numbers. */
#include "reuse.h"

int main(void)
{
	enter_overlay();
	for (int i = 0; i < ROUNDS; i++)
		take_new(numbered("n", i));
	return 0;
}
