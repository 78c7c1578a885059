/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays, caches, tapes and NVMe controllers. */
#include "collect/host.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- mdadm: /proc/mdstat ------------------------------------------------------------------------------------------------ */

struct array {
	char name[32];
	const char *state;
	uint32_t active, required, failed, spare;
	uint64_t blocks, synced;
};

static uint32_t count_in(const struct span *line, const char *what)
{
	size_t length = strlen(what);
	uint32_t count = 0;

	for (const char *at = line->at; (size_t)(line->end - at) >= length; at++)
		count += memcmp(at, what, length) == 0;
	return count;
}

static bool has(const struct span *line, const char *what)
{
	return count_in(line, what) > 0;
}

/* The last "[3/2]" or "(1234/5678)" of a line, by its bracket. */
static bool find_pair(const struct span *line, char bracket, uint64_t *ret_left, uint64_t *ret_right)
{
	bool found = false;

	for (const char *at = line->at; at < line->end; at++) {
		const char *end = memchr(at, bracket == '(' ? ')' : ']', (size_t)(line->end - at));
		const char *slash = end ? memchr(at, '/', (size_t)(end - at)) : NULL;
		struct span left = { at + 1, slash }, right = { slash ? slash + 1 : NULL, end };
		found |= *at == bracket && slash && span_number(&left, ret_left) && span_number(&right, ret_right);
	}
	return found;
}

/* "… [3/2] [UU_]": how many it should have, and has. */
static bool parse_members(const struct span *line, struct array *ret)
{
	uint64_t required, active;
	if (!find_pair(line, '[', &required, &active) || required > UINT32_MAX || active > UINT32_MAX)
		return false;
	ret->required = (uint32_t)required;
	ret->active = (uint32_t)active;
	return true;
}

/* "(1234/5678)" of a line of progress; what waits for its turn has done nothing. */
static void parse_progress(const struct span *line, struct array *ret)
{
	static const struct { const char *word, *state; } activities[] = {
		{ "recovery", "recovering" }, { "resync", "resync" }, { "check", "check" },
	};
	uint64_t done, all;

	for (size_t i = 0; i < HOST_COUNT(activities); i++) {
		if (!has(line, activities[i].word))
			continue;
		ret->state = activities[i].state;
		ret->synced = find_pair(line, '(', &done, &all) ? done : 0;
		return;
	}
}

static void put_array(struct host *host, const struct array *array)
{
	static const char *const states[] = { "active", "inactive", "recovering", "resync", "check" };
	const struct { const char *state; uint32_t value; } disks[] = {
		{ "active", array->active }, { "failed", array->failed }, { "spare", array->spare },
	};

	for (size_t i = 0; i < HOST_COUNT(states); i++)
		host_put(host, "node_md_state", SERIES_GAUGE, strcmp(states[i], array->state) == 0,
			HOST_LABELS({ "device", array->name }, { "state", states[i] }));
	for (size_t i = 0; i < HOST_COUNT(disks); i++)
		host_put(host, "node_md_disks", SERIES_GAUGE, disks[i].value,
			HOST_LABELS({ "device", array->name }, { "state", disks[i].state }));
	host_put(host, "node_md_disks_required", SERIES_GAUGE, array->required, HOST_LABELS({ "device", array->name }));
	host_put(host, "node_md_blocks", SERIES_GAUGE, (double)array->blocks, HOST_LABELS({ "device", array->name }));
	host_put(host, "node_md_blocks_synced", SERIES_GAUGE, (double)array->synced, HOST_LABELS({ "device", array->name }));
}

/* "md1 : active raid1 sda1[0] sdb1[1](F)", then the sizes, then perhaps a bitmap and a line of progress. */
static int read_array(struct host *host, struct span *text, const struct span *head)
{
	struct array array = { .state = "inactive" };
	struct span line = *head, word, sizes, next = { 0 };

	if (!span_word(&line, &word) || span_copy(&word, array.name, sizeof(array.name)) >= sizeof(array.name) ||
	    !span_word(&line, &word) || !span_word(&line, &word) || !span_line(text, &sizes))
		return -EINVAL;
	if (span_is(&word, "active"))
		array.state = "active";
	array.failed = count_in(head, "(F)");
	array.spare = count_in(head, "(S)");
	line = sizes;
	if (!span_next_number(&line, &array.blocks))
		return -EINVAL;
	if (has(head, "raid0") || has(head, "linear"))
		array.active = array.required = count_in(head, "[");
	else if (strcmp(array.state, "active") == 0 && !parse_members(&sizes, &array))
		return -EINVAL;

	array.synced = array.blocks;
	struct span rest = *text;
	if (span_line(&rest, &next) && has(&next, "bitmap"))
		(void)span_line(&rest, &next);
	parse_progress(&next, &array);
	put_array(host, &array);
	return 0;
}

int host_read_mdadm(struct host *host)
{
	struct span text, line;
	int error = host_lines(host, host->proc_fd, "mdstat", &text);

	while (!error && span_line(&text, &line)) {
		struct span rest = line;
		if (line.at == line.end || *line.at == ' ' || *line.at == '\t' || span_starts(&rest, "Personalities") ||
		    span_starts(&rest, "unused"))
			continue;
		error = read_array(host, &text, &line);
	}
	return error;
}

