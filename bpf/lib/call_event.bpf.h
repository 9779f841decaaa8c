/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * From a call that has returned to its event: fill a pending event by the call's kind, then its names, then emit it.
 *
 * Separate, because a request of io_uring is handled as the corresponding system call.
 */
#ifndef FILETAP_CALL_EVENT_H
#define FILETAP_CALL_EVENT_H

#include "../event.h"
#include "argument.bpf.h"
#include "call_name.bpf.h"
#include "compat.bpf.h"
#include "emit.bpf.h"
#include "find_file.bpf.h"
#include "kernel.h"
#include "pending_event.bpf.h"
#include "mapping.bpf.h"
#include "numbers.h"
#include "state.bpf.h"
#include "fd_file.bpf.h"
#include "task.bpf.h"
#include "transfer.bpf.h"
#include "uapi.h"

static __always_inline void open_arguments(const struct pt_regs *regs, const struct call *call, struct pending_event *d)
{
	const struct shape shape = shape_of(regs->orig_ax);

	if (call->flags & CALL_HOW) {
		__u64 how[2] = {};

		bpf_probe_read_user(how, sizeof(how), (void *)regs->dx);
		d->offset = how[0];
		d->size = how[1];
		return;
	}
	/* creat(2) has a mode and no flags. */
	d->offset = shape.offset ? (__u32)argument(regs, shape.offset) : shape.size ? O_CREAT | O_WRONLY | O_TRUNC : 0;
	d->size = (__u32)argument(regs, shape.size);
}

static __always_inline enum outcome opened(const struct exit_context *x, const struct call *call, struct pending_event *d)
{
	open_arguments(x->regs, call, d);
	if (x->result >= 0) {
		d->fd = x->result;
		x->state->resolved = 0;
		return find_fd_file(x, call, d);
	}
	if (shape_of(x->regs->orig_ax).name)
		return EMIT_NAME;
	return config.paths & 1 ? EMIT_NOT : EMIT;
}

static __always_inline bool closed(const struct exit_context *x, const struct call *call, struct pending_event *d)
{
	d->fd = x->regs->di;
	return x->state->resolved && find_fd_file(x, call, d);
}

/* A call whose arguments are described by its shape. */
SUBPROGRAM enum outcome plain(const struct pt_regs *regs, struct task_state *state, long result)
{
	struct task_struct *task = current_task();
	struct exit_context x = { .task = task, .state = state, .regs = regs, .result = result };
	const struct call call = call_of(regs->orig_ax);
	const struct shape shape = shape_of(regs->orig_ax);
	struct pending_event *d = &state->pending_event;

	d->offset = argument(regs, shape.offset);
	d->size = argument(regs, shape.size);
	if (shape.argument || shape.to_name) {
		add_ext(d);
		d->argument = argument(regs, shape.argument);
	}
	if (call.flags & CALL_VECTORED) { /* vmsplice */
		d->size = iovec_sum(regs->si, regs->dx, &d->flags);
		d->bytes = result > 0 ? result : 0;
	} else if (!shape.size)
		d->flags |= EVENT_NO_SIZE;
	if (shape.name)
		return EMIT_NAME;
	if (!shape.fd)
		return config.paths & 1 ? EMIT_NOT : EMIT;
	d->fd = argument(regs, shape.fd);
	if (!find_fd_file(&x, &call, d))
		return EMIT_NOT;
	if (call.kind == KIND_FCNTL && d->op != OP_DUP) {
		add_ext(d);
		d->argument = (__u32)regs->si << 8;
	}
	d->flags &= ~EVENT_NO_OFFSET;
	if (!shape.offset)
		d->flags |= EVENT_NO_OFFSET;
	return EMIT;
}

SUBPROGRAM bool mapped(const struct pt_regs *regs, struct task_state *state, long result)
{
	struct task_struct *task = current_task();
	struct exit_context x = { .task = task, .state = state, .regs = regs, .result = result };
	const struct call call = call_of(regs->orig_ax);
	struct pending_event *d = &state->pending_event;
	bool wanted;

	if (regs->r10 & MAP_ANONYMOUS)
		return false;
	d->fd = regs->r8;
	d->offset = regs->r9;
	d->size = regs->si;
	add_ext(d);
	d->argument = (regs->dx & 0xff) | (__u32)regs->r10 << 8;
	wanted = find_fd_file(&x, &call, d);
	d->flags &= ~EVENT_NO_OFFSET; /* it is an argument, even if the descriptor has no position */
	return wanted;
}

/* A successful chdir or chroot has made the directory the task's own, so its resolved path is reported instead of the requested name. */
SUBPROGRAM enum outcome entered_directory(const struct pt_regs *regs, struct task_state *state, long result)
{
	struct task_struct *task = current_task();
	struct pending_event *d = &state->pending_event;
	struct fs_struct *fs = task_field(task, fs);
	struct path *path;
	struct found found;

	if (result < 0 || !fs)
		return EMIT_NAME;
	path = regs->orig_ax == NR_CHROOT ? &fs->root : &fs->pwd;
	found = find_file((__u64)BPF_CORE_READ(path, dentry), (__u64)BPF_CORE_READ(path, mnt), NEED_ANY);
	d->file = found.id;
	return found.wanted & WANTED_PATH ? EMIT : EMIT_NOT;
}

