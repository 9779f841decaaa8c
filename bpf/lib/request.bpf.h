/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Requests of io_uring and io_submit until they complete, as their tables have them.
 * Apart, because two sides read them: the programs that note them and see their end (uring.bpf.c, aio.bpf.c), and pending.bpf.c,
 * which lists what is in the tables.
 */
#ifndef FILETAP_REQUEST_H
#define FILETAP_REQUEST_H

#include "compat.bpf.h"
#include "making.bpf.h"

#define MAX_REQUESTS (16 << 10)

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
	__s32 fd; /* that an empty name means */
	__u8 fixed; /* the descriptor is a place in the ring's own table */
	__u8 slot; /* an open's result goes there */
	__u8 resolved;
	__u8 told; /* its event was made at the submission, for its success will not be seen */
};

/* A place for the requests whose address has this hash. */
struct ring_slot {
	__u64 key; /* the address of the one that has it; 0: none */
	__u64 claims;
	struct ring_request request;
};

/* Place in 'slots'. */
static __always_inline __u32 slot_number(__u64 key)
{
	return (__u32)(key >> 6) * 0x9e3779b1u >> (32 - 14);
}

/* In the memory of one program, by an address of its own: of a request or of a context. pids come again, and an exec begins anew. */
struct aio_place {
	__u64 address;
	__u64 start; /* the process's */
	__u32 tgid;
	__u32 execs;
};

/* A request of io_submit: its event as it is to be, but for the result. */
struct aio_request {
	struct draft draft;
	__u64 changes; /* changes_of() its descriptor */
	__u64 inode; /* of its file, should the id be given up meanwhile */
	__u32 inode_generation;
	__u32 generation; /* of the ids: globals.generation */
	__u32 task; /* id of the submitter's definition */
	__u32 tid;
	__u32 appends;
	__u32 again; /* noted while another was under way at its address: of two ends it is not known which is whose */
};

/* Both tables of io_uring's requests, for objects that use them. A hash map's update and delete take locks, and cost ten times as
 * much as an array's slot; it has the requests whose slot another has. */
#define RING_TABLES                                                                                                                        \
	struct {                                                                                                                           \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                                                          \
		__uint(max_entries, MAX_REQUESTS);                                                                                         \
		__type(key, __u32);                                                                                                        \
		__type(value, struct ring_slot);                                                                                           \
	} ft_slots SEC(".maps");                                                                                                           \
	struct {                                                                                                                           \
		__uint(type, BPF_MAP_TYPE_HASH);                                                                                           \
		__uint(max_entries, MAX_REQUESTS);                                                                                         \
		__type(key, __u64);                                                                                                        \
		__type(value, struct ring_request);                                                                                        \
	} ft_requests SEC(".maps")

/* The table of io_submit's. */
#define AIO_TABLE                                                                                                                          \
	struct {                                                                                                                           \
		__uint(type, BPF_MAP_TYPE_HASH);                                                                                           \
		__uint(max_entries, MAX_REQUESTS);                                                                                         \
		__type(key, struct aio_place);                                                                                             \
		__type(value, struct aio_request);                                                                                         \
	} ft_under_way SEC(".maps")

#endif
