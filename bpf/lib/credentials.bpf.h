/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The credentials of a task: all its ids, and whether they are still those of its last definition.
 *
 * Separate, because they are compared at each event and must cost a few loads, and because some change without a system call that
 * is traced.
 */
#ifndef FILETAP_CREDENTIALS_H
#define FILETAP_CREDENTIALS_H

#include "../event.h"
#include "compat.bpf.h"
#include "kernel.h"
#include "path.bpf.h"
#include "state.bpf.h"

#define GROUP_BYTES (MAX_GROUPS * sizeof(__u32))

/* A user id and the group id that follows it, as one word; as two where a kernel has randomised its structures. */
#define ID_PAIR(cred, user, group) id_pair((__u64)(cred), CRED_OFFSET(user), CRED_OFFSET(group))
#define CRED_OFFSET(member) bpf_core_field_offset(struct cred, member)

static __always_inline __u64 id_pair(__u64 cred, __u64 user, __u64 group)
{
	__u64 both = word_at((void *)(cred + user));

	if (group == user + sizeof(__u32))
		return both;
	return (__u32)both | word_at((void *)(cred + group)) << 32;
}

/* The members to compare: real, effective, saved and of the file system. */
static __always_inline __u64 ids_of(struct cred *cred, int which)
{
	switch (which) {
	case 0:
		return ID_PAIR(cred, uid, gid);
	case 1:
		return ID_PAIR(cred, euid, egid);
	case 2:
		return ID_PAIR(cred, suid, sgid);
	default:
		return ID_PAIR(cred, fsuid, fsgid);
	}
}

static __always_inline __u32 login_of(struct task_struct *task)
{
	return bpf_core_field_exists(task->loginuid) ? task_field(task, loginuid.val) : (__u32)-1;
}

static __always_inline __u64 groups_of(struct cred *cred)
{
	return word_at((void *)cred + CRED_OFFSET(group_info));
}

/* Compared by value, because freed memory is reused. There are too many groups for that: the address of their list is compared, and
 * setgroups(2), the only way to another list, clears it. */
static __always_inline bool same_credentials(struct task_struct *task, const struct credentials *known)
{
	struct cred *cred = (struct cred *)task_field(task, cred);

	return known->ids[0] == ids_of(cred, 0) && known->ids[1] == ids_of(cred, 1) && known->ids[2] == ids_of(cred, 2) &&
	       known->ids[3] == ids_of(cred, 3) && known->groups == groups_of(cred) && known->login == login_of(task);
}

static __always_inline void remember_credentials(struct task_struct *task, struct credentials *known)
{
	struct cred *cred = (struct cred *)task_field(task, cred);

	for (int i = 0; i < 4; i++)
		known->ids[i] = ids_of(cred, i);
	known->groups = groups_of(cred);
	known->login = login_of(task);
}

/* Called when a task has called setgroups(2). */
static __always_inline void forget_groups(struct task_struct *task)
{
	struct task_state *s = state_of(task);

	if (s)
		s->credentials.groups = 0;
}

/* Write the credentials into the definition in the scratch, followed by the list of groups. */
static __always_inline void fill_credentials(struct task_struct *task, struct scratch *s)
{
	struct task_definition *d = &s->task;
	struct group_info *groups = BPF_CORE_READ(task, cred, group_info);
	__u32 count = BPF_CORE_READ(groups, ngroups);

	d->uid = BPF_CORE_READ(task, cred, uid.val);
	d->euid = BPF_CORE_READ(task, cred, euid.val);
	d->suid = BPF_CORE_READ(task, cred, suid.val);
	d->fsuid = BPF_CORE_READ(task, cred, fsuid.val);
	d->gid = BPF_CORE_READ(task, cred, gid.val);
	d->egid = BPF_CORE_READ(task, cred, egid.val);
	d->sgid = BPF_CORE_READ(task, cred, sgid.val);
	d->fsgid = BPF_CORE_READ(task, cred, fsgid.val);
	d->loginuid = bpf_core_field_exists(task->loginuid) ? BPF_CORE_READ(task, loginuid.val) : (__u32)-1;
	d->user_namespace = BPF_CORE_READ(task, cred, user_ns, ns.inum);
	d->groups = count;
	if (count > MAX_GROUPS)
		count = MAX_GROUPS;
	if (!bpf_probe_read_kernel(s->bytes, count * sizeof(__u32), groups->gid))
		s->head.length = count * sizeof(__u32);
	else
		d->groups = 0;
}

#endif
