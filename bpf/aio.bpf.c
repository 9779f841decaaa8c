// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Linux AIO: requests as io_submit(2) takes them, told with their results once those stand in the ring of completions
 * that is mapped in the process, or once io_getevents(2) hands them out. Apart, because a request outlives the call that
 * brought it, and its table of calls is by command. Next: lib/subject.bpf.h; user space: probes/aio.py.
 */
#include "lib/subject.bpf.h"
#include "lib/target.bpf.h"

#define MAX_REQUESTS (16 << 10)
#define MAX_RINGS 4096
#define MAX_AT_ONCE (64 << 10)

/* In one process, by an address of its own: of a request or of a context. */
struct place {
	__u64 address;
	__u64 tgid;
};

/* A request under way: its event as it is to be, but for the result. */
struct request {
	struct draft draft;
	__u64 changes; /* changes_of() its descriptor */
	__u64 inode; /* of its file, should the id be given up meanwhile */
	__u32 inode_generation;
	__u32 generation; /* of the ids: globals.generation */
	__u32 task; /* id of the submitter's definition */
	__u32 tid;
	__u32 appends;
	__u32 again; /* noted while another was under way at its address: of two ends it is not known which is whose */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_REQUESTS);
	__type(key, struct place);
	__type(value, struct request);
} under_way SEC(".maps");

/* How far each ring has been read. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_RINGS);
	__type(key, struct place);
	__type(value, __u32);
} rings SEC(".maps");

/* The io_submit that a thread is in. */
struct submission {
	__u64 began;
	__u64 noted; /* of its requests, from the first */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct submission);
} submissions SEC(".maps");

/* What is being read or written: too large for the stack. */
struct workspace {
	struct iocb iocb;
	struct io_event event;
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

static __always_inline struct place place_at(__u64 address)
{
	return (struct place){ address, bpf_get_current_pid_tgid() >> 32 };
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
	struct task_struct *task = bpf_get_current_task_btf();
	struct workspace *w = workspace();
	struct file *file;
	struct draft *d;
	struct call call;
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
	file = file_at(fd_address(task, d->fd, false), false);
	if (!file || !moves_bytes(d) || !seekable(BPF_CORE_READ(file, f_inode, i_mode)))
		d->flags |= EVENT_NO_OFFSET;
	else if (d->op == OP_WRITE)
		w->request.appends = request_appends(file, &w->iocb);
	if (!file || !type_passes(file, OWED_TYPE, false))
		return false;
	resolve(state, file, OWED_TYPE, false);
	d->file = state->last.id;
	d->open = open_number((__u64)file);
	wanted = is_owed(state->last.wanted, OWED_TYPE);
	d->undefined = wanted && !d->file;
	return wanted;
}

/* Where an append began is known by its end alone (pwrite(2), BUGS). */
static __always_inline void place_append(struct task_struct *task, struct draft *d)
{
	struct file *file = file_at(fd_address(task, d->fd, false), false);

	d->flags |= EVENT_UNCERTAIN;
	if (file && d->open == open_number((__u64)file))
		d->offset = BPF_CORE_READ(file, f_inode, i_size) - d->bytes;
}

/* The file of a request whose id user space has given up meanwhile. */
static __always_inline void identify(struct task_state *s, const struct request *r)
{
	s->last = (struct file_cache){ .key.inode = r->inode, .key.generation = r->inode_generation };
	s->draft.file = 0;
	s->draft.undefined = 1;
}

/* The event of the request in the workspace. */
static __noinline int tell(struct task_state *s, long result, bool known)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 own = s->task;
	struct workspace *w = workspace();
	struct globals *g = globals();
	struct draft *d = &s->draft;
	struct request *r;

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
static __always_inline bool take(struct workspace *w, const struct place *place)
{
	struct request *r = bpf_map_lookup_elem(&under_way, place);

	if (!r)
		return false;
	w->request = *r;
	return !bpf_map_delete_elem(&under_way, place);
}

/* state->draft as the request in the workspace. */
static __always_inline void fill_request(struct request *r, struct task_struct *task, struct task_state *s, __u64 began, bool again)
{
	struct globals *g = globals();

	r->draft = s->draft;
	r->draft.entered = config.latency ? began : 0;
	r->inode = s->last.key.inode;
	r->inode_generation = s->last.key.generation;
	r->generation = g ? g->generation : 0;
	r->task = s->task;
	r->tid = task->pid;
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

/* Requests to be noted: before the kernel has taken them, or after. */
struct noting {
	__u64 list;
	__u64 taken;
};

/* Is the request at a place another one of this very call? */
static __always_inline bool is_twice(const struct place *place, const struct submission *own, __u32 tid)
{
	struct request *r = bpf_map_lookup_elem(&under_way, place);

	return r && r->tid == tid && own->began && r->draft.time >= own->began;
}

/* One request of an io_submit; bpf_loop's callback. Where another is under way at the same address, the program has seen
 * the end of that one, and nobody else has; but for one of the same call, whose end comes. */
static long note_one(__u32 index, void *context)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *s = bpf_task_storage_get(&tasks, task, 0, 0);
	struct submission *own = bpf_task_storage_get(&submissions, task, 0, 0);
	struct workspace *w = workspace();
	struct counters *c = counters();
	struct noting *noting = context;
	struct place place;
	bool again;

	if (!s || !own || !w)
		return 1;
	place = place_at(read_request(w, noting->list, own->noted));
	if (!place.address || (!noting->taken && is_twice(&place, own, task->pid)))
		return 1;
	own->noted++;
	again = take(w, &place);
	if (again)
		tell(s, 0, false);
	if (!draft_request(s))
		return 0;
	fill_request(&w->request, task, s, own->began, again);
	if (bpf_map_update_elem(&under_way, &place, &w->request, BPF_ANY)) {
		if (c)
			c->requests_full++;
		tell(s, 0, false);
	}
	return 0;
}

static __always_inline __u32 at_most(__u64 count)
{
	return count < MAX_AT_ONCE ? count : MAX_AT_ONCE;
}

/* A part of the ring, from the completion 'next' on. */
struct reading {
	__u64 events;
	__u64 began;
	__u32 next;
	__u32 nr;
};

/* One completion in the ring; bpf_loop's callback. A request that was noted since the reading began is a later one. */
static long complete_one(__u32 index, void *context)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *s = bpf_task_storage_get(&tasks, task, 0, 0);
	struct workspace *w = workspace();
	struct reading *reading = context;
	__u64 address = reading->events + reading->next * sizeof(struct io_event);
	struct request *r;
	struct place place;

