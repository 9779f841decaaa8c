// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Calls under way: for each thread that is a target, the call that it has begun and not returned from, and the files it is about.
 * Apart, because an iterator runs when somebody asks, and may be preempted by any probe: what each CPU has once (scratch, counters)
 * is this object's own. Names lie in the memory of another process, which it cannot read. User space: pending.py.
 */
#include "event.h"
#include "lib/ancestry.bpf.h"
#include "lib/compat.bpf.h"
#include "lib/define.bpf.h"
#include "lib/descriptor.bpf.h"
#include "lib/kernel.h"
#include "lib/mapping.bpf.h"
#include "lib/noted.bpf.h"
#include "lib/opening.bpf.h"
#include "lib/pid.bpf.h"
#include "lib/request.bpf.h"
#include "lib/state.bpf.h"
#include "lib/subject.bpf.h"
#include "lib/task.bpf.h"

#define MAX_LEVELS 32 /* of cgroups */
#define MAX_ASKED 4096 /* requests at a time */

/* What is being listed. */
struct listed {
	struct pending_call call;
	struct ring_request request;
	__u64 key;
};

PER_CPU(listed, struct listed, ft_pending)

/* Requests, and what is to be said of each: with a 'call' if it is listed. */
struct asked {
	struct aio_place place; /* of io_uring by its address alone; an address of 0: no more */
	struct pending_call answer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_ASKED);
	__type(key, __u32);
	__type(value, struct asked);
} ft_asked_reqs SEC(".maps");

RING_TABLES;
AIO_TABLE;

static __always_inline struct pending_call *pending_call(void)
{
	struct listed *l = listed();

	return l ? &l->call : NULL;
}

static __always_inline bool is_chosen_cgroup(const struct globals *g, __u64 id)
{
	for (int i = 0; i < MAX_CGROUPS; i++)
		if (i < config.cgroups && id == g->cgroups[i].id)
			return true;
	return false;
}

/* in_cgroup() of another task than the current one. */
static __noinline bool lies_in_cgroup(struct task_struct *task)
{
	struct kernfs_node *node = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn);
	struct globals *g = globals();

	for (int i = 0; g && node && i < MAX_LEVELS; i++) {
		if (is_chosen_cgroup(g, BPF_CORE_READ(node, id)))
			return true;
		node = kernfs_parent(node);
	}
	return false;
}

/* find_member() of another task than the current one, also when nothing counts any more. */
static __always_inline bool is_target(struct task_struct *task, struct task_state *s)
{
	struct globals *g = globals();

	if (!g || (__u32)of_task(task, tgid) == g->self || (s && s->member & MEMBER_HELD))
		return false;
	if (s && s->member & (config.command_in_cgroup ? MEMBER_PID : MEMBER_PID | MEMBER_COMM))
		return true;
	if (!config.all && !(config.cgroups && lies_in_cgroup(task)))
		return false;
	return !config.command_in_cgroup || (s && s->member & MEMBER_COMM);
}

/* Whoever it is: to be called once there is something to say of it. */
static __noinline int fill_task(struct task_struct *task, struct task_state *s)
{
	struct pending_call *p = pending_call();

	if (!p)
		return 0;
	if (!s)
		s = new_state(task);
	if (s && !s->task) {
		if (config.ancestry)
			define_ancestors(task, false);
		s->task = define_task(task, s);
	}
	p->task = s ? s->task : 0;
	p->pid = of_task(task, tgid);
	p->tid = of_task(task, pid);
	p->number = number_here(BPF_CORE_READ(task, thread_pid));
	p->ppid = BPF_CORE_READ(task, real_parent, tgid);
	p->euid = BPF_CORE_READ(task, cred, euid.val);
	bpf_probe_read_kernel(p->comm, sizeof(p->comm), task->comm);
	return 0;
}

static __always_inline void fill_registers(struct pending_call *p, const struct pt_regs *regs)
{
	p->nr = load(regs, orig_ax);
	p->arguments[0] = load(regs, di);
	p->arguments[1] = load(regs, si);
	p->arguments[2] = load(regs, dx);
	p->arguments[3] = load(regs, r10);
	p->arguments[4] = load(regs, r8);
	p->arguments[5] = load(regs, r9);
	p->ip = load(regs, ip);
	p->sp = load(regs, sp);
}

