// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Methods to find a file's path, one program for each, alike in everything else: an event of 64 bytes for each pread64 of the
 * target. by_id is filetap's own code; the others are measured against it (docs/adr/0012-ways-to-a-path.md).
 */
#include <asm/unistd.h>
#include "../bpf/event.h"
#include "../bpf/lib/compat.bpf.h"
#include "../bpf/lib/descriptor.bpf.h"
#include "../bpf/lib/find_file.bpf.h"
#include "../bpf/lib/identity.bpf.h"
#include "../bpf/lib/kernel.h"
#include "../bpf/lib/path.bpf.h"
#include "../bpf/lib/state.bpf.h"

const volatile __u32 target SEC(".rodata.target") = 0;

#define EVENT_SIZE 64
#define RING_SIZE (64 << 20)
#define WHOLE_SPACE 4096
#define MAX_LEVELS 64
#define DEFINE_DIRECTORY 99

/* A directory or file, in the form of the methods that store parents: names below a known one are not sent again. */
struct place {
	__u64 inode;
	__u64 mount; /* mnt_id */
};

struct known {
	__u32 id;
	__u32 epoch;
	__u32 sequence;
	__u32 length;
};

struct fragment {
	struct known known;
	struct place parent;
	struct place key;
	char name[COMPONENT_SPACE];
};

struct whole {
	struct known known;
	char names[WHOLE_SPACE];
};

struct reported {
	__u64 time;
	__u64 task;
	__u64 result;
	struct place key;
	__u32 file;
	__u32 length;
	__u64 reserved[2];
};

struct ascend {
	struct fragment fragment; /* waits for its parent's key */
	struct place key;
	__u64 dentry;
	__u64 mount;
	__u32 epoch;
	__u32 file;
	__u32 pending;
};

/* by_parent: ids never change their meaning, so a directory that is moved gets another, and everything below it too. */
struct stage {
	struct file_key key;
	__u64 dentry;
};

struct linked {
	__u32 id;
	__u32 parent;
	__u32 epoch;
	__u32 reserved;
};

struct directory {
	struct definition head;
	__u32 parent;
	__u32 reserved;
	char name[COMPONENT_SPACE];
};

struct ladder {
	struct stage levels[MAX_LEVELS];
	struct directory directory;
	struct linked linked;
	__u64 dentry;
	__u64 mount;
	__u32 depth;
	__u32 id;
	__u32 epoch;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128 << 10);
	__type(key, struct file_key);
	__type(value, struct linked);
} linked SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ladder);
} ladders SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_SIZE);
} stream SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128 << 10);
	__type(key, struct place);
	__type(value, struct known);
} seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128 << 10);
	__type(key, struct place);
	__type(value, struct fragment);
} fragments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128 << 10);
	__type(key, struct place);
	__type(value, struct whole);
} wholes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ascend);
} climbs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct whole);
} drafts SEC(".maps");

static __always_inline struct ascend *ascend(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&climbs, &zero);
}

static __always_inline void fill_place(struct place *key, __u64 dentry, __u64 mount)
{
	key->inode = read_word(read_word((struct dentry *)dentry, d_inode), i_ino);
	key->mount = (__u32)read_word((struct mount *)mount, mnt_id);
}

/* The waiting fragment, with the key of its parent: sent, then known. */
static __always_inline void flush(struct ascend *c, const struct place *parent, const bool kept)
{
	__u32 length = c->fragment.known.length & (COMPONENT_SPACE - 1);

	if (!c->pending)
		return;
	c->pending = 0;
	c->fragment.parent = *parent;
	if (kept) {
		bpf_map_update_elem(&fragments, &c->fragment.key, &c->fragment, BPF_ANY);
		return;
	}
	if (!bpf_ringbuf_output(&ft_definitions, &c->fragment, sizeof(c->fragment) - COMPONENT_SPACE + length, BPF_RB_NO_WAKEUP))
		bpf_map_update_elem(&seen, &c->fragment.key, &c->fragment.known, BPF_ANY);
}

