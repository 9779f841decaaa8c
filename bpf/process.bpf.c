// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Processes: children inherit their parent's target at fork, commands are matched at exec, exits are recorded; and each of the
 * three is an event if requested. Separate, because following processes is needed with every choice of file hooks.
 */
#include "event.h"
#include "lib/ancestry.bpf.h"
#include "lib/compat.bpf.h"
#include "lib/descriptor.bpf.h"
#include "lib/emit.bpf.h"
#include "lib/find_file.bpf.h"
#include "lib/kernel.h"
#include "lib/membership.bpf.h"
#include "lib/pending_event.bpf.h"
#include "lib/name.bpf.h"
#include "lib/path_rules.bpf.h"
#include "lib/opening.bpf.h" /* its maps: all objects share those of this one */
#include "lib/state.bpf.h"
#include "lib/target.bpf.h"
#include "lib/task.bpf.h"
#include "lib/uapi.h"

/* Only processes count as live; a thread inherits everything from its process. */
static __always_inline void inherit(struct task_state *parent, struct task_struct *child, bool thread)
{
	__u32 target = parent->target & (TARGET_PID | TARGET_COMM | TARGET_LIVE | TARGET_HELD);
	struct globals *g = globals();
	struct task_state *s;

	if (!thread && !config.follow)
		target &= ~(TARGET_PID | TARGET_LIVE);
	s = target ? new_state(child) : state_of(child);
	if (!s)
		return;
	s->target = target;
	s->forker = parent->task;
	s->forker_pid = thread ? parent->forker_pid : bpf_get_current_pid_tgid() >> 32;
	if (!g)
		return;
	if (thread)
		__sync_fetch_and_add(&g->threads, 1);
	else if (target & TARGET_LIVE)
		__sync_fetch_and_add(&g->live, 1);
}

static __always_inline int on_fork(struct task_struct *task, struct task_struct *child)
{
	struct task_state *s = state_of(task);
	bool thread = task_field(child, tgid) == task_field(task, tgid);
	struct call found = call_of(call_number(task));
	__u16 call = found.kind != KIND_FORK ? 0 : thread ? found.other : found.call;

	forget_state(child);
	set_membership(child);
	if (s) {
		s->held = 0; /* the child may share its descriptors */
		inherit(s, child, thread);
	}
	if (!thread)
		follow_fork(task, child);
	if (!call || config.failed || config.paths & 1)
		return 0;
	s = current_target(task);
	if (!s)
		return 0;
	emit(new_pending_event(s, thread ? OP_THREAD : OP_FORK, call, task_field(child, pid)), task, s);
	return 0;
}

/* A task moves to another cgroup. */
SEC("tp_btf/cgroup_attach_task")
int ft_task_moved(__u64 *ctx)
{
	count_move(0);
	return 0;
}

/* All threads of a process move, or one thread; each is looked at. Forks of the process wait meanwhile (cgroup_attach_lock()). */
SEC("tp_btf/cgroup_attach_task")
int ft_member_moved(__u64 *ctx)
{
	struct task_struct *task;
	struct bpf_iter_task it;

	bpf_iter_task_new(&it, (struct task_struct *)ctx[2], BPF_TASK_ITER_PROC_THREADS);
	while ((task = bpf_iter_task_next(&it)))
		set_membership(task);
	bpf_iter_task_destroy(&it);
	return 0;
}

