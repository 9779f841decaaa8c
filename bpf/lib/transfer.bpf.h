/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Bytes that move: reads and writes, and copies from one descriptor to another, with their offset in the file.
 *
 * Separate, because the position is the only thing about them that is not simply an argument.
 */
#ifndef FILETAP_TRANSFER_H
#define FILETAP_TRANSFER_H

#include "../event.h"
#include "argument.bpf.h"
#include "compat.bpf.h"
#include "descriptor.bpf.h"
#include "emit.bpf.h"
#include "find_file.bpf.h"
#include "kernel.h"
#include "pending_event.bpf.h"
#include "state.bpf.h"
#include "fd_file.bpf.h"
#include "uapi.h"

static __always_inline bool appends(struct file *file, const struct call *call, const struct pt_regs *regs)
{
	if (call->flags & CALL_RWF && regs->r9 & (RWF_APPEND | RWF_NOAPPEND))
		return regs->r9 & RWF_APPEND;
	return read_field(file, f_flags) & O_APPEND;
}

/* Returns true if the offset is an argument. preadv2's -1 means the file's own position. */
static __always_inline bool positional(const struct call *call, const struct pt_regs *regs)
{
	return call->flags & CALL_POSITIONAL && !(call->flags & CALL_RWF && regs->r10 == (__u64)-1);
}

static __always_inline bool transfer(const struct exit_context *x, const struct call *call, struct pending_event *d)
{
	struct task_state *s = x->state;
	bool wanted = false, at_enter;
	struct file *file;

	d->fd = x->regs->di;
	at_enter = resolved_at_enter(x);
	file = resolve_exit(x, d->fd, d, NEED_TYPE, &wanted);
	if (!wanted)
		return false;
	d->bytes = x->result > 0 ? x->result : 0;
	d->size = call->flags & CALL_VECTORED ? iovec_sum(x->regs->si, x->regs->dx, &d->flags) : x->regs->dx;
	if (d->flags & EVENT_NO_OFFSET || (!at_enter && (!file || !seekable(read_field(file, f_inode, i_mode))))) {
		d->flags |= EVENT_NO_OFFSET;
		return true;
	}
	if (positional(call, x->regs)) {
		d->offset = x->regs->r10;
		if (file && call->kind == KIND_WRITE && appends(file, call, x->regs)) {
			/* pwrite(2), BUGS: O_APPEND overrides the offset. Others may have appended since. */
			d->offset = read_field(file, f_inode, i_size) - d->bytes;
			d->flags |= EVENT_UNCERTAIN;
		}
		return true;
	}
	if (file)
		d->offset = read_field(file, f_pos) - d->bytes;
	else
		d->offset = s->position;
	/* If the two differ, the one at the exit is right more often: threads wait for the position in between. */
	if (at_enter ? !file || s->position != d->offset : !file || file_shared(file))
		d->flags |= EVENT_UNCERTAIN;
	return true;
}

/* Return the id of a call's second file, whatever its type, and whether the filters accept it. */
static __always_inline __u32 second_file(struct task_struct *task, __u32 fd, bool forced, bool *wanted)
{
	__u64 address = fd_address(task, fd);
	struct found found;
	struct file *file = (struct file *)address;

	if (!address)
		return 0;
	found = find_file((__u64)BPF_CORE_READ(file, f_path.dentry), (__u64)BPF_CORE_READ(file, f_path.mnt),
			  forced ? NEED_ALWAYS : NEED_TYPE);
	*wanted = *wanted || is_wanted_file(found);
	return found.id;
}

/* Return the start of a copy: the offset argument, which the call has advanced, or the file's position, which it has advanced. */
static __always_inline __u64 start_offset(const struct exit_context *x, __u32 fd, __u64 given, bool by_value, __u64 bytes, bool *known)
{
	struct file *file = (struct file *)fd_address(x->task, fd);
	__u64 offset = 0;

	*known = file && seekable(BPF_CORE_READ(file, f_inode, i_mode));
	if (!*known)
		return 0;
	if (by_value && given != (__u64)-1)
		return given;
	if (!by_value && given) {
		*known = !bpf_probe_read_user(&offset, sizeof(offset), (void *)given);
		return offset - bytes;
	}
	return BPF_CORE_READ(file, f_pos) - bytes;
}

