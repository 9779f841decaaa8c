/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tasks in target cgroups: marked in their states when tracing begins, at a fork, and when they move to another cgroup. No call of
 * any other task has to look at its cgroup then.
 *
 * A move is seen while the kernel holds locks and has interrupts off, where only a few states can be allocated one after another.
 * Until user space has marked the other tasks (globals.unmarked), each call is tested.
 *
 * This needs a function of the kernel that walks the threads of a process: without it, cgroups are tested at each call.
 */
#ifndef FILETAP_MEMBERSHIP_H
#define FILETAP_MEMBERSHIP_H

#include "../event.h"
#include "compat.bpf.h"
#include "kernel.h"
#include "state.bpf.h"
#include "task.bpf.h"

/* c68a78ffe2cb (v6.7): a program may walk tasks. User space loads the programs that call these where they exist. */
#define BPF_TASK_ITER_ALL_THREADS 1
#define BPF_TASK_ITER_PROC_THREADS 2
extern int bpf_iter_task_new(struct bpf_iter_task *it, struct task_struct *task, unsigned int flags) __ksym __weak;
extern struct task_struct *bpf_iter_task_next(struct bpf_iter_task *it) __ksym __weak;
extern void bpf_iter_task_destroy(struct bpf_iter_task *it) __ksym __weak;

/* Record whether the task is in a target cgroup now. */
static __always_inline void set_membership(struct task_struct *task)
{
	__u64 id = cgroup_of(task);
	struct globals *g = globals();
	struct task_state *s;

	if (!config.cgroup_states || !g || (__u32)task_field(task, tgid) == g->self)
		return;
	if (!bpf_map_lookup_elem(&ft_cgroup_tree, &id)) {
		s = state_of(task);
		if (s)
			s->in_cgroup = 0;
		return;
	}
	s = try_state(task);
	if (!s)
		__sync_fetch_and_add(&g->unmarked, 1);
	if (!s || s->in_cgroup)
		return;
	s->in_cgroup = 1;
	if (task_field(task, pid) != task_field(task, tgid))
		__sync_fetch_and_add(&g->threads, 1);
}

#endif
