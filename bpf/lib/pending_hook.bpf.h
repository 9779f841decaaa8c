/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What hooks below the system calls have seen of the current call, stored with the task until the call returns: they run before
 * the operation, and its result comes with the return.
 *
 * Separate, because both sides use it: vfs.bpf.c records and emits, call_event.bpf.h takes the resolved names of a call.
 */
#ifndef FILETAP_PENDING_HOOK_H
#define FILETAP_PENDING_HOOK_H

#include "../event.h"
#include "compat.bpf.h"
#include "find_file.bpf.h"
#include "kernel.h"
#include "pending_event.bpf.h"
#include "numbers.h"
#include "state.bpf.h"
#include "uapi.h"

/* Return the call that the current task has made, as a number; 0: none whose result is that of one operation. */
static __always_inline __u64 call_under_way(struct task_struct *task)
{
	const struct pt_regs *regs = registers_of(task);
	__u64 nr = read_word(regs, orig_ax);
	bool narrow = is_compat(task);

	if (task_field(task, flags) & (PF_KTHREAD | PF_IO_WORKER) || is_call(narrow, nr, IO_SUBMIT) || is_call(narrow, nr, IO_URING_ENTER))
		return 0;
	return (read_word(regs, ip) * 0x9e3779b97f4a7c15ull + read_word(regs, sp)) * 0x9e3779b97f4a7c15ull + nr + 1;
}

/* Returns true if the dentry is still the recorded one and has a file by now. Its memory may have been reused. */
static __always_inline bool came_to_be(const struct pending_hook *n)
{
	struct dentry *dentry = (struct dentry *)n->dentry;

	return read_word(dentry, d_inode) && (__u64)read_word(dentry, d_parent) == n->parent &&
	       read_word(dentry, d_name.hash_len) == n->hash;
}

static __always_inline bool makes_second_file(__u8 hook)
{
	return hook == HOOK_LINK || hook == HOOK_RENAME || hook == HOOK_SYMLINK;
}

/* After a success: the new file has an inode now, and a rename has moved the old one there. */
SUBPROGRAM int settle_hook_path(struct pending_hook *n)
{
	__u32 found;

	if (!n->dentry || !came_to_be(n))
		return 0;
	found = find_file(n->dentry, n->mnt, NEED_ALWAYS).id;
	if (makes_second_file(n->hook))
		n->target = found;
	else
		n->file = found;
	return 0;
}

enum taken { NOT_SEEN, SEEN, NOT_WANTED };

/* Take what the hook has resolved for the call that returns now: its names as files instead of as text. */
SUBPROGRAM enum taken take_pending_hook(struct task_state *s, long result)
{
	struct task_struct *task = current_task();
	struct pending_hook *n = &s->pending_hooks[0];
	struct pending_event *d = &s->pending_event;
	bool seen = s->pending_hook_count && s->pending_hook_call && s->pending_hook_call == call_under_way(task);

	s->pending_hook_count = 0;
	if (!seen || config.hooks[n->hook & (MAX_HOOKS - 1)].op != d->op)
		return NOT_SEEN;
	if (!n->wanted)
		return NOT_WANTED;
	if (result >= 0)
		settle_hook_path(n);
	d->target = n->target;
	if (n->hook != HOOK_SYMLINK)
		d->file = n->file;
	return SEEN;
}

#endif
