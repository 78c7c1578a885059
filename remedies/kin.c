/* SPDX-License-Identifier: Apache-2.0 */
/* See kin.h. */
#include "remedies/kin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remedies/figure.h"

enum { STAT_LEN = 1024, ENTRIES_LEN = 8192, MAX_PASSES = 64 };

/* --- reading ------------------------------------------------------------------------------------------------------------- */

enum { PF_EXITING_FLAG = 0x4 }; /* include/linux/sched.h: set before anything of it is given up; it begets nobody any more */

/* proc(5), by its numbers there; what lies between them is passed over. */
enum { FIELD_STATE = 3, FIELD_PARENT = 4, FIELD_SESSION = 6, FIELD_TERMINAL = 7, FIELD_FLAGS = 9, FIELD_THREADS = 20, FIELD_START = 22 };

/* From the state on. False: it ends too early. */
static bool read_fields(char *text, char *ret_state, uint64_t ret[FIELD_START + 1])
{
	char *rest = NULL, *word = strtok_r(text, " ", &rest);
	*ret_state = word ? *word : '\0';
	for (int field = FIELD_STATE + 1; field <= FIELD_START && word; field++) {
		word = strtok_r(NULL, " ", &rest);
		ret[field] = word ? strtoull(word, NULL, 10) : 0;
	}
	return word != NULL;
}

/* The name may hold blanks and parentheses; the last one ends it. */
static int read_one(int proc_fd, const char *name, struct kin *ret)
{
	char path[48], text[STAT_LEN], state;
	struct stat owner;
	uint64_t fields[FIELD_START + 1] = { 0 };
	snprintf(path, sizeof(path), "%.20s/stat", name);
	if (figure_text(proc_fd, path, text, sizeof(text)) < 0 || fstatat(proc_fd, name, &owner, AT_SYMLINK_NOFOLLOW) < 0)
		return -ESRCH;
	char *open_at = strchr(text, '('), *close_at = strrchr(text, ')');
	if (!open_at || !close_at || close_at < open_at || !read_fields(close_at + 1, &state, fields))
		return -ESRCH;
	*close_at = '\0';
	*ret = (struct kin){
		.pid = (int32_t)strtol(name, NULL, 10), .parent = (int32_t)fields[FIELD_PARENT], .session = (int32_t)fields[FIELD_SESSION], .uid = owner.st_uid,
		.start_ns = fields[FIELD_START] * (NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK)), .has_terminal = fields[FIELD_TERMINAL] != 0,
		.is_running = state == 'R' || state == 'S',
	};
	snprintf(ret->comm, sizeof(ret->comm), "%s", open_at + 1);
	/* A leader may end before its other threads: then it is no zombie that could be waited for, and they go on. */
	bool alone = fields[FIELD_THREADS] <= 1;
	ret->is_zombie = (state == 'Z' || state == 'X') && alone;
	ret->is_leaving = (fields[FIELD_FLAGS] & PF_EXITING_FLAG) && alone;
	return 0;
}

int kin_read(int proc_fd, struct kin_table *ret)
{
	_Alignas(struct dirent64) char entries[ENTRIES_LEN];
	int fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = fd < 0 ? -errno : 0;
	ssize_t got = 0;
	ret->count = ret->members = 0;
	while (error == 0 && (got = getdents64(fd, entries, sizeof(entries))) > 0) {
		for (ssize_t at = 0; error == 0 && at < got;) {
			const struct dirent64 *entry = (const void *)(entries + at);
			at += entry->d_reclen;
			if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
				continue;
			if (ret->count == MAX_KIN)
				error = -EOVERFLOW;
			else if (read_one(proc_fd, entry->d_name, &ret->each[ret->count]) == 0)
				ret->count++;
		}
	}
	if (error == 0 && got < 0)
		error = -errno;
	if (fd >= 0)
		close(fd);
	return error;
}

bool kin_is_leaving(int proc_fd, int32_t pid)
{
	char name[16];
	struct kin now;
	snprintf(name, sizeof(name), "%d", (int)pid);
	return read_one(proc_fd, name, &now) < 0 || now.is_leaving;
}

/* procfs lists them by their numbers. */
struct kin *kin_find(struct kin_table *table, int32_t pid)
{
	uint32_t low = 0, high = table->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (table->each[middle].pid < pid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < table->count && table->each[low].pid == pid ? &table->each[low] : NULL;
}

/* --- who belongs to it ---------------------------------------------------------------------------------------------------- */

static bool is_alike(const struct kin *one, const struct kin *other)
{
	return one->session == other->session && one->uid == other->uid && strcmp(one->comm, other->comm) == 0;
}

/* A shell at a terminal leads its session and began it for somebody. */
static bool is_somebody_s(const struct kin *one)
{
	return one->pid == one->session && one->has_terminal;
}

const struct kin *kin_first(struct kin_table *table, int32_t pid)
{
	struct kin *first = kin_find(table, pid);
	for (int level = 0; first && level < MAX_PASSES; level++) {
		struct kin *parent = first->parent > 0 ? kin_find(table, first->parent) : NULL;
		first->is_orphan = first->pid != first->session && (!parent || parent->session != first->session);
		if (!parent || parent->pid == 1 || parent->start_ns > first->start_ns || !is_alike(parent, first) || is_somebody_s(parent))
			break;
		first = parent;
	}
	return first;
}

static void mark(struct kin_table *table, struct kin *member)
{
	if (member->is_member || member->is_leaving)
		return;
	member->is_member = true;
	table->members++;
}

void kin_mark(struct kin_table *table, const struct kin *first)
{
	struct kin seed = *first; /* it may stand in the table */
	table->members = 0;
	for (uint32_t i = 0; i < table->count; i++) {
		struct kin *each = &table->each[i];
		each->is_member = false;
		if ((each->pid == seed.pid && each->start_ns == seed.start_ns) ||
		    (is_alike(each, &seed) && !is_somebody_s(each) && (seed.is_orphan || each->start_ns >= seed.start_ns)))
			mark(table, each);
	}
	/* Most children have larger numbers than their parents, so one pass finds most generations. */
	uint32_t before = UINT32_MAX;
	for (int pass = 0; pass < MAX_PASSES && table->members != before; pass++) {
		before = table->members;
		for (uint32_t i = 0; i < table->count; i++) {
			const struct kin *parent = table->each[i].is_member ? NULL : kin_find(table, table->each[i].parent);
			if (parent && parent->is_member)
				mark(table, &table->each[i]);
		}
	}
}

static int visit_member(int32_t pid, void *context)
{
	struct kin *member = kin_find(context, pid);
	if (member)
		mark(context, member);
	return 0;
}

int kin_mark_group(struct kin_table *table, const struct group *group)
{
	table->members = 0;
	for (uint32_t i = 0; i < table->count; i++)
		table->each[i].is_member = false;
	return group_each(group, visit_member, table);
}

uint32_t kin_born(const struct kin_table *table, uint64_t since_ns)
{
	uint32_t born = 0;
	for (uint32_t i = 0; i < table->count; i++)
		born += table->each[i].is_member && table->each[i].start_ns >= since_ns;
	return born;
}
