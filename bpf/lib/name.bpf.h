/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Names as they were asked for, for operations that have no open file: the bytes, and the place they start from.
 * Apart, because they have no identity: their table is by their bytes.
 */
#ifndef FILETAP_NAME_H
#define FILETAP_NAME_H

#include "../event.h"
#include "compat.bpf.h"
#include "define.bpf.h"
#include "descriptor.bpf.h"
#include "kernel.h"
#include "path_rules.bpf.h"
#include "path.bpf.h"
#include "state.bpf.h"

/* What a name of a call is: one with an id, or 0 where it could not be read or defined; empty, which means the place it starts from; or
 * one that no rule can want, of which nothing was made. */
enum name_kind { NAME_DEFINED, NAME_EMPTY, NAME_UNWANTED };

/* Names of changes that led to nothing that a rule wants, by their hash: leads_elsewhere(). */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16 << 10);
	__type(key, __u64);
	__type(value, struct elsewhere);
} ft_elsewhere SEC(".maps");

/* Where a name's bytes lie. */
enum name_space { NAME_KERNEL, NAME_USER };

/* A name that the scratch's definition was given: its origin, and how long it is with what belongs to it. */
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

/* A name under a new id, 0 when the ring is full. Names that are not in the table serve once. */
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

/* The id of the name in text()->asked, which fits there as a whole. */
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

/* The root or the working directory of the task, an id where it is needed. A call that changes what mounts show began where it
 * no longer may be found. */
static __always_inline struct file_cache *own_directory(struct task_state *state, struct fs_struct *fs, bool root, int need)
{
	struct file_cache *cache = root ? &state->base : &state->directory;
	struct path *path = root ? &fs->root : &fs->pwd;

	if (!state->kept || !cache->id)
		refresh(cache, task_field(path, dentry), task_field(path, mnt), task_field(path, dentry, d_inode), need);
	return cache;
}

/* Where a name starts, as a word: at the root, in the working directory, or in that of a descriptor. An id where it is needed. */
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

/* Before a call that changes what mounts show: where its names start is what it was then. */
SUBPROGRAM int keep_directories(struct task_state *state)
{
	start_of(state, true, AT_FDCWD, NEED_ALWAYS);
	start_of(state, false, AT_FDCWD, NEED_ALWAYS);
	state->kept = 1;
	return 0;
}

/* ".." does not leave the root that the task has at this moment; of a call with RESOLVE_IN_ROOT or RESOLVE_BENEATH not even the
 * directory that it starts from, which then is the root for absolute names, too. */
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

/* What a symbolic link says, from where the link with the id 'link' lies. */
SUBPROGRAM __u32 define_content(struct task_state *state, const char *content, __u32 link, enum name_space space)
{
	struct text *t = text();

	if (!t)
		return 0;
	find_origin(&t->origin, state, true, AT_FDCWD, 0);
	t->origin.start = (struct found){ .id = link };
	return define_name(content, &t->origin, DEFINITION_ONCE | DEFINITION_RELATIVE_TO_LINK, space);
}

/* The superset of what user space will want, so that other names are not even counted. */
static __always_inline bool may_be_wanted(struct text *t, struct found start, long length)
{
	return !(config.paths & 1) || start.wanted & (WANTED_BELOW | WANTED_PATH) || may_lead_there(t, length);
}

/* The directory that the name in 'asked' starts from; 0: none that is known, or one of which the rules say enough. */
static __always_inline __u32 start_elsewhere(const struct text *t, struct fs_struct *fs, int directory)
{
	struct file *file;

	if (t->asked.name[0] == '/')
		return path_file_id(&fs->root);
	if (directory == AT_FDCWD)
		return path_file_id(&fs->pwd);
	file = file_at(fd_address(current_task(), directory));
	return file ? path_file_id(&file->f_path) : 0;
}

/* Does this name, as far as its text does not say that a rule wants it, surely lead to nothing wanted? An entry of the directory that
 * it starts from is where that is. Of others user space has looked where they led: of an entry the directory, which decides
 * unless a rule has a name like it; else the whole name. Global, so that the verifier looks at it once. */
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
	length = read_user_string(t->asked.name, COMPONENT_SPACE, (const char *)name);
	if (length <= 1)
		return 1; /* a descriptor's file, or nothing that could be read */
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

/* A name of the current task, defined where a rule may want it or where it is needed all the same; its id is in state->name. 'scope':
 * RESOLVE_*, those that say where it may lead. */
SUBPROGRAM enum name_kind asked_name(struct task_state *state, const char *name, int directory, bool needed, __u32 scope)
{
	struct text *t = text();
	struct name_key *key;
	bool absolute;
	long length;

	state->name = 0;
	if (!name || !t)
		return NAME_EMPTY;
	key = &t->asked;
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
