/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The walk from a file up to the root of its mount namespace: its name, whether a rule matches it, and a number that changes when
 * a directory on the way is moved.
 *
 * Separate, because it is the only place that depends on dentries and mounts.
 */
#ifndef FILETAP_PATH_H
#define FILETAP_PATH_H

#include "../event.h"
#include "compat.bpf.h"
#include "identity.bpf.h"
#include "kernel.h"
#include "path_rules.bpf.h"
#include "state.bpf.h"

#define MAX_STEPS (PATH_SPACE / 2)

/* scratch.aliases, of the names that a file has besides the one at which the walk starts */
#define ALIAS_SEEN 1 /* the kernel has one in its cache */
#define ALIAS_WANTED 2

/* The position of the walk and what it has found. */
struct walk {
	__u64 dentry;
	__u64 mount; /* 0: stay inside the file system */
	__u64 chain;
	__u32 length;
	__u32 depth;
	__u32 verdict; /* RULE_* found on the way */
	__u16 flags; /* DEFINITION_* */
	__u8 copy;
	__u8 done;
	__u8 below; /* the file is a directory whose children match */
	__u8 in_source_fs; /* inside the file system of a bind mount, only for the rules */
	__u8 reserved[2];
	struct {
		__u64 dentry, mount;
		__u32 depth, done;
		__u64 names[MAX_PATH_RULE_DEPTH + 1];
	} back; /* where the walk continues after that */
	__u64 names[MAX_PATH_RULE_DEPTH + 1]; /* the hash of the last 1, 2, ... names passed; none is 0 */
};

/* One definition being written: the fixed part, with the same length for each kind, then its bytes. */
struct scratch {
	union {
		struct definition head;
		struct file_definition file;
		struct name_definition name;
		struct task_definition task;
		struct cgroup_definition cgroup;
		char fixed[DEFINITION_FIXED];
	};
	char bytes[PATH_SPACE + COMPONENT_SPACE];
	struct walk walk;
	struct {
		__u64 next, dentry, mount;
	} alias; /* the rest of an inode's list of dentries, and the one by which the file was found */
	__u32 aliases; /* ALIAS_*, of the file that find_file() looks up */
	__u32 reserved;
	__u64 dentry, mount, inode; /* addresses: fill_key() for refresh() */
	struct file_key key; /* of find_file(), like the next two: here because the stack of a call chain is 512 bytes */
	struct file_entry entry;
	struct rule_key rule_key;
	struct path_rule_key path_rule_key;
};

PER_CPU(scratch, struct scratch, ft_path_scratch)

/* A rule for a directory 'depth' names above the file. */
static __always_inline void count_rule(struct walk *w, __u32 rule, __u32 depth)
{
	if (depth > 1)
		rule &= RULE_TREE | RULE_EXCLUDE;
	if (depth || w->chain)
		rule &= ~RULE_HARDLINK;
	if (!depth && rule & (RULE_TREE | RULE_CHILDREN))
		w->below = 1;
	w->verdict |= rule;
}

static __always_inline void apply_rules(struct scratch *s, struct dentry *dentry)
{
	struct inode *inode = read_word(dentry, d_inode);
	struct walk *w = &s->walk;
	__u32 *rule;

	if (!inode)
		return;
	fill_rule_key(&s->rule_key, inode);
	rule = bpf_map_lookup_elem(&ft_inode_rules, &s->rule_key);
	if (rule)
		count_rule(w, *rule, w->depth);
}

/* Apply rules by name: the last 1, 2, ... names passed, this one the last, below the directory 'up'. */
static __always_inline int apply_hash(__u64 hash, __u64 up)
{
	struct inode *inode = read_word((struct dentry *)up, d_inode);
	struct scratch *s = scratch();
	struct path_rule_key *key;
	struct walk *w;
	__u32 *rule;

	if (!s)
		return 0;
	w = &s->walk;
	key = &s->path_rule_key;
	for (int i = MAX_PATH_RULE_DEPTH; i > 0; i--)
		if (i <= config.path_rule_depth)
			w->names[i] = w->names[i - 1] * HASH_CHAIN ^ hash;
	if (!hash || !inode)
		return 0;
	fill_rule_key(&key->directory, inode);
	for (__u32 i = 0; i < MAX_PATH_RULE_DEPTH; i++) {
		if (i >= config.path_rule_depth || i > w->depth)
			break;
		key->names = w->names[i + 1];
		rule = bpf_map_lookup_elem(&ft_path_rules, key);
		if (rule)
			count_rule(w, *rule, w->depth - i);
	}
	return 0;
}

static __always_inline int apply_names(__u64 dentry, __u64 up)
{
	return apply_hash(hash_of((struct dentry *)dentry), up);
}

/* The root of a bind mount matches at its place in its own file system too: walk there first, then on from the mount point. */
static __always_inline void step_aside(struct scratch *s, struct dentry *dentry, struct dentry *up)
{
	struct walk *w = &s->walk;

	w->back.dentry = w->dentry;
	w->back.mount = w->mount;
	w->back.depth = w->depth;
	w->back.done = w->done;
	w->dentry = (__u64)up;
	w->mount = 0;
	w->done = 0;
	w->in_source_fs = 1;
	if (config.path_rule_depth) {
		__builtin_memcpy(w->back.names, w->names, sizeof(w->names));
		apply_names((__u64)dentry, (__u64)up);
	}
	w->depth++;
}

static __always_inline bool step_back(struct walk *w)
{
	w->dentry = w->back.dentry;
	w->mount = w->back.mount;
	w->depth = w->back.depth;
	w->done = w->back.done;
	w->in_source_fs = 0;
	if (config.path_rule_depth)
		__builtin_memcpy(w->names, w->back.names, sizeof(w->names));
	return w->done != 0;
}

