/* SPDX-License-Identifier: Apache-2.0 */
/* Directories that are never cleaned, whatever a policy says: asked when a policy is loaded, and right before the act. */
#include "remedies/protected_root.h"

#include <string.h>
#include <sys/stat.h>

static const char system_tree[] = "part of the system itself: nothing in it may be cleaned";
static const char kernel_tree[] = "the kernel's own: there are no files to clean";
static const char data_tree[] = "another program's data: only that program may clean it";
static const char too_wide[] = "holds much more than one program's old files: name a directory further down";

static const struct protected_directory {
	const char *path;
	bool below;          /* everything below it, too */
	const char *why;
} directories[] = {
	{ "/", false, too_wide },
	{ "/bin", true, system_tree },
	{ "/boot", true, system_tree },
	{ "/dev", true, kernel_tree },
	{ "/efi", true, system_tree },
	{ "/etc", true, system_tree },
	{ "/home", false, too_wide },
	{ "/lib", true, system_tree },
	{ "/lib32", true, system_tree },
	{ "/lib64", true, system_tree },
	{ "/libx32", true, system_tree },
	{ "/media", false, too_wide },
	{ "/mnt", false, too_wide },
	{ "/opt", false, too_wide },
	{ "/proc", true, kernel_tree },
	{ "/root", false, too_wide },
	{ "/run", true, "runtime state of the whole system: nothing in it may be cleaned" },
	{ "/sbin", true, system_tree },
	{ "/srv", false, too_wide },
	{ "/sys", true, kernel_tree },
	{ "/usr", false, too_wide },
	{ "/usr/bin", true, system_tree },
	{ "/usr/lib", true, system_tree },
	{ "/usr/lib32", true, system_tree },
	{ "/usr/lib64", true, system_tree },
	{ "/usr/libexec", true, system_tree },
	{ "/usr/sbin", true, system_tree },
	{ "/usr/share", true, system_tree },
	{ "/var", false, too_wide },
	{ "/var/lib", false, too_wide },
	{ "/var/lib/apt", true, data_tree },
	{ "/var/lib/cni", true, data_tree },
	{ "/var/lib/containerd", true, data_tree },
	{ "/var/lib/containers", true, data_tree },
	{ "/var/lib/dbus", true, data_tree },
	{ "/var/lib/docker", true, data_tree },
	{ "/var/lib/dpkg", true, data_tree },
	{ "/var/lib/etcd", true, data_tree },
	{ "/var/lib/kubelet", true, data_tree },
	{ "/var/lib/libvirt", true, data_tree },
	{ "/var/lib/lxc", true, data_tree },
	{ "/var/lib/lxd", true, data_tree },
	{ "/var/lib/mongodb", true, data_tree },
	{ "/var/lib/mysql", true, data_tree },
	{ "/var/lib/nodemend", true, "this agent's own state" },
	{ "/var/lib/postgresql", true, data_tree },
	{ "/var/lib/rancher", true, data_tree },
	{ "/var/lib/redis", true, data_tree },
	{ "/var/lib/rpm", true, data_tree },
	{ "/var/lib/systemd", true, data_tree },
	{ "/var/run", true, "runtime state of the whole system: nothing in it may be cleaned" },
};

const char *protected_root(const char *path)
{
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
		const struct protected_directory *directory = &directories[i];
		size_t length = strlen(directory->path);
		if (strncmp(path, directory->path, length) != 0)
			continue;
		if (!path[length] || (directory->below && path[length] == '/'))
			return directory->why;
	}
	return NULL;
}

/* /data/copy may be a bind mount of /etc: the name says nothing, the directory itself does. */
const char *protected_directory(const struct stat *found, bool is_root)
{
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
		const struct protected_directory *directory = &directories[i];
		struct stat its;
		if ((!is_root && !directory->below) || stat(directory->path, &its) < 0)
			continue;
		if (its.st_dev == found->st_dev && its.st_ino == found->st_ino)
			return directory->why;
	}
	return NULL;
}
