// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Iterators, run and detached: which running tasks are targets, which of them still live, and what identity the kernel gives
 * to the files behind our own descriptors (that is how a path on the command line becomes a rule).
 * Apart, because no event makes them run. User space: targets.py, kernel/living.py and filters.py.
 */
#include "lib/state.bpf.h"
#include "lib/target.bpf.h"
#include "lib/path.bpf.h"

#define MAX_ANCESTORS 64

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u32);
} pids SEC(".maps");

/* MEMBER_* that this process has by itself. */
static __always_inline __u32 own_member(struct task_struct *leader)
{
	__u32 tgid = BPF_CORE_READ(leader, tgid), member = 0;
	__u32 *seed = bpf_map_lookup_elem(&pids, &tgid);
	__u64 comm[2] = {};

	if (seed)
		member |= *seed;
	bpf_probe_read_kernel(comm, sizeof(comm), leader->comm);
	if (config.comms && comm_matches(comm))
		member |= MEMBER_COMM;
	return member;
}

struct ancestors {
	struct task_struct *task;
	__u32 member;
};

/* Returns false at the first of all processes. */
static __always_inline bool look_up(struct ancestors *a)
{
	struct task_struct *task = a->task, *parent = BPF_CORE_READ(task, real_parent, group_leader);

	if (!parent || parent == task)
		return false;
	a->task = parent;
	a->member |= own_member(parent) & (config.follow ? MEMBER_PID | MEMBER_LIVE | MEMBER_COMM : MEMBER_COMM);
	return true;
}

static __always_inline __u32 member_of(struct task_struct *task)
{
	struct ancestors a = { .task = task->group_leader };

	a.member = own_member(a.task);
	for (int i = 0; i < MAX_ANCESTORS; i++)
		if (!look_up(&a))
			break;
	return a.member;
}

SEC("iter/task")
int seed_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct globals *g = globals();
	struct task_state *s;
	__u32 member;

	if (!task || !g || (__u32)task->tgid == config.self)
		return 0;
	if (!task->signal->live.counter)
		return 0; /* ended, and not waited for: its exit will not be seen */
	member = member_of(task);
	if (!member)
		return 0;
	s = new_state(task);
	if (!s || s->member & (MEMBER_PID | MEMBER_COMM))
		return 0; /* joined at a fork meanwhile, or in an earlier run of this iterator */
	s->member |= member;
	if (task->pid == task->tgid && member & MEMBER_LIVE)
		__sync_fetch_and_add(&g->live, 1);
	if (task->pid != task->tgid)
		__sync_fetch_and_add(&g->threads, 1);
	return 0;
}

/* The process of each task that has not ended yet, if globals.live counts it. exit_state is set behind the tracepoint of the end, so
 * whoever is not found has made its last event. The leader's state stays for as long as the process. */
SEC("iter/task")
int find_living(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct task_state *s;
	__u32 pid;

	if (!task || task->exit_state)
		return 0;
	s = state_of(task->group_leader);
	if (!s || !(s->member & MEMBER_LIVE))
		return 0;
	pid = task->tgid;
	bpf_seq_write(ctx->meta->seq, &pid, sizeof(pid));
	return 0;
}

/* One line of output per descriptor of ours. */
struct identified {
	struct rule_key key;
	__u32 fd;
	__u32 reserved;
};

SEC("iter/task_file")
int identify_files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct identified found = {};
	struct inode *inode;

	if (!task || !file || (__u32)task->tgid != config.self)
		return 0;
	inode = BPF_CORE_READ(file, f_inode);
	fill_rule_key(&found.key, inode);
	found.fd = ctx->fd;
	bpf_seq_write(ctx->meta->seq, &found, sizeof(found));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