/* --- bcache ------------------------------------------------------------------------------------------------------------- */

/* "1.3M" of 1024s. */
static bool parse_human(const char *text, double *ret)
{
	static const char units[] = "kMGTPEZY";
	char number[32];
	size_t length = strlen(text);
	double scale = 1;

	if (!length || length >= sizeof(number))
		return false;
	memcpy(number, text, length + 1);
	const char *unit = strchr(units, number[length - 1]);
	if (unit) {
		number[length - 1] = '\0';
		for (const char *at = units; at <= unit; at++)
			scale *= 1024;
	}
	if (!host_parse_number(number, ret))
		return false;
	*ret *= scale;
	return true;
}

static void put_human(struct host *host, int dir_fd, const struct host_file *files, size_t count, const struct host_label *labels,
	uint32_t label_count)
{
	char text[64];
	double value;

	for (size_t i = 0; i < count; i++)
		if (host_text(dir_fd, files[i].path, text, sizeof(text)) == 0 && parse_human(text, &value))
			host_put(host, files[i].family, files[i].type, value * (files[i].scale != 0 ? files[i].scale : 1), labels, label_count);
}

/* "rate: 1.1M/sec", "target: 20.4G", … */
static void put_writeback(struct host *host, int dir_fd, const struct host_label *labels)
{
	static const struct { const char *key, *family; } figures[] = {
		{ "rate:", "node_bcache_writeback_rate" },
		{ "target:", "node_bcache_dirty_target_bytes" },
		{ "proportional:", "node_bcache_writeback_rate_proportional_term" },
		{ "integral:", "node_bcache_writeback_rate_integral_term" },
		{ "change:", "node_bcache_writeback_change" },
	};
	char text[512], *rest = text;

	(void)host_text(dir_fd, "writeback_rate_debug", text, sizeof(text));
	for (char *line; (line = strsep(&rest, "\n"));) {
		for (size_t i = 0; i < HOST_COUNT(figures); i++) {
			size_t length = strlen(figures[i].key);
			double value;
			if (strncmp(line, figures[i].key, length) != 0)
				continue;
			char *at = line + length + strspn(line + length, " \t");
			at[strcspn(at, "/ \t")] = '\0';
			if (parse_human(at, &value))
				host_put(host, figures[i].family, SERIES_GAUGE, value, labels, 2);
		}
	}
}

static void put_cache_member(struct host *host, int dir_fd, const char *uuid, const char *name)
{
	static const struct host_file backing[] = {
		{ "dirty_data", "node_bcache_dirty_data_bytes", SERIES_GAUGE, 0 },
		{ "stats_total/bypassed", "node_bcache_bypassed_bytes_total", SERIES_COUNTER, 0 },
		{ "stats_total/cache_bypass_hits", "node_bcache_cache_bypass_hits_total", SERIES_COUNTER, 0 },
		{ "stats_total/cache_bypass_misses", "node_bcache_cache_bypass_misses_total", SERIES_COUNTER, 0 },
		{ "stats_total/cache_hits", "node_bcache_cache_hits_total", SERIES_COUNTER, 0 },
		{ "stats_total/cache_miss_collisions", "node_bcache_cache_miss_collisions_total", SERIES_COUNTER, 0 },
		{ "stats_total/cache_misses", "node_bcache_cache_misses_total", SERIES_COUNTER, 0 },
		{ "stats_total/cache_readaheads", "node_bcache_cache_readaheads_total", SERIES_COUNTER, 0 },
	}, cache[] = {
		{ "io_errors", "node_bcache_io_errors", SERIES_GAUGE, 0 },
		{ "metadata_written", "node_bcache_metadata_written_bytes_total", SERIES_COUNTER, 0 },
		{ "written", "node_bcache_written_bytes_total", SERIES_COUNTER, 0 },
	};

	if (fnmatch("bdev[0-9]*", name, 0) == 0) {
		const struct host_label labels[] = { { "backing_device", name }, { "uuid", uuid } };
		put_human(host, dir_fd, backing, HOST_COUNT(backing), labels, 2);
		put_writeback(host, dir_fd, labels);
	} else if (fnmatch("cache[0-9]*", name, 0) == 0) {
		put_human(host, dir_fd, cache, HOST_COUNT(cache), HOST_LABELS({ "cache_device", name }, { "uuid", uuid }));
	}
}

