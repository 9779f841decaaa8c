/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * From a request of io_submit to its event: filled when it is recorded, and emitted with its result.
 *
 * Separate from the table of requests and from the calls that create and complete them.
 */
#ifndef FILETAP_AIO_EVENT_H
#define FILETAP_AIO_EVENT_H

#include "../event.h"
#include "aio_table.bpf.h"
#include "argument.bpf.h"
#include "compat.bpf.h"
#include "descriptor.bpf.h"
#include "emit.bpf.h"
#include "find_file.bpf.h"
#include "kernel.h"
#include "pending_event.bpf.h"
#include "opening.bpf.h"
#include "state.bpf.h"
#include "fd_file.bpf.h"
#include "uapi.h"

/* The request that is being read or written: too large for the stack. */
struct workspace {
	struct iocb iocb;
	struct io_event event;
	struct aio_request request;
	__u64 began; /* when reading the ring began */
	__u32 nr; /* of completions that fit the ring */
};

PER_CPU(workspace, struct workspace, ft_workspaces)

static __always_inline bool moves_bytes(const struct pending_event *d)
{
	return d->op == OP_READ || d->op == OP_WRITE;
}

static __always_inline bool request_appends(struct file *file, const struct iocb *iocb)
{
	if (iocb->aio_rw_flags & (RWF_APPEND | RWF_NOAPPEND))
		return iocb->aio_rw_flags & RWF_APPEND;
	return BPF_CORE_READ(file, f_flags) & O_APPEND;
}

/* Fill state->pending_event from the request in the workspace. Returns false if it was not requested. */
SUBPROGRAM bool fill_request_event(struct task_state *state)
{
	struct task_struct *task = current_task();
	struct workspace *w = workspace();
	struct file *file;
	struct pending_event *d;
	struct call call;
	__u64 address;
	bool wanted;

	if (!w)
		return false;
	call = call_of(w->iocb.aio_lio_opcode);
	d = new_pending_event(state, call.op, call.call, 0);
	d->time = bpf_ktime_get_boot_ns(); /* distinguishes requests at one address */
	if (!call.call)
		return false;
	d->fd = w->iocb.aio_fildes;
	d->offset = w->iocb.aio_offset;
	d->size = call.flags & CALL_VECTORED ? iovec_sum(w->iocb.aio_buf, w->iocb.aio_nbytes, &d->flags) : w->iocb.aio_nbytes;
	w->request.changes = changes_of(task, d->fd);
	w->request.appends = 0;
	address = fd_address(task, d->fd);
	file = file_at(address);
	if (!file || !moves_bytes(d) || !seekable(BPF_CORE_READ(file, f_inode, i_mode)))
		d->flags |= EVENT_NO_OFFSET;
	else if (d->op == OP_WRITE)
		w->request.appends = request_appends(file, &w->iocb);
	if (!file || !type_passes(file, NEED_TYPE))
		return false;
	resolve(state, file, NEED_TYPE);
	wanted = is_needed(state->last.wanted, NEED_TYPE);
	give_file(d, state->last.id, wanted, opening_of(state, address));
	return wanted;
}

/* The offset of an append is known only from its end (pwrite(2), BUGS). */
static __always_inline void locate_append(struct task_struct *task, struct pending_event *d)
{
	__u64 address = fd_address(task, d->fd);
	struct file *file = file_at(address);

	d->flags |= EVENT_UNCERTAIN;
	if (file && d->open == known_opening(address))
		d->offset = BPF_CORE_READ(file, f_inode, i_size) - d->bytes;
}

/* Identify the file of a request whose id user space has evicted meanwhile. */
static __always_inline void identify(struct task_state *s, const struct aio_request *r)
{
	s->last = (struct file_cache){ .key.inode = r->inode, .key.generation = r->inode_generation };
	s->pending_event.file = 0;
	s->pending_event.undefined = 1;
}

/* Emit the event of the request in the workspace. */
SUBPROGRAM int emit_request(struct task_state *s, long result, bool known)
{
	struct task_struct *task = current_task();
	__u32 own = s->task;
	struct workspace *w = workspace();
	struct globals *g = globals();
	struct pending_event *d = &s->pending_event;
	struct aio_request *r;

	if (!w || !g)
		return 0;
	r = &w->request;
	*d = r->pending_event;
	d->time = bpf_ktime_get_boot_ns();
	if (!known || r->again) {
		d->flags |= EVENT_NO_RESULT;
		d->entered = 0;
		result = 0;
	}
	if (too_quick(d) || (config.failed && result >= 0))
		return 0;
	d->result = result;
	d->bytes = moves_bytes(d) && result > 0 ? result : 0;
	if (r->appends)
		locate_append(task, d);
	if (descriptors_shared(task) && may_have_changed(task, d->fd, r->changes))
		d->flags |= EVENT_UNCERTAIN;
	if (d->file && r->generation != (__u32)g->generation)
		identify(s, r);
	s->task = r->task;
	hand_over(d, r->tid, s);
	s->task = own;
	return 0;
}

/* Store state->pending_event in the request in the workspace. */
static __always_inline void fill_request(struct aio_request *r, struct task_struct *task, struct task_state *s, bool again)
{
	struct globals *g = globals();

	r->pending_event = s->pending_event;
	r->pending_event.entered = config.latency ? s->submitted : 0;
	r->inode = s->last.key.inode;
	r->inode_generation = s->last.key.generation;
	r->generation = g ? g->generation : 0;
	r->task = s->task;
	r->tid = task_field(task, pid);
	r->again = again;
}

#endif
