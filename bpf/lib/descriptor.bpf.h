/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * From a descriptor of the current task to the open file behind it.
 * Apart, because both the calls and exec start from descriptors. Next: lib/define.bpf.h resolve() names the file.
 */
#ifndef FILETAP_DESCRIPTOR_H
#define FILETAP_DESCRIPTOR_H

#include "compat.bpf.h"

/* Address of the open file behind a descriptor of the current task; 0: none. */
static __always_inline __u64 fd_address(struct task_struct *task, __u32 fd, const bool direct)
{
	struct fdtable *fdt = task->files->fdt;
	__u64 slot, address = 0;

	if (fd >= fdt->max_fds)
		return 0;
	slot = (__u64)fdt->fd + fd * sizeof(address);
	/* thread_info begins with a long: read as one, any word of the kernel's can be loaded. */
	if (direct)
		return as(struct thread_info, slot)->flags;
	bpf_probe_read_kernel(&address, sizeof(address), (void *)slot);
	return address;
}

static __always_inline struct file *file_at(__u64 address, const bool direct)
{
	return direct ? as(struct file, address) : (struct file *)address;
}

#endif