SUBPROGRAM bool copied(const struct pt_regs *regs, struct task_state *state, long result)
{
	struct task_struct *task = current_task();
	struct exit_context x = { .task = task, .state = state, .regs = regs, .result = result };
	const struct call call = call_of(regs->orig_ax);
	const struct shape shape = shape_of(regs->orig_ax);
	bool wanted = false, known, by_value = call.flags & CALL_POSITIONAL;
	struct pending_event *d = &state->pending_event;

	add_ext(d);
	d->fd = argument(regs, shape.fd);
	d->target_fd = argument(regs, shape.to_fd);
	d->size = argument(regs, shape.size);
	d->argument = argument(regs, shape.argument);
	d->bytes = result > 0 ? result : 0;
	resolve_exit(&x, d->fd, d, NEED_TYPE, &wanted);
	d->target = second_file(task, d->target_fd, wanted, &wanted);
	if (!wanted)
		return false;
	if (!d->file && !d->undefined)
		d->file = second_file(task, d->fd, true, &wanted);
	if (!d->target)
		d->target = second_file(task, d->target_fd, true, &wanted);
	d->offset = start_offset(&x, d->fd, argument(regs, shape.offset), by_value, d->bytes, &known);
	d->flags = (d->flags & ~EVENT_NO_OFFSET) | (known ? 0 : EVENT_NO_OFFSET);
	d->target_offset = start_offset(&x, d->target_fd, argument(regs, shape.to_offset), by_value, d->bytes, &known);
	if (!known)
		d->target_offset = -1;
	return true;
}

/* linux/fs.h: struct file_clone_range, and struct file_dedupe_range, which its destinations follow. */
struct clone_range {
	__s64 fd;
	__u64 offset;
	__u64 length;
	__u64 to_offset;
};

struct dedupe_range {
	__u64 offset;
	__u64 length;
	__u16 count;
	__u16 reserved[3];
};

struct dedupe_target {
	__s64 fd;
	__u64 offset;
	__u64 bytes;
	__s32 status;
	__u32 reserved;
};

/* Find the pending event's files from its descriptors. Returns false if neither matches. */
static __always_inline bool find_both(struct task_struct *task, struct pending_event *d)
{
	bool wanted = false;

	d->target = second_file(task, d->target_fd, false, &wanted);
	d->file = second_file(task, d->fd, wanted, &wanted);
	if (wanted && !d->target)
		d->target = second_file(task, d->target_fd, true, &wanted);
	if (!fd_address(task, d->fd) && !fd_address(task, d->target_fd))
		return wanted_without_file();
	return wanted;
}

/* A FIDEDUPERANGE that has not failed returns a status for each destination. */
SUBPROGRAM enum outcome cloned(const struct pt_regs *regs, struct task_state *state, long result)
{
	struct task_struct *task = current_task();
	struct clone_range range = { .fd = regs->dx };
	struct pending_event *d = &state->pending_event;
	struct dedupe_target target = { .fd = regs->di };
	struct dedupe_range same = {};

	add_ext(d);
	if ((__u32)regs->si == FIDEDUPERANGE) {
		bpf_probe_read_user(&same, sizeof(same), (void *)regs->dx);
		bpf_probe_read_user(&target, sizeof(target), (void *)(regs->dx + sizeof(same)));
		range = (struct clone_range){ (__s32)regs->di, same.offset, same.length, target.offset };
	} else if ((__u32)regs->si == FICLONERANGE) {
		bpf_probe_read_user(&range, sizeof(range), (void *)regs->dx);
	}
	d->target_fd = target.fd;
	d->fd = range.fd;
	d->offset = range.offset;
	d->size = range.length;
	d->target_offset = range.to_offset;
	if ((__u32)regs->si == FIDEDUPERANGE && result >= 0)
		return EMIT_EACH;
	return find_both(task, d);
}

#define MAX_DEDUPED 128 /* the kernel accepts as many as fit in a page (ioctl_file_dedupe_range, fs/ioctl.c) */

/* Emit one destination of the FIDEDUPERANGE at 'range', whose pending event has the rest. Returns 1 after the last. */
__noinline int deduped_one(__u64 range, __u32 index)
{
	struct task_struct *task = current_task();
	struct task_state *state = state_of(task);
	__u64 address = range + __builtin_offsetof(struct dedupe_range, count);
	struct dedupe_target target = {};
	struct pending_event *d;
	__u16 count = 0;

	if (!state || bpf_probe_read_user(&count, sizeof(count), (void *)address) || index >= count)
		return 1;
	address = range + sizeof(struct dedupe_range) + index * sizeof(target);
	if (bpf_probe_read_user(&target, sizeof(target), (void *)address))
		return 1;
	d = &state->pending_event;
	d->target_fd = target.fd;
	d->target_offset = target.offset;
	d->result = target.status < 0 ? target.status : target.bytes;
	if (find_both(task, d))
		hand_over(d, task_field(task, pid), state);
	return 0;
}

static __always_inline void report_deduped(__u64 range)
{
	for (__u32 i = 0; i < MAX_DEDUPED; i++)
		if (deduped_one(range, i))
			break;
}

#endif
