// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The kernel's own path of each file that is opened: bpf_d_path at security_file_open, with inode and process. It is the
 * oracle of test_vfs_paths.py, so it shares nothing with bpf/.
 */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define ENTRIES 1024
#define SPACE 4096
#define GENERATIONS 8

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct path {
	void *mnt;
};
struct inode {
	unsigned long i_ino;
};
struct task_struct {
	struct task_struct *real_parent;
	__u32 tgid;
};
struct file {
	struct path f_path;
	struct inode *f_inode;
};
#pragma clang attribute pop

struct opened {
	__u64 inode;
	__u32 pid;
	__s32 length; /* with the NUL, or an error */
	char path[SPACE];
};

const volatile __u32 self SEC(".rodata.self") = 0;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ENTRIES);
	__type(key, __u32);
	__type(value, struct opened);
} opened SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} count SEC(".maps");

/* Is the test's own process an ancestor of this one? Others open files too. */
static __always_inline int ours(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	for (int i = 0; i < GENERATIONS; i++) {
		task = BPF_CORE_READ(task, real_parent);
		if (BPF_CORE_READ(task, tgid) == self)
			return 1;
	}
	return 0;
}

SEC("fentry/security_file_open")
int file_open(__u64 *ctx)
{
	struct file *file = (struct file *)ctx[0];
	__u32 pid = bpf_get_current_pid_tgid() >> 32, zero = 0, at;
	__u64 *next = bpf_map_lookup_elem(&count, &zero);
	struct opened *entry;

	if (!next || !ours())
		return 0;
	at = *next;
	entry = bpf_map_lookup_elem(&opened, &at);
	if (!entry)
		return 0;
	__sync_fetch_and_add(next, 1);
	entry->pid = pid;
	entry->inode = file->f_inode->i_ino;
	entry->length = bpf_d_path(&file->f_path, entry->path, SPACE);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
