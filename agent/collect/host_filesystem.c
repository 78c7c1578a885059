/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filesystems as node_exporter shows them: every mount that its default filters let through, two places of one filesystem
 * included. The figures are the filesystem collector's, whose workers call statvfs(); what it does not watch is asked here only
 * where that cannot hang, in memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "collect/host.h"
#include "collect/mount.h"

#define KEEP_MOUNTS_NS (5 * NSEC_PER_SEC)

static bool is_hidden_type(const char *type)
{
	static const char *const types[] = {
		"autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "fusectl", "hugetlbfs",
		"iso9660", "mqueue", "nsfs", "overlay", "proc", "procfs", "pstore", "rpc_pipefs", "securityfs", "selinuxfs", "squashfs",
		"sysfs", "tracefs",
	};
	for (size_t i = 0; i < HOST_COUNT(types); i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return false;
}

/* ^/(dev|proc|run|sys|mnt|media|var/lib/docker/.+|var/lib/containers/storage/.+)($|/) */
static bool is_hidden_place(const char *mountpoint)
{
	static const char *const trees[] = { "/dev", "/proc", "/run", "/sys", "/mnt", "/media" };
	static const char *const below[] = { "/var/lib/docker/", "/var/lib/containers/storage/" };

	for (size_t i = 0; i < HOST_COUNT(trees); i++) {
		size_t length = strlen(trees[i]);
		if (strncmp(mountpoint, trees[i], length) == 0 && (mountpoint[length] == '\0' || mountpoint[length] == '/'))
			return true;
	}
	for (size_t i = 0; i < HOST_COUNT(below); i++)
		if (strncmp(mountpoint, below[i], strlen(below[i])) == 0 && mountpoint[strlen(below[i])])
			return true;
	return false;
}

/* They live in this kernel's memory: statvfs() of them cannot wait for a server or a disk. */
static bool is_in_memory(const char *type)
{
	return strcmp(type, "tmpfs") == 0 || strcmp(type, "ramfs") == 0 || strcmp(type, "efivarfs") == 0 || strcmp(type, "erofs") == 0;
}

static const struct filesystem *watched(const struct host *host, uint32_t dev)
{
	const struct filesystem_section *section = host->snap ? &host->snap->filesystems : NULL;
	for (uint32_t i = 0; section && i < section->count; i++)
		if (section->each[i].dev == dev)
			return &section->each[i];
	return NULL;
}

static void put_sizes(struct host *host, const struct filesystem *fs, const struct host_label *labels)
{
	const struct { const char *family; uint64_t value; } figures[] = {
		{ "node_filesystem_avail_bytes", fs->avail }, { "node_filesystem_files", fs->files },
		{ "node_filesystem_files_free", fs->files_free }, { "node_filesystem_free_bytes", fs->free },
		{ "node_filesystem_size_bytes", fs->size },
	};
	for (size_t i = 0; i < HOST_COUNT(figures); i++)
		host_put(host, figures[i].family, SERIES_GAUGE, (double)figures[i].value, labels, 3);
}

static bool ask(struct host *host, const char *mountpoint, struct filesystem *ret)
{
	struct statvfs about;
	int fd = openat(host->root_fd, mountpoint[1] ? mountpoint + 1 : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	int failed = fstatvfs(fd, &about);
	close(fd);
	*ret = (struct filesystem){ .size = about.f_blocks * about.f_frsize, .free = about.f_bfree * about.f_frsize,
				    .avail = about.f_bavail * about.f_frsize, .files = about.f_files, .files_free = about.f_ffree };
	return !failed;
}

static void put_mount(struct host *host, const struct mount *mount)
{
	const struct host_label labels[] = {
		{ "device", mount->device }, { "fstype", mount->type }, { "mountpoint", mount->mountpoint },
	};
	const struct filesystem *fs = watched(host, mount->dev);
	struct filesystem asked;
	bool answered = fs ? fs->measured_ns && !fs->stuck_ns : is_in_memory(mount->type) && ask(host, mount->mountpoint, &asked);

	host_put(host, "node_filesystem_device_error", SERIES_GAUGE, !answered, labels, 3);
	if (!answered)
		return;
	put_sizes(host, fs ? fs : &asked, labels);
	host_put(host, "node_filesystem_readonly", SERIES_GAUGE, mount->read_only, labels, 3);
}

/* Prometheus takes each set of labels once; of two such mounts the later is what the path leads to. */
static bool seen_again(struct span rest, const struct mount *mount)
{
	struct span line;
	struct mount other;

	while (span_line(&rest, &line))
		if (mount_parse(&line, &other) == 0 && strcmp(other.mountpoint, mount->mountpoint) == 0 &&
		    strcmp(other.device, mount->device) == 0 && strcmp(other.type, mount->type) == 0)
			return true;
	return false;
}

/* The kernel takes its mount lock and formats every line for each reading: what is mounted is asked every five seconds. */
static int read_mounts(struct host *host, struct span *ret)
{
	if (!host->mounts_ns || host->now_ns >= host->mounts_ns + KEEP_MOUNTS_NS) {
		ssize_t length = procfs_read_at(host->proc_fd, "1/mountinfo", host->mounts, sizeof(host->mounts));
		if (length < 0)
			length = procfs_read_at(host->proc_fd, "self/mountinfo", host->mounts, sizeof(host->mounts));
		if (length < 0)
			return (int)length;
		host->mounts_length = (size_t)length;
		host->mounts_ns = host->now_ns;
	}
	*ret = (struct span){ host->mounts, host->mounts + host->mounts_length };
	return 0;
}

int host_read_filesystem(struct host *host)
{
	struct span text, line;
	int error = read_mounts(host, &text);
	if (error)
		return error;

	while (span_line(&text, &line)) {
		struct mount mount;
		if (mount_parse(&line, &mount) < 0 || is_hidden_type(mount.type) || is_hidden_place(mount.mountpoint))
			continue;
		if (!seen_again(text, &mount))
			put_mount(host, &mount);
	}
	return 0;
}
