/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * How a listing of pending calls describes a task, its files and the call's arguments.
 *
 * Separate, because calls, pending hooks, and requests are listed in the same way.
 */
#ifndef FILETAP_LISTING_H
#define FILETAP_LISTING_H

#include "../event.h"
#include "ancestry.bpf.h"
#include "compat.bpf.h"
#include "descriptor.bpf.h"
#include "find_file.bpf.h"
#include "kernel.h"
#include "opening.bpf.h"
#include "pid.bpf.h"
#include "ring_table.bpf.h"
#include "state.bpf.h"
#include "fd_file.bpf.h"
#include "target.bpf.h"
#include "task.bpf.h"
#include "uapi.h"

/* What is being listed. */
struct listed {
	struct pending_call call;
	struct ring_request request;
	__u64 key;
};

PER_CPU(listed, struct listed, ft_pending)

static __always_inline struct pending_call *pending_call(void)
{
	struct listed *l = listed();

	return l ? &l->call : NULL;
}

/* in_cgroup() of a task other than the current one. */
static __always_inline bool lies_in_cgroup(struct task_struct *task)
{
	__u64 id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);

	return bpf_map_lookup_elem(&ft_cgroup_tree, &id);
}

/* find_target() of a task other than the current one, also when events no longer count. */
static __always_inline bool is_target(struct task_struct *task, struct task_state *s)
{
	struct globals *g = globals();

	if (!g || (__u32)task_field(task, tgid) == g->self || (s && s->target & TARGET_HELD))
		return false;
	if (s && is_marked(s))
		return true;
	if (!config.all && !(tests_cgroups() && lies_in_cgroup(task)))
		return false;
	return !config.command_in_cgroup || (s && s->target & TARGET_COMM);
}

/* Identify the task: to be called once there is something to list of it. */
SUBPROGRAM int fill_task(struct task_struct *task, struct task_state *s)
{
	struct pending_call *p = pending_call();

	if (!p)
		return 0;
	if (!s)
		s = new_state(task);
	if (s && !s->task) {
		if (config.ancestry)
			define_ancestors(task, false);
		s->task = define_task(task, s);
	}
	p->task = s ? s->task : 0;
	p->pid = task_field(task, tgid);
	p->tid = task_field(task, pid);
	p->number = number_here(BPF_CORE_READ(task, thread_pid));
	p->ppid = BPF_CORE_READ(task, real_parent, tgid);
	p->euid = BPF_CORE_READ(task, cred, euid.val);
	bpf_probe_read_kernel(p->comm, sizeof(p->comm), task->comm);
	return 0;
}

static __always_inline void fill_registers(struct pending_call *p, const struct pt_regs *regs)
{
	p->nr = read_word(regs, orig_ax);
	p->arguments[0] = read_word(regs, di);
	p->arguments[1] = read_word(regs, si);
	p->arguments[2] = read_word(regs, dx);
	p->arguments[3] = read_word(regs, r10);
	p->arguments[4] = read_word(regs, r8);
	p->arguments[5] = read_word(regs, r9);
	p->ip = read_word(regs, ip);
	p->sp = read_word(regs, sp);
}

/* Every entry except a system call's writes a negative number, and a call that has returned has replaced -ENOSYS by its result
 * (arch/x86/entry). This holds until the thread enters the kernel again. */
static __always_inline bool in_call(const struct pt_regs *regs)
{
	return (__s64)read_word(regs, orig_ax) >= 0 && (__s64)read_word(regs, ax) == -ENOSYS;
}

/* Return an argument by its number; 0: none. */
static __always_inline __u64 numbered(const __u64 arguments[6], __u32 number)
{
	switch (number) { /* no index: the verifier of 5.10 loses the bounds of a computed one */
	case 1:
		return arguments[0];
	case 2:
		return arguments[1];
	case 3:
		return arguments[2];
	case 4:
		return arguments[3];
	case 5:
		return arguments[4];
	case 6:
		return arguments[5];
	}
	return 0;
}

static __always_inline __u64 argument_of(const struct pending_call *p, __u32 number)
{
	return numbered(p->arguments, number);
}

/* Return the id of a file whose path matches, and its type where that matters; 0: none of these. It does not count as a file of an
 * event. */
static __always_inline __u32 wanted_file(__u64 address, int need)
{
	struct file *file = file_at(address);
	__u64 dentry = (__u64)read_word(file, f_path.dentry), mnt = (__u64)read_word(file, f_path.mnt);
	struct found found;

	if (!type_passes(file, need))
		return 0;
	found = find_file(dentry, mnt, NEED_NOTHING);
	return is_needed(found.wanted, need) ? find_file(dentry, mnt, NEED_ALWAYS).id : 0;
}

static __always_inline struct found any_file(__u64 address)
{
	struct file *file = (struct file *)address;

	return find_file((__u64)read_word(file, f_path.dentry), (__u64)read_word(file, f_path.mnt), NEED_ALWAYS);
}

/* Return the number that events have given to its opening; 0: none has, and a listing creates none. */
static __always_inline __u32 opening_at(__u64 address)
{
	struct opening *known = bpf_map_lookup_elem(&ft_openings, &address);
	struct inode *inode = read_word((struct file *)address, f_inode);

	if (!known || known->inode != read_word(inode, i_ino) || known->generation != read_word(inode, i_generation))
		return 0;
	return known->number;
}

#endif
