/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The wire format: what a probe sends to the reader, byte for byte.
 *
 * Separate, because both halves depend on it: core/wire.py mirrors it, and the loader compares the two through the object's BTF.
 */
#ifndef FILETAP_EVENT_H
#define FILETAP_EVENT_H

#include <linux/types.h>

/* One slot of a CPU ring: 64 bytes, a cache line. */
struct event {
	__u64 time; /* CLOCK_BOOTTIME at the return, ns */
	__u64 offset; /* bytes, or as defined for the call in core/calls.py */
	__u64 size; /* requested bytes, or as defined for the call in core/calls.py */
	__s64 result; /* what the call returned; negative errno when it failed */
	__u32 duration; /* ns, or us with EVENT_MICROSECONDS, or ms with EVENT_MILLISECONDS; 0: not known */
	__u32 task; /* id of a task definition; 0: see struct identity */
	__u32 file; /* id of a file or name definition; 0: no file, or see struct identity */
	__u32 tid;
	__s32 fd; /* -1: none */
	__u32 open; /* number of the open file description, lib/opening.bpf.h; 0: none */
	__u16 call; /* index into calls.CALLS; 0: not an event, but the second slot of the one before */
	__u16 rule; /* the rule set that let it pass */
	__u32 flags;
};

#define EVENT_EXT 1 /* struct event_ext follows in the next slot */
#define EVENT_MICROSECONDS 2 /* duration is in us */
#define EVENT_UNCERTAIN 4 /* offset or file: another thread or process may have changed it meanwhile */
#define EVENT_NO_SIZE 8 /* the requested size could not be read */
#define EVENT_NO_OFFSET 16 /* the file has no position */
#define EVENT_NO_RESULT 32 /* io_uring: submitted, and its success will not be reported */
#define EVENT_WRITE 64 /* fault: for writing */
#define EVENT_EXEC 128 /* fault: for executing */
#define EVENT_MAJOR 256 /* fault: the page had to be read */
#define EVENT_PENDING 512 /* a pending call: it has not returned. User space sets this and the next flag */
#define EVENT_AT_LEAST 1024 /* it began before tracing: 'duration' is a lower bound */
#define EVENT_MILLISECONDS 2048 /* duration is in ms */
#define EVENT_LATER 4096 /* a change by name that may match: user space looks it up, and counts it if it does */

/* The second slot of an event with two files or more arguments, or whose definitions could not be sent. 'call' has the same offset as
 * in struct event. */
struct event_ext {
	__u64 inode; /* of a file without an id; 0 else */
	__u64 target_offset;
	__u32 generation;
	__u32 target; /* id of a file or name definition */
	__s32 target_fd; /* -1: none */
	__u32 pid; /* of a task without an id; this and the next three 0 else */
	__u32 ppid;
	__u32 euid;
	char comm[16];
	__u16 call; /* always 0 */
	__u16 reserved;
	__u32 argument; /* as defined for the call in core/calls.py */
};

/* The two ends of a CPU ring, in slots since the start. Each has its own cache line, because each is written by one side. */
struct cpu_ring {
	__u64 produced;
	__u64 busy; /* a probe is writing: a probe that interrupts it must not */
	__u64 line[6];
	__u64 consumed;
	__u64 line2[7];
};

enum definition_kind { DEFINE_FILE = 1, DEFINE_NAME, DEFINE_TASK, DEFINE_CGROUP, DEFINE_RETIRE };

