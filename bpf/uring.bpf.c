// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * File operations through io_uring: the submission is brought into the registers of the system call that it is like,
 * and drafted as that call when it completes. Apart, because a request outlives the call that brought it, and may
 * complete in another thread. Next: lib/draft.bpf.h; user space: probes/uring.py.
 */
#include "lib/draft.bpf.h"
#include "lib/target.bpf.h"

#define MAX_REQUESTS (16 << 10)
#define SQE_SIZE 64
#define RING_RENAMEAT 35

/* A request that has been submitted. */
struct request {
	__u64 arguments[6];
	__u64 entered;
	__u32 task; /* id of the submitter's definition */
	__u32 tid;
	__u32 tgid;
	__u32 nr; /* MAX_NR + opcode */
	__u32 file; /* found at the submission: a name's id, or a descriptor's file */
	__u32 target;
	__u32 open;
	__u32 wanted; /* WANTED_* of a descriptor's file */
	__u32 generation;
	__u32 flags; /* EVENT_*, of the size */
	__s32 fd; /* that an empty name means */
	__u8 fixed; /* the descriptor is a place in the ring's own table */
	__u8 slot; /* an open's result goes there */
	__u8 resolved;
	__u8 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_REQUESTS);
	__type(key, __u64);
	__type(value, struct request);
} requests SEC(".maps");

/* The registers of the like system call, a state to draft in, and the request being written: one of each per CPU. */
struct workspace {
	char registers[256]; /* struct pt_regs */
	struct task_state state;
	struct request request;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct workspace);
} workspaces SEC(".maps");

static __always_inline struct workspace *workspace(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&workspaces, &zero);
}

#define set_register(w, name, value) (*(__u64 *)((w)->registers + bpf_core_field_offset(struct pt_regs, name)) = (value))

static __always_inline const struct pt_regs *fill_registers(struct workspace *w, const struct request *r)
{
	set_register(w, di, r->arguments[0]);
	set_register(w, si, r->arguments[1]);
	set_register(w, dx, r->arguments[2]);
	set_register(w, r10, r->arguments[3]);
	set_register(w, r8, r->arguments[4]);
	set_register(w, r9, r->arguments[5]);
	set_register(w, orig_ax, r->nr);
	return (const struct pt_regs *)w->registers;
}

static __always_inline __u64 field_of(const struct io_uring_sqe *sqe, __u32 number)
{
	switch (number) {
	case 1:
		return (__s64)sqe->fd;
	case 2:
		return sqe->off;
	case 3:
		return sqe->addr;
	case 4:
		return sqe->len;
	case 5:
		return sqe->op_flags;
	case 6:
		return (__s64)sqe->splice_fd_in;
	case 7:
		return sqe->addr3;
	}
	return 0;
}

static __always_inline struct task_state *submitter(struct task_struct *task)
{
	adopt_worker(task);
	return is_bystander(task) ? NULL : current_member(task);
}

/* The submission that the kernel has just taken from the ring (io_get_sqe, io_uring/io_uring.c). */
static __always_inline const void *taken_sqe(struct io_kiocb *req)
{
	struct io_ring_ctx *ring = BPF_CORE_READ(req, ctx);
	__u32 flags = BPF_CORE_READ(ring, flags), head = (BPF_CORE_READ(ring, cached_sq_head) - 1) & (BPF_CORE_READ(ring, sq_entries) - 1);
	__u32 *array = BPF_CORE_READ(ring, sq_array);

	if (array && !(flags & IORING_SETUP_NO_SQARRAY))
		bpf_probe_read_kernel(&head, sizeof(head), array + head);
	if (flags & IORING_SETUP_SQE128)
		head <<= 1;
	return BPF_CORE_READ(ring, sq_sqes) + (__u64)head * SQE_SIZE;
}

static __always_inline bool is_vectored(__u8 opcode)
{
	return opcode == 1 || opcode == 2 || opcode == 60 || opcode == 61;
}

