// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Linux AIO: requests as io_submit(2) accepts them. They are reported with their results once these are in the completion ring
 * that is mapped in the process, or once io_getevents(2) returns them. Separate, because a request outlives the call that
 * submitted it, and its table of calls is indexed by command.
 */
#include "event.h"
#include "lib/aio_event.bpf.h"
#include "lib/aio_table.bpf.h"
#include "lib/compat.bpf.h"
#include "lib/kernel.h"
#include "lib/state.bpf.h"
#include "lib/fd_file.bpf.h"
#include "lib/target.bpf.h"
#include "lib/task.bpf.h"
#include "lib/uapi.h"

#define MAX_RINGS 4096

/* How far each ring has been read. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_RINGS);
	__type(key, struct aio_request_key);
	__type(value, __u32);
} ft_rings SEC(".maps");

/* Read the address of a request of the array at 'list', and the request itself into the workspace. Returns 0 if it cannot be read. */
static __always_inline __u64 read_request(struct workspace *w, __u64 list, __u64 index)
{
	__u64 address = 0;

	if (bpf_probe_read_user(&address, sizeof(address), (void *)(list + index * sizeof(address))))
		return 0;
	return bpf_probe_read_user(&w->iocb, sizeof(w->iocb), (void *)address) ? 0 : address;
}

/* Returns true if the request at this address is another one of the same call. */
static __always_inline bool is_twice(const struct aio_request_key *key, const struct task_state *s, __u32 tid)
{
	struct aio_request *r = bpf_map_lookup_elem(&ft_under_way, key);

	return r && r->tid == tid && s->submitted && r->pending_event.time >= s->submitted;
}

/* Record one request of an io_submit, before the kernel has accepted it or after. If another request is pending at the same address,
 * only the program has seen the completion of that one, except if it is of the same call: then its completion is still to come. */
static __always_inline int record_submitted(__u64 list, __u32 index, bool taken)
{
	struct task_struct *task = current_task();
	struct task_state *s = state_of(task);
	struct workspace *w = workspace();
	struct counters *c = counters();
	struct aio_request_key key;
	bool again;

	if (!s || !w)
		return 1;
	key = request_key_at(read_request(w, list, index));
	if (!key.address || (!taken && is_twice(&key, s, task_field(task, pid))))
		return 1;
	s->recorded = index + 1;
	again = take_request(&w->request, &key);
	if (again)
		emit_request(s, 0, false);
	if (!fill_request_event(s))
		return 0;
	fill_request(&w->request, task, s, again);
	if (bpf_map_update_elem(&ft_under_way, &key, &w->request, BPF_ANY)) {
		if (c)
			c->requests_full++;
		emit_request(s, 0, false);
	}
	return 0;
}

__noinline int record_one(__u64 list, __u32 index)
{
	return record_submitted(list, index, false);
}

__noinline int record_taken(__u64 list, __u32 index)
{
	return record_submitted(list, index, true);
}

REPEATED(record_one)
REPEATED(record_taken)

/* Report a completion in the ring. A request that was recorded after reading began is a later one. */
__noinline int complete_one(__u64 events, __u32 index)
{
	struct task_state *s = state_of(current_task());
	struct workspace *w = workspace();
	struct aio_request *r;
	struct aio_request_key key;
	__u64 address;

	if (!s || !w)
		return 1;
	address = events + (index < w->nr ? index : index - w->nr) * sizeof(struct io_event);
	if (bpf_probe_read_user(&w->event, sizeof(w->event), (void *)address))
		return 0;
	key = request_key_at(w->event.obj);
	r = bpf_map_lookup_elem(&ft_under_way, &key);
	if (r && r->pending_event.time <= w->began && take_request(&w->request, &key))
		emit_request(s, w->event.res, true);
	return 0;
}

REPEATED(complete_one)

/* Report all that has completed since the ring was last read. Before the kernel first uses the ring, it need not be in memory. */
static __noinline int read_ring(__u64 context)
{
	struct aio_request_key key = request_key_at(context);
	struct workspace *w = workspace();
	struct aio_ring ring = {};
	__u32 *known, from = 0;

	if (!w)
		return 0;
	w->began = bpf_ktime_get_boot_ns();
	if (bpf_probe_read_user(&ring, sizeof(ring), (void *)context)) {
		bpf_map_update_elem(&ft_rings, &key, &from, BPF_ANY);
		return 0;
	}
	if (ring.magic != AIO_RING_MAGIC || ring.incompat_features || ring.tail >= ring.nr)
		return 0;
	known = bpf_map_lookup_elem(&ft_rings, &key);
	from = known ? *known : ring.head;
	bpf_map_update_elem(&ft_rings, &key, &ring.tail, BPF_ANY);
	w->nr = ring.nr;
	count_cut(complete_one_each(context + ring.header_length, from, ring.tail >= from ? ring.tail - from : ring.tail + ring.nr - from));
	return 0;
}

