// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * File operations traced at the system call boundary: arguments and result at sys_exit, and at sys_enter only what is gone at the
 * exit (close's file, the start of the call, a descriptor that another thread may change meanwhile).
 *
 * Separate, because it is the one hook set that every kernel has.
 */
#include "event.h"
#include "lib/argument.bpf.h"
#include "lib/call_name.bpf.h"
#include "lib/compat.bpf.h"
#include "lib/credentials.bpf.h"
#include "lib/descriptor.bpf.h"
#include "lib/call_event.bpf.h"
#include "lib/emit.bpf.h"
#include "lib/kernel.h"
#include "lib/pending_event.bpf.h"
#include "lib/mapping.bpf.h"
#include "lib/name.bpf.h"
#include "lib/numbers.h"
#include "lib/opening.bpf.h"
#include "lib/state.bpf.h"
#include "lib/fd_file.bpf.h"
#include "lib/target.bpf.h"
#include "lib/task.bpf.h"
#include "lib/uapi.h"

/* Programs of other objects for calls that they handle (KIND_SUBMIT); the table's 'call' is their index. */
#define MAX_HANDLERS 8

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, MAX_HANDLERS);
	__type(key, __u32);
	__type(value, __u32);
} ft_enter_progs SEC(".maps"), ft_exit_progs SEC(".maps");

/* Handle one descriptor of a close_range. Returns 1 after the last. */
__noinline int close_one(__u64 last, __u32 fd)
{
	struct task_struct *task = current_task();
	struct task_state *s = state_of(task);
	const struct call call = call_of(NR_CLOSE_RANGE);
	struct fdtable *fdt = task_field(task, files, fdt);
	struct file *file;
	struct pending_event *d;
	__u64 address;

	if (!s || fd > last || fd >= task_field(fdt, max_fds))
		return 1;
	address = fd_address(task, fd);
	file = file_at(address);
	if (!file || !resolve_mapped(s, file))
		return 0;
	d = new_pending_event(s, call.op, call.call, 0);
	d->fd = fd;
	give_file(d, s->last.id, true, opening_of(s, address));
	hand_over(d, task_field(task, pid), s);
	return 0;
}

REPEATED(close_one)

/* Returns true if a close_range will close files that match. Its failures can be predicted (close_range(2)). */
static __noinline bool begin_close_range(const struct pt_regs *regs)
{
	struct task_struct *task = current_task();
	struct task_state *s;

	if ((__u32)regs->di > (__u32)regs->si || regs->dx & ~CLOSE_RANGE_UNSHARE || config.failed || config.min_latency ||
	    !(s = current_target(task)))
		return false;
	s->resolved = 0;
	check_task(task, s);
	return true;
}

/* Emit one close for each open descriptor, before they are gone. */
static __always_inline int close_range(const struct pt_regs *regs)
{
	if (begin_close_range(regs))
		count_cut(close_one_each((__u32)regs->si, regs->di, 1ull << 32));
	return 0;
}

/* The end of a call that closed or replaced a descriptor, whether it matches or not. */
static __always_inline void settle_change(struct task_struct *task)
{
	struct task_state *s = state_of(task);

	if (!s)
		return;
	s->held = 0;
	if (s->changing)
		end_change(s);
}

/* unlinkat(2) removes files too, and no path leads through a file. */
static __always_inline bool changes_paths(const struct pt_regs *regs, const struct call *call)
{
	return call->flags & CALL_MOVES && (regs->orig_ax != NR_UNLINKAT || regs->dx & AT_REMOVEDIR);
}

/* A 32-bit call has other numbers and registers, so it is counted and not decoded. Changes of paths and of groups are still taken into
 * account. */
static __noinline int count_compat(struct task_struct *task, __u64 nr, long result)
{
	struct counters *c = counters();

	switch (nr) {
	case NR32_SETGROUPS:
	case NR32_SETGROUPS32:
		forget_groups(task);
		break;
	case NR32_LINK:
	case NR32_LINKAT:
		if (config.track_hardlinks || config.follow_renames)
			count_move(result);
		break;
	case NR32_SYMLINK:
	case NR32_SYMLINKAT:
		count_symlink(result);
		break;
	case NR32_MOUNT:
	case NR32_RENAME:
	case NR32_RMDIR:
	case NR32_UMOUNT2:
	case NR32_CHROOT:
	case NR32_PIVOT_ROOT:
	case NR32_UNLINKAT:
	case NR32_RENAMEAT:
	case NR32_UNSHARE:
	case NR32_SETNS:
	case NR32_RENAMEAT2:
	case NR32_MOVE_MOUNT:
		count_move(result);
	}
	if (c && !is_untraced(task) && current_target(task))
		c->compat++;
	return 0;
}

static __always_inline void report_exit(const struct pt_regs *regs, struct task_struct *task, long result)
{
	struct task_state *state;

	if (config.failed && config.level != LEVEL_AUTO && result >= 0)
		return;
	state = current_target(task);
	if (state && config.failed && result >= 0)
		state->pending_hook_count = 0;
	else if (state)
		report(regs, task, state, result);
}

/* Record an open, whether its event matches or not. */
static __always_inline void record_opening(struct task_struct *task, long fd)
{
	if (find_target(task))
		begin_opening(fd_address(task, fd));
}

