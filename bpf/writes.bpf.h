/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ledger of bytes put on filesystems: by (filesystem, process, cgroup), and exactly by filesystem, so that what the first
 * could not name is known. Two objects write into it: fswrite, and syscall for fallocate; they share the maps by descriptor.
 */
#ifndef NODEMEND_WRITES_BPF_H
#define NODEMEND_WRITES_BPF_H

#include "core.bpf.h"

/* HASH, not LRU, which evicts long before it is full; the agent prunes. Preallocated: folios are dirtied with interrupts off. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct writer_key);
	__type(value, struct writer_value);
} writes SEC(".maps");
counts_refused(writes);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 512);
	__type(key, __u32);
	__type(value, __u64);
} written SEC(".maps");
counts_refused(written);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64[WRITE_LOSS_COUNT]);
} write_losses SEC(".maps");

static __always_inline void lose_write(enum write_loss what)
{
	__u32 zero = 0;
	__u64 *lost = bpf_map_lookup_elem(&write_losses, &zero);

	if (lost)
		bump(lost[what], 1);
}

static __always_inline void add_to_filesystem(__u32 dev, __u64 bytes)
{
	__u64 none = 0, *total = bpf_map_lookup_elem(&written, &dev);

	if (!total) {
		bpf_map_update_elem(&written, &dev, &none, BPF_NOEXIST);
		total = bpf_map_lookup_elem(&written, &dev);
	}
	if (total) {
		bump(*total, bytes);
	} else {
		refuse(written);
		lose_write(WRITE_LOSS_TOTAL);
	}
}

static __always_inline void add_to_writer(const struct task_struct *task, __u32 dev, __u64 bytes)
{
	const struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct writer_key key = {
		.start_ns = BPF_CORE_READ(leader, start_boottime), .cgroup_id = task_cgroup_id(task), .dev = dev, .pid = task_pid_seen(leader),
	};

	if (!key.pid) /* of a pid namespace above ours: in the total, but not ours to name */
		return;
	struct writer_value *value = bpf_map_lookup_elem(&writes, &key);
	if (!value) {
		struct writer_value fresh = {};

		BPF_CORE_READ_STR_INTO(&fresh.comm, leader, comm);
		bpf_map_update_elem(&writes, &key, &fresh, BPF_NOEXIST);
		value = bpf_map_lookup_elem(&writes, &key);
	}
	if (value) {
		bump(value->bytes, bytes);
	} else {
		refuse(writes);
		lose_write(WRITE_LOSS_NAME);
	}
}

static __always_inline void add_write(const struct task_struct *task, __u32 dev, __u64 bytes)
{
	add_to_filesystem(dev, bytes);
	add_to_writer(task, dev, bytes);
}

#endif
