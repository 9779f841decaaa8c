/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Ids: a file, a name or a task is described once on the definitions ring and named by a number afterwards.
 * Apart, because the order matters: submit the definition, then publish its id; a definition that failed is not
 * published, and its event carries the identity itself. Next: lib/emit.bpf.h writes events that name these ids.
 */
#ifndef FILETAP_DEFINE_H
#define FILETAP_DEFINE_H

#include "path.bpf.h"

static __always_inline long submit_definition(struct scratch *s, struct counters *c)
{
	__u32 length = s->head.length;
	long error;

	if (length > PATH_SPACE + COMPONENT_SPACE)
		length = PATH_SPACE + COMPONENT_SPACE;
	error = bpf_ringbuf_output(&definitions, s, DEFINITION_FIXED + length, BPF_RB_NO_WAKEUP);
	if (error)
		c->undefined++;
	return error;
}

/* An empty record, thrown away, with the wake-up. */
static __always_inline void wake_reader(void)
{
	void *record = bpf_ringbuf_reserve(&definitions, 8, 0);

	if (record)
		bpf_ringbuf_discard(record, BPF_RB_FORCE_WAKEUP);
}

static __always_inline void start_definition(struct scratch *s, enum definition_kind kind, __u32 id)
{
	__builtin_memset(s, 0, DEFINITION_FIXED);
	s->head.kind = kind;
	s->head.id = id;
}

/* The current path and attributes of (dentry, mnt) under a new id; 0 when the ring is full. */
static __noinline __u32 define_file(struct dentry *dentry, struct vfsmount *mnt, struct inode *inode, struct walk *w)
{
	struct counters *c = counters();
	struct scratch *s = scratch();
	struct walk again;

	if (!c || !s)
		return 0;
	walk_up(w, dentry, mnt, true);
	walk_up(&again, dentry, mnt, false);
	if (again.chain != w->chain) {
		walk_up(w, dentry, mnt, true);
		walk_up(&again, dentry, mnt, false);
		if (again.chain != w->chain)
			w->flags |= DEFINITION_RACED;
	}
	start_definition(s, DEFINE_FILE, new_id(c));
	s->head.flags = w->flags;
	s->head.length = w->length;
	s->file.inode = BPF_CORE_READ(inode, i_ino);
	s->file.subvolume = subvolume(inode);
	s->file.size = BPF_CORE_READ(inode, i_size);
	s->file.parent = BPF_CORE_READ(dentry, d_parent, d_inode, i_ino);
	s->file.device = BPF_CORE_READ(inode, i_sb, s_dev);
	s->file.generation = BPF_CORE_READ(inode, i_generation);
	s->file.mode = BPF_CORE_READ(inode, i_mode);
	s->file.rdev = BPF_CORE_READ(inode, i_rdev);
	s->file.magic = BPF_CORE_READ(inode, i_sb, s_magic);
	s->file.mount = BPF_CORE_READ(real_mount(mnt), mnt_id);
	s->file.mount_namespace = BPF_CORE_READ(real_mount(mnt), mnt_ns, ns.inum);
	bpf_probe_read_kernel_str(s->file.filesystem, sizeof(s->file.filesystem), BPF_CORE_READ(inode, i_sb, s_type, name));
	/* An unlinked name is out of the dentry cache's hash; a root never was in it. */
	if (!BPF_CORE_READ(dentry, d_hash.pprev) && BPF_CORE_READ(dentry, d_parent) != dentry)
		s->head.flags |= DEFINITION_DELETED;
	return submit_definition(s, c) ? 0 : s->head.id;
}

static __always_inline bool type_wanted(struct inode *inode)
{
	__u32 mode = BPF_CORE_READ(inode, i_mode);

	/* Since cfd86ef7e8e7 (v6.15) anonymous inodes call themselves regular files. */
	if (BPF_CORE_READ(inode, i_sb, s_magic) == ANON_INODE_FS_MAGIC)
		mode = 0;
	return config.types & (1u << ((mode & S_IFMT) >> 12));
}

