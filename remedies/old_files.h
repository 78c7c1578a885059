/* SPDX-License-Identifier: Apache-2.0 */
/* Looks for the oldest files of a tree that a clean-up may delete, as far as their names, ages and kinds say. Touches nothing. */
#ifndef NODEMEND_REMEDIES_OLD_FILES_H
#define NODEMEND_REMEDIES_OLD_FILES_H

#include "remedies/cleaning.h"

enum { MAX_OLD_FILES = 4096 };  /* a round; a clean-up that may delete more takes several */

/* Why a file or a directory stayed. The words are in old_files.c, as the step's detail says them. */
enum stay {
	STAY_NEWEST, STAY_YOUNG, STAY_LINKED, STAY_EMPTY, STAY_SPECIAL, STAY_NAME, STAY_IN_USE, STAY_LOCKED, STAY_CHANGED, STAY_NOT_PERMITTED,
	STAY_TOO_LARGE, STAY_WRITABLE_DIRECTORY, STAY_OTHER_MOUNT, STAY_NOT_LOOKED_AT, STAY_NOT_MEANT, STAY_COUNT,
};

struct old_file {
	uint32_t directory;
	dev_t dev;
	ino_t ino;
	uid_t uid;
	uint64_t mtime_ns, ctime_ns, bytes;  /* bytes: of blocks, as the filesystem counts them */
	char name[NAME_MAX + 1];
};

struct age {
	uint64_t mtime_ns;
	ino_t ino;
	uint32_t slot;
};

struct heap { /* keeps the `room` newest or oldest of what it is offered; the next to go is on top */
	bool newest;
	uint32_t count, room;
	struct age *each;
};

struct kin { /* files that share keep_newest */
	uint64_t name;                       /* as cleaning's `kin` gives it */
	struct heap keep;
};

struct old_files {
	struct tree tree;
	const struct cleaning *cleaning;
	uint64_t seen;                       /* names read */
	uint64_t matching_bytes;             /* of blocks, of all that match */
	uint64_t stayed[STAY_COUNT];
	bool more;                           /* there were more than MAX_OLD_FILES */
	uint32_t kin_count, kin_room;        /* of one directory */
	struct kin *kins;
	struct age *kept;                    /* what the heaps of the kins lie in */
	uint32_t count;
	struct age order[MAX_OLD_FILES];     /* after old_files_find: oldest first */
	struct old_file files[MAX_OLD_FILES];
};

/* Room for `cleaning`, which is the caller's and must stay; NULL: no memory. */
struct old_files *old_files_new(const struct cleaning *cleaning);
void old_files_free(struct old_files *old);
/* Reads the whole tree; `old->tree` is open. 0; -ECANCELED: the request was halted on the way. */
int old_files_find(struct old_files *old, const struct remedy_request *request, int64_t now_wall_ns);
/* "2 newest, 3 in use": what stayed and why. */
char *old_files_stayed(const struct old_files *old, char *buffer, size_t size);

struct stat;
uint64_t stat_mtime_ns(const struct stat *found); /* 0 for times before 1970 */
uint64_t stat_ctime_ns(const struct stat *found);
/* Whether a file of this kind may be deleted at all; STAY_COUNT: yes. `empty`: one without blocks may, too. */
enum stay stay_by_kind(const struct stat *found, bool empty);

#endif
