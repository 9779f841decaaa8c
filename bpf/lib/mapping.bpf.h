/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * From an address of a task to the file mapped there, and the offset in it.
 *
 * Separate, because it depends on the maple tree: bpf_find_vma needs a lock that it may not get, and an interrupt to release it.
 */
#ifndef FILETAP_MAPPING_H
#define FILETAP_MAPPING_H

#include "../event.h"
#include "argument.bpf.h"
#include "compat.bpf.h"
#include "descriptor.bpf.h"
#include "find_file.bpf.h"
#include "kernel.h"
#include "pending_event.bpf.h"
#include "opening.bpf.h"
#include "state.bpf.h"
#include "fd_file.bpf.h"
#include "uapi.h"

#define MAPLE_LEAF_MOST 1 /* maple_dense and maple_leaf_64, enum maple_type */
#define MAPLE_ARANGE 3
#define MAPLE_LEVELS 8
#define RANGE_SLOTS 16
#define ARANGE_SLOTS 10
#define RB_LEVELS 64 /* of millions of mappings */

/* One node of the tree: its parent, its pivots, its slots (struct maple_range_64 and maple_arange_64, 256 bytes). */
struct node {
	__u64 words[32];
	__u64 entry;
	__u64 address;
};

PER_CPU(node, struct node, ft_nodes)

/* Returns true if an entry is the address of a node or a mapping, and not a mark of the tree itself (xa_is_internal, xa_is_err). */
static __always_inline bool is_address(__u64 entry)
{
	return entry > 4096 && (__s64)entry < -4096;
}

static __always_inline __u64 word_of(const struct node *n, __u64 node, __u32 at)
{
	return HAS_CAST ? word_at((void *)(node + 8 * at)) : n->words[at & 31];
}

/* Go one level down the maple tree. Returns 1 at a leaf, whose entry is the mapping. */
__noinline int descend(void)
{
	__u32 type, slots, at = 0;
	struct node *n = node();
	__u64 entry, address;

	if (!n)
		return 1;
	entry = n->entry;
	address = entry & ~255ull;
	n->entry = 0;
	if (!is_address(entry) || (!HAS_CAST && bpf_probe_read_kernel(n->words, sizeof(n->words), (void *)address)))
		return 1;
	type = (entry >> 3) & 15;
	slots = type == MAPLE_ARANGE ? ARANGE_SLOTS : RANGE_SLOTS;
	for (__u32 i = 1; i < RANGE_SLOTS; i++) {
		__u64 pivot = word_of(n, address, i);

		/* A pivot of zero after the first is unused: the slot extends to the end of the node. */
		if (i >= slots || pivot >= n->address || (!pivot && i > 1))
			break;
		at = i;
	}
	n->entry = word_of(n, address, slots + at);
	return type <= MAPLE_LEAF_MOST;
}

static __always_inline bool holds(struct vm_area_struct *vma, __u64 address)
{
	return read_word(vma, vm_start) <= address && address < read_word(vma, vm_end);
}

/* Two separate functions: in one, the compiler moves the missing member out of the loop. */
SUBPROGRAM __u64 search_maple_tree(struct mm_struct *mm, struct node *n)
{
	n->entry = (__u64)task_field(mm, mm_mt.ma_root);
	for (int i = 0; i < MAPLE_LEVELS; i++)
		if (descend())
			break;
	return n->entry;
}

/* Mappings were in a red-black tree before 524e00b36e8c (v6.1). */
SUBPROGRAM __u64 search_rb_tree(struct mm_struct *mm, __u64 address)
{
	struct rb_node *node = BPF_CORE_READ((struct mm_struct___before_6_1 *)mm, mm_rb.rb_node);
	struct vm_area_struct *vma;

	for (int i = 0; node && i < RB_LEVELS; i++) {
		vma = (void *)node - bpf_core_field_offset(struct vm_area_struct___before_6_1, vm_rb);
		if (holds(vma, address))
			return (__u64)vma;
		node = address < read_word(vma, vm_start) ? BPF_CORE_READ(node, rb_left) : BPF_CORE_READ(node, rb_right);
	}
	return 0;
}

/* Return the address of the struct vm_area_struct that holds 'address'; 0: none. A reader of a tree that changes may miss it, so it is
 * searched twice. */
SUBPROGRAM __u64 find_mapping(struct task_struct *task, __u64 address)
{
	struct mm_struct *mm = task_field(task, mm);
	struct node *n = node();
	__u64 found;

	for (int i = 0; n && i < 2; i++) {
		n->address = address;
		found = bpf_core_field_exists(mm->mm_mt) ? search_maple_tree(mm, n) : search_rb_tree(mm, address);
		if (is_address(found) && holds((struct vm_area_struct *)found, address))
			return found;
	}
	return 0;
}

/* Return the address of the open file that a task has mapped at 'address', and the offset; 0: none. */
static __always_inline __u64 mapped_file(struct task_struct *task, __u64 address, __u64 *offset)
{
	struct vm_area_struct *vma = (struct vm_area_struct *)find_mapping(task, address);

	if (!vma)
		return 0;
	*offset = address - read_word(vma, vm_start) + (read_word(vma, vm_pgoff) << PAGE_SHIFT);
	return (__u64)read_word(vma, vm_file);
}

/* Set state->last from an open file, unless its type is not traced. */
static __always_inline bool resolve_mapped(struct task_state *s, struct file *file)
{
	if (!type_passes(file, NEED_TYPE))
		return false;
	resolve(s, file, NEED_TYPE);
	return is_needed(s->last.wanted, NEED_TYPE);
}

/* Before munmap and mremap. */
SUBPROGRAM int remember_mapping(struct task_state *s, __u64 address, __u64 nr)
{
	__u64 offset = 0, file;

	remember(s, nr);
	file = mapped_file(current_task(), address, &offset);
	if (!file || !resolve_mapped(s, file_at(file)))
		return 0;
	s->file = s->last.id;
	s->wanted = s->last.wanted;
	s->generation = s->last.generation;
	s->open = opening_of(s, file);
	s->position = offset;
	return 0;
}

SUBPROGRAM bool mapping_call(const struct pt_regs *regs, struct task_state *state, long result)
{
	struct exit_context x = { .state = state, .regs = regs, .result = result };
	const struct shape shape = shape_of(regs->orig_ax);
	struct pending_event *d = &state->pending_event;

	add_ext(d);
	d->target_offset = regs->di;
	d->size = argument(regs, shape.size);
	d->argument = argument(regs, shape.argument);
	if (!resolved_at_enter(&x))
		remember_mapping(state, regs->di, regs->orig_ax);
	d->offset = state->position;
	return recall(&x, d, NEED_TYPE);
}

#endif
