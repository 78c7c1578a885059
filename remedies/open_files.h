/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The largest regular files of one filesystem that processes hold open to write, deleted ones or all, and for each what speaks against
 * taking its content away: who writes it and how, whether it is mapped or locked. By procfs; touches nothing.
 */
#ifndef NODEMEND_REMEDIES_OPEN_FILES_H
#define NODEMEND_REMEDIES_OPEN_FILES_H

#include <sys/types.h>

#include "remedy.h"

enum { MAX_OPEN_FILES = 32, MAX_FILE_WRITERS = 16 };

struct file_writer {
	int32_t pid, parent, fd;
	uint32_t flags;              /* as open(2) has them: O_APPEND */
	char comm[COMM_LEN];
};

struct open_file {
	dev_t dev;
	ino_t ino;
	uint64_t bytes;              /* of blocks */
	uint32_t links;              /* 0: deleted */
	bool mapped, locked;
	uint32_t writer_count, writers_cut, readers;
	struct file_writer writers[MAX_FILE_WRITERS];
	char path[PATH_LEN];         /* as one holder's link has it, without the kernel's " (deleted)" */
};

struct open_files {
	uint64_t descriptors;        /* looked at */
	uint32_t cut;                /* files that would have been among them but for the room */
	bool incomplete;             /* more descriptors than are looked at, or a process that may not be looked at: who holds what is not known */
	uint32_t count;              /* largest first */
	struct open_file each[MAX_OPEN_FILES];
};

/* Which files are meant: all members of `wanted` hold. */
struct open_files_wanted {
	uint32_t dev;                /* as target's */
	uint64_t min_bytes;
	bool deleted_only;
	bool (*is_meant)(const char *path, void *context);
	void *context;
};

/* 0; -ECANCELED: the request was halted on the way; -errno. */
int open_files_find(struct open_files *files, int proc_fd, const struct open_files_wanted *wanted, const struct remedy_request *request);
/* Whether somebody has a lock or a lease on it now; what cannot be read counts as locked. */
bool open_file_is_locked(int proc_fd, dev_t dev, ino_t ino);
/* The file that descriptor `fd` of `pid` leads to, through the link, without an open. 0 or -errno. */
struct stat;
int open_file_stat(int proc_fd, int32_t pid, int32_t fd, struct stat *ret);
/* Its flags as open(2) has them, from fdinfo. 0 or -errno. */
int open_file_flags(int proc_fd, int32_t pid, int32_t fd, uint32_t *ret);

#endif
