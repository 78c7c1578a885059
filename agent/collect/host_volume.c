/* SPDX-License-Identifier: Apache-2.0 */
/* Filesystems that keep books of their own: XFS, ZFS, Btrfs. */
#include "collect/host.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "collect/mount.h"

/* --- xfs: lines of a keyword and its numbers ---------------------------------------------------------------------------- */

#define XFS(name) "node_xfs_" name "_total"
static const struct { const char *keyword, *families[8]; } xfs_lines[] = {
	{ "extent_alloc", { XFS("extent_allocation_extents_allocated"), XFS("extent_allocation_blocks_allocated"),
			    XFS("extent_allocation_extents_freed"), XFS("extent_allocation_blocks_freed") } },
	{ "abt", { XFS("allocation_btree_lookups"), XFS("allocation_btree_compares"), XFS("allocation_btree_records_inserted"),
		   XFS("allocation_btree_records_deleted") } },
	{ "blk_map", { XFS("block_mapping_reads"), XFS("block_mapping_writes"), XFS("block_mapping_unmaps"),
		       XFS("block_mapping_extent_list_insertions"), XFS("block_mapping_extent_list_deletions"),
		       XFS("block_mapping_extent_list_lookups"), XFS("block_mapping_extent_list_compares") } },
	{ "bmbt", { XFS("block_map_btree_lookups"), XFS("block_map_btree_compares"), XFS("block_map_btree_records_inserted"),
		    XFS("block_map_btree_records_deleted") } },
	{ "dir", { XFS("directory_operation_lookup"), XFS("directory_operation_create"), XFS("directory_operation_remove"),
		   XFS("directory_operation_getdents") } },
	{ "ig", { XFS("inode_operation_attempts"), XFS("inode_operation_found"), XFS("inode_operation_recycled"),
		  XFS("inode_operation_missed"), XFS("inode_operation_duplicates"), XFS("inode_operation_reclaims"),
		  XFS("inode_operation_attribute_changes") } },
	{ "rw", { XFS("write_calls"), XFS("read_calls") } },
	{ "vnodes", { XFS("vnode_active"), XFS("vnode_allocate"), XFS("vnode_get"), XFS("vnode_hold"), XFS("vnode_release"),
		      XFS("vnode_reclaim"), XFS("vnode_remove") } },
};

static void put_xfs_line(struct host *host, struct span *line, const char *device)
{
	struct span word;
	double value;

	if (!span_word(line, &word))
		return;
	for (size_t i = 0; i < HOST_COUNT(xfs_lines); i++) {
		if (!span_is(&word, xfs_lines[i].keyword))
			continue;
		for (size_t f = 0; f < HOST_COUNT(xfs_lines[i].families) && xfs_lines[i].families[f]; f++)
			if (span_word(line, &word) && span_real(&word, &value))
				host_put(host, xfs_lines[i].families[f], SERIES_COUNTER, value, HOST_LABELS({ "device", device }));
	}
}

int host_read_xfs(struct host *host)
{
	struct host_names names;

	(void)host_list(host->sys_fd, "fs/xfs", &names); /* none is no error */
	for (uint32_t i = 0; i < names.count; i++) {
		char path[NAME_LEN + 24];
		struct span text, line;
		snprintf(path, sizeof(path), "fs/xfs/%s/stats/stats", names.each[i]);
		if (strcmp(names.each[i], "stats") == 0 || host_lines(host, host->sys_fd, path, &text) < 0)
			continue;
		while (span_line(&text, &line))
			put_xfs_line(host, &line, names.each[i]);
	}
	host_names_free(&names);
	return 0;
}

/* --- zfs: kstats -------------------------------------------------------------------------------------------------------- */

static void kstat_name(const char *prefix, const struct span *word, char *ret, size_t size)
{
	char name[96];
	span_copy(word, name, sizeof(name));
	snprintf(ret, size, "%s_%s", prefix, name);
	for (char *at = ret; *at; at++)
		if (!isalnum((unsigned char)*at) && *at != ':')
			*at = '_';
}

