// SPDX-License-Identifier: Apache-2.0
/*
 * The workload of the methods to find a path.
 *
 * resolution LIST ROUNDS [FROM TO]   opens, preads once and closes each file in LIST, one per line; between two
 *                                    rounds FROM is renamed to TO and back
 *
 * One JSON line, see outcome.h. With FILETAP_GO set to a file descriptor, it waits for one byte there before it starts.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>
#include "outcome.h"

static char **names;
static long count;

static void read_list(const char *list)
{
	FILE *stream = fopen(list, "r");
	char *line = NULL;
	size_t room = 0;
	ssize_t length;

	if (!stream)
		fail(list);
	while ((length = getline(&line, &room, stream)) > 0) {
		line[length - 1] = 0;
		if (!(count & (count + 1)) && !(names = realloc(names, (2 * count + 2) * sizeof(*names))))
			fail("realloc");
		names[count++] = strdup(line);
	}
	fclose(stream);
}

static long long read_each(void)
{
	long long bytes = 0;
	char buffer[16];

	for (long i = 0; i < count; i++) {
		int fd = open(names[i], O_RDONLY);

		if (fd < 0)
			fail(names[i]);
		bytes += pread(fd, buffer, sizeof(buffer), 0);
		close(fd);
	}
	return bytes;
}

int main(int argc, char **argv)
{
	long long bytes = 0;
	long rounds;

	if (argc != 3 && argc != 5) {
		fprintf(stderr, "see the head of bench/resolution.c\n");
		return 2;
	}
	read_list(argv[1]);
	rounds = atol(argv[2]);
	if (getenv("FILETAP_GO") && read(atoi(getenv("FILETAP_GO")), &(char){ 0 }, 1) < 0)
		fail("FILETAP_GO");
	begin();
	for (long i = 0; i < rounds; i++) {
		bytes += read_each();
		if (argc == 5 && (rename(argv[3], argv[4]) || rename(argv[4], argv[3])))
			fail(argv[3]);
	}
	say("read", rounds * count, bytes, since());
	return 0;
}
