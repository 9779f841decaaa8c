/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * How kernel memory is read, and everything that differs between kernels.
 * Apart, so that no probe tests for a kernel: each difference is found by BTF and named with its commit here.
 * Next: lib/state.bpf.h, the maps and the run's configuration.
 */
#ifndef FILETAP_COMPAT_H
#define FILETAP_COMPAT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "../event.h"
#include "kernel.h"

#ifndef barrier
#define barrier() asm volatile("" ::: "memory")
#endif
#define unlikely(x) __builtin_expect(!!(x), 0)
#define likely(x) __builtin_expect(!!(x), 1)

/* A function of its own to the verifier and the stack; inline, because not every object calls it. */
#define SUBPROGRAM static inline __attribute__((noinline))

/* bpf_rdonly_cast came with a35b9af4ec2c (v6.2): plain loads instead of a helper call for each member, half the cost
 * of an event. Older kernels take the other branch; the verifier drops the one that config.direct rules out. */
extern void *bpf_rdonly_cast(const void *object, __u32 btf_id) __ksym __weak;

#define as(type, pointer) ((type *)bpf_rdonly_cast((void *)(pointer), bpf_core_type_id_kernel(type)))

/* A member through a pointer of as(type), when the constant 'direct' is in scope and true; by helper otherwise. */
#define get(pointer, first, ...) (direct ? get_plain(pointer, first, ##__VA_ARGS__) : BPF_CORE_READ(pointer, first, ##__VA_ARGS__))
#define get_plain(pointer, ...) ___arrow(pointer, ##__VA_ARGS__)
#undef ___arrow1
#undef ___arrow2
#undef ___arrow3
#define ___arrow1(a) a
#define ___arrow2(a, b) a->b
#define ___arrow3(a, b, c) a->b->c

/* Any word of the kernel's memory, as a number: thread_info begins with a long. */
static __always_inline __u64 word_at(const void *address, const bool direct)
{
	__u64 word = 0;

	if (direct)
		return as(struct thread_info, address)->flags;
	bpf_probe_read_kernel(&word, sizeof(word), address);
	return word;
}

/* A string of user space with its NUL: its length with the NUL, or an error. Of an empty string strncpy_from_user_nofault
 * told 0, without the NUL that it counted for all others, as 6.1 does. */
static __always_inline long read_user_string(char *to, __u32 space, const char *from)
{
	long length = bpf_probe_read_user_str(to, space, from);

	return length ? length : 1;
}

/* A member of at most eight bytes, through any pointer. What comes of it is a number to the verifier, which would not let
 * us make one of a pointer. */
#define load(pointer, member)                                                                                                              \
	((__typeof__((pointer)->member))word_at((void *)(pointer) + load_offset(__typeof__(pointer), member), config.direct))
#define load_offset(type, member) bpf_core_field_offset(((type)0)->member)

/* kernfs_node.parent became __parent in 633488947ef6 (v6.15). */
static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *node)
{
	struct kernfs_node___before_6_15 *old = (void *)node;

	if (bpf_core_field_exists(old->parent))
		return BPF_CORE_READ(old, parent);
	return BPF_CORE_READ(node, __parent);
}

/* Does more than one descriptor lead to this open file? file.f_count became f_ref, which counts from zero, in
 * 90ee6ed776c0 (v6.13). */
static __always_inline bool file_shared(struct file *file, const bool direct)
{
	struct file___before_6_13 *old = (void *)file;

	if (!bpf_core_field_exists(old->f_count))
		return get(file, f_ref.refcnt.counter) > 0;
	return BPF_CORE_READ(old, f_count.counter) > 1;
}

/* ovl_inode.lowerpath became an ovl_entry's stack in 0af950f57fef and a6ff2bc0be17 (v6.5). */
static __always_inline struct inode *overlay_lower(struct ovl_inode *oi)
{
	struct ovl_inode___before_6_5 *old = (void *)oi;
	struct ovl_entry *entry;

	if (bpf_core_field_exists(old->lowerpath))
		return BPF_CORE_READ(old, lowerpath.dentry, d_inode);
	entry = BPF_CORE_READ(oi, oe);
	return entry && BPF_CORE_READ(entry, __numlower) ? BPF_CORE_READ(entry, __lowerstack[0].dentry, d_inode) : NULL;
}

#endif
