/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The few kernel types that the probes read, each with only the members they read; CO-RE finds the real offsets.
 *
 * Separate, because a whole vmlinux.h is 3 MB of foreign code and hides what filetap depends on.
 */
#ifndef FILETAP_KERNEL_H
#define FILETAP_KERNEL_H

#include <linux/types.h>

typedef _Bool bool;
enum { false, true };

enum special_kfunc_type {
	KF_bpf_rdonly_cast,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	__u32 val;
} kuid_t, kgid_t;
typedef struct {
	int counter;
} atomic_t;
typedef struct {
	long counter;
} atomic_long_t;
typedef struct {
	unsigned int sequence;
} seqcount_t;
typedef struct {
	seqcount_t seqcount;
} seqcount_spinlock_t;

struct hlist_node {
	struct hlist_node *next;
};
struct hlist_head {
	struct hlist_node *first;
};
struct list_head {
	struct list_head *next, *prev;
};
struct hlist_bl_node {
	struct hlist_bl_node *next, **pprev;
};

struct pt_regs {
	unsigned long r10, r9, r8, cx, dx, si, di, orig_ax, ax, ip, sp;
};

struct qstr {
	__u64 hash_len;
	__u32 len;
	const char *name;
};

struct dentry_operations {
	void *d_dname;
};
struct dentry {
	unsigned int d_flags;
	seqcount_spinlock_t d_seq;
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
	struct super_block *d_sb;
	struct dentry_operations *d_op;
	void *d_fsdata;
	struct hlist_node d_alias;
};
struct bpf_subprog_info {
	bool might_sleep;
};
struct dentry___before_7 {
	union {
		struct hlist_node d_alias;
	} d_u;
};

struct vfsmount {
	struct dentry *mnt_root;
	int mnt_flags;
};
struct proc_ns_operations {
	const char *name;
};
struct ns_common {
	struct proc_ns_operations *ops;
	unsigned int inum;
};
struct mnt_namespace {
	struct ns_common ns;
	__u64 seq;
};
struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct mnt_namespace *mnt_ns;
	struct mount *mnt_next_for_sb;
	int mnt_id;
	__u64 mnt_id_unique;
};
struct mount___before_6_17 {
	struct list_head mnt_instance;
};
struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file_system_type {
	const char *name;
};
struct super_block {
	__u32 s_dev;
	unsigned long s_magic;
	struct file_system_type *s_type;
	struct mount *s_mounts;
};
struct super_block___before_6_17 {
	struct list_head s_mounts;
};
struct inode {
	__u16 i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
	unsigned int i_nlink;
	__u32 i_rdev;
	long long i_size;
	__u32 i_generation;
	struct hlist_head i_dentry;
	void *i_private;
};
struct dma_buf {
	const char *name;
};
typedef struct {
	atomic_long_t refcnt;
} file_ref_t;
struct file {
	struct inode *f_inode;
	struct address_space *f_mapping;
	unsigned int f_flags;
	unsigned int f_mode;
	struct path f_path;
	long long f_pos;
	file_ref_t f_ref;
};
struct file___before_6_13 {
	atomic_long_t f_count;
};

struct btrfs_key {
	__u64 objectid;
};
struct btrfs_root {
	struct btrfs_key root_key;
};
struct btrfs_inode {
	struct btrfs_root *root;
	struct inode vfs_inode;
};

struct ovl_path {
	struct dentry *dentry;
};
struct ovl_entry {
	unsigned int __numlower;
	struct ovl_path __lowerstack[1];
};
struct ovl_inode {
	struct inode vfs_inode;
	struct dentry *__upperdentry;
	struct ovl_entry *oe;
};
struct ovl_inode___before_6_5 {
	struct path lowerpath;
};
struct ovl_inode___before_5_19 {
	struct inode *lower;
};

struct xarray {
	void *xa_head;
};
struct xa_node {
	unsigned char shift;
	void *slots[64];
};
struct address_space {
	struct inode *host;
	struct xarray i_pages;
};

