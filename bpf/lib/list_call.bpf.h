/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A call that a thread has begun and not returned from: whether it is requested, and its files; or a pending hook of it.
 *
 * Separate from requests, which no thread is in.
 */
#ifndef FILETAP_LIST_CALL_H
#define FILETAP_LIST_CALL_H

#include "../event.h"
#include "compat.bpf.h"
#include "descriptor.bpf.h"
#include "find_file.bpf.h"
#include "kernel.h"
#include "listing.bpf.h"
#include "mapping.bpf.h"
#include "pending_hook.bpf.h"
#include "state.bpf.h"
#include "fd_file.bpf.h"
#include "uapi.h"

static __always_inline void fill_position(struct pending_call *p, __u64 address, const struct call *call)
{
	struct file *file = (struct file *)address;
	bool at_end = call->kind == KIND_WRITE && read_word(file, f_flags) & O_APPEND;

	p->open = opening_at(address);
	p->position = at_end ? read_word(read_word(file, f_inode), i_size) : read_word(file, f_pos);
	if (!seekable(read_word(read_word(file, f_inode), i_mode)))
		p->flags |= EVENT_NO_OFFSET;
}

/* What the entry of the call has found: its descriptor or mapping may have changed since. */
static __always_inline bool known_since_enter(const struct task_state *s, const struct pending_call *p)
{
	struct globals *g = globals();

	return s && g && s->resolved == (__u16)(p->nr + 1) && s->generation == (__u32)g->generation;
}

static __always_inline bool recall_pending(const struct task_state *s, struct pending_call *p, int need)
{
	if (!s->file || !is_needed(s->wanted, need))
		return false;
	p->file = s->file;
	p->open = s->open;
	p->position = s->position;
	p->flags |= s->flags;
	return true;
}

/* Find the file of a descriptor. If there is none, the call is a close, or another thread has closed it. */
SUBPROGRAM bool find_descriptor(struct task_struct *task, struct task_state *s, __u32 fd, struct call call)
{
	struct pending_call *p = pending_call();
	__u64 address;
	__u32 found;

	if (!p)
		return false;
	if (known_since_enter(s, p))
		return recall_pending(s, p, need_of(&call));
	address = fd_address(task, fd);
	if (!address)
		return wanted_without_file();
	found = wanted_file(address, need_of(&call));
	if (!found)
		return false;
	p->file = found;
	fill_position(p, address, &call);
	if (descriptors_shared(task))
		p->flags |= EVENT_UNCERTAIN;
	return true;
}

/* One matching file of the two is enough. */
SUBPROGRAM bool find_two(struct task_struct *task, __u32 from, __u32 to)
{
	__u64 addresses[] = { fd_address(task, from), fd_address(task, to) };
	struct pending_call *p = pending_call();
	bool wanted = false;

	if (!p)
		return false;
	wanted = (addresses[0] && wanted_file(addresses[0], NEED_TYPE)) || (addresses[1] && wanted_file(addresses[1], NEED_TYPE));
	if (!wanted)
		return false;
	if (addresses[0]) {
		p->file = any_file(addresses[0]).id;
		p->open = opening_at(addresses[0]);
	}
	p->target = addresses[1] ? any_file(addresses[1]).id : 0;
	return true;
}

SUBPROGRAM bool find_mapped(struct task_struct *task, struct task_state *s)
{
	struct pending_call *p = pending_call();
	__u64 offset = 0, address;

	if (!p)
		return false;
	if (known_since_enter(s, p))
		return recall_pending(s, p, NEED_TYPE);
	address = mapped_file(task, p->arguments[0], &offset);
	p->file = address ? wanted_file(address, NEED_TYPE) : 0;
	p->open = address ? opening_at(address) : 0;
	p->position = offset;
	return p->file;
}

static __always_inline struct found start_at(struct task_struct *task, int directory)
{
	struct fs_struct *fs = task_field(task, fs);
	__u64 address;

	if (directory == AT_FDCWD)
		return fs ? find_path_file(&fs->pwd, NEED_ALWAYS) : (struct found){};
	address = fd_address(task, directory);
	return address ? any_file(address) : (struct found){};
}