/* The request in the workspace; false: not asked for. */
static __noinline bool note_request(struct task_state *s, const void *address)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct workspace *w = workspace();
	struct io_uring_sqe sqe = {};
	struct request *r;
	struct call call;
	__u32 recipe;

	if (!w || bpf_probe_read_kernel(&sqe, sizeof(sqe), address))
		return false;
	r = &w->request;
	__builtin_memset(r, 0, sizeof(*r));
	r->nr = MAX_NR + (sqe.opcode & (MAX_OPCODES - 1));
	call = call_of(r->nr);
	if (call.kind == KIND_NONE || call.flags & CALL_DROP)
		return false;
	recipe = shape_of(r->nr).recipe;
	for (int i = 0; i < 6; i++)
		r->arguments[i] = field_of(&sqe, recipe >> 4 * i & 15);
	if (is_vectored(sqe.opcode))
		r->arguments[2] = iovec_sum(sqe.addr, sqe.len, &r->flags);
	r->entered = config.latency ? bpf_ktime_get_boot_ns() : 0;
	r->task = s->task;
	r->tid = task->pid;
	r->tgid = task->tgid;
	r->fd = -1;
	r->fixed = sqe.flags & IOSQE_FIXED_FILE;
	r->slot = call.kind == KIND_OPEN && sqe.splice_fd_in;
	w->state.resolved = 0;
	fill_registers(w, r);
	return true;
}

/* What a descriptor means now. */
static __noinline int note_descriptor(__u32 fd, __u32 nr)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct workspace *w = workspace();
	struct task_state *s;
	struct request *r;

	if (!w)
		return 0;
	r = &w->request;
	s = &w->state;
	resolve_enter(task, s, fd, nr, false);
	r->resolved = 1;
	r->file = s->file;
	r->open = s->open;
	r->wanted = s->wanted;
	r->generation = s->generation;
	return 0;
}

static __always_inline void note_names(struct workspace *w, const struct shape *shape)
{
	const struct pt_regs *regs = (const struct pt_regs *)w->registers;
	struct request *r = &w->request;

	new_draft(&w->state, 0, 0, 0);
	if (shape->to_name)
		name_target(regs, &w->state);
	r->wanted = name_subject(regs, &w->state) ? WANTED : 0;
	r->file = w->state.draft.file;
	r->target = shape->to_name ? w->state.draft.target : 0;
	r->fd = w->state.draft.fd;
}

/* The file that the request has been given, or the one that its descriptor meant when it was submitted. */
static __noinline int recall_subject(struct file *file, long result)
{
	struct workspace *w = workspace();
	struct task_state *s;
	struct request *r;
	struct call call;
	int owed;

	if (!w || (!file && !w->request.resolved))
		return 0;
	r = &w->request;
	s = &w->state;
	call = call_of(r->nr);
	owed = owed_by(&call);
	remember(s, r->nr);
	if (!file) {
		s->file = r->file;
		s->wanted = r->wanted;
		s->open = r->open;
		s->generation = r->generation;
		return 0;
	}
	if (!type_passes(file, owed, false))
		return 0;
	resolve(s, file, owed, false);
	s->file = s->last.id;
	s->wanted = s->last.wanted;
	s->generation = s->last.generation;
	s->open = open_number((__u64)file);
	s->position = BPF_CORE_READ(file, f_pos) - (result > 0 ? result : 0);
	if (!seekable(BPF_CORE_READ(file, f_inode, i_mode)))
		s->flags = EVENT_NO_OFFSET;
	return 0;
}

/* An open whose result is no descriptor of this task's. */
static __always_inline bool opened_elsewhere(const struct request *r, __u8 kind, long result)
{
	return kind == KIND_OPEN && result >= 0 && (r->slot || r->tgid != (__u32)(bpf_get_current_pid_tgid() >> 32));
}

/* The event of the request in the workspace; 'file': the one it has been given, if any. */
static __noinline int report_request(__u64 file, long result)
{
	struct workspace *w = workspace();
	const struct pt_regs *regs;
	struct task_state *s;
	struct request *r;
	enum outcome outcome;
	struct shape shape;
	struct call call;

	if (!w)
		return 0;
	s = &w->state;
	r = &w->request;
	regs = fill_registers(w, r);
	call = call_of(r->nr);
	shape = shape_of(r->nr);
	s->task = r->task;
	s->entered = r->entered;
	s->resolved = 0;
	if (shape.fd && call.kind != KIND_TRANSFER)
		recall_subject((struct file *)file, result);
	if (r->fixed)
		set_register(w, di, -1);
	outcome = begin_draft(regs, s, opened_elsewhere(r, call.kind, result) ? -1 : result);
	if (outcome == DRAFT_RARE)
		outcome = draft_rare(regs, s, result, call.kind);
	if (outcome == EMIT_NOT || (outcome == EMIT_NAME && !r->wanted))
		return 0;
	if (outcome == EMIT_NAME) {
		s->draft.file = r->file;
		s->draft.target = r->target;
		s->draft.fd = r->fd;
	}
	s->draft.result = result;
	s->draft.flags |= r->flags;
	hand_over(&s->draft, r->tid, s);
	return 0;
}