/* "name type data" and below it rows of these; type 4 is a number, and so is 3 in most files. */
static int put_kstat(struct host *host, const char *path, const char *prefix, const char *pool)
{
	struct span text, line, name, type, data;
	char family[160], dataset[PATH_LEN] = "";
	bool heading = false;
	uint64_t value;

	int error = host_lines(host, host->proc_fd, path, &text);
	if (error)
		return error;
	while (span_line(&text, &line)) {
		if (!span_word(&line, &name) || !span_word(&line, &type) || !span_word(&line, &data))
			continue;
		if (!heading) {
			heading = span_is(&name, "name") && span_is(&type, "type");
			continue;
		}
		if (pool && span_is(&name, "dataset_name"))
			span_copy(&data, dataset, sizeof(dataset));
		if (!(span_is(&type, "4") || (!pool && span_is(&type, "3"))) || !span_number(&data, &value))
			continue;
		kstat_name(prefix, &name, family, sizeof(family));
		const struct host_label labels[] = { { "dataset", dataset }, { "zpool", pool ? pool : "" } };
		host_put(host, family, SERIES_UNTYPED, (double)value, labels, pool ? 2 : 0);
	}
	return heading ? 0 : -EINVAL;
}

/* A pool's own "io": a line of names over a line of numbers. */
static void put_pool_io(struct host *host, const char *path, const char *pool)
{
	struct span text, line, names = { 0 }, name;
	char family[160];
	uint64_t value;

	if (host_lines(host, host->proc_fd, path, &text) < 0)
		return;
	while (span_line(&text, &line)) {
		struct span rest = line;
		if (!names.at) {
			if (span_word(&rest, &name) && span_is(&name, "nread"))
				names = line;
			continue;
		}
		rest = names;
		while (span_word(&rest, &name) && span_next_number(&line, &value)) {
			kstat_name("node_zfs_zpool", &name, family, sizeof(family));
			host_put(host, family, SERIES_UNTYPED, (double)value, HOST_LABELS({ "zpool", pool }));
		}
	}
}

static void put_pool_state(struct host *host, const char *path, const char *pool)
{
	static const char *const states[] = { "online", "degraded", "faulted", "offline", "removed", "unavail", "suspended" };
	char state[32];

	if (host_text(host->proc_fd, path, state, sizeof(state)) < 0)
		return;
	for (char *at = state; *at; at++)
		*at = (char)tolower((unsigned char)*at);
	for (size_t i = 0; i < HOST_COUNT(states); i++)
		host_put(host, "node_zfs_zpool_state", SERIES_GAUGE, strcmp(state, states[i]) == 0,
			HOST_LABELS({ "state", states[i] }, { "zpool", pool }));
}

static void put_pool(struct host *host, const char *pool)
{
	char path[2 * NAME_LEN + 32];
	struct host_names names;

	snprintf(path, sizeof(path), "spl/kstat/zfs/%s", pool);
	if (host_list(host->proc_fd, path, &names) < 0)
		return; /* a file, not a pool */
	for (uint32_t i = 0; i < names.count; i++) {
		snprintf(path, sizeof(path), "spl/kstat/zfs/%s/%s", pool, names.each[i]);
		if (strcmp(names.each[i], "io") == 0)
			put_pool_io(host, path, pool);
		else if (strcmp(names.each[i], "state") == 0)
			put_pool_state(host, path, pool);
		else if (strncmp(names.each[i], "objset-", 7) == 0)
			(void)put_kstat(host, path, "node_zfs_zpool_dataset", pool);
	}
	host_names_free(&names);
}

int host_read_zfs(struct host *host)
{
	static const struct { const char *file, *prefix; } files[] = {
		{ "abdstats", "node_zfs_abd" }, { "arcstats", "node_zfs_arc" }, { "dbufstats", "node_zfs_dbuf" },
		{ "dmu_tx", "node_zfs_dmu_tx" }, { "dnodestats", "node_zfs_dnode" }, { "fm", "node_zfs_fm" },
		{ "vdev_cache_stats", "node_zfs_vdev_cache" }, { "vdev_mirror_stats", "node_zfs_vdev_mirror" },
		{ "xuio_stats", "node_zfs_xuio" }, { "zfetchstats", "node_zfs_zfetch" }, { "zil", "node_zfs_zil" },
	};
	struct host_names names;
	int error = host_list(host->proc_fd, "spl/kstat/zfs", &names);

	for (size_t i = 0; !error && i < HOST_COUNT(files); i++) {
		char path[64];
		snprintf(path, sizeof(path), "spl/kstat/zfs/%s", files[i].file);
		(void)put_kstat(host, path, files[i].prefix, NULL); /* each came with some version, and some went with one */
	}
	for (uint32_t i = 0; i < names.count; i++)
		put_pool(host, names.each[i]);
	host_names_free(&names);
	return error;
}

