/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The maps that all objects of one run share by name, the run's configuration, and the state of each task.
 *
 * Separate, because the loader creates each map once and passes it to every object.
 */
#ifndef FILETAP_STATE_H
#define FILETAP_STATE_H

#include "../event.h"
#include "compat.bpf.h"
#include "kernel.h"
#include "pending_event.bpf.h"

#define PATH_SPACE 8192
#define COMPONENT_SPACE 256
#define MAX_CHANGES 4096
#define MAX_REQUESTS (16 << 10) /* of io_uring, and of io_submit */

/* Each has its own section, so that the loader finds it without looking for offsets. */
const volatile struct config config SEC(".rodata.config") = {};
const volatile __u64 calls[2 * (MAX_NR + MAX_OPCODES)] SEC(".rodata.calls") = {};

/* The kernel uses only the lower half of the register (do_syscall_64). */
static __always_inline struct call call_of(__u64 number)
{
	__u64 nr = number & 0xffffffff;

	union {
		__u64 raw;
		struct call call;
	} u = { .raw = nr < MAX_NR + MAX_OPCODES ? calls[2 * nr] : 0 };

	return u.call;
}

static __always_inline struct shape shape_of(__u64 number)
{
	__u64 nr = number & 0xffffffff;

	/* The compiler must not remove the test below where call_of() has made it: 5.10 forgets the proven bounds of a number on the
	 * stack. */
	barrier_var(nr);
	union {
		__u64 raw;
		struct shape shape;
	} u = { .raw = nr < MAX_NR + MAX_OPCODES ? calls[2 * nr + 1] : 0 };

	return u.shape;
}

/* task_state.target */
#define TARGET_PID 1 /* a target, or the child of one */
#define TARGET_COMM 2
#define TARGET_SEEN 4 /* traced by a rule that is tested at each call */
#define TARGET_HELD 8 /* a launched command that has not reached its exec */
#define TARGET_LIVE 16 /* in globals.live */

struct file_cache {
	struct file_key key;
	__u32 id;
	__u32 epoch;
	__u32 wanted;
	__u32 generation;
};

#define MAX_PENDING_HOOKS 8

/* What a hook has seen of the current call: the event to emit when the call returns. */
struct pending_hook {
	__u64 time;
	__u64 dentry, mnt; /* of a path that does not exist before the call has succeeded */
	__u64 parent, hash; /* the former parent and name of 'dentry': its memory may be reused by then */
	__u64 offset, size;
	__u64 inode; /* of a file that could not be described */
	__u32 generation;
	__u32 file;
	__u32 target;
	__u32 open;
	__u32 argument;
	__u16 flags; /* EVENT_* */
	__u8 hook;
	__u8 wanted; /* by the rules */
};

/* The credentials in a task's definition, in short. */
struct credentials {
	__u64 ids[4];
	__u64 groups; /* address of their list; 0: to be read again */
	__u32 login;
	__u32 reserved;
};

struct task_state {
	__u64 entered; /* when the current call began */
	__u64 position; /* the file's, at entry */
	struct credentials credentials; /* this and the members up to 'comm': the content of the definition 'task', in short */
	__u64 epoch; /* in which the next three were compared */
	__u64 cgroup;
	__u64 root; /* root_of() */
	__u64 namespaces; /* namespaces_of() */
	__u64 comm[2];
	__u32 task; /* id of the definition; 0: to be sent */
	__u32 forker; /* task id of the task that forked it */
	__u32 forker_pid; /* the process that forked this one; 0: not seen */
	__u32 name; /* id of the name that requested_name() has just handled */
	__u32 target;
	__u32 in_cgroup; /* a target by its cgroup. Only set_membership() writes this: it may run on another CPU than the task */
	__u32 file; /* resolved at entry */
	__u32 open;
	__u16 resolved; /* 1 + number of the call that was resolved at entry */
	__u16 flags; /* EVENT_*, found at entry */
	__u32 wanted;
	__u32 generation; /* globals.generation at entry */
	__s32 exec_fd; /* execve, execveat: the directory's descriptor */
	__u32 exec_nr; /* the number at entry: exec makes it execve's (x86: set_personality_64bit) */
	__u32 changing; /* 1 + slot in 'fd_changes' that the current call has marked */
	__u32 pending_hook_count; /* number of 'pending_hooks' to emit */
	__u32 kept; /* 'directory' and 'base' are those at the entry of the current call, which may change them */
	__u64 changes; /* the value of that slot when the call began */
	__u64 submitted; /* when the current io_submit began; 0: none is */
	__u64 recorded; /* of its requests, from the first */
	__u64 held; /* address of the open file of 'last', if it has been open in this task all the time since; 0: it may be another one
			 * by now */
	__u64 opened; /* address of the open file description whose number 'opening' is */
	__u64 opened_inode;
	__u32 opening;
	__u32 reopened; /* the value of reopened_at() at that time */
	struct file_cache last;
	struct file_cache directory; /* working directory */
	struct file_cache base; /* root */
	struct pending_event pending_event;
	struct pending_hook pending_hooks[MAX_PENDING_HOOKS];
	__u64 pending_hook_call; /* the call that they belong to; 0: none that returns with their result */
};

