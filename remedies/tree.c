/* SPDX-License-Identifier: Apache-2.0 */
/* See tree.h. */
#include "remedies/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "remedies/act.h"
#include "remedies/protected_root.h"

enum {
	LARGEST_SYSTEM_GID = 999, /* SYS_GID_MAX of login.defs(5) */
	DEPTH_ROOT = 1, MAX_LEVELS = 64,
};

const char *const tree_refusal_names[TREE_REFUSAL_COUNT] = {
	[TREE_FILESYSTEM] = "filesystem-kind",
	[TREE_MISSING] = "no-such-root",
	[TREE_MOUNT_ROOT] = "mount-root",
	[TREE_OTHER_FILESYSTEM] = "other-filesystem",
	[TREE_PROTECTED] = "protected-root",
	[TREE_READ_ONLY] = "read-only",
	[TREE_WRITABLE] = "writable-root",
	[TREE_WRITABLE_WAY] = "writable-way",
};

/*
 * Where leases say who has a file open, and statvfs what an unlink brought. A server's clients are not seen from here, and an
 * overlay shows the bytes of others: what is unknown is refused.
 */
static const struct {
	long magic;
	const char *name;
} local_filesystems[] = {
	{ 0x2fc12fc1, "zfs" },
	{ 0xca451a4e, "bcachefs" },
	{ BTRFS_SUPER_MAGIC, "btrfs" },
	{ EXT4_SUPER_MAGIC, "ext2, ext3, ext4" },
	{ F2FS_SUPER_MAGIC, "f2fs" },
	{ REISERFS_SUPER_MAGIC, "reiserfs" },
	{ TMPFS_MAGIC, "tmpfs" },
	{ XFS_SUPER_MAGIC, "xfs" },
};

/* --- opening by name ------------------------------------------------------------------------------------------------------ */

static int open_resolving(int dir_fd, const char *name, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags | O_CLOEXEC | O_NOFOLLOW, .resolve = resolve };
	long fd = syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

int tree_open_below(int dir_fd, const char *name, uint64_t flags)
{
	return open_resolving(dir_fd, name, flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);
}