/* --- btrfs -------------------------------------------------------------------------------------------------------------- */

/* How many bytes on disk one byte takes. */
static double layout_ratio(const char *layout, uint32_t devices)
{
	static const struct { const char *name; double ratio; } ratios[] = {
		{ "single", 1 }, { "raid0", 1 }, { "dup", 2 }, { "raid1", 2 }, { "raid10", 2 }, { "raid1c3", 3 }, { "raid1c4", 4 },
	};
	uint32_t parity = strcmp(layout, "raid5") == 0 ? 1 : strcmp(layout, "raid6") == 0 ? 2 : 0;

	for (size_t i = 0; i < HOST_COUNT(ratios); i++)
		if (strcmp(layout, ratios[i].name) == 0)
			return ratios[i].ratio;
	return parity && devices > parity ? (double)devices / (devices - parity) : 0;
}

static void put_allocation(struct host *host, int dir_fd, const char *uuid, const char *kind, uint32_t devices)
{
	char path[NAME_LEN + 32];
	struct host_names names;
	double value;

	snprintf(path, sizeof(path), "allocation/%s/bytes_reserved", kind);
	if (host_number(dir_fd, path, &value) == 0)
		host_put(host, "node_btrfs_reserved_bytes", SERIES_GAUGE, value, HOST_LABELS({ "block_group_type", kind }, { "uuid", uuid }));
	snprintf(path, sizeof(path), "allocation/%s", kind);
	(void)host_list(dir_fd, path, &names);
	for (uint32_t i = 0; i < names.count; i++) {
		const struct host_label labels[] = { { "block_group_type", kind }, { "mode", names.each[i] }, { "uuid", uuid } };
		static const struct host_file files[] = {
			{ "used_bytes", "node_btrfs_used_bytes", SERIES_GAUGE, 0 },
			{ "total_bytes", "node_btrfs_size_bytes", SERIES_GAUGE, 0 },
		};
		snprintf(path, sizeof(path), "allocation/%s/%s", kind, names.each[i]);
		int layout_fd = host_open_dir(dir_fd, path);
		if (layout_fd < 0)
			continue;
		if (host_put_files(host, layout_fd, files, HOST_COUNT(files), labels, 3))
			host_put(host, "node_btrfs_allocation_ratio", SERIES_GAUGE, layout_ratio(names.each[i], devices), labels, 3);
		close(layout_fd);
	}
	host_names_free(&names);
}

enum { UUID_LEN = 37 };

