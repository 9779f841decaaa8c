// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Iterators, run once and detached. They find filetap's own process, the running tasks that are targets, the targets that still
 * live, and the identity that the kernel gives to the files behind filetap's own descriptors (this turns a path on the command
 * line into a rule).
 *
 * The current task is filetap in all of them. An iterator over tasks walks those of the pid namespace of the process that creates
 * it, in all kernels (init_seq_pidns in kernel/bpf/task_iter.c).
 *
 * Separate, because no event makes them run. User space: selection/ and capture/.
 */
#include "event.h"
#include "lib/compat.bpf.h"
#include "lib/identity.bpf.h"
#include "lib/kernel.h"
#include "lib/membership.bpf.h"
#include "lib/path.bpf.h"
#include "lib/pid.bpf.h"
#include "lib/state.bpf.h"
#include "lib/target.bpf.h"
#include "lib/uapi.h"

#define MAX_ANCESTORS 64

/* The targets by their numbers in filetap's own pid namespace, as the command line and fork(2) have them. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u32);
} ft_pids SEC(".maps");

static __always_inline bool is_self(struct task_struct *task)
{
	return (__u32)task->tgid == bpf_get_current_pid_tgid() >> 32;
}

/* Filetap's own process as the kernel knows it, in one line of output. */
struct ourselves {
	__s64 boot_offset; /* ns that filetap's time namespace adds to CLOCK_BOOTTIME, which events use */
	__u32 tgid;
	__u32 reserved;
};

SEC("iter/task")
int ft_find_self(struct bpf_iter__task *ctx)
{
	struct ourselves found = { .tgid = bpf_get_current_pid_tgid() >> 32 };
	struct time_namespace *ns = NULL;

	if (!ctx->task || ctx->meta->seq_num)
		return 0;
	if (bpf_core_field_exists(ns->offsets)) { /* CONFIG_TIME_NS */
		ns = BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), nsproxy, time_ns);
		found.boot_offset = BPF_CORE_READ(ns, offsets.boottime.tv_sec) * 1000000000;
		found.boot_offset += BPF_CORE_READ(ns, offsets.boottime.tv_nsec);
	}
	bpf_seq_write(ctx->meta->seq, &found, sizeof(found));
	return 0;
}

/* TARGET_* that the process of this leader has by itself. A global function, because the verifier reads it only once. */
__noinline __u32 own_target(__u64 address)
{
	struct task_struct *leader = (struct task_struct *)address;
	__u32 number = number_here(BPF_CORE_READ(leader, signal, pids[PIDTYPE_TGID])), target = 0;
	__u32 *mark = number ? bpf_map_lookup_elem(&ft_pids, &number) : NULL;
	__u64 comm[2] = {};

	if (mark)
		target |= *mark;
	bpf_probe_read_kernel(comm, sizeof(comm), leader->comm);
	if (config.comms && comm_matches(comm))
		target |= TARGET_COMM;
	return target;
}

static __always_inline __u32 target_of(struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader), *parent;
	__u32 handed_on = config.follow ? TARGET_PID | TARGET_LIVE | TARGET_COMM : TARGET_COMM;
	__u32 target = own_target((__u64)leader);

	for (int i = 0; i < MAX_ANCESTORS; i++) {
		parent = BPF_CORE_READ(leader, real_parent, group_leader);
		if (!parent || parent == leader)
			break; /* the first of all processes */
		leader = parent;
		target |= own_target((__u64)leader) & handed_on;
	}
	return target;
}

static __always_inline void mark_target(struct task_struct *task)
{
	struct globals *g = globals();
	struct task_state *s;
	__u32 target;

	if (!g || is_self(task))
		return;
	if (!task->signal->live.counter)
		return; /* ended, but not reaped: its exit will not be seen */
	set_membership(task);
	target = target_of(task);
	if (!target)
		return;
	s = new_state(task);
	if (!s || s->target & (TARGET_PID | TARGET_COMM))
		return; /* inherited at a fork meanwhile, or set in an earlier run of this iterator */
	s->target |= target;
	if (target & TARGET_COMM)
		__sync_fetch_and_add(&g->named, 1);
	if (task->pid == task->tgid && target & TARGET_LIVE)
		__sync_fetch_and_add(&g->live, 1);
	if (task->pid != task->tgid)
		__sync_fetch_and_add(&g->threads, 1);
}

SEC("iter/task")
int ft_mark_targets(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (task)
		mark_target(task);
	return 0;
}

/* The same for tasks that filetap's pid namespace does not show: they can be targets by their names and cgroups. */
SEC("iter/task")
int ft_mark_all(struct bpf_iter__task *ctx)
{
	struct task_struct *task;
	struct bpf_iter_task it;

	if (!ctx->task || ctx->meta->seq_num)
		return 0;
	bpf_iter_task_new(&it, NULL, BPF_TASK_ITER_ALL_THREADS);
	while ((task = bpf_iter_task_next(&it)))
		mark_target(task);
	bpf_iter_task_destroy(&it);
	return 0;
}

