/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Events as sums, for a run without a stream: counted by task, file, op and duration.
 *
 * Separate, because none of it runs for an event that is emitted.
 */
#ifndef FILETAP_AGGREGATE_H
#define FILETAP_AGGREGATE_H

#include "../event.h"
#include "compat.bpf.h"
#include "define.bpf.h"
#include "pending_event.bpf.h"
#include "state.bpf.h"

/* The position of the highest bit. Without a branch, because the verifier would follow each branch to the program's end. */
static __always_inline __u32 highest_bit(__u64 v)
{
	v |= v >> 1;
	v |= v >> 2;
	v |= v >> 4;
	v |= v >> 8;
	v |= v >> 16;
	v |= v >> 32;
	v -= (v >> 1) & 0x5555555555555555;
	v = (v & 0x3333333333333333) + ((v >> 2) & 0x3333333333333333);
	v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0f;
	return (v * 0x0101010101010101 >> 56) - 1;
}

/* Below 8 ns the duration itself, then eight buckets for each power of two: the highest bit and the next three. */
static __always_inline __u16 bucket_of(__u64 duration)
{
	__u32 octave = highest_bit(duration | 8) - 3;

	return (octave << 3) + (duration >> octave);
}

/* Create the entry. */
static __always_inline struct aggregate *begin_sum(void *sums, const struct aggregate_key *key, const struct pending_event *d,
						   struct counters *c)
{
	struct aggregate none = { .first = d->time };

	if (!bpf_map_update_elem(sums, key, &none, BPF_NOEXIST) && ++c->sums % config.aggregate == 0)
		wake_reader();
	return bpf_map_lookup_elem(sums, key);
}

/* Add the event to its sum. A maximum needs a sum with one writer, because there is no atomic maximum: a thread does one thing at a
 * time, and so does a CPU. An event that another thread emits (a request that completes there), or that the threads of a process share,
 * is summed up by CPU. The reader counts what was summed up. 'tid': the event's. */
SUBPROGRAM int aggregate(struct pending_event *d, __u32 task, __u32 tid, struct counters *c)
{
	__u64 duration = d->entered ? d->time - d->entered : 0;
	struct aggregate_key key = { .task = task, .file = d->file, .op = d->op };
	__u32 zero = 0, op = d->op;
	__u64 current = bpf_get_current_pid_tgid();
	void *sums = bpf_map_lookup_elem(&ft_aggregates, &zero);
	struct aggregate *sum = NULL;

	key.bucket = duration ? bucket_of(duration) : NO_BUCKET;
	if (unlikely(!task))
		key.pid = current >> 32;
	if (unlikely(!task || tid != (__u32)current))
		key.cpu = 1 + bpf_get_smp_processor_id();
	if (sums)
		sum = bpf_map_lookup_elem(sums, &key) ?: begin_sum(sums, &key, d, c);
	if (unlikely(!sum)) {
		if (op < MAX_OPS)
			c->lost[op]++;
		return 0;
	}
	__sync_fetch_and_add(&sum->count, 1);
	if (d->result < 0)
		__sync_fetch_and_add(&sum->errors, 1);
	if (d->bytes)
		__sync_fetch_and_add(&sum->bytes, d->bytes);
	if (duration)
		__sync_fetch_and_add(&sum->total, duration);
	if (duration > sum->max)
		sum->max = duration;
	sum->last = d->time;
	return 0;
}

#endif
