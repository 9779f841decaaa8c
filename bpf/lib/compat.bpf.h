/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * How kernel memory is read, and everything that differs between kernels.
 *
 * Separate, so that no probe tests for a kernel: each difference is found by BTF, with its commit in a comment here.
 */
#ifndef FILETAP_COMPAT_H
#define FILETAP_COMPAT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "kernel.h"
#include "uapi.h"

#ifndef barrier
#define barrier() asm volatile("" ::: "memory")
#endif
#define unlikely(x) __builtin_expect(!!(x), 0)
#define likely(x) __builtin_expect(!!(x), 1)

/* A separate function for the verifier and the stack; inline, because not every object calls it. */
#define SUBPROGRAM static inline __attribute__((noinline))

/* The verifier follows each iteration of a loop. Without bpf_loop (e6f2dd0f8067, v5.17) a loop of thousands of steps calls a global
 * function that does a few of them and is verified once. Kernels with bpf_rdonly_cast have bpf_loop, of which one iteration is verified. */
#define STEPS_AT_ONCE 64
#define TURNS_AT_ONCE 256
#define MAX_TURNS (8 << 20) /* BPF_MAX_LOOPS */

/* For a global function one(what, index), which returns 1 at the end: define one_each(), which calls it with each index from 'first'
 * on, at most 'count' times: of these the first 64 Ki and one, or by bpf_loop 8 Mi and one. The last call finds out whether there are
 * more; one_each() returns true if it was not called for these. */
#if HAS_CAST
struct turns {
	__u64 what;
	__u32 first;
};

