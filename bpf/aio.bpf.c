// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Linux AIO: requests as io_submit(2) takes them, told with their results once those stand in the ring of completions
 * that is mapped in the process, or once io_getevents(2) hands them out. Apart, because a request outlives the call that
 * brought it, and its table of calls is by command.
 */
#include "event.h"
#include "lib/argument.bpf.h"
#include "lib/compat.bpf.h"
#include "lib/define.bpf.h"
#include "lib/descriptor.bpf.h"
#include "lib/emit.bpf.h"
#include "lib/kernel.h"
#include "lib/making.bpf.h"
#include "lib/opening.bpf.h"
#include "lib/request.bpf.h"
#include "lib/state.bpf.h"
#include "lib/subject.bpf.h"
#include "lib/target.bpf.h"
#include "lib/task.bpf.h"

#define MAX_RINGS 4096

AIO_TABLE;

/* How far each ring has been read. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_RINGS);
	__type(key, struct aio_place);
	__type(value, __u32);
} ft_rings SEC(".maps");

/* What is being read or written: too large for the stack. */
struct workspace {
	struct iocb iocb;
	struct io_event event;
	struct aio_request request;
	__u64 began; /* the reading of the ring did */
	__u32 nr; /* of completions that fit the ring */
};

PER_CPU(workspace, struct workspace, ft_workspaces)

static __always_inline struct aio_place place_at(__u64 address)
{
	struct task_struct *leader = load(current_task(), group_leader);

	return (struct aio_place){ address, load(leader, start_boottime), load(leader, tgid), load(leader, self_exec_id) };
}

static __always_inline bool moves_bytes(const struct draft *d)
{
	return d->op == OP_READ || d->op == OP_WRITE;
}

static __always_inline bool request_appends(struct file *file, const struct iocb *iocb)
{
	if (iocb->aio_rw_flags & (RWF_APPEND | RWF_NOAPPEND))
		return iocb->aio_rw_flags & RWF_APPEND;
	return BPF_CORE_READ(file, f_flags) & O_APPEND;
}

/* state->draft of the request in the workspace; false: not asked for. */
static __noinline bool draft_request(struct task_state *state)
{
	struct task_struct *task = current_task();
	struct workspace *w = workspace();
	struct file *file;
	struct draft *d;
	struct call call;
	__u64 address;
	bool wanted;

	if (!w)
		return false;
	call = call_of(w->iocb.aio_lio_opcode);
	d = new_draft(state, call.op, call.call, 0);
	d->time = bpf_ktime_get_boot_ns(); /* requests at one address are told apart by it */
	if (!call.call)
		return false;
	d->fd = w->iocb.aio_fildes;
	d->offset = w->iocb.aio_offset;
	d->size = call.flags & CALL_VECTORED ? iovec_sum(w->iocb.aio_buf, w->iocb.aio_nbytes, &d->flags) : w->iocb.aio_nbytes;
	w->request.changes = changes_of(task, d->fd);
	w->request.appends = 0;
	address = fd_address(task, d->fd);
	file = file_at(address);
	if (!file || !moves_bytes(d) || !seekable(BPF_CORE_READ(file, f_inode, i_mode)))
		d->flags |= EVENT_NO_OFFSET;
	else if (d->op == OP_WRITE)
		w->request.appends = request_appends(file, &w->iocb);
	if (!file || !type_passes(file, OWED_TYPE))
		return false;
	resolve(state, file, OWED_TYPE);
	wanted = is_owed(state->last.wanted, OWED_TYPE);
	give_file(d, state->last.id, wanted, opening_of(state, address));
	return wanted;
}

/* Where an append began is known by its end alone (pwrite(2), BUGS). */
static __always_inline void place_append(struct task_struct *task, struct draft *d)
{
	__u64 address = fd_address(task, d->fd);
	struct file *file = file_at(address);

	d->flags |= EVENT_UNCERTAIN;
	if (file && d->open == known_opening(address))
		d->offset = BPF_CORE_READ(file, f_inode, i_size) - d->bytes;
}

/* The file of a request whose id user space has given up meanwhile. */
static __always_inline void identify(struct task_state *s, const struct aio_request *r)
{
	s->last = (struct file_cache){ .key.inode = r->inode, .key.generation = r->inode_generation };
	s->draft.file = 0;
	s->draft.undefined = 1;
}

/* The event of the request in the workspace. */
static __noinline int tell(struct task_state *s, long result, bool known)
{
	struct task_struct *task = current_task();
	__u32 own = s->task;
	struct workspace *w = workspace();
	struct globals *g = globals();
	struct draft *d = &s->draft;
	struct aio_request *r;

	if (!w || !g)
		return 0;
	r = &w->request;
	*d = r->draft;
	d->time = bpf_ktime_get_boot_ns();
	if (!known || r->again) {
		d->flags |= EVENT_NO_RESULT;
		d->entered = 0;
		result = 0;
	}
	if (too_quick(d) || (config.failed && result >= 0))
		return 0;
	d->result = result;
	d->bytes = moves_bytes(d) && result > 0 ? result : 0;
	if (r->appends)
		place_append(task, d);
	if (descriptors_shared(task) && may_have_changed(task, d->fd, r->changes))
		d->flags |= EVENT_UNCERTAIN;
	if (d->file && r->generation != (__u32)g->generation)
		identify(s, r);
	s->task = r->task;
	hand_over(d, r->tid, s);
	s->task = own;
	return 0;
}