static __always_inline int copy_component(struct scratch *s, struct dentry *dentry)
{
	const char *name = read_word(dentry, d_name.name);
	__u32 length = BPF_CORE_READ(dentry, d_name.len);
	__u32 at = s->walk.length;

	if (at >= PATH_SPACE || length >= COMPONENT_SPACE) {
		s->walk.flags |= DEFINITION_TRUNCATED;
		s->walk.done = 1;
		return 0;
	}
	if (bpf_probe_read_kernel(s->bytes + at, length, name))
		s->walk.flags |= DEFINITION_RACED;
	s->bytes[(at + length) & (2 * PATH_SPACE - 1)] = 0;
	s->walk.length = at + length + 1;
	return 0;
}

/* Read after the name: a rename meanwhile makes it differ from that of the walk before. The names are part of it, because with reused
 * memory everything else may be the same. */
static __always_inline void add_to_chain(struct walk *w, struct dentry *dentry)
{
	w->chain = (w->chain ^ (__u64)dentry ^ read_word(dentry, d_seq.seqcount.sequence)) * MIX;
	w->chain = (w->chain ^ read_word(dentry, d_name.hash_len)) * MIX;
}

/* Go from the root of a mount to its mount point. */
static __always_inline bool cross_mount(struct scratch *s)
{
	struct dentry *dentry = (struct dentry *)s->walk.dentry, *up;
	struct mount *mount = (struct mount *)s->walk.mount, *parent;
	struct walk *w = &s->walk;

	parent = read_word(mount, mnt_parent);
	w->chain = (w->chain ^ mount_identity(&mount->mnt)) * MIX;
	w->done = parent == mount;
	if (w->done && !read_word(mount, mnt_ns))
		w->flags |= DEFINITION_DETACHED;
	w->mount = (__u64)parent;
	w->dentry = (__u64)read_word(mount, mnt_mountpoint);
	up = config.paths ? read_word(dentry, d_parent) : dentry;
	if (up != dentry)
		step_aside(s, dentry, up);
	return w->done;
}

/* Go from a name to its directory. */
static __always_inline bool climb(struct scratch *s)
{
	struct walk *w = &s->walk;
	__u64 dentry = w->dentry, up = (__u64)read_word((struct dentry *)dentry, d_parent);

	if (w->in_source_fs && up == dentry)
		return step_back(w);
	w->dentry = up;
	if (up == dentry) {
		w->done = 1;
		if (!w->mount)
			return true;
		w->flags |= DEFINITION_DETACHED;
	}
	if (config.path_rule_depth && (w->mount || w->in_source_fs))
		apply_names(dentry, up);
	if (w->copy && !w->in_source_fs)
		copy_component(s, (struct dentry *)dentry);
	add_to_chain(w, (struct dentry *)dentry);
	w->depth++;
	return w->done;
}

static __always_inline bool at_mount_root(const struct walk *w)
{
	return w->mount && w->dentry == (__u64)read_word((struct mount *)w->mount, mnt.mnt_root);
}

/* Go one step up. Returns true at the top. */
static __always_inline bool step(struct scratch *s)
{
	struct walk *w = &s->walk;

	if (config.paths && (w->mount || w->in_source_fs))
		apply_rules(s, (struct dentry *)w->dentry);
	if (!at_mount_root(w))
		return climb(s);
	add_to_chain(w, (struct dentry *)w->dentry);
	return cross_mount(s);
}

/* Returns 1 at the top, as the next does. Global, so that the verifier reads it once, and not in each iteration of the loops around it. */
__noinline int one_step(void)
{
	struct scratch *s = scratch();

	return !s || step(s);
}

__noinline int some_steps(void)
{
	for (int i = 0; i < STEPS_AT_ONCE; i++)
		if (one_step())
			return 1;
	return 0;
}

static __always_inline void walk(void)
{
	for (int i = 0; i < MAX_STEPS / STEPS_AT_ONCE; i++)
		if (some_steps())
			break;
}

static __always_inline bool is_wanted(__u32 verdict)
{
	if (verdict & RULE_EXCLUDE)
		return false;
	return !(config.paths & 1) || (verdict & (RULE_TREE | RULE_CHILDREN | RULE_HARDLINK | RULE_ALIAS));
}

static __always_inline void reset_walk(struct scratch *s, __u64 dentry, __u64 mnt, bool copy)
{
	__builtin_memset(&s->walk, 0, __builtin_offsetof(struct walk, back));
	if (config.path_rule_depth)
		__builtin_memset(s->walk.names, 0, sizeof(s->walk.names));
	s->walk.dentry = dentry;
	s->walk.mount = (__u64)real_mount((struct vfsmount *)mnt);
	s->walk.copy = copy;
}

/* Walk up from (dentry, mnt); the result is in scratch()->walk, and the names in its bytes if 'copy' is set. */
__noinline int walk_up(__u64 dentry, __u64 mnt, int copy)
{
	struct scratch *s = scratch();

	if (!s)
		return 0;
	reset_walk(s, dentry, mnt, copy);
	walk();
	if (!s->walk.done)
		s->walk.flags |= DEFINITION_TRUNCATED;
	if (s->aliases & ALIAS_WANTED)
		s->walk.verdict |= RULE_ALIAS;
	return 0;
}

/* Append to the names already copied those up to the root of the file system. Returns their length in bytes. */
SUBPROGRAM __u32 walk_fs_path(__u64 dentry)
{
	struct scratch *s = scratch();
	__u32 before;

	if (!s)
		return 0;
	before = s->walk.length;
	s->walk.dentry = dentry;
	s->walk.mount = 0;
	s->walk.copy = true;
	s->walk.done = 0;
	walk();
	return s->walk.length - before;
}

#endif
