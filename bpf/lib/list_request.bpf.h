/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Requests that have not completed: user space asks for each by its address, and this answers.
 *
 * Separate from calls, because a request outlives the call that submitted it.
 */
#ifndef FILETAP_LIST_REQUEST_H
#define FILETAP_LIST_REQUEST_H

#include "../event.h"
#include "aio_table.bpf.h"
#include "compat.bpf.h"
#include "find_file.bpf.h"
#include "kernel.h"
#include "listing.bpf.h"
#include "ring_table.bpf.h"
#include "state.bpf.h"
#include "fd_file.bpf.h"
#include "uapi.h"

#define MAX_ASKED 4096 /* requests at a time */

/* Requests, and the answer for each: with a 'call' if it is listed. */
struct request_query {
	struct aio_request_key key; /* of io_uring by its address alone; an address of 0: the end */
	struct pending_call answer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_ASKED);
	__type(key, __u32);
	__type(value, struct request_query);
} ft_query_reqs SEC(".maps");

static __always_inline bool is_still_valid(__u32 generation)
{
	struct globals *g = globals();

	return g && generation == (__u32)g->generation;
}

/* Find the file that the kernel has assigned to a request, once it has begun it. */
static __always_inline bool find_given_file(struct pending_call *p, __u64 address, const struct call *call)
{
	__u32 found = address ? wanted_file(address, need_of(call)) : 0;

	if (call->kind == KIND_TRANSFER)
		p->target = found;
	else
		p->file = found;
	if (found && call->kind != KIND_TRANSFER)
		p->open = opening_at(address);
	return found;
}

/* Find the file of a request of io_uring: that of its descriptor or name when it was submitted, else the one that the kernel assigned.
 * For a splice this is the destination. */
static __always_inline bool find_request_file(struct listed *l, __u64 address, const struct call *call, const struct shape *shape)
{
	struct ring_request *r = &l->request;
	struct pending_call *p = &l->call;

	p->file = r->file;
	p->target = r->target;
	p->open = r->open;
	if (shape->name)
		return r->wanted;
	if (!shape->fd)
		return !(config.paths & 1);
	if (r->resolved && r->file && call->kind != KIND_TRANSFER && is_still_valid(r->generation))
		return is_needed(r->wanted, need_of(call));
	return find_given_file(p, address, call);
}

static __always_inline void fill_request(struct listed *l, const struct call *call, const struct shape *shape)
{
	const struct ring_request *r = &l->request;
	struct pending_call *p = &l->call;

	__builtin_memset(p, 0, sizeof(*p));
	p->time = bpf_ktime_get_boot_ns();
	p->entered = r->entered;
	p->instance = r->number;
	p->nr = r->nr;
	p->call = call->other && r->arguments[2] & AT_REMOVEDIR ? call->other : call->call;
	p->arguments[0] = numbered(r->arguments, shape->offset);
	p->arguments[1] = numbered(r->arguments, shape->size);
	p->arguments[2] = numbered(r->arguments, shape->argument);
	p->fd = r->fixed || shape->name ? r->fd : shape->fd ? (__s32)numbered(r->arguments, shape->fd) : -1;
	p->task = r->task;
	p->tid = r->tid;
	p->pid = r->tgid;
	p->flags = r->flags;
}

/* List a request of io_uring, in listed(). Its memory may have been reused by a request whose submission was not seen. */
SUBPROGRAM bool list_request(void)
{
	struct listed *l = listed();
	struct io_kiocb *req;
	struct shape shape;
	struct call call;
	__u64 file;

	if (!l)
		return false;
	req = (struct io_kiocb *)l->key;
	call = call_of(l->request.nr);
	shape = shape_of(l->request.nr);
	if (call.kind == KIND_NONE || call.flags & CALL_DROP || l->request.reported ||
	    read_word(req, opcode) != (__u8)(l->request.nr - MAX_NR))
		return false;
	fill_request(l, &call, &shape);
	file = (__u64)read_word(req, file);
	if (l->call.arguments[0] == (__u64)-1 || (file && !seekable(read_word(read_word((struct file *)file, f_inode), i_mode))))
		l->call.flags |= EVENT_NO_OFFSET;
	return l->call.call && find_request_file(l, file, &call, &shape);
}

/* List a request of io_submit, which was recorded because it is requested. User space checks whether its process lives, and has not
 * taken the completion from memory. */
static __always_inline void answer_aio(struct request_query *query)
{
	const struct aio_request *r = bpf_map_lookup_elem(&ft_under_way, &query->key);
	struct pending_call *p = &query->answer;

	if (!r)
		return;
	p->time = bpf_ktime_get_boot_ns();
	p->entered = r->pending_event.entered;
	p->instance = r->pending_event.time;
	p->call = r->pending_event.call;
	p->ip = query->key.address;
	p->arguments[0] = r->pending_event.offset;
	p->arguments[1] = r->pending_event.size;
	p->fd = r->pending_event.fd;
	p->file = is_still_valid(r->generation) ? r->pending_event.file : 0;
	p->open = r->pending_event.open;
	p->flags = r->pending_event.flags;
	p->task = r->task;
	p->tid = r->tid;
	p->pid = query->key.tgid;
}

/* Returns 1 after the last. */
__noinline int answer_one(__u64 most, __u32 index)
{
	struct request_query *query = bpf_map_lookup_elem(&ft_query_reqs, &index);
	struct listed *l = listed();

	if (index >= most || !query || !query->key.address || !l)
		return 1;
	__builtin_memset(&query->answer, 0, sizeof(query->answer));
	l->key = query->key.address;
	if (query->key.tgid)
		answer_aio(query);
	else if (find_request(&l->request, l->key) && list_request())
		query->answer = l->call;
	return 0;
}

REPEATED(answer_one)

#endif
