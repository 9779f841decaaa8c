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

/* Where a name's bytes lie. */
enum name_space { NAME_KERNEL, NAME_USER };

/* A name from the place 'start' under a new id, 0 when the ring is full. Names that are not in the table serve once. */
SUBPROGRAM __u32 define_name(const char *name, __u32 start, __u16 flags, enum name_space space)
{
	struct counters *c = counters();
	struct scratch *s = scratch();
	long length;

	if (!c || !s)
		return 0;
	start_definition(s, DEFINE_NAME, new_id(c));
	length = space == NAME_USER ? read_user_string(s->bytes, 4096, name) : bpf_probe_read_kernel_str(s->bytes, 4096, name);
	s->head.flags = flags;
	s->head.length = length > 0 ? length : 0;
	s->name.directory = start;
	return submit_definition(s, c) ? 0 : s->head.id;
}

/* The id of the name in scratch()->name_key, which fits there as a whole. */
static __always_inline __u32 known_name(struct name_key *key, const char *name)
{
	__u32 *known = bpf_map_lookup_elem(&names, key), id;
	struct counters *c = counters();

	if (known)
		return *known;
	id = define_name(name, key->directory, 0, NAME_USER);
	if (id && bpf_map_update_elem(&names, key, &id, BPF_NOEXIST) && !bpf_map_lookup_elem(&names, key) && c)
		c->names_full++;
	return id;
}

/* A place that a pointer of the task's own leads to. */
#define cached_place(cache, fs, place)                                                                                                     \
	(refresh(cache, of_task(fs, place.dentry), of_task(fs, place.mnt), of_task(fs, place.dentry, d_inode), OWED_ALWAYS), (cache)->id)

/* Where a name starts: at the root, in the working directory, or in that of a descriptor. */
static __always_inline __u32 start_of(struct task_state *state, bool absolute, int directory)
{
	struct task_struct *task = current_task();
	struct fs_struct *fs = of_task(task, fs);
	struct file *file;

	if (!fs)
		return 0;
	if (absolute)
		return cached_place(&state->base, fs, root);
	if (directory == AT_FDCWD)
		return cached_place(&state->directory, fs, pwd);
	file = file_at(fd_address(task, directory, false), false);
	return file ? place_id(&file->f_path) : 0;
}

/* The id of a name of the current task, or NAME_EMPTY; 0 where nothing could be read. */
SUBPROGRAM __u64 asked_name(struct task_state *state, const char *name, int directory)
{
	struct scratch *s = scratch();
	struct name_key *key;
	long length;

	if (!name || !s)
		return NAME_EMPTY;
	key = &s->name_key;
	__builtin_memset(key, 0, sizeof(*key));
	length = read_user_string(key->name, sizeof(key->name), name);
	if (length <= 0)
		return 0;
	if (length == 1)
		return NAME_EMPTY;
	key->directory = start_of(state, key->name[0] == '/', directory);
	if (length < NAME_KEY_SPACE && key->directory)
		return known_name(key, name);
	return define_name(name, key->directory, DEFINITION_ONCE, NAME_USER);
}

#endif
