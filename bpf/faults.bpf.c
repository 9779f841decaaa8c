// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Accesses through mapped memory, traced as page faults: file, offset, for reading or writing, and whether the page had to be
 * read from the device. Separate, because its hook runs on every fault of every process, and so is attached only for -e fault.
 */
#include "event.h"
#include "lib/compat.bpf.h"
#include "lib/descriptor.bpf.h"
#include "lib/emit.bpf.h"
#include "lib/kernel.h"
#include "lib/pending_event.bpf.h"
#include "lib/mapping.bpf.h"
#include "lib/opening.bpf.h"
#include "lib/state.bpf.h"
#include "lib/target.bpf.h"
#include "lib/uapi.h"

/* arch/x86/include/asm/trap_pf.h */
#define PF_WRITE 2
#define PF_INSTR 16

/* enum of include/linux/xarray.h: an entry whose two lowest bits are 2 is internal to the array: a node, or a sibling, which stands for
 * the slot where a larger folio begins. */
#define XA_LEVELS 12
#define XA_CHUNK_MASK 63

static __always_inline bool is_node(__u64 entry)
{
	return (entry & 3) == 2 && entry > 4096;
}

static __always_inline __u64 slot_at(__u64 node, __u32 at)
{
	void *slots = (void *)node + bpf_core_field_offset(struct xa_node, slots);
	__u64 entry = word_at(slots + 8 * (at & XA_CHUNK_MASK));

	if ((entry & 3) == 2 && entry <= 4096)
		entry = word_at(slots + 8 * ((entry >> 2) & XA_CHUNK_MASK));
	return entry;
}

static __always_inline struct xa_node *node_at(__u64 entry)
{
	return HAS_CAST ? cast_kernel(struct xa_node, entry - 2) : (struct xa_node *)(entry - 2);
}

/* Return the page cache's entry for a page: a folio, a value that replaces an evicted one, or 0 (xas_load, lib/xarray.c). */
static __always_inline __u64 cached_page(struct file *file, __u64 index)
{
	__u64 entry = (__u64)read_field(file, f_mapping, i_pages.xa_head);

	if (!is_node(entry))
		return index ? 0 : entry;
	for (int i = 0; i < XA_LEVELS; i++) {
		__u8 shift = read_field(node_at(entry), shift);

		if (!i && index >> shift > XA_CHUNK_MASK)
			return 0;
		entry = slot_at(entry - 2, index >> shift);
		if (!is_node(entry))
			break;
	}
	return entry;
}

/* As the kernel counts it: filemap_fault() found no folio, or the page of a shmem file is in swap. */
static __always_inline bool is_major(struct file *file, __u64 offset)
{
	__u64 entry = cached_page(file, offset >> PAGE_SHIFT);

	if (read_field(file, f_inode, i_sb, s_magic) == TMPFS_MAGIC)
		return entry & 1;
	return !entry || entry & 1;
}

static __always_inline bool beyond_end(struct file *file, __u64 offset)
{
	__u64 size = read_field(file, f_inode, i_size);

	return offset >> PAGE_SHIFT >= (size + (1 << PAGE_SHIFT) - 1) >> PAGE_SHIFT;
}

/* Fill the pending event's file, offset and kind. Returns false if the file does not match. */
static __always_inline bool fill_fault_event(struct task_state *s, __u64 address, __u64 error, __u16 call)
{
	__u64 offset = 0, mapped = mapped_file(current_task(), address, &offset);
	struct file *file = file_at(mapped);
	struct pending_event *d;

	if (!mapped || !resolve_mapped(s, file))
		return false;
	d = new_pending_event(s, OP_FAULT, call, 0);
	if (S_ISREG(read_field(file, f_inode, i_mode)) && beyond_end(file, offset))
		d->result = -EFAULT;
	d->entered = 0;
	d->offset = offset;
	d->size = address;
	give_file(d, s->last.id, true, opening_of(s, mapped));
	d->flags = (error & PF_WRITE ? EVENT_WRITE : 0) | (error & PF_INSTR ? EVENT_EXEC : 0);
	if (is_major(file, offset))
		d->flags |= EVENT_MAJOR;
	return !(config.failed && d->result >= 0) && !config.min_latency;
}

/* A separate function, to save stack. */
static __noinline bool fill_faulted_event(struct task_state *s, __u64 address, __u64 error, __u16 call)
{
	return fill_fault_event(s, address, error, call);
}

/* A fault in the middle of a system call must not overwrite what the entry of the call has recorded. */
static __always_inline int report_fault(__u64 address, __u64 error, __u16 call)
{
	struct task_struct *task = current_task();
	struct task_state *s;
	__u64 entered;

	if (!call || is_untraced(task) || !(s = current_target(task)))
		return 0;
	entered = s->entered;
	if (fill_faulted_event(s, address, error, call))
		emit(&s->pending_event, task, s);
	s->entered = entered;
	return 0;
}

SEC("tp_btf/page_fault_user")
int ft_fault_user(__u64 *ctx)
{
	return report_fault(ctx[0], ctx[2], config.fault_calls[0]);
}

/* A helper that reads this counter has itself incremented it (copy_from_kernel_nofault, mm/maccess.c). */
static __always_inline bool may_not_fault(struct task_struct *task)
{
	return task_field(task, pagefault_disabled) > (HAS_TASK_STORAGE ? 0 : 1);
}

/* The kernel's own accesses to a task's memory, such as those of read(2) into a mapping. Accesses that may not fault, including a
 * probe's own reads, bring no page in. */
SEC("tp_btf/page_fault_kernel")
int ft_fault_kernel(__u64 *ctx)
{
	if (may_not_fault(current_task()))
		return 0;
	return report_fault(ctx[0], ctx[2], config.fault_calls[1]);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
