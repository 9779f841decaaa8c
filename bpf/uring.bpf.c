// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * File operations through io_uring: the submission is brought into the registers of the system call that it is like,
 * and drafted as that call when it completes. Apart, because a request outlives the call that brought it, and may
 * complete in another thread.
 */
#include "event.h"
#include "lib/argument.bpf.h"
#include "lib/compat.bpf.h"
#include "lib/define.bpf.h"
#include "lib/descriptor.bpf.h"
#include "lib/draft.bpf.h"
#include "lib/emit.bpf.h"
#include "lib/kernel.h"
#include "lib/making.bpf.h"
#include "lib/numbers.h"
#include "lib/opening.bpf.h"
#include "lib/request.bpf.h"
#include "lib/state.bpf.h"
#include "lib/subject.bpf.h"
#include "lib/target.bpf.h"
#include "lib/task.bpf.h"

#define SQE_SIZE 64

RING_TABLES;

/* The registers of the like system call, a state to draft in, and the request being written or read: one of each per CPU. */
struct workspace {
	char registers[256]; /* struct pt_regs */
	struct task_state state;
	struct ring_request request;
	struct io_uring_sqe sqe; /* here for the sake of the stack */
	__u64 fields[8]; /* of a submission */
	__u64 key;
};

PER_CPU(workspace, struct workspace, ft_workspaces)

static __always_inline struct ring_slot *slot_of_request(__u64 key)
{
	__u32 place = slot_number(key);

	return bpf_map_lookup_elem(&ft_slots, &place);
}

/* Who finds the count at one after adding to it has the slot; of two that meet, both give way. An exchange would be
 * simpler, but the instruction set of 5.10 (-mcpu=v2) has none. */
static __always_inline bool claim(struct ring_slot *slot)
{
	__sync_fetch_and_add(&slot->claims, 1);
	if (slot->claims == 1)
		return true;
	__sync_fetch_and_add(&slot->claims, -1);
	return false;
}

/* The workspace's request, until it completes; false: there is no room. */
static __always_inline bool keep_request(struct workspace *w, __u64 key)
{
	struct ring_slot *slot = slot_of_request(key);

	if (!slot || (slot->key != key && !claim(slot)))
		return !bpf_map_update_elem(&ft_requests, &key, &w->request, BPF_ANY);
	slot->key = key;
	slot->request = w->request;
	return true;
}

/* Into the workspace; false: it is not known. */
static __always_inline bool find_request(struct workspace *w, __u64 key)
{
	struct ring_slot *slot = slot_of_request(key);
	struct ring_request *r;

	if (slot && slot->key == key) {
		w->request = slot->request;
		return true;
	}
	r = bpf_map_lookup_elem(&ft_requests, &key);
	if (r)
		w->request = *r;
	return r;
}

static __always_inline void forget_request(__u64 key)
{
	struct ring_slot *slot = slot_of_request(key);

	if (!slot || slot->key != key) {
		bpf_map_delete_elem(&ft_requests, &key);
		return;
	}
	slot->key = 0;
	__sync_fetch_and_add(&slot->claims, -1);
}

/* A request of somebody who is not traced may lie where one did that never completed. */
static __always_inline void forget_stranger(__u64 key)
{
	struct ring_slot *slot = slot_of_request(key);

	if (slot && slot->key == key)
		forget_request(key);
}

#define set_register(w, name, value) (*(__u64 *)((w)->registers + bpf_core_field_offset(struct pt_regs, name)) = (value))

static __always_inline const struct pt_regs *fill_registers(struct workspace *w, const struct ring_request *r)
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

/* The current task's state, if its requests count. One of them may close what it has open. */
static __always_inline struct task_state *submitter(struct task_struct *task)
{
	struct task_state *s;

	adopt_worker(task);
	s = is_bystander(task) ? NULL : current_member(task);
	if (s)
		s->held = 0;
	return s;
}

/* The submission that the kernel has just taken from the ring (io_get_sqe, io_uring/io_uring.c). */
static __always_inline __u64 taken_sqe(struct io_kiocb *req)
{
	struct io_ring_ctx *ring = req->ctx;
	__u32 flags = ring->flags, head = (ring->cached_sq_head - 1) & (ring->sq_entries - 1);
	__u64 array = (__u64)load(ring, sq_array);

	/* Its numbers are of four bytes; behind the last of them there may be no more memory. */
	if (array && !(flags & IORING_SETUP_NO_SQARRAY))
		head = word_at((void *)(array + head / 2 * 8)) >> head % 2 * 32;
	if (flags & IORING_SETUP_SQE128)
		head <<= 1;
	return (__u64)load(ring, sq_sqes) + (__u64)head * SQE_SIZE;
}