#define DEFINITION_TRUNCATED 1 /* the path or the arguments were cut */
#define DEFINITION_DELETED 2 /* unlinked while open */
#define DEFINITION_RACED 4 /* a rename happened during the path walk, twice */
#define DEFINITION_DETACHED 8 /* no path up to the root of a mount namespace */
#define DEFINITION_ONCE 16 /* a name for one event: not in the kernel's table of names */
#define DEFINITION_WANTED 64 /* a name that starts in a directory below which files match */
#define DEFINITION_NO_TREE 128 /* a file in no directory tree, such as a pipe: fs/d_path.c generates its name (d_dname) */
#define DEFINITION_NO_PATH 256 /* opened by its handle, and its directory is not known */
#define DEFINITION_START_WANTED 512 /* a name whose start directory itself matches */
#define DEFINITION_BENEATH 1024 /* a name that must not leave its start directory (RESOLVE_BENEATH) */
#define DEFINITION_SOURCE 2048 /* the source argument of a mount; the type of the file system follows */
#define DEFINITION_ANCESTOR 4096 /* an ancestor of a process; no event refers to this definition */
#define DEFINITION_ADOPTED 8192 /* 'parent' is not the process that forked it, but has adopted it */
#define DEFINITION_RELATIVE_TO_LINK 32 /* a name that starts in the directory of the name 'directory': the target of a symbolic link */

/* Every definition: a fixed part of DEFINITION_FIXED bytes, then 'length' bytes. */
#define DEFINITION_FIXED 160
struct definition {
	__u16 kind;
	__u16 flags;
	__u32 id;
	__u32 length; /* bytes after the fixed part */
	__u32 reserved;
};

/* file: its path follows, components from the leaf up, each ended by NUL; then, if configured, its path inside the file system in the
 * same way. */
struct file_definition {
	struct definition head;
	__u64 inode;
	__u64 subvolume;
	__u64 size; /* when it was first used */
	__u64 parent; /* inode */
	__u64 key_dentry, key_mount, key_name, key_origin; /* struct file_key; its other members are in this struct anyway */
	__u32 sequence;
	__u32 device; /* the kernel's own encoding: major << 20 | minor */
	__u32 generation;
	__u32 mode;
	__u32 rdev;
	__u32 mount; /* mnt_id */
	__u64 magic; /* of the file system */
	__u32 mount_namespace;
	__u32 fs_path; /* bytes of the path inside the file system */
	char filesystem[16];
	__u64 real_inode; /* overlayfs: the inode in the layer */
	__u32 real_device;
	__u32 reserved;
};

/* name: the requested bytes follow; from the file 'directory', which is the root for an absolute one. ".." stops at the file 'root':
 * that of the task, or 'directory' itself if the call requires it (RESOLVE_IN_ROOT). */
struct name_definition {
	struct definition head;
	__u32 directory;
	__u32 root;
	__u32 key; /* name_key.root */
	__u32 reserved;
};

/* task: its supplementary groups follow, MAX_GROUPS of them at most, then its arguments, each ended by NUL, if configured. */
#define MAX_GROUPS 256
#define MAX_ANCESTORS 64 /* of a process, looked up at a time */
#define UNKNOWN_PARENT 0xffffffff
struct task_definition {
	struct definition head;
	__u64 start; /* CLOCK_BOOTTIME, ns */
	__u64 cgroup;
	__u32 pid;
	__u32 tid;
	__u32 ppid;
	__u32 namespace_pid;
	__u32 parent; /* task id of its parent process; 0: it has none; or UNKNOWN_PARENT */
	__u32 forker; /* task id of the task that forked it, where that is traced; 0: not known */
	__u32 exe; /* file id */
	__u32 root; /* file id */
	__u32 execs; /* the kernel's count: its own and, before it was forked, its ancestors' */
	__u32 uid; /* real, effective, saved and of the file system; groups alike */
	__u32 euid;
	__u32 suid;
	__u32 fsuid;
	__u32 gid;
	__u32 egid;
	__u32 sgid;
	__u32 fsgid;
	__u32 loginuid; /* 4294967295: never set */
	__u32 groups; /* number of supplementary groups */
	__u32 pid_namespace;
	__u32 mount_namespace;
	__u32 user_namespace;
	__u32 cgroup_namespace;
	__u32 reserved;
	char comm[16]; /* the process's */
	char thread[16]; /* the thread's own */
};

/* cgroup: its path follows like a file's. */
struct cgroup_definition {
	struct definition head;
	__u64 cgroup;
};

