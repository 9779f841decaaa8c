// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * File operations seen at the system call boundary: arguments and result at sys_exit, and at sys_enter only what the
 * exit has lost (close's file, the start of the call, a descriptor that another thread may change meanwhile).
 * Apart, because it is the one hook set that every kernel has. Next: process.bpf.c; user space: probes/syscalls.py.
 */
#include "lib/emit.bpf.h"
#include "lib/target.bpf.h"
#include "lib/descriptor.bpf.h"

/* What becomes of a draft. */
enum outcome { EMIT_NOT, EMIT, EMIT_NAME };

struct exit_context {
	struct task_struct *task;
	struct task_state *state;
	const struct pt_regs *regs;
	long result;
};

static __always_inline __u32 open_number(__u64 file)
{
	return ((__u32)(file >> 6) * config.scramble) | 1;
}

static long add_iovec(__u32 index, void *context);

struct iovecs {
	__u64 base;
	__u64 sum;
	__u32 left;
	__u32 failed;
};

static long add_iovec(__u32 index, void *context)
{
	struct iovecs *v = context;
	__u64 iovec[2];

	if (index >= v->left)
		return 1;
	if (bpf_probe_read_user(iovec, sizeof(iovec), (void *)(v->base + index * sizeof(iovec)))) {
		v->failed = 1;
		return 1;
	}
	v->sum += iovec[1];
	return 0;
}

static __noinline __u64 iovec_sum(__u64 base, __u32 count, __u32 *flags)
{
	struct iovecs v = { .base = base, .left = count };

	bpf_loop(1024, add_iovec, &v, 0);
	if (v.failed || count > 1024)
		*flags |= EVENT_NO_SIZE;
	return v.sum;
}

static __always_inline bool seekable(__u32 mode)
{
	mode &= S_IFMT;
	return mode == S_IFREG || mode == S_IFBLK || mode == S_IFDIR;
}

static __always_inline bool appends(struct file *file, const struct call *call, const struct pt_regs *regs, const bool direct)
{
	if (call->flags & CALL_RWF && regs->r9 & (RWF_APPEND | RWF_NOAPPEND))
		return regs->r9 & RWF_APPEND;
	return get(file, f_flags) & O_APPEND;
}

/* Is the offset an argument? preadv2's -1 means the file's own position. */
static __always_inline bool positional(const struct call *call, const struct pt_regs *regs)
{
	return call->flags & CALL_POSITIONAL && !(call->flags & CALL_RWF && regs->r10 == (__u64)-1);
}

/* A descriptor that is none has no type: such a failure counts when every type and every file does. */
#define ALL_TYPES (1u << 8 | 1u << 4 | 1u << 1 | 1u << 12 | 1u << 2 | 1u << 6 | 1u << 10 | 1u)

static __always_inline bool wanted_without_file(long result)
{
	return result == -EBADF && (config.types & ALL_TYPES) == ALL_TYPES && !(config.paths & 1);
}

/* s->last, s->file, s->open: the descriptor's file, from the enter where that was owed, else from now.
 * Returns the file as it is now, or NULL. */
static __always_inline struct file *resolve_exit(const struct exit_context *x, __u32 fd, struct draft *d, bool *wanted, const bool direct)
{
	struct task_state *s = x->state;
	struct globals *g = globals();
	__u64 address = fd_address(x->task, fd, direct);
	struct file *file = address ? file_at(address, direct) : NULL;

	if (unlikely(wanted_without_file(x->result))) {
		d->flags |= EVENT_NO_OFFSET;
		*wanted = true;
		return NULL;
	}
	if (s->resolved == (__u16)(x->regs->orig_ax + 1)) {
		d->open = s->open;
		d->flags |= s->flags;
		*wanted = s->wanted;
		d->undefined = s->wanted && (!s->file || !g || s->generation != (__u32)g->generation);
		d->file = d->undefined ? 0 : s->file;
		/* Its own change is no doubt: the file of a close or a dup2 is the one it began with. */
		if (descriptors_shared(x->task) && s->changing != change_place(x->task, fd) + 1 &&
		    may_have_changed(x->task, fd, s->changes))
			d->flags |= EVENT_UNCERTAIN;
		return file;
	}
	if (!file || !(config.types & 1u << ((get(file, f_inode, i_mode) & S_IFMT) >> 12)))
		return NULL;
	resolve(s, file, direct);
	d->file = s->last.id;
	d->open = open_number(address);
	d->undefined = s->last.wanted && !s->last.id;
	*wanted = s->last.wanted;
	if (descriptors_shared(x->task))
		d->flags |= EVENT_UNCERTAIN;
	return file;
}

static __always_inline bool transfer(const struct exit_context *x, const struct call *call, struct draft *d, const bool direct)
{
	struct task_state *s = x->state;
	bool wanted = false, at_enter;
	struct file *file;

	d->fd = x->regs->di;
	at_enter = s->resolved == (__u16)(x->regs->orig_ax + 1);
	file = resolve_exit(x, d->fd, d, &wanted, direct);
	if (!wanted)
		return false;
	d->bytes = x->result > 0 ? x->result : 0;
	d->size = call->flags & CALL_VECTORED ? iovec_sum(x->regs->si, x->regs->dx, &d->flags) : x->regs->dx;
	if (d->flags & EVENT_NO_OFFSET || (!at_enter && (!file || !seekable(get(file, f_inode, i_mode))))) {
		d->flags |= EVENT_NO_OFFSET;
		return true;
	}
	if (positional(call, x->regs)) {
		d->offset = x->regs->r10;
		if (file && call->kind == KIND_WRITE && appends(file, call, x->regs, direct)) {
			/* pwrite(2), BUGS: O_APPEND wins over the offset. Others may have grown the file since. */
			d->offset = get(file, f_inode, i_size) - d->bytes;
			d->flags |= EVENT_UNCERTAIN;
		}
		return true;
	}
	if (file)
		d->offset = get(file, f_pos) - d->bytes;
	else
		d->offset = s->position;
	/* Where the two disagree, the one at the exit is right more often: threads queue for the position in between. */
	if (at_enter ? !file || s->position != d->offset : !file || file_shared(file, direct))
		d->flags |= EVENT_UNCERTAIN;
	return true;
}

static __always_inline void open_arguments(const struct pt_regs *regs, const struct call *call, struct draft *d)
{
	if (call->flags & CALL_HOW) {
		__u64 how[2] = {};

		bpf_probe_read_user(how, sizeof(how), (void *)regs->dx);
		d->offset = how[0];
		d->size = how[1];
	} else if (call->flags & CALL_CREAT) {
		d->offset = O_CREAT | O_WRONLY | O_TRUNC;
		d->size = (__u32)regs->si;
	} else if (call->flags & CALL_AT) {
		d->offset = (__u32)regs->dx;
		d->size = (__u32)regs->r10;
	} else {
		d->offset = (__u32)regs->si;
		d->size = (__u32)regs->dx;
	}
}

/* A name that led to no open file: its bytes, and the directory they start from. */
static __noinline __u32 asked_name(const struct pt_regs *regs)
{
	struct task_struct *task = bpf_get_current_task_btf();
	bool at = call_of(regs->orig_ax).flags & CALL_AT;
	const char *name = (const char *)(at ? regs->si : regs->di);
	struct fs_struct *fs = task->fs;
	struct file *file = NULL;

	if (!fs)
		return 0;
	if (at && (int)regs->di != AT_FDCWD)
		file = file_at(fd_address(task, regs->di, false), false);
	return define_name(name, file ? &file->f_path : &fs->pwd, &fs->root, true);
}

static __always_inline enum outcome opened(const struct exit_context *x, const struct call *call, struct draft *d, const bool direct)
{
	const struct pt_regs *regs = x->regs;
	bool wanted = false;

	open_arguments(regs, call, d);
	if (x->result >= 0) {
		d->fd = x->result;
		x->state->resolved = 0;
		return resolve_exit(x, d->fd, d, &wanted, direct) && wanted;
	}
	return EMIT_NAME;
}

static __always_inline bool closed(const struct exit_context *x, struct draft *d, const bool direct)
{
	bool wanted = false;

	d->fd = x->regs->di;
	if (x->state->resolved)
		resolve_exit(x, d->fd, d, &wanted, direct);
	return wanted;
}

static __always_inline bool duplicated(const struct exit_context *x, const struct call *call, struct draft *d, const bool direct)
{
	bool wanted = false;

	d->fd = x->regs->di;
	if (call->kind == KIND_FCNTL && x->regs->si != F_DUPFD && x->regs->si != F_DUPFD_CLOEXEC)
		return false;
	resolve_exit(x, d->fd, d, &wanted, direct);
	return wanted;
}

static __always_inline enum outcome draft(const struct exit_context *x, const struct call *call, struct draft *d, const bool direct)
{
	switch (call->kind) {
	case KIND_READ:
	case KIND_WRITE:
		return transfer(x, call, d, direct);
	case KIND_OPEN:
		return opened(x, call, d, direct);
	case KIND_CLOSE:
		return closed(x, d, direct);
	case KIND_DUP:
	case KIND_FCNTL:
		return duplicated(x, call, d, direct);
	case KIND_EXEC:
		x->state->exec_nr = 0;
		if (x->result >= 0)
			return EMIT_NOT; /* process.bpf.c saw it */
		return EMIT_NAME;
	}
	return EMIT_NOT;
}

static __always_inline bool is_compat(struct task_struct *task)
{
	return task->thread_info.status & TS_COMPAT;
}

/* A rename or a mount, whoever made it: what is cached of paths must be looked at again. */
static __always_inline void note_move(long result)
{
	struct globals *g = globals();

	if (g && result >= 0)
		__sync_fetch_and_add(&g->epoch, 1);
}

/* Fills state->draft. Names and tasks are defined after this has returned: each would need its own half of the stack. */
static __noinline enum outcome draft_exit(const struct pt_regs *regs, struct task_state *state, long result)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct exit_context x = { .task = task, .state = state, .regs = regs, .result = result };
	const struct call call = call_of(regs->orig_ax);
	enum outcome outcome = EMIT_NOT;
	struct draft *d;

	d = new_draft(state, call.op, call.call, result);
	if (!too_quick(d))
		outcome = config.direct ? draft(&x, &call, d, true) : draft(&x, &call, d, false);
	state->resolved = 0;
	return outcome;
}

