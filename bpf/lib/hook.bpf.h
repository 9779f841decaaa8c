/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What a hook does with its arguments: an open file, a directory or path, one name in a directory or two, each stored as a
 * pending hook.
 *
 * Separate from the programs, which only know where their arguments are.
 */
#ifndef FILETAP_HOOK_H
#define FILETAP_HOOK_H

#include "../event.h"
#include "compat.bpf.h"
#include "find_file.bpf.h"
#include "identity.bpf.h"
#include "kernel.h"
#include "pending_hook.bpf.h"
#include "numbers.h"
#include "opening.bpf.h"
#include "state.bpf.h"
#include "target.bpf.h"
#include "emit_hook.bpf.h"
#include "uapi.h"

#define MAX_ERRNO 4095
#define MNT_INTERNAL 0x4000

/* Returns true if the same hook of this call is pending already. One copy calls the hook for each part, an exec for each part that it
 * reads, and again for the interpreter of a script; before 100f59d96405 (v5.19) an exchange of two names called it for each of them,
 * its own last. */
static __always_inline bool is_pending_already(struct task_state *s, __u8 hook, __u32 open)
{
	if (!s->pending_hook_call || config.level == LEVEL_AUTO)
		return false;
	for (__u32 i = 0; i < MAX_PENDING_HOOKS; i++) {
		if (i >= s->pending_hook_count)
			break;
		if (s->pending_hooks[i].hook == hook && (hook == HOOK_EXEC || s->pending_hooks[i].open == open))
			return true;
	}
	return false;
}

/* Emit what another call has left before this one's. Where system calls make the events, the last hook is enough. */
static __always_inline void begin_pending_hooks(struct task_state *s)
{
	__u64 call = call_under_way(current_task());

	if (config.level == LEVEL_AUTO)
		s->pending_hook_count = 0;
	else if (s->pending_hook_count >= MAX_PENDING_HOOKS || s->pending_hook_call != call)
		emit_pending_hooks(0, false);
	s->pending_hook_call = call;
}

/* Return a pending hook to fill, which keep_pending_hook() then keeps. */
static __always_inline struct pending_hook *new_pending_hook(struct task_state *s, __u8 hook)
{
	struct pending_hook *n;

	n = &s->pending_hooks[s->pending_hook_count & (MAX_PENDING_HOOKS - 1)];
	__builtin_memset(n, 0, sizeof(*n));
	n->time = bpf_ktime_get_boot_ns();
	n->hook = hook;
	n->flags = EVENT_NO_OFFSET | EVENT_NO_SIZE;
	return n;
}

/* To the verifier, pointers of a program's context are not the numbers that global functions accept; values read back from a map are. */
static __always_inline __u64 as_number(struct pending_hook *n, __u64 pointer)
{
	n->dentry = pointer;
	barrier();
	pointer = n->dentry;
	n->dentry = 0;
	return pointer;
}

/* Hooks may be preempted, except as kprobes. Where nothing keeps the CPU, interrupts() detects it. */
static __always_inline void keep_cpu(void)
{
	if (config.attach_type != ATTACH_KPROBE)
		hold_cpu();
}

static __always_inline void give_cpu(void)
{
	if (config.attach_type != ATTACH_KPROBE)
		let_cpu_go();
}

/* Return the current task's state, if its operations are traced; done() must follow. */
static __always_inline struct task_state *traced_state(void)
{
	struct task_struct *task = current_task();
	struct counters *c = counters();
	struct task_state *s;

	inherit_worker_target(task);
	if (is_untraced(task))
		return NULL;
	keep_cpu();
	s = current_target(task);
	if (!s) {
		give_cpu();
		return NULL;
	}
	if (c)
		c->at_work = task_field(task, pid);
	return s;
}

static __always_inline int done(void)
{
	struct counters *c = counters();

	if (c)
		c->at_work = 0;
	give_cpu();
	return 0;
}

static __always_inline int keep_pending_hook(struct task_state *s, struct pending_hook *n)
{
	if (n->wanted || config.level == LEVEL_AUTO)
		s->pending_hook_count++;
	if (!s->pending_hook_call && config.level != LEVEL_AUTO)
		emit_pending_hooks(0, false);
	return done();
}

/* A mount that overlayfs has made for itself, of a layer: in no namespace, but not a kernel-internal one such as that of pipes
 * (clone_private_mount, fs/namespace.c). */
static __always_inline bool is_private(struct vfsmount *mnt)
{
	return (__u64)read_word(real_mount(mnt), mnt_ns) >= (__u64)-MAX_ERRNO && !(read_word(mnt, mnt_flags) & MNT_INTERNAL);
}

/* For a file of an overlay, the one in the layer, which overlayfs opens for itself: in such a mount, or under the overlay's path with
 * another inode. */
static __always_inline bool is_beneath(struct file *file)
{
	return read_word(file, f_inode) != read_word(read_word(file, f_path.dentry), d_inode) || is_private(read_word(file, f_path.mnt));
}