/* The ops that a probe itself refers to; the others come with their calls from core/calls.py. */
enum op { OP_NONE, OP_OPEN, OP_CLOSE, OP_READ, OP_WRITE, OP_DUP, OP_FORK, OP_THREAD, OP_EXEC, OP_EXIT, OP_FAULT };

/* How a call is read. */
enum call_kind {
	KIND_NONE,
	KIND_READ,
	KIND_WRITE,
	KIND_OPEN, /* its result is a descriptor */
	KIND_CLOSE,
	KIND_DUP,
	KIND_FCNTL,
	KIND_EXEC,
	KIND_PLAIN, /* its shape describes everything */
	KIND_TRANSFER, /* from one descriptor to another */
	KIND_IOCTL,
	KIND_MMAP,
	KIND_MAPPED, /* its file is mapped at an address */
	KIND_CHDIR,
	KIND_CLOSE_RANGE,
	KIND_SUBMIT, /* io_submit */
	KIND_FORK,
	KIND_GROUPS, /* setgroups: no operation, but it changes the credentials in the task's definition */
};

#define CALL_POSITIONAL 1 /* the offset is an argument, not the file's position */
#define CALL_VECTORED 2 /* arguments two and three are iovecs */
#define CALL_RWF 4 /* the sixth argument is RWF_* */
#define CALL_HOW 8 /* openat2's struct open_how */
#define CALL_ANY 16 /* files of all types are reported */
#define CALL_DROP 32 /* known, but not requested */
#define CALL_MOVES 64 /* changes what known paths lead to, or a task's root and namespaces; see count_move() */
#define CALL_ENTER 128 /* traced at entry too, for every task */

/* Two words, read one by one: the second is seldom needed. */
struct call {
	__u16 call; /* index into calls.CALLS; 0: not requested */
	__u16 other; /* second meaning of the same number: a new thread, a removed directory, a lock */
	__u8 op; /* index into calls.OPS */
	__u8 other_op;
	__u8 kind;
	__u8 flags;
};

/* What a call by name changes: the file that the name leads to; the name itself, in its directory, and a second name as well; only a
 * second name. */
#define CHANGE_FILE 1
#define CHANGE_ENTRY 2
#define CHANGE_TARGET 3

/* The position of each argument: 1 to 6; 0: there is none. */
struct shape {
	__u32 fd : 3; /* the file's descriptor */
	__u32 dir : 3; /* the descriptor from which the name starts; if there is none, the working directory */
	__u32 name : 3;
	__u32 to_fd : 3; /* the same for the second file */
	__u32 to_dir : 3;
	__u32 to_name : 3;
	__u32 offset : 3;
	__u32 to_offset : 3;
	__u32 size : 3;
	__u32 argument : 3;
	__u32 change : 2; /* CHANGE_* */
	__u32 recipe; /* io_uring: for each register, the submission field that it gets, in four bits */
};

/* The hooks below the system calls; calls.HOOKS has the same order. MODIFY: reports a write or a truncation that has changed the file. */
enum hook {
	HOOK_OPEN,
	HOOK_READ,
	HOOK_WRITE,
	HOOK_MODIFY,
	HOOK_GETATTR,
	HOOK_MKDIR,
	HOOK_RMDIR,
	HOOK_MKNOD,
	HOOK_LINK,
	HOOK_SYMLINK,
	HOOK_UNLINK,
	HOOK_RENAME,
	HOOK_CHMOD,
	HOOK_CHOWN,
	HOOK_UTIMES,
	HOOK_TRUNCATE,
	HOOK_TRUNCATE_MODIFY,
	HOOK_FILE_TRUNCATE,
	HOOK_FILE_TRUNCATE_MODIFY,
	HOOK_MMAP,
	HOOK_EXEC,
	HOOK_PERMISSION,
};

#define MAX_HOOKS 32

struct hook_choice {
	__u16 call; /* index into calls.CALLS; 0: not requested */
	__u8 op;
	__u8 reserved;
};

/* Which hooks make events: system calls only; system calls, with files from the hooks; or hooks only. */
enum level { LEVEL_SYSCALL, LEVEL_AUTO, LEVEL_VFS };

