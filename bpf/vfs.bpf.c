// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * File operations traced below the system calls, at the security hooks: what happened, to which inode, whatever the kind of
 * access. Each program serves as LSM hook, as fentry on the function that calls the hooks, or as kprobe there: user space sets
 * its type, and config.attach_type selects where its arguments are. Separate, because not every kernel lets it attach.
 */
#include "event.h"
#include "lib/compat.bpf.h"
#include "lib/emit.bpf.h"
#include "lib/find_file.bpf.h"
#include "lib/hook.bpf.h"
#include "lib/identity.bpf.h"
#include "lib/kernel.h"
#include "lib/pending_event.bpf.h"
#include "lib/name.bpf.h"
#include "lib/pending_hook.bpf.h"
#include "lib/state.bpf.h"
#include "lib/target.bpf.h"
#include "lib/emit_hook.bpf.h"

#define MAY_WRITE 2
#define MAY_READ 4
#define MAX_MOUNTS 64

/* Flags of every open file of a 64-bit program, and of one that is opened for execution (include/linux/fs.h). */
#define O_LARGEFILE 0100000
#define FMODE_EXEC 0x20

/* Read a word of a program's context. The compiler would add the index to the pointer first, which the verifier refuses. */
#define context_word(context, at)                                                                                                          \
	({                                                                                                                                 \
		__u64 word_;                                                                                                               \
		asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(word_) : "r"(context), "i"(at));                                              \
		word_;                                                                                                                     \
	})

/* Where a kprobe's registers are: x86-64's calling convention, and struct pt_regs of its uapi/asm/ptrace.h. */
#define REGISTER_OFFSET(n) ((n) == 0 ? 112 : (n) == 1 ? 104 : (n) == 2 ? 96 : 88)

/* The hook's argument number n, from 0 to 3. */
#define hook_argument(context, n)                                                                                                          \
	(config.attach_type == ATTACH_KPROBE ? context_word(context, REGISTER_OFFSET(n)) : context_word(context, 8 * (n)))

SEC("vfs")
int ft_file_open(void *ctx)
{
	struct file *file = (struct file *)hook_argument(ctx, 0);

	return file_hook(file, HOOK_OPEN, read_word(file, f_flags) & ~(O_LARGEFILE | FMODE_EXEC), 0);
}

SEC("vfs")
int ft_file_perm(void *ctx)
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
int ft_file_trunc(void *ctx)
{
	return file_hook((struct file *)hook_argument(ctx, 0), HOOK_FILE_TRUNCATE, 0, 0);
}

/* After the requested protection, the LSM hook gets the one that will be used. */
SEC("vfs")
int ft_mmap_file(void *ctx)
{
	__u64 protection = hook_argument(ctx, 1);
	__u64 flags = config.attach_type == ATTACH_LSM ? hook_argument(ctx, 3) : hook_argument(ctx, 2);

	return file_hook((struct file *)hook_argument(ctx, 0), HOOK_MMAP, 0, (protection & 0xff) | (__u32)flags << 8);
}

SEC("vfs")
int ft_bprm_check(void *ctx)
{
	struct linux_binprm *bprm = (struct linux_binprm *)hook_argument(ctx, 0);

	return file_hook(read_word(bprm, file), HOOK_EXEC, 0, 0);
}

SEC("vfs")
int ft_inode_attr(void *ctx)
{
	return path_hook((struct path *)hook_argument(ctx, 0), HOOK_GETATTR, 0, 0);
}

SEC("vfs")
int ft_path_chmod(void *ctx)
{
	return path_hook((struct path *)hook_argument(ctx, 0), HOOK_CHMOD, 0, (__u16)hook_argument(ctx, 1));
}

SEC("vfs")
int ft_path_chown(void *ctx)
{
	return path_hook((struct path *)hook_argument(ctx, 0), HOOK_CHOWN, (__u32)hook_argument(ctx, 1), (__u32)hook_argument(ctx, 2));
}

SEC("vfs")
int ft_path_trunc(void *ctx)
{
	return path_hook((struct path *)hook_argument(ctx, 0), HOOK_TRUNCATE, 0, 0);
}

SEC("vfs")
int ft_vfs_utimes(void *ctx)
{
	return path_hook((struct path *)hook_argument(ctx, 0), HOOK_UTIMES, 0, 0);
}

SEC("vfs")
int ft_path_mkdir(void *ctx)
{
	return entry_hook((struct path *)hook_argument(ctx, 0), hook_argument(ctx, 1), HOOK_MKDIR, (__u16)hook_argument(ctx, 2));
}

SEC("vfs")
int ft_path_mknod(void *ctx)
{
	return entry_hook((struct path *)hook_argument(ctx, 0), hook_argument(ctx, 1), HOOK_MKNOD, (__u16)hook_argument(ctx, 2));
}

SEC("vfs")
int ft_path_rmdir(void *ctx)
{
	return entry_hook((struct path *)hook_argument(ctx, 0), hook_argument(ctx, 1), HOOK_RMDIR, 0);
}

SEC("vfs")
int ft_path_unlink(void *ctx)
{
	return entry_hook((struct path *)hook_argument(ctx, 0), hook_argument(ctx, 1), HOOK_UNLINK, 0);
}

SEC("vfs")
int ft_path_link(void *ctx)
{
	struct path *directory = (struct path *)hook_argument(ctx, 1);

	return names_hook((__u64)read_word(directory, mnt), hook_argument(ctx, 0), directory, hook_argument(ctx, 2), HOOK_LINK);
}

