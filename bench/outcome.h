/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by all workloads: the clock, and one JSON line on standard output,
 *
 *   {"calls":..,"bytes":..,"ns":..,"ops":{"open":..,"read":..}}
 *
 * how many rounds, the bytes they moved, how long they took, and how many events of each op a tracer must report for them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct timespec began;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void begin(void)
{
	clock_gettime(CLOCK_MONOTONIC, &began);
}

static long long since(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - began.tv_sec) * 1000000000LL + now.tv_nsec - began.tv_nsec;
}

/* ops: words; each op happened once a round. */
static void say(const char *ops, long calls, long long bytes, long long ns)
{
	char names[128], *rest = names;

	snprintf(names, sizeof(names), "%s", ops);
	printf("{\"calls\":%ld,\"bytes\":%lld,\"ns\":%lld,\"ops\":{", calls, bytes, ns);
	for (const char *name, *comma = ""; (name = strsep(&rest, " ")); comma = ",")
		printf("%s\"%s\":%ld", comma, name, calls);
	printf("}}\n");
}
