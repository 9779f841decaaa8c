/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Ancestors: the processes above a task, up to the first one. Each is defined once, before the first definition that refers to
 * it.
 *
 * Separate, because ancestors need not be targets: their state is kept per process, not per task.
 */
#ifndef FILETAP_ANCESTRY_H
#define FILETAP_ANCESTRY_H

#include "../event.h"
#include "compat.bpf.h"
#include "define.bpf.h"
#include "describe.bpf.h"
#include "find_file.bpf.h"
#include "kernel.h"
#include "path.bpf.h"
#include "state.bpf.h"

/* By pid and start time, because pids are reused. User space resizes it, and reads which ids are in use. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16 << 10);
	__type(key, struct process_key);
	__type(value, struct process_entry);
} ft_processes SEC(".maps");

/* A walk up, and then down again: from a process to the nearest ancestor that is defined, and the undefined ones between. */
struct ancestor_walk {
	__u64 itself; /* address of the process at which the walk starts */
	__u64 at; /* address of the process that the walk has reached */
	__u64 undefined[MAX_ANCESTORS]; /* addresses of those it has passed */
	__u32 count;
	__u32 parent; /* id of the last one defined; 0: it is the first process; or UNKNOWN_PARENT */
	__u32 forker_known; /* 'parent' is the process that forked 'itself' */
	__u32 reserved;
	struct process_key key;
	struct process_entry entry;
	__u64 exe_dentry, exe_mnt, root_dentry, root_mnt; /* of the next one to define */
};

PER_CPU(ancestor_walk, struct ancestor_walk, ft_ancestors)

static __always_inline void fill_process_key(struct process_key *key, struct task_struct *leader)
{
	key->start = read_word(leader, start_boottime);
	key->pid = read_word(leader, tgid);
	key->reserved = 0;
}

static __always_inline struct process_entry *find_process(struct ancestor_walk *w, struct task_struct *leader)
{
	fill_process_key(&w->key, leader);
	return bpf_map_lookup_elem(&ft_processes, &w->key);
}

/* Return the present parent process; NULL if this is the first process. */
static __always_inline struct task_struct *parent_process(struct task_struct *leader)
{
	struct task_struct *parent = read_word(read_word(leader, real_parent), group_leader);

	return parent && read_word(parent, tgid) ? parent : NULL;
}

/* Returns true if its definition is still true. An exec or another name makes another row. */
static __always_inline bool is_defined(const struct process_entry *entry, struct task_struct *leader)
{
	return entry && entry->id && entry->execs == (__u32)read_word(leader, self_exec_id) && entry->comm[0] == word_at(leader->comm) &&
	       entry->comm[1] == word_at(leader->comm + 8);
}

/* Go one process up. Returns 1 where the walk ends. Global, so that the verifier reads it only once. */
__noinline int climb_to_parent(__u32 step)
{
	struct ancestor_walk *w = ancestor_walk();
	struct process_entry *entry;
	struct task_struct *leader;

	if (!w || step >= MAX_ANCESTORS)
		return 1;
	barrier_var(step); /* the compiler would remove the mask below, and the verifier could not prove the bound */
	leader = (struct task_struct *)w->at;
	entry = find_process(w, leader);
	if (is_defined(entry, leader)) {
		w->parent = entry->id;
		return 1;
	}
	w->undefined[step & (MAX_ANCESTORS - 1)] = w->at;
	w->count = step + 1;
	if (entry && entry->forker) {
		w->parent = entry->forker;
		return 1;
	}
	w->at = (__u64)parent_process(leader);
	return !w->at;
}

/* Walk up from a process. If there are more than MAX_ANCESTORS, those above are not known. */
static __always_inline void climb_from(struct ancestor_walk *w, struct task_struct *leader)
{
	w->at = (__u64)leader;
	w->count = 0;
	w->parent = UNKNOWN_PARENT;
	for (__u32 step = 0; step < MAX_ANCESTORS && w->at; step++)
		if (climb_to_parent(step))
			break;
	if (!w->at)
		w->parent = 0;
}

/* Find the executable and the root of the next one to define, from the top down. Returns 0 when all are defined. */
__noinline int next_undefined(void)
{
	struct ancestor_walk *w = ancestor_walk();
	struct task_struct *leader;
	struct fs_struct *fs;
	struct mm_struct *mm;
	struct file *exe;
	__u32 last;

	if (!w)
		return 0;
	last = w->count - 1;
	if (last >= MAX_ANCESTORS)
		return 0;
	barrier_var(last);
	w->at = w->undefined[last & (MAX_ANCESTORS - 1)];
	w->count = last;
	leader = (struct task_struct *)w->at;
	mm = read_word(leader, mm);
	exe = mm ? read_word(mm, exe_file) : NULL;
	fs = read_word(leader, fs);
	w->exe_dentry = exe ? (__u64)read_word(exe, f_path.dentry) : 0;
	w->exe_mnt = exe ? (__u64)read_word(exe, f_path.mnt) : 0;
	w->root_dentry = fs ? (__u64)read_word(fs, root.dentry) : 0;
	w->root_mnt = fs ? (__u64)read_word(fs, root.mnt) : 0;
	return 1;
}

/* A child keeps the count of execs that its parent had when it forked the child: if that is more than this process has made by now,
 * another process was its parent. It proves nothing about a child whose forking process had made no exec since this process forked it
 * in turn. parent_exec_id is unchanged when a child is given to another parent (kernel/exit.c, reparent_leader). */