static __always_inline enum outcome fill_common(const struct exit_context *x, const struct call *call, struct pending_event *d)
{
	switch (call->kind) {
	case KIND_READ:
	case KIND_WRITE:
		return transfer(x, call, d);
	case KIND_OPEN:
		return opened(x, call, d);
	case KIND_CLOSE:
		return closed(x, call, d);
	case KIND_DUP:
		d->fd = x->regs->di;
		return find_fd_file(x, call, d);
	}
	return EMIT_NOT;
}

/* Returns true if bprm_check reports failed execs. */
static __always_inline bool reported_by_hook(void)
{
	return config.level == LEVEL_VFS && config.hooks[HOOK_EXEC].call;
}

/* Fill the rarer kinds. */
static __always_inline enum outcome fill_rare(const struct pt_regs *regs, struct task_state *state, long result, __u8 kind)
{
	switch (kind) {
	case KIND_PLAIN:
	case KIND_FCNTL:
		return plain(regs, state, result);
	case KIND_TRANSFER:
		return copied(regs, state, result);
	case KIND_IOCTL:
		return cloned(regs, state, result);
	case KIND_MMAP:
		return mapped(regs, state, result);
	case KIND_MAPPED:
		return mapping_call(regs, state, result);
	case KIND_CHDIR:
		return entered_directory(regs, state, result);
	case KIND_EXEC:
		state->exec_nr = 0;
		return result >= 0 || reported_by_hook() ? EMIT_NOT : EMIT_NAME; /* process.bpf.c reports the successful ones */
	}
	return EMIT_NOT;
}

/* Set the call's op and index, where its number has more than one meaning; an index of 0: not requested, or not about a file. */
static __always_inline void choose_meaning(struct call *call, const struct pt_regs *regs)
{
	__u32 word = regs->si;
	bool other = false;

	if (call->kind == KIND_PLAIN)
		other = regs->dx & AT_REMOVEDIR;
	else if (call->kind == KIND_FCNTL && (word == F_SETLK || word == F_SETLKW || word == F_OFD_SETLK || word == F_OFD_SETLKW))
		other = true;
	else if (call->kind == KIND_FCNTL && word != F_DUPFD && word != F_DUPFD_CLOEXEC)
		call->call = call->other = 0;
	else if (call->kind == KIND_IOCTL && word == FIDEDUPERANGE)
		other = true;
	else if (call->kind == KIND_IOCTL && word != FICLONE && word != FICLONERANGE)
		call->call = call->other = 0;
	if (other) {
		call->call = call->other;
		call->op = call->other_op;
	}
}

static __always_inline bool ambiguous(const struct call *call)
{
	return call->other || call->kind == KIND_FCNTL || call->kind == KIND_IOCTL;
}

/* Begin state->pending_event, and fill it for the frequent kinds. Each stage of an event returns before the next is called: nested,
 * they would need more stack and more frames than a program has. */
SUBPROGRAM enum outcome begin_pending_event(const struct pt_regs *regs, struct task_state *state, long result)
{
	struct task_struct *task = current_task();
	struct exit_context x = { .task = task, .state = state, .regs = regs, .result = result };
	struct call call = call_of(regs->orig_ax);
	struct pending_event *d;

	if (unlikely(call.kind > KIND_DUP && ambiguous(&call)))
		choose_meaning(&call, regs);
	d = new_pending_event(state, call.op, call.call, result);
	if (!call.call || too_quick(d))
		return EMIT_NOT;
	if (unlikely(call.kind > KIND_DUP))
		return FILL_RARE;
	return fill_common(&x, &call, d);
}

/* Returns true for the close of a file that did not match at the entry. */
static __always_inline bool closes_rejected_file(const struct pt_regs *regs, struct task_state *state)
{
	return config.paths & 1 && state->resolved == (__u16)(regs->orig_ax + 1) && !(state->wanted & WANTED_PATH) &&
	       call_of(regs->orig_ax).kind == KIND_CLOSE;
}

/* Emit the event of a call that has returned, if it makes one. */
static __always_inline void report(const struct pt_regs *regs, struct task_struct *task, struct task_state *state, long result)
{
	enum outcome outcome = closes_rejected_file(regs, state) ? EMIT_NOT : begin_pending_event(regs, state, result);

	if (unlikely(outcome == FILL_RARE))
		outcome = fill_rare(regs, state, result, call_of(regs->orig_ax).kind);
	state->resolved = 0;
	if (outcome == EMIT_NAME && !name_files(regs, state, result))
		outcome = EMIT_NOT;
	state->kept = 0;
	if (config.level == LEVEL_AUTO)
		state->pending_hook_count = 0;
	if (outcome == EMIT_NOT)
		return;
	check_task(task, state);
	if (unlikely(outcome == EMIT_EACH))
		report_deduped(regs->dx);
	else
		hand_over(&state->pending_event, task_field(task, pid), state);
}

#endif
