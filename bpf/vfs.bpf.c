// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * File operations seen below the system calls, at the security hooks: what happened, to which inode, whatever the way in.
 * Each program serves as LSM hook, as fentry on the function that calls the hooks, or as kprobe there: user space sets
 * its type, and config.way says where its arguments are. Apart, because not every kernel lets it attach.
 * Next: lib/noted.bpf.h; user space: probes/vfs.py.
 */
#include "lib/noted.bpf.h"
#include "lib/subject.bpf.h"
#include "lib/target.bpf.h"

#define MAY_WRITE 2
#define MAY_READ 4
#define MAX_ERRNO 4095
#define MAX_MOUNTS 64
#define MNT_INTERNAL 0x4000

/* Of every open file of a 64-bit program, and of one that is opened to be executed (include/linux/fs.h). */
#define O_LARGEFILE 0100000
#define FMODE_EXEC 0x20

/* A word of a program's context. The compiler would add the place to the pointer first, which the verifier refuses. */
#define context_word(context, place)                                                                                                       \
	({                                                                                                                                 \
		__u64 word_;                                                                                                               \
		asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(word_) : "r"(context), "i"(place));                                           \
		word_;                                                                                                                     \
	})

/* Where a kprobe's registers are: x86-64's calling convention, and struct pt_regs of its uapi/asm/ptrace.h. */
#define REGISTER_PLACE(n) ((n) == 0 ? 112 : (n) == 1 ? 104 : (n) == 2 ? 96 : 88)

/* The hook's argument number n, from 0 to 3. */
#define hook_argument(context, n) (config.way == WAY_KPROBE ? context_word(context, REGISTER_PLACE(n)) : context_word(context, 8 * (n)))

static __always_inline bool is_chosen(__u8 hook)
{
	return config.hooks[hook & (MAX_HOOKS - 1)].call;
}

/* Has the call that returns changed the file? A function of its own: what is left in a register may not be returned. */
SUBPROGRAM bool changes_contents(__u8 hook, long result)
{
	const struct pt_regs *regs = registers_of(current_task());
	__u32 nr = load(regs, orig_ax), command = load(regs, si);
	bool narrow = is_compat(current_task());

	if (narrow)
		command = load(regs, cx);
	if (hook != HOOK_WRITE || result > 0)
		return result >= 0;
	return !result && (is_one_of(narrow, nr, NR_FALLOCATE) ||
			   (is_one_of(narrow, nr, NR_IOCTL) && (command == FICLONE || command == FICLONERANGE)));
}

/* The files that an exec opens, reads and maps are a part of it, and its result is not theirs. */
static __always_inline bool in_exec(void)
{
	struct task_struct *task = current_task();
	bool narrow = is_compat(task);
	__u32 nr = call_number(task);

	return is_one_of(narrow, nr, NR_EXECVE) || is_one_of(narrow, nr, NR_EXECVEAT);
}

/* Other hooks' calls return a number that is not about them: a file's descriptor of the truncation before its open. */
static __always_inline bool has_own_number(__u8 hook)
{
	return hook == HOOK_OPEN || hook == HOOK_READ || hook == HOOK_WRITE || hook == HOOK_MODIFY || hook == HOOK_MMAP;
}

/* The event that tells of a change beside the one that asks for it; HOOK_OPEN: none. */
static __always_inline __u8 change_of(__u8 hook)
{
	switch (hook) {
	case HOOK_WRITE:
		return HOOK_MODIFY;
	case HOOK_TRUNCATE:
		return HOOK_TRUNCATE_MODIFY;
	case HOOK_FILE_TRUNCATE:
		return HOOK_FILE_TRUNCATE_MODIFY;
	}
	return HOOK_OPEN;
}

static __always_inline bool has_second_slot(__u8 hook)
{
	return hook == HOOK_LINK || hook == HOOK_SYMLINK || hook == HOOK_RENAME || hook == HOOK_MMAP;
}

static __always_inline struct task_state *own_state(void)
{
	return state_of(current_task());
}

