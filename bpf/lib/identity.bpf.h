/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What distinguishes a file, a name or a mount from every other, earlier ones included: the kernel reuses memory and numbers, so
 * an address or an inode number identifies something only together with its other properties.
 *
 * Separate, because the cache of files, the rules and the per-task caches must agree on it. docs/adr/0004 lists all tables that
 * depend on it.
 */
#ifndef FILETAP_IDENTITY_H
#define FILETAP_IDENTITY_H

#include "../event.h"
#include "compat.bpf.h"
#include "kernel.h"
#include "uapi.h"

#define MIX 0x9e3779b97f4a7c15ull
#define NAME_WORDS 8

static __always_inline struct mount *real_mount(struct vfsmount *mnt)
{
	return (struct mount *)((void *)mnt - bpf_core_field_offset(struct mount, mnt));
}

static __always_inline __u64 magic_of(struct inode *inode)
{
	return read_word(read_word(inode, i_sb), s_magic);
}

/* Identify a mount and the namespace that it is in, which a mount leaves only for good. Unique ids came with 98d2b4308197 (v6.8);
 * before, the number is unique among the mounts at one time, and the namespace's sequence number is never used again. */
static __always_inline __u64 mount_identity(struct vfsmount *mnt)
{
	struct mount *mount = real_mount(mnt);
	__u64 namespace = (__u64)read_word(mount, mnt_ns);

	if (bpf_core_field_exists(mount->mnt_id_unique))
		return read_word(mount, mnt_id_unique) * MIX ^ namespace;
	return ((__u64)(__u32)read_word(mount, mnt_id) << 32 ^ (__u64)read_word(mnt, mnt_root)) * MIX ^
	       read_word((struct mnt_namespace *)namespace, seq);
}

/* Files outside of the tree have names without a hash (alloc_file_pseudo, fs/file_table.c). All anonymous inodes are one inode, and the
 * name is their only difference. */
SUBPROGRAM __u64 hash_bytes(__u64 address, __u32 length)
{
	__u64 hash = length, word;

	for (__u32 i = 0; i < NAME_WORDS; i++) {
		if (8 * i >= length)
			break;
		word = word_at((void *)(address + 8 * i));
		if (length - 8 * i < 8)
			word &= (1ull << 8 * (length - 8 * i)) - 1;
		hash = (hash ^ word) * MIX;
	}
	return hash;
}

/* Return the dcache's own hash of the name, and its length. */
static __always_inline __u64 name_identity(struct dentry *dentry)
{
	__u64 hash_len = read_word(dentry, d_name.hash_len);

	if (likely((__u32)hash_len || !hash_len))
		return hash_len;
	return hash_bytes((__u64)read_word(dentry, d_name.name), hash_len >> 32);
}

/* btrfs subvolumes share device, inode numbers and generations; the subvolume's id distinguishes them. */
static __always_inline __u64 subvolume(struct inode *inode)
{
	struct btrfs_inode *bi;

	if (!bpf_core_type_exists(struct btrfs_inode) || magic_of(inode) != BTRFS_SUPER_MAGIC)
		return 0;
	bi = (void *)inode - bpf_core_field_offset(struct btrfs_inode, vfs_inode);
	return read_word(read_word(bi, root), root_key.objectid);
}

static __always_inline bool is_overlay(struct inode *inode)
{
	return bpf_core_type_exists(struct ovl_inode) && magic_of(inode) == OVERLAYFS_SUPER_MAGIC;
}

static __always_inline struct ovl_inode *overlay_inode(struct inode *inode)
{
	return (void *)inode - bpf_core_field_offset(struct ovl_inode, vfs_inode);
}

/* Return the inode in overlayfs's layer that holds the contents: the upper file's once there is one, else the lower one's. */
SUBPROGRAM __u64 overlay_real(__u64 address)
{
	struct inode *inode = (struct inode *)address;
	struct dentry *upper;

	if (!is_overlay(inode))
		return 0;
	upper = read_word(overlay_inode(inode), __upperdentry);
	return (__u64)(upper ? read_word(upper, d_inode) : overlay_lower(overlay_inode(inode)));
}

/* Return the inode in the layer that stays the same when the file is copied up: the lower one if there is one. Inline, because the walk
 * up has no frame to spare. */
static __always_inline struct inode *overlay_origin(struct inode *inode)
{
	struct inode *lower = NULL;
	struct dentry *upper;

	if (!is_overlay(inode))
		return NULL;
	lower = overlay_lower(overlay_inode(inode));
	upper = read_word(overlay_inode(inode), __upperdentry);
	return lower || !upper ? lower : read_word(upper, d_inode);
}

/* overlayfs gives its inodes generation 0 and the upper layer's numbers, which that layer reuses. */
static __always_inline __u64 beneath(struct inode *inode)
{
	struct inode *real = (struct inode *)overlay_real((__u64)inode);

	return real ? (read_word(real, i_ino) << 32 ^ read_word(real, i_generation)) * MIX : 0;
}

/* Identify the place of a file with a name: its directory, and the inodes of both in the layer. A directory has one place, and changes
 * it by calls that are traced (count_move), so the other ancestors are not needed. */
static __always_inline __u64 origin_of(struct dentry *dentry, struct inode *inode)
{
	struct inode *parent = read_word(read_word(dentry, d_parent), d_inode);
	__u64 origin = (read_word(parent, i_ino) << 32 ^ read_word(parent, i_generation)) * MIX, magic = magic_of(inode);

	if (unlikely(magic == OVERLAYFS_SUPER_MAGIC))
		origin ^= beneath(inode) * MIX ^ beneath(parent);
	if (unlikely(magic == BTRFS_SUPER_MAGIC))
		origin ^= subvolume(inode) * MIX;
	return origin;
}

/* Without branches, because the verifier follows each of them. */
static __always_inline bool is_same_key(const struct file_key *a, const struct file_key *b)
{
	__u64 differing = (a->dentry ^ b->dentry) | (a->inode ^ b->inode) | (a->name ^ b->name) | (a->mount ^ b->mount) |
			  (a->origin ^ b->origin) | (a->generation ^ b->generation) | (a->sequence ^ b->sequence);

	return !differing;
}

/* Identify a file by its inode, whatever its name. On overlayfs the key stays the same when the file is copied up. Inline for the walk
 * up; elsewhere use rule_key_of(). */
static __always_inline void fill_rule_key(struct rule_key *key, struct inode *inode)
{
	struct inode *origin = overlay_origin(inode);

	key->inode = read_word(inode, i_ino);
	key->device = read_word(read_word(inode, i_sb), s_dev);
	key->generation = read_word(origin ?: inode, i_generation);
	key->layer = origin ? read_word(origin, i_ino) ^ (__u64)read_word(read_word(origin, i_sb), s_dev) << 32 : subvolume(inode);
}

SUBPROGRAM int rule_key_of(struct rule_key *key, struct inode *inode)
{
	fill_rule_key(key, inode);
	return 0;
}

#endif
