/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table of files that are being written to: their size as last seen, by how much they grew, who dirtied them last, and what
 * they are called. fswrite keeps it; block asks it whose a file's writeback is, where the kernel's own cgroups do not say.
 */
#ifndef NODEMEND_FILES_BPF_H
#define NODEMEND_FILES_BPF_H

#include "core.bpf.h"
#include "signals/growth.h"

/* 260 bytes a row, so allocated as files come: at most half a megabyte. The agent prunes what stands still. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2048);
	__type(key, struct file_key);
	__type(value, struct file_value);
} files SEC(".maps");
counts_refused(files);

static __always_inline struct file_key file_key_of(const struct inode *inode)
{
	return (struct file_key){
		.ino = BPF_CORE_READ(inode, i_ino), .dev = BPF_CORE_READ(inode, i_sb, s_dev), .generation = BPF_CORE_READ(inode, i_generation),
	};
}

#endif
