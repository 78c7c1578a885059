/* SPDX-License-Identifier: Apache-2.0 */
/* The mount table: one line of mountinfo as a record, and which of them are filesystems that can fill. */
#ifndef NODEMEND_COLLECT_MOUNT_H
#define NODEMEND_COLLECT_MOUNT_H

#include "collect/procfs.h"
#include "config.h"

struct mount {
	uint32_t mount_id, dev;  /* dev: major << 20 | minor of the superblock; a btrfs subvolume's st_dev differs from it */
	bool whole;              /* the filesystem's own root, not a directory or a file of it bound elsewhere */
	bool read_only;
	char mountpoint[PATH_LEN], device[PATH_LEN], type[NAME_LEN];
	char options[PATH_LEN];  /* of the superblock, cut where too long */
};

struct mount_list {
	uint32_t count, cut;     /* cut: no room, or a mountpoint longer than a snapshot holds */
	struct mount each[MAX_FILESYSTEMS];
};

/* One line of mountinfo, octal escapes decoded. -EINVAL; -ENAMETOOLONG: the mountpoint does not fit. */
int mount_parse(const struct span *line, struct mount *ret);
/* A comma-separated list holds the word. */
bool mount_has_option(const char *options, const char *word);
/*
 * The filesystems to watch, in the table's order: no kernel interfaces, no container layers, each device once by its best
 * mountpoint, and whatever a policy names besides. A mountpoint that was mounted over counts as what is on top.
 */
int mount_select(const char *text, size_t size, const struct config *config, struct mount_list *ret);

#endif
