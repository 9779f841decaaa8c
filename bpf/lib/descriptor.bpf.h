/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * From a descriptor of the current task to its open file.
 *
 * Separate, because both the calls and exec start from descriptors.
 */
#ifndef FILETAP_DESCRIPTOR_H
#define FILETAP_DESCRIPTOR_H

#include "../event.h"
#include "compat.bpf.h"
#include "kernel.h"
#include "state.bpf.h"

/* Return the address of the open file of a descriptor of the current task; 0: none. */
static __always_inline __u64 fd_address(struct task_struct *task, __u32 fd)
{
	struct fdtable *fdt = task_field(task, files, fdt);

	if (fd >= task_field(fdt, max_fds))
		return 0;
	return word_at((void *)((__u64)task_field(fdt, fd) + fd * sizeof(__u64)));
}

static __always_inline struct file *file_at(__u64 address)
{
	return HAS_CAST ? cast_kernel(struct file, address) : (struct file *)address;
}

/* Threads share descriptors: at the exit a descriptor may refer to another file than at the entry. */
static __always_inline bool descriptors_shared(struct task_struct *task)
{
	return task_field(task, files, count.counter) > 1;
}

/* Return the table's address as a plain number, which the verifier lets us hash. */
static __always_inline __u64 table_address(struct task_struct *task)
{
	return (__u64)read_word(task, files);
}

static __always_inline __u32 change_slot(struct task_struct *task, __u32 fd)
{
	return ((__u32)(table_address(task) >> 6) * 0x9e3779b1u + fd) & (MAX_CHANGES - 1);
}

/* Return the descriptor that a close, dup2 or dup3 changes. */
static __always_inline __u32 changed_fd(const struct pt_regs *regs, const struct call *call)
{
	return call->kind == KIND_CLOSE ? regs->di : regs->si;
}

static __always_inline void begin_change(struct task_struct *task, struct task_state *s, __u32 fd)
{
	__u32 slot = change_slot(task, fd);
	__u64 *count = bpf_map_lookup_elem(&ft_fd_changes, &slot);

	if (!count || !descriptors_shared(task))
		return;
	__sync_fetch_and_add(count, 1);
	s->changing = slot + 1;
}

static __always_inline void end_change(struct task_state *s)
{
	__u32 slot = s->changing - 1;
	__u64 *count = bpf_map_lookup_elem(&ft_fd_changes, &slot);

	s->changing = 0;
	if (count)
		__sync_fetch_and_add(count, 1ull << 32);
}

static __always_inline __u64 changes_of(struct task_struct *task, __u32 fd)
{
	__u32 slot = change_slot(task, fd);
	__u64 *count = bpf_map_lookup_elem(&ft_fd_changes, &slot);

	return count ? *count : 0;
}

/* Returns true if the descriptor may have changed during a call that began when changes_of() was 'before'. */
static __always_inline bool may_have_changed(struct task_struct *task, __u32 fd, __u64 before)
{
	return (__u32)before != (__u32)(before >> 32) || changes_of(task, fd) != before;
}

#endif