static __always_inline bool was_adopted(struct task_struct *leader)
{
	struct task_struct *parent = parent_process(leader);

	return parent && read_word(leader, parent_exec_id) > read_word(parent, self_exec_id);
}

/* Returns true for a zombie: no event reports when it is reaped. */
static __always_inline bool has_ended(struct task_struct *leader)
{
	return !read_word(read_word(leader, signal), live.counter);
}

static __always_inline void publish_process(struct ancestor_walk *w, struct task_struct *leader, __u32 id)
{
	struct process_entry *old = find_process(w, leader);
	struct counters *c = counters();

	w->entry.comm[0] = word_at(leader->comm);
	w->entry.comm[1] = word_at(leader->comm + 8);
	w->entry.id = id;
	w->entry.execs = read_word(leader, self_exec_id);
	w->entry.forker = old ? old->forker : 0;
	w->entry.reserved = 0;
	if (!has_ended(leader) && bpf_map_update_elem(&ft_processes, &w->key, &w->entry, BPF_ANY) && c)
		c->processes_full++;
}

/* Define the process that next_undefined() has reached; the next one below it is its child. */
__noinline int define_ancestor(__u32 exe, __u32 root)
{
	struct ancestor_walk *w = ancestor_walk();
	struct counters *c = counters();
	struct process_entry *entry;
	struct task_struct *leader;
	struct scratch *s = scratch();
	__u32 id;

	if (!w || !s || !c)
		return 0;
	leader = (struct task_struct *)w->at;
	define_cgroup(leader);
	id = new_id(c);
	start_definition(s, DEFINE_TASK, id);
	s->head.flags = DEFINITION_ANCESTOR;
	entry = find_process(w, leader);
	if (w->parent && !(entry && entry->forker) && was_adopted(leader))
		s->head.flags |= DEFINITION_ADOPTED;
	s->task.parent = w->parent;
	s->task.exe = exe;
	s->task.root = root;
	describe_task(leader);
	if (config.args && w->at == w->itself)
		read_arguments(leader, s);
	w->parent = UNKNOWN_PARENT;
	if (submit_definition(s, c))
		return 0;
	w->parent = id;
	publish_process(w, leader, id);
	return 0;
}

/* Define the topmost ancestor that has no definition yet. Returns 0 if there is none. A separate function, because the verifier follows
 * the loop that calls it iteration by iteration. */
__noinline int define_next(void)
{
	struct ancestor_walk *w = ancestor_walk();
	__u32 exe, root;

	if (!w || !next_undefined())
		return 0;
	exe = w->exe_dentry && w->exe_mnt ? find_file(w->exe_dentry, w->exe_mnt, NEED_ALWAYS).id : 0;
	root = w->root_dentry && w->root_mnt ? find_file(w->root_dentry, w->root_mnt, NEED_ALWAYS).id : 0;
	define_ancestor(exe, root);
	return 1;
}

/* define_ancestors() of the process at w->itself. Global, so that the verifier reads it only once, and at the depth of the call chain
 * at which a task is defined: no more frames are left. */
__noinline int define_line(int too)
{
	struct ancestor_walk *w = ancestor_walk();
	struct process_entry *entry;
	struct task_struct *leader;

	if (!w)
		return 0;
	w->forker_known = 0;
	leader = (struct task_struct *)w->itself;
	entry = too || config.ancestry != ANCESTRY_FORKS ? NULL : find_process(w, leader);
	if (entry && entry->forker) {
		w->parent = entry->forker;
		w->forker_known = 1;
		return 0;
	}
	climb_from(w, too ? leader : parent_process(leader));
	for (int i = 0; i < MAX_ANCESTORS; i++)
		if (!define_next())
			break;
	return 0;
}

/* Define all ancestors of this task's process, so that its parent has an id; with 'too' the process itself as well. */
static __always_inline void define_ancestors(struct task_struct *task, bool too)
{
	struct ancestor_walk *w = ancestor_walk();

	if (!w)
		return;
	w->itself = (__u64)task_field(task, group_leader);
	define_line(too);
}

/* Store the forker of a child of the current process, so that it stays known when the parent ends. */
static __always_inline void remember_forker(struct task_struct *child)
{
	struct ancestor_walk *w = ancestor_walk();
	struct counters *c = counters();

	if (!w || w->parent == UNKNOWN_PARENT)
		return;
	w->key.start = task_field(child, start_boottime);
	w->key.pid = task_field(child, tgid);
	w->key.reserved = 0;
	__builtin_memset(&w->entry, 0, sizeof(w->entry));
	w->entry.forker = w->parent;
	if (bpf_map_update_elem(&ft_processes, &w->key, &w->entry, BPF_ANY) && c)
		c->processes_full++;
}

/* A process has forked another one. Called for all processes, not only for targets. */
static __always_inline void follow_fork(struct task_struct *task, struct task_struct *child)
{
	if (config.ancestry < ANCESTRY_AT_FORK || interrupts(task))
		return;
	define_ancestors(task, true);
	if (config.ancestry == ANCESTRY_FORKS)
		remember_forker(child);
}

/* The current process ends. */
static __always_inline void forget_process(struct task_struct *task)
{
	struct process_key key = { .start = task_field(task, group_leader, start_boottime), .pid = task_field(task, tgid) };

	if (config.ancestry)
		bpf_map_delete_elem(&ft_processes, &key);
}

#endif
