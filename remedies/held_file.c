/* SPDX-License-Identifier: Apache-2.0 */
/* See held_file.h. */
#include "remedies/held_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- holding ------------------------------------------------------------------------------------------------------------------ */

static enum stay difference(const struct stat *found, const struct old_file *file, bool empty)
{
	if (found->st_dev != file->dev || found->st_ino != file->ino || stat_mtime_ns(found) != file->mtime_ns || stat_ctime_ns(found) != file->ctime_ns)
		return STAY_CHANGED;
	return stay_by_kind(found, empty);
}

/*
 * In two steps: a path-only fd says what it is, and is then opened through itself. No name is resolved a second time, so neither a
 * device nor a pipe can be opened by a swap in between.
 */
static enum stay open_proven(int dir_fd, const struct old_file *file, bool empty, int *ret_fd)
{
	char self[48];
	struct stat found;
	int path_fd = tree_open_below(dir_fd, file->name, O_PATH);
	if (path_fd < 0)
		return path_fd == -EXDEV ? STAY_OTHER_MOUNT : path_fd == -ELOOP ? STAY_SPECIAL : STAY_CHANGED;
	enum stay stay = fstat(path_fd, &found) < 0 ? STAY_CHANGED : difference(&found, file, empty);
	if (stay == STAY_COUNT) {
		snprintf(self, sizeof(self), "/proc/self/fd/%d", path_fd);
		*ret_fd = open(self, O_RDONLY | O_NONBLOCK | O_NOATIME | O_NOCTTY | O_CLOEXEC);
		if (*ret_fd < 0)
			stay = errno == EAGAIN ? STAY_IN_USE : STAY_NOT_PERMITTED;
	}
	close(path_fd);
	return stay;
}

/*
 * A write lease is granted only where nobody else has the file open or mapped, and until it is given back an open by somebody else
 * waits: no scan of /proc is as sure. A read lease is granted where nobody has it open to write. It asks for SIGURG, which is ignored by
 * default, where SIGIO would end us.
 */
static enum stay take_lease(int fd, int lease)
{
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return STAY_LOCKED;
	if (fcntl(fd, F_SETSIG, SIGURG) < 0 || fcntl(fd, F_SETLEASE, lease) < 0)
		return STAY_IN_USE;
	return STAY_COUNT;
}

/*
 * Whose powers the unlink takes. Names in a directory of root alone are changed by nobody but root: there is no trick to fear, and the
 * owner of a log in it could not delete it himself. Elsewhere it is done as the file's owner, or, where root left a file in somebody's
 * directory, as the directory's: then a swapped name is at worst one that this user could have deleted anyway. In a sticky directory each
 * name is its file's owner's.
 */
static int choose_user(struct held_file *held)
{
	struct stat directory, file;
	if (fstat(held->dir_fd, &directory) < 0 || fstat(held->fd, &file) < 0)
		return -errno;
	bool sticky = directory.st_mode & S_ISVTX;
	const struct stat *as = !sticky && (directory.st_uid == 0 || file.st_uid == 0) ? &directory : &file;
	held->as_uid = as->st_uid;
	held->as_gid = as->st_gid;
	held->bytes = (uint64_t)file.st_blocks * 512;
	return 0;
}

enum stay held_file_open(const struct tree *tree, const struct old_file *file, const struct cleaning *cleaning, struct held_file *ret)
{
	struct stat found;
	*ret = (struct held_file){ .dir_fd = tree_directory(tree, file->directory), .fd = -1, .lease = cleaning->readers_stay ? F_RDLCK : F_WRLCK,
				   .empty = cleaning->args.empty };
	if (ret->dir_fd < 0)
		return ret->dir_fd == -EPERM ? STAY_WRITABLE_DIRECTORY : ret->dir_fd == -EXDEV ? STAY_OTHER_MOUNT : STAY_CHANGED;

	enum stay stay = flock(ret->dir_fd, LOCK_SH | LOCK_NB) < 0 ? STAY_LOCKED : open_proven(ret->dir_fd, file, ret->empty, &ret->fd);
	if (stay == STAY_COUNT)
		stay = take_lease(ret->fd, ret->lease);
	/* Once more: what was written or linked before the lease is seen now, and nobody can open it to write from here on. */
	if (stay == STAY_COUNT)
		stay = fstat(ret->fd, &found) < 0 ? STAY_CHANGED : difference(&found, file, ret->empty);
	if (stay == STAY_COUNT && choose_user(ret) < 0)
		stay = STAY_CHANGED;
	if (stay != STAY_COUNT)
		held_file_close(ret);
	return stay;
}