static __always_inline void fill_draft(struct draft *d, struct task_state *s, const struct note *n, __u8 hook, long result)
{
	d->offset = n->offset;
	d->size = n->size;
	d->file = n->file;
	d->open = n->open;
	d->flags = n->flags;
	d->undefined = n->inode && !n->file;
	if (d->undefined) {
		s->last.key.inode = n->inode;
		s->last.key.generation = n->generation;
		s->last.id = 0;
	}
	if (hook == HOOK_OPEN && result >= 0 && open_number(fd_address(current_task(), result, false)) == n->open)
		d->fd = result;
	if (has_second_slot(hook)) {
		add_more(d);
		d->target = n->target;
		d->argument = n->argument;
	}
}

/* One event of the current task's note number 'at', as that of 'hook'. Global, so that the verifier looks at it once and
 * not for each note. */
__noinline int tell(__u32 at, __u32 hook, __s64 result)
{
	const struct hook_choice chosen = config.hooks[hook & (MAX_HOOKS - 1)];
	struct task_state *s = own_state();
	struct note *n;
	struct draft *d;

	if (!s || !chosen.call)
		return 0;
	n = &s->notes[at & (MAX_NOTES - 1)];
	s->entered = n->time;
	if (result > 0 && !has_own_number(hook))
		result = 0;
	d = new_draft(s, chosen.op, chosen.call, result);
	if (too_quick(d) || (config.failed && result >= 0))
		return 0;
	fill_draft(d, s, n, hook, result);
	hand_over(d, of_task(current_task(), pid), s);
	return 0;
}

/* What one note has come to. exec's success is told by process.bpf.c. */
__noinline int tell_note(__u32 at, __s64 result)
{
	struct task_state *s = own_state();
	struct note *n;
	__u8 change;
	bool known;

	if (!s)
		return 0;
	n = &s->notes[at & (MAX_NOTES - 1)];
	if (n->hook != HOOK_EXEC && in_exec())
		n->flags |= EVENT_NO_RESULT;
	known = !(n->flags & EVENT_NO_RESULT);
	change = change_of(n->hook);
	if (n->hook == HOOK_EXEC && (!known || result >= 0))
		return 0;
	if (known && result >= 0)
		settle_place(n);
	if (!known)
		result = 0;
	tell(at, n->hook, result);
	if (change != HOOK_OPEN && (!known || changes_contents(n->hook, result)))
		tell(at, change, result);
	return 0;
}

/* All that is owed. Without 'known' no call returns with their result. */
__noinline int tell_notes(__s64 result, bool known)
{
	struct task_state *s = own_state();
	__u32 count = s ? s->note_count : 0;

	if (!s || !count)
		return 0;
	check_task(current_task(), s);
	for (__u32 i = 0; i < MAX_NOTES; i++) {
		if (i >= count)
			break;
		if (!known)
			s->notes[i].flags |= EVENT_NO_RESULT;
		tell_note(i, known ? result : 0);
	}
	s->note_count = 0;
	return 0;
}

/* Is the same of this call noted already? One copy asks for each part of it, an exec for each part that it reads, and again
 * with the interpreter of a script; before 100f59d96405 (v5.19) an exchange of two names for each of them, its own last. */
static __always_inline bool is_noted(struct task_state *s, __u8 hook, __u32 open)
{
	if (!s->note_call || config.level == LEVEL_AUTO)
		return false;
	for (__u32 i = 0; i < MAX_NOTES; i++) {
		if (i >= s->note_count)
			break;
		if (s->notes[i].hook == hook && (hook == HOOK_EXEC || s->notes[i].open == open))
			return true;
	}
	return false;
}

/* What another call has left is told before this one's. Where system calls make the events the last note is enough. */
static __always_inline void begin_notes(struct task_state *s)
{
	__u64 call = call_under_way(current_task());

	if (config.level == LEVEL_AUTO)
		s->note_count = 0;
	else if (s->note_count >= MAX_NOTES || s->note_call != call)
		tell_notes(0, false);
	s->note_call = call;
}

