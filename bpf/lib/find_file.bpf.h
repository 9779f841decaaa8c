/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * From an open file to its id: the cache of files, what makes an entry outdated, and a new definition where there is none.
 *
 * Separate from define.bpf.h, because a task or a name is defined without this cache.
 */
#ifndef FILETAP_FIND_FILE_H
#define FILETAP_FIND_FILE_H

#include "../event.h"
#include "alias.bpf.h"
#include "compat.bpf.h"
#include "define.bpf.h"
#include "identity.bpf.h"
#include "kernel.h"
#include "path.bpf.h"
#include "state.bpf.h"
#include "uapi.h"

static __always_inline bool type_wanted(struct inode *inode)
{
	__u32 mode = read_word(inode, i_mode);
	__u64 magic = read_word(read_word(inode, i_sb), s_magic);

	/* Since cfd86ef7e8e7 (v6.15) anonymous inodes have the type of regular files, but not in stat(2). */
	if (magic == ANON_INODE_FS_MAGIC)
		mode = 0;
	return config.types & (1u << ((mode & S_IFMT) >> 12));
}

/* Returns true if the rules give the same verdict as when the file was defined. */
static __always_inline bool is_same_verdict(const struct file_entry *entry, __u32 verdict)
{
	return !(entry->wanted & WANTED_PATH) == !is_wanted(verdict) && !entry->alias == !(verdict & RULE_ALIAS);
}

/* Returns true if the entry of a file is still valid. After a rename or a mount anywhere, its ancestors are compared. */
static __always_inline bool is_current(struct file_entry *entry, __u64 dentry, __u64 mnt, __u32 epoch)
{
	struct scratch *s = scratch();

	if (entry->epoch == epoch)
		return true;
	judge_aliases(dentry, mnt);
	walk_up(dentry, mnt, false);
	if (!s || s->walk.chain != entry->chain || !is_same_verdict(entry, s->walk.verdict))
		return false;
	entry->epoch = epoch;
	return true;
}

/* What the caller of find_file() needs: files of the requested types, files of any type, a directory or other path whatever the filters
 * decide, or only the verdict. */
#define NEED_TYPE 0
#define NEED_ANY 1
#define NEED_ALWAYS 2
#define NEED_NOTHING 3

/* A structure in a register: the compiler returns those of functions that are not inline through memory, which a global function may
 * not. */
union found_word {
	struct found found;
	__u64 word;
};

static __always_inline __u64 found_as_word(__u32 id, __u32 wanted)
{
	return ((union found_word){ .found = { id, wanted } }).word;
}

static __always_inline struct found found_in_word(__u64 word)
{
	return ((union found_word){ .word = word }).found;
}

static __always_inline bool is_wanted_file(struct found found)
{
	return (found.wanted & WANTED) == WANTED;
}

static __always_inline bool is_needed(__u32 wanted, int need)
{
	if (need == NEED_NOTHING)
		return false;
	return need == NEED_ALWAYS || (wanted & WANTED) == WANTED || (need == NEED_ANY && wanted & WANTED_PATH);
}

static __always_inline __u32 publish(const struct file_key *key, const struct file_entry *entry, bool known)
{
	struct counters *c = counters();
	struct globals *g = globals();
	struct file_entry *other;

	if (!bpf_map_update_elem(&ft_files, key, entry, known ? BPF_ANY : BPF_NOEXIST)) {
		if (!known && g)
			__sync_fetch_and_add(&g->files, 1);
		if (c && entry->touched)
			c->files++;
		return entry->id;
	}
	other = bpf_map_lookup_elem(&ft_files, key);
	if (!other && c)
		c->files_full++;
	return other && other->id && other->epoch == entry->epoch ? other->id : entry->id;
}

/* Count the file at the first event that refers to it. Directories that are looked up only for their names do not count. */
static __always_inline void count_touch(struct file_entry *entry, int need)
{
	struct counters *c = counters();

	if (c && need != NEED_ALWAYS && is_needed(entry->wanted, need) && !entry->touched) {
		entry->touched = 1;
		c->files++;
	}
}

