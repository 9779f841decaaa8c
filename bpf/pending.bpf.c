// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Pending calls: for each thread that is a target, the call that it has begun and not returned from, and its files.
 *
 * Separate, because an iterator runs on request, and any probe may preempt it: this object has its own per-CPU data (scratch,
 * counters). Names are in the memory of another process, which it cannot read. User space: pending.py.
 */
#include "event.h"
#include "lib/compat.bpf.h"
#include "lib/kernel.h"
#include "lib/list_call.bpf.h"
#include "lib/list_request.bpf.h"
#include "lib/listing.bpf.h"
#include "lib/pid.bpf.h"
#include "lib/state.bpf.h"
#include "lib/uapi.h"

SEC("iter/task")
int ft_list_calls(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct pending_call *p = pending_call();
	struct task_state *s;

	if (!task || !p || task->exit_state || task->flags & PF_KTHREAD)
		return 0;
	s = state_of(task);
	if (!is_target(task, s))
		return 0;
	if (find_call(task, s))
		bpf_seq_write(ctx->meta->seq, p, sizeof(*p));
	if (s && config.level == LEVEL_VFS)
		list_pending_hooks(ctx, task, s);
	return 0;
}

/* User space has read the list of requests from the tables. An iterator over the tables would not need that, but not every machine
 * allows one. */
SEC("iter/task")
int ft_list_reqs(struct bpf_iter__task *ctx)
{
	if (ctx->task && !ctx->meta->seq_num)
		answer_one_each(MAX_ASKED, 0, MAX_ASKED);
	return 0;
}

SEC("iter/task")
int ft_list_living(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct living found = {};

	if (!task || task->pid != task->tgid || !task->signal->live.counter)
		return 0;
	found.start = task->start_boottime;
	found.pid = task->tgid;
	found.number = number_here(BPF_CORE_READ(task, thread_pid));
	bpf_seq_write(ctx->meta->seq, &found, sizeof(found));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