	if (!s || !w)
		return 1;
	reading->next = reading->next + 1 < reading->nr ? reading->next + 1 : 0;
	if (bpf_probe_read_user(&w->event, sizeof(w->event), (void *)address))
		return 0;
	place = place_at(w->event.obj);
	r = bpf_map_lookup_elem(&under_way, &place);
	if (r && r->draft.time <= reading->began && take(w, &place))
		tell(s, w->event.res, true);
	return 0;
}

/* All that has completed since the ring was last read. Before its first use in the kernel it need not be in memory. */
static __noinline int read_ring(__u64 context)
{
	struct place place = place_at(context);
	struct reading reading = { .began = bpf_ktime_get_boot_ns() };
	struct aio_ring ring = {};
	__u32 *known, from = 0;

	if (bpf_probe_read_user(&ring, sizeof(ring), (void *)context)) {
		bpf_map_update_elem(&rings, &place, &from, BPF_ANY);
		return 0;
	}
	if (ring.magic != AIO_RING_MAGIC || ring.incompat_features || ring.tail >= ring.nr)
		return 0;
	known = bpf_map_lookup_elem(&rings, &place);
	from = known ? *known : ring.head;
	bpf_map_update_elem(&rings, &place, &ring.tail, BPF_ANY);
	reading.events = context + ring.header_length;
	reading.next = from;
	reading.nr = ring.nr;
	from = ring.tail >= from ? ring.tail - from : ring.tail + ring.nr - from;
	bpf_loop(at_most(from), complete_one, &reading, 0);
	return 0;
}

/* A request that was not taken; bpf_loop's callback. */
static long forget_one(__u32 index, void *context)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct submission *own = bpf_task_storage_get(&submissions, task, 0, 0);
	struct workspace *w = workspace();
	struct place place;
	struct request *r;

	if (!own || !w || !own->noted)
		return 1;
	own->noted--;
	place = place_at(read_request(w, *(__u64 *)context, own->noted));
	r = bpf_map_lookup_elem(&under_way, &place);
	if (r && r->tid == (__u32)task->pid)
		bpf_map_delete_elem(&under_way, &place);
	return 0;
}