/* Make a matching file a rule by its identity; with --follow it then matches wherever it is moved. */
SUBPROGRAM int remember_file(__u64 dentry)
{
	struct inode *inode = read_word((struct dentry *)dentry, d_inode);
	__u32 rule = config.follow_renames ? RULE_TREE : RULE_HARDLINK;
	bool directory = (read_word(inode, i_mode) & S_IFMT) == S_IFDIR;
	struct counters *c = counters();
	struct scratch *s = scratch();
	struct rule_key key = {};
	long error;

	/* Files below a directory that only matches as a child were not requested. */
	if (!s || (directory && (!config.follow_renames || (config.paths & 1 && !(s->walk.verdict & RULE_TREE)))))
		return 0;
	rule_key_of(&key, inode);
	error = bpf_map_update_elem(&ft_inode_rules, &key, &rule, BPF_NOEXIST);
	if (!error && (config.follow_renames || read_word(inode, i_nlink) > 1))
		count_move(0); /* under other names it may be cached as not matching */
	if (error == -E2BIG && c)
		c->rules_full++;
	return 0;
}

/* Returns true if the file matches only because of its former place. */
static __always_inline bool was_hardlink(__u32 verdict)
{
	return (verdict & (RULE_TREE | RULE_CHILDREN | RULE_EXCLUDE | RULE_HARDLINK | RULE_ALIAS)) == RULE_HARDLINK;
}

/* A file with one name that matches only because of its former place has been moved away: delete its rule. It is kept where the present
 * name cannot be found: without a path to the root, where names that differ in bytes may be the same, and if the file is used through a
 * descriptor by a name it has lost while its present name is not cached. The walk is repeated, in case a rename happened during it. */
static __always_inline int drop_hardlink(__u64 dentry_address, __u64 mnt)
{
	struct dentry *dentry = (struct dentry *)dentry_address;
	struct inode *inode = read_word(dentry, d_inode);
	struct scratch *s = scratch();
	__u64 before;

	if (!s || s->walk.flags & (DEFINITION_DETACHED | DEFINITION_TRUNCATED))
		return 0;
	if (read_word(inode, i_nlink) > 1 || read_word(dentry, d_flags) & DCACHE_OP_COMPARE)
		return 0;
	if (!is_hashed(dentry) && !(s->aliases & ALIAS_SEEN))
		return 0;
	before = s->walk.chain;
	walk_up(dentry_address, mnt, false);
	if (s->walk.chain != before || !was_hardlink(s->walk.verdict))
		return 0;
	rule_key_of(&s->rule_key, inode);
	bpf_map_delete_elem(&ft_inode_rules, &s->rule_key);
	s->walk.verdict = 0;
	return 0;
}

static __always_inline __u32 wanted_by_rules(const struct walk *w)
{
	if (!is_wanted(w->verdict))
		return 0;
	return WANTED_PATH | (w->below || w->verdict & RULE_TREE ? WANTED_BELOW : 0);
}

/* Look the file of this key up. If few files match, most are rejected. */
static __always_inline struct file_entry *known_file(const struct file_key *key, bool *is_rejected)
{
	struct file_entry *entry;

	*is_rejected = true;
	entry = config.paths & 1 ? bpf_map_lookup_elem(&ft_rejected, key) : NULL;
	if (entry)
		return entry;
	*is_rejected = false;
	return bpf_map_lookup_elem(&ft_files, key);
}

/* Fill the key of a file, in the scratch. Global, so that the verifier reads it once and not at each caller. */
__noinline int fill_key(__u64 dentry_address, __u64 mnt, __u64 inode_address)
{
	struct dentry *dentry = (struct dentry *)dentry_address;
	struct inode *inode = (struct inode *)inode_address;
	struct scratch *s = scratch();
	struct file_key *key;

	if (!s)
		return 0;
	key = &s->key;
	key->inode = read_word(inode, i_ino);
	key->dentry = dentry_address;
	key->mount = mount_identity((struct vfsmount *)mnt);
	key->name = name_identity(dentry);
	key->origin = origin_of(dentry, inode);
	key->generation = read_word(inode, i_generation);
	key->sequence = read_word(dentry, d_seq.seqcount.sequence);
	return 0;
}

/* Find the file at (dentry, mnt), whose key is in the scratch, as a word. It is defined if it was not and an id is needed. Global like
 * walk_up(). A name that has no file yet is defined each time: nothing distinguishes it from another that was in the same memory. */
