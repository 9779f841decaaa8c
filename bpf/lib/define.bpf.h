/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Ids: a file or a task is described once on the definitions ring and referred to by a number afterwards.
 *
 * Separate, because the order matters: submit the definition, then publish its id. A definition that failed is not published, and
 * its event carries the identity itself.
 */
#ifndef FILETAP_DEFINE_H
#define FILETAP_DEFINE_H

#include "../event.h"
#include "compat.bpf.h"
#include "identity.bpf.h"
#include "kernel.h"
#include "path.bpf.h"
#include "state.bpf.h"
#include "uapi.h"

static __always_inline long submit_definition(struct scratch *s, struct counters *c)
{
	__u32 length = s->head.length;
	long error;

	if (length > PATH_SPACE + COMPONENT_SPACE)
		length = PATH_SPACE + COMPONENT_SPACE;
	error = bpf_ringbuf_output(&ft_definitions, s, DEFINITION_FIXED + length, BPF_RB_NO_WAKEUP);
	if (error)
		c->undefined++;
	return error;
}

/* Submit and discard an empty record, only for its wake-up. */
static __always_inline void wake_reader(void)
{
	void *record = bpf_ringbuf_reserve(&ft_wakeups, 8, 0);

	if (record)
		bpf_ringbuf_discard(record, BPF_RB_FORCE_WAKEUP);
}

static __always_inline void start_definition(struct scratch *s, enum definition_kind kind, __u32 id)
{
	__builtin_memset(s, 0, DEFINITION_FIXED);
	s->head.kind = kind;
	s->head.id = id;
}

/* Walk again with names, after a walk without: a rename in between shows as another chain. */
static __always_inline void walk_again(struct scratch *s, __u64 dentry, __u64 mnt)
{
	for (int i = 0; i < 2; i++) {
		__u64 before = s->walk.chain;

		walk_up(dentry, mnt, true);
		if (before == s->walk.chain)
			return;
	}
	s->walk.flags |= DEFINITION_RACED;
}

static __always_inline void fill_real(struct file_definition *d, struct inode *inode)
{
	struct inode *real = (struct inode *)overlay_real((__u64)inode);

	if (!real)
		return;
	d->real_inode = read_word(real, i_ino);
	d->real_device = read_word(read_word(real, i_sb), s_dev);
}

/* Count files of a module that was loaded after these programs: the offsets in its structures are not known. */
static __always_inline void count_late_module(__u64 magic)
{
	struct counters *c = counters();
	bool late = (magic == OVERLAYFS_SUPER_MAGIC && !bpf_core_type_exists(struct ovl_inode)) ||
		    (magic == BTRFS_SUPER_MAGIC && !bpf_core_type_exists(struct btrfs_inode));

	if (late && c)
		c->late_modules++;
}

/* Return the text from which d_dname generates a file's name, where that is not in its dentry: the kind of a namespace (ns_dname,
 * fs/nsfs.c), the name that a buffer was given (dmabuffs_dname, drivers/dma-buf/dma-buf.c). */
static __always_inline const char *made_up_name(struct dentry *dentry, struct inode *inode, __u64 magic)
{
	if (magic == NSFS_MAGIC)
		return read_word(read_word((struct ns_common *)read_word(inode, i_private), ops), name);
	if (magic == DMA_BUF_MAGIC && bpf_core_type_exists(struct dma_buf))
		return read_word((struct dma_buf *)read_word(dentry, d_fsdata), name);
	return NULL;
}

/* A dentry that is its own parent, but not the root of its mount: in no tree, or not yet known to be in one (d_path, fs/d_path.c). */
static __always_inline void describe_lone_dentry(struct scratch *s, struct dentry *dentry, struct inode *inode)
{
	struct dentry_operations *ops = read_word(dentry, d_op);
	const char *name;
	long length;

	if (!ops || !read_word(ops, d_dname)) {
		s->head.flags |= DEFINITION_NO_PATH;
		return;
	}
	s->head.flags |= DEFINITION_NO_TREE;
	name = made_up_name(dentry, inode, s->file.magic);
	length = name ? bpf_probe_read_kernel_str(s->bytes, COMPONENT_SPACE, name) : 0;
	if (length > 0) {
		s->head.length = length;
		s->file.fs_path = 0;
	}
}

/* Fill the definition in the scratch, except for its names. A separate function, to save stack. */
SUBPROGRAM int describe_file(__u64 dentry_address, __u64 mnt_address)
{
	struct dentry *dentry = (struct dentry *)dentry_address;
	struct mount *mount = real_mount((struct vfsmount *)mnt_address);
	struct inode *inode = read_word(dentry, d_inode);
	struct scratch *s = scratch();

	if (!s)
		return 0;
	s->file.inode = read_word(inode, i_ino);
	s->file.subvolume = subvolume(inode);
	s->file.size = read_word(inode, i_size);
	s->file.parent = read_word(read_word(read_word(dentry, d_parent), d_inode), i_ino);
	s->file.key_dentry = s->key.dentry;
	s->file.key_mount = s->key.mount;
	s->file.key_name = s->key.name;
	s->file.key_origin = s->key.origin;
	s->file.sequence = s->key.sequence;
	s->file.device = read_word(read_word(inode, i_sb), s_dev);
	s->file.generation = read_word(inode, i_generation);
	s->file.mode = read_word(inode, i_mode);
	s->file.rdev = read_word(inode, i_rdev);
	s->file.magic = read_word(read_word(inode, i_sb), s_magic);
	s->file.mount = read_word(mount, mnt_id);
	s->file.mount_namespace = read_word(read_word(mount, mnt_ns), ns.inum);
	fill_real(&s->file, inode);
	count_late_module(s->file.magic);
	bpf_probe_read_kernel_str(s->file.filesystem, sizeof(s->file.filesystem),
				  read_word(read_word(read_word(inode, i_sb), s_type), name));
	/* An unlinked name is removed from the dentry cache's hash; a root was never in it. */
	if (read_word(dentry, d_parent) != dentry)
		s->head.flags |= read_word(dentry, d_hash.pprev) ? 0 : DEFINITION_DELETED;
	else if (read_word(mount, mnt.mnt_root) != dentry)
		describe_lone_dentry(s, dentry, inode);
	return 0;
}

/* Define the current path and attributes of (dentry, mnt) under a new id; returns 0 when the ring is full. */
static __always_inline __u32 define_file(__u64 dentry, __u64 mnt)
{
	struct counters *c = counters();
	struct scratch *s = scratch();

	if (!c || !s)
		return 0;
	walk_again(s, dentry, mnt);
	start_definition(s, DEFINE_FILE, new_id(c));
	s->head.flags = s->walk.flags;
	if (config.fs_path)
		s->file.fs_path = walk_fs_path(dentry);
	s->head.length = s->walk.length;
	s->head.flags |= s->walk.flags;
	describe_file(dentry, mnt);
	return submit_definition(s, c) ? 0 : s->head.id;
}

#endif