void held_file_close(struct held_file *held)
{
	if (held->fd >= 0)
		close(held->fd); /* gives the lease and the lock back */
	if (held->dir_fd >= 0)
		close(held->dir_fd);
	held->fd = held->dir_fd = -1;
}

/* --- unlinking ------------------------------------------------------------------------------------------------------------------ */

/* Only this thread's, and only for files: capabilities over files go with it (capabilities(7)). Neither call says whether it worked. */
static int become(uid_t uid, gid_t gid)
{
	(void)setfsgid(gid);
	(void)setfsuid(uid);
	return (uid_t)setfsuid((uid_t)-1) == uid && (gid_t)setfsgid((gid_t)-1) == gid ? 0 : -EPERM;
}

#define ASIDE ".nodemend-deleting-"
#define KEPT ".nodemend-kept-"
enum { ASIDE_LEN = 64 };

bool held_file_is_leftover(const char *name)
{
	return strncmp(name, ASIDE, strlen(ASIDE)) == 0;
}

static int move(int dir_fd, const char *from, const char *to)
{
	return renameat2(dir_fd, from, dir_fd, to, RENAME_NOREPLACE) < 0 ? -errno : 0;
}

/* It was not the one: back to its name, or, where that is taken again, to one under which nobody deletes it. */
static int put_back(int dir_fd, const char *aside, const char *name, ino_t ino)
{
	char kept[ASIDE_LEN];
	int error = move(dir_fd, aside, name);
	if (error == -EEXIST) {
		snprintf(kept, sizeof(kept), KEPT "%llu", (unsigned long long)ino);
		error = move(dir_fd, aside, kept);
	}
	return error == -ENOENT ? 0 : error;
}

/* 0; 1: another file has its name; -errno. */
static int unlink_by_inode(const struct held_file *held, const struct old_file *file)
{
	char aside[ASIDE_LEN];
	struct stat moved;
	snprintf(aside, sizeof(aside), ASIDE "%llu", (unsigned long long)file->ino);
	int error = strcmp(file->name, aside) == 0 ? 0 : move(held->dir_fd, file->name, aside);
	if (error < 0)
		return error;
	if (fstatat(held->dir_fd, aside, &moved, AT_SYMLINK_NOFOLLOW) < 0)
		return -EUCLEAN;
	if (moved.st_ino != file->ino || moved.st_dev != file->dev) {
		error = put_back(held->dir_fd, aside, file->name, moved.st_ino);
		return error < 0 ? -EUCLEAN : 1;
	}
	if (unlinkat(held->dir_fd, aside, 0) == 0)
		return 0;
	error = -errno;
	(void)put_back(held->dir_fd, aside, file->name, file->ino);
	return error;
}

static int unlink_as_owner(const struct held_file *held, const struct old_file *file)
{
	int error = become(held->as_uid, held->as_gid);
	if (error == 0)
		error = unlink_by_inode(held, file);
	(void)setfsuid(geteuid());
	(void)setfsgid(getegid());
	return error;
}

enum stay held_file_unlink(struct held_file *held, const struct old_file *file, int *ret_error)
{
	struct stat named, after;
	*ret_error = 0;
	if (fstatat(held->dir_fd, file->name, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return STAY_CHANGED;
	enum stay stay = difference(&named, file, held->empty);
	if (stay != STAY_COUNT)
		return stay;
	if (fcntl(held->fd, F_GETLEASE) != held->lease)
		return STAY_IN_USE; /* somebody waits to open it */
	int error = unlink_as_owner(held, file);
	if (error == 0 && fstat(held->fd, &after) == 0 && after.st_nlink == 0)
		return STAY_COUNT;
	if (error == 1 || error == -ENOENT)
		return STAY_CHANGED;
	*ret_error = error == 0 ? -EUCLEAN : error;
	return error == -EBUSY ? STAY_OTHER_MOUNT : error == 0 || error == -EUCLEAN ? STAY_CHANGED : STAY_NOT_PERMITTED;
}
