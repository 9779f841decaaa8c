/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Names as they were asked for, for operations that have no open file: the bytes, and the place they start from.
 * Apart, because they have no identity: their table is by their bytes. Next: lib/task.bpf.h.
 */
#ifndef FILETAP_NAME_H
#define FILETAP_NAME_H

#include "define.bpf.h"
#include "descriptor.bpf.h"

/* The name is empty: what is meant is the place it starts from. */
#define NAME_EMPTY (1ull << 32)
/* No rule can want it, and nothing was made of it. */
#define NAME_UNWANTED (1ull << 33)

/* Where a name's bytes lie. */
enum name_space { NAME_KERNEL, NAME_USER };

/* A name from the place 'start' (an id, and FOUND_* where they are known) under a new id, 0 when the ring is full. Names
 * that are not in the table serve once. */
SUBPROGRAM __u32 define_name(const char *name, __u64 start, __u16 flags, enum name_space space)
{
	struct counters *c = counters();
	struct scratch *s = scratch();
	long length;

	if (!c || !s)
		return 0;
	start_definition(s, DEFINE_NAME, new_id(c));
	length = space == NAME_USER ? read_user_string(s->bytes, 4096, name) : bpf_probe_read_kernel_str(s->bytes, 4096, name);
	s->head.flags = flags | (start & FOUND_BELOW ? DEFINITION_WANTED : 0);
	s->head.length = length > 0 ? length : 0;
	s->name.directory = start;
	return submit_definition(s, c) ? 0 : s->head.id;
}

/* The id of the name in text()->asked, which fits there as a whole. */
static __always_inline __u32 known_name(struct name_key *key, const char *name, __u64 start)
{
	__u32 *known = bpf_map_lookup_elem(&names, key), id;
	struct counters *c = counters();

	if (known)
		return *known;
	id = define_name(name, start, 0, NAME_USER);
	if (id && bpf_map_update_elem(&names, key, &id, BPF_NOEXIST) && !bpf_map_lookup_elem(&names, key) && c)
		c->names_full++;
	return id;
}

/* Where a name starts: at the root, in the working directory, or in that of a descriptor. An id where it is owed, FOUND_*. */
SUBPROGRAM __u64 start_of(struct task_state *state, bool absolute, int directory, int owed)
{
	struct task_struct *task = current_task();
	struct fs_struct *fs = of_task(task, fs);
	struct file_cache *cache;
	struct path *path;
	struct file *file;

	if (!fs)
		return 0;
	if (!absolute && directory != AT_FDCWD) {
		file = file_at(fd_address(task, directory, false), false);
		return file ? find_place(&file->f_path, owed) : 0;
	}
	cache = absolute ? &state->base : &state->directory;
	path = absolute ? &fs->root : &fs->pwd;
	refresh(cache, of_task(path, dentry), of_task(path, mnt), of_task(path, dentry, d_inode), owed);
	return cache->id | (__u64)cache->wanted << 32;
}

/* The superset of what user space will want, so that other names are not even counted. */
static __always_inline bool may_be_wanted(struct text *t, __u64 start, long length)
{
	return !(config.paths & 1) || start & FOUND_BELOW || may_lead_there(t, length);
}

/* The id of a name of the current task, or NAME_EMPTY, or NAME_UNWANTED unless it is needed all the same; 0 where nothing
 * could be read. */
SUBPROGRAM __u64 asked_name(struct task_state *state, const char *name, int directory, bool needed)
{
	struct text *t = text();
	struct name_key *key;
	bool absolute;
	__u64 start;
	long length;

	if (!name || !t)
		return NAME_EMPTY;
	key = &t->asked;
	__builtin_memset(key, 0, sizeof(*key));
	length = read_user_string(key->name, COMPONENT_SPACE, name);
	if (length <= 0)
		return needed ? 0 : NAME_UNWANTED;
	if (length == 1)
		return NAME_EMPTY;
	absolute = key->name[0] == '/';
	if (!needed && !may_be_wanted(t, start_of(state, absolute, directory, OWED_NOTHING), length))
		return NAME_UNWANTED;
	start = start_of(state, absolute, directory, OWED_ALWAYS);
	key->directory = start;
	if (length < NAME_KEY_SPACE && key->directory)
		return known_name(key, name, start);
	return define_name(name, start, DEFINITION_ONCE, NAME_USER);
}

#endif
