/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory tree that a clean-up was given: opened once by its path, from then on only by names below directories that are
 * held, through no link, no "..", no other mount; and only directories whose names nobody but their owner can change.
 */
#ifndef NODEMEND_REMEDIES_TREE_H
#define NODEMEND_REMEDIES_TREE_H

#include <limits.h>
#include <sys/types.h>

#include "remedy.h"

enum { MAX_DIRECTORIES = 2048 };

struct identity {
	dev_t dev;
	ino_t ino;
	uint64_t mount_id;       /* 0: this kernel does not say (before 5.8) */
};

struct directory {
	uint32_t parent;         /* index; the root is its own */
	uint32_t depth;          /* the root is 1 */
	dev_t dev;
	ino_t ino;
	char name[NAME_MAX + 1];
};

/* What a remedy that was made for one directory may do there, and clean-files may not. */
struct tree_licence {
	const char *own;         /* its own to clean, under this very name, be it protected or a filesystem of its own; NULL: none */
	bool sticky;             /* of root, and everybody may make files in it: the powers of each file's owner, and they alone, delete it */
};

struct tree {
	int root_fd;             /* O_PATH */
	struct tree_licence licence;
	char path[PATH_LEN];
	struct identity identity;
	uint32_t count, cut;     /* directories known; and not looked into for want of room */
	struct directory directories[MAX_DIRECTORIES];
};

enum tree_refusal {
	TREE_MISSING, TREE_PROTECTED, TREE_WRITABLE_WAY, TREE_WRITABLE, TREE_MOUNT_ROOT, TREE_FILESYSTEM, TREE_READ_ONLY, TREE_OTHER_FILESYSTEM,
	TREE_REFUSAL_COUNT,
};
extern const char *const tree_refusal_names[TREE_REFUSAL_COUNT]; /* as in refused_by */

/* 0; or -EPERM, which of them, and a sentence. `target` is the filesystem that is to gain. */
int tree_open(struct tree *tree, const char *path, const struct tree_licence *licence, const struct target *target, enum tree_refusal *ret_refusal,
	      char *why, size_t why_size);
void tree_close(struct tree *tree);
/* Whether the path still leads to the directory that was opened. */
bool tree_is_same(const struct tree *tree);
/*
 * A directory by its index, walked to from the root and proven on the way. A fd to read it; -EXDEV: another mount; -ESTALE: not
 * the one that it was; -EPERM: others may change its names; -errno.
 */
int tree_directory(const struct tree *tree, uint32_t index);
/* Remembers a directory found in `parent`. False: no room, counted. */
bool tree_add(struct tree *tree, uint32_t parent, const char *name, dev_t dev, ino_t ino);
/* Its path below the root and `name`'s, for people. */
char *tree_name(const struct tree *tree, uint32_t index, const char *name, char *buffer, size_t size);
/* The directory at an absolute path, through no link; O_PATH. A fd or -errno. Who may change the way to it is not asked. */
int tree_open_path(const char *path);
/* One name below a held directory, through no link and no other mount; O_PATH and more in `flags`. A fd or -errno. */
int tree_open_below(int dir_fd, const char *name, uint64_t flags);

#endif
