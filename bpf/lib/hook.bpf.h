/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What a hook does with what it is given: an open file, a place, a name in a directory or two, each as a note.
 * Apart from the programs, which only know where their arguments are.
 */
#ifndef FILETAP_HOOK_H
#define FILETAP_HOOK_H

#include "../event.h"
#include "compat.bpf.h"
#include "define.bpf.h"
#include "identity.bpf.h"
#include "kernel.h"
#include "noted.bpf.h"
#include "numbers.h"
#include "opening.bpf.h"
#include "state.bpf.h"
#include "target.bpf.h"
#include "tell.bpf.h"

#define MAX_ERRNO 4095
#define MNT_INTERNAL 0x4000

/* Is the same of this call noted already? One copy asks for each part of it, an exec for each part that it reads, and again
 * with the interpreter of a script; before 100f59d96405 (v5.19) an exchange of two names for each of them, its own last. */
static __always_inline bool is_noted(struct task_state *s, __u8 hook, __u32 open)
{
	if (!s->note_call || config.level == LEVEL_AUTO)
		return false;
	for (__u32 i = 0; i < MAX_NOTES; i++) {
		if (i >= s->note_count)
			break;
		if (s->notes[i].hook == hook && (hook == HOOK_EXEC || s->notes[i].open == open))
			return true;
	}
	return false;
}

/* What another call has left is told before this one's. Where system calls make the events the last note is enough. */
static __always_inline void begin_notes(struct task_state *s)
{
	__u64 call = call_under_way(current_task());

	if (config.level == LEVEL_AUTO)
		s->note_count = 0;
	else if (s->note_count >= MAX_NOTES || s->note_call != call)
		tell_notes(0, false);
	s->note_call = call;
}

/* A note to be filled in, and then kept with keep_note(). */
static __always_inline struct note *new_note(struct task_state *s, __u8 hook)
{
	struct note *n;

	n = &s->notes[s->note_count & (MAX_NOTES - 1)];
	__builtin_memset(n, 0, sizeof(*n));
	n->time = bpf_ktime_get_boot_ns();
	n->hook = hook;
	n->flags = EVENT_NO_OFFSET | EVENT_NO_SIZE;
	return n;
}

/* The pointers of a program's context are no numbers to the verifier, as global functions take them; what is read back
 * from a map is. */
static __always_inline __u64 as_number(struct note *n, __u64 pointer)
{
	n->dentry = pointer;
	barrier();
	pointer = n->dentry;
	n->dentry = 0;
	return pointer;
}

/* Hooks may be preempted, except as kprobes. Where nothing keeps the CPU, interrupts() stands guard. */
static __always_inline void keep_cpu(void)
{
	if (config.way != WAY_KPROBE)
		hold_cpu();
}

static __always_inline void give_cpu(void)
{
	if (config.way != WAY_KPROBE)
		let_cpu_go();
}

