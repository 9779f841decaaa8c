/* On overlayfs new files of one name in directories that are created and removed. */
#include "reuse.h"

int main(void)
{
	enter_overlay();
	for (int i = 0; i < ROUNDS; i++)
		take_in_new_directory(i, 0);
	return 0;
}
