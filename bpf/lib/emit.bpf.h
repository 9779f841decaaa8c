/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The only way an event leaves a probe: counted as seen, then delivered to the ring, aggregated, or lost.
 *
 * Separate, so that no probe can forget to count.
 */
#ifndef FILETAP_EMIT_H
#define FILETAP_EMIT_H

#include "../event.h"
#include "aggregate.bpf.h"
#include "compat.bpf.h"
#include "define.bpf.h"
#include "kernel.h"
#include "pending_event.bpf.h"
#include "state.bpf.h"
#include "task.bpf.h"

/* Begin the task's event. Without latency the clock is read only once the event is known to match. */
static __always_inline struct pending_event *new_pending_event(struct task_state *s, __u8 op, __u16 call, __s64 result)
{
	struct pending_event *d = &s->pending_event;

	begin_event(d, config.latency ? bpf_ktime_get_boot_ns() : 0, s->entered, op, call, result);
	s->entered = 0;
	return d;
}

static __always_inline bool too_quick(const struct pending_event *d)
{
	return config.min_latency && (!d->entered || d->time - d->entered < config.min_latency);
}

SUBPROGRAM int add_overflow(struct pending_event *d, __u32 task)
{
	struct overflow_key key = { .task = task, .file = d->file, .op = d->op, .pid = bpf_get_current_pid_tgid() >> 32 };
	struct overflow *f, first = { .count = 1, .bytes = d->bytes, .first = d->time, .last = d->time };
	struct counters *c = counters();
	__u32 op = d->op;

	if (!c || op >= MAX_OPS)
		return 0;
	if (d->flags & EVENT_LATER) {
		c->unresolved++;
		return 0;
	}
	f = bpf_map_lookup_elem(&ft_overflows, &key);
	if (!f && !bpf_map_update_elem(&ft_overflows, &key, &first, BPF_NOEXIST)) {
		c->aggregated[op]++;
		return 0;
	}
	if (!f)
		f = bpf_map_lookup_elem(&ft_overflows, &key);
	if (!f) {
		c->lost[op]++;
		return 0;
	}
	__sync_fetch_and_add(&f->count, 1);
	__sync_fetch_and_add(&f->bytes, d->bytes);
	f->last = d->time;
	c->aggregated[op]++;
	return 0;
}

static __always_inline void fill_event(struct event *e, const struct pending_event *d, __u32 task, __u32 tid)
{
	__u64 duration = d->entered ? d->time - d->entered : 0;
	__u32 flags = d->flags;

	if (unlikely(duration > 0xffffffffu)) {
		duration /= 1000;
		flags |= EVENT_MICROSECONDS;
		if (duration > 0xffffffffu) {
			duration /= 1000;
			flags ^= EVENT_MICROSECONDS | EVENT_MILLISECONDS;
		}
		if (duration > 0xffffffffu)
			duration = 0xffffffffu;
	}
	e->time = d->time;
	e->offset = d->offset;
	e->size = d->size;
	e->result = d->result;
	e->duration = duration;
	e->task = task;
	e->file = d->file;
	e->tid = tid;
	e->fd = d->fd;
	e->open = d->open;
	e->call = d->call;
	e->rule = config.rule;
	e->flags = flags;
}

/* Return the slot number 'position' of the ring, which may be read as either of the two structures. */
static __always_inline void *slot_of(__u32 cpu, __u64 position)
{
	__u32 index = cpu * config.slots + ((__u32)position & (config.slots - 1));

	return bpf_map_lookup_elem(&ft_events, &index);
}

/* Return this CPU's ring, if it has room for three slots; to be released with leave_cpu_ring(). */
static __always_inline struct cpu_ring *enter_cpu_ring(__u32 cpu)
{
	struct cpu_ring *ring = bpf_map_lookup_elem(&ft_cpu_rings, &cpu);

	if (!ring || ring->busy || ring->produced - ring->consumed + 3 > config.slots)
		return NULL;
	ring->busy = 1;
	barrier();
	return ring;
}

