/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Which events count: the state of a task that is a target, or NULL.
 *
 * Separate, because every probe calls it first, and all must agree.
 */
#ifndef FILETAP_TARGET_H
#define FILETAP_TARGET_H

#include "../event.h"
#include "compat.bpf.h"
#include "kernel.h"
#include "state.bpf.h"
#include "uapi.h"

/* Without config.cgroup_states this is tested at each call: a task may be moved between cgroups at any time. */
static __always_inline bool in_cgroup(void)
{
	__u64 id = bpf_get_current_cgroup_id();

	return bpf_map_lookup_elem(&ft_cgroup_tree, &id);
}

/* The bytes of a word before its first zero byte; all of them if there is none. */
static __always_inline __u64 up_to_zero(__u64 word)
{
	__u64 zero = (word - 0x0101010101010101) & ~word & 0x8080808080808080; /* its lowest bit is that of the first zero byte */

	return zero ? word & (((zero & -zero) >> 7) - 1) : word;
}

/* On 5.10 (not on 6.1) a name is followed by the end of a longer one that the task had before. */
static __always_inline bool comm_matches(const __u64 given[2])
{
	__u64 comm[2] = { up_to_zero(given[0]) };

	if (comm[0] == given[0] && given[0] >> 56)
		comm[1] = up_to_zero(given[1]);
	for (int i = 0; i < MAX_COMMS; i++) {
		const volatile __u64 *want = (const volatile __u64 *)config.comm[i];

		if (i >= config.comms)
			break;
		if (want[0] == comm[0] && want[1] == comm[1])
			return true;
	}
	return false;
}

/* Targets that are no property of the task: all tasks, or a cgroup's subtree. */
static __always_inline struct task_state *tested_target(struct task_struct *task, struct task_state *s, const struct globals *g)
{
	if ((__u32)task_field(task, tgid) == g->self)
		return NULL;
	if (!config.all && !in_cgroup())
		return NULL;
	if (config.command_in_cgroup && (!s || !(s->target & TARGET_COMM)))
		return NULL;
	if (!s) {
		s = new_state(task);
		if (s)
			s->target = TARGET_SEEN;
	}
	return s;
}

/* Returns true if cgroups are targets and tasks in them may have no state. */
static __always_inline bool tests_cgroups(void)
{
	struct globals *g;

	if (!config.cgroups)
		return false;
	if (!config.cgroup_states)
		return true;
	g = globals();
	return unlikely(!g || g->unmarked != g->marked);
}

/* Returns true if the state says that its task is a target. */
static __always_inline bool is_marked(const struct task_state *s)
{
	if (config.command_in_cgroup)
		return s->target & TARGET_PID || (s->in_cgroup && s->target & TARGET_COMM);
	return s->in_cgroup || s->target & (TARGET_PID | TARGET_COMM);
}

/* Returns true if the task is certainly no target: one load, which is the whole cost of an untraced task's call. Without task storage
 * it costs a lookup in the table. */
static __always_inline bool is_untraced(struct task_struct *task)
{
	return HAS_TASK_STORAGE && !task->bpf_storage && !config.all && !tests_cgroups();
}

static __always_inline struct task_state *find_target(struct task_struct *task)
{
	struct task_state *s = state_of(task);
	struct globals *g = globals();

	if (!g || unlikely(g->stopped) || (s && unlikely(s->target & TARGET_HELD)))
		return NULL;
	if (s && is_marked(s))
		return s;
	if (config.all || tests_cgroups())
		return tested_target(task, s, g);
	return NULL;
}

/* Return the current task's state, if its events count and may be emitted now. */
static __always_inline struct task_state *current_target(struct task_struct *task)
{
	struct task_state *s = find_target(task);

	return s && !interrupts(task) ? s : NULL;
}

/* Let a thread without a state inherit that of its process. */
static __always_inline void inherit_target(struct task_struct *task)
{
	struct task_state *owner = state_of(leader_of(task)), *s;

	if (owner && (owner->target || owner->in_cgroup) && (s = new_state(task))) {
		s->target = owner->target;
		s->in_cgroup = owner->in_cgroup;
	}
}

/* PF_IO_WORKER was another bit before v5.12, and BTF does not contain macros: where there is a table, any thread without a state may be
 * one, because threads inherit the state of their process. */
static __always_inline bool may_be_worker(struct task_struct *task)
{
	return HAS_TASK_STORAGE ? !!(task_field(task, flags) & PF_IO_WORKER) : task_field(task, pid) != task_field(task, tgid);
}

/* The kernel's own threads for an io_uring belong to a process, but their forks are not seen. */
static __always_inline void inherit_worker_target(struct task_struct *task)
{
	if (may_be_worker(task) && !(HAS_TASK_STORAGE ? !!task->bpf_storage : !!state_of(task)))
		inherit_target(task);
}

#endif