/* How a hook's program is attached: this decides where its arguments are, and which it has. */
enum attach_type { ATTACH_FENTRY, ATTACH_LSM, ATTACH_KPROBE };

/* Which tasks are defined besides targets: none; their ancestors, as they are when the target is defined; also each process of the
 * machine when it forks, because its arguments can be read then; also which process forked which. */
enum ancestry { ANCESTRY_NONE, ANCESTRY_PRESENT, ANCESTRY_AT_FORK, ANCESTRY_FORKS };

#define MAX_OPS 64
#define MAX_NR 512 /* system calls; io_uring's opcodes follow in the same table */
#define MAX_OPCODES 64
#define MAX_CGROUPS 8
#define MAX_CGROUP_LEVELS 64
#define MAX_COMMS 8
#define MAX_PATH_RULE_DEPTH 8

/* The configuration of one run, in rodata. */
struct config {
	__u32 slots; /* of each ring, a power of two */
	__u32 ncpu;
	__u32 types; /* bit per S_IFMT >> 12 */
	__u32 aggregate; /* 0: events are emitted. Otherwise they are summed up, and the reader is woken after this number of new sums on
                          * one CPU */
	__u64 min_latency; /* ns */
	__u16 rule;
	__u16 exit_call; /* index into calls.CALLS, because a process may end without a call; 0: not requested */
	__u16 fault_calls[2]; /* page_fault_user, page_fault_kernel */
	__u8 all;
	__u8 follow;
	__u8 failed;
	__u8 latency; /* sys_enter is attached for every call */
	__u8 enter; /* sys_enter is attached at all */
	__u8 paths; /* rules decide by file: bit 0 there are rules to include, bit 1 there are rules to exclude */
	__u8 follow_renames; /* a matching file stays matched wherever it is moved */
	__u8 fs_path; /* definitions of files carry the path inside the file system too */
	__u8 args;
	__u8 cgroups; /* their number */
	__u8 comms;
	__u8 command_in_cgroup; /* both must hold */
	__u8 level; /* LEVEL_* */
	__u8 attach_type; /* ATTACH_*, of this object's programs */
	__u8 path_rule_depth; /* rules by name: the maximum number of names between the directory and a matching file */
	__u8 track_hardlinks; /* files below a PATH have rules of their own: they match under their other names */
	__u8 every_call; /* the return of every call is traced, whether it matches or not */
	__u8 ancestry; /* ANCESTRY_* */
	__u8 later; /* changes by names whose text matches no PATH are emitted as well (EVENT_LATER) */
	__u8 cgroup_states; /* tasks in target cgroups have a state (membership.bpf.h), so that others are recognised by having none */
	__u32 first_id; /* of the definitions that this object makes, which has separate counters */
	__u64 lengths; /* of the names in rules by name: one bit per length, the last for all lengths from 63 on */
	__u64 basenames; /* one bit for each value of the low six bits of the hashes in the map 'basenames' */
	char comm[MAX_COMMS][16];
	struct hook_choice hooks[MAX_HOOKS];
};

/* One per CPU. */
struct counters {
	__u64 seen[MAX_OPS];
	__u64 aggregated[MAX_OPS];
	__u64 lost[MAX_OPS];
	__u64 compat; /* 32-bit calls, not decoded */
	__u64 files_full; /* the cache of file ids had no room */
	__u64 undefined; /* definitions that found no room in their ring */
	__u64 files; /* distinct files that events refer to */
	__u64 uncounted_tasks; /* a task for which no state could be allocated */
	__u64 names_full; /* the table of names had no room */
	__u64 requests_full; /* io_uring requests that could not be stored until they completed */
	__u64 completions_full; /* io_uring completions without room in their queue, whose requests are not known */
	__u64 rules_full; /* matching files that could not become rules */
	__u64 sums; /* entries made in the maps of 'aggregates' */
	__u64 interrupted; /* events not reported, because another program was running on this CPU */
	__u64 processes_full; /* processes whose definition or fork could not be stored */
	__u64 late_modules; /* files of a module's file system whose fields were unknown when these programs were loaded */
	__u64 opens_full; /* open file descriptions whose number could not be stored */
	__u64 ids_again; /* times that the ids of files and tasks started again */
	__u64 unresolved; /* changes of EVENT_LATER that found no room */
	__u64 believed; /* changes dropped because their names led elsewhere a moment before, though something has been moved since */
	__u64 lists_cut; /* of descriptors or requests, with more elements than are looked at */
	__u64 cgroups_full; /* new cgroups in a target that could not be stored */
	__u64 next_request;
	__u32 next_id;
	__u32 next_open;
	__u32 reserved;
	__u32 at_work; /* the thread whose hook is running here, and may be preempted; 0: none */
};