/* Every entry but a system call's writes a negative number, and a call that has returned has put its result in the place of
 * -ENOSYS (arch/x86/entry): so it is as long as the thread has not entered the kernel anew. */
static __always_inline bool in_call(const struct pt_regs *regs)
{
	return (__s64)load(regs, orig_ax) >= 0 && (__s64)load(regs, ax) == -ENOSYS;
}

/* An argument by its number; 0: none. */
static __always_inline __u64 numbered(const __u64 arguments[6], __u32 number)
{
	switch (number) { /* no index: the verifier of 5.10 loses the bounds of a computed one */
	case 1:
		return arguments[0];
	case 2:
		return arguments[1];
	case 3:
		return arguments[2];
	case 4:
		return arguments[3];
	case 5:
		return arguments[4];
	case 6:
		return arguments[5];
	}
	return 0;
}

static __always_inline __u64 argument_of(const struct pending_call *p, __u32 number)
{
	return numbered(p->arguments, number);
}

/* The id of a file whose path passes, and its type where that matters; 0: none of these. It counts as named by no event. */
static __always_inline __u32 wanted_file(__u64 address, int owed)
{
	struct file *file = file_at(address);
	__u64 dentry = (__u64)load(file, f_path.dentry), mnt = (__u64)load(file, f_path.mnt);
	struct found found;

	if (!type_passes(file, owed))
		return 0;
	found = find_file(dentry, mnt, OWED_NOTHING);
	return is_owed(found.wanted, owed) ? find_file(dentry, mnt, OWED_ALWAYS).id : 0;
}

static __always_inline struct found any_file(__u64 address)
{
	struct file *file = (struct file *)address;

	return find_file((__u64)load(file, f_path.dentry), (__u64)load(file, f_path.mnt), OWED_ALWAYS);
}

/* The number that events have given to its opening; 0: none has, and a listing makes none. */
static __always_inline __u32 opening_at(__u64 address)
{
	struct opening *known = bpf_map_lookup_elem(&ft_openings, &address);
	struct inode *inode = load((struct file *)address, f_inode);

	if (!known || known->inode != load(inode, i_ino) || known->generation != load(inode, i_generation))
		return 0;
	return known->number;
}

static __always_inline void fill_position(struct pending_call *p, __u64 address, const struct call *call)
{
	struct file *file = (struct file *)address;
	bool at_end = call->kind == KIND_WRITE && load(file, f_flags) & O_APPEND;

	p->open = opening_at(address);
	p->position = at_end ? load(load(file, f_inode), i_size) : load(file, f_pos);
	if (!seekable(load(load(file, f_inode), i_mode)))
		p->flags |= EVENT_NO_OFFSET;
}

/* What the enter of the call has found: what its descriptor or mapping means may have changed since. */
static __always_inline bool known_since_enter(const struct task_state *s, const struct pending_call *p)
{
	struct globals *g = globals();

	return s && g && s->resolved == (__u16)(p->nr + 1) && s->generation == (__u32)g->generation;
}

static __always_inline bool recall_pending(const struct task_state *s, struct pending_call *p, int owed)
{
	if (!s->file || !is_owed(s->wanted, owed))
		return false;
	p->file = s->file;
	p->open = s->open;
	p->position = s->position;
	p->flags |= s->flags;
	return true;
}

/* The file of a descriptor. One that leads nowhere is that of a close, or another thread has closed it. */
static __noinline bool find_descriptor(struct task_struct *task, struct task_state *s, __u32 fd, struct call call)
{
	struct pending_call *p = pending_call();
	__u64 address;
	__u32 found;

	if (!p)
		return false;
	if (known_since_enter(s, p))
		return recall_pending(s, p, owed_by(&call));
	address = fd_address(task, fd);
	if (!address)
		return wanted_without_file();
	found = wanted_file(address, owed_by(&call));
	if (!found)
		return false;
	p->file = found;
	fill_position(p, address, &call);
	if (descriptors_shared(task))
		p->flags |= EVENT_UNCERTAIN;
	return true;
}

