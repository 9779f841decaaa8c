/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Fills the definition of a task: its identity, cgroup, namespaces, user and arguments.
 *
 * Separate, because targets and their ancestors are described in the same way.
 */
#ifndef FILETAP_DESCRIBE_H
#define FILETAP_DESCRIBE_H

#include "../event.h"
#include "compat.bpf.h"
#include "credentials.bpf.h"
#include "define.bpf.h"
#include "kernel.h"
#include "path.bpf.h"
#include "state.bpf.h"

/* A global function, which is verified once. */
__noinline int define_cgroup_node(__u64 address)
{
	struct kernfs_node *node = (struct kernfs_node *)address;
	__u64 id = BPF_CORE_READ(node, id);
	struct counters *c = counters();
	struct scratch *s = scratch();
	__u32 length = 0, one = 1;

	if (!c || !s || bpf_map_lookup_elem(&ft_cgroups, &id))
		return 0;
	start_definition(s, DEFINE_CGROUP, 0);
	s->cgroup.cgroup = id;
	for (int i = 0; i < 32; i++) {
		struct kernfs_node *parent = kernfs_parent(node);
		long n;

		if (!parent)
			break;
		n = bpf_probe_read_kernel_str(s->bytes + (length & (PATH_SPACE - 1)), COMPONENT_SPACE, BPF_CORE_READ(node, name));
		if (n <= 0 || n > COMPONENT_SPACE)
			break;
		length += n;
		node = parent;
	}
	s->head.length = length;
	if (!submit_definition(s, c))
		bpf_map_update_elem(&ft_cgroups, &id, &one, BPF_ANY);
	return 0;
}

static __always_inline void define_cgroup(struct task_struct *task)
{
	define_cgroup_node((__u64)BPF_CORE_READ(task, cgroups, dfl_cgrp, kn));
}

static __always_inline __u32 namespace_pid(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, signal, pids[PIDTYPE_TGID]);
	__u32 level = BPF_CORE_READ(pid, level), offset = level * bpf_core_type_size(struct upid);
	struct upid *innermost = (void *)pid + bpf_core_field_offset(struct pid, numbers) + offset;

	return BPF_CORE_READ(innermost, nr);
}

static __always_inline __u32 pid_namespace(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, signal, pids[PIDTYPE_TGID]);
	__u32 level = BPF_CORE_READ(pid, level), offset = level * bpf_core_type_size(struct upid);
	struct upid *innermost = (void *)pid + bpf_core_field_offset(struct pid, numbers) + offset;

	return BPF_CORE_READ(innermost, ns, ns.inum);
}

/* Read the arguments as exec left them on the new stack; cut at 4096 bytes. They follow the groups. */
static __always_inline void read_arguments(struct task_struct *task, struct scratch *s)
{
	unsigned long start = BPF_CORE_READ(task, mm, arg_start), end = BPF_CORE_READ(task, mm, arg_end);
	__u64 length = end - start;
	__u32 before = s->head.length;

	if (length > 4096) {
		length = 4096;
		s->head.flags |= DEFINITION_TRUNCATED;
	}
	barrier_var(before);
	before &= 2 * GROUP_BYTES - 1; /* for the verifier: it is at most GROUP_BYTES */
	if (!bpf_probe_read_user(s->bytes + before, length, (void *)start))
		s->head.length = before + length;
}

/* Fill the definition in the scratch from a task. A separate function, to save stack. */
SUBPROGRAM int describe_task(struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct scratch *s = scratch();

	if (!s)
		return 0;
	s->task.start = BPF_CORE_READ(leader, start_boottime);
	s->task.cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	s->task.execs = BPF_CORE_READ(leader, self_exec_id);
	s->task.pid = BPF_CORE_READ(task, tgid);
	s->task.tid = BPF_CORE_READ(task, pid);
	s->task.ppid = BPF_CORE_READ(task, real_parent, tgid);
	s->task.namespace_pid = namespace_pid(task);
	fill_credentials(task, s);
	s->task.pid_namespace = pid_namespace(task);
	s->task.mount_namespace = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	s->task.cgroup_namespace = BPF_CORE_READ(task, nsproxy, cgroup_ns, ns.inum);
	bpf_probe_read_kernel(s->task.comm, sizeof(s->task.comm), leader->comm);
	bpf_probe_read_kernel(s->task.thread, sizeof(s->task.thread), task->comm);
	return 0;
}

#endif
