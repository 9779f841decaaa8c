/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * From what a hook has seen to its events: when the call returns, with its result, or at once if no call returns.
 *
 * Separate from the hooks, which know no results.
 */
#ifndef FILETAP_EMIT_HOOK_H
#define FILETAP_EMIT_HOOK_H

#include "../event.h"
#include "compat.bpf.h"
#include "descriptor.bpf.h"
#include "emit.bpf.h"
#include "kernel.h"
#include "pending_event.bpf.h"
#include "pending_hook.bpf.h"
#include "numbers.h"
#include "opening.bpf.h"
#include "state.bpf.h"
#include "task.bpf.h"
#include "uapi.h"

static __always_inline bool is_chosen(__u8 hook)
{
	return config.hooks[hook & (MAX_HOOKS - 1)].call;
}

/* Returns true if the call that returns has changed the file. A separate function: a value left over in a register may not be returned. */
SUBPROGRAM bool changes_contents(__u8 hook, long result)
{
	const struct pt_regs *regs = registers_of(current_task());
	__u32 nr = read_word(regs, orig_ax), command = read_word(regs, si);
	bool narrow = is_compat(current_task());

	if (narrow)
		command = read_word(regs, cx);
	if (hook != HOOK_WRITE || result > 0)
		return result >= 0;
	return !result &&
	       (is_call(narrow, nr, FALLOCATE) || (is_call(narrow, nr, IOCTL) && (command == FICLONE || command == FICLONERANGE)));
}

/* The files that an exec opens, reads and maps are a part of it, and its result is not theirs. */
static __always_inline bool in_exec(void)
{
	struct task_struct *task = current_task();
	bool narrow = is_compat(task);
	__u32 nr = call_number(task);

	return is_call(narrow, nr, EXECVE) || is_call(narrow, nr, EXECVEAT);
}

/* The result of other hooks' calls is a number about something else: the descriptor of an open, for its truncation. */
static __always_inline bool has_own_number(__u8 hook)
{
	return hook == HOOK_OPEN || hook == HOOK_READ || hook == HOOK_WRITE || hook == HOOK_MODIFY || hook == HOOK_MMAP;
}

/* Return the hook that reports a change, in addition to the one that reports the request; HOOK_OPEN: none. */
static __always_inline __u8 change_of(__u8 hook)
{
	switch (hook) {
	case HOOK_WRITE:
		return HOOK_MODIFY;
	case HOOK_TRUNCATE:
		return HOOK_TRUNCATE_MODIFY;
	case HOOK_FILE_TRUNCATE:
		return HOOK_FILE_TRUNCATE_MODIFY;
	}
	return HOOK_OPEN;
}

static __always_inline bool has_second_slot(__u8 hook)
{
	return hook == HOOK_LINK || hook == HOOK_SYMLINK || hook == HOOK_RENAME || hook == HOOK_MMAP;
}

static __always_inline struct task_state *own_state(void)
{
	return state_of(current_task());
}

static __always_inline void fill_pending_event(struct pending_event *d, struct task_state *s, const struct pending_hook *n, __u8 hook,
					       long result)
{
	d->offset = n->offset;
	d->size = n->size;
	d->flags = n->flags;
	give_file(d, n->file, n->inode, n->open);
	if (d->undefined) {
		s->last.key.inode = n->inode;
		s->last.key.generation = n->generation;
		s->last.id = 0;
	}
	if (hook == HOOK_OPEN && result >= 0 && known_opening(fd_address(current_task(), result)) == n->open)
		d->fd = result;
	if (has_second_slot(hook)) {
		add_ext(d);
		d->target = n->target;
		d->argument = n->argument;
	}
}

/* Emit one event of the current task's pending hook number 'at', as that of 'hook'. Global, so that the verifier reads it once and not
 * for each hook. */
__noinline int emit_hook_event(__u32 at, __u32 hook, __s64 result)
{
	const struct hook_choice chosen = config.hooks[hook & (MAX_HOOKS - 1)];
	struct task_state *s = own_state();
	struct pending_hook *n;
	struct pending_event *d;

	if (!s || !chosen.call)
		return 0;
	n = &s->pending_hooks[at & (MAX_PENDING_HOOKS - 1)];
	s->entered = n->time;
	if (result > 0 && !has_own_number(hook))
		result = 0;
	d = new_pending_event(s, chosen.op, chosen.call, result);
	if (too_quick(d) || (config.failed && result >= 0))
		return 0;
	fill_pending_event(d, s, n, hook, result);
	hand_over(d, task_field(current_task(), pid), s);
	return 0;
}

/* Emit the events of one pending hook. process.bpf.c reports a successful exec. */
__noinline int emit_pending_hook(__u32 at, __s64 result)
{
	struct task_state *s = own_state();
	struct pending_hook *n;
	__u8 change;
	bool known;

	if (!s)
		return 0;
	n = &s->pending_hooks[at & (MAX_PENDING_HOOKS - 1)];
	if (n->hook != HOOK_EXEC && in_exec())
		n->flags |= EVENT_NO_RESULT;
	known = !(n->flags & EVENT_NO_RESULT);
	change = change_of(n->hook);
	if (n->hook == HOOK_EXEC && (!known || result >= 0))
		return 0;
	if (known && result >= 0)
		settle_hook_path(n);
	if (!known)
		result = 0;
	emit_hook_event(at, n->hook, result);
	if (change != HOOK_OPEN && (!known || changes_contents(n->hook, result)))
		emit_hook_event(at, change, result);
	return 0;
}

/* Emit all pending hooks. Without 'known' no call returns with their result. */
__noinline int emit_pending_hooks(__s64 result, bool known)
{
	struct task_state *s = own_state();
	__u32 count = s ? s->pending_hook_count : 0;

	if (!s || !count)
		return 0;
	check_task(current_task(), s);
	for (__u32 i = 0; i < MAX_PENDING_HOOKS; i++) {
		if (i >= count)
			break;
		if (!known)
			s->pending_hooks[i].flags |= EVENT_NO_RESULT;
		emit_pending_hook(i, known ? result : 0);
	}
	s->pending_hook_count = 0;
	return 0;
}

#endif