/* Publish what was written. The position is stored last, so that the reader sees only whole slots (x86-64 keeps the order of stores).
 * The reader sleeps; it is woken once when a quarter of the ring is unread. */
static __always_inline void leave_cpu_ring(struct cpu_ring *ring, __u32 slots)
{
	__u64 waiting = ring->produced - ring->consumed;

	barrier();
	ring->produced += slots;
	barrier();
	ring->busy = 0;
	if (unlikely(waiting == config.slots / 4))
		wake_reader();
}

/* Add the identity of a file or a task that could not be described. */
static __always_inline void fill_identity(struct event_ext *m, const struct pending_event *d, struct task_state *s)
{
	struct task_struct *task = current_task();

	if (d->undefined) {
		m->inode = s->last.key.inode;
		m->generation = s->last.key.generation;
	}
	if (s->task)
		return;
	m->pid = task_field(task, tgid);
	m->ppid = task_field(task, real_parent, tgid);
	m->euid = task_field(task, cred, euid.val);
	bpf_get_current_comm(m->comm, sizeof(m->comm));
}

/* Emit an event of two slots, with an empty one before them where the ring's end would separate them. */
SUBPROGRAM int emit_with_ext(struct pending_event *d, struct task_state *s, __u32 tid)
{
	__u32 cpu = bpf_get_smp_processor_id(), pad = 0;
	struct cpu_ring *ring = enter_cpu_ring(cpu);
	struct event_ext *ext;
	struct event *e;

	if (!ring)
		return add_overflow(d, s->task);
	e = slot_of(cpu, ring->produced);
	if (e && ((ring->produced + 1) & (config.slots - 1)) == 0) {
		__builtin_memset(e, 0, sizeof(*e));
		pad = 1;
		e = slot_of(cpu, ring->produced + 1);
	}
	ext = slot_of(cpu, ring->produced + pad + 1);
	if (!e || !ext)
		return 0;
	d->flags |= EVENT_EXT;
	fill_event(e, d, s->task, tid);
	__builtin_memset(ext, 0, sizeof(*ext));
	ext->target_fd = -1;
	if (d->has_ext) {
		ext->target = d->target;
		ext->target_fd = d->target_fd;
		ext->target_offset = d->target_offset;
		ext->argument = d->argument;
	}
	if (unlikely(d->undefined || !s->task))
		fill_identity(ext, d, s);
	leave_cpu_ring(ring, 2 + pad);
	return 0;
}

/* Emit the event of a task that has been described. */
static __always_inline void hand_over(struct pending_event *d, __u32 tid, struct task_state *s)
{
	__u64 now = d->time ?: bpf_ktime_get_boot_ns();
	__u32 op = d->op, cpu = bpf_get_smp_processor_id();
	struct counters *c = counters();
	struct cpu_ring *ring;
	struct event *e;

	d->time = now;
	if (!c || op >= MAX_OPS)
		return;
	c->seen[op] += !(d->flags & EVENT_LATER);
	/* With rules for paths user space decides on both names of an event separately, so it must receive them. */
	if (config.aggregate && !(config.paths && d->has_ext) && !(d->flags & EVENT_LATER)) {
		aggregate(d, s->task, tid, c);
		return;
	}
	if (unlikely(!s->task || d->undefined || d->has_ext)) {
		emit_with_ext(d, s, tid);
		return;
	}
	ring = enter_cpu_ring(cpu);
	if (unlikely(!ring)) {
		add_overflow(d, s->task);
		return;
	}
	e = slot_of(cpu, ring->produced);
	if (!e)
		return;
	fill_event(e, d, s->task, tid);
	leave_cpu_ring(ring, 1);
}

static __always_inline void emit(struct pending_event *d, struct task_struct *task, struct task_state *s)
{
	check_task(task, s);
	hand_over(d, task_field(task, pid), s);
}

#endif
