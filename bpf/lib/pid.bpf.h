/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Numbers of tasks in filetap's own pid namespace. Only for iterators: the current task is filetap in them.
 *
 * Separate, because all other code identifies tasks by the kernel's numbers.
 */
#ifndef FILETAP_PID_H
#define FILETAP_PID_H

#include "compat.bpf.h"
#include "kernel.h"

static __always_inline struct upid *number_at(struct pid *pid, __u32 level)
{
	return (void *)pid + bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);
}

/* 0: it is not visible there. */
static __always_inline __u32 number_here(struct pid *theirs)
{
	struct pid *ours = BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), signal, pids[PIDTYPE_TGID]);
	__u32 level = BPF_CORE_READ(ours, level);

	if (!theirs || BPF_CORE_READ(theirs, level) < level)
		return 0;
	if (BPF_CORE_READ(number_at(theirs, level), ns) != BPF_CORE_READ(number_at(ours, level), ns))
		return 0;
	return BPF_CORE_READ(number_at(theirs, level), nr);
}

#endif
