/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The task definition: the identity of a task, sent before its first event and again when credentials, name or cgroup change.
 *
 * Separate, because detecting a change must cost a few loads per event, and describing it may cost a thousand.
 */
#ifndef FILETAP_TASK_H
#define FILETAP_TASK_H

#include "../event.h"
#include "ancestry.bpf.h"
#include "compat.bpf.h"
#include "credentials.bpf.h"
#include "define.bpf.h"
#include "describe.bpf.h"
#include "find_file.bpf.h"
#include "identity.bpf.h"
#include "kernel.h"
#include "path.bpf.h"
#include "state.bpf.h"

/* Set the parent that define_ancestors() has found. */
static __always_inline void name_parent(struct task_struct *task, struct task_state *state, struct scratch *s)
{
	__u32 forker = state->forker_pid, parent = task_field(task, real_parent, tgid);
	struct ancestor_walk *w = ancestor_walk();

	s->task.forker = state->forker;
	if (!w || !config.ancestry)
		return;
	s->task.parent = w->parent;
	if (w->forker_known || !w->parent)
		return;
	if ((forker && forker != parent) || was_adopted((struct task_struct *)w->itself))
		s->head.flags |= DEFINITION_ADOPTED;
}

static __always_inline __u32 define_task(struct task_struct *task, struct task_state *state)
{
	struct file *exe = BPF_CORE_READ(task, mm, exe_file);
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	__u32 exe_id = exe ? path_file_id(&exe->f_path) : 0, root_id = fs ? path_file_id(&fs->root) : 0;
	struct counters *c = counters();
	struct scratch *s = scratch();

	if (!c || !s)
		return 0;
	define_cgroup(task);
	start_definition(s, DEFINE_TASK, new_id(c));
	name_parent(task, state, s);
	s->task.exe = exe_id;
	s->task.root = root_id;
	describe_task(task);
	if (config.args)
		read_arguments(task, s);
	return submit_definition(s, c) ? 0 : s->head.id;
}

/* Announce that no later event names this id. Without room nothing is lost and nothing is counted: the reader keeps the task. */
static __always_inline void retire(__u32 id)
{
	struct scratch *s = scratch();

	if (!id || !s || interrupts(current_task()))
		return;
	start_definition(s, DEFINE_RETIRE, id);
	bpf_ringbuf_output(&ft_definitions, s, DEFINITION_FIXED, BPF_RB_NO_WAKEUP);
}

/* Return the numbers of its namespaces, as in the definition. */
static __always_inline __u64 namespaces_of(struct task_struct *task)
{
	struct nsproxy *nsproxy = read_word(task, nsproxy);
	__u64 numbers = read_word(read_word(nsproxy, mnt_ns), ns.inum);

	numbers = numbers * MIX ^ read_word(read_word(nsproxy, cgroup_ns), ns.inum);
	return numbers * MIX ^ read_word(read_word(read_word(task, cred), user_ns), ns.inum);
}

/* Identify its root directory: by address and by inode. */
static __always_inline __u64 root_of(struct task_struct *task)
{
	struct dentry *root = read_word(read_word(task, fs), root.dentry);

	return ((__u64)root * MIX ^ read_word(root, d_name.hash_len)) * MIX ^ read_word(read_word(root, d_inode), i_ino);
}

static __always_inline __u64 cgroup_of(struct task_struct *task)
{
	return read_word(read_word(read_word(read_word(task, cgroups), dfl_cgrp), kn), id);
}

/* Values that change only by calls that are traced: compared only after one of them. */
static __always_inline bool has_moved(struct task_struct *task, struct task_state *s)
{
	struct globals *g = globals();

	if (!g || likely(s->epoch == g->epoch))
		return !g;
	if (s->cgroup != cgroup_of(task) || s->root != root_of(task) || s->namespaces != namespaces_of(task))
		return true;
	s->epoch = g->epoch;
	return false;
}

/* Returns true if the last definition is still valid. Values are compared, not addresses, because memory is reused. */
static __always_inline bool is_as_defined(struct task_struct *task, struct task_state *s)
{
	return s->task && same_credentials(task, &s->credentials) && !has_moved(task, s) && s->comm[0] == comm_word(task, 0) &&
	       s->comm[1] == comm_word(task, 1);
}

/* A separate function, to save stack. */
SUBPROGRAM int define_anew(struct task_state *s)
{
	struct task_struct *task = current_task();
	struct globals *g = globals();

	s->epoch = g ? g->epoch : 0;
	s->root = root_of(task);
	s->namespaces = namespaces_of(task);
	remember_credentials(task, &s->credentials);
	s->cgroup = cgroup_of(task);
	s->comm[0] = comm_word(task, 0);
	s->comm[1] = comm_word(task, 1);
	if (s->task)
		retire(s->task);
	s->task = define_task(task, s);
	return 0;
}

static __always_inline void check_task(struct task_struct *task, struct task_state *s)
{
	if (likely(is_as_defined(task, s)))
		return;
	if (config.ancestry)
		define_ancestors(task, false);
	define_anew(s);
}

#endif
