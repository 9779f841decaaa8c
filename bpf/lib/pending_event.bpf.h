/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The event under construction: begun with the fields of every event, then given its file and, if needed, its second slot.
 *
 * Separate, because calls, hooks, requests and faults all make one, and only emit.bpf.h sends it.
 */
#ifndef FILETAP_PENDING_EVENT_H
#define FILETAP_PENDING_EVENT_H

#include "compat.bpf.h"
#include "kernel.h"

/* What emit() needs besides the fields of the wire format. Stored with the task, not on the stack, where the verifier would follow each
 * possible value and take ten times as long to load. */
struct pending_event {
	__u64 time;
	__u64 entered;
	__u64 offset;
	__u64 size;
	__s64 result;
	__u64 bytes;
	__u32 file;
	__s32 fd;
	__u32 open;
	__u32 flags;
	__u16 call;
	__u8 op;
	__u8 undefined; /* the file has no id: its definition could not be sent */
	__u8 has_ext; /* the rest is to be sent too */
	__u8 reserved[3];
	__u64 target_offset;
	__u32 target;
	__s32 target_fd;
	__u32 argument;
	__u32 reserved2;
};

/* Set only the fields that every event has. 'entered': when the call began; 0: not known. */
static __always_inline void begin_event(struct pending_event *d, __u64 time, __u64 entered, __u8 op, __u16 call, __s64 result)
{
	d->time = time;
	d->entered = entered;
	d->offset = 0;
	d->size = 0;
	d->result = result;
	d->bytes = 0;
	d->file = 0;
	d->fd = -1;
	d->open = 0;
	d->flags = 0;
	d->call = call;
	d->op = op;
	d->undefined = 0;
	d->has_ext = 0;
}

/* Set the file of a descriptor. One that matches and has no id could not be described: its event carries the identity. */
static __always_inline void give_file(struct pending_event *d, __u32 id, bool wanted, __u32 open)
{
	d->file = id;
	d->undefined = wanted && !id;
	d->open = open;
}

/* The second slot. */
static __always_inline void add_ext(struct pending_event *d)
{
	d->has_ext = 1;
	d->target = 0;
	d->target_fd = -1;
	d->target_offset = 0;
	d->argument = 0;
}

#endif
