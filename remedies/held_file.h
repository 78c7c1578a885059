/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file between the decision to delete it and its end: held by a lease that nobody else's open, map or lock allows, proven to be
 * the one that was found, and unlinked with no more power than the owner of its name has.
 */
#ifndef NODEMEND_REMEDIES_HELD_FILE_H
#define NODEMEND_REMEDIES_HELD_FILE_H

#include "remedies/old_files.h"

struct held_file {
	int dir_fd, fd;
	int lease;         /* F_WRLCK, or F_RDLCK where readers stay */
	bool empty;        /* one without blocks may go, too */
	uid_t as_uid;      /* who unlinks it */
	gid_t as_gid;
	uint64_t bytes;
};

/* STAY_COUNT: held; else why it stays. Of `cleaning`: whether readers are a hindrance, and whether it must have blocks. Nothing is changed on the disk, not even a time of last access. */
enum stay held_file_open(const struct tree *tree, const struct old_file *file, const struct cleaning *cleaning, struct held_file *ret);
/*
 * STAY_COUNT: its last link is gone; the blocks come back when it is closed. There is no unlink of an inode: the name is first moved aside,
 * to one that nobody else uses, and what came along is looked at there; another file goes back to where it was. -EUCLEAN in *ret_error:
 * somebody changes even those names.
 */
enum stay held_file_unlink(struct held_file *held, const struct old_file *file, int *ret_error);
void held_file_close(struct held_file *held);
/* A name that an interrupted unlink left behind. */
bool held_file_is_leftover(const char *name);

#endif
