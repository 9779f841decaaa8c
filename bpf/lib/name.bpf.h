/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Names as the caller wrote them, for operations that have no open file: the bytes, and the directory they start from.
 *
 * Separate, because they have no identity: their table is keyed by their bytes.
 */
#ifndef FILETAP_NAME_H
#define FILETAP_NAME_H

#include "../event.h"
#include "compat.bpf.h"
#include "define.bpf.h"
#include "descriptor.bpf.h"
#include "find_file.bpf.h"
#include "kernel.h"
#include "path_rules.bpf.h"
#include "path.bpf.h"
#include "state.bpf.h"
#include "uapi.h"

/* Result for a name of a call: one with an id, or 0 if it could not be read or defined; empty, which refers to the directory it starts
 * from; or one that no rule can match, which is not defined. */
enum name_kind { NAME_DEFINED, NAME_EMPTY, NAME_UNWANTED };

/* Hashes of names of changes that led to no matching file: leads_elsewhere(). */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16 << 10);
	__type(key, __u64);
	__type(value, struct elsewhere);
} ft_elsewhere SEC(".maps");

/* The memory that a name is read from. */
enum name_space { NAME_KERNEL, NAME_USER };

/* Set the name in the scratch's definition: its origin, and its length with what belongs to it. */
static __always_inline void fill_name(struct scratch *s, const struct origin *o, __u16 flags, long length)
{
	s->head.flags = o->flags | flags;
	s->head.flags |= o->start.wanted & WANTED_BELOW ? DEFINITION_WANTED : 0;
	s->head.flags |= o->start.wanted & WANTED_PATH ? DEFINITION_START_WANTED : 0;
	s->head.length = length > 0 ? length : 0;
	s->name.directory = o->start.id;
	s->name.root = o->root;
	s->name.key = o->key;
}

/* Define a name under a new id; returns 0 when the ring is full. Names that are not in the table are used once. */
SUBPROGRAM __u32 define_name(const char *name, const struct origin *o, __u16 flags, enum name_space space)
{
	struct counters *c = counters();
	struct scratch *s = scratch();
	long length;

	if (!c || !s)
		return 0;
	start_definition(s, DEFINE_NAME, new_id(c));
	length = space == NAME_USER ? read_user_string(s->bytes, 4096, name) : bpf_probe_read_kernel_str(s->bytes, 4096, name);
	fill_name(s, o, flags, length);
	return submit_definition(s, c) ? 0 : s->head.id;
}

/* Return the id of the name in text()->requested, which fits there as a whole. */
static __always_inline __u32 known_name(struct name_key *key, const char *name, const struct origin *o)
{
	__u32 *known = bpf_map_lookup_elem(&ft_requested, key), id;
	struct counters *c = counters();

	if (known)
		return *known;
	id = define_name(name, o, 0, NAME_USER);
	if (id && bpf_map_update_elem(&ft_requested, key, &id, BPF_NOEXIST) && !bpf_map_lookup_elem(&ft_requested, key) && c)
		c->names_full++;
	return id;
}

/* Return the root or the working directory of the task, with an id if needed. For a call that changes what mounts show, these are the
 * directories at its entry, which may no longer be found. */
static __always_inline struct file_cache *own_directory(struct task_state *state, struct fs_struct *fs, bool root, int need)
{
	struct file_cache *cache = root ? &state->base : &state->directory;
	struct path *path = root ? &fs->root : &fs->pwd;

	if (!state->kept || !cache->id)
		refresh(cache, task_field(path, dentry), task_field(path, mnt), task_field(path, dentry, d_inode), need);
	return cache;
}

/* Return the start of a name, as a word: the root, the working directory, or that of a descriptor; with an id if needed. */
SUBPROGRAM __u64 start_word(struct task_state *state, bool absolute, int directory, int need)
{
	struct task_struct *task = current_task();
	struct fs_struct *fs = task_field(task, fs);
	struct file_cache *cache;
	struct found found;
	struct file *file;

	if (!fs)
		return 0;
	if (!absolute && directory != AT_FDCWD) {
		file = file_at(fd_address(task, directory));
		if (!file)
			return 0;
		found = find_path_file(&file->f_path, need);
		return found_as_word(found.id, found.wanted);
	}
	cache = own_directory(state, fs, absolute, need);
	return found_as_word(cache->id, cache->wanted);
}

static __always_inline struct found start_of(struct task_state *state, bool absolute, int directory, int need)
{
	return found_in_word(start_word(state, absolute, directory, need));
}

/* Called before a call that changes what mounts show: its names start at the directories as they are now. */
SUBPROGRAM int keep_directories(struct task_state *state)
{
	start_of(state, true, AT_FDCWD, NEED_ALWAYS);
	start_of(state, false, AT_FDCWD, NEED_ALWAYS);
	state->kept = 1;
	return 0;
}

/* ".." does not leave the root that the task has at this moment. In a call with RESOLVE_IN_ROOT or RESOLVE_BENEATH it does not even
 * leave the start directory, which is then the root for absolute names, too. */
