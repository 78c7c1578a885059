/* SPDX-License-Identifier: Apache-2.0 */
/* See old_files.h. Breadth first, so that no depth of a tree is a depth of our stack; each directory is read twice: for the newest
 * that are kept, and for those that are older. */
#include "remedies/old_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remedies/act.h"
#include "remedies/held_file.h"

enum { ENTRIES_LEN = 32 * 1024, HALT_EVERY = 1024, MAX_SEEN = 4000000, MAX_KINS = 512 };

static const char *const stay_words[STAY_COUNT] = {
	[STAY_CHANGED] = "changed meanwhile",
	[STAY_EMPTY] = "without blocks",
	[STAY_IN_USE] = "in use",
	[STAY_LINKED] = "hard-linked",
	[STAY_LOCKED] = "locked",
	[STAY_NAME] = "of the filesystem itself",
	[STAY_NEWEST] = "newest",
	[STAY_NOT_LOOKED_AT] = "not looked at",
	[STAY_NOT_MEANT] = "not meant",
	[STAY_NOT_PERMITTED] = "not permitted",
	[STAY_OTHER_MOUNT] = "on other mounts",
	[STAY_SPECIAL] = "not regular",
	[STAY_TOO_LARGE] = "beyond max_bytes",
	[STAY_WRITABLE_DIRECTORY] = "writable by others",
	[STAY_YOUNG] = "too young",
};

/* Belong to the filesystem or its quota, whatever pattern they match. */
static const char *const never_names[] = {
	".journal", "aquota.group", "aquota.user", "lost+found", "quota.group", "quota.user",
};

/* --- the newest and the oldest ---------------------------------------------------------------------------------------------- */

/* Two of one time are told apart by their numbers, so that both readings of a directory agree. */
static bool is_older(const struct age *a, const struct age *b)
{
	return a->mtime_ns != b->mtime_ns ? a->mtime_ns < b->mtime_ns : a->ino < b->ino;
}

/* Whether `a` leaves the heap before `b`. */
static bool goes_first(const struct heap *heap, const struct age *a, const struct age *b)
{
	return heap->newest ? is_older(a, b) : is_older(b, a);
}

static void sift_down(struct heap *heap)
{
	for (uint32_t at = 0;;) {
		uint32_t first = at, left = 2 * at + 1, right = left + 1;
		if (left < heap->count && goes_first(heap, &heap->each[left], &heap->each[first]))
			first = left;
		if (right < heap->count && goes_first(heap, &heap->each[right], &heap->each[first]))
			first = right;
		if (first == at)
			return;
		struct age swap = heap->each[at];
		heap->each[at] = heap->each[first];
		heap->each[first] = swap;
		at = first;
	}
}

static void sift_up(struct heap *heap)
{
	for (uint32_t at = heap->count - 1; at;) {
		uint32_t parent = (at - 1) / 2;
		if (!goes_first(heap, &heap->each[at], &heap->each[parent]))
			return;
		struct age swap = heap->each[at];
		heap->each[at] = heap->each[parent];
		heap->each[parent] = swap;
		at = parent;
	}
}

/* True when it is taken; its slot is then its own, or that of the one it drove out. */
static bool heap_offer(struct heap *heap, const struct age *age, uint32_t *ret_slot)
{
	if (heap->count < heap->room) {
		*ret_slot = heap->count;
		heap->each[heap->count] = *age;
		heap->each[heap->count++].slot = *ret_slot;
		sift_up(heap);
		return true;
	}
	if (!heap->room || !goes_first(heap, &heap->each[0], age))
		return false;
	*ret_slot = heap->each[0].slot;
	heap->each[0] = *age;
	heap->each[0].slot = *ret_slot;
	sift_down(heap);
	return true;
}

/* --- one entry --------------------------------------------------------------------------------------------------------------- */

static uint64_t to_ns(const struct timespec *time)
{
	return time->tv_sec < 0 ? 0 : (uint64_t)time->tv_sec * NSEC_PER_SEC + (uint64_t)time->tv_nsec;
}

uint64_t stat_mtime_ns(const struct stat *found)
{
	return to_ns(&found->st_mtim);
}

uint64_t stat_ctime_ns(const struct stat *found)
{
	return to_ns(&found->st_ctim);
}

enum stay stay_by_kind(const struct stat *found, bool empty)
{
	if (!S_ISREG(found->st_mode))
		return STAY_SPECIAL;
	if (found->st_nlink != 1)
		return STAY_LINKED; /* its bytes stay with the other name */
	return found->st_blocks > 0 || empty ? STAY_COUNT : STAY_EMPTY;
}

static bool is_never_name(const char *name)
{
	for (size_t i = 0; i < sizeof(never_names) / sizeof(never_names[0]); i++)
		if (strcmp(name, never_names[i]) == 0)
			return true;
	return false;
}

