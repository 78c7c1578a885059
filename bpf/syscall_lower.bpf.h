/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The rung below, for kernels without task storage: counts and errors at the exit, no latency, no cgroups, and no exit_group. */
#ifndef NODEMEND_SYSCALL_LOWER_BPF_H
#define NODEMEND_SYSCALL_LOWER_BPF_H

#include "syscall_number.bpf.h"
#include "syscall_rows.bpf.h"

/* Of the rung without task storage, whose kernels have no compare-and-swap for BPF either: by number, of the node alone. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SYSCALL_NR_MAX);
	__type(key, __u32);
	__type(value, struct syscall_row);
} counts SEC(".maps");
counts_refused(counts);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} counts_lost SEC(".maps");

static const struct syscall_row no_counts;

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit_only, struct pt_regs *regs, long result)
{
	__u32 zero = 0, number = number_at_exit(regs, syscall_abi_read((void *)bpf_get_current_task()));

	if (is_return_of_child(number, result))
		return 0;
	struct syscall_row *row = bpf_map_lookup_elem(&counts, &number);
	if (!row) {
		bpf_map_update_elem(&counts, &number, &no_counts, BPF_NOEXIST);
		row = bpf_map_lookup_elem(&counts, &number);
	}
	if (!row) {
		__u64 *lost = bpf_map_lookup_elem(&counts_lost, &zero);

		refuse(counts);
		if (lost)
			count(*lost, 1);
		return 0;
	}
	count(row->count, 1);
	if (is_error(result) && !returns_no_result(number)) {
		count(row->errors, 1);
		(void)count_errno(number, -result); /* the rest of the errors has no name */
	}
	return 0;
}

#endif