/* Find where the names start: user space reads the names, and decides whether they match. */
SUBPROGRAM bool find_starts(struct task_struct *task, struct shape shape)
{
	struct fs_struct *fs = task_field(task, fs);
	struct pending_call *p = pending_call();

	if (!p || !fs)
		return false;
	p->root = find_path_file(&fs->root, NEED_ALWAYS);
	p->start = start_at(task, shape.dir ? (int)argument_of(p, shape.dir) : AT_FDCWD);
	if (shape.to_name)
		p->to_start = start_at(task, shape.to_dir ? (int)argument_of(p, shape.to_dir) : AT_FDCWD);
	return true;
}

/* Decide whether the call is requested, and find its files. Kinds that cannot wait for a file, or whose events are made elsewhere, are
 * left out: clone, close_range, io_submit, whose requests are listed. */
static __always_inline bool find_files(struct task_struct *task, struct task_state *s, struct pending_call *p)
{
	const struct call call = call_of(p->nr);
	const struct shape shape = shape_of(p->nr);

	switch (call.kind) {
	case KIND_NONE:
	case KIND_FORK:
	case KIND_CLOSE_RANGE:
	case KIND_SUBMIT:
		return false;
	case KIND_MAPPED:
		return find_mapped(task, s);
	case KIND_MMAP:
		return !(p->arguments[3] & MAP_ANONYMOUS) && find_descriptor(task, s, p->arguments[4], call);
	case KIND_IOCTL:
		return (__u32)p->arguments[1] == FICLONE ? find_two(task, p->arguments[2], p->arguments[0])
							 : find_descriptor(task, s, p->arguments[0], call);
	case KIND_TRANSFER:
		return find_two(task, argument_of(p, shape.fd), argument_of(p, shape.to_fd));
	}
	if (shape.name)
		return find_starts(task, shape);
	if (shape.fd)
		return find_descriptor(task, s, argument_of(p, shape.fd), call);
	return !(config.paths & 1);
}

static __always_inline __u64 switches_of(struct task_struct *task)
{
	return task_field(task, nvcsw) + task_field(task, nivcsw);
}

static __always_inline void begin_pending(struct task_struct *task, struct pending_call *p)
{
	__builtin_memset(p, 0, sizeof(*p));
	p->time = bpf_ktime_get_boot_ns();
	p->instance = switches_of(task);
}

static __always_inline bool find_call(struct task_struct *task, struct task_state *s)
{
	const struct pt_regs *regs = registers_of(task);
	struct pending_call *p = pending_call();

	if (!p || !in_call(regs) || is_compat(task))
		return false;
	begin_pending(task, p);
	fill_registers(p, regs);
	if (call_of(p->nr).flags & CALL_DROP || !find_files(task, s, p))
		return false;
	p->entered = s && config.latency ? s->entered : 0;
	fill_task(task, s);
	return in_call(regs) && p->nr == read_word(regs, orig_ax) && p->instance == switches_of(task);
}

/* Turn a pending hook into the record of a call. Returns false if its events were not requested. */
static __always_inline bool fill_pending_hook(struct task_struct *task, struct task_state *s, struct pending_hook *n)
{
	struct pending_call *p = pending_call();
	__u16 call = config.hooks[n->hook & (MAX_HOOKS - 1)].call;

	if (!p || !call)
		return false;
	begin_pending(task, p);
	fill_registers(p, registers_of(task));
	p->call = call;
	p->fd = -1;
	p->entered = n->time;
	p->arguments[0] = n->offset;
	p->arguments[1] = n->size;
	p->arguments[2] = n->argument;
	p->file = n->file;
	p->target = n->target;
	p->open = n->open;
	p->flags = n->flags;
	fill_task(task, s);
	return in_call(registers_of(task));
}

static __always_inline void list_pending_hooks(struct bpf_iter__task *ctx, struct task_struct *task, struct task_state *s)
{
	struct pending_call *p = pending_call();

	if (!p || !s->pending_hook_call || s->pending_hook_call != call_under_way(task))
		return;
	for (__u32 i = 0; i < MAX_PENDING_HOOKS; i++) {
		if (i >= s->pending_hook_count)
			break;
		if (fill_pending_hook(task, s, &s->pending_hooks[i]))
			bpf_seq_write(ctx->meta->seq, p, sizeof(*p));
	}
}

#endif