static bool matches(const struct clean_files_args *args, const char *name)
{
	for (uint32_t i = 0; i < args->match_count; i++)
		if (fnmatch(args->match[i], name, FNM_PERIOD) == 0)
			return true;
	return false;
}

struct reading {
	struct old_files *old;
	const struct remedy_request *request;
	const struct cleaning *cleaning;
	const struct clean_files_args *args;
	int64_t now_wall_ns;
	uint32_t directory;
	int fd;
	struct heap oldest;
};

/* By both times: a copy keeps the old mtime, and only the change time says when it came. Times ahead of the clock are young. */
static bool is_old_enough(const struct reading *reading, const struct stat *found)
{
	uint64_t now = reading->now_wall_ns > 0 ? (uint64_t)reading->now_wall_ns : 0;
	uint64_t before = now > reading->args->min_age_ns ? now - reading->args->min_age_ns : 0;
	return stat_mtime_ns(found) <= before && stat_ctime_ns(found) <= before;
}

/* NULL: more kins than there is room for. Those of one that has no place all stay. */
static struct kin *kin_of(struct reading *reading, const char *name, bool make)
{
	struct old_files *old = reading->old;
	uint64_t its = reading->cleaning->kin ? reading->cleaning->kin(name) : 0;
	for (uint32_t i = 0; i < old->kin_count; i++)
		if (old->kins[i].name == its)
			return &old->kins[i];
	if (!make || old->kin_count == old->kin_room)
		return NULL;
	uint32_t room = reading->args->keep_newest;
	struct kin *kin = &old->kins[old->kin_count];
	*kin = (struct kin){ .name = its, .keep = { .newest = true, .room = room, .each = old->kept + (size_t)old->kin_count * (room + 1) } };
	old->kin_count++;
	return kin;
}

static bool is_kept(const struct heap *keep, const struct age *age)
{
	if (!keep->room)
		return false;
	return keep->count < keep->room || !is_older(age, &keep->each[0]);
}

static enum stay consider(struct reading *reading, const char *name, const struct stat *found)
{
	struct old_files *old = reading->old;
	struct age age = { .mtime_ns = stat_mtime_ns(found), .ino = found->st_ino };
	enum stay stay = stay_by_kind(found, reading->args->empty);
	if (stay != STAY_COUNT)
		return stay;
	if (!held_file_is_leftover(name)) {
		const struct kin *kin = kin_of(reading, name, false);
		if (!kin)
			return STAY_NOT_LOOKED_AT;
		if (is_kept(&kin->keep, &age))
			return STAY_NEWEST;
	}
	if (!is_old_enough(reading, found))
		return STAY_YOUNG;

	uint32_t slot;
	old->more |= reading->oldest.count == reading->oldest.room;
	if (!heap_offer(&reading->oldest, &age, &slot))
		return STAY_COUNT;
	struct old_file *file = &old->files[slot];
	file->directory = reading->directory;
	file->dev = found->st_dev;
	file->ino = found->st_ino;
	file->uid = found->st_uid;
	file->mtime_ns = age.mtime_ns;
	file->ctime_ns = stat_ctime_ns(found);
	file->bytes = (uint64_t)found->st_blocks * 512;
	snprintf(file->name, sizeof(file->name), "%s", name);
	return STAY_COUNT;
}

static void visit_directory(struct reading *reading, const char *name, const struct stat *found)
{
	struct old_files *old = reading->old;
	if (is_never_name(name))
		return;
	if (old->tree.directories[reading->directory].depth >= reading->args->max_depth)
		return;
	if (!tree_add(&old->tree, reading->directory, name, found->st_dev, found->st_ino))
		old->stayed[STAY_NOT_LOOKED_AT]++;
}

static void offer_to_keep(struct reading *reading, const char *name, const struct stat *found, bool meant)
{
	struct age age = { .mtime_ns = stat_mtime_ns(found), .ino = found->st_ino };
	struct kin *kin = meant ? kin_of(reading, name, true) : NULL;
	uint32_t slot;
	reading->old->matching_bytes += (uint64_t)found->st_blocks * 512;
	if (kin)
		(void)heap_offer(&kin->keep, &age, &slot);
}