#define REPEATED(one)                                                                                                                      \
	static long one##_turn(__u32 index, struct turns *turns)                                                                           \
	{                                                                                                                                  \
		int end = one(turns->what, turns->first + index);                                                                          \
                                                                                                                                           \
		barrier_var(end); /* else the compiler, which knows that it is 0 or 1, does not check it */                                \
		return end ? 1 : 0;                                                                                                        \
	}                                                                                                                                  \
	static __always_inline bool one##_each(__u64 what, __u32 first, __u64 count)                                                       \
	{                                                                                                                                  \
		struct turns turns = { what, first };                                                                                      \
                                                                                                                                           \
		return bpf_loop(count < MAX_TURNS ? count : MAX_TURNS, one##_turn, &turns, 0) == MAX_TURNS && count > MAX_TURNS &&         \
		       !one(what, first + MAX_TURNS);                                                                                      \
	}
#else
#define REPEATED(one)                                                                                                                      \
	__noinline int one##_some(__u64 what, __u32 first, __u64 count)                                                                    \
	{                                                                                                                                  \
		for (__u32 i = 0; i < TURNS_AT_ONCE && i < count; i++)                                                                     \
			if (one(what, first + i))                                                                                          \
				return 1;                                                                                                  \
		return 0;                                                                                                                  \
	}                                                                                                                                  \
	static __always_inline bool one##_each(__u64 what, __u32 first, __u64 count)                                                       \
	{                                                                                                                                  \
		for (__u32 i = 0; i < TURNS_AT_ONCE; i++)                                                                                  \
			if (i * TURNS_AT_ONCE >= count || one##_some(what, first + i * TURNS_AT_ONCE, count - i * TURNS_AT_ONCE))          \
				return false;                                                                                              \
		return count > TURNS_AT_ONCE * TURNS_AT_ONCE && !one(what, first + TURNS_AT_ONCE * TURNS_AT_ONCE);                         \
	}
#endif

/* Define find(): the one element of an array; NULL only for the verifier. */
#define ONLY_ELEMENT(find, element, map)                                                                                                   \
	static __always_inline element *find(void)                                                                                         \
	{                                                                                                                                  \
		__u32 zero = 0;                                                                                                            \
                                                                                                                                           \
		return bpf_map_lookup_elem(&map, &zero);                                                                                   \
	}

/* The same, and the array itself: one element per CPU. */
#define PER_CPU(find, element, map)                                                                                                        \
	struct {                                                                                                                           \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);                                                                                   \
		__uint(max_entries, 1);                                                                                                    \
		__type(key, __u32);                                                                                                        \
		__type(value, element);                                                                                                    \
	} map SEC(".maps");                                                                                                                \
	ONLY_ELEMENT(find, element, map)

/* bpf_rdonly_cast came with a35b9af4ec2c (v6.2): plain loads instead of a helper call for each member, half the cost of an event. Each
 * object is compiled twice, with HAS_CAST 1 for kernels that have it: both forms in one object would double the code, and the kernel's
 * time to load it. */
extern void *bpf_rdonly_cast(const void *object, __u32 btf_id) __ksym __weak;

#define cast_kernel(type, pointer) ((type *)bpf_rdonly_cast((void *)(pointer), bpf_core_type_id_kernel(type)))

/* Read a member through a pointer of cast_kernel(type); by helper where there is no cast. */
#define read_field(pointer, first, ...)                                                                                                    \
	(HAS_CAST ? plain_field(pointer, first, ##__VA_ARGS__) : BPF_CORE_READ(pointer, first, ##__VA_ARGS__))
#define plain_field(pointer, ...) ___arrow(pointer, ##__VA_ARGS__)
#undef ___arrow1
#undef ___arrow2
#undef ___arrow3
#define ___arrow1(a) a
#define ___arrow2(a, b) a->b
#define ___arrow3(a, b, c) a->b->c

/* Task storage came to tracing programs in a10787e6d58c (v5.13), plain loads through pointers to tasks in 3ca1032ab7ab (v5.11). A
 * constant that CO-RE writes into the code decides between the two: the verifier drops the branch that is not taken, with the helper
 * calls that the kernel does not know, and nothing is loaded to decide. */
#define HAS_TASK_STORAGE (HAS_CAST || bpf_core_field_exists(((struct task_struct *)0)->bpf_storage))

static __always_inline struct task_struct *current_task(void)
{
	return HAS_TASK_STORAGE ? bpf_get_current_task_btf() : (struct task_struct *)bpf_get_current_task();
}

/* Read a member through a task, from current_task() or a tracepoint. For each pointer that is read through a trusted one, newer kernels
 * look up four names among all of their types (57539b1c0ac2, v6.3): a fifth of a start. */
#define task_field(task, first, ...)                                                                                                       \
	(HAS_CAST           ? plain_field(cast_kernel(__typeof__(*(task)), task), first, ##__VA_ARGS__)                                    \
	 : HAS_TASK_STORAGE ? plain_field(task, first, ##__VA_ARGS__)                                                                      \
			    : BPF_CORE_READ(task, first, ##__VA_ARGS__))

/* Return the leader of a task's group. It is trusted as the task is, so its storage can be looked up. */
static __always_inline struct task_struct *leader_of(struct task_struct *task)
{
	return HAS_TASK_STORAGE ? plain_field(task, group_leader) : BPF_CORE_READ(task, group_leader);
}

/* The registers of a task in a system call. bpf_task_pt_regs came with dd6e10fbd9fb (v5.15). */
#define HAS_TASK_REGISTERS (HAS_CAST || bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
#define THREAD_SIZE (4 << PAGE_SHIFT) /* without KASAN, arch/x86/include/asm/page_64_types.h */

/* Return the registers of a task in a call. Where no helper does, they are at the top of its stack, whose size is the only value that
 * BTF does not give. */
static __always_inline struct pt_regs *registers_of(struct task_struct *task)
{
	if (HAS_TASK_REGISTERS)
		return (struct pt_regs *)bpf_task_pt_regs(task);
	return task_field(task, stack) + THREAD_SIZE - bpf_core_type_size(struct pt_regs);
}

/* Return the number of the call that a task is in. */
static __always_inline __u64 call_number(struct task_struct *task)
{
	struct pt_regs *regs = registers_of(task);

	return HAS_TASK_REGISTERS ? regs->orig_ax : BPF_CORE_READ(regs, orig_ax);
}

/* Returns true if the call that a task is in is a 32-bit one, whose number is from another table. */
static __always_inline bool is_compat(struct task_struct *task)
{
	return task_field(task, thread_info.status) & TS_COMPAT;
}

/* Read any word of the kernel's memory, as a number: thread_info begins with a long. */
static __always_inline __u64 word_at(const void *address)
{
	__u64 word = 0;

	if (HAS_CAST)
		return cast_kernel(struct thread_info, address)->flags;
	bpf_probe_read_kernel(&word, sizeof(word), address);
	return word;
}

/* Return one of the two words of its name, for comparison. */
static __always_inline __u64 comm_word(struct task_struct *task, int at)
{
	return HAS_TASK_STORAGE ? ((const __u64 *)task->comm)[at] : word_at(task->comm + 8 * at);
}

/* Read a string of user space: returns its length with the NUL, or an error. For an empty string strncpy_from_user_nofault returned 0,
 * without the NUL that it counts for all others, as 6.1 does. */
static __always_inline long read_user_string(char *to, __u32 space, const char *from)
{
	long length = bpf_probe_read_user_str(to, space, from);

	return length ? length : 1;
}

/* Read a member of at most eight bytes, through any pointer. To the verifier the result is a number, which it would not let us make of
 * a pointer. */
#define read_word(pointer, member) ((__typeof__((pointer)->member))word_at((void *)(pointer) + word_offset(__typeof__(pointer), member)))
#define word_offset(type, member) bpf_core_field_offset(((type)0)->member)

/* kernfs_node.parent became __parent in 633488947ef6 (v6.15). */
static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *node)
{
	struct kernfs_node___before_6_15 *old = (void *)node;

	if (bpf_core_field_exists(old->parent))
		return BPF_CORE_READ(old, parent);
	return BPF_CORE_READ(node, __parent);
}

/* Returns true if more than one descriptor refers to this open file. file.f_count became f_ref, which counts from zero, in 90ee6ed776c0
 * (v6.13). */
static __always_inline bool file_shared(struct file *file)
{
	struct file___before_6_13 *old = (void *)file;

	if (!bpf_core_field_exists(old->f_count))
		return read_field(file, f_ref.refcnt.counter) > 0;
	return BPF_CORE_READ(old, f_count.counter) > 1;
}

/* ovl_inode.lower became lowerpath in ffa5723c6d25 (v5.19), and that an ovl_entry's stack in 0af950f57fef and a6ff2bc0be17 (v6.5). */
static __always_inline struct inode *overlay_lower(struct ovl_inode *oi)
{
	struct ovl_inode___before_5_19 *oldest = (void *)oi;
	struct ovl_inode___before_6_5 *old = (void *)oi;
	struct ovl_entry *entry;

	if (!HAS_CAST && bpf_core_field_exists(oldest->lower))
		return BPF_CORE_READ(oldest, lower);
	if (bpf_core_field_exists(old->lowerpath))
		return BPF_CORE_READ(old, lowerpath.dentry, d_inode);
	entry = BPF_CORE_READ(oi, oe);
	return entry && BPF_CORE_READ(entry, __numlower) ? BPF_CORE_READ(entry, __lowerstack[0].dentry, d_inode) : NULL;
}

/* The offset in a dentry to which an inode's list points. The union around it lost its name d_u between v6.18 and v7.2. */
static __always_inline __u64 alias_offset(void)
{
	if (bpf_core_field_exists(((struct dentry___before_7 *)0)->d_u))
		return bpf_core_field_offset(struct dentry___before_7, d_u.d_alias);
	return bpf_core_field_offset(struct dentry, d_alias);
}

/* The mounts of a file system were a list_head in mount.mnt_instance; a simple list since v6.17 (super_block.s_mounts). */
static __always_inline struct mount *first_mount(struct super_block *sb)
{
	struct super_block___before_6_17 *old = (void *)sb;

	if (bpf_core_field_exists(old->s_mounts.next))
		return (void *)BPF_CORE_READ(old, s_mounts.next) - bpf_core_field_offset(struct mount___before_6_17, mnt_instance);
	return BPF_CORE_READ(sb, s_mounts);
}

/* Return the next one; NULL after the last. */
static __always_inline struct mount *next_mount(struct super_block *sb, struct mount *mount)
{
	struct super_block___before_6_17 *old = (void *)sb;
	struct mount___before_6_17 *before = (void *)mount;
	void *next;

	if (!bpf_core_field_exists(old->s_mounts.next))
		return BPF_CORE_READ(mount, mnt_next_for_sb);
	next = BPF_CORE_READ(before, mnt_instance.next);
	if (next == (void *)sb + bpf_core_field_offset(struct super_block___before_6_17, s_mounts))
		return NULL;
	return next - bpf_core_field_offset(struct mount___before_6_17, mnt_instance);
}

extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;

/* bpf_preempt_disable came with fc7566ad0a82 (v6.10); since e2d8f560d176 (v6.15), which also added this member, the verifier allows
 * calls of global functions in between. */
#define MAY_HOLD_CPU bpf_core_field_exists(((struct bpf_subprog_info *)0)->might_sleep)

static __always_inline void hold_cpu(void)
{
	if (MAY_HOLD_CPU)
		bpf_preempt_disable();
}

static __always_inline void let_cpu_go(void)
{
	if (MAY_HOLD_CPU)
		bpf_preempt_enable();
}

/* Up to 6.18 the kernel disables preemption around raw tracepoints' programs. 7.2 does not, and has this class of locks: user space
 * uses classic tracepoints there, where it can (preempt_safe). */
typedef struct {
	void *lock;
} class_srcu_fast_notrace_t;
#define PREEMPTS_TRACEPOINTS bpf_core_type_exists(class_srcu_fast_notrace_t)

/* struct syscall_trace_enter and _exit, from kernel/trace/trace.h, after struct trace_entry. */
struct classic_enter {
	__u64 entry;
	__s32 nr; /* the padding after it is uninitialised */
	__u64 args[6];
};

struct classic_exit {
	__u64 entry;
	__s32 nr; /* the padding after it is uninitialised */
	__s64 result;
};

/* The registers of the current call, for classic tracepoints: these are attached only where HAS_TASK_REGISTERS. */
static __always_inline const struct pt_regs *registers(void)
{
	return (const struct pt_regs *)bpf_task_pt_regs(current_task());
}

/* For classic tracepoints, whose records have only the number of a task (3f0e6f2b41d3, v6.2). */
extern struct task_struct *bpf_task_from_pid(int pid) __ksym __weak;
extern void bpf_task_release(struct task_struct *task) __ksym __weak;

#endif