/* Returns the index of the handler for the call; 0: none. So does on_enter(). */
static __always_inline int on_exit(const struct pt_regs *regs, long result)
{
	struct task_struct *task = current_task();
	const struct call call = call_of(regs->orig_ax);

	if (unlikely(is_compat(task)))
		return count_compat(task, regs->orig_ax, result);
	if (unlikely(changes_paths(regs, &call)))
		is_symlink(regs) ? count_symlink(result) : count_move(result);
	if (is_untraced(task) || call.kind == KIND_NONE)
		return 0;
	if (unlikely(call.kind == KIND_SUBMIT))
		return call.call;
	if (call.op == OP_OPEN && result >= 0)
		record_opening(task, result);
	if (unlikely(call.kind == KIND_GROUPS))
		forget_groups(task);
	if (!(call.flags & CALL_DROP))
		report_exit(regs, task, result);
	if (call.kind == KIND_CLOSE || call.kind == KIND_DUP || call.kind == KIND_CLOSE_RANGE)
		settle_change(task);
	return 0;
}

/* Returns true if the call's file must be found now. */
static __always_inline bool needed_at_enter(struct task_struct *task, const struct call *call)
{
	if (call->flags & CALL_ENTER)
		return true;
	if (call->kind == KIND_OPEN || call->kind == KIND_EXEC || call->kind == KIND_FORK || call->kind == KIND_MAPPED)
		return false;
	return descriptors_shared(task);
}

static __always_inline void look_ahead(struct task_struct *task, struct task_state *s, const struct pt_regs *regs, const struct call *call,
				       __u64 nr)
{
	const struct shape shape = shape_of(nr);

	if (call->kind == KIND_MAPPED)
		remember_mapping(s, regs->di, nr);
	else if (shape.name && call->flags & CALL_MOVES)
		keep_directories(s);
	else if (shape.fd)
		resolve_enter(task, s, argument(regs, shape.fd), nr);
}

static __noinline int target_enter(const struct pt_regs *regs, __u64 nr)
{
	struct task_struct *task = current_task();
	const struct call call = call_of(nr);
	struct task_state *s;
	bool need;

	need = needed_at_enter(task, &call);
	if (!config.latency && !need)
		return 0;
	s = current_target(task);
	if (!s)
		return 0;
	s->resolved = 0;
	s->kept = 0;
	if (call.kind == KIND_EXEC) {
		s->exec_nr = nr;
		s->exec_fd = regs->di;
	} else if (need) {
		look_ahead(task, s, regs, &call, nr);
	}
	if (config.latency)
		s->entered = bpf_ktime_get_boot_ns();
	return 0;
}

/* Mark the start of a call that changes a descriptor of threads, requested or not. */
static __always_inline void mark_change(struct task_struct *task, const struct pt_regs *regs, const struct call *call)
{
	struct task_state *s = descriptors_shared(task) ? current_target(task) : NULL;

	if (s)
		begin_change(task, s, changed_fd(regs, call));
}

static __always_inline int on_enter(const struct pt_regs *regs, __u64 nr)
{
	struct task_struct *task = current_task();
	const struct call call = call_of(nr);

	if (call.kind == KIND_NONE || is_untraced(task) || unlikely(is_compat(task)))
		return 0;
	if (call.kind == KIND_CLOSE || call.kind == KIND_DUP)
		mark_change(task, regs, &call);
	if (call.flags & CALL_DROP)
		return 0;
	if (unlikely(call.kind == KIND_SUBMIT))
		return call.call;
	if (unlikely(call.kind == KIND_CLOSE_RANGE))
		return close_range(regs);
	return target_enter(regs, nr);
}

SEC("tp_btf/sys_enter")
int ft_raw_enter(__u64 *ctx)
{
	__u32 handler = on_enter((const struct pt_regs *)ctx[0], ctx[1]);

	if (unlikely(handler))
		bpf_tail_call(ctx, &ft_enter_progs, handler);
	return 0;
}

SEC("tp_btf/sys_exit")
int ft_raw_exit(__u64 *ctx)
{
	__u32 handler = on_exit((const struct pt_regs *)ctx[0], ctx[1]);

	if (unlikely(handler))
		bpf_tail_call(ctx, &ft_exit_progs, handler);
	return 0;
}

/* For single calls: calls that other objects handle then have their own tracepoints. */
SEC("tracepoint")
int ft_call_enter(struct classic_enter *ctx)
{
	on_enter(registers(), ctx->nr);
	return 0;
}

SEC("tracepoint")
int ft_call_exit(struct classic_exit *ctx)
{
	on_exit(registers(), ctx->result);
	return 0;
}

/* For all calls, where the programs of raw tracepoints may be preempted. Separate from those of single calls, which are loaded together
 * with raw ones: a table of handlers is for programs of one type. */
SEC("tracepoint")
int ft_every_enter(struct classic_enter *ctx)
{
	__u32 handler = on_enter(registers(), ctx->nr);

	if (unlikely(handler))
		bpf_tail_call(ctx, &ft_enter_progs, handler);
	return 0;
}

SEC("tracepoint")
int ft_every_exit(struct classic_exit *ctx)
{
	__u32 handler = on_exit(registers(), ctx->result);

	if (unlikely(handler))
		bpf_tail_call(ctx, &ft_exit_progs, handler);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
