/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Requests of io_uring, stored by their addresses until they complete.
 *
 * Separate, because two objects read them: uring.bpf.c records them and reports their completion, and pending.bpf.c lists them.
 */
#ifndef FILETAP_RING_TABLE_H
#define FILETAP_RING_TABLE_H

#include "compat.bpf.h"
#include "kernel.h"
#include "state.bpf.h"

/* A request of io_uring that has been submitted. */
struct ring_request {
	__u64 arguments[6];
	__u64 entered;
	__u64 number; /* no other request has it */
	__u32 task; /* id of the submitter's definition */
	__u32 tid;
	__u32 tgid;
	__u32 nr; /* MAX_NR + opcode */
	__u32 file; /* found at the submission: a name's id, or a descriptor's file */
	__u32 target;
	__u32 open;
	__u32 wanted; /* WANTED_* of a descriptor's file */
	__u32 generation;
	__u32 flags; /* EVENT_*, of the size */
	__s32 fd; /* to which an empty name refers */
	__u8 fixed; /* the descriptor is an index into the ring's own table */
	__u8 slot; /* an open's result goes there */
	__u8 resolved;
	__u8 reported; /* its event was made at the submission, because its success will not be seen */
};

/* A slot for the requests whose address has this hash. */
struct ring_slot {
	__u64 key; /* the address of the request that has it; 0: none */
	__u64 claims;
	struct ring_request request;
};

/* Index into 'slots'. */
static __always_inline __u32 slot_number(__u64 key)
{
	return (__u32)(key >> 6) * 0x9e3779b1u >> (32 - 14);
}

/* A hash map's update and delete take locks, and cost ten times as much as an array's slot; this one has the requests whose slot is
 * taken by another. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_REQUESTS);
	__type(key, __u32);
	__type(value, struct ring_slot);
} ft_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_REQUESTS);
	__type(key, __u64);
	__type(value, struct ring_request);
} ft_requests SEC(".maps");

static __always_inline struct ring_slot *slot_of_request(__u64 key)
{
	__u32 at = slot_number(key);

	return bpf_map_lookup_elem(&ft_slots, &at);
}

/* The one that finds a count of one after adding to it has the slot; if two collide, both release it. An exchange would be simpler, but
 * the instruction set of 5.10 (-mcpu=v2) has none. */
static __always_inline bool claim(struct ring_slot *slot)
{
	__sync_fetch_and_add(&slot->claims, 1);
	if (slot->claims == 1)
		return true;
	__sync_fetch_and_add(&slot->claims, -1);
	return false;
}

/* Store a request until it completes. Returns false if there is no room. */
static __always_inline bool keep_request(const struct ring_request *request, __u64 key)
{
	struct ring_slot *slot = slot_of_request(key);

	if (!slot || (slot->key != key && !claim(slot)))
		return !bpf_map_update_elem(&ft_requests, &key, request, BPF_ANY);
	slot->key = key;
	slot->request = *request;
	return true;
}

/* Returns false when it is not known. */
static __always_inline bool find_request(struct ring_request *request, __u64 key)
{
	struct ring_slot *slot = slot_of_request(key);
	struct ring_request *r;

	if (slot && slot->key == key) {
		*request = slot->request;
		return true;
	}
	r = bpf_map_lookup_elem(&ft_requests, &key);
	if (r)
		*request = *r;
	return r;
}

static __always_inline void forget_request(__u64 key)
{
	struct ring_slot *slot = slot_of_request(key);

	if (!slot || slot->key != key) {
		bpf_map_delete_elem(&ft_requests, &key);
		return;
	}
	slot->key = 0;
	__sync_fetch_and_add(&slot->claims, -1);
}

/* A request of an untraced task may have the address of one that never completed. */
static __always_inline void forget_untraced_request(__u64 key)
{
	struct ring_slot *slot = slot_of_request(key);

	if (slot && slot->key == key)
		forget_request(key);
}

#endif