/* Remove a request that was recorded and not accepted, counted from the last. */
__noinline int forget_one(__u64 list, __u32 index)
{
	struct task_struct *task = current_task();
	struct task_state *s = state_of(task);
	struct workspace *w = workspace();
	struct aio_request_key key;
	struct aio_request *r;

	if (!s || !w || index >= s->recorded)
		return 1;
	key = request_key_at(read_request(w, list, s->recorded - 1 - index));
	r = bpf_map_lookup_elem(&ft_under_way, &key);
	if (r && r->tid == (__u32)task_field(task, pid))
		bpf_map_delete_elem(&ft_under_way, &key);
	return 0;
}

REPEATED(forget_one)

/* Report the first request of a call that has failed: the errors of the others are not returned to anyone. */
static __noinline int refused(struct task_state *s, __u64 list, long result)
{
	struct task_struct *task = current_task();
	struct workspace *w = workspace();

	if (!w || !read_request(w, list, 0))
		return 0;
	if (!fill_request_event(s) && (s->pending_event.open || !s->pending_event.call || !wanted_without_file()))
		return 0;
	fill_request(&w->request, task, s, false);
	return emit_request(s, result, true);
}

/* Return the state of the current task if it is a target. */
static __always_inline struct task_state *submitter(struct task_struct *task)
{
	return is_untraced(task) ? NULL : current_target(task);
}

/* Requests are recorded before the kernel takes them: another thread may see one complete before this call returns. */
static __always_inline int on_submit_enter(const struct pt_regs *regs)
{
	struct task_struct *task = current_task();
	struct task_state *s = submitter(task);

	if (!s)
		return 0;
	s->recorded = 0;
	s->submitted = bpf_ktime_get_boot_ns();
	check_task(task, s);
	read_ring(regs->di);
	record_one_each(regs->dx, 0, regs->si);
	return 0;
}

/* Record requests that were not in memory at the entry: the kernel has read them by now. */
static __always_inline int on_submit_exit(const struct pt_regs *regs)
{
	struct task_struct *task = current_task();
	struct task_state *s = submitter(task);
	__s64 result = regs->ax;
	__u64 taken = result > 0 ? result : 0, list = regs->dx;

	if (!s)
		return 0;
	check_task(task, s);
	if (taken > s->recorded)
		count_cut(record_taken_each(list, s->recorded, taken - s->recorded));
	read_ring(regs->di);
	if (result < 0)
		refused(s, list, result);
	if (taken < s->recorded)
		forget_one_each(list, 0, s->recorded - taken);
	s->recorded = 0;
	s->submitted = 0;
	return 0;
}

/* Report one completion that was returned to the program. */
__noinline int reap_one(__u64 events, __u32 index)
{
	struct task_state *s = state_of(current_task());
	__u64 address = events + index * sizeof(struct io_event);
	struct workspace *w = workspace();
	struct aio_request_key key;

	if (!s || !w || bpf_probe_read_user(&w->event, sizeof(w->event), (void *)address))
		return 1;
	key = request_key_at(w->event.obj);
	if (take_request(&w->request, &key))
		emit_request(s, w->event.res, true);
	return 0;
}

REPEATED(reap_one)

/* For io_getevents and io_pgetevents. */
static __always_inline int on_getevents_exit(const struct pt_regs *regs)
{
	struct task_struct *task = current_task();
	struct task_state *s = submitter(task);
	__u64 events = regs->r10;
	__s64 result = regs->ax;

	if (!s || result <= 0)
		return 0;
	check_task(task, s);
	count_cut(reap_one_each(events, 0, result));
	return 0;
}

/* Read completions for the last time: the program takes them from the ring itself. */
static __always_inline int on_destroy_enter(const struct pt_regs *regs)
{
	struct task_struct *task = current_task();
	struct task_state *s = submitter(task);

	if (!s)
		return 0;
	check_task(task, s);
	return read_ring(regs->di);
}

/* Called by their own tracepoints, or by those of all calls where these are attached anyway. */
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