/* Either of two files is enough. */
static __noinline bool find_two(struct task_struct *task, __u32 from, __u32 to)
{
	__u64 addresses[] = { fd_address(task, from), fd_address(task, to) };
	struct pending_call *p = pending_call();
	bool wanted = false;

	if (!p)
		return false;
	wanted = (addresses[0] && wanted_file(addresses[0], OWED_TYPE)) || (addresses[1] && wanted_file(addresses[1], OWED_TYPE));
	if (!wanted)
		return false;
	if (addresses[0]) {
		p->file = any_file(addresses[0]).id;
		p->open = opening_at(addresses[0]);
	}
	p->target = addresses[1] ? any_file(addresses[1]).id : 0;
	return true;
}

static __noinline bool find_mapped(struct task_struct *task, struct task_state *s)
{
	struct pending_call *p = pending_call();
	__u64 offset = 0, address;

	if (!p)
		return false;
	if (known_since_enter(s, p))
		return recall_pending(s, p, OWED_TYPE);
	address = mapped_file(task, p->arguments[0], &offset);
	p->file = address ? wanted_file(address, OWED_TYPE) : 0;
	p->open = address ? opening_at(address) : 0;
	p->position = offset;
	return p->file;
}

static __always_inline struct found start_at(struct task_struct *task, int directory)
{
	struct fs_struct *fs = of_task(task, fs);
	__u64 address;

	if (directory == AT_FDCWD)
		return fs ? find_place(&fs->pwd, OWED_ALWAYS) : (struct found){};
	address = fd_address(task, directory);
	return address ? any_file(address) : (struct found){};
}

/* Where the names start: user space reads them, and says whether they are wanted. */
static __noinline bool find_starts(struct task_struct *task, struct shape shape)
{
	struct fs_struct *fs = of_task(task, fs);
	struct pending_call *p = pending_call();

	if (!p || !fs)
		return false;
	p->root = find_place(&fs->root, OWED_ALWAYS);
	p->start = start_at(task, shape.dir ? (int)argument_of(p, shape.dir) : AT_FDCWD);
	if (shape.to_name)
		p->to_start = start_at(task, shape.to_dir ? (int)argument_of(p, shape.to_dir) : AT_FDCWD);
	return true;
}

/* Whether it is one that is asked for, and on which files. Kinds that cannot wait for a file, or whose events are not theirs, are
 * none: clone, close_range, io_submit, whose requests are listed. */
static __always_inline bool find_files(struct task_struct *task, struct task_state *s, struct pending_call *p)
{
	const struct call call = call_of(p->nr);
	const struct shape shape = shape_of(p->nr);

	switch (call.kind) {
	case KIND_NONE:
	case KIND_FORK:
	case KIND_CLOSE_RANGE:
	case KIND_SUBMIT:
		return false;
	case KIND_MAPPED:
		return find_mapped(task, s);
	case KIND_MMAP:
		return !(p->arguments[3] & MAP_ANONYMOUS) && find_descriptor(task, s, p->arguments[4], call);
	case KIND_IOCTL:
		return (__u32)p->arguments[1] == FICLONE ? find_two(task, p->arguments[2], p->arguments[0])
							 : find_descriptor(task, s, p->arguments[0], call);
	case KIND_TRANSFER:
		return find_two(task, argument_of(p, shape.fd), argument_of(p, shape.to_fd));
	}
	if (shape.name)
		return find_starts(task, shape);
	if (shape.fd)
		return find_descriptor(task, s, argument_of(p, shape.fd), call);
	return !(config.paths & 1);
}

static __always_inline __u64 switches_of(struct task_struct *task)
{
	return of_task(task, nvcsw) + of_task(task, nivcsw);
}

static __always_inline void begin_pending(struct task_struct *task, struct pending_call *p)
{
	__builtin_memset(p, 0, sizeof(*p));
	p->time = bpf_ktime_get_boot_ns();
	p->instance = switches_of(task);
}

