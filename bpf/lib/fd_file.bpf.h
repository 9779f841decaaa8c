/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The file of a call, found from its descriptor: at the entry where the exit would be too late, else at the exit. Separate,
 * because every kind of call starts here.
 */
#ifndef FILETAP_FD_FILE_H
#define FILETAP_FD_FILE_H

#include "../event.h"
#include "compat.bpf.h"
#include "descriptor.bpf.h"
#include "find_file.bpf.h"
#include "kernel.h"
#include "pending_event.bpf.h"
#include "opening.bpf.h"
#include "state.bpf.h"
#include "uapi.h"

/* A call that has returned. */
struct exit_context {
	struct task_struct *task;
	struct task_state *state;
	const struct pt_regs *regs;
	long result;
};

/* What to do with a pending event. EMIT_EACH: it is the common part of several. */
enum outcome { EMIT_NOT, EMIT, EMIT_NAME, EMIT_EACH, FILL_RARE };

static __always_inline bool seekable(__u32 mode)
{
	mode &= S_IFMT;
	return mode == S_IFREG || mode == S_IFBLK || mode == S_IFDIR;
}

/* A descriptor that is not open has no type: such a call is reported if every type and every file is traced. */
#define ALL_TYPES (1u << 8 | 1u << 4 | 1u << 1 | 1u << 12 | 1u << 2 | 1u << 6 | 1u << 10 | 1u)

static __always_inline bool wanted_without_file(void)
{
	return (config.types & ALL_TYPES) == ALL_TYPES && !(config.paths & 1);
}

static __always_inline int need_of(const struct call *call)
{
	return call->flags & CALL_ANY ? NEED_ANY : NEED_TYPE;
}

static __always_inline bool type_passes(struct file *file, int need)
{
	return need != NEED_TYPE || config.types & 1u << ((read_field(file, f_inode, i_mode) & S_IFMT) >> 12);
}

/* Returns true if the entry of the same call has found the file. */
static __always_inline bool resolved_at_enter(const struct exit_context *x)
{
	return x->state->resolved == (__u16)(x->regs->orig_ax + 1);
}

static __always_inline bool recall(const struct exit_context *x, struct pending_event *d, int need)
{
	struct task_state *s = x->state;
	struct globals *g = globals();
	bool wanted = s->wanted && is_needed(s->wanted, need), valid = g && s->generation == (__u32)g->generation;

	d->flags |= s->flags;
	give_file(d, valid ? s->file : 0, wanted, s->open);
	return wanted;
}

/* Set s->last from the open file at 'address', to which a descriptor refers. Returns false if its type is not traced. If the
 * descriptors are not shared and each call is traced, a file that this task has not closed is still the same. */
static __always_inline bool resolve_descriptor(struct task_state *s, __u64 address, int need, bool shared)
{
	struct file *file = file_at(address);

	if (likely(s->held == address && !shared && is_still_so(&s->last, need)))
		return true;
	if (!type_passes(file, need))
		return false;
	resolve(s, file, need);
	opening_of(s, address); /* before it is held: reused memory has another number */
	s->held = config.every_call && !shared ? address : 0;
	return true;
}

/* Set d->file and d->open: the descriptor's file, from the entry if that was needed, else as of now. Returns the file as of now, or
 * NULL. */
static __always_inline struct file *resolve_exit(const struct exit_context *x, __u32 fd, struct pending_event *d, int need, bool *wanted)
{
	struct task_state *s = x->state;
	__u64 address = fd_address(x->task, fd);
	struct file *file = address ? file_at(address) : NULL;
	bool shared;

	/* Whatever the result: another argument may have been refused before, and a splice of no bytes succeeds. */
	if (unlikely(!(resolved_at_enter(x) ? s->open : address)) && wanted_without_file()) {
		d->flags |= EVENT_NO_OFFSET;
		*wanted = true;
		return NULL;
	}
	if (resolved_at_enter(x)) {
		*wanted = recall(x, d, need);
		/* The call's own change raises no doubt: the file of a close or a dup2 is the one it began with. */
		if (descriptors_shared(x->task) && s->changing != change_slot(x->task, fd) + 1 && may_have_changed(x->task, fd, s->changes))
			d->flags |= EVENT_UNCERTAIN;
		return file;
	}
	shared = descriptors_shared(x->task);
	if (!file || !resolve_descriptor(s, address, need, shared))
		return NULL;
	*wanted = is_needed(s->last.wanted, need);
	give_file(d, s->last.id, *wanted, opening_of(s, address));
	if (shared)
		d->flags |= EVENT_UNCERTAIN;
	return file;
}

/* The same, whether the caller needs the file or not. */
static __always_inline bool find_fd_file(const struct exit_context *x, const struct call *call, struct pending_event *d)
{
	bool wanted = false;

	resolve_exit(x, d->fd, d, need_of(call), &wanted);
	return wanted;
}

/* Store what was found at the entry. */
static __always_inline void remember(struct task_state *s, __u64 nr)
{
	s->resolved = nr + 1;
	s->flags = 0;
	s->file = 0;
	s->wanted = 0;
	s->open = 0;
	s->position = 0;
}

/* Find what will be gone at the exit. */
static __always_inline void resolve_enter(struct task_struct *task, struct task_state *s, __u32 fd, __u64 nr)
{
	__u64 before = changes_of(task, fd), address = fd_address(task, fd);
	struct file *file = address ? file_at(address) : NULL;
	const struct call call = call_of(nr);
	int need = need_of(&call);

	s->changes = before;
	remember(s, nr);
	if (!file || !resolve_descriptor(s, address, need, descriptors_shared(task)))
		return;
	s->file = s->last.id;
	s->wanted = s->last.wanted;
	s->generation = s->last.generation;
	s->open = opening_of(s, address);
	s->position = read_field(file, f_pos);
	if (!seekable(read_field(file, f_inode, i_mode)))
		s->flags = EVENT_NO_OFFSET;
}

#endif