static __always_inline bool copy_sqe(struct io_uring_sqe *sqe, __u64 address)
{
	__u64 *words = (__u64 *)sqe;

	if (!HAS_CAST)
		return !bpf_probe_read_kernel(sqe, sizeof(*sqe), (void *)address);
	for (int i = 0; i < SQE_SIZE / 8; i++)
		words[i] = word_at((void *)(address + 8 * i));
	return true;
}

static __always_inline bool is_vectored(__u8 opcode)
{
	return opcode == RING_READV || opcode == RING_WRITEV || opcode == RING_READV_FIXED || opcode == RING_WRITEV_FIXED;
}

/* In the order of probes/syscalls.py FIELDS. */
static __always_inline void fill_arguments(struct workspace *w, const struct io_uring_sqe *sqe, __u32 recipe)
{
	w->fields[1] = (__s64)sqe->fd;
	w->fields[2] = sqe->off;
	w->fields[3] = sqe->addr;
	w->fields[4] = sqe->len;
	w->fields[5] = sqe->op_flags;
	w->fields[6] = (__s64)sqe->splice_fd_in;
	w->fields[7] = sqe->addr3;
	for (int i = 0; i < 6; i++)
		w->request.arguments[i] = w->fields[recipe >> 4 * i & 7];
}

/* Like new_id(). */
static __always_inline __u64 new_request(void)
{
	struct counters *c = counters();

	if (!c)
		return 0;
	c->next_request += config.ncpu;
	return c->next_request + bpf_get_smp_processor_id();
}

static __always_inline void fill_request(struct workspace *w, struct task_state *s, const struct io_uring_sqe *sqe, __u32 nr)
{
	struct task_struct *task = current_task();
	struct ring_request *r = &w->request;

	__builtin_memset(r, 0, sizeof(*r));
	fill_arguments(w, sqe, shape_of(nr).recipe);
	if (is_vectored(sqe->opcode))
		r->arguments[2] = iovec_sum(sqe->addr, sqe->len, &r->flags);
	r->entered = config.latency ? bpf_ktime_get_boot_ns() : 0;
	r->task = s->task;
	r->tid = of_task(task, pid);
	r->tgid = of_task(task, tgid);
	r->nr = nr;
	r->fd = -1;
	r->fixed = sqe->flags & IOSQE_FIXED_FILE;
	r->number = new_request();
	r->slot = call_of(nr).kind == KIND_OPEN && sqe->splice_fd_in;
	w->state.resolved = 0;
	w->state.held = 0; /* it serves all tasks */
}

/* What a descriptor means now. */
static __noinline int note_descriptor(void)
{
	struct task_struct *task = current_task();
	struct workspace *w = workspace();
	struct task_state *s;
	struct ring_request *r;

	if (!w)
		return 0;
	s = &w->state;
	r = &w->request;
	resolve_enter(task, s, r->arguments[0], r->nr);
	r->resolved = 1;
	r->file = s->file;
	r->open = s->open;
	r->wanted = s->wanted;
	r->generation = s->generation;
	return 0;
}

static __always_inline void note_names(struct workspace *w, const struct shape *shape)
{
	const struct pt_regs *regs = fill_registers(w, &w->request);
	struct ring_request *r = &w->request;

	new_draft(&w->state, 0, 0, 0);
	r->wanted = name_asked(regs, &w->state) ? WANTED : 0;
	r->file = w->state.draft.file;
	r->target = shape->to_name ? w->state.draft.target : 0;
	r->fd = w->state.draft.fd;
	r->flags |= w->state.draft.flags & EVENT_LATER;
}

static __always_inline void recall_file(struct task_state *s, __u64 address, int owed, long result)
{
	struct file *file = file_at(address);

	if (!type_passes(file, owed))
		return;
	resolve(s, file, owed);
	s->file = s->last.id;
	s->wanted = s->last.wanted;
	s->generation = s->last.generation;
	s->open = opening_of(s, address);
	s->position = get(file, f_pos) - (result > 0 ? result : 0);
	if (!seekable(get(file, f_inode, i_mode)))
		s->flags = EVENT_NO_OFFSET;
}

