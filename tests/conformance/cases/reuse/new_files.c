/* New files one after another, each read and removed: each has its own name. */
#include "reuse.h"

int main(void)
{
	for (int i = 0; i < ROUNDS; i++)
		take_new(numbered("n", i));
	return 0;
}
