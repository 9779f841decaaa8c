/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The files of a call that takes names: those that its hooks have seen, or else the names as they were given.
 *
 * Separate from call_event.bpf.h, because calls with a descriptor need none of it.
 */
#ifndef FILETAP_CALL_NAME_H
#define FILETAP_CALL_NAME_H

#include "../event.h"
#include "argument.bpf.h"
#include "compat.bpf.h"
#include "define.bpf.h"
#include "descriptor.bpf.h"
#include "find_file.bpf.h"
#include "kernel.h"
#include "pending_event.bpf.h"
#include "mapping.bpf.h"
#include "name.bpf.h"
#include "path_rules.bpf.h"
#include "pending_hook.bpf.h"
#include "numbers.h"
#include "path.bpf.h"
#include "state.bpf.h"
#include "fd_file.bpf.h"
#include "uapi.h"

/* An empty name refers to the descriptor, or to the directory that the call starts from (AT_EMPTY_PATH). */
static __always_inline bool name_descriptor(struct task_state *state, int fd)
{
	struct task_struct *task = current_task();
	struct pending_event *d = &state->pending_event;
	struct fs_struct *fs = task_field(task, fs);
	struct file *file;
	struct found found = {};

	if (fd == AT_FDCWD) {
		if (fs)
			found = find_path_file(&fs->pwd, NEED_ALWAYS);
		d->file = found.id;
		return found.wanted & WANTED_PATH;
	}
	d->fd = fd;
	file = file_at(fd_address(task, fd));
	if (!file)
		return wanted_without_file();
	if (!resolve_mapped(state, file))
		return false;
	give_file(d, state->last.id, true, d->open);
	return true;
}

static __always_inline bool is_symlink(const struct pt_regs *regs)
{
	return regs->orig_ax == NR_SYMLINK || regs->orig_ax == NR_SYMLINKAT || regs->orig_ax == MAX_NR + RING_SYMLINKAT;
}

static __always_inline enum name_kind asked_target(const struct pt_regs *regs, struct task_state *state, bool needed)
{
	const struct shape shape = shape_of(regs->orig_ax);
	int directory = shape.to_dir ? (int)argument(regs, shape.to_dir) : AT_FDCWD;

	return requested_name(state, (const char *)argument(regs, shape.to_name), directory, needed, 0);
}

static __always_inline bool content_may_be_wanted(const char *content)
{
	struct text *t = text();
	long length;

	if (!t)
		return true;
	length = bpf_probe_read_user_str(t->requested.name, COMPONENT_SPACE, content);
	return length > 0 && may_lead_there(t, length);
}

/* The target of a symbolic link, relative to the link's directory. */
static __always_inline bool name_content(const struct pt_regs *regs, struct task_state *state, const char *name, bool needed)
{
	struct pending_event *d = &state->pending_event;

	if (!needed) {
		if (!content_may_be_wanted(name))
			return false;
		asked_target(regs, state, true);
		d->target = state->name;
	}
	d->file = define_content(state, name, d->target, NAME_USER);
	return true;
}

/* RESOLVE_* of openat2 that restrict where the name may lead. */
SUBPROGRAM __u32 scope_of(const struct pt_regs *regs)
{
	__u64 how[3] = {};

	if (!(call_of(regs->orig_ax).flags & CALL_HOW) || bpf_probe_read_user(how, sizeof(how), (void *)regs->dx))
		return 0;
	return how[2] & (RESOLVE_BENEATH | RESOLVE_IN_ROOT);
}

/* Returns true if the source argument of mount(2) is a name. The rules are those of path_mount() in fs/namespace.c. The source of a new
 * file system may be one, depending on its type. */
static __always_inline bool has_plain_source(const struct pt_regs *regs)
{
	__u32 flags = regs->r10;

	if ((flags & MS_MGC_MSK) == MS_MGC_VAL)
		flags &= ~MS_MGC_MSK;
	if (flags & MS_REMOUNT)
		return true;
	return !(flags & MS_BIND) && (flags & MS_PROPAGATION || !(flags & MS_MOVE));
}

/* The text, followed by the type of the file system if a new one is mounted. */
SUBPROGRAM __u32 define_source(const struct pt_regs *regs, const struct origin *o)
{
	bool made = !(regs->r10 & (MS_REMOUNT | MS_PROPAGATION)) || (regs->r10 & MS_MGC_MSK) == MS_MGC_VAL;
	struct counters *c = counters();
	struct scratch *s = scratch();
	long length, more = 0;

	if (!c || !s)
		return 0;
	start_definition(s, DEFINE_NAME, new_id(c));
	length = read_user_string(s->bytes, 4096, (const char *)regs->di);
	if (length > 0 && length <= 4096 && made)
		more = read_user_string(s->bytes + length, COMPONENT_SPACE, (const char *)regs->dx);
	fill_name(s, o, DEFINITION_ONCE | DEFINITION_SOURCE, more > 0 ? length + more : length);
	return submit_definition(s, c) ? 0 : s->head.id;
}