/* The current task's state, if its operations count; done() must follow. */
static __always_inline struct task_state *subject_state(void)
{
	struct task_struct *task = current_task();
	struct counters *c = counters();
	struct task_state *s;

	adopt_worker(task);
	if (is_bystander(task))
		return NULL;
	keep_cpu();
	s = current_member(task);
	if (!s) {
		give_cpu();
		return NULL;
	}
	if (c)
		c->at_work = of_task(task, pid);
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

static __always_inline int keep_note(struct task_state *s, struct note *n)
{
	if (n->wanted || config.level == LEVEL_AUTO)
		s->note_count++;
	if (!s->note_call && config.level != LEVEL_AUTO)
		tell_notes(0, false);
	return done();
}

/* A mount that overlayfs has made for itself, of a layer: in nobody's namespace, but no inner one such as that of pipes
 * (clone_private_mount, fs/namespace.c). */
static __always_inline bool is_private(struct vfsmount *mnt)
{
	return (__u64)load(real_mount(mnt), mnt_ns) >= (__u64)-MAX_ERRNO && !(load(mnt, mnt_flags) & MNT_INTERNAL);
}

/* Of an overlay's file the one beneath, which overlayfs opens for itself: in such a mount, or under the overlay's path with
 * another inode. */
static __always_inline bool is_beneath(struct file *file)
{
	return load(file, f_inode) != load(load(file, f_path.dentry), d_inode) || is_private(load(file, f_path.mnt));
}

/* The open file as the note's; a function of its own for the stack's sake. */
SUBPROGRAM int note_file(struct task_state *s, struct note *n, __u64 address, int owed)
{
	struct file *file = (struct file *)address;

	s->held = 0;
	refresh(&s->last, load(file, f_path.dentry), load(file, f_path.mnt), load(file, f_inode), owed);
	n->wanted = is_owed(s->last.wanted, owed);
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
	struct note *n;
	__u64 address;

	if (!file || !(s = subject_state()))
		return 0;
	if (is_beneath(file))
		return done();
	begin_notes(s);
	n = new_note(s, hook);
	address = as_number(n, (__u64)file);
	if (hook != HOOK_MMAP && is_noted(s, hook, known_opening(address)))
		return done();
	if (hook == HOOK_OPEN)
		begin_opening(address);
	n->argument = argument;
	n->offset = offset;
	note_file(s, n, address, OWED_TYPE);
	return keep_note(s, n);
}

/* A place by its dentry and mount, as the note's file or target. */
SUBPROGRAM int note_place(struct note *n, __u64 dentry, __u64 mnt, bool second)
{
	struct found found = find_file(dentry, mnt, OWED_ANY);

	n->wanted |= !!(found.wanted & WANTED_PATH);
	if (second)
		n->target = found.id;
	else
		n->file = found.id;
	return 0;
}

/* A place that is there only when the call has succeeded: 'dentry' then, which is a rename's old one. */
SUBPROGRAM int expect_place(struct note *n, __u64 dentry_address, __u64 place, __u64 mnt)
{
	struct dentry *dentry = (struct dentry *)place;

	n->dentry = dentry_address;
	n->mnt = mnt;
	n->parent = (__u64)load(dentry, d_parent);
	n->hash = load(dentry, d_name.hash_len);
	return 0;
}

/* What the hook was given beside the file. */
static __always_inline void tell_numbers(struct note *n, __u64 offset, __u64 size)
{
	n->offset = offset;
	n->size = size;
	n->flags &= ~(EVENT_NO_OFFSET | EVENT_NO_SIZE);
}

/* An operation on one name in a directory. */
static __always_inline int entry_hook(struct path *directory, __u64 dentry, __u8 hook, __u64 mode)
{
	struct task_state *s = subject_state();
	struct note *n;
	__u64 mnt;

	if (!s)
		return 0;
	begin_notes(s);
	n = new_note(s, hook);
	tell_numbers(n, 0, mode);
	dentry = as_number(n, dentry);
	mnt = (__u64)load(directory, mnt);
	note_place(n, dentry, mnt, false);
	if (hook == HOOK_MKDIR || hook == HOOK_MKNOD)
		expect_place(n, dentry, dentry, mnt);
	return keep_note(s, n);
}

/* Not every kernel's LSM hook is given them. */
static __always_inline __u32 rename_flags(void)
{
	struct task_struct *task = current_task();
	const struct pt_regs *regs = registers_of(task);
	bool narrow = is_compat(task);

	if (of_task(task, flags) & (PF_KTHREAD | PF_IO_WORKER) || !is_call(narrow, call_number(task), RENAMEAT2))
		return 0;
	return narrow ? load(regs, di) : load(regs, r8);
}

/* An operation on a file and a new name for it. */
static __always_inline int names_hook(__u64 mnt, __u64 dentry, struct path *directory, __u64 place, __u8 hook)
{
	struct task_state *s = subject_state();
	struct note *n;

	if (!s)
		return 0;
	begin_notes(s);
	if (hook == HOOK_RENAME && is_noted(s, hook, 0))
		s->note_count--;
	n = new_note(s, hook);
	n->argument = hook == HOOK_RENAME ? rename_flags() : 0;
	dentry = as_number(n, dentry);
	place = as_number(n, place);
	note_place(n, dentry, mnt, false);
	mnt = (__u64)load(directory, mnt);
	note_place(n, place, mnt, true);
	expect_place(n, hook == HOOK_RENAME ? dentry : place, place, mnt);
	return keep_note(s, n);
}

static __always_inline int path_hook(struct path *path, __u8 hook, __u64 offset, __u64 size)
{
	struct task_state *s = subject_state();
	struct note *n;

	if (!s)
		return 0;
	if (is_private(load(path, mnt)))
		return done();
	begin_notes(s);
	n = new_note(s, hook);
	if (hook == HOOK_CHMOD || hook == HOOK_CHOWN)
		tell_numbers(n, offset, size);
	note_place(n, (__u64)load(path, dentry), (__u64)load(path, mnt), false);
	return keep_note(s, n);
}

#endif
