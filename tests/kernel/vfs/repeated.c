// SPDX-License-Identifier: Apache-2.0
/* The same operations many times, in one thread and in several. */
#include "vfs.h"

#define THREADS 4

/* The same lines of code: what a hook records in one round must not appear in the next. */
void loops(void)
{
	CHECK(!mkdir(path_of("l"), 0755) && !mkdir(path_of("l/full"), 0755) && !mkdir(path_of("l/full/x"), 0755) &&
	      !mkdir(path_of("l/d"), 0755));
	for (int i = 0; i < ROUNDS; i++) {
		char from[64], to[64];
		unsigned long long inode;
		long r;

		snprintf(from, sizeof(from), i % 5 == 3 ? "l/absent%d" : "l/from%d", i);
		snprintf(to, sizeof(to), i % 5 == 1 ? "l/absent/%d" : "l/to%d", i);
		if (i % 5 != 3)
			make(from, 1);
		inode = inode_of(from);
		r = CALL(rename, i % 10 == 0 ? path_of("l/d") : path_of(from), i % 10 == 0 ? path_of("l/full") : path_of(to));
		if (i % 10 == 0)
			REPORT("rename", "rename", .path = "l/d", INODE("l/d"), .target = target_at("l/full"), .result = r);
		else if (r)
			REPORT("rename", "rename", .path = from, .target.name = to, .result = r, .early = true);
		else
			REPORT("rename", "rename", .path = from, .inode = inode, .target = target_at(to), .result = r);
	}
}

static void *one_thread(void *number)
{
	for (int i = 0; i < ROUNDS / 2; i++) {
		char path[64], to[64];
		unsigned long long inode;
		long r;

		snprintf(path, sizeof(path), "th/%ld.%d", (long)number, i / 2);
		snprintf(to, sizeof(to), "th/%ld-%d", (long)number, i / 2);
		if (i % 2) { /* it was renamed */
			r = CALL(mkdir, path_of(to), 0700);
			REPORT("mkdir", "mkdir", .path = to, .size = 0700, .result = r, .early = true);
			continue;
		}
		r = CALL(mkdir, path_of(path), 0700);
		inode = inode_of(path);
		REPORT("mkdir", "mkdir", .path = path, .inode = inode, .size = 0700, .result = r);
		r = CALL(rename, path_of(path), path_of(to));
		REPORT("rename", "rename", .path = path, .inode = inode, .target = target_at(to), .result = r);
	}
	return NULL;
}

void threads(void)
{
	pthread_t thread[THREADS];

	CHECK(!mkdir(path_of("th"), 0755));
	for (long i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&thread[i], NULL, one_thread, (void *)i));
	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_join(thread[i], NULL));
}