/* A note to be filled in, and then kept with keep_note(). */
static __always_inline struct note *new_note(struct task_state *s, __u8 hook)
{
	struct note *n;

	n = &s->notes[s->note_count & (MAX_NOTES - 1)];
	__builtin_memset(n, 0, sizeof(*n));
	n->time = bpf_ktime_get_boot_ns();
	n->hook = hook;
	n->flags = EVENT_NO_OFFSET | EVENT_NO_SIZE;
	return n;
}

/* The pointers of a program's context are no numbers to the verifier, as global functions take them; what is read back
 * from a map is. */
static __always_inline __u64 as_number(struct note *n, __u64 pointer)
{
	n->dentry = pointer;
	barrier();
	pointer = n->dentry;
	n->dentry = 0;
	return pointer;
}

extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;

/* Hooks may be preempted, except as kprobes. bpf_preempt_disable came with fc7566ad0a82 (v6.10); the verifier has let global
 * functions be called then since e2d8f560d176 (v6.15), to which it owes this member. Without both, interrupts() stands guard. */
#define MAY_HOLD_CPU bpf_core_field_exists(((struct bpf_subprog_info *)0)->might_sleep)

static __always_inline void hold_cpu(void)
{
	if (MAY_HOLD_CPU && config.way != WAY_KPROBE)
		bpf_preempt_disable();
}

static __always_inline void let_cpu_go(void)
{
	if (MAY_HOLD_CPU && config.way != WAY_KPROBE)
		bpf_preempt_enable();
}

/* The current task's state, if its operations count; done() must follow. */
static __always_inline struct task_state *subject_state(void)
{
	struct task_struct *task = current_task();
	struct counters *c = counters();
	struct task_state *s;

	adopt_worker(task);
	if (is_bystander(task))
		return NULL;
	hold_cpu();
	s = current_member(task);
	if (!s) {
		let_cpu_go();
		return NULL;
	}
	if (c)
		c->at_work = of_task(task, pid);
	return s;
}

static __always_inline int done(void)
{
	struct counters *c = counters();

	if (c)
		c->at_work = 0;
	let_cpu_go();
	return 0;
}

static __always_inline int keep_note(struct task_state *s, struct note *n)
{
	if (n->wanted || config.level == LEVEL_AUTO)
		s->note_count++;
	if (!s->note_call && config.level != LEVEL_AUTO)
		tell_notes(0, false);
	return done();
}

/* A mount that overlayfs has made for itself, of a layer: in nobody's namespace, but no inner one such as that of pipes
 * (clone_private_mount, fs/namespace.c). */
static __always_inline bool is_private(struct vfsmount *mnt)
{
	return (__u64)load(real_mount(mnt), mnt_ns) >= (__u64)-MAX_ERRNO && !(load(mnt, mnt_flags) & MNT_INTERNAL);
}

/* Of an overlay's file the one beneath, which overlayfs opens for itself: in such a mount, or under the overlay's path with
 * another inode. */
static __always_inline bool is_beneath(struct file *file)
{
	return load(file, f_inode) != load(load(file, f_path.dentry), d_inode) || is_private(load(file, f_path.mnt));
}

/* The open file as the note's; a function of its own for the stack's sake. */
SUBPROGRAM int note_file(struct task_state *s, struct note *n, __u64 address, int owed)
{
	struct file *file = (struct file *)address;

	refresh(&s->last, load(file, f_path.dentry), load(file, f_path.mnt), load(file, f_inode), owed);
	n->wanted = is_owed(s->last.wanted, owed);
	n->file = s->last.id;
	n->open = open_number(address);
	if (!n->file) {
		n->inode = s->last.key.inode;
		n->generation = s->last.key.generation;
	}
	return 0;
}

static __always_inline int file_hook(struct file *file, __u8 hook, __u64 offset, __u32 argument)
{
	struct task_state *s;
	struct note *n;
	__u64 address;

	if (!file || !(s = subject_state()))
		return 0;
	if (is_beneath(file))
		return done();
	begin_notes(s);
	n = new_note(s, hook);
	address = as_number(n, (__u64)file);
	if (hook != HOOK_MMAP && is_noted(s, hook, open_number(address)))
		return done();
	n->argument = argument;
	n->offset = offset;
	note_file(s, n, address, OWED_TYPE);
	return keep_note(s, n);
}