/* The request at a place in the process comes into the workspace, and into nobody else's. */
static __always_inline bool take(struct workspace *w, const struct aio_place *place)
{
	struct aio_request *r = bpf_map_lookup_elem(&ft_under_way, place);

	if (!r)
		return false;
	w->request = *r;
	return !bpf_map_delete_elem(&ft_under_way, place);
}

/* state->draft as the request in the workspace. */
static __always_inline void fill_request(struct aio_request *r, struct task_struct *task, struct task_state *s, bool again)
{
	struct globals *g = globals();

	r->draft = s->draft;
	r->draft.entered = config.latency ? s->submitted : 0;
	r->inode = s->last.key.inode;
	r->inode_generation = s->last.key.generation;
	r->generation = g ? g->generation : 0;
	r->task = s->task;
	r->tid = of_task(task, pid);
	r->again = again;
}

/* The address of a request of the array at 'list', and the request in the workspace; 0: it cannot be read. */
static __always_inline __u64 read_request(struct workspace *w, __u64 list, __u64 index)
{
	__u64 address = 0;

	if (bpf_probe_read_user(&address, sizeof(address), (void *)(list + index * sizeof(address))))
		return 0;
	return bpf_probe_read_user(&w->iocb, sizeof(w->iocb), (void *)address) ? 0 : address;
}

/* Is the request at a place another one of this very call? */
static __always_inline bool is_twice(const struct aio_place *place, const struct task_state *s, __u32 tid)
{
	struct aio_request *r = bpf_map_lookup_elem(&ft_under_way, place);

	return r && r->tid == tid && s->submitted && r->draft.time >= s->submitted;
}

/* One request of an io_submit, before the kernel has taken it or after. Where another is under way at the same address, the
 * program has seen the end of that one, and nobody else has; but for one of the same call, whose end comes. */
static __always_inline int note(__u64 list, __u32 index, bool taken)
{
	struct task_struct *task = current_task();
	struct task_state *s = state_of(task);
	struct workspace *w = workspace();
	struct counters *c = counters();
	struct aio_place place;
	bool again;

	if (!s || !w)
		return 1;
	place = place_at(read_request(w, list, index));
	if (!place.address || (!taken && is_twice(&place, s, of_task(task, pid))))
		return 1;
	s->noted = index + 1;
	again = take(w, &place);
	if (again)
		tell(s, 0, false);
	if (!draft_request(s))
		return 0;
	fill_request(&w->request, task, s, again);
	if (bpf_map_update_elem(&ft_under_way, &place, &w->request, BPF_ANY)) {
		if (c)
			c->requests_full++;
		tell(s, 0, false);
	}
	return 0;
}

__noinline int note_one(__u64 list, __u32 index)
{
	return note(list, index, false);
}

__noinline int note_taken(__u64 list, __u32 index)
{
	return note(list, index, true);
}

REPEATED(note_one)
REPEATED(note_taken)

/* A completion in the ring. A request that was noted since the reading began is a later one. */
__noinline int complete_one(__u64 events, __u32 index)
{
	struct task_state *s = state_of(current_task());
	struct workspace *w = workspace();
	struct aio_request *r;
	struct aio_place place;
	__u64 address;

	if (!s || !w)
		return 1;
	address = events + (index < w->nr ? index : index - w->nr) * sizeof(struct io_event);
	if (bpf_probe_read_user(&w->event, sizeof(w->event), (void *)address))
		return 0;
	place = place_at(w->event.obj);
	r = bpf_map_lookup_elem(&ft_under_way, &place);
	if (r && r->draft.time <= w->began && take(w, &place))
		tell(s, w->event.res, true);
	return 0;
}

REPEATED(complete_one)

/* All that has completed since the ring was last read. Before its first use in the kernel it need not be in memory. */
static __noinline int read_ring(__u64 context)
{
	struct aio_place place = place_at(context);
	struct workspace *w = workspace();
	struct aio_ring ring = {};
	__u32 *known, from = 0;

	if (!w)
		return 0;
	w->began = bpf_ktime_get_boot_ns();
	if (bpf_probe_read_user(&ring, sizeof(ring), (void *)context)) {
		bpf_map_update_elem(&ft_rings, &place, &from, BPF_ANY);
		return 0;
	}
	if (ring.magic != AIO_RING_MAGIC || ring.incompat_features || ring.tail >= ring.nr)
		return 0;
	known = bpf_map_lookup_elem(&ft_rings, &place);
	from = known ? *known : ring.head;
	bpf_map_update_elem(&ft_rings, &place, &ring.tail, BPF_ANY);
	w->nr = ring.nr;
	complete_one_each(context + ring.header_length, from, ring.tail >= from ? ring.tail - from : ring.tail + ring.nr - from);
	return 0;
}