SEC("tracepoint")
int ft_classic_move(void *ctx)
{
	count_move(0);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int ft_process_fork(__u64 *ctx)
{
	return on_fork(current_task(), (struct task_struct *)ctx[1]);
}

SEC("tracepoint")
int ft_classic_fork(struct trace_event_raw_sched_process_fork *ctx)
{
	struct task_struct *child = bpf_task_from_pid(ctx->child_pid);

	if (child) {
		on_fork(current_task(), child);
		bpf_task_release(child);
	}
	return 0;
}

/* A script by a name in the kernel's memory: return its id, marked as matching; nothing if no rule can match it. */
static __always_inline struct found script_named(struct task_state *s, const char *name, int directory)
{
	struct text *t = text();
	long length;

	if (!t)
		return (struct found){};
	length = bpf_probe_read_kernel_str(t->requested.name, COMPONENT_SPACE, name);
	find_origin(&t->origin, s, t->requested.name[0] == '/', directory, 0);
	if (!may_be_wanted(t, t->origin.start, length))
		return (struct found){};
	return (struct found){ define_name(name, &t->origin, DEFINITION_ONCE, NAME_KERNEL), WANTED };
}

/* Find execveat's directory, and the name after the "/dev/fd/N" that the kernel has made of it (alloc_bprm, fs/exec.c). */
static __always_inline struct found script_at(struct task_struct *task, struct linux_binprm *bprm, struct task_state *s)
{
	struct file *file = file_at(fd_address(task, s->exec_fd));
	const char *name = bprm->fdpath + sizeof("/dev/fd/") - 1;
	char first = 0;

	for (__u32 rest = s->exec_fd, i = 0; i < 10; i++, rest /= 10) {
		if (i && !rest)
			break;
		name++;
	}
	if (!file)
		return script_named(s, bprm->filename, AT_FDCWD);
	bpf_probe_read_kernel(&first, 1, name);
	if (first)
		return script_named(s, name + 1, s->exec_fd);
	return find_file((__u64)BPF_CORE_READ(file, f_path.dentry), (__u64)BPF_CORE_READ(file, f_path.mnt), NEED_TYPE);
}

/* Return its id, and whether it matches. A script's own file is gone by now: the requested name is used, and user space filters names. */
static __always_inline struct found executed_file(struct task_struct *task, struct linux_binprm *bprm, struct task_state *s)
{
	struct file *file = bprm->file;

	if (bprm->interp == bprm->filename)
		return find_file((__u64)BPF_CORE_READ(file, f_path.dentry), (__u64)BPF_CORE_READ(file, f_path.mnt), NEED_TYPE);
	if (bprm->fdpath && s->exec_nr)
		return script_at(task, bprm, s);
	return script_named(s, bprm->filename, AT_FDCWD);
}

/* The task is defined again, and becomes a target if its new name is one. Doing this twice for an exec has no further effect. */
static __always_inline void begin_image(struct task_struct *task)
{
	struct task_state *s = state_of(task);
	struct globals *g = globals();

	if (config.comms && comm_matches((const __u64[]){ comm_word(task, 0), comm_word(task, 1) })) {
		if (!s)
			s = new_state(task);
		if (s)
			s->target |= TARGET_COMM;
		if (g)
			__sync_fetch_and_add(&g->named, 1);
	}
	if (s) {
		if (g && s->target & TARGET_HELD)
			__sync_fetch_and_add(&g->executed, 1);
		s->target &= ~TARGET_HELD;
		s->held = 0;
		if (s->task)
			retire(s->task);
		s->forker = s->forker ?: s->task;
		s->task = 0;
	}
}

static __always_inline int on_exec(struct linux_binprm *bprm)
{
	struct task_struct *task = current_task();
	struct task_state *s;
	struct call call;
	struct pending_event *d;
	struct found found;

	begin_image(task);
	s = current_target(task);
	if (!s)
		return 0;
	call = s->exec_nr ? call_of(s->exec_nr) : call_of(call_number(task));
	if (call.kind != KIND_EXEC || !call.call || call.flags & CALL_DROP || config.failed)
		return 0;
	d = new_pending_event(s, OP_EXEC, call.call, 0);
	if (too_quick(d))
		return 0;
	found = executed_file(task, bprm, s);
	s->exec_nr = 0;
	d->file = found.id;
	if (is_wanted_file(found))
		emit(d, task, s);
	return 0;
}

/* The record of the classic tracepoint has no file. So where this program may be preempted, it keeps its CPU: a task scheduled
 * meanwhile would find the per-CPU data in use. */
SEC("tp_btf/sched_process_exec")
int ft_process_exec(__u64 *ctx)
{
	int result;

	if (PREEMPTS_TRACEPOINTS)
		hold_cpu();
	result = on_exec((struct linux_binprm *)ctx[2]);
	if (PREEMPTS_TRACEPOINTS)
		let_cpu_go();
	return result;
}

/* Attached before it there, because it may be skipped: then the exec is not reported, but everything that the new image does is. */
SEC("tracepoint")
int ft_classic_exec(void *ctx)
{
	begin_image(current_task());
	return 0;
}

static __always_inline __s64 exit_status(struct task_struct *task)
{
	bool group = task_field(task, signal, flags) & SIGNAL_GROUP_EXIT;
	__u32 code = group ? task_field(task, signal, group_exit_code) : task_field(task, exit_code);

	return code & 0x7f ? 128 + (code & 0x7f) : (code >> 8) & 0xff;
}

/* Processes whose last threads ended at the same time: by pid and start time, once. */
struct end_key {
	__u64 start;
	__u64 pid;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct end_key);
	__type(value, __u32);
} ft_ends SEC(".maps");

/* Returns true if the process ends with this thread. Each thread decrements the count before any of them runs this, so that two may see
 * zero (do_exit, kernel/exit.c). */
static __always_inline bool ends_process(struct task_struct *task)
{
	struct end_key key = { .start = task_field(task, group_leader, start_boottime), .pid = task_field(task, tgid) };
	__u32 one = 1;

	if (task_field(task, signal, live.counter))
		return false;
	return task_field(task, signal, nr_threads) <= 1 || !bpf_map_update_elem(&ft_ends, &key, &one, BPF_NOEXIST);
}

/* The leader's state is deleted with the last of its threads: until then io_uring's own threads may inherit that it is a target. */
static __always_inline void forget_ended(struct task_struct *task, bool last)
{
	if (task_field(task, pid) != task_field(task, tgid))
		forget_state(task);
	if (last)
		forget_state(leader_of(task));
}

static __always_inline void end_task(struct task_state *s, bool last)
{
	struct globals *g = globals();

	if (s->task)
		retire(s->task);
	s->task = 0;
	if (last && g && s->target & TARGET_LIVE)
		__sync_fetch_and_add(&g->live, -1);
	if (last) {
		s->target = 0;
		s->in_cgroup = 0;
	}
}

/* The last thread reports the end of the process, whichever thread that is. */
static __always_inline int on_exit(void)
{
	struct task_struct *task = current_task();
	bool last = ends_process(task);
	struct task_state *s;

	/* A worker of io_uring is none any more once it has begun to end (io_worker_exit, io_uring/io-wq.c). */
	if (last && !state_of(task))
		inherit_target(task);
	if (last && config.exit_call && !config.failed && !(config.paths & 1)) {
		s = current_target(task);
		if (s) {
			s->entered = 0;
			emit(new_pending_event(s, OP_EXIT, config.exit_call, exit_status(task)), task, s);
		}
	}
	s = state_of(task);
	if (s)
		end_task(s, last);
	forget_ended(task, last);
	if (last)
		forget_process(task);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int ft_process_exit(__u64 *ctx)
{
	return on_exit();
}

SEC("tracepoint")
int ft_classic_end(void *ctx)
{
	return on_exit();
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