/* Set the open file as the pending hook's; a separate function, to save stack. */
SUBPROGRAM int set_hook_file(struct task_state *s, struct pending_hook *n, __u64 address, int need)
{
	struct file *file = (struct file *)address;

	s->held = 0;
	refresh(&s->last, read_word(file, f_path.dentry), read_word(file, f_path.mnt), read_word(file, f_inode), need);
	n->wanted = is_needed(s->last.wanted, need);
	n->file = s->last.id;
	n->open = opening_of(s, address);
	if (!n->file) {
		n->inode = s->last.key.inode;
		n->generation = s->last.key.generation;
	}
	return 0;
}

static __always_inline int file_hook(struct file *file, __u8 hook, __u64 offset, __u32 argument)
{
	struct task_state *s;
	struct pending_hook *n;
	__u64 address;

	if (!file || !(s = traced_state()))
		return 0;
	if (is_beneath(file))
		return done();
	begin_pending_hooks(s);
	n = new_pending_hook(s, hook);
	address = as_number(n, (__u64)file);
	if (hook != HOOK_MMAP && is_pending_already(s, hook, known_opening(address)))
		return done();
	if (hook == HOOK_OPEN)
		begin_opening(address);
	n->argument = argument;
	n->offset = offset;
	set_hook_file(s, n, address, NEED_TYPE);
	return keep_pending_hook(s, n);
}

/* Set a path, given by its dentry and mount, as the pending hook's file or target. */
SUBPROGRAM int set_hook_path(struct pending_hook *n, __u64 dentry, __u64 mnt, bool second)
{
	struct found found = find_file(dentry, mnt, NEED_ANY);

	n->wanted |= !!(found.wanted & WANTED_PATH);
	if (second)
		n->target = found.id;
	else
		n->file = found.id;
	return 0;
}

/* A path that exists only after the call has succeeded: then its dentry is 'dentry', which is the old one of a rename. */
SUBPROGRAM int expect_hook_path(struct pending_hook *n, __u64 dentry_address, __u64 new_dentry, __u64 mnt)
{
	struct dentry *dentry = (struct dentry *)new_dentry;

	n->dentry = dentry_address;
	n->mnt = mnt;
	n->parent = (__u64)read_word(dentry, d_parent);
	n->hash = read_word(dentry, d_name.hash_len);
	return 0;
}

/* Set the other arguments of the hook. */
static __always_inline void set_hook_numbers(struct pending_hook *n, __u64 offset, __u64 size)
{
	n->offset = offset;
	n->size = size;
	n->flags &= ~(EVENT_NO_OFFSET | EVENT_NO_SIZE);
}

/* An operation on one name in a directory. */
static __always_inline int entry_hook(struct path *directory, __u64 dentry, __u8 hook, __u64 mode)
{
	struct task_state *s = traced_state();
	struct pending_hook *n;
	__u64 mnt;

	if (!s)
		return 0;
	begin_pending_hooks(s);
	n = new_pending_hook(s, hook);
	set_hook_numbers(n, 0, mode);
	dentry = as_number(n, dentry);
	mnt = (__u64)read_word(directory, mnt);
	set_hook_path(n, dentry, mnt, false);
	if (hook == HOOK_MKDIR || hook == HOOK_MKNOD)
		expect_hook_path(n, dentry, dentry, mnt);
	return keep_pending_hook(s, n);
}

/* Not every kernel passes them to its LSM hook. */
static __always_inline __u32 rename_flags(void)
{
	struct task_struct *task = current_task();
	const struct pt_regs *regs = registers_of(task);
	bool narrow = is_compat(task);

	if (task_field(task, flags) & (PF_KTHREAD | PF_IO_WORKER) || !is_call(narrow, call_number(task), RENAMEAT2))
		return 0;
	return narrow ? read_word(regs, di) : read_word(regs, r8);
}

/* An operation on a file and a new name for it. */
static __always_inline int names_hook(__u64 mnt, __u64 dentry, struct path *directory, __u64 new_dentry, __u8 hook)
{
	struct task_state *s = traced_state();
	struct pending_hook *n;

	if (!s)
		return 0;
	begin_pending_hooks(s);
	if (hook == HOOK_RENAME && is_pending_already(s, hook, 0))
		s->pending_hook_count--;
	n = new_pending_hook(s, hook);
	n->argument = hook == HOOK_RENAME ? rename_flags() : 0;
	dentry = as_number(n, dentry);
	new_dentry = as_number(n, new_dentry);
	set_hook_path(n, dentry, mnt, false);
	mnt = (__u64)read_word(directory, mnt);
	set_hook_path(n, new_dentry, mnt, true);
	expect_hook_path(n, hook == HOOK_RENAME ? dentry : new_dentry, new_dentry, mnt);
	return keep_pending_hook(s, n);
}

static __always_inline int path_hook(struct path *path, __u8 hook, __u64 offset, __u64 size)
{
	struct task_state *s = traced_state();
	struct pending_hook *n;

	if (!s)
		return 0;
	if (is_private(read_word(path, mnt)))
		return done();
	begin_pending_hooks(s);
	n = new_pending_hook(s, hook);
	if (hook == HOOK_CHMOD || hook == HOOK_CHOWN)
		set_hook_numbers(n, offset, size);
	set_hook_path(n, (__u64)read_word(path, dentry), (__u64)read_word(path, mnt), false);
	return keep_pending_hook(s, n);
}

#endif