/* resolve()'s way when the task's last file was another one. 'force': an id is owed even for a file not wanted. */
static __noinline int lookup_file(struct file_cache *found, bool force)
{
	/* Through the key, where the verifier takes them for the plain numbers that the walk wants. */
	struct dentry *dentry = (struct dentry *)found->key.dentry;
	struct vfsmount *mnt = (struct vfsmount *)found->key.mount;
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);
	struct globals *g = globals();
	struct counters *c = counters();
	struct file_entry *old, entry = {};
	struct walk w;

	if (!g || !c)
		return 0;
	entry.epoch = g->epoch;
	old = bpf_map_lookup_elem(&files, &found->key);
	if (old && (old->id || !(old->wanted || force))) {
		if (old->epoch != entry.epoch) {
			walk_up(&w, dentry, mnt, false);
			if (w.chain == old->chain)
				old->epoch = entry.epoch;
		}
		if (old->epoch == entry.epoch) {
			found->id = old->id;
			found->epoch = old->epoch;
			found->wanted = old->wanted;
			return 0;
		}
	}
	walk_up(&w, dentry, mnt, false);
	entry.wanted = type_wanted(inode) && is_wanted(w.verdict);
	if (entry.wanted || force)
		entry.id = define_file(dentry, mnt, inode, &w);
	entry.chain = w.chain;
	found->id = entry.id;
	found->epoch = entry.epoch;
	found->wanted = entry.wanted;
	if (entry.wanted && !entry.id)
		return 0; /* not sent: not published */
	if (bpf_map_update_elem(&files, &found->key, &entry, old ? BPF_ANY : BPF_NOEXIST)) {
		old = bpf_map_lookup_elem(&files, &found->key);
		if (old && old->id && old->epoch == entry.epoch)
			found->id = old->id;
		else if (!old)
			c->files_full++;
	} else if (!old) {
		__sync_fetch_and_add(&g->files, 1);
	}
	return 0;
}

static __always_inline void fill_key(struct file_key *key, struct dentry *dentry, struct vfsmount *mnt, struct inode *inode,
				     const bool direct)
{
	key->dentry = (__u64)dentry;
	key->mount = (__u64)mnt;
	key->inode = get(inode, i_ino);
	key->generation = get(inode, i_generation);
	key->sequence = get(dentry, d_seq.seqcount.sequence);
}

static __always_inline bool same_key(const struct file_key *a, const struct file_key *b)
{
	return a->dentry == b->dentry && a->inode == b->inode && a->sequence == b->sequence && a->mount == b->mount &&
	       a->generation == b->generation;
}

/* s->last becomes the open file's entry: its id and whether the filters want it. */
static __always_inline void resolve(struct task_state *s, struct file *file, const bool direct)
{
	struct dentry *dentry = get(file, f_path.dentry);
	struct inode *inode = get(file, f_inode);
	struct vfsmount *mnt = get(file, f_path.mnt);
	struct globals *g = globals();
	struct file_key key;

	fill_key(&key, dentry, mnt, inode, direct);
	if (g && s->last.epoch == (__u32)g->epoch && (s->last.id || !s->last.wanted) && same_key(&s->last.key, &key))
		return;
	s->last.key = key;
	lookup_file(&s->last, false);
}

/* The id of any place, wanted or not: a directory, an executable, a root. */
static __noinline __u32 place_id(struct path *path)
{
	struct dentry *dentry = BPF_CORE_READ(path, dentry);
	struct vfsmount *mnt = BPF_CORE_READ(path, mnt);
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);
	struct file_cache found = {};

	if (!dentry || !inode)
		return 0;
	fill_key(&found.key, dentry, mnt, inode, false);
	lookup_file(&found, true);
	return found.id;
}

/* A name as it was asked for, for operations that have no open file. 'user': where the bytes lie. */
static __noinline __u32 define_name(const char *name, struct path *directory, struct path *root, bool user)
{
	__u32 directory_id = place_id(directory), root_id = place_id(root);
	struct counters *c = counters();
	struct scratch *s = scratch();
	long length;

	if (!c || !s)
		return 0;
	start_definition(s, DEFINE_NAME, new_id(c));
	length = user ? bpf_probe_read_user_str(s->bytes, 4096, name) : bpf_probe_read_kernel_str(s->bytes, 4096, name);
	s->head.length = length > 0 ? length : 0;
	s->name.directory = directory_id;
	s->name.root = root_id;
	return submit_definition(s, c) ? 0 : s->head.id;
}

#endif