/* The end of a call that changed a descriptor of threads, asked for or not. */
static __always_inline void settle_change(struct task_struct *task)
{
	struct task_state *s = descriptors_shared(task) ? current_member(task) : NULL;

	if (s && s->changing)
		end_change(s);
}

/* A 32-bit call: its number and registers mean other things, so it is counted and not read. */
static __always_inline int count_compat(struct task_struct *task)
{
	struct counters *c = counters();

	if (c && current_member(task))
		c->compat++;
	return 0;
}

static __always_inline void report_exit(const struct pt_regs *regs, struct task_struct *task, long result)
{
	struct task_state *state = current_member(task);
	enum outcome outcome;

	if (!state)
		return;
	outcome = draft_exit(regs, state, result);
	if (outcome == EMIT_NAME)
		state->draft.file = asked_name(regs);
	if (outcome != EMIT_NOT)
		emit(&state->draft, task, state);
}

static __always_inline int on_exit(const struct pt_regs *regs, long result)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const struct call call = call_of(regs->orig_ax);

	if (unlikely(call.kind == KIND_MOVES))
		note_move(result);
	if (is_bystander(task))
		return 0;
	if (unlikely(is_compat(task)))
		return count_compat(task);
	if (call.kind == KIND_NONE)
		return 0;
	if (!(call.flags & CALL_DROP) && !(config.failed && result >= 0))
		report_exit(regs, task, result);
	if (call.kind == KIND_CLOSE || call.kind == KIND_DUP)
		settle_change(task);
	return 0;
}