/* A place by its dentry and mount, as the note's file or target. */
SUBPROGRAM int note_place(struct note *n, __u64 dentry, __u64 mnt, bool second)
{
	__u64 found = find_file(dentry, mnt, OWED_ANY);

	n->wanted |= !!(found & FOUND_PATH);
	if (second)
		n->target = found;
	else
		n->file = found;
	return 0;
}

/* A place that is there only when the call has succeeded: 'dentry' then, which is a rename's old one. */
SUBPROGRAM int expect_place(struct note *n, __u64 dentry_address, __u64 place, __u64 mnt)
{
	struct dentry *dentry = (struct dentry *)place;

	n->dentry = dentry_address;
	n->mnt = mnt;
	n->parent = (__u64)load(dentry, d_parent);
	n->hash = load(dentry, d_name.hash_len);
	return 0;
}

/* What the hook was given beside the file. */
static __always_inline void tell_numbers(struct note *n, __u64 offset, __u64 size)
{
	n->offset = offset;
	n->size = size;
	n->flags &= ~(EVENT_NO_OFFSET | EVENT_NO_SIZE);
}

/* An operation on one name in a directory. */
static __always_inline int entry_hook(struct path *directory, __u64 dentry, __u8 hook, __u64 mode)
{
	struct task_state *s = subject_state();
	struct note *n;
	__u64 mnt;

	if (!s)
		return 0;
	begin_notes(s);
	n = new_note(s, hook);
	tell_numbers(n, 0, mode);
	dentry = as_number(n, dentry);
	mnt = (__u64)load(directory, mnt);
	note_place(n, dentry, mnt, false);
	if (hook == HOOK_MKDIR || hook == HOOK_MKNOD)
		expect_place(n, dentry, dentry, mnt);
	return keep_note(s, n);
}

/* Not every kernel's LSM hook is given them. */
static __always_inline __u32 rename_flags(void)
{
	struct task_struct *task = current_task();
	const struct pt_regs *regs = registers_of(task);
	bool narrow = is_compat(task);

	if (of_task(task, flags) & (PF_KTHREAD | PF_IO_WORKER) || !is_one_of(narrow, call_number(task), NR_RENAMEAT2))
		return 0;
	return narrow ? load(regs, di) : load(regs, r8);
}

/* An operation on a file and a new name for it. */
static __always_inline int names_hook(__u64 mnt, __u64 dentry, struct path *directory, __u64 place, __u8 hook)
{
	struct task_state *s = subject_state();
	struct note *n;

	if (!s)
		return 0;
	begin_notes(s);
	if (hook == HOOK_RENAME && is_noted(s, hook, 0))
		s->note_count--;
	n = new_note(s, hook);
	n->argument = hook == HOOK_RENAME ? rename_flags() : 0;
	dentry = as_number(n, dentry);
	place = as_number(n, place);
	note_place(n, dentry, mnt, false);
	mnt = (__u64)load(directory, mnt);
	note_place(n, place, mnt, true);
	expect_place(n, hook == HOOK_RENAME ? dentry : place, place, mnt);
	return keep_note(s, n);
}

static __always_inline int path_hook(struct path *path, __u8 hook, __u64 offset, __u64 size)
{
	struct task_state *s = subject_state();
	struct note *n;

	if (!s)
		return 0;
	if (is_private(load(path, mnt)))
		return done();
	begin_notes(s);
	n = new_note(s, hook);
	if (hook == HOOK_CHMOD || hook == HOOK_CHOWN)
		tell_numbers(n, offset, size);
	note_place(n, (__u64)load(path, dentry), (__u64)load(path, mnt), false);
	return keep_note(s, n);
}

SEC("vfs")
int file_open(void *ctx)
{
	struct file *file = (struct file *)hook_argument(ctx, 0);

	return file_hook(file, HOOK_OPEN, load(file, f_flags) & ~(O_LARGEFILE | FMODE_EXEC), 0);
}