SUBPROGRAM bool name_source(const struct pt_regs *regs, struct task_state *state, bool needed)
{
	struct pending_event *d = &state->pending_event;
	struct text *t = text();
	long length;

	if (!t)
		return needed;
	length = read_user_string(t->requested.name, COMPONENT_SPACE, (const char *)regs->di);
	if (length <= 0)
		return needed;
	find_origin(&t->origin, state, t->requested.name[0] == '/', AT_FDCWD, 0);
	if (!needed && !may_be_wanted(t, t->origin.start, length))
		return false;
	d->file = define_source(regs, &t->origin);
	return true;
}

/* Returns true if the name matches, or is needed because the other name matches. */
SUBPROGRAM bool name_first(const struct pt_regs *regs, struct task_state *state, bool needed)
{
	const struct shape shape = shape_of(regs->orig_ax);
	int directory = shape.dir ? (int)argument(regs, shape.dir) : AT_FDCWD;
	struct pending_event *d = &state->pending_event;
	const char *name = (const char *)argument(regs, shape.name);
	struct text *t = text();
	enum name_kind kind;
	__u32 scope;

	if (is_symlink(regs))
		return name_content(regs, state, name, needed);
	if (regs->orig_ax == NR_MOUNT && has_plain_source(regs))
		return name_source(regs, state, needed);
	scope = scope_of(regs);
	kind = requested_name(state, name, directory, needed, scope);
	if (kind == NAME_UNWANTED)
		return false;
	if (kind != NAME_EMPTY) {
		d->file = state->name;
		return true;
	}
	if (!name && d->result == -EFAULT)
		return needed;
	if (shape.dir && d->result != -ENOENT)
		return name_descriptor(state, directory) || (needed && config.paths & 1);
	if (!name || !t)
		return needed;
	find_origin(&t->origin, state, false, directory, scope);
	if (!needed && !(t->origin.start.wanted & (WANTED_BELOW | WANTED_PATH)))
		return false;
	d->file = define_name(name, &t->origin, DEFINITION_ONCE, NAME_USER);
	return true;
}

/* Returns true if this call has changed something by a name that user space has to look up. */
static __always_inline bool is_looked_up(const struct pt_regs *regs, const struct shape *shape, long result)
{
	if (!config.later || result < 0 || !shape->change)
		return false;
	if (shape->change != CHANGE_TARGET &&
	    !leads_elsewhere(argument(regs, shape->name), shape->dir ? argument(regs, shape->dir) : AT_FDCWD, shape->change))
		return true;
	return shape->to_name &&
	       !leads_elsewhere(argument(regs, shape->to_name), shape->to_dir ? argument(regs, shape->to_dir) : AT_FDCWD, CHANGE_ENTRY);
}

/* Handle the one name or both, if one of them may match or may lead to a matching file. */
static __always_inline bool name_asked(const struct pt_regs *regs, struct task_state *state)
{
	const struct shape shape = shape_of(regs->orig_ax);
	bool later = is_looked_up(regs, &shape, state->pending_event.result), needed = later || !(config.paths & 1), reported = true;
	enum name_kind kind;

	if (later)
		state->pending_event.flags |= EVENT_LATER;
	if (shape.to_name) {
		kind = asked_target(regs, state, needed);
		reported = needed || kind == NAME_DEFINED;
		needed = reported;
		state->pending_event.target = state->name;
	}
	if (!name_first(regs, state, needed))
		return false;
	if (!reported) {
		asked_target(regs, state, true);
		state->pending_event.target = state->name;
	}
	return true;
}

/* Report the descriptor that an empty or missing name refers to. */
static __always_inline void name_given_descriptor(const struct pt_regs *regs, struct pending_event *d)
{
	const struct shape shape = shape_of(regs->orig_ax);
	int fd = shape.dir ? (int)argument(regs, shape.dir) : AT_FDCWD;
	const char *name = (const char *)argument(regs, shape.name);
	char first = 0;

	if (fd < 0)
		return;
	if (name)
		bpf_probe_read_user(&first, 1, name);
	if (!first)
		d->fd = fd;
}

/* Set the files that a call's names have led to, if a hook has seen them; otherwise the names. Returns false if no rule matches. */
static __always_inline bool name_files(const struct pt_regs *regs, struct task_state *state, long result)
{
	enum taken taken = config.level == LEVEL_AUTO ? take_pending_hook(state, result) : NOT_SEEN;

	if (taken == NOT_WANTED)
		return false;
	if (taken == NOT_SEEN)
		return name_asked(regs, state);
	if (is_symlink(regs))
		return name_first(regs, state, true);
	name_given_descriptor(regs, &state->pending_event);
	return true;
}

#endif