static __always_inline void find_origin(struct origin *o, struct task_state *state, bool absolute, int directory, __u32 scope)
{
	struct found root;

	o->flags = scope & RESOLVE_BENEATH ? DEFINITION_BENEATH : 0;
	o->start = start_of(state, absolute, directory, NEED_ALWAYS);
	o->key = 0;
	o->root = o->start.id;
	if (scope) {
		o->key = o->root | (scope & RESOLVE_BENEATH ? ROOT_BENEATH : 0);
	} else if (!absolute) {
		root = start_of(state, true, AT_FDCWD, NEED_ALWAYS);
		o->root = root.id;
		o->key = root.wanted & WANTED_TOP ? 0 : root.id;
	}
}

/* Define the target of a symbolic link, relative to the directory of the link with the id 'link'. */
SUBPROGRAM __u32 define_content(struct task_state *state, const char *content, __u32 link, enum name_space space)
{
	struct text *t = text();

	if (!t)
		return 0;
	find_origin(&t->origin, state, true, AT_FDCWD, 0);
	t->origin.start = (struct found){ .id = link };
	return define_name(content, &t->origin, DEFINITION_ONCE | DEFINITION_RELATIVE_TO_LINK, space);
}

/* A superset of the names that user space can match, so that other names are not even counted. */
static __always_inline bool may_be_wanted(struct text *t, struct found start, long length)
{
	return !(config.paths & 1) || start.wanted & (WANTED_BELOW | WANTED_PATH) || may_lead_there(t, length);
}

/* Return the start directory of the name in 'requested'; 0: it is not known, or the rules decide it by themselves. */
static __always_inline __u32 start_elsewhere(const struct text *t, struct fs_struct *fs, int directory)
{
	struct file *file;

	if (t->requested.name[0] == '/')
		return path_file_id(&fs->root);
	if (directory == AT_FDCWD)
		return path_file_id(&fs->pwd);
	file = file_at(fd_address(current_task(), directory));
	return file ? path_file_id(&file->f_path) : 0;
}

/* Returns 1 if this name, whose text matches no rule, certainly leads to no matching file. An entry in the start directory is there.
 * For others, user space has looked up where they led: for an entry the directory, which decides unless a rule has a name like it; else
 * the whole name. Global, so that the verifier reads it only once. */
__noinline int leads_elsewhere(__u64 name, int directory, __u32 change)
{
	struct fs_struct *fs = task_field(current_task(), fs);
	struct counters *c = counters();
	struct globals *g = globals();
	struct elsewhere *known;
	struct text *t = text();
	bool entry;
	__u64 key;
	long length;

	if (!t || !g || !c || !fs)
		return 0;
	length = read_user_string(t->requested.name, COMPONENT_SPACE, (const char *)name);
	if (length <= 1)
		return 1; /* a descriptor's file, or the name could not be read */
	mix_name(t);
	entry = change == CHANGE_ENTRY && !is_basename(t->hash);
	if (entry && !t->slash)
		return 1;
	if (length == COMPONENT_SPACE || t->slash == t->length)
		return 0;
	key = entry ? t->parent : t->whole;
	key = (key ^ start_elsewhere(t, fs, directory)) * HASH_CHAIN;
	key = (key ^ path_file_id(&fs->root)) * HASH_CHAIN + (entry ? 0 : change);
	known = bpf_map_lookup_elem(&ft_elsewhere, &key);
	if (!known)
		return 0;
	if (known->epoch == names_epoch(g))
		return 1;
	if (known->until < bpf_ktime_get_boot_ns())
		return 0;
	c->believed++;
	return 1;
}

/* Handle a name of the current task: define it if a rule may match it or if it is needed anyway; its id is in state->name. 'scope':
 * RESOLVE_* that restrict where it may lead. */
SUBPROGRAM enum name_kind requested_name(struct task_state *state, const char *name, int directory, bool needed, __u32 scope)
{
	struct text *t = text();
	struct name_key *key;
	bool absolute;
	long length;

	state->name = 0;
	if (!name || !t)
		return NAME_EMPTY;
	key = &t->requested;
	__builtin_memset(key, 0, sizeof(*key));
	length = read_user_string(key->name, COMPONENT_SPACE, name);
	if (length <= 0)
		return needed ? NAME_DEFINED : NAME_UNWANTED;
	if (length == 1)
		return NAME_EMPTY;
	absolute = key->name[0] == '/' && !scope;
	if (!needed && !may_be_wanted(t, start_of(state, absolute, directory, NEED_NOTHING), length))
		return NAME_UNWANTED;
	find_origin(&t->origin, state, absolute, directory, scope);
	key->directory = t->origin.start.id;
	key->root = t->origin.key;
	if (length < NAME_KEY_SPACE && key->directory)
		state->name = known_name(key, name, &t->origin);
	else
		state->name = define_name(name, &t->origin, DEFINITION_ONCE, NAME_USER);
	return NAME_DEFINED;
}

#endif