/* List the process of each task that has not ended yet, if globals.live counts it. The kernel sets exit_state after the tracepoint of
 * the exit, so a process that is not found has made its last event. The leader's state stays for as long as the process. */
SEC("iter/task")
int ft_find_living(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct task_state *s;
	__u32 pid;

	if (!task || task->exit_state)
		return 0;
	s = state_of(task->group_leader);
	if (!s || !(s->target & TARGET_LIVE))
		return 0;
	pid = task->tgid;
	bpf_seq_write(ctx->meta->seq, &pid, sizeof(pid));
	return 0;
}

/* Write one line of output per descriptor of filetap. */
struct identified {
	struct rule_key key;
	__u32 fd;
	__u32 reserved;
};

SEC("iter/task_file")
int ft_file_ids(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct identified found = {};
	struct inode *inode;

	if (!task || !file || !is_self(task))
		return 0;
	inode = BPF_CORE_READ(file, f_inode);
	fill_rule_key(&found.key, inode);
	found.fd = ctx->fd;
	bpf_seq_write(ctx->meta->seq, &found, sizeof(found));
	return 0;
}

/* A descriptor of filetap for a cgroup's directory, which may have been removed meanwhile; the names from it up to the root follow,
 * each ended by NUL, and an empty one. */
struct identified_cgroup {
	__u64 id;
	__u32 fd;
	__u32 reserved;
};

struct component {
	char bytes[COMPONENT_SPACE];
};

PER_CPU(component, struct component, ft_cgroup_name)

SEC("iter/task_file")
int ft_cgroup_ids(struct bpf_iter__task_file *ctx)
{
	struct identified_cgroup found = {};
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct kernfs_node *node, *parent;
	struct inode *inode;
	struct component *name = component();
	char end = 0;

	if (!task || !file || !name || !is_self(task))
		return 0;
	inode = BPF_CORE_READ(file, f_inode);
	if (BPF_CORE_READ(inode, i_sb, s_magic) != CGROUP2_SUPER_MAGIC || (BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFDIR)
		return 0;
	node = BPF_CORE_READ(inode, i_private);
	found.id = BPF_CORE_READ(node, id);
	found.fd = ctx->fd;
	bpf_seq_write(ctx->meta->seq, &found, sizeof(found));
	for (int i = 0; i < MAX_CGROUP_LEVELS && (parent = kernfs_parent(node)); i++, node = parent) {
		long length = bpf_probe_read_kernel_str(name->bytes, COMPONENT_SPACE, BPF_CORE_READ(node, name));

		if (length <= 0 || length > COMPONENT_SPACE)
			break;
		bpf_seq_write(ctx->meta->seq, name->bytes, length);
	}
	bpf_seq_write(ctx->meta->seq, &end, sizeof(end));
	return 0;
}

/* A query for a descriptor of filetap: the verdict of the rules on its file, or on a name in it. */
struct file_query {
	__u64 hash; /* of the name; 0: no rule has one of its length */
	__u32 below;
	__u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct file_query);
} ft_query_files SEC(".maps");

/* The names of the file's path follow, from the leaf up. */
struct judged {
	struct rule_key key;
	__u32 fd;
	__u32 wanted; /* by the rules */
	__u32 flags; /* DEFINITION_* */
	__u32 mode;
	__u32 length;
	__u32 reserved;
};

/* The same verdict as find_file() gives, and the path, in the scratch of this object: nothing is cached. */
SEC("iter/task_file")
int ft_judge_files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct judged found = {};
	struct scratch *s = scratch();
	struct file_query *query;
	struct inode *inode;
	__u32 fd = ctx->fd, length;
	__u64 dentry;

	if (!task || !file || !s || !is_self(task))
		return 0;
	query = bpf_map_lookup_elem(&ft_query_files, &fd);
	if (!query)
		return 0;
	dentry = (__u64)BPF_CORE_READ(file, f_path.dentry);
	inode = BPF_CORE_READ(file, f_inode);
	reset_walk(s, dentry, (__u64)BPF_CORE_READ(file, f_path.mnt), true);
	if (query->below) {
		apply_hash(query->hash, dentry);
		s->walk.depth = 1;
	}
	walk();
	rule_key_of(&found.key, inode);
	found.fd = fd;
	found.wanted = is_wanted(s->walk.verdict);
	found.flags = s->walk.flags;
	found.mode = BPF_CORE_READ(inode, i_mode);
	length = s->walk.length;
	if (length > PATH_SPACE)
		length = PATH_SPACE;
	found.length = length;
	bpf_seq_write(ctx->meta->seq, &found, sizeof(found));
	barrier();
	length = s->walk.length; /* read again: 6.1 forgets the bounds of values on the stack */
	if (length > PATH_SPACE)
		length = PATH_SPACE;
	bpf_seq_write(ctx->meta->seq, s->bytes, length);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