/* What will be told no more, should it succeed: all but the result. */
static __noinline int report_submission(void)
{
	struct workspace *w = workspace();
	const struct pt_regs *regs;
	struct shape shape;
	struct request *r;
	struct call call;
	struct draft *d;

	if (!w || !w->request.wanted)
		return 0;
	r = &w->request;
	regs = (const struct pt_regs *)w->registers;
	call = call_of(r->nr);
	shape = shape_of(r->nr);
	d = new_draft(&w->state, call.op, call.call, 0);
	d->fd = r->resolved && !r->fixed ? (__s32)r->arguments[0] : r->fd;
	d->open = r->open;
	d->file = r->file;
	d->offset = argument(regs, shape.offset);
	d->size = argument(regs, shape.size);
	if (shape.argument || shape.to_name) {
		add_more(d);
		d->target = r->target;
		d->argument = argument(regs, shape.argument);
	}
	d->flags = r->flags | EVENT_NO_RESULT;
	w->state.task = r->task;
	hand_over(d, r->tid, &w->state);
	return 0;
}

static __always_inline int submit(struct io_kiocb *req, const void *sqe)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct workspace *w = workspace();
	struct task_state *s = submitter(task);
	struct counters *c = counters();
	__u64 key = (__u64)req;
	bool full = false;
	struct shape shape;
	__u8 flags = 0;

	if (!s || !w)
		return 0;
	check_task(task, s);
	if (!note_request(s, sqe))
		return 0;
	shape = shape_of(w->request.nr);
	if (shape.name)
		note_names(w, &shape);
	else if (shape.fd && !w->request.fixed && call_of(w->request.nr).kind != KIND_TRANSFER)
		note_descriptor(w->request.arguments[0], w->request.nr);
	if (bpf_map_update_elem(&requests, &key, &w->request, BPF_ANY) && c) {
		c->requests_full++;
		full = true;
	}
	bpf_probe_read_kernel(&flags, sizeof(flags), sqe + __builtin_offsetof(struct io_uring_sqe, flags));
	if ((full || flags & IOSQE_CQE_SKIP_SUCCESS) && !config.failed && !config.min_latency)
		report_submission();
	return 0;
}

static __always_inline int complete(struct io_kiocb *req, long result, __u32 flags)
{
	__u64 key = (__u64)req;
	struct request *r = bpf_map_lookup_elem(&requests, &key);
	struct workspace *w = workspace();
	struct globals *g = globals();

	if (key && BPF_CORE_READ(req, opcode) == RING_RENAMEAT)
		note_move(result);
	if (!r || !w || !g)
		return 0;
	w->request = *r;
	if (!(flags & IORING_CQE_F_MORE))
		bpf_map_delete_elem(&requests, &key);
	if (!g->stopped && !(config.failed && result >= 0))
		report_request((__u64)BPF_CORE_READ(req, file), result);
	return 0;
}

SEC("tp_btf/io_uring_submit_req")
int submit_req(__u64 *ctx)
{
	struct io_kiocb *req = (struct io_kiocb *)ctx[0];

	return submit(req, taken_sqe(req));
}

/* Its name before v6.4. */
SEC("tp_btf/io_uring_submit_sqe")
int submit_sqe(__u64 *ctx)
{
	struct io_kiocb *req = (struct io_kiocb *)ctx[0];

	return submit(req, taken_sqe(req));
}

/* A submission that was refused at once; it completes with an error all the same. */
SEC("tp_btf/io_uring_req_failed")
int submit_failed(__u64 *ctx)
{
	return submit((struct io_kiocb *)ctx[1], (const void *)ctx[0]);
}

SEC("tp_btf/io_uring_complete")
int complete_cqe(__u64 *ctx)
{
	struct io_uring_cqe *cqe = (struct io_uring_cqe *)ctx[2];
	struct io_uring_cqe copy = {};

	bpf_probe_read_kernel(&copy, sizeof(copy), cqe);
	return complete((struct io_kiocb *)ctx[1], copy.res, copy.flags);
}

/* With the result as a value, before the completion itself was passed (v6.10). */
SEC("tp_btf/io_uring_complete")
int complete_values(__u64 *ctx)
{
	return complete((struct io_kiocb *)ctx[1], (__s32)ctx[3], ctx[4]);
}

/* The completion queue has no room, and its tracepoint does not say which request it is about (io_uring/io_uring.c). */
SEC("tp_btf/io_uring_cqe_overflow")
int completion_overflow(__u64 *ctx)
{
	struct counters *c = counters();

	if (c && submitter(bpf_get_current_task_btf()))
		c->completions_full++;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
