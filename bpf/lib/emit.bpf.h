/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The one way an event leaves a probe: counted as seen, then handed over, folded, or lost.
 * Apart, so that no probe can forget to count. Next: the probes, syscalls.bpf.c and process.bpf.c.
 */
#ifndef FILETAP_EMIT_H
#define FILETAP_EMIT_H

#include "task.bpf.h"

/* An event on its way: what emit() needs beside the wire's own fields. */
struct draft {
	__u64 time;
	__u64 entered;
	__u64 offset;
	__u64 size;
	__s64 result;
	__u64 bytes;
	__u32 file;
	__s32 fd;
	__u32 open;
	__u16 call;
	__u16 flags;
	__u8 op;
	__u8 undefined; /* the file has no id: its definition could not be sent */
};

static __noinline int fold(struct draft *d, __u32 task)
{
	struct fold_key key = { .task = task, .file = d->file, .op = d->op, .pid = bpf_get_current_pid_tgid() >> 32 };
	struct fold *f, first = { .count = 1, .bytes = d->bytes, .first = d->time, .last = d->time };
	struct counters *c = counters();
	__u32 op = d->op;

	if (!c || op >= MAX_OPS)
		return 0;
	f = bpf_map_lookup_elem(&folds, &key);
	if (!f && !bpf_map_update_elem(&folds, &key, &first, BPF_NOEXIST)) {
		c->folded[op]++;
		return 0;
	}
	if (!f)
		f = bpf_map_lookup_elem(&folds, &key);
	if (!f) {
		c->lost[op]++;
		return 0;
	}
	__sync_fetch_and_add(&f->count, 1);
	__sync_fetch_and_add(&f->bytes, d->bytes);
	f->last = d->time;
	c->folded[op]++;
	return 0;
}

static __always_inline void fill_event(struct event *e, const struct draft *d, __u32 task, __u32 tid)
{
	__u64 duration = d->entered ? d->time - d->entered : 0;
	__u16 flags = d->flags;

	if (duration > 0xffffffffu) {
		duration /= 1000;
		flags |= EVENT_MICROSECONDS;
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
	e->call = d->call | flags;
	e->rule = config.rule;
}

/* An event whose file or task is not defined: two slots, the second with the identity. */
static __noinline int emit_identity(struct draft *d, struct task_state *s)
{
	struct {
		struct event event;
		struct identity identity;
	} *slots = bpf_ringbuf_reserve(&events, sizeof(*slots), 0);

	if (!slots)
		return fold(d, s->task);
	d->flags |= EVENT_MORE;
	fill_event(&slots->event, d, s->task, (__u32)bpf_get_current_pid_tgid());
	slots->identity.mark = IDENTITY_MARK;
	slots->identity.inode = s->last.key.inode;
	slots->identity.subvolume = 0;
	slots->identity.generation = s->last.key.generation;
	slots->identity.device = 0;
	slots->identity.pid = bpf_get_current_pid_tgid() >> 32;
	slots->identity.uid = bpf_get_current_uid_gid();
	bpf_get_current_comm(slots->identity.comm, sizeof(slots->identity.comm));
	slots->identity.reserved = 0;
	bpf_ringbuf_submit(slots, BPF_RB_NO_WAKEUP);
	return 0;
}

static __always_inline void emit(struct draft *d, struct task_struct *task, struct task_state *s)
{
	struct counters *c = counters();
	__u32 op = d->op;
	struct event *e;

	if (!c || op >= MAX_OPS)
		return;
	c->seen[op]++;
	check_task(task, s);
	if (unlikely(!s->task || d->undefined)) {
		emit_identity(d, s);
		return;
	}
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (unlikely(!e)) {
		fold(d, s->task);
		return;
	}
	fill_event(e, d, s->task, task->pid);
	bpf_ringbuf_submit(e, ++c->events & config.wake ? BPF_RB_NO_WAKEUP : BPF_RB_FORCE_WAKEUP);
}

#endif