static void put_cache_set(struct host *host, int dir_fd, const char *uuid)
{
	static const struct host_file files[] = {
		{ "average_key_size", "node_bcache_average_key_size_sectors", SERIES_GAUGE, 0 },
		{ "btree_cache_size", "node_bcache_btree_cache_size_bytes", SERIES_GAUGE, 0 },
		{ "cache_available_percent", "node_bcache_cache_available_percent", SERIES_GAUGE, 0 },
		{ "congested", "node_bcache_congested", SERIES_GAUGE, 0 },
		{ "root_usage_percent", "node_bcache_root_usage_percent", SERIES_GAUGE, 0 },
		{ "tree_depth", "node_bcache_tree_depth", SERIES_GAUGE, 0 },
		{ "internal/active_journal_entries", "node_bcache_active_journal_entries", SERIES_GAUGE, 0 },
		{ "internal/btree_nodes", "node_bcache_btree_nodes", SERIES_GAUGE, 0 },
		/* The file counts microseconds; node_exporter takes them for nanoseconds, and its dashboards with it. */
		{ "internal/btree_read_average_duration_us", "node_bcache_btree_read_average_duration_seconds", SERIES_GAUGE, 1e-9 },
		{ "internal/cache_read_races", "node_bcache_cache_read_races_total", SERIES_COUNTER, 0 },
	};
	struct host_names names;

	put_human(host, dir_fd, files, HOST_COUNT(files), HOST_LABELS({ "uuid", uuid }));
	(void)host_list(dir_fd, ".", &names);
	for (uint32_t i = 0; i < names.count; i++) {
		int member_fd = host_open_dir(dir_fd, names.each[i]);
		if (member_fd < 0)
			continue;
		put_cache_member(host, member_fd, uuid, names.each[i]);
		close(member_fd);
	}
	host_names_free(&names);
}

int host_read_bcache(struct host *host)
{
	struct host_names names;

	(void)host_list(host->sys_fd, "fs/bcache", &names); /* none is no error */
	for (uint32_t i = 0; i < names.count; i++) {
		char path[NAME_LEN + 16];
		snprintf(path, sizeof(path), "fs/bcache/%s", names.each[i]);
		int dir_fd = strchr(names.each[i], '-') ? host_open_dir(host->sys_fd, path) : -ENOENT; /* a UUID */
		if (dir_fd < 0)
			continue;
		put_cache_set(host, dir_fd, names.each[i]);
		close(dir_fd);
	}
	host_names_free(&names);
	return 0;
}

/* --- nvme, tapestats ---------------------------------------------------------------------------------------------------- */

int host_read_nvme(struct host *host)
{
	static const char *const files[] = { "firmware_rev", "model", "serial", "state" };
	struct host_names names;
	int error = host_list(host->sys_fd, "class/nvme", &names);

	for (uint32_t i = 0; i < names.count; i++) {
		char path[NAME_LEN + 16], texts[HOST_COUNT(files)][NAME_LEN];
		snprintf(path, sizeof(path), "class/nvme/%s", names.each[i]);
		int dir_fd = host_open_dir(host->sys_fd, path);
		if (dir_fd < 0)
			continue;
		for (size_t f = 0; f < HOST_COUNT(files); f++)
			(void)host_text(dir_fd, files[f], texts[f], sizeof(texts[f]));
		host_put(host, "node_nvme_info", SERIES_GAUGE, 1, HOST_LABELS({ "device", names.each[i] }, { "firmware_revision", texts[0] },
			{ "model", texts[1] }, { "serial", texts[2] }, { "state", texts[3] }));
		close(dir_fd);
	}
	host_names_free(&names);
	return error;
}

int host_read_tapestats(struct host *host)
{
	static const struct host_file files[] = {
		{ "in_flight", "node_tape_io_now", SERIES_GAUGE, 0 },
		{ "io_ns", "node_tape_io_time_seconds_total", SERIES_COUNTER, 1e-9 },
		{ "other_cnt", "node_tape_io_others_total", SERIES_COUNTER, 0 },
		{ "read_byte_cnt", "node_tape_read_bytes_total", SERIES_COUNTER, 0 },
		{ "read_cnt", "node_tape_reads_completed_total", SERIES_COUNTER, 0 },
		{ "read_ns", "node_tape_read_time_seconds_total", SERIES_COUNTER, 1e-9 },
		{ "resid_cnt", "node_tape_residual_total", SERIES_COUNTER, 0 },
		{ "write_byte_cnt", "node_tape_written_bytes_total", SERIES_COUNTER, 0 },
		{ "write_cnt", "node_tape_writes_completed_total", SERIES_COUNTER, 0 },
		{ "write_ns", "node_tape_write_time_seconds_total", SERIES_COUNTER, 1e-9 },
	};
	struct host_names names;
	int error = host_list(host->sys_fd, "class/scsi_tape", &names);

	for (uint32_t i = 0; i < names.count; i++) {
		char path[NAME_LEN + 32];
		const char *name = names.each[i];
		if (strncmp(name, "st", 2) != 0 || !name[2] || name[2 + strspn(name + 2, "0123456789")])
			continue; /* st0a, nst0, …: the same drive in other modes */
		snprintf(path, sizeof(path), "class/scsi_tape/%s/stats", name);
		int dir_fd = host_open_dir(host->sys_fd, path);
		if (dir_fd < 0)
			continue;
		host_put_files(host, dir_fd, files, HOST_COUNT(files), HOST_LABELS({ "device", name }));
		close(dir_fd);
	}
	host_names_free(&names);
	return error;
}