SEC("vfs")
int file_permission(void *ctx)
{
	__u32 mask = hook_argument(ctx, 1);
	bool write = mask & MAY_WRITE;

	if (!write && (!(mask & MAY_READ) || !is_chosen(HOOK_READ)))
		return 0;
	if (write && !is_chosen(HOOK_WRITE) && !is_chosen(HOOK_MODIFY))
		return 0;
	return file_hook((struct file *)hook_argument(ctx, 0), write ? HOOK_WRITE : HOOK_READ, 0, 0);
}

SEC("vfs")
int file_truncate(void *ctx)
{
	return file_hook((struct file *)hook_argument(ctx, 0), HOOK_FILE_TRUNCATE, 0, 0);
}

/* Behind the protection asked for the LSM hook is given the one that will be. */
SEC("vfs")
int mmap_file(void *ctx)
{
	__u64 protection = hook_argument(ctx, 1);
	__u64 flags = config.way == WAY_LSM ? hook_argument(ctx, 3) : hook_argument(ctx, 2);

	return file_hook((struct file *)hook_argument(ctx, 0), HOOK_MMAP, 0, (protection & 0xff) | (__u32)flags << 8);
}

SEC("vfs")
int bprm_check(void *ctx)
{
	struct linux_binprm *bprm = (struct linux_binprm *)hook_argument(ctx, 0);

	return file_hook(load(bprm, file), HOOK_EXEC, 0, 0);
}

SEC("vfs")
int inode_getattr(void *ctx)
{
	return path_hook((struct path *)hook_argument(ctx, 0), HOOK_GETATTR, 0, 0);
}

SEC("vfs")
int path_chmod(void *ctx)
{
	return path_hook((struct path *)hook_argument(ctx, 0), HOOK_CHMOD, 0, (__u16)hook_argument(ctx, 1));
}

SEC("vfs")
int path_chown(void *ctx)
{
	return path_hook((struct path *)hook_argument(ctx, 0), HOOK_CHOWN, (__u32)hook_argument(ctx, 1), (__u32)hook_argument(ctx, 2));
}

SEC("vfs")
int path_truncate(void *ctx)
{
	return path_hook((struct path *)hook_argument(ctx, 0), HOOK_TRUNCATE, 0, 0);
}

SEC("vfs")
int vfs_utimes(void *ctx)
{
	return path_hook((struct path *)hook_argument(ctx, 0), HOOK_UTIMES, 0, 0);
}

SEC("vfs")
int path_mkdir(void *ctx)
{
	return entry_hook((struct path *)hook_argument(ctx, 0), hook_argument(ctx, 1), HOOK_MKDIR, (__u16)hook_argument(ctx, 2));
}

SEC("vfs")
int path_mknod(void *ctx)
{
	return entry_hook((struct path *)hook_argument(ctx, 0), hook_argument(ctx, 1), HOOK_MKNOD, (__u16)hook_argument(ctx, 2));
}

SEC("vfs")
int path_rmdir(void *ctx)
{
	return entry_hook((struct path *)hook_argument(ctx, 0), hook_argument(ctx, 1), HOOK_RMDIR, 0);
}

SEC("vfs")
int path_unlink(void *ctx)
{
	return entry_hook((struct path *)hook_argument(ctx, 0), hook_argument(ctx, 1), HOOK_UNLINK, 0);
}

SEC("vfs")
int path_link(void *ctx)
{
	struct path *directory = (struct path *)hook_argument(ctx, 1);

	return names_hook((__u64)load(directory, mnt), hook_argument(ctx, 0), directory, hook_argument(ctx, 2), HOOK_LINK);
}

SEC("vfs")
int path_rename(void *ctx)
{
	struct path *from = (struct path *)hook_argument(ctx, 0), *to = (struct path *)hook_argument(ctx, 2);

	return names_hook((__u64)load(from, mnt), hook_argument(ctx, 1), to, hook_argument(ctx, 3), HOOK_RENAME);
}