/* What the exit will not find any more. */
static __always_inline void resolve_enter(struct task_struct *task, struct task_state *s, __u32 fd, __u64 nr, const bool direct)
{
	__u64 before = changes_of(task, fd), address = fd_address(task, fd, direct);
	struct file *file = address ? file_at(address, direct) : NULL;

	s->changes = before;
	s->resolved = nr + 1;
	s->flags = 0;
	s->file = 0;
	s->wanted = 0;
	if (!file || !(config.types & 1u << ((get(file, f_inode, i_mode) & S_IFMT) >> 12)))
		return;
	resolve(s, file, direct);
	s->file = s->last.id;
	s->wanted = s->last.wanted;
	s->generation = s->last.generation;
	s->open = open_number(address);
	s->position = get(file, f_pos);
	if (!seekable(get(file, f_inode, i_mode)))
		s->flags = EVENT_NO_OFFSET;
}

static __always_inline bool owed_at_enter(struct task_struct *task, const struct call *call)
{
	if (call->kind == KIND_OPEN || call->kind == KIND_MOVES)
		return false;
	if (call->kind == KIND_EXEC)
		return call->enter;
	return call->enter || descriptors_shared(task);
}

static __noinline int member_enter(const struct pt_regs *regs, __u64 nr)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const struct call call = call_of(nr);
	struct task_state *s;
	bool owed;

	owed = owed_at_enter(task, &call);
	if (!config.latency && !owed)
		return 0;
	s = current_member(task);
	if (!s || unlikely(is_compat(task)))
		return 0;
	s->resolved = 0;
	if (call.kind == KIND_EXEC) {
		s->exec_nr = nr;
		s->exec_fd = regs->di;
		owed = false;
	}
	if (owed && config.direct)
		resolve_enter(task, s, regs->di, nr, true);
	else if (owed)
		resolve_enter(task, s, regs->di, nr, false);
	if (config.latency)
		s->entered = bpf_ktime_get_boot_ns();
	return 0;
}

