// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Programs that do nothing: they show what the mere presence of a hook costs every process on the machine. No tracer that
 * attaches here can cost less. make bench prints it for comparison.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tp_btf/sys_exit")
int empty_exit(__u64 *ctx)
{
	return 0;
}

SEC("tp_btf/sys_enter")
int empty_enter(__u64 *ctx)
{
	return 0;
}

SEC("tp_btf/page_fault_user")
int empty_fault(__u64 *ctx)
{
	return 0;
}

SEC("tp_btf/io_uring_submit_req")
int empty_submit(__u64 *ctx)
{
	return 0;
}

SEC("tp_btf/io_uring_complete")
int empty_complete(__u64 *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
