/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The other names of a file: if one of them is at a matching place, the file matches under all of them, and through descriptors
 * that were opened by a name it has lost.
 *
 * Separate from the walk, which handles one name.
 */
#ifndef FILETAP_ALIAS_H
#define FILETAP_ALIAS_H

#include "../event.h"
#include "compat.bpf.h"
#include "kernel.h"
#include "path.bpf.h"
#include "state.bpf.h"
#include "uapi.h"

#define MAX_ALIASES 16

static __always_inline bool is_hashed(struct dentry *dentry)
{
	return read_word(dentry, d_hash.pprev);
}

/* Returns true if the file may have another name than this one. A directory has none. */
static __always_inline bool has_aliases(struct dentry *dentry, struct inode *inode)
{
	__u32 links;

	if (!(config.track_hardlinks || config.follow_renames) || !(config.paths & 1) || !inode ||
	    (read_word(inode, i_mode) & S_IFMT) == S_IFDIR)
		return false;
	links = read_word(inode, i_nlink);
	return links > 1 || (links && !is_hashed(dentry));
}

/* Walk up from the next name; returns false if there is none. It uses the mount of the first name: where that does not show the other
 * name, rules by identity still apply. State is kept in the scratch, to save stack. */
static __always_inline bool judge_next(void)
{
	struct scratch *s = scratch();
	__u64 alias;

	if (!s || !s->alias.next)
		return false;
	alias = s->alias.next - alias_offset();
	s->alias.next = (__u64)read_word((struct hlist_node *)s->alias.next, next);
	if (alias == s->alias.dentry || !is_hashed((struct dentry *)alias))
		return true;
	reset_walk(s, alias, s->alias.mount, false);
	walk();
	s = scratch();
	if (!s)
		return false;
	s->aliases |= ALIAS_SEEN;
	if (!(s->walk.verdict & RULE_EXCLUDE) && s->walk.verdict & (RULE_TREE | RULE_CHILDREN))
		s->aliases |= ALIAS_WANTED;
	return true;
}

/* Set scratch()->aliases from the names that the inode has besides 'dentry'. A name that has long been unused may not be cached. */
__noinline int judge_aliases(__u64 dentry, __u64 mnt)
{
	struct inode *inode = read_word((struct dentry *)dentry, d_inode);
	struct scratch *s = scratch();

	if (!s)
		return 0;
	s->aliases = 0;
	if (!has_aliases((struct dentry *)dentry, inode))
		return 0;
	s->alias.next = (__u64)read_word(inode, i_dentry.first);
	s->alias.dentry = dentry;
	s->alias.mount = mnt;
	for (int i = 0; i < MAX_ALIASES; i++)
		if (!judge_next())
			break;
	return 0;
}

#endif
