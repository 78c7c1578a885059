/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the files of a filesystem are: the directories with the most of them, by one walk that is bounded in time and room, crosses no mount and
 * follows no link. For when inodes run short: then it is the number of names that counts, and no size says who has them.
 */
#ifndef NODEMEND_REMEDIES_CROWDED_H
#define NODEMEND_REMEDIES_CROWDED_H

#include "remedy.h"

enum { CROWDED_TOP = 5, CROWDED_PATH_LEN = 192 };

struct crowded {
	uint64_t files;                      /* in the directory itself, all that is no directory */
	char path[CROWDED_PATH_LEN];          /* below the filesystem's root; "" = that itself. Hostile */
};

struct crowding {
	uint64_t names, directories, left_out;   /* left_out: directories that could not be opened, or had no place */
	bool complete;                       /* false: the time was over first */
	uint32_t count;
	struct crowded top[CROWDED_TOP];      /* most files first */
};

/* Walks the filesystem with the root `root_fd`, until `until_boot_ns` at the latest. 0 or -errno. No time of last access is changed. */
int crowded_find(int root_fd, uint64_t until_boot_ns, struct crowding *ret);
/* Percent of the filesystem's inodes in use; UNKNOWN where it does not count them. */
uint64_t inodes_used_percent(int fd);

#endif