static __always_inline bool find_call(struct task_struct *task, struct task_state *s)
{
	const struct pt_regs *regs = registers_of(task);
	struct pending_call *p = pending_call();

	if (!p || !in_call(regs) || is_compat(task))
		return false;
	begin_pending(task, p);
	fill_registers(p, regs);
	if (call_of(p->nr).flags & CALL_DROP || !find_files(task, s, p))
		return false;
	p->entered = s && config.latency ? s->entered : 0;
	fill_task(task, s);
	return in_call(regs) && p->nr == load(regs, orig_ax) && p->instance == switches_of(task);
}

/* What a hook has noted, as the record of a call; false: its events were not asked for. */
static __always_inline bool fill_note(struct task_struct *task, struct task_state *s, struct note *n)
{
	struct pending_call *p = pending_call();
	__u16 call = config.hooks[n->hook & (MAX_HOOKS - 1)].call;

	if (!p || !call)
		return false;
	begin_pending(task, p);
	fill_registers(p, registers_of(task));
	p->call = call;
	p->fd = -1;
	p->entered = n->time;
	p->arguments[0] = n->offset;
	p->arguments[1] = n->size;
	p->arguments[2] = n->argument;
	p->file = n->file;
	p->target = n->target;
	p->open = n->open;
	p->flags = n->flags;
	fill_task(task, s);
	return in_call(registers_of(task));
}

static __always_inline void list_notes(struct bpf_iter__task *ctx, struct task_struct *task, struct task_state *s)
{
	struct pending_call *p = pending_call();

	if (!p || !s->note_call || s->note_call != call_under_way(task))
		return;
	for (__u32 i = 0; i < MAX_NOTES; i++) {
		if (i >= s->note_count)
			break;
		if (fill_note(task, s, &s->notes[i]))
			bpf_seq_write(ctx->meta->seq, p, sizeof(*p));
	}
}

SEC("iter/task")
int ft_list_calls(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct pending_call *p = pending_call();
	struct task_state *s;

	if (!task || !p || task->exit_state || task->flags & PF_KTHREAD)
		return 0;
	s = state_of(task);
	if (!is_target(task, s))
		return 0;
	if (find_call(task, s))
		bpf_seq_write(ctx->meta->seq, p, sizeof(*p));
	if (s && config.level == LEVEL_VFS)
		list_notes(ctx, task, s);
	return 0;
}

static __always_inline bool is_still_valid(__u32 generation)
{
	struct globals *g = globals();

	return g && generation == (__u32)g->generation;
}

/* The file that the kernel has given to a request, once it has begun it. */
static __always_inline bool find_given_file(struct pending_call *p, __u64 address, const struct call *call)
{
	__u32 found = address ? wanted_file(address, owed_by(call)) : 0;

	if (call->kind == KIND_TRANSFER)
		p->target = found;
	else
		p->file = found;
	if (found && call->kind != KIND_TRANSFER)
		p->open = opening_at(address);
	return found;
}

/* The file of a request of io_uring: that of its descriptor or name as it was submitted, else the one that the kernel gave it. Of a
 * splice this is the destination. */
static __always_inline bool find_request_file(struct listed *l, __u64 address, const struct call *call, const struct shape *shape)
{
	struct ring_request *r = &l->request;
	struct pending_call *p = &l->call;

	p->file = r->file;
	p->target = r->target;
	p->open = r->open;
	if (shape->name)
		return r->wanted;
	if (!shape->fd)
		return !(config.paths & 1);
	if (r->resolved && r->file && call->kind != KIND_TRANSFER && is_still_valid(r->generation))
		return is_owed(r->wanted, owed_by(call));
	return find_given_file(p, address, call);
}