SEC("vfs")
int ft_path_rename(void *ctx)
{
	struct path *from = (struct path *)hook_argument(ctx, 0), *to = (struct path *)hook_argument(ctx, 2);

	return names_hook((__u64)read_word(from, mnt), hook_argument(ctx, 1), to, hook_argument(ctx, 3), HOOK_RENAME);
}

/* The target of the link is the caller's string; where system calls make the events, they read it themselves. */
SEC("vfs")
int ft_path_symlink(void *ctx)
{
	struct path *directory = (struct path *)hook_argument(ctx, 0);
	struct task_state *s = traced_state();
	__u64 dentry, mnt;
	struct pending_hook *n;

	if (!s)
		return 0;
	begin_pending_hooks(s);
	n = new_pending_hook(s, HOOK_SYMLINK);
	dentry = as_number(n, hook_argument(ctx, 1));
	mnt = (__u64)read_word(directory, mnt);
	set_hook_path(n, dentry, mnt, true);
	expect_hook_path(n, dentry, dentry, mnt);
	if (n->wanted && config.level == LEVEL_VFS)
		n->file = define_content(s, (const char *)hook_argument(ctx, 2), n->target, NAME_KERNEL);
	return keep_pending_hook(s, n);
}

/* A separate function: in a loop the compiler would compute members' offsets before it tests whether they exist. */
SUBPROGRAM __u64 mount_behind(__u64 sb, __u64 mount)
{
	return (__u64)next_mount((struct super_block *)sb, (struct mount *)mount);
}

/* Return a mount of the file system that the task can see: an inode alone is in no mount. */
SUBPROGRAM __u64 mount_in_sight(__u64 address)
{
	struct super_block *sb = (struct super_block *)address;
	__u64 namespace = (__u64)task_field(current_task(), nsproxy, mnt_ns);
	struct mount *mount = first_mount(sb), *first = mount;

	for (int i = 0; i < MAX_MOUNTS && mount; i++) {
		if ((__u64)read_word(mount, mnt_ns) == namespace)
			return (__u64)mount + bpf_core_field_offset(struct mount, mnt);
		mount = (struct mount *)mount_behind(address, (__u64)mount);
	}
	return first ? (__u64)first + bpf_core_field_offset(struct mount, mnt) : 0;
}

/* Return the name of the inode: one of them, if it has several. */
static __always_inline __u64 alias(struct inode *inode)
{
	__u64 first = (__u64)read_word(inode, i_dentry.first);

	return first ? first - alias_offset() : 0;
}

/* Set the inode as the pending event's file, by any of its names. */
SUBPROGRAM int locate_inode(struct pending_event *d, __u64 address)
{
	struct inode *inode = (struct inode *)address;
	__u64 dentry = alias(inode), mnt = mount_in_sight((__u64)read_word(inode, i_sb));

	if (dentry && mnt)
		d->file = find_file(dentry, mnt, NEED_ALWAYS).id;
	return 0;
}

/* Called for every component of every path that is looked up: a rule for this very inode is tested first. Its result is not that of the
 * call, so it is emitted at once, in the middle of the call. */
SEC("vfs")
int ft_inode_perm(void *ctx)
{
	const struct hook_choice chosen = config.hooks[HOOK_PERMISSION];
	struct inode *inode = (struct inode *)hook_argument(ctx, 0);
	struct rule_key key = {};
	struct task_state *s;
	struct pending_event *d;
	__u64 entered;
	__u32 *rule;

	fill_rule_key(&key, inode);
	rule = bpf_map_lookup_elem(&ft_inode_rules, &key);
	if (!rule || *rule & RULE_EXCLUDE || config.failed || config.min_latency || !(s = traced_state()))
		return 0;
	entered = s->entered;
	s->entered = 0;
	d = new_pending_event(s, chosen.op, chosen.call, 0);
	s->entered = entered;
	d->size = (__u32)hook_argument(ctx, 1);
	d->flags = EVENT_NO_RESULT | EVENT_NO_OFFSET;
	d->offset = (__u64)inode;
	barrier();
	locate_inode(d, d->offset);
	d->offset = 0;
	emit(d, current_task(), s);
	return done();
}

/* Return the state with the current task's pending hooks, for programs that cannot be preempted. */
static __always_inline struct task_state *pending_hook_state(void)
{
	struct task_struct *task = current_task();
	struct task_state *s = is_untraced(task) ? NULL : current_target(task);

	return s && s->pending_hook_count ? s : NULL;
}

/* The return of a call: its pending hooks get its result. */
static __always_inline int on_return(long result)
{
	struct task_state *s = pending_hook_state();

	if (s)
		emit_pending_hooks(result, s->pending_hook_call == call_under_way(current_task()));
	return 0;
}

SEC("tp_btf/sys_exit")
int ft_returned(__u64 *ctx)
{
	return on_return(ctx[1]);
}

SEC("tracepoint")
int ft_classic_ret(struct classic_exit *ctx)
{
	return on_return(ctx->result);
}

/* The end of a thread that was not in a call, for example when it dumps core. */
static __always_inline int on_end(void)
{
	if (pending_hook_state())
		emit_pending_hooks(0, false);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int ft_thread_ended(__u64 *ctx)
{
	return on_end();
}

SEC("tracepoint")
int ft_classic_gone(void *ctx)
{
	return on_end();
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
