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
#include "alias.bpf.h"
#include "compat.bpf.h"
#include "identity.bpf.h"
#include "kernel.h"
#include "path.bpf.h"
#include "state.bpf.h"

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
