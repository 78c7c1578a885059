/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which files grow. A file's size is looked at when a page of it becomes dirty, which is before the write has moved it: so the first
 * look is its size before, and each next one adds what the write before it brought. What the last one brought shows when its
 * inode becomes dirty, which not every filesystem says, and at the latest when it is written back.
 */
#ifndef NODEMEND_GROWTH_BPF_H
#define NODEMEND_GROWTH_BPF_H

#include "files.bpf.h"

enum { FILE_TYPE_MASK = 0170000, FILE_TYPE_REGULAR = 0100000 };

const volatile bool watch_growth = true;

/* By filesystem, over all files: what rows that were given up had counted stays in here. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 512);
	__type(key, __u32);
	__type(value, __u64);
} grown SEC(".maps");
counts_refused(grown);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64[GROWTH_LOSS_COUNT]);
} growth_losses SEC(".maps");

static __always_inline void lose_growth(enum growth_loss what)
{
	__u32 zero = 0;
	__u64 *lost = bpf_map_lookup_elem(&growth_losses, &zero);

	if (lost)
		bump(lost[what], 1);
}

/* Names move under our hands without a lock: a rename at this moment may leave a mixed path, never a bad read. */
static __always_inline void name_file(struct file_value *file, const struct inode *inode)
{
	const struct hlist_node *alias = BPF_CORE_READ(inode, i_dentry.first);
	const struct dentry *dentry = alias ? dentry_of_alias(alias) : NULL, *parent;

	if (!dentry)
		return;
	for (__u32 part = 0; part < FILE_NAME_PARTS; part++) {
		parent = BPF_CORE_READ(dentry, d_parent);
		if (!parent || parent == dentry) /* the root, which has no name */
			return;
		if (bpf_probe_read_kernel_str(file->names[part], FILE_PART_LEN, BPF_CORE_READ(dentry, d_name.name)) < 0)
			return;
		file->parts = part + 1;
		dentry = parent;
	}
	parent = BPF_CORE_READ(dentry, d_parent);
	if (parent && parent != dentry)
		file->parts = FILE_NAME_PARTS + 1; /* it goes on */
}

static __always_inline void add_growth(__u32 dev, __u64 bytes)
{
	__u64 none = 0, *total = bpf_map_lookup_elem(&grown, &dev);

	if (!total) {
		bpf_map_update_elem(&grown, &dev, &none, BPF_NOEXIST);
		total = bpf_map_lookup_elem(&grown, &dev);
	}
	if (total) {
		bump(*total, bytes);
	} else {
		refuse(grown);
		lose_growth(GROWTH_LOSS_TOTAL);
	}
}

static __always_inline void add_to_file(struct file_value *file, __u32 dev, __u64 before, __u64 size)
{
	if (size <= before)
		return;
	bump(file->grown, size - before);
	add_growth(dev, size - before);
}

static __always_inline void own_file(struct file_value *file, const struct task_struct *task)
{
	const struct task_struct *leader = BPF_CORE_READ(task, group_leader);

	file->cgroup_id = task_cgroup_id(task);
	file->pid = task_pid_seen(leader);
	BPF_CORE_READ_STR_INTO(&file->comm, leader, comm);
}

/* The inode is locked by its writer, or its page is: two looks at once are rare, and the later one finds nothing to add. */
static __always_inline void note_size(const struct inode *inode)
{
	const struct task_struct *task = (const void *)bpf_get_current_task();
	struct file_key key = file_key_of(inode);
	struct file_value *file = bpf_map_lookup_elem(&files, &key);
	__u64 size = BPF_CORE_READ(inode, i_size), before;

	if (!file) {
		struct file_value fresh = { .size = size };

		own_file(&fresh, task);
		name_file(&fresh, inode);
		if (bpf_map_update_elem(&files, &key, &fresh, BPF_NOEXIST)) {
			refuse(files);
			lose_growth(GROWTH_LOSS_FILE);
		}
		return;
	}
	before = file->size;
	file->size = size;
	if (file->cgroup_id != task_cgroup_id(task) || file->pid != task_pid_seen(BPF_CORE_READ(task, group_leader)))
		own_file(file, task);
	if (!file->parts) /* seen first while it was being made, before it had its name */
		name_file(file, inode);
	add_to_file(file, key.dev, before, size);
}

/* By whoever writes the file back: it is not his growth, and a file that we do not know yet begins with its next page. */
static __always_inline void note_final_size(const struct inode *inode)
{
	struct file_key key = file_key_of(inode);
	struct file_value *file = bpf_map_lookup_elem(&files, &key);
	__u64 size = BPF_CORE_READ(inode, i_size), before;

	if (!file)
		return;
	before = file->size;
	file->size = size;
	add_to_file(file, key.dev, before, size);
}

static __always_inline bool is_regular(const struct inode *inode)
{
	return (BPF_CORE_READ(inode, i_mode) & FILE_TYPE_MASK) == FILE_TYPE_REGULAR;
}

#endif
