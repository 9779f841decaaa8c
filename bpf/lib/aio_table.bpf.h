/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Requests of io_submit, stored by their addresses in the process until they complete.
 *
 * Separate, because two objects read them: aio.bpf.c records them and reports their completion, and pending.bpf.c lists them.
 */
#ifndef FILETAP_AIO_TABLE_H
#define FILETAP_AIO_TABLE_H

#include "compat.bpf.h"
#include "kernel.h"
#include "pending_event.bpf.h"
#include "state.bpf.h"

/* An address in the memory of one program: of a request or of a context. The kernel reuses pids, and an exec replaces the memory. */
struct aio_request_key {
	__u64 address;
	__u64 start; /* the process's */
	__u32 tgid;
	__u32 execs;
};

/* A request of io_submit: its event, complete except for the result. */
struct aio_request {
	struct pending_event pending_event;
	__u64 changes; /* changes_of() its descriptor */
	__u64 inode; /* of its file, in case the id is evicted meanwhile */
	__u32 inode_generation;
	__u32 generation; /* of the ids: globals.generation */
	__u32 task; /* id of the submitter's definition */
	__u32 tid;
	__u32 appends;
	__u32 again; /* recorded while another was pending at its address: the two completions cannot be assigned */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_REQUESTS);
	__type(key, struct aio_request_key);
	__type(value, struct aio_request);
} ft_under_way SEC(".maps");

static __always_inline struct aio_request_key request_key_at(__u64 address)
{
	struct task_struct *leader = read_word(current_task(), group_leader);

	return (struct aio_request_key){ address, read_word(leader, start_boottime), read_word(leader, tgid),
					 read_word(leader, self_exec_id) };
}

/* Take the request at this address from the table. Only the first caller gets it. */
static __always_inline bool take_request(struct aio_request *request, const struct aio_request_key *key)
{
	struct aio_request *r = bpf_map_lookup_elem(&ft_under_way, key);

	if (!r)
		return false;
	*request = *r;
	return !bpf_map_delete_elem(&ft_under_way, key);
}

#endif