/* A target by cgroup. */
struct target_cgroup {
	__u64 id; /* NO_CGROUP: it does not exist now */
	__u64 gone; /* CLOCK_BOOTTIME of its removal, ns; 0: it exists */
};

#define NO_CGROUP (~0ULL)

struct globals {
	__u64 epoch; /* count_move(): cached results of an older epoch are checked again */
	__u64 symlinks; /* symbolic links created so far, where they matter: names may lead to another file since */
	__s64 live; /* processes counted as targets by pid or command, still running */
	__u64 threads; /* threads that targets started */
	__u64 files; /* entries ever put into the cache */
	__u64 stopped; /* no event counts any more: set by user space before it detaches */
	__u64 ring_renames; /* submitted to an io_uring whose completions name no request */
	__u64 generation; /* user space removed entries: ids stored elsewhere are void. Only user space writes this */
	__u64 arrived; /* user space wrote rules for new files: this has the effect of a move. Only user space writes this */
	/* The members below are read often and written seldom: in other cache lines than the counts above. */
	__u32 self; /* the kernel's tgid of filetap, in the initial pid namespace. Only user space writes this */
	__u32 named; /* tasks that became targets because of their name */
	__u32 executed; /* launched commands that reached their exec */
	__u32 unmarked; /* tasks in target cgroups for which no state could be allocated at that moment (membership.bpf.h) */
	__u32 marked; /* the value of 'unmarked' up to which all such tasks have a state by now. Only user space writes this */
	__u32 reserved;
	struct target_cgroup cgroups[MAX_CGROUPS];
};

/* A file or directory as the filters see it. */
struct found {
	__u32 id; /* of its definition; 0: none was needed, or it could not be sent */
	__u32 wanted; /* WANTED_* */
};

/* A call of a thread that has begun and not returned; a pending hook of a call; or a request that has not completed. */
struct pending_call {
	__u64 time; /* CLOCK_BOOTTIME */
	__u64 entered; /* when it began; 0: not known */
	__u64 instance; /* the call is the same as long as this is equal: how often the thread has left its CPU */
	__u64 arguments[6]; /* with a 'call': offset, size, and the additional argument */
	__u64 ip, sp; /* of a request: its address in the program's memory, 0 */
	__u64 position; /* in the file */
	struct found start, to_start, root; /* directories that its names start from, the last that of absolute ones */
	__u32 nr; /* of a system call, or MAX_NR and io_uring's opcode */
	__u32 call; /* index into calls.CALLS, of a call that is decoded already; 0: the reader decodes 'nr' */
	__s32 fd; /* with a 'call' */
	__u32 task; /* id; 0: it could not be described, and the next four identify it */
	__u32 pid;
	__u32 tid;
	__u32 ppid;
	__u32 euid;
	char comm[16];
	__u32 file, target; /* ids of files that it has by descriptor or address */
	__u32 open;
	__u32 flags; /* EVENT_* */
	__u32 number; /* of the thread in filetap's pid namespace; 0: it is not visible there, or this is a request */
	__u32 reserved;
};

/* A process that has not ended. */
struct living {
	__u64 start; /* CLOCK_BOOTTIME, ns */
	__u32 pid;
	__u32 number; /* in filetap's pid namespace */
};