static __always_inline void name_fragment(struct ascend *c, __u64 dentry)
{
	__u32 length = BPF_CORE_READ((struct dentry *)dentry, d_name.len) & (COMPONENT_SPACE - 1);
	struct counters *n = counters();

	c->fragment.known.id = n ? new_id(n) : 0;
	c->fragment.known.epoch = c->epoch;
	c->fragment.known.sequence = read_word((struct dentry *)dentry, d_seq.seqcount.sequence);
	c->fragment.known.length = length;
	c->fragment.key = c->key;
	bpf_probe_read_kernel(c->fragment.name, length, read_word((struct dentry *)dentry, d_name.name));
	c->pending = 1;
}

/* One step up, to the first that is known and unchanged; after a rename each is checked once. */
static __always_inline long climb_step(const bool kept)
{
	struct place none = {};
	struct ascend *c = ascend();
	struct mount *mount;
	struct known *known;
	__u64 up;

	if (!c)
		return 1;
	mount = (struct mount *)c->mount;
	if (c->dentry == (__u64)read_word(mount, mnt.mnt_root)) {
		up = (__u64)read_word(mount, mnt_parent);
		if (up == c->mount) {
			flush(c, &none, kept);
			return 1;
		}
		c->dentry = (__u64)read_word(mount, mnt_mountpoint);
		c->mount = up;
		return 0;
	}
	fill_place(&c->key, c->dentry, c->mount);
	flush(c, &c->key, kept);
	known = kept ? bpf_map_lookup_elem(&fragments, &c->key) : bpf_map_lookup_elem(&seen, &c->key);
	if (known && known->sequence == read_word((struct dentry *)c->dentry, d_seq.seqcount.sequence)) {
		c->file = c->file ?: known->id;
		if (known->epoch == c->epoch)
			return 1;
		known->epoch = c->epoch;
	} else {
		name_fragment(c, c->dentry);
		c->file = c->file ?: c->fragment.known.id;
	}
	up = (__u64)read_word((struct dentry *)c->dentry, d_parent);
	if (up == c->dentry) {
		flush(c, &none, kept);
		return 1;
	}
	c->dentry = up;
	return 0;
}

static long step_sent(__u32 index, void *context)
{
	return climb_step(false);
}

static long step_kept(__u32 index, void *context)
{
	return climb_step(true);
}

/* The open file of the target's pread64 that returns. */
static __always_inline bool find_path(__u64 *ctx, struct path *path)
{
	const struct pt_regs *regs = (const struct pt_regs *)ctx[0];
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 file;

	if (regs->orig_ax == __NR_rename || regs->orig_ax == __NR_mount || regs->orig_ax == __NR_move_mount)
		count_move(ctx[1]);
	if (regs->orig_ax != __NR_pread64 || bpf_get_current_pid_tgid() >> 32 != target)
		return false;
	file = fd_address(task, regs->di);
	if (!file)
		return false;
	path->dentry = read_word((struct file *)file, f_path.dentry);
	path->mnt = read_word((struct file *)file, f_path.mnt);
	return true;
}

static __always_inline void fill_reported(struct reported *reported, long result)
{
	__builtin_memset(reported, 0, sizeof(*reported));
	reported->time = bpf_ktime_get_boot_ns();
	reported->task = bpf_get_current_pid_tgid();
	reported->result = result;
}

static __always_inline int send(long result, __u32 file, const struct place *key)
{
	struct reported *reported = bpf_ringbuf_reserve(&stream, EVENT_SIZE, 0);

	if (!reported)
		return 0;
	fill_reported(reported, result);
	reported->file = file;
	if (key)
		reported->key = *key;
	bpf_ringbuf_submit(reported, BPF_RB_NO_WAKEUP);
	return 0;
}

/* No path at all: the cost of the others is what they add to this. */
SEC("tp_btf/sys_exit")
int by_nothing(__u64 *ctx)
{
	struct path path;

	return find_path(ctx, &path) ? send(ctx[1], 0, NULL) : 0;
}

