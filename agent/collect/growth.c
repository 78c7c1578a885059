/* SPDX-License-Identifier: Apache-2.0 */
/* See growth.h. A row that is given up loses only its name: what it grew stays in its filesystem's total. */
#include "collect/growth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure/tally.h"

enum {
	KERNEL_ROWS = 2048, KERNEL_ROWS_HIGH = 1536,
	QUIET_TICKS = 60,               /* then a file's row is given up; it begins anew with the size it then has */
	QUIET_TICKS_FULL = 2,           /* where the table fills */
};

struct growth {
	struct tally *tally;
	uint64_t last_ns;
	uint32_t rows;                  /* in the kernel, at the last look */
	uint32_t order[KERNEL_ROWS];    /* tally indexes, largest recent growth first */
};

struct growth *growth_new(void)
{
	struct growth *growth = calloc(1, sizeof(*growth));

	if (!growth)
		return NULL;
	growth->tally = tally_new(KERNEL_ROWS, 1);
	if (!growth->tally) {
		free(growth);
		return NULL;
	}
	return growth;
}

void growth_free(struct growth *growth)
{
	if (!growth)
		return;
	tally_free(growth->tally);
	free(growth);
}

static void take_file(const void *key_, const void *value, void *growth_)
{
	struct growth *growth = growth_;
	const struct file_key *key = key_;
	const struct file_value *file = value;
	struct tally_key tally_key = { .a = key->ino, .b = (uint64_t)key->dev << 32 | key->generation };

	uint64_t grown = file->grown;

	growth->rows++;
	tally_take(growth->tally, tally_key, &grown);
}

static struct file_key kernel_key_of(struct tally_key key)
{
	return (struct file_key){ .ino = key.a, .dev = (uint32_t)(key.b >> 32), .generation = (uint32_t)key.b };
}

static int compare_recent(const void *a, const void *b, void *tally)
{
	struct tally_row left = tally_row(tally, *(const uint32_t *)a), right = tally_row(tally, *(const uint32_t *)b);

	if (left.recent != right.recent)
		return left.recent < right.recent ? 1 : -1;
	return (left.total[0] < right.total[0]) - (left.total[0] > right.total[0]);
}

/* From the outermost folder that we know inwards. */
static void make_path(const struct file_value *file, char path[GROWN_PATH_LEN])
{
	uint32_t parts = file->parts < FILE_NAME_PARTS ? file->parts : FILE_NAME_PARTS;
	size_t length = 0;

	path[0] = '\0';
	if (file->parts > FILE_NAME_PARTS)
		length = (size_t)snprintf(path, GROWN_PATH_LEN, "…");
	while (parts--)
		length += (size_t)snprintf(path + length, GROWN_PATH_LEN - length, "/%.*s", FILE_PART_LEN - 1, file->names[parts]);
}

static bool fill_file(const struct tally_row *row, int files_fd, struct grown_file *ret)
{
	struct file_key key = kernel_key_of(row->key);
	struct file_value file;

	if (bpf_map_lookup_elem(files_fd, &key, &file))
		return false;
	*ret = (struct grown_file){
		.ino = key.ino, .dev = key.dev, .pid = file.pid, .cgroup_id = file.cgroup_id,
		.grown_total = row->total[0], .grown_delta = row->delta[0], .grown_recent = row->recent,
	};
	memcpy(ret->comm, file.comm, sizeof(ret->comm));
	ret->comm[sizeof(ret->comm) - 1] = '\0';
	make_path(&file, ret->path);
	return true;
}

static void fill_files(struct growth *growth, int files_fd, struct growth_section *section)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < tally_count(growth->tally); i++)
		if (tally_row(growth->tally, i).total[0])
			growth->order[count++] = i;
	qsort_r(growth->order, count, sizeof(growth->order[0]), compare_recent, growth->tally);

	section->count = 0;
	section->cut = count > MAX_GROWING ? count - MAX_GROWING : 0;
	for (uint32_t i = 0; i < count && section->count < MAX_GROWING; i++) {
		struct tally_row row = tally_row(growth->tally, growth->order[i]);
		section->count += fill_file(&row, files_fd, &section->each[section->count]);
	}
}

static void take_total(const void *dev, const void *total, void *section_)
{
	struct growth_section *section = section_;

	if (section->filesystem_count == MAX_GROWN_FILESYSTEMS)
		return; /* the same bound as of filesystems that have a row at all */
	section->filesystems[section->filesystem_count++] =
		(struct grown_filesystem){ .dev = *(const uint32_t *)dev, .grown_total = *(const uint64_t *)total };
}

static void prune(struct growth *growth, int files_fd)
{
	uint32_t quiet = growth->rows > KERNEL_ROWS_HIGH ? QUIET_TICKS_FULL : QUIET_TICKS;

	for (uint32_t i = 0; i < tally_count(growth->tally); i++) {
		struct tally_row row = tally_row(growth->tally, i);
		struct file_key key = kernel_key_of(row.key);

		if (row.quiet_ticks < quiet && row.in_kernel)
			continue;
		if (!bpf_map_delete_elem(files_fd, &key) || errno == ENOENT)
			tally_retire(growth->tally, i);
	}
}

int growth_collect(struct growth *growth, const struct object_walk *walk, int files_fd, int grown_fd, struct snapshot *snap)
{
	struct growth_section *section = &snap->growth;
	uint64_t elapsed = growth->last_ns ? snap->boot_ns - growth->last_ns : 0;

	growth->rows = 0;
	tally_begin(growth->tally);
	int error = object_walk_map(walk, files_fd, take_file, growth);
	tally_end(growth->tally, elapsed);
	growth->last_ns = snap->boot_ns;
	section->filesystem_count = 0;
	if (!error)
		error = object_walk_map(walk, grown_fd, take_total, section);
	if (error)
		return error;
	fill_files(growth, files_fd, section);
	prune(growth, files_fd);
	section->measured_ns = snap->boot_ns;
	return 0;
}

uint64_t growth_cut(const struct growth *growth)
{
	return tally_cut(growth->tally);
}
