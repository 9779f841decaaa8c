/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A number for each open file description: one opening, whatever descriptors refer to it. The kernel has none, and reuses the
 * memory of a struct file for the next open. So a number belongs to an address only until an open returns with that address, or
 * until another file is found there.
 *
 * Separate, because events, requests and hooks must agree on it.
 */
#ifndef FILETAP_OPENING_H
#define FILETAP_OPENING_H

#include "../event.h"
#include "compat.bpf.h"
#include "state.bpf.h"

#define MAX_OPENINGS (64 << 10)
#define MAX_REOPENED 4096

struct opening {
	__u64 inode;
	__u32 generation;
	__u32 number; /* 0: the opening that had one has ended */
};

/* By the address of the struct file. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_OPENINGS);
	__type(key, __u64);
	__type(value, struct opening);
} ft_openings SEC(".maps");

/* Counts the opens that have returned with an address of this hash: a task's cache of an older one is void. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_REOPENED);
	__type(key, __u32);
	__type(value, __u32);
} ft_reopened SEC(".maps");

static __always_inline __u32 *reopened_at(__u64 address)
{
	__u32 place = (__u32)(address >> 6) * 0x9e3779b1u >> (32 - 12);

	return bpf_map_lookup_elem(&ft_reopened, &place);
}

/* Like new_id(). */
static __always_inline __u32 new_opening(void)
{
	struct counters *c = counters();

	if (!c)
		return 0;
	c->next_open += config.ncpu;
	return c->next_open + bpf_get_smp_processor_id();
}

/* Updated in place if the address was used before: deleting and inserting it again made a round of open, read and close 140 ns slower.
 * The table does not evict an entry that has just been looked up. */
static __always_inline __u32 put_opening(__u64 address, __u64 inode, __u32 generation, struct opening *known)
{
	struct opening made = { .inode = inode, .generation = generation, .number = new_opening() };
	struct counters *c = counters();

	if (known) {
		*known = made;
		return made.number;
	}
	if (bpf_map_update_elem(&ft_openings, &address, &made, BPF_ANY) && c)
		c->opens_full++;
	return made.number;
}

/* Return the number of the opening of this file at 'address'. A global function, which is verified once. */
__noinline __u32 find_opening(__u64 address, __u64 inode, __u32 generation)
{
	struct opening *known = bpf_map_lookup_elem(&ft_openings, &address);

	if (known && known->number && known->inode == inode && known->generation == generation)
		return known->number;
	return put_opening(address, inode, generation, known);
}

/* The same for the file that the task has just resolved, usually from the task's cache. */
static __always_inline __u32 opening_of(struct task_state *s, __u64 address)
{
	__u32 *count = reopened_at(address);

	if (likely(s->opened == address &&
		   (s->held == address || (s->opened_inode == s->last.key.inode && count && *count == s->reopened))))
		return s->opening;
	s->opened = address;
	s->reopened = count ? *count : 0;
	s->opened_inode = s->last.key.inode;
	s->opening = find_opening(address, s->last.key.inode, s->last.key.generation);
	return s->opening;
}

/* An open has returned with this description: any earlier one in its memory is gone. */
static __always_inline void begin_opening(__u64 address)
{
	__u32 *count = reopened_at(address);
	struct opening *known = bpf_map_lookup_elem(&ft_openings, &address);

	if (known)
		known->number = 0;
	if (count)
		__sync_fetch_and_add(count, 1);
}

/* Without a file to compare: return the number that was given to it, or 0. */
static __always_inline __u32 known_opening(__u64 address)
{
	struct opening *known = bpf_map_lookup_elem(&ft_openings, &address);

	return known ? known->number : 0;
}

#endif
