// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * File operations through io_uring: requests from their submission to their completion. Separate, because a request outlives the
 * call that submitted it, and may complete in another thread.
 */
#include "event.h"
#include "lib/argument.bpf.h"
#include "lib/call_name.bpf.h"
#include "lib/compat.bpf.h"
#include "lib/emit.bpf.h"
#include "lib/kernel.h"
#include "lib/numbers.h"
#include "lib/ring_event.bpf.h"
#include "lib/ring_table.bpf.h"
#include "lib/state.bpf.h"
#include "lib/fd_file.bpf.h"
#include "lib/target.bpf.h"
#include "lib/task.bpf.h"
#include "lib/uapi.h"

#define SQE_SIZE 64

/* Return the current task's state, if its requests are traced. One of them may close an open file of the task. */
static __always_inline struct task_state *submitter(struct task_struct *task)
{
	struct task_state *s;

	inherit_worker_target(task);
	s = is_untraced(task) ? NULL : current_target(task);
	if (s)
		s->held = 0;
	return s;
}

/* The submission that the kernel has just taken from the ring (io_get_sqe, io_uring/io_uring.c). */
static __always_inline __u64 taken_sqe(struct io_kiocb *req)
{
	struct io_ring_ctx *ring = req->ctx;
	__u32 flags = ring->flags, head = (ring->cached_sq_head - 1) & (ring->sq_entries - 1);
	__u64 array = (__u64)read_word(ring, sq_array);

	/* Its numbers have four bytes; after the last of them the memory may end. */
	if (array && !(flags & IORING_SETUP_NO_SQARRAY))
		head = word_at((void *)(array + head / 2 * 8)) >> head % 2 * 32;
	if (flags & IORING_SETUP_SQE128)
		head <<= 1;
	return (__u64)read_word(ring, sq_sqes) + (__u64)head * SQE_SIZE;
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
	r->tid = task_field(task, pid);
	r->tgid = task_field(task, tgid);
	r->nr = nr;
	r->fd = -1;
	r->fixed = sqe->flags & IOSQE_FIXED_FILE;
	r->number = new_request();
	r->slot = call_of(nr).kind == KIND_OPEN && sqe->splice_fd_in;
	w->state.resolved = 0;
	w->state.held = 0; /* it is shared by all tasks */
}

/* Record the file to which a descriptor refers now. */
static __noinline int record_descriptor(void)
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

static __always_inline void record_names(struct workspace *w, const struct shape *shape)
{
	const struct pt_regs *regs = fill_registers(w, &w->request);
	struct ring_request *r = &w->request;

	new_pending_event(&w->state, 0, 0, 0);
	r->wanted = name_asked(regs, &w->state) ? WANTED : 0;
	r->file = w->state.pending_event.file;
	r->target = shape->to_name ? w->state.pending_event.target : 0;
	r->fd = w->state.pending_event.fd;
	r->flags |= w->state.pending_event.flags & EVENT_LATER;
}

/* Store a requested operation, or emit it at once if its completion will not be seen. */
static __always_inline void record_request(struct workspace *w, struct task_state *s, __u64 key, const struct io_uring_sqe *sqe, __u32 nr)
{
	const struct shape shape = shape_of(nr);
	struct counters *c = counters();
	bool kept;

	fill_request(w, s, sqe, nr);
	if (shape.name)
		record_names(w, &shape);
	else if (shape.fd && !w->request.fixed && call_of(nr).kind != KIND_TRANSFER)
		record_descriptor();
	w->request.reported = !!(sqe->flags & IOSQE_CQE_SKIP_SUCCESS);
	kept = keep_request(&w->request, key);
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
	barrier(); /* read back from the map it is a plain number, which can be hashed */
	key = w->key;
	if (!s) {
		forget_untraced_request(key);
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
	record_request(w, s, key, &w->sqe, nr);
	return 0;
}

/* The completion of a removal does not show whether it removed a directory. Where all names of a file matter, links do, too. */
static __always_inline bool changes_paths(__u8 opcode)
{
	if (opcode == RING_LINKAT)
		return config.track_hardlinks || config.follow_renames;
	return opcode == RING_RENAMEAT || opcode == RING_UNLINKAT;
}

static __always_inline int complete(struct io_kiocb *req, __u64 key, __u64 file, long result, __u32 flags)
{
	struct workspace *w = workspace();
	struct globals *g = globals();

	if (key && changes_paths(read_field(req, opcode)))
		count_move(result);
	else if (key && read_field(req, opcode) == RING_SYMLINKAT)
		count_symlink(result);
	if (!w || !g || !find_request(&w->request, key))
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
	__u64 file = (__u64)read_word(req, file);

	return complete(HAS_CAST ? cast_kernel(struct io_kiocb, key) : req, key, file, result, flags);
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
	return submit(cast_kernel(struct io_kiocb, (__u64)ctx->req), 0);
}

SEC("tracepoint")
int ft_classic_fail(struct trace_event_raw_io_uring_req_failed *ctx)
{
	return submit(cast_kernel(struct io_kiocb, (__u64)ctx->req), 0);
}

SEC("tracepoint")
int ft_classic_cqe(struct trace_event_raw_io_uring_complete *ctx)
{
	return completed((__u64)ctx->req, ctx->res, ctx->cflags);
}

/* The completion queue has no room, and its tracepoint does not show which request it belongs to (io_uring/io_uring.c). */
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

/* For kernels whose completions name no request: once a rename or a removal has been submitted, any of them may belong to it. Before
 * v5.12 (and in 5.10.y before it took v5.15's io_uring) the opcode was the second value, then the third. */
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
		count_move(0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