static __always_inline void fill_request(struct listed *l, const struct call *call, const struct shape *shape)
{
	const struct ring_request *r = &l->request;
	struct pending_call *p = &l->call;

	__builtin_memset(p, 0, sizeof(*p));
	p->time = bpf_ktime_get_boot_ns();
	p->entered = r->entered;
	p->instance = r->number;
	p->nr = r->nr;
	p->call = call->other && r->arguments[2] & AT_REMOVEDIR ? call->other : call->call;
	p->arguments[0] = numbered(r->arguments, shape->offset);
	p->arguments[1] = numbered(r->arguments, shape->size);
	p->arguments[2] = numbered(r->arguments, shape->argument);
	p->fd = r->fixed || shape->name ? r->fd : shape->fd ? (__s32)numbered(r->arguments, shape->fd) : -1;
	p->task = r->task;
	p->tid = r->tid;
	p->pid = r->tgid;
	p->flags = r->flags;
}

/* A request of io_uring, in listed(). Its memory may be another's by now, of which no submission was seen. */
static __noinline bool find_request(void)
{
	struct listed *l = listed();
	struct io_kiocb *req;
	struct shape shape;
	struct call call;
	__u64 file;

	if (!l)
		return false;
	req = (struct io_kiocb *)l->key;
	call = call_of(l->request.nr);
	shape = shape_of(l->request.nr);
	if (call.kind == KIND_NONE || call.flags & CALL_DROP || l->request.told || load(req, opcode) != (__u8)(l->request.nr - MAX_NR))
		return false;
	fill_request(l, &call, &shape);
	file = (__u64)load(req, file);
	if (l->call.arguments[0] == (__u64)-1 || (file && !seekable(load(load((struct file *)file, f_inode), i_mode))))
		l->call.flags |= EVENT_NO_OFFSET;
	return l->call.call && find_request_file(l, file, &call, &shape);
}

static __always_inline bool take_request(struct listed *l)
{
	__u32 number = slot_number(l->key);
	struct ring_slot *slot = bpf_map_lookup_elem(&ft_slots, &number);
	struct ring_request *r = slot && slot->key == l->key ? &slot->request : bpf_map_lookup_elem(&ft_requests, &l->key);

	if (r)
		l->request = *r;
	return r;
}

/* One of io_submit, which was noted because it is asked for. Whether its process lives, and has not taken the completion from memory,
 * user space sees. */
static __always_inline void answer_aio(struct asked *asked)
{
	const struct aio_request *r = bpf_map_lookup_elem(&ft_under_way, &asked->place);
	struct pending_call *p = &asked->answer;

	if (!r)
		return;
	p->time = bpf_ktime_get_boot_ns();
	p->entered = r->draft.entered;
	p->instance = r->draft.time;
	p->call = r->draft.call;
	p->ip = asked->place.address;
	p->arguments[0] = r->draft.offset;
	p->arguments[1] = r->draft.size;
	p->fd = r->draft.fd;
	p->file = is_still_valid(r->generation) ? r->draft.file : 0;
	p->open = r->draft.open;
	p->flags = r->draft.flags;
	p->task = r->task;
	p->tid = r->tid;
	p->pid = asked->place.tgid;
}

/* Returns 1 behind the last. */
__noinline int answer_one(__u64 most, __u32 index)
{
	struct asked *asked = bpf_map_lookup_elem(&ft_asked_reqs, &index);
	struct listed *l = listed();

	if (index >= most || !asked || !asked->place.address || !l)
		return 1;
	__builtin_memset(&asked->answer, 0, sizeof(asked->answer));
	l->key = asked->place.address;
	if (asked->place.tgid)
		answer_aio(asked);
	else if (take_request(l) && find_request())
		asked->answer = l->call;
	return 0;
}

REPEATED(answer_one)

/* User space has read from the tables which requests there are. An iterator over the tables would do without, but not every machine
 * allows one. */
SEC("iter/task")
int ft_list_reqs(struct bpf_iter__task *ctx)
{
	if (ctx->task && !ctx->meta->seq_num)
		answer_one_each(MAX_ASKED, 0, MAX_ASKED);
	return 0;
}

SEC("iter/task")
int ft_list_living(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct living found = {};

	if (!task || task->pid != task->tgid || !task->signal->live.counter)
		return 0;
	found.start = task->start_boottime;
	found.pid = task->tgid;
	found.number = number_here(BPF_CORE_READ(task, thread_pid));
	bpf_seq_write(ctx->meta->seq, &found, sizeof(found));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