/* What the link says is the caller's string; system calls that make the events read it themselves. */
SEC("vfs")
int path_symlink(void *ctx)
{
	struct path *directory = (struct path *)hook_argument(ctx, 0);
	struct task_state *s = subject_state();
	__u64 dentry, mnt;
	struct note *n;

	if (!s)
		return 0;
	begin_notes(s);
	n = new_note(s, HOOK_SYMLINK);
	dentry = as_number(n, hook_argument(ctx, 1));
	mnt = (__u64)load(directory, mnt);
	note_place(n, dentry, mnt, true);
	expect_place(n, dentry, dentry, mnt);
	if (n->wanted && config.level == LEVEL_VFS)
		n->file = define_name((const char *)hook_argument(ctx, 2), n->target, DEFINITION_ONCE | DEFINITION_BESIDE, NAME_KERNEL);
	return keep_note(s, n);
}

/* A function of its own: in a loop the compiler would look for members' places before it asks whether they exist. */
SUBPROGRAM __u64 mount_behind(__u64 sb, __u64 mount)
{
	return (__u64)next_mount((struct super_block *)sb, (struct mount *)mount);
}

/* A mount of the file system that the task can see: an inode alone is in none. */
SUBPROGRAM __u64 mount_in_sight(__u64 address)
{
	struct super_block *sb = (struct super_block *)address;
	__u64 namespace = (__u64)of_task(current_task(), nsproxy, mnt_ns);
	struct mount *mount = first_mount(sb), *first = mount;

	for (int i = 0; i < MAX_MOUNTS && mount; i++) {
		if ((__u64)load(mount, mnt_ns) == namespace)
			return (__u64)mount + bpf_core_field_offset(struct mount, mnt);
		mount = (struct mount *)mount_behind(address, (__u64)mount);
	}
	return first ? (__u64)first + bpf_core_field_offset(struct mount, mnt) : 0;
}

/* The name by which the inode is known: one of them, where it has several. */
static __always_inline __u64 alias(struct inode *inode)
{
	__u64 first = (__u64)load(inode, i_dentry.first);

	return first ? first - alias_offset() : 0;
}

/* The inode as the draft's file: by a name of its own, whichever that is. */
SUBPROGRAM int place_inode(struct draft *d, __u64 address)
{
	struct inode *inode = (struct inode *)address;
	__u64 dentry = alias(inode), mnt = mount_in_sight((__u64)load(inode, i_sb));

	if (dentry && mnt)
		d->file = find_file(dentry, mnt, OWED_ALWAYS);
	return 0;
}

/* Asked of every component of every path that anybody looks up: a rule for this very inode comes first. Its answer is not
 * that of the call, so that it is told at once, in the middle of the call. */
SEC("vfs")
int inode_permission(void *ctx)
{
	const struct hook_choice chosen = config.hooks[HOOK_PERMISSION];
	struct inode *inode = (struct inode *)hook_argument(ctx, 0);
	struct rule_key key = {};
	struct task_state *s;
	struct draft *d;
	__u64 entered;
	__u32 *rule;

	fill_rule_key(&key, inode);
	rule = bpf_map_lookup_elem(&rules, &key);
	if (!rule || *rule & RULE_EXCLUDE || config.failed || config.min_latency || !(s = subject_state()))
		return 0;
	entered = s->entered;
	s->entered = 0;
	d = new_draft(s, chosen.op, chosen.call, 0);
	s->entered = entered;
	d->size = (__u32)hook_argument(ctx, 1);
	d->flags = EVENT_NO_RESULT | EVENT_NO_OFFSET;
	d->offset = (__u64)inode;
	barrier();
	place_inode(d, d->offset);
	d->offset = 0;
	emit(d, current_task(), s);
	return done();
}

/* What the current task's hooks have noted, for programs that nothing preempts. */
static __always_inline struct task_state *noted_state(void)
{
	struct task_struct *task = current_task();
	struct task_state *s = is_bystander(task) ? NULL : current_member(task);

	return s && s->note_count ? s : NULL;
}

/* The return of a call: what its hooks have noted gets its result. */
SEC("tp_btf/sys_exit")
int call_returned(__u64 *ctx)
{
	struct task_state *s = noted_state();

	if (s)
		tell_notes(ctx[1], s->note_call == call_under_way(current_task()));
	return 0;
}

/* The end of a thread that was not in a call, as when it dumps core. */
SEC("tp_btf/sched_process_exit")
int thread_ended(__u64 *ctx)
{
	if (noted_state())
		tell_notes(0, false);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