/* The first request of a call that has failed: the others' errors nobody is told. */
static __noinline int refused(struct task_state *s, __u64 list, long result)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct submission *own = bpf_task_storage_get(&submissions, task, 0, 0);
	struct workspace *w = workspace();

	if (!own || !w || !read_request(w, list, 0))
		return 0;
	if (!draft_request(s) && (s->draft.open || !s->draft.call || result != -EBADF || !wanted_without_file()))
		return 0;
	fill_request(&w->request, task, s, own->began, false);
	return tell(s, result, true);
}

static __always_inline const struct pt_regs *registers(struct task_struct *task)
{
	return (const struct pt_regs *)bpf_task_pt_regs(task);
}

/* Requests are noted before the kernel takes them: another thread may see one complete before this call returns. */
static __always_inline int on_submit_enter(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *s = is_bystander(task) ? NULL : current_member(task);
	const struct pt_regs *regs = registers(task);
	struct noting noting = { .list = regs->dx };
	struct submission *own;

	if (!s || !(own = bpf_task_storage_get(&submissions, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE)))
		return 0;
	own->noted = 0;
	own->began = bpf_ktime_get_boot_ns();
	check_task(task, s);
	read_ring(regs->di);
	bpf_loop(at_most(regs->si), note_one, &noting, 0);
	return 0;
}

/* What was not in memory at the enter the kernel has read by now. */
static __always_inline int on_submit_exit(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *s = is_bystander(task) ? NULL : current_member(task);
	const struct pt_regs *regs = registers(task);
	__s64 result = regs->ax;
	__u64 taken = result > 0 ? result : 0;
	struct noting noting = { regs->dx, taken };
	struct submission *own;

	if (!s || !(own = bpf_task_storage_get(&submissions, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE)))
		return 0;
	check_task(task, s);
	if (taken > own->noted)
		bpf_loop(at_most(taken - own->noted), note_one, &noting, 0);
	read_ring(regs->di);
	if (result < 0)
		refused(s, noting.list, result);
	if (taken < own->noted)
		bpf_loop(at_most(own->noted - taken), forget_one, &noting.list, 0);
	own->noted = 0;
	own->began = 0;
	return 0;
}

/* One completion that was handed out; bpf_loop's callback. */
static long reap_one(__u32 index, void *context)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *s = bpf_task_storage_get(&tasks, task, 0, 0);
	__u64 address = *(__u64 *)context + index * sizeof(struct io_event);
	struct workspace *w = workspace();
	struct place place;

	if (!s || !w || bpf_probe_read_user(&w->event, sizeof(w->event), (void *)address))
		return 1;
	place = place_at(w->event.obj);
	if (take(w, &place))
		tell(s, w->event.res, true);
	return 0;
}

/* Of io_getevents and io_pgetevents. */
static __always_inline int on_getevents_exit(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *s = is_bystander(task) ? NULL : current_member(task);
	const struct pt_regs *regs = registers(task);
	__u64 events = regs->r10;
	__s64 result = regs->ax;

	if (!s || result <= 0)
		return 0;
	check_task(task, s);
	bpf_loop(at_most(result), reap_one, &events, 0);
	return 0;
}

/* The last look at completions that the program takes from the ring itself. */
static __always_inline int on_destroy_enter(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *s = is_bystander(task) ? NULL : current_member(task);

	if (!s)
		return 0;
	check_task(task, s);
	return read_ring(registers(task)->di);
}

/* Once by their own tracepoints, and once handed on by those of all calls where these are attached anyway. */
SEC("tracepoint")
int submit_enter(void *ctx)
{
	return on_submit_enter();
}

SEC("tracepoint")
int submit_exit(void *ctx)
{
	return on_submit_exit();
}

SEC("tracepoint")
int getevents_exit(void *ctx)
{
	return on_getevents_exit();
}

SEC("tracepoint")
int destroy_enter(void *ctx)
{
	return on_destroy_enter();
}

SEC("tp_btf/sys_enter")
int raw_submit_enter(void *ctx)
{
	return on_submit_enter();
}

SEC("tp_btf/sys_exit")
int raw_submit_exit(void *ctx)
{
	return on_submit_exit();
}

SEC("tp_btf/sys_exit")
int raw_getevents_exit(void *ctx)
{
	return on_getevents_exit();
}

SEC("tp_btf/sys_enter")
int raw_destroy_enter(void *ctx)
{
	return on_destroy_enter();
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