/* The file that the request has been given, or the one that its descriptor meant when it was submitted. */
static __noinline int recall_subject(__u64 file, long result)
{
	struct workspace *w = workspace();
	struct task_state *s;
	struct ring_request *r;
	struct call call;
	int owed;

	if (!w || (!file && !w->request.resolved))
		return 0;
	s = &w->state;
	r = &w->request;
	remember(s, r->nr);
	s->changes = changes_of(current_task(), r->arguments[0]); /* its file is known: no change puts it in doubt */
	if (!file) {
		__builtin_memset(&s->last.key, 0, sizeof(s->last.key)); /* nobody's, should the id be void by now */
		s->file = r->file;
		s->wanted = r->wanted;
		s->open = r->open;
		s->generation = r->generation;
		return 0;
	}
	call = call_of(r->nr);
	owed = owed_by(&call);
	recall_file(s, file, owed, result);
	return 0;
}

/* An open whose result is no descriptor of this task's. */
static __always_inline bool opened_elsewhere(const struct ring_request *r, __u8 kind, long result)
{
	return kind == KIND_OPEN && result >= 0 && (r->slot || r->tgid != (__u32)(bpf_get_current_pid_tgid() >> 32));
}

/* The event of the request in the workspace; 'file': the one it has been given, if any. */
static __noinline int report_request(__u64 file, long result)
{
	struct workspace *w = workspace();
	const struct pt_regs *regs;
	struct task_state *s;
	struct ring_request *r;
	enum outcome outcome;
	struct shape shape;
	struct call call;
	bool elsewhere;

	if (!w)
		return 0;
	s = &w->state;
	r = &w->request;
	call = call_of(r->nr);
	shape = shape_of(r->nr);
	regs = fill_registers(w, r);
	s->task = r->task;
	s->entered = r->entered;
	s->resolved = 0;
	if (shape.fd && call.kind != KIND_TRANSFER)
		recall_subject(file, result);
	if (r->fixed)
		set_register(w, di, -1);
	elsewhere = opened_elsewhere(r, call.kind, result);
	if (call.op == OP_OPEN && result >= 0 && !elsewhere)
		begin_opening(fd_address(current_task(), result));
	outcome = begin_draft(regs, s, elsewhere ? -1 : result);
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
	struct ring_request *r;
	struct call call;
	struct draft *d;

	if (!w || !w->request.wanted)
		return 0;
	r = &w->request;
	call = call_of(r->nr);
	shape = shape_of(r->nr);
	regs = fill_registers(w, r);
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

/* A request that is asked for: kept, or told at once when its completion will not be seen. */
static __always_inline void note_request(struct workspace *w, struct task_state *s, __u64 key, const struct io_uring_sqe *sqe, __u32 nr)
{
	const struct shape shape = shape_of(nr);
	struct counters *c = counters();
	bool kept;

	fill_request(w, s, sqe, nr);
	if (shape.name)
		note_names(w, &shape);
	else if (shape.fd && !w->request.fixed && call_of(nr).kind != KIND_TRANSFER)
		note_descriptor();
	w->request.told = !!(sqe->flags & IOSQE_CQE_SKIP_SUCCESS);
	kept = keep_request(w, key);
	if (!kept && c)
		c->requests_full++;
	if ((!kept || sqe->flags & IOSQE_CQE_SKIP_SUCCESS) && !config.failed && !config.min_latency)
		report_submission();
}

/* 'address': the submission's; 0: the one just taken. */
static __always_inline int submit(struct io_kiocb *req, __u64 address)
{
	struct task_struct *task = current_task();
	struct task_state *s = submitter(task);
	struct workspace *w = workspace();
	struct call call;
	__u64 key;
	__u32 nr;

	if (!w)
		return 0;
	w->key = (__u64)req;
	barrier(); /* read back from the map it is a plain number, to be hashed */
	key = w->key;
	if (!s) {
		forget_stranger(key);
		return 0;
	}
	if (!copy_sqe(&w->sqe, address ? address : taken_sqe(req)))
		return 0;
	nr = MAX_NR + (w->sqe.opcode & (MAX_OPCODES - 1));
	call = call_of(nr);
	if (call.kind == KIND_NONE || call.flags & CALL_DROP) {
		forget_request(key);
		return 0;
	}
	check_task(task, s);
	note_request(w, s, key, &w->sqe, nr);
	return 0;
}

/* Of a removal the completion does not say whether it was a directory's. Where all names of a file matter, links do, too. */
static __always_inline bool changes_paths(__u8 opcode)
{
	if (opcode == RING_LINKAT)
		return config.members || config.moved;
	return opcode == RING_RENAMEAT || opcode == RING_UNLINKAT;
}

static __always_inline int complete(struct io_kiocb *req, __u64 key, __u64 file, long result, __u32 flags)
{
	struct workspace *w = workspace();
	struct globals *g = globals();

	if (key && changes_paths(get(req, opcode)))
		note_move(result);
	else if (key && get(req, opcode) == RING_SYMLINKAT)
		note_symlink(result);
	if (!w || !g || !find_request(w, key))
		return 0;
	if (!(flags & IORING_CQE_F_MORE))
		forget_request(key);
	if (!g->stopped && !(config.failed && result >= 0))
		report_request(file, result);
	return 0;
}

static __always_inline int completed(__u64 key, long result, __u32 flags)
{
	struct io_kiocb *req = (struct io_kiocb *)key;
	__u64 file = (__u64)load(req, file);

	return complete(HAS_CAST ? as(struct io_kiocb, key) : req, key, file, result, flags);
}

SEC("tp_btf/io_uring_submit_req")
int ft_submit_req(__u64 *ctx)
{
	return submit((struct io_kiocb *)ctx[0], 0);
}

/* Its name before v6.4. */
SEC("tp_btf/io_uring_submit_sqe")
int ft_submit_sqe(__u64 *ctx)
{
	return submit((struct io_kiocb *)ctx[0], 0);
}

/* A submission that was refused at once; it completes with an error all the same. */
SEC("tp_btf/io_uring_req_failed")
int ft_submit_fail(__u64 *ctx)
{
	return submit((struct io_kiocb *)ctx[1], ctx[0]);
}

SEC("tp_btf/io_uring_complete")
int ft_complete_cqe(__u64 *ctx)
{
	struct io_uring_cqe *cqe = (struct io_uring_cqe *)ctx[2];

	return completed(ctx[1], cqe->res, cqe->flags);
}

/* With the result as a value, before the completion itself was passed (v6.10). */
SEC("tp_btf/io_uring_complete")
int ft_complete_val(__u64 *ctx)
{
	return completed(ctx[1], (__s32)ctx[3], ctx[4]);
}

/* The same by classic tracepoints, for kernels that preempt the programs of raw ones. */
SEC("tracepoint")
int ft_classic_req(struct trace_event_raw_io_uring_submit_req *ctx)
{
	return submit(as(struct io_kiocb, (__u64)ctx->req), 0);
}

SEC("tracepoint")
int ft_classic_fail(struct trace_event_raw_io_uring_req_failed *ctx)
{
	return submit(as(struct io_kiocb, (__u64)ctx->req), 0);
}

SEC("tracepoint")
int ft_classic_cqe(struct trace_event_raw_io_uring_complete *ctx)
{
	return completed((__u64)ctx->req, ctx->res, ctx->cflags);
}

/* The completion queue has no room, and its tracepoint does not say which request it is about (io_uring/io_uring.c). */
static __always_inline int overflow(void)
{
	struct counters *c = counters();

	if (c && submitter(current_task()))
		c->completions_full++;
	return 0;
}

SEC("tp_btf/io_uring_cqe_overflow")
int ft_cqe_overflow(__u64 *ctx)
{
	return overflow();
}

SEC("tracepoint")
int ft_classic_over(void *ctx)
{
	return overflow();
}

/* For kernels whose completions name no request: once somebody has asked for a rename or a removal, any of them may be its. Before v5.12
 * (and in 5.10.y before it took v5.15's io_uring) the opcode was the second value, then the third. */
SEC("tp_btf/io_uring_submit_sqe")
int ft_rename_begun(__u64 *ctx)
{
	struct task_state *s = state_of(current_task());
	struct globals *g = globals();

	if (s)
		s->held = 0;
	if (g && (changes_paths(ctx[1]) || changes_paths(ctx[2])))
		__sync_fetch_and_add(&g->ring_renames, 1);
	return 0;
}

SEC("tp_btf/io_uring_complete")
int ft_rename_done(__u64 *ctx)
{
	struct globals *g = globals();

	if (g && g->ring_renames)
		note_move(0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