struct maple_tree {
	void *ma_root;
};
struct maple_range_64 {
	void *slot[16];
};
struct maple_arange_64 {
	void *slot[10];
};
struct rb_node {
	struct rb_node *rb_right, *rb_left;
};
struct rb_root {
	struct rb_node *rb_node;
};
struct vm_area_struct {
	unsigned long vm_start, vm_end;
	unsigned long vm_pgoff;
	struct file *vm_file;
};
struct vm_area_struct___before_6_1 {
	struct rb_node vm_rb;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};
struct files_struct {
	atomic_t count;
	struct fdtable *fdt;
};
struct fs_struct {
	struct path root;
	struct path pwd;
};

struct user_namespace {
	struct ns_common ns;
};
struct pid_namespace {
	struct ns_common ns;
};
struct cgroup_namespace {
	struct ns_common ns;
};
struct timespec64 {
	long long tv_sec;
	long tv_nsec;
};
struct timens_offsets {
	struct timespec64 boottime;
};
struct time_namespace {
	struct timens_offsets offsets;
};
struct nsproxy {
	struct mnt_namespace *mnt_ns;
	struct pid_namespace *pid_ns_for_children;
	struct time_namespace *time_ns;
	struct cgroup_namespace *cgroup_ns;
};
struct group_info {
	int ngroups;
	kgid_t gid[1];
};
struct cred {
	kuid_t uid;
	kgid_t gid;
	kuid_t suid;
	kgid_t sgid;
	kuid_t euid;
	kgid_t egid;
	kuid_t fsuid;
	kgid_t fsgid;
	struct user_namespace *user_ns;
	struct group_info *group_info;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};
struct pid {
	unsigned int level;
	struct upid numbers[1];
};
enum pid_type { PIDTYPE_PID, PIDTYPE_TGID, PIDTYPE_PGID, PIDTYPE_SID, PIDTYPE_MAX };
struct signal_struct {
	atomic_t live;
	int nr_threads;
	int group_exit_code;
	unsigned int flags;
	struct pid *pids[PIDTYPE_MAX];
};
struct mm_struct {
	struct maple_tree mm_mt;
	struct file *exe_file;
	unsigned long arg_start, arg_end;
};
struct mm_struct___before_6_1 {
	struct rb_root mm_rb;
};

struct kernfs_node {
	struct kernfs_node *__parent;
	const char *name;
	__u64 id;
};
struct kernfs_node___before_6_15 {
	struct kernfs_node *parent;
};
struct cgroup_root {
	int hierarchy_id;
};
struct cgroup {
	int level;
	struct kernfs_node *kn;
	struct cgroup_root *root;
};
struct css_set {
	struct cgroup *dfl_cgrp;
};

struct thread_info {
	unsigned long flags;
	__u32 status;
};
struct trace_event_raw_sched_process_fork {
	int child_pid;
};
struct trace_event_raw_io_uring_submit_req {
	void *req;
};
struct trace_event_raw_io_uring_req_failed {
	void *req;
};
struct trace_event_raw_io_uring_complete {
	void *req;
	int res;
	unsigned int cflags;
};

struct task_struct {
	struct thread_info thread_info;
	void *stack;
	int pid, tgid;
	int exit_state;
	int exit_code;
	unsigned int flags;
	unsigned long nvcsw, nivcsw;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct mm_struct *mm;
	__u64 start_boottime;
	__u64 self_exec_id, parent_exec_id;
	struct cred *cred;
	char comm[16];
	struct fs_struct *fs;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	struct pid *thread_pid;
	struct css_set *cgroups;
	kuid_t loginuid;
	struct bpf_local_storage *bpf_storage;
	int pagefault_disabled;
};

struct bpf_local_storage;

struct linux_binprm {
	struct file *file;
	const char *filename;
	const char *interp;
	const char *fdpath;
};

struct io_ring_ctx {
	unsigned int flags;
	__u32 *sq_array;
	void *sq_sqes;
	unsigned int cached_sq_head;
	unsigned int sq_entries;
};
struct io_kiocb {
	struct file *file;
	__u8 opcode;
	struct io_ring_ctx *ctx;
};

struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
};
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};
struct bpf_iter_task {
	__u64 opaque[3];
} __attribute__((aligned(8)));
struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

#pragma clang attribute pop

#endif