/* filetap's: defined once, referred to by an id. */
SEC("tp_btf/sys_exit")
int by_id(__u64 *ctx)
{
	struct path path;

	return find_path(ctx, &path) ? send(ctx[1], find_file((__u64)path.dentry, (__u64)path.mnt, NEED_ANY).id, NULL) : 0;
}

/* Each event carries its path. */
SEC("tp_btf/sys_exit")
int by_path(__u64 *ctx)
{
	struct scratch *s = scratch();
	struct reported *reported;
	struct path path;
	__u32 length;

	if (!s || !find_path(ctx, &path))
		return 0;
	walk_up((__u64)path.dentry, (__u64)path.mnt, true);
	length = s->walk.length;
	if (length > PATH_SPACE + COMPONENT_SPACE)
		length = PATH_SPACE + COMPONENT_SPACE;
	reported = (void *)(s->fixed + DEFINITION_FIXED - EVENT_SIZE);
	fill_reported(reported, ctx[1]);
	reported->length = length;
	bpf_ringbuf_output(&stream, reported, EVENT_SIZE + length, BPF_RB_NO_WAKEUP);
	return 0;
}

static __always_inline int by_parents(__u64 *ctx, const bool kept)
{
	struct globals *g = globals();
	struct ascend *c = ascend();
	struct place key = {};
	struct path path;

	if (!c || !g || !find_path(ctx, &path))
		return 0;
	c->dentry = (__u64)path.dentry;
	c->mount = (__u64)real_mount(path.mnt);
	c->epoch = g->epoch;
	c->file = c->pending = 0;
	fill_place(&key, c->dentry, c->mount);
	if (kept)
		bpf_loop(MAX_STEPS, step_kept, NULL, 0);
	else
		bpf_loop(MAX_STEPS, step_sent, NULL, 0);
	return send(ctx[1], c->file, &key);
}

/* Each directory and file is sent once, with its parent's key; user space joins them. */
SEC("tp_btf/sys_exit")
int by_fragment(__u64 *ctx)
{
	return by_parents(ctx, false);
}

/* The same, but nothing is sent: user space looks the fragments up in the table. */
SEC("tp_btf/sys_exit")
int by_lookups(__u64 *ctx)
{
	return by_parents(ctx, true);
}

/* The whole path is in the table; user space looks it up. */
SEC("tp_btf/sys_exit")
int by_lookup(__u64 *ctx)
{
	__u32 zero = 0, length;
	struct whole *draft = bpf_map_lookup_elem(&drafts, &zero), *old;
	struct counters *n = counters();
	struct globals *g = globals();
	struct scratch *s = scratch();
	struct place key = {};
	struct path path;

	if (!draft || !n || !g || !s || !find_path(ctx, &path))
		return 0;
	fill_place(&key, (__u64)path.dentry, (__u64)real_mount(path.mnt));
	old = bpf_map_lookup_elem(&wholes, &key);
	if (old && old->known.epoch == (__u32)g->epoch)
		return send(ctx[1], old->known.id, &key);
	walk_up((__u64)path.dentry, (__u64)path.mnt, true);
	length = s->walk.length < WHOLE_SPACE ? s->walk.length : WHOLE_SPACE - 1;
	draft->known.epoch = g->epoch;
	draft->known.length = length;
	draft->known.id = new_id(n);
	bpf_probe_read_kernel(draft->names, length & (WHOLE_SPACE - 1), s->bytes);
	bpf_map_update_elem(&wholes, &key, draft, BPF_ANY);
	return send(ctx[1], draft->known.id, &key);
}

static __always_inline struct ladder *ladder(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&ladders, &zero);
}