/* A request that was noted and not taken, from the last. */
__noinline int forget_one(__u64 list, __u32 index)
{
	struct task_struct *task = current_task();
	struct task_state *s = state_of(task);
	struct workspace *w = workspace();
	struct aio_place place;
	struct aio_request *r;

	if (!s || !w || index >= s->noted)
		return 1;
	place = place_at(read_request(w, list, s->noted - 1 - index));
	r = bpf_map_lookup_elem(&ft_under_way, &place);
	if (r && r->tid == (__u32)of_task(task, pid))
		bpf_map_delete_elem(&ft_under_way, &place);
	return 0;
}

REPEATED(forget_one)

/* The first request of a call that has failed: the others' errors nobody is told. */
static __noinline int refused(struct task_state *s, __u64 list, long result)
{
	struct task_struct *task = current_task();
	struct workspace *w = workspace();

	if (!w || !read_request(w, list, 0))
		return 0;
	if (!draft_request(s) && (s->draft.open || !s->draft.call || !wanted_without_file()))
		return 0;
	fill_request(&w->request, task, s, false);
	return tell(s, result, true);
}

/* A target's state. */
static __always_inline struct task_state *submitter(struct task_struct *task)
{
	return is_bystander(task) ? NULL : current_member(task);
}

/* Requests are noted before the kernel takes them: another thread may see one complete before this call returns. */
static __always_inline int on_submit_enter(const struct pt_regs *regs)
{
	struct task_struct *task = current_task();
	struct task_state *s = submitter(task);

	if (!s)
		return 0;
	s->noted = 0;
	s->submitted = bpf_ktime_get_boot_ns();
	check_task(task, s);
	read_ring(regs->di);
	note_one_each(regs->dx, 0, regs->si);
	return 0;
}

/* What was not in memory at the enter the kernel has read by now. */
static __always_inline int on_submit_exit(const struct pt_regs *regs)
{
	struct task_struct *task = current_task();
	struct task_state *s = submitter(task);
	__s64 result = regs->ax;
	__u64 taken = result > 0 ? result : 0, list = regs->dx;

	if (!s)
		return 0;
	check_task(task, s);
	if (taken > s->noted)
		note_taken_each(list, s->noted, taken - s->noted);
	read_ring(regs->di);
	if (result < 0)
		refused(s, list, result);
	if (taken < s->noted)
		forget_one_each(list, 0, s->noted - taken);
	s->noted = 0;
	s->submitted = 0;
	return 0;
}

/* One completion that was handed out. */
__noinline int reap_one(__u64 events, __u32 index)
{
	struct task_state *s = state_of(current_task());
	__u64 address = events + index * sizeof(struct io_event);
	struct workspace *w = workspace();
	struct aio_place place;

	if (!s || !w || bpf_probe_read_user(&w->event, sizeof(w->event), (void *)address))
		return 1;
	place = place_at(w->event.obj);
	if (take(w, &place))
		tell(s, w->event.res, true);
	return 0;
}

REPEATED(reap_one)

/* Of io_getevents and io_pgetevents. */
static __always_inline int on_getevents_exit(const struct pt_regs *regs)
{
	struct task_struct *task = current_task();
	struct task_state *s = submitter(task);
	__u64 events = regs->r10;
	__s64 result = regs->ax;

	if (!s || result <= 0)
		return 0;
	check_task(task, s);
	reap_one_each(events, 0, result);
	return 0;
}

/* The last look at completions that the program takes from the ring itself. */
static __always_inline int on_destroy_enter(const struct pt_regs *regs)
{
	struct task_struct *task = current_task();
	struct task_state *s = submitter(task);

	if (!s)
		return 0;
	check_task(task, s);
	return read_ring(regs->di);
}

/* Once by their own tracepoints, and once handed on by those of all calls where these are attached anyway. */
SEC("tracepoint")
int ft_aio_submit(void *ctx)
{
	return on_submit_enter(registers());
}

SEC("tracepoint")
int ft_aio_taken(void *ctx)
{
	return on_submit_exit(registers());
}

SEC("tracepoint")
int ft_aio_reap(void *ctx)
{
	return on_getevents_exit(registers());
}

SEC("tracepoint")
int ft_aio_destroy(void *ctx)
{
	return on_destroy_enter(registers());
}

SEC("tp_btf/sys_enter")
int ft_raw_submit(__u64 *ctx)
{
	return on_submit_enter((const struct pt_regs *)ctx[0]);
}

SEC("tp_btf/sys_exit")
int ft_raw_taken(__u64 *ctx)
{
	return on_submit_exit((const struct pt_regs *)ctx[0]);
}

SEC("tp_btf/sys_exit")
int ft_raw_reap(__u64 *ctx)
{
	return on_getevents_exit((const struct pt_regs *)ctx[0]);
}

SEC("tp_btf/sys_enter")
int ft_raw_destroy(__u64 *ctx)
{
	return on_destroy_enter((const struct pt_regs *)ctx[0]);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
