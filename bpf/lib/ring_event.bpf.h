/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * From a request of io_uring to its event: its arguments are put into the registers of the corresponding system call, and it is
 * filled as that call.
 *
 * Separate from the table of requests and from their tracepoints.
 */
#ifndef FILETAP_RING_EVENT_H
#define FILETAP_RING_EVENT_H

#include "../event.h"
#include "argument.bpf.h"
#include "compat.bpf.h"
#include "descriptor.bpf.h"
#include "call_event.bpf.h"
#include "emit.bpf.h"
#include "find_file.bpf.h"
#include "kernel.h"
#include "pending_event.bpf.h"
#include "opening.bpf.h"
#include "ring_table.bpf.h"
#include "state.bpf.h"
#include "fd_file.bpf.h"
#include "uapi.h"

/* The registers of the corresponding system call, a state to fill, and the request being written or read: one of each per CPU. */
struct workspace {
	char registers[256]; /* struct pt_regs */
	struct task_state state;
	struct ring_request request;
	struct io_uring_sqe sqe; /* here to save stack */
	__u64 fields[8]; /* of a submission */
	__u64 key;
};

PER_CPU(workspace, struct workspace, ft_workspaces)

#define set_register(w, name, value) (*(__u64 *)((w)->registers + bpf_core_field_offset(struct pt_regs, name)) = (value))

static __always_inline const struct pt_regs *fill_registers(struct workspace *w, const struct ring_request *r)
{
	set_register(w, di, r->arguments[0]);
	set_register(w, si, r->arguments[1]);
	set_register(w, dx, r->arguments[2]);
	set_register(w, r10, r->arguments[3]);
	set_register(w, r8, r->arguments[4]);
	set_register(w, r9, r->arguments[5]);
	set_register(w, orig_ax, r->nr);
	return (const struct pt_regs *)w->registers;
}

static __always_inline void recall_file(struct task_state *s, __u64 address, int need, long result)
{
	struct file *file = file_at(address);

	if (!type_passes(file, need))
		return;
	resolve(s, file, need);
	s->file = s->last.id;
	s->wanted = s->last.wanted;
	s->generation = s->last.generation;
	s->open = opening_of(s, address);
	s->position = read_field(file, f_pos) - (result > 0 ? result : 0);
	if (!seekable(read_field(file, f_inode, i_mode)))
		s->flags = EVENT_NO_OFFSET;
}

/* Set the file that the request was assigned, or the one that its descriptor referred to when it was submitted. */
SUBPROGRAM int recall_fd_file(__u64 file, long result)
{
	struct workspace *w = workspace();
	struct task_state *s;
	struct ring_request *r;
	struct call call;
	int need;

	if (!w || (!file && !w->request.resolved))
		return 0;
	s = &w->state;
	r = &w->request;
	remember(s, r->nr);
	s->changes = changes_of(current_task(), r->arguments[0]); /* its file is known, so no change makes it uncertain */
	if (!file) {
		__builtin_memset(&s->last.key, 0, sizeof(s->last.key)); /* of no file, in case the id is void by now */
		s->file = r->file;
		s->wanted = r->wanted;
		s->open = r->open;
		s->generation = r->generation;
		return 0;
	}
	call = call_of(r->nr);
	need = need_of(&call);
	recall_file(s, file, need, result);
	return 0;
}

/* Returns true for an open whose result is no descriptor of this task. */
static __always_inline bool opened_elsewhere(const struct ring_request *r, __u8 kind, long result)
{
	return kind == KIND_OPEN && result >= 0 && (r->slot || r->tgid != (__u32)(bpf_get_current_pid_tgid() >> 32));
}

/* Emit the event of the request in the workspace; 'file': the one it was assigned, if any. */
SUBPROGRAM int report_request(__u64 file, long result)
{
	struct workspace *w = workspace();
	const struct pt_regs *regs;
	struct task_state *s;
	struct ring_request *r;
	enum outcome outcome;
	struct shape shape;
	struct call call;
	bool elsewhere;

	if (!w)
		return 0;
	s = &w->state;
	r = &w->request;
	call = call_of(r->nr);
	shape = shape_of(r->nr);
	regs = fill_registers(w, r);
	s->task = r->task;
	s->entered = r->entered;
	s->resolved = 0;
	if (shape.fd && call.kind != KIND_TRANSFER)
		recall_fd_file(file, result);
	if (r->fixed)
		set_register(w, di, -1);
	elsewhere = opened_elsewhere(r, call.kind, result);
	if (call.op == OP_OPEN && result >= 0 && !elsewhere)
		begin_opening(fd_address(current_task(), result));
	outcome = begin_pending_event(regs, s, elsewhere ? -1 : result);
	if (outcome == FILL_RARE)
		outcome = fill_rare(regs, s, result, call.kind);
	if (outcome == EMIT_NOT || (outcome == EMIT_NAME && !r->wanted))
		return 0;
	if (outcome == EMIT_NAME) {
		s->pending_event.file = r->file;
		s->pending_event.target = r->target;
		s->pending_event.fd = r->fd;
	}
	s->pending_event.result = result;
	s->pending_event.flags |= r->flags;
	hand_over(&s->pending_event, r->tid, s);
	return 0;
}

/* Emit a request whose success will not be reported: everything except the result. */
SUBPROGRAM int report_submission(void)
{
	struct workspace *w = workspace();
	const struct pt_regs *regs;
	struct shape shape;
	struct ring_request *r;
	struct call call;
	struct pending_event *d;

	if (!w)
		return 0;
	r = &w->request;
	call = call_of(r->nr);
	if (!is_needed(r->wanted, need_of(&call)))
		return 0;
	shape = shape_of(r->nr);
	regs = fill_registers(w, r);
	d = new_pending_event(&w->state, call.op, call.call, 0);
	d->fd = r->resolved && !r->fixed ? (__s32)r->arguments[0] : r->fd;
	d->open = r->open;
	d->file = r->file;
	d->offset = argument(regs, shape.offset);
	d->size = argument(regs, shape.size);
	if (shape.argument || shape.to_name) {
		add_ext(d);
		d->target = r->target;
		d->argument = argument(regs, shape.argument);
	}
	d->flags = r->flags | EVENT_NO_RESULT;
	w->state.task = r->task;
	hand_over(d, r->tid, &w->state);
	return 0;
}

#endif
