// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Cgroups that are targets: their ids change when they are removed and created again, their paths do not; and those below them, which
 * are targets as well.
 *
 * The kernel calls these programs before mkdir(2) returns, when the new cgroup is not visible yet (cgroup_mkdir,
 * kernel/cgroup/cgroup.c): no task can be in it before its id is known here.
 *
 * Separate, because it is attached only when a cgroup is a target.
 */
#include "event.h"
#include "lib/compat.bpf.h"
#include "lib/kernel.h"
#include "lib/state.bpf.h"

/* TRACE_CGROUP_PATH_LEN of kernel/cgroup/cgroup-internal.h: the kernel cuts longer paths. */
#define CGROUP_PATH_SPACE 1024

struct cgroup_path {
	char bytes[CGROUP_PATH_SPACE];
};

/* Paths of the target cgroups; "" for one that is given by its id. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_CGROUPS);
	__type(key, __u32);
	__type(value, struct cgroup_path);
} ft_cgroup_paths SEC(".maps");

/* Path of the cgroup that is created or removed. The tracepoint holds a lock during its program, so there is one at a time. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cgroup_path);
} ft_cgroup_event SEC(".maps");

ONLY_ELEMENT(changed_path, struct cgroup_path, ft_cgroup_event)

/* Returns true if the path is that of this target. A global function, because the verifier reads it only once. */
__noinline int has_path(__u32 target)
{
	struct cgroup_path *changed = changed_path();
	struct cgroup_path *wanted = bpf_map_lookup_elem(&ft_cgroup_paths, &target);

	if (!changed || !wanted || !wanted->bytes[0])
		return 0;
	for (int i = 0; i < CGROUP_PATH_SPACE; i++) {
		if (changed->bytes[i] != wanted->bytes[i])
			return 0;
		if (!changed->bytes[i])
			return 1;
	}
	return 0;
}

/* Returns false for a cgroup that cannot be a target: one in a hierarchy of cgroup v1, which has its own ids. */
static __always_inline bool record_path(struct cgroup *cgroup, const char *path)
{
	struct cgroup_path *changed = changed_path();

	if (!changed || BPF_CORE_READ(cgroup, root, hierarchy_id))
		return false;
	return bpf_probe_read_kernel_str(changed->bytes, sizeof(changed->bytes), path) > 0;
}

/* Returns true if a cgroup above this one is a target, or in one. The directories are those of cgroups. */
static __always_inline bool is_below_target(struct kernfs_node *node)
{
	__u64 id;

	for (int i = 0; i < MAX_CGROUP_LEVELS; i++) {
		node = kernfs_parent(node);
		if (!node)
			break;
		id = BPF_CORE_READ(node, id);
		if (bpf_map_lookup_elem(&ft_cgroup_tree, &id))
			return true;
	}
	return false;
}

static __always_inline void add_target(__u64 id)
{
	struct counters *c = counters();
	__u64 one = 1;

	if (bpf_map_update_elem(&ft_cgroup_tree, &id, &one, BPF_ANY) && c)
		c->cgroups_full++;
}

SEC("tp_btf/cgroup_mkdir")
int ft_cgroup_made(__u64 *ctx)
{
	struct cgroup *cgroup = (struct cgroup *)ctx[0];
	struct globals *g = globals();
	bool target;
	__u64 id;

	if (!g || !record_path(cgroup, (const char *)ctx[1]))
		return 0;
	id = BPF_CORE_READ(cgroup, kn, id);
	target = is_below_target(BPF_CORE_READ(cgroup, kn));
	for (__u32 i = 0; i < MAX_CGROUPS && i < config.cgroups; i++) {
		if (!has_path(i))
			continue;
		g->cgroups[i].id = id;
		g->cgroups[i].gone = 0;
		target = true;
	}
	if (target)
		add_target(id);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int ft_cgroup_gone(__u64 *ctx)
{
	struct cgroup *cgroup = (struct cgroup *)ctx[0];
	struct globals *g = globals();
	__u64 id;

	if (!g || !record_path(cgroup, (const char *)ctx[1]))
		return 0;
	id = BPF_CORE_READ(cgroup, kn, id);
	bpf_map_delete_elem(&ft_cgroup_tree, &id);
	for (__u32 i = 0; i < MAX_CGROUPS && i < config.cgroups; i++) {
		if (g->cgroups[i].id != id && !has_path(i))
			continue;
		g->cgroups[i].id = NO_CGROUP;
		g->cgroups[i].gone = bpf_ktime_get_boot_ns();
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
