// SPDX-License-Identifier: Apache-2.0
/* Runs the cases that are named, or all. */
#include "vfs.h"

static const struct {
	const char *name;
	void (*act)(void);
} cases[] = {
	{ "mkdir", made_directory }, { "rmdir", removed_directory }, { "mknod", made_node },    { "link", linked },
	{ "unlink", unlinked },      { "rename", renamed },          { "setattr", attributes }, { "truncate", truncated },
	{ "open", opened_files },    { "io", moved_bytes },          { "loop", loops },         { "thread", threads },
	{ "elsewhere", elsewhere },  { "overlay", overlay },         { "narrow", narrow },      { "aio", requests },
	{ "uring", rings },          { "hidden", hidden },           { "exec", executed },
};

static bool wanted(const char *name, char **words)
{
	if (!*words)
		return true;
	for (; *words; words++)
		if (!strcmp(name, *words))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	CHECK(argc > 1);
	directory = argv[1];
	open_report();
	umask(0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (!wanted(cases[i].name, argv + 2))
			continue;
		current_case = cases[i].name;
		CHECK(!chdir(directory));
		cases[i].act();
	}
	return print_report();
}