/* The first reading finds the newest and the directories below; the second the files that are older. */
static void visit(struct reading *reading, const struct dirent64 *entry, bool first)
{
	struct old_files *old = reading->old;
	const char *name = entry->d_name;
	struct stat found;
	bool leftover = held_file_is_leftover(name), wanted = leftover || matches(reading->args, name), directory = entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return;
	if (!wanted && !(first && directory))
		return;
	if (fstatat(reading->fd, name, &found, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
		return; /* gone since it was read */
	if (S_ISDIR(found.st_mode)) {
		if (first)
			visit_directory(reading, name, &found);
		return;
	}
	if (!wanted)
		return;

	bool meant = leftover || !reading->cleaning->is_meant || reading->cleaning->is_meant(name);
	if (first) {
		if (S_ISREG(found.st_mode) && !leftover)
			offer_to_keep(reading, name, &found, meant);
		return;
	}
	enum stay stay = is_never_name(name) ? STAY_NAME : meant ? consider(reading, name, &found) : STAY_NOT_MEANT;
	if (stay != STAY_COUNT)
		old->stayed[stay]++;
}

/* --- the tree ---------------------------------------------------------------------------------------------------------------- */

static int read_once(struct reading *reading, bool first)
{
	_Alignas(struct dirent64) char entries[ENTRIES_LEN];
	struct old_files *old = reading->old;
	if (lseek(reading->fd, 0, SEEK_SET) < 0)
		return -errno;
	for (;;) {
		ssize_t got = getdents64(reading->fd, entries, sizeof(entries));
		if (got <= 0)
			return got < 0 ? -errno : 0;
		for (ssize_t at = 0; at < got;) {
			const struct dirent64 *entry = (const void *)(entries + at);
			at += entry->d_reclen;
			visit(reading, entry, first);
			if (++old->seen % HALT_EVERY == 0 && act_halted(reading->request))
				return -ECANCELED;
		}
		if (old->seen > MAX_SEEN)
			return -EOVERFLOW;
	}
}

static void count_unopened(struct old_files *old, int error)
{
	old->stayed[error == -EXDEV ? STAY_OTHER_MOUNT : error == -EPERM ? STAY_WRITABLE_DIRECTORY : error == -EACCES ? STAY_NOT_PERMITTED : STAY_CHANGED]++;
}

static int read_directory(struct reading *reading, uint32_t index)
{
	struct old_files *old = reading->old;
	reading->directory = index;
	reading->fd = tree_directory(&old->tree, index);
	if (reading->fd < 0) {
		count_unopened(old, reading->fd);
		return 0;
	}
	/* Whoever holds a lock on a directory asks cleaners to stay out of it, as systemd-tmpfiles(8) has it. */
	if (flock(reading->fd, LOCK_SH | LOCK_NB) < 0) {
		old->stayed[STAY_LOCKED]++;
		close(reading->fd);
		return 0;
	}
	old->kin_count = 0;
	int error = read_once(reading, true);
	if (error == 0)
		error = read_once(reading, false);
	close(reading->fd);
	if (error == -ECANCELED)
		return error;
	if (error < 0)
		old->stayed[STAY_NOT_LOOKED_AT]++;
	return 0;
}

static int compare_age(const void *a, const void *b)
{
	return is_older(a, b) ? -1 : is_older(b, a);
}

int old_files_find(struct old_files *old, const struct remedy_request *request, int64_t now_wall_ns)
{
	struct reading reading = { .old = old, .request = request, .cleaning = old->cleaning, .args = &old->cleaning->args, .now_wall_ns = now_wall_ns, .fd = -1,
				   .oldest = { .room = MAX_OLD_FILES, .each = old->order } };
	old->seen = old->matching_bytes = 0;
	old->more = false;
	memset(old->stayed, 0, sizeof(old->stayed));
	old->tree.count = 1;
	old->tree.cut = 0;
	int error = 0;
	for (uint32_t i = 0; error == 0 && i < old->tree.count; i++) {
		error = act_halted(request) ? -ECANCELED : read_directory(&reading, i);
		if (old->seen > MAX_SEEN)
			break;
	}
	old->count = reading.oldest.count;
	qsort(old->order, old->count, sizeof(old->order[0]), compare_age);
	return error;
}

struct old_files *old_files_new(const struct cleaning *cleaning)
{
	struct old_files *old = calloc(1, sizeof(*old));
	if (!old)
		return NULL;
	old->tree.root_fd = -1;
	old->cleaning = cleaning;
	old->kin_room = cleaning->kin ? MAX_KINS : 1;
	old->kins = calloc(old->kin_room, sizeof(old->kins[0]));
	old->kept = calloc((size_t)old->kin_room * (cleaning->args.keep_newest + 1), sizeof(old->kept[0]));
	if (old->kins && old->kept)
		return old;
	old_files_free(old);
	return NULL;
}

void old_files_free(struct old_files *old)
{
	if (!old)
		return;
	tree_close(&old->tree);
	free(old->kept);
	free(old->kins);
	free(old);
}

char *old_files_stayed(const struct old_files *old, char *buffer, size_t size)
{
	size_t used = 0;
	buffer[0] = '\0';
	for (size_t i = 0; i < STAY_COUNT && used < size; i++)
		if (old->stayed[i])
			used += (size_t)snprintf(buffer + used, size - used, "%s%llu %s", used ? ", " : "", (unsigned long long)old->stayed[i], stay_words[i]);
	return buffer;
}