/* Up to the first that is known and unchanged. */
static long step_up(__u32 index, void *context)
{
	struct scratch *s = scratch();
	struct ladder *l = ladder();
	struct dentry *dentry;
	struct linked *known;
	struct stage *level;
	__u64 up;

	if (!l || !s)
		return 1;
	dentry = (struct dentry *)l->dentry;
	if (dentry == read_word((struct mount *)l->mount, mnt.mnt_root)) {
		up = (__u64)read_word((struct mount *)l->mount, mnt_parent);
		l->dentry = (__u64)read_word((struct mount *)l->mount, mnt_mountpoint);
		if (up == l->mount)
			return 1;
		l->mount = up;
		return 0;
	}
	level = &l->levels[l->depth & (MAX_LEVELS - 1)];
	level->dentry = l->dentry;
	fill_key(l->dentry, l->mount, (__u64)read_word(dentry, d_inode));
	level->key = s->key;
	known = bpf_map_lookup_elem(&linked, &level->key);
	if (known && known->epoch == l->epoch) {
		l->id = known->id;
		return 1;
	}
	l->depth++;
	up = (__u64)read_word(dentry, d_parent);
	if (up == l->dentry || l->depth == MAX_LEVELS)
		return 1;
	l->dentry = up;
	return 0;
}

static __always_inline __u32 copy_name(char *to, __u64 dentry)
{
	__u32 length = BPF_CORE_READ((struct dentry *)dentry, d_name.len) & (COMPONENT_SPACE - 1);

	bpf_probe_read_kernel(to, length, read_word((struct dentry *)dentry, d_name.name));
	return length;
}

static __always_inline long define_directory(struct ladder *l, __u64 dentry, __u32 id)
{
	l->directory.head.kind = DEFINE_DIRECTORY;
	l->directory.head.id = id;
	l->directory.parent = l->id;
	l->directory.head.length = copy_name(l->directory.name, dentry);
	return bpf_ringbuf_output(&ft_definitions, &l->directory,
				  sizeof(l->directory) - COMPONENT_SPACE + (l->directory.head.length & (COMPONENT_SPACE - 1)),
				  BPF_RB_NO_WAKEUP);
}

/* Everything in filetap's definition, but only one name. */
static __always_inline long define_leaf(struct ladder *l, __u64 dentry, __u64 mnt, __u32 id)
{
	struct counters *c = counters();
	struct scratch *s = scratch();

	if (!c || !s)
		return 1;
	start_definition(s, DEFINE_FILE, id);
	describe_file(dentry, mnt);
	s->file.parent = l->id;
	s->head.length = copy_name(s->bytes, dentry);
	return submit_definition(s, c);
}

/* Down again: a file with the same parent keeps its id. */
static long step_down(__u32 index, void *context)
{
	struct counters *c = counters();
	struct ladder *l = ladder();
	struct linked *known;
	struct stage *level;

	if (!c || !l || !l->depth)
		return 1;
	l->depth--;
	level = &l->levels[l->depth & (MAX_LEVELS - 1)];
	known = bpf_map_lookup_elem(&linked, &level->key);
	if (known && known->parent == l->id) {
		known->epoch = l->epoch;
		l->id = known->id;
		return 0;
	}
	l->linked.id = new_id(c);
	l->linked.parent = l->id;
	l->linked.epoch = l->epoch;
	if (l->depth ? define_directory(l, level->dentry, l->linked.id) : define_leaf(l, level->dentry, l->mount, l->linked.id))
		return 1;
	bpf_map_update_elem(&linked, &level->key, &l->linked, BPF_ANY);
	l->id = l->linked.id;
	return 0;
}

/* Each directory and file is defined once for each of its places, with the id of its parent. */
SEC("tp_btf/sys_exit")
int by_parent(__u64 *ctx)
{
	struct globals *g = globals();
	struct ladder *l = ladder();
	struct path path;

	if (!l || !g || !find_path(ctx, &path))
		return 0;
	l->dentry = (__u64)path.dentry;
	l->mount = (__u64)real_mount(path.mnt);
	l->epoch = g->epoch;
	l->id = l->depth = 0;
	bpf_loop(MAX_STEPS, step_up, NULL, 0);
	l->mount = (__u64)path.mnt;
	if (l->depth)
		bpf_loop(MAX_LEVELS, step_down, NULL, 0);
	return send(ctx[1], l->id, NULL);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