static void format_uuid(const uint8_t *bytes, char ret[UUID_LEN])
{
	char *at = ret;
	for (int i = 0; i < 16; i++)
		at += snprintf(at, 4, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", bytes[i]);
}

static void put_btrfs_device(struct host *host, int fd, const char *uuid, const struct btrfs_ioctl_dev_info_args *info)
{
	static const struct { enum btrfs_dev_stat_values index; const char *type; } errors[] = {
		{ BTRFS_DEV_STAT_WRITE_ERRS, "write" }, { BTRFS_DEV_STAT_READ_ERRS, "read" }, { BTRFS_DEV_STAT_FLUSH_ERRS, "flush" },
		{ BTRFS_DEV_STAT_CORRUPTION_ERRS, "corruption" }, { BTRFS_DEV_STAT_GENERATION_ERRS, "generation" },
	};
	struct btrfs_ioctl_get_dev_stats stats = { .devid = info->devid, .nr_items = BTRFS_DEV_STAT_VALUES_MAX };
	char device_uuid[UUID_LEN], path[BTRFS_DEVICE_PATH_NAME_MAX + 1];

	format_uuid(info->uuid, device_uuid);
	snprintf(path, sizeof(path), "%s", (const char *)info->path);
	const char *slash = strrchr(path, '/'), *device = slash ? slash + 1 : path;
	const struct host_label labels[] = { { "btrfs_dev_uuid", device_uuid }, { "device", device }, { "uuid", uuid } };
	host_put(host, "node_btrfs_device_size_bytes", SERIES_GAUGE, (double)info->total_bytes, labels, 3);
	host_put(host, "node_btrfs_device_unused_bytes", SERIES_GAUGE, (double)(info->total_bytes - info->bytes_used), labels, 3);
	if (ioctl(fd, BTRFS_IOC_GET_DEV_STATS, &stats) < 0)
		return;
	for (size_t i = 0; i < HOST_COUNT(errors); i++)
		host_put(host, "node_btrfs_device_errors_total", SERIES_COUNTER, (double)stats.values[errors[i].index],
			HOST_LABELS({ "btrfs_dev_uuid", device_uuid }, { "device", device }, { "type", errors[i].type }, { "uuid", uuid }));
}

/* Where the filesystem is mounted it says more by ioctl than sysfs does. */
static bool put_by_ioctl(struct host *host, const char *uuid)
{
	struct span text, line;
	char found[UUID_LEN];

	if (host_lines(host, host->proc_fd, "1/mountinfo", &text) < 0)
		return false;
	while (span_line(&text, &line)) {
		struct mount mount;
		struct btrfs_ioctl_fs_info_args about = { 0 };
		if (mount_parse(&line, &mount) < 0 || strcmp(mount.type, "btrfs") != 0)
			continue;
		int fd = openat(host->root_fd, mount.mountpoint[1] ? mount.mountpoint + 1 : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		bool ours = fd >= 0 && ioctl(fd, BTRFS_IOC_FS_INFO, &about) == 0;
		format_uuid(about.fsid, found);
		ours = ours && strcmp(found, uuid) == 0;
		for (uint64_t id = 0, seen = 0; ours && id <= about.max_id && id < 4096 && seen < about.num_devices; id++) {
			struct btrfs_ioctl_dev_info_args info = { .devid = id };
			if (ioctl(fd, BTRFS_IOC_DEV_INFO, &info) < 0)
				continue; /* the numbers have gaps */
			put_btrfs_device(host, fd, uuid, &info);
			seen++;
		}
		if (fd >= 0)
			close(fd);
		if (ours)
			return true;
	}
	return false;
}

static void put_btrfs(struct host *host, int dir_fd, const char *name)
{
	static const char *const kinds[] = { "data", "metadata", "system" };
	char label[256], path[NAME_LEN + 24], uuid[NAME_LEN];
	struct host_names devices;
	double value;

	if (host_text(dir_fd, "metadata_uuid", uuid, sizeof(uuid)) < 0 || !uuid[0]) /* since 5.0 */
		snprintf(uuid, sizeof(uuid), "%s", name);
	(void)host_text(dir_fd, "label", label, sizeof(label));
	host_put(host, "node_btrfs_info", SERIES_GAUGE, 1, HOST_LABELS({ "label", label }, { "uuid", uuid }));
	if (host_number(dir_fd, "allocation/global_rsv_size", &value) == 0)
		host_put(host, "node_btrfs_global_rsv_size_bytes", SERIES_GAUGE, value, HOST_LABELS({ "uuid", uuid }));

	(void)host_list(dir_fd, "devices", &devices);
	for (size_t i = 0; i < HOST_COUNT(kinds); i++)
		put_allocation(host, dir_fd, uuid, kinds[i], devices.count);
	bool told = put_by_ioctl(host, uuid);
	for (uint32_t i = 0; !told && i < devices.count; i++) {
		snprintf(path, sizeof(path), "devices/%s/size", devices.each[i]);
		if (host_number(dir_fd, path, &value) == 0)
			host_put(host, "node_btrfs_device_size_bytes", SERIES_GAUGE, value * 512,
				HOST_LABELS({ "device", devices.each[i] }, { "uuid", uuid }));
	}
	host_names_free(&devices);
}

int host_read_btrfs(struct host *host)
{
	struct host_names names;

	(void)host_list(host->sys_fd, "fs/btrfs", &names); /* none is no error */
	for (uint32_t i = 0; i < names.count; i++) {
		char path[NAME_LEN + 16];
		snprintf(path, sizeof(path), "fs/btrfs/%s", names.each[i]);
		int dir_fd = strchr(names.each[i], '-') ? host_open_dir(host->sys_fd, path) : -ENOENT; /* a UUID; "features" is none */
		if (dir_fd < 0)
			continue;
		put_btrfs(host, dir_fd, names.each[i]);
		close(dir_fd);
	}
	host_names_free(&names);
	return 0;
}