/* The start of a call that changes a descriptor of threads, asked for or not. */
static __always_inline void mark_change(struct task_struct *task, const struct pt_regs *regs, const struct call *call)
{
	struct task_state *s = descriptors_shared(task) ? current_member(task) : NULL;

	if (s)
		begin_change(task, s, changed_fd(regs, call));
}

static __always_inline int on_enter(const struct pt_regs *regs, __u64 nr)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const struct call call = call_of(nr);

	if (call.kind == KIND_NONE || is_bystander(task))
		return 0;
	if ((call.kind == KIND_CLOSE || call.kind == KIND_DUP) && !is_compat(task))
		mark_change(task, regs, &call);
	if (call.flags & CALL_DROP)
		return 0;
	return member_enter(regs, nr);
}

SEC("tp_btf/sys_enter")
int raw_enter(__u64 *ctx)
{
	return on_enter((const struct pt_regs *)ctx[0], ctx[1]);
}

SEC("tp_btf/sys_exit")
int raw_exit(__u64 *ctx)
{
	return on_exit((const struct pt_regs *)ctx[0], ctx[1]);
}

/* struct syscall_trace_enter and _exit, from kernel/trace/trace.h, behind struct trace_entry. */
struct classic_enter {
	__u64 entry;
	__s32 nr; /* padded with whatever was on the stack */
	__u64 args[6];
};

struct classic_exit {
	__u64 entry;
	__s32 nr; /* padded with whatever was on the stack */
	__s64 result;
};

SEC("tracepoint")
int classic_enter(struct classic_enter *ctx)
{
	return on_enter((const struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()), ctx->nr);
}

SEC("tracepoint")
int classic_exit(struct classic_exit *ctx)
{
	return on_exit((const struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()), ctx->result);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
