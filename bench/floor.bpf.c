// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The floor: the least that any tracer built on a BPF ring can cost for one event. Filter by tgid, read the clock, reserve, fill
 * and submit 64 bytes. make bench compares filetap's run time with this one's; it is frozen, so that figures stay comparable.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

const volatile __u32 target SEC(".rodata.target") = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 << 20);
} events SEC(".maps");

SEC("tp_btf/sys_exit")
int floor_exit(__u64 *ctx)
{
	__u64 id = bpf_get_current_pid_tgid(), *record;

	if (id >> 32 != target)
		return 0;
	record = bpf_ringbuf_reserve(&events, 64, 0);
	if (!record)
		return 0;
	record[0] = bpf_ktime_get_boot_ns();
	record[1] = id;
	record[2] = ctx[0];
	record[3] = ctx[1];
	for (int i = 4; i < 8; i++)
		record[i] = 0;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