/* One ring of config.slots events for each CPU, one after another; mapped by the reader. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct event);
} ft_events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cpu_ring);
} ft_cpu_rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} ft_definitions SEC(".maps");

/* Carries only wake-ups, no records: a ring is readable as long as anything in it is unread. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ft_wakeups SEC(".maps");

/* A hash keyed by the task's address where there is no task storage: kernel/loader.py creates it. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_state);
} ft_tasks SEC(".maps");

/* An empty state. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct task_state);
} ft_zero_state SEC(".maps");

ONLY_ELEMENT(zero_state, struct task_state, ft_zero_state)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128 << 10);
	__type(key, struct file_key);
	__type(value, struct file_entry);
} ft_files SEC(".maps");

/* Files that no filter accepts: they have no id, so that user space never sees them, and the oldest are evicted. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64 << 10);
	__type(key, struct file_key);
	__type(value, struct file_entry);
} ft_rejected SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32 << 10);
	__type(key, struct name_key);
	__type(value, __u32);
} ft_requested SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u32);
} ft_cgroups SEC(".maps");

/* Ids of the cgroups that are targets, and of all below them. A new one is added before a task can be in it, and removed with its
 * directory (cgroup.bpf.c). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, __u64);
} ft_cgroup_tree SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct rule_key);
	__type(value, __u32);
} ft_inode_rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64 << 10);
	__type(key, struct overflow_key);
	__type(value, struct overflow);
} ft_overflows SEC(".maps");

/* Sums of events, in a map that user space replaces, and then reads the old one. Preallocated: allocating memory for hash maps at run
 * time is unsafe in tracing programs until 6.1 (ee4ed53c5eb6). */
struct sums {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct aggregate_key);
	__type(value, struct aggregate);
};

/* Created by the loader like their template below: some kernels (6.1, not 6.18) refuse to replace a map with BTF by one without. */
struct sums ft_sums_one SEC(".maps");
struct sums ft_sums_other SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct sums);
} ft_aggregates SEC(".maps");

PER_CPU(counters, struct counters, ft_counters)

/* Count a list that has more elements than are looked at (REPEATED), if it was cut. */
static __always_inline void count_cut(bool cut)
{
	struct counters *c = counters();

	if (cut && c)
		c->lists_cut++;
}

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct globals);
} ft_globals SEC(".maps");

/* Descriptors of shared tables that are being closed or replaced: by a hash of table and number, how many such calls have begun (low
 * half) and ended (high half). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_CHANGES);
	__type(key, __u32);
	__type(value, __u64);
} ft_fd_changes SEC(".maps");

ONLY_ELEMENT(globals, struct globals, ft_globals)

/* Return the state of a task, or NULL. */
static __always_inline struct task_state *state_of(struct task_struct *task)
{
	__u64 key;

	if (HAS_TASK_STORAGE)
		return bpf_task_storage_get(&ft_tasks, task, 0, 0);
	key = (__u64)task;
	return bpf_map_lookup_elem(&ft_tasks, &key);
}

/* Create the state of a task. The new entry is initialised from the CPU's own zeroes, because it is too large for the stack. */
static __always_inline struct task_state *enter_task(struct task_struct *task)
{
	__u64 key = (__u64)task;
	struct task_state *empty = zero_state();

	if (empty)
		bpf_map_update_elem(&ft_tasks, &key, empty, BPF_NOEXIST);
	return bpf_map_lookup_elem(&ft_tasks, &key);
}

/* Return the state, creating it if there was none; NULL: there is no room. */
static __always_inline struct task_state *try_state(struct task_struct *task)
{
	return HAS_TASK_STORAGE ? bpf_task_storage_get(&ft_tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE) : enter_task(task);
}

/* The same, and count a task that will not be traced. */
static __always_inline struct task_state *new_state(struct task_struct *task)
{
	struct task_state *s = try_state(task);
	struct counters *c;

	if (!s && (c = counters()))
		c->uncounted_tasks++;
	return s;
}

/* Task storage ends with its task; an entry of the table would be used for another task once its memory is reused. */
static __always_inline void forget_state(struct task_struct *task)
{
	__u64 key = (__u64)task;

	if (!HAS_TASK_STORAGE)
		bpf_map_delete_elem(&ft_tasks, &key);
}

/* Hooks of the VFS level run with preemption on, tracepoints' programs do not; both use per-CPU data (scratch, ring, counters). A
 * program that runs in the middle of a hook must not touch that data: its event is counted. */
static __always_inline bool interrupts(struct task_struct *task)
{
	struct counters *c = config.level == LEVEL_SYSCALL ? NULL : counters();

	if (likely(!c || !c->at_work || c->at_work == (__u32)task_field(task, pid)))
		return false;
	__sync_fetch_and_add(&c->interrupted, 1);
	return true;
}

/* A rename, a mount, the removal of a directory, a task's new root, namespace or cgroup, by any process: cached values must be compared
 * with the present ones. */
static __always_inline void count_move(long result)
{
	struct globals *g = globals();

	if (g && result >= 0)
		__sync_fetch_and_add(&g->epoch, 1);
}

static __always_inline void count_symlink(long result)
{
	struct globals *g = globals();

	if (g && result >= 0)
		__sync_fetch_and_add(&g->symlinks, 1);
}

/* Moves seen by both halves: the age of all cached paths. */
static __always_inline __u32 epoch_now(const struct globals *g)
{
	return g->epoch + g->arrived;
}

/* Everything that may make a name lead elsewhere than before. */
static __always_inline __u64 names_epoch(const struct globals *g)
{
	return g->epoch + g->symlinks;
}

/* Return an id that no other file or task of this run has. Probes do not preempt one another on a CPU, so a plain increment is enough;
 * an atomic fetch-and-add would keep the object from loading on 5.10. */
static __always_inline __u32 new_id(struct counters *c)
{
	c->next_id += config.ncpu;
	if (unlikely(c->next_id < config.ncpu))
		c->ids_again++;
	return config.first_id + c->next_id + bpf_get_smp_processor_id();
}

#endif