int tree_open_path(const char *path)
{
	return open_resolving(AT_FDCWD, path, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

static int identify(int fd, struct identity *ret, bool *ret_mount_root)
{
	struct statx found;
	if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_MNT_ID, &found) < 0)
		return -errno;
	ret->dev = makedev(found.stx_dev_major, found.stx_dev_minor);
	ret->ino = found.stx_ino;
	ret->mount_id = found.stx_mask & STATX_MNT_ID ? found.stx_mnt_id : 0;
	if (ret_mount_root)
		*ret_mount_root = found.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT ? (found.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0 : false;
	return 0;
}

/* --- the way to the root --------------------------------------------------------------------------------------------------- */

struct way {
	uid_t stranger;          /* an owner on the way who is not root; 0: none yet */
	bool strangers_differ;
	const char *why;         /* protected, or NULL */
	bool writable;
};

/*
 * Whoever can rename on the way can put another directory in the root's place. In a sticky one (/tmp) nobody can but the owner of
 * the entry. A system group that may write (root:syslog on /var/log) is made of daemons of the distribution, and is let be.
 */
static void judge_way(struct way *way, const struct stat *found)
{
	bool sticky = found->st_mode & S_ISVTX;
	bool group = (found->st_mode & S_IWGRP) && !(found->st_uid == 0 && found->st_gid <= LARGEST_SYSTEM_GID);
	if (!sticky && ((found->st_mode & S_IWOTH) || group))
		way->writable = true;
	if (found->st_uid != 0) {
		way->strangers_differ |= way->stranger && way->stranger != found->st_uid;
		way->stranger = found->st_uid;
	}
	if (!way->why)
		way->why = protected_directory(found, false);
}

/* Component by component, each held before the next is asked for. Other mounts may be crossed here, links may not. A fd or -errno. */
static int walk_to(const char *path, struct way *way)
{
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *at = path;
	char name[NAME_MAX + 1];
	while (fd >= 0) {
		struct stat found;
		at += strspn(at, "/");
		size_t length = strcspn(at, "/");
		if (length == 0)
			return fd;
		int error = length > NAME_MAX ? -ENAMETOOLONG : fstat(fd, &found) < 0 ? -errno : 0;
		if (error == 0) {
			judge_way(way, &found);
			memcpy(name, at, length);
			name[length] = '\0';
			at += length;
			error = open_resolving(fd, name, O_PATH | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
		}
		close(fd);
		fd = error;
	}
	return fd < 0 ? fd : -errno;
}

/* --- the root --------------------------------------------------------------------------------------------------------------- */

/* Its own by licence: what its name and the way to it would forbid is what it is for. What it really is is still looked at. */
static bool is_own(const struct tree *tree)
{
	return tree->licence.own && strcmp(tree->licence.own, tree->path) == 0;
}

/* Names may be changed by nobody but the owner. Root's group is root; an access list that lets others write shows as group write. */
static bool only_owner_writes(const struct stat *found)
{
	bool group = (found->st_mode & S_IWGRP) && !(found->st_uid == 0 && found->st_gid == 0);
	return !group && !(found->st_mode & (S_IWOTH | S_ISVTX));
}

/* In a sticky directory of root nobody changes a name but the file's owner, with whose powers it is then deleted. */
static bool names_hold(const struct tree *tree, const struct stat *found)
{
	return only_owner_writes(found) || (tree->licence.sticky && (found->st_mode & S_ISVTX) && found->st_uid == 0);
}

static bool is_local(long magic)
{
	for (size_t i = 0; i < sizeof(local_filesystems) / sizeof(local_filesystems[0]); i++)
		if (local_filesystems[i].magic == magic)
			return true;
	return false;
}

static const char *filesystem_problem(int root_fd, const struct identity *identity, const struct target *target, enum tree_refusal *ret)
{
	struct statfs kind;
	struct statvfs flags;
	*ret = TREE_FILESYSTEM;
	if (fstatfs(root_fd, &kind) < 0 || fstatvfs(root_fd, &flags) < 0)
		return "the filesystem does not answer";
	if (!is_local((long)kind.f_type))
		return "on this kind of filesystem nobody can tell who else has a file open";
	*ret = TREE_READ_ONLY;
	if (flags.f_flag & ST_RDONLY)
		return "the filesystem is read-only";
	*ret = TREE_OTHER_FILESYSTEM;
	uint32_t dev = (uint32_t)(major(identity->dev) << 20 | minor(identity->dev));
	/* Each subvolume of btrfs has a number of its own. */
	if (target->type == TARGET_FILESYSTEM && target->dev && target->dev != dev && kind.f_type != BTRFS_SUPER_MAGIC)
		return "it lies on another filesystem than the one that is filling";
	return NULL;
}

static const char *root_problem(const struct tree *tree, const struct way *way, const struct target *target, bool mount_root, enum tree_refusal *ret)
{
	struct stat found;
	const char *why = is_own(tree) ? NULL : protected_root(tree->path);
	*ret = TREE_PROTECTED;
	if (!why && !is_own(tree))
		why = way->why;
	if (!why && fstat(tree->root_fd, &found) < 0)
		return "it cannot be looked at";
	if (!why)
		why = protected_directory(&found, true);
	if (why)
		return why;
	*ret = TREE_WRITABLE_WAY;
	if (way->writable || way->strangers_differ || (way->stranger && way->stranger != found.st_uid))
		return "on the way to it others may put another directory in its place";
	*ret = TREE_WRITABLE;
	if (!names_hold(tree, &found))
		return "others than its owner may change the names in it";
	*ret = TREE_MOUNT_ROOT;
	if (mount_root && !is_own(tree) && !(target->type == TARGET_FILESYSTEM && strcmp(target->name, tree->path) == 0))
		return "it is a whole filesystem, and not the one that this is about";
	return filesystem_problem(tree->root_fd, &tree->identity, target, ret);
}

int tree_open(struct tree *tree, const char *path, const struct tree_licence *licence, const struct target *target, enum tree_refusal *ret_refusal,
	      char *why, size_t why_size)
{
	struct way way = { .stranger = 0 };
	bool mount_root = false;
	tree->count = tree->cut = 0;
	tree->licence = *licence;
	snprintf(tree->path, sizeof(tree->path), "%s", path);
	tree->root_fd = walk_to(path, &way);
	int error = tree->root_fd < 0 ? tree->root_fd : identify(tree->root_fd, &tree->identity, &mount_root);
	if (error < 0) {
		*ret_refusal = TREE_MISSING;
		snprintf(why, why_size, "%s", error == -ELOOP ? "a link leads there: write the real path" : strerror(-error));
		tree_close(tree);
		return -EPERM;
	}
	const char *problem = root_problem(tree, &way, target, mount_root, ret_refusal);
	if (problem) {
		snprintf(why, why_size, "%s", problem);
		tree_close(tree);
		return -EPERM;
	}
	struct directory *root = &tree->directories[tree->count++];
	*root = (struct directory){ .depth = DEPTH_ROOT, .dev = tree->identity.dev, .ino = tree->identity.ino };
	return 0;
}

void tree_close(struct tree *tree)
{
	if (tree->root_fd >= 0)
		close(tree->root_fd);
	tree->root_fd = -1;
}

bool tree_is_same(const struct tree *tree)
{
	struct way way = { .stranger = 0 };
	struct identity now = { .dev = 0 };
	int fd = walk_to(tree->path, &way);
	if (fd < 0)
		return false;
	int error = identify(fd, &now, NULL);
	close(fd);
	return error == 0 && (!way.why || is_own(tree)) && !way.writable && now.dev == tree->identity.dev && now.ino == tree->identity.ino &&
	       now.mount_id == tree->identity.mount_id;
}

/* --- directories below ------------------------------------------------------------------------------------------------------ */

static int prove(const struct tree *tree, int fd, const struct directory *directory)
{
	struct stat found;
	if (fstat(fd, &found) < 0)
		return -errno;
	if (found.st_dev != directory->dev || found.st_ino != directory->ino)
		return -ESTALE;
	return names_hold(tree, &found) ? 0 : -EPERM;
}

/* Opened without touching the time of last access; only an owner (or root with all its powers) may ask for that. */
static int open_to_read(int dir_fd, const char *name)
{
	int fd = tree_open_below(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOATIME);
	return fd == -EPERM ? tree_open_below(dir_fd, name, O_RDONLY | O_DIRECTORY) : fd;
}

int tree_directory(const struct tree *tree, uint32_t index)
{
	uint32_t levels[MAX_LEVELS], count = 0;
	for (uint32_t at = index; at != 0; at = tree->directories[at].parent) {
		if (count == MAX_LEVELS)
			return -ELOOP;
		levels[count++] = at;
	}

	int fd = open_to_read(tree->root_fd, ".");
	int error = fd < 0 ? fd : prove(tree, fd, &tree->directories[0]);
	while (error == 0 && count) {
		const struct directory *next = &tree->directories[levels[--count]];
		int below = open_to_read(fd, next->name);
		close(fd);
		fd = below;
		error = fd < 0 ? fd : prove(tree, fd, next);
	}
	if (error == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return error;
}

bool tree_add(struct tree *tree, uint32_t parent, const char *name, dev_t dev, ino_t ino)
{
	if (tree->count == MAX_DIRECTORIES) {
		tree->cut++;
		return false;
	}
	struct directory *directory = &tree->directories[tree->count++];
	directory->parent = parent;
	directory->depth = tree->directories[parent].depth + 1;
	directory->dev = dev;
	directory->ino = ino;
	snprintf(directory->name, sizeof(directory->name), "%s", name);
	return true;
}

/* From the end to the front; where there is no room for all of it, the front is what is left out. */
char *tree_name(const struct tree *tree, uint32_t index, const char *name, char *buffer, size_t size)
{
	char shown[PLAN_LINE_LEN];
	size_t at = size - 1;
	buffer[at] = '\0';
	for (;;) {
		act_shown(shown, sizeof(shown), name);
		size_t length = strlen(shown);
		if (at < length + 1)
			break;
		if (buffer[at])
			buffer[--at] = '/';
		at -= length;
		memcpy(buffer + at, shown, length);
		if (index == 0)
			break;
		name = tree->directories[index].name;
		index = tree->directories[index].parent;
	}
	return memmove(buffer, buffer + at, size - at);
}