__noinline __u64 find_by_key(__u64 dentry_address, __u64 mnt, int need)
{
	struct dentry *dentry = (struct dentry *)dentry_address;
	struct inode *inode = read_word(dentry, d_inode);
	struct scratch *s = scratch();
	struct globals *g = globals();
	struct file_entry *old, *new;
	bool is_rejected = false;

	if (!g || !s)
		return 0;
	new = &s->entry;
	__builtin_memset(new, 0, sizeof(*new));
	new->epoch = epoch_now(g);
	old = inode ? known_file(&s->key, &is_rejected) : NULL;
	if (old && (old->id || !is_needed(old->wanted, need)) && is_current(old, dentry_address, mnt, new->epoch)) {
		count_touch(old, need);
		return found_as_word(old->id, old->wanted);
	}
	judge_aliases(dentry_address, mnt);
	walk_up(dentry_address, mnt, false);
	if (config.track_hardlinks && was_hardlink(s->walk.verdict))
		drop_hardlink(dentry_address, mnt);
	new->chain = s->walk.chain;
	new->alias = !!(s->walk.verdict & RULE_ALIAS);
	new->wanted = (type_wanted(inode) ? WANTED_TYPE : 0) | wanted_by_rules(&s->walk) | (s->walk.depth ? 0 : WANTED_TOP);
	if ((config.follow_renames || config.track_hardlinks) && new->wanted & WANTED_PATH && !(s->walk.verdict & RULE_HARDLINK))
		remember_file(dentry_address);
	if (is_needed(new->wanted, need))
		new->id = define_file(dentry_address, mnt);
	if (!inode) {
		if (new->id)
			count_touch(new, need);
		return found_as_word(new->id, new->wanted);
	}
	new->touched = need != NEED_ALWAYS && new->id;
	if (!new->id && config.paths & 1 && (!old || is_rejected)) {
		if (!is_needed(new->wanted, need))
			bpf_map_update_elem(&ft_rejected, &s->key, new, BPF_ANY);
		return found_as_word(0, new->wanted);
	}
	if (is_rejected)
		bpf_map_delete_elem(&ft_rejected, &s->key);
	if (new->id || !is_needed(new->wanted, need))
		new->id = publish(&s->key, new, old && !is_rejected);
	return found_as_word(new->id, new->wanted);
}

static __always_inline struct found find_file(__u64 dentry, __u64 mnt, int need)
{
	fill_key(dentry, mnt, (__u64)read_word((struct dentry *)dentry, d_inode));
	return found_in_word(find_by_key(dentry, mnt, need));
}

/* Update a task's cache of a file it has just used to the one at (dentry, mnt): its id, and WANTED_*. */
static __always_inline void refresh(struct file_cache *c, struct dentry *dentry, struct vfsmount *mnt, struct inode *inode, int need)
{
	struct globals *g = globals();
	struct scratch *s = scratch();
	struct found found;

	if (!s)
		return;
	s->dentry = (__u64)dentry;
	s->mount = (__u64)mnt;
	s->inode = (__u64)inode;
	barrier(); /* read back from the map they are plain numbers, which a global function accepts */
	fill_key(s->dentry, s->mount, s->inode);
	if (g && c->epoch == epoch_now(g) && c->generation == (__u32)g->generation && (c->id || !is_needed(c->wanted, need)) &&
	    is_same_key(&c->key, &s->key))
		return;
	c->key = s->key;
	found = found_in_word(find_by_key(s->dentry, s->mount, need));
	c->id = found.id;
	c->wanted = found.wanted;
	c->epoch = g ? epoch_now(g) : 0;
	c->generation = g ? g->generation : 0;
}

/* Returns true if the cache of a file that has been open all the time is still valid. */
static __always_inline bool is_still_so(const struct file_cache *c, int need)
{
	struct dentry *dentry = (struct dentry *)c->key.dentry;
	struct globals *g = globals();

	return g && c->epoch == epoch_now(g) && c->generation == (__u32)g->generation && (c->id || !is_needed(c->wanted, need)) &&
	       c->key.sequence == read_word(dentry, d_seq.seqcount.sequence);
}

/* Set s->last to the open file. */
static __always_inline void resolve(struct task_state *s, struct file *file, int need)
{
	s->held = 0;
	refresh(&s->last, read_field(file, f_path.dentry), read_field(file, f_path.mnt), read_field(file, f_inode), need);
}

/* Find a directory, an executable or a root. Returns its id, whether it matches or not, where that is needed. */
static __always_inline struct found find_path_file(struct path *path, int need)
{
	__u64 dentry = (__u64)read_word(path, dentry), mnt = (__u64)read_word(path, mnt);

	return dentry && mnt ? find_file(dentry, mnt, need) : (struct found){};
}

static __always_inline __u32 path_file_id(struct path *path)
{
	return find_path_file(path, NEED_ALWAYS).id;
}

#endif
