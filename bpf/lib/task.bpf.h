/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The task definition: who it is, sent before its first event and again when credentials, name or cgroup change.
 * Apart, because noticing a change must cost a few loads per event and describing it may cost a thousand.
 * Next: lib/emit.bpf.h.
 */
#ifndef FILETAP_TASK_H
#define FILETAP_TASK_H

#include "credentials.bpf.h"
#include "name.bpf.h"

static __always_inline void define_cgroup(struct task_struct *task, struct scratch *s, struct counters *c)
{
	struct kernfs_node *node = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn);
	__u64 id = BPF_CORE_READ(node, id);
	__u32 length = 0, one = 1;

	if (bpf_map_lookup_elem(&cgroups, &id))
		return;
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
		bpf_map_update_elem(&cgroups, &id, &one, BPF_ANY);
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

/* The arguments as exec left them on the new stack; cut at 4096 bytes. Behind the groups. */
static __always_inline void read_arguments(struct task_struct *task, struct scratch *s)
{
	unsigned long start = BPF_CORE_READ(task, mm, arg_start), end = BPF_CORE_READ(task, mm, arg_end);
	__u64 length = end - start;
	__u32 before = s->head.length;

	if (length > 4096) {
		length = 4096;
		s->head.flags |= DEFINITION_TRUNCATED;
	}
	if (before <= MAX_GROUPS * sizeof(__u32) && !bpf_probe_read_user(s->bytes + before, length, (void *)start))
		s->head.length = before + length;
}

/* What the definition in the scratch says of a task. A function of its own, for the stack's sake. */
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
	if (config.args)
		read_arguments(task, s);
	return 0;
}

static __always_inline __u32 define_task(struct task_struct *task, struct task_state *state)
{
	struct file *exe = BPF_CORE_READ(task, mm, exe_file);
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	__u32 exe_id = exe ? place_id(&exe->f_path) : 0, root_id = fs ? place_id(&fs->root) : 0;
	struct counters *c = counters();
	struct scratch *s = scratch();

	if (!c || !s)
		return 0;
	define_cgroup(task, s, c);
	start_definition(s, DEFINE_TASK, new_id(c));
	s->task.parent = state->parent;
	s->task.exe = exe_id;
	s->task.root = root_id;
	describe_task(task);
	return submit_definition(s, c) ? 0 : s->head.id;
}

static __always_inline void retire(__u32 id)
{
	struct counters *c = counters();
	struct scratch *s = scratch();

	if (!id || !c || !s || interrupts(current_task()))
		return;
	start_definition(s, DEFINE_RETIRE, id);
	submit_definition(s, c);
}

/* The numbers of its namespaces, as the definition has them. */
static __always_inline __u64 namespaces_of(struct task_struct *task)
{
	struct nsproxy *nsproxy = load(task, nsproxy);
	__u64 numbers = load(load(nsproxy, mnt_ns), ns.inum);

	numbers = numbers * MIX ^ load(load(nsproxy, cgroup_ns), ns.inum);
	return numbers * MIX ^ load(load(load(task, cred), user_ns), ns.inum);
}

/* Its root directory: where it is in memory, and what is there. */
static __always_inline __u64 root_of(struct task_struct *task)
{
	struct dentry *root = load(load(task, fs), root.dentry);

	return ((__u64)root * MIX ^ load(root, d_name.hash_len)) * MIX ^ load(load(root, d_inode), i_ino);
}

static __always_inline __u64 cgroup_of(struct task_struct *task)
{
	return load(load(load(load(task, cgroups), dfl_cgrp), kn), id);
}

/* What changes by calls that are seen: compared only after one of them. */
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

/* Is what the last definition said still so? The values, not the addresses: memory is used again. */
static __always_inline bool is_as_defined(struct task_struct *task, struct task_state *s)
{
	return s->task && same_credentials(task, &s->credentials) && !has_moved(task, s) && s->comm[0] == comm_word(task, 0) &&
	       s->comm[1] == comm_word(task, 1);
}

/* A function of its own, for the stack's sake. */
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
	if (unlikely(!is_as_defined(task, s)))
		define_anew(s);
}

#endif