/* Events that did not fit in the ring. */
struct overflow_key {
	__u32 task;
	__u32 file;
	__u32 op;
	__u32 pid;
};

struct overflow {
	__u64 count;
	__u64 bytes;
	__u64 first;
	__u64 last;
};

/* The events of a run without a stream: sums by task, file, op and duration. */
struct aggregate_key {
	__u32 task;
	__u32 file;
	__u32 pid; /* of a task without an id; 0 else */
	__u16 op;
	__u16 bucket; /* of the duration, see bucket_of(); NO_BUCKET: not known */
	__u32 cpu; /* 1 + CPU of events made by another thread than their own, so that each sum has one writer; 0 otherwise */
};

#define NO_BUCKET 0xffff

struct aggregate {
	__u64 count;
	__u64 errors;
	__u64 bytes;
	__u64 total; /* of the durations, ns */
	__u64 max; /* of the durations, ns; 0: none is known */
	__u64 first;
	__u64 last;
};

/* Stored for processes that have descendants. */
struct process_key {
	__u64 start; /* CLOCK_BOOTTIME, ns */
	__u32 pid;
	__u32 reserved;
};

struct process_entry {
	__u64 comm[2]; /* this and 'execs': as in the definition */
	__u32 id; /* of the definition; 0: not defined yet */
	__u32 execs;
	__u32 forker; /* id of the definition of the process that forked it; 0: not known */
	__u32 reserved;
};

#define WANTED_PATH 1 /* the rules accept it */
#define WANTED_TYPE 2
#define WANTED (WANTED_PATH | WANTED_TYPE)
#define WANTED_BELOW 4 /* a directory: files directly below it match */
#define WANTED_TOP 8 /* the root of its mount namespace, whether it matches or not */

#define RULE_TREE 1
#define RULE_CHILDREN 2
#define RULE_EXCLUDE 4
#define RULE_HARDLINK 8 /* this file was at a matching place: it matches under its other names, and itself while it is there */
#define RULE_ALIAS 16 /* never in a map: another name of the file is at a matching place */

struct rule_key {
	__u64 inode;
	__u64 layer; /* distinguishes files with the same number: a btrfs subvolume, the inode in overlayfs's layer */
	__u32 device;
	__u32 generation;
};

/* A rule by name: the directory, and the hash of the names that lead down from it. */
struct path_rule_key {
	struct rule_key directory;
	__u64 names;
};

/* The key of the cache of files: a name of a file, seen through a mount. The kernel reuses addresses and inode numbers, so the key also
 * has what identifies them (docs/adr/0004). User space removes entries when it evicts ids. */
struct file_key {
	__u64 inode;
	__u64 dentry; /* its address */
	__u64 mount; /* mount_identity() */
	__u64 name; /* name_identity() */
	__u64 origin; /* origin_of() */
	__u32 generation;
	__u32 sequence; /* the dentry's */
};

#define ROOT_BENEATH (1u << 31) /* DEFINITION_BENEATH in a key: no id has this bit */

/* The key of the table of names, from which user space removes entries in the same way. A longer name is defined each time. */
#define NAME_KEY_SPACE 120
struct name_key {
	__u32 directory;
	__u32 root; /* 0: that of the mount namespace, or the same as 'directory' for an absolute name; ROOT_BENEATH may be set */
	char name[NAME_KEY_SPACE];
};

/* A name of EVENT_LATER that led to no matching file, by its hash, see leads_elsewhere(). User space writes it. */
struct elsewhere {
	__u64 until; /* CLOCK_BOOTTIME, ns: valid until then, or for as long as */
	__u64 epoch; /* nothing has been renamed, mounted or linked symbolically since: names_epoch() */
};

struct file_entry {
	__u64 chain; /* what the walk up passed, as one number */
	__u32 id; /* 0: not defined yet */
	__u32 epoch;
	__u32 wanted; /* WANTED_* */
	__u16 touched; /* an event has referred to it */
	__u16 alias; /* another name of the file is at a matching place */
};

#endif
