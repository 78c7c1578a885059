/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See protect.h: the never-list as tables, and the reading of one live process against it. Of a process only stat, cgroup and the
 * identity of its program are read: cmdline, environ, maps and smaps wait for locks that a dying process may hold for seconds.
 */
#include "decide/protect.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	STAT_LEN = 1024,
	CGROUP_FILE_LEN = 8192,
	MAX_ANCESTORS = 64,
	STATIC_POD_DIGITS = 32,
	PF_KTHREAD_FLAG = 0x00200000,
};

struct never {
	const char *glob, *why;
};

static const struct never comms[] = {
	{ "(sd-pam)", "a login session" },
	{ "antrea-*", "the cluster's network" },
	{ "auditd", "the audit trail" },
	{ "calico-*", "the cluster's network" },
	{ "cilium*", "the cluster's network" },
	{ "conmon*", "a container's parent" },
	{ "containerd*", "the container runtime" },
	{ "crio", "the container runtime" },
	{ "crun", "the container runtime" },
	{ "csi-*", "the cluster's storage" },
	{ "dbus-*", "the message bus" },
	{ "dmeventd", "the node's storage" },
	{ "docker-*", "the container runtime" },
	{ "dockerd", "the container runtime" },
	{ "etcd*", "the cluster's state" },
	{ "flanneld", "the cluster's network" },
	{ "init", "the node's init" },
	{ "iscsid", "the node's storage" },
	{ "k0s*", "the cluster's agent" },
	{ "k3s*", "the cluster's agent" },
	{ "kube-*", "the cluster's control" },
	{ "kubelet", "the cluster's agent" },
	{ "lvmpolld", "the node's storage" },
	{ "mdmon", "the node's storage" },
	{ "multipathd", "the node's storage" },
	{ "nm-*", "this agent" },
	{ "nodemend*", "this agent" },
	{ "rke2*", "the cluster's agent" },
	{ "runc*", "the container runtime" },
	{ "sshd*", "the way in" },
	{ "systemd", "the node's init" },
	{ "systemd-*", "systemd" },
	{ "udevd", "the node's devices" },
	{ "watchdog*", "the watchdog: the node reboots without it" },
	{ "weave*", "the cluster's network" },
};

static const struct never units[] = {
	{ "*.slice", "a group of units" },
	{ "NetworkManager.service", "the way in" },
	{ "auditd.service", "the audit trail" },
	{ "containerd.service", "the container runtime" },
	{ "cri-o.service", "the container runtime" },
	{ "crio.service", "the container runtime" },
	{ "dbus*.service", "the message bus" },
	{ "dbus.socket", "the message bus" },
	{ "docker.service", "the container runtime" },
	{ "docker.socket", "the container runtime" },
	{ "etcd*.service", "the cluster's state" },
	{ "init.scope", "the node's init" },
	{ "iscsid.service", "the node's storage" },
	{ "k0s*.service", "the cluster's agent" },
	{ "k3s*.service", "the cluster's agent" },
	{ "kubelet.service", "the cluster's agent" },
	{ "multipathd.service", "the node's storage" },
	{ "networking.service", "the way in" },
	{ "nodemend*.service", "this agent" },
	{ "rke2*.service", "the cluster's agent" },
	{ "ssh*.service", "the way in" },
	{ "ssh*.socket", "the way in" },
	{ "systemd-*", "systemd" },
	{ "user@*.service", "all of a user's sessions" },
};

/* By the names that their own installers give them. */
static const struct never containers[] = {
	{ "etcd*", "the cluster's state" },
	{ "k3d-*", "a node of a cluster" },
	{ "k8s_*", "a pod, whose priority is not known here" },
	{ "kind-*", "a node of a cluster" },
	{ "kube-*", "the cluster's control" },
	{ "kubelet*", "the cluster's agent" },
	{ "minikube*", "a node of a cluster" },
	{ "nodemend*", "this agent" },
	{ "rancher*", "the cluster's control" },
	{ "rke2*", "the cluster's agent" },
};

/* A pod's priority and whether it is a daemon of the cluster are not to be seen from the node: what cannot be told apart is not ended. */
static const struct {
	struct never rule;
	bool group_only; /* not to be ended as a whole; a single process in it is judged by itself */
} cgroups[] = {
	{ { "*/kubepods*", "a pod, whose priority is not known here" }, false },
	{ { "/", "the root of all cgroups" }, true },
	{ { "/init.scope*", "the node's init" }, false },
	{ { "/kubelet*", "the cluster's agent" }, false },
	{ { "/machine.slice", "all machines" }, true },
	{ { "/nodemend*", "this agent" }, false },
	{ { "/system.slice", "all services" }, true },
	{ { "/user.slice", "all sessions" }, true },
	{ { "/user.slice/user-*.slice", "all of a user's sessions" }, true },
};

#define COUNT(table_) (sizeof(table_) / sizeof((table_)[0]))

/* --- tables ------------------------------------------------------------------------------------------------------------- */

static const char *built_in(const struct never *table, size_t count, const char *name, char *buffer, size_t size)
{
	for (size_t i = 0; i < count; i++) {
		if (fnmatch(table[i].glob, name, 0) != 0)
			continue;
		snprintf(buffer, size, "built-in: %s (%s)", table[i].glob, table[i].why);
		return buffer;
	}
	return NULL;
}

static const char *added(const char *patterns, uint32_t count, size_t step, const char *key, const char *name, char *buffer, size_t size)
{
	for (uint32_t i = 0; i < count; i++) {
		const char *pattern = patterns + i * step;
		if (!pattern[0] || fnmatch(pattern, name, 0) != 0)
			continue;
		snprintf(buffer, size, "protect.%s: %s", key, pattern);
		return buffer;
	}
	return NULL;
}

const char *protect_comm(const struct protection *protection, const char *comm, char *buffer, size_t size)
{
	const char *rule = built_in(comms, COUNT(comms), comm, buffer, size);
	if (rule)
		return rule;
	/* The kernel keeps 15 bytes of a name: a longer word of the configuration means what it keeps of it. */
	char cut[COMM_LEN];
	for (uint32_t i = 0; i < protection->comm_count; i++) {
		snprintf(cut, sizeof(cut), "%.15s", protection->comms[i]);
		if (cut[0] && (fnmatch(protection->comms[i], comm, 0) == 0 || strcmp(cut, comm) == 0)) {
			snprintf(buffer, size, "protect.comms: %s", protection->comms[i]);
			return buffer;
		}
	}
	return NULL;
}

const char *protect_unit(const struct protection *protection, const char *unit, char *buffer, size_t size)
{
	const char *rule = built_in(units, COUNT(units), unit, buffer, size);
	return rule ? rule : added(protection->units[0], protection->unit_count, sizeof(protection->units[0]), "units", unit, buffer, size);
}

const char *protect_container(const struct protection *protection, const char *name, const char *image, char *buffer, size_t size)
{
	const char *rule = built_in(containers, COUNT(containers), name, buffer, size);
	const char *const names[] = { name, image };
	for (size_t i = 0; i < COUNT(names) && !rule; i++)
		if (names[i][0])
			rule = added(protection->containers[0], protection->container_count, sizeof(protection->containers[0]), "containers", names[i], buffer, size);
	return rule;
}

/* A cgroup that a pattern names, or one below it. */
static const char *added_cgroup(const struct protection *protection, const char *path, char *buffer, size_t size)
{
	char above[PATH_LEN];
	snprintf(above, sizeof(above), "%s", path);
	for (;;) {
		const char *rule = added(protection->cgroups[0], protection->cgroup_count, sizeof(protection->cgroups[0]), "cgroups", above, buffer, size);
		char *slash = strrchr(above, '/');
		if (rule || !slash || slash == above)
			return rule;
		*slash = '\0';
	}
}

/* "pod" and 32 digits in a row: the uid of a pod that a file on the node defines; those of the API have dashes or underscores. */
static bool is_static_pod(const char *path)
{
	for (const char *at = strstr(path, "pod"); at; at = strstr(at + 1, "pod"))
		if (strspn(at + 3, "0123456789abcdef") >= STATIC_POD_DIGITS)
			return true;
	return false;
}

static const char *cgroup_rule(const struct protection *protection, const char *path, bool whole, char *buffer, size_t size)
{
	for (size_t i = 0; i < COUNT(cgroups); i++) {
		const char *rule = cgroups[i].group_only && !whole ? NULL : built_in(&cgroups[i].rule, 1, path, buffer, size);
		if (rule)
			return rule;
	}
	if (is_static_pod(path))
		return "built-in: a static pod";
	return added_cgroup(protection, path, buffer, size);
}

/* Every part of the path that may be a unit's name, since a protected unit's processes may sit in cgroups of its own making. */
static const char *units_in_path(const struct protection *protection, const char *path, char *buffer, size_t size)
{
	char part[NAME_LEN * 4];
	for (const char *at = path; *at;) {
		at += strspn(at, "/");
		size_t length = strcspn(at, "/");
		if (length >= sizeof(part))
			return "unknown: a part of its cgroup's path is too long";
		memcpy(part, at, length);
		part[length] = '\0';
		at += length;
		const char *dot = strrchr(part, '.');
		if (!dot || strcmp(dot, ".slice") == 0)
			continue;
		/* A user's own processes live below user@.service; the rule on it is for the service, not for all below. */
		if (strncmp(part, "user@", 5) == 0 && *at)
			continue;
		const char *rule = protect_unit(protection, part, buffer, size);
		if (rule)
			return rule;
	}
	return NULL;
}

/* --- reading procfs ------------------------------------------------------------------------------------------------------ */

static int read_small(int dir_fd, const char *path, char *buffer, size_t size)
{
	buffer[0] = '\0';
	int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	size_t used = 0;
	int error = 0;
	while (used < size - 1) {
		ssize_t got = read(fd, buffer + used, size - 1 - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			error = -errno;
		if (got <= 0)
			break;
		used += (size_t)got;
	}
	close(fd);
	buffer[used] = '\0';
	if (error == 0 && used == size - 1)
		return -EFBIG;
	return error ? error : used ? (int)used : -ENODATA;
}

struct seen {
	char comm[COMM_LEN * 4]; /* a worker thread of the kernel may carry more than 15 bytes */
	char state;
	int32_t ppid;
	uint64_t flags;
};

/* "PID (comm) S ppid pgrp session tty tpgid flags …"; the name may hold anything, parentheses too: the last one ends it. */
static int read_stat(int proc_fd, int32_t pid, struct seen *ret)
{
	char path[32], text[STAT_LEN];
	snprintf(path, sizeof(path), "%d/stat", (int)pid);
	int got = read_small(proc_fd, path, text, sizeof(text));
	if (got < 0)
		return got;
	char *open = strchr(text, '('), *close = strrchr(text, ')');
	if (!open || !close || close < open || (size_t)(close - open) > sizeof(ret->comm))
		return -EINVAL;
	long long ppid, flags;
	char state;
	/* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers, and they fit */
	if (sscanf(close + 1, " %c %lld %*d %*d %*d %*d %lld", &state, &ppid, &flags) != 3)
		return -EINVAL;
	*close = '\0';
	snprintf(ret->comm, sizeof(ret->comm), "%s", open + 1);
	ret->state = state;
	ret->ppid = (int32_t)ppid;
	ret->flags = (uint64_t)flags;
	return 0;
}

/* 1: it is us or one above us. 0: it is not. -errno: the chain could not be read to its end. */
static int is_our_ancestor(int proc_fd, int32_t pid)
{
	struct seen seen;
	int32_t at = (int32_t)getpid();
	for (int i = 0; i < MAX_ANCESTORS && at > 0; i++) {
		if (at == pid)
			return 1;
		int error = read_stat(proc_fd, at, &seen);
		if (error < 0)
			return error;
		at = seen.ppid;
	}
	return at > 0 ? -ELOOP : 0;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* 1: runs the same program file as we do, or one of those that we start from beside it. -errno: cannot be told. */
static int is_our_program(int proc_fd, int32_t pid)
{
	static const char *const companions[] = { "/nm-publisher", "/nm-sender" };
	char path[PATH_LEN + 16];
	struct stat ours, theirs;
	if (fstatat(AT_FDCWD, "/proc/self/exe", &ours, 0) < 0)
		return -errno;
	snprintf(path, sizeof(path), "%d/exe", (int)pid);
	if (fstatat(proc_fd, path, &theirs, 0) < 0)
		return -errno;
	if (is_same_file(&ours, &theirs))
		return 1;

	ssize_t length = readlink("/proc/self/exe", path, PATH_LEN);
	path[length < 0 ? 0 : length] = '\0';
	char *slash = strrchr(path, '/');
	for (size_t i = 0; slash && i < COUNT(companions); i++) {
		snprintf(slash, sizeof(path) - (size_t)(slash - path), "%s", companions[i]);
		if (fstatat(AT_FDCWD, path, &ours, 0) == 0 && is_same_file(&ours, &theirs))
			return 1;
	}
	return 0;
}

/* Path of the line that says where a process is as the cgroups of this agent are named: v2's, else systemd's own of v1. */
static const char *primary_path(char *text, char **ret_end)
{
	static const char *const prefixes[] = { "0::", ":name=systemd:" };
	for (size_t i = 0; i < COUNT(prefixes); i++) {
		for (char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
			char *end = line + strcspn(line, "\n"), *at = i == 0 ? line : strchr(line, ':');
			if (!at || at > end || strncmp(at, prefixes[i], strlen(prefixes[i])) != 0)
				continue;
			*ret_end = end;
			return at + strlen(prefixes[i]);
		}
	}
	return NULL;
}

static int own_cgroup(char ret[PATH_LEN])
{
	char text[CGROUP_FILE_LEN], *end;
	int got = read_small(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text));
	if (got < 0)
		return got;
	const char *path = primary_path(text, &end);
	if (!path || end - path >= PATH_LEN)
		return -ENOENT;
	*end = '\0';
	snprintf(ret, PATH_LEN, "%s", path);
	return 0;
}

/* `path` is `above` or lies below it. */
static bool is_at_or_below(const char *path, const char *above)
{
	size_t length = strlen(above);
	if (length == 1)
		return true; /* "/" */
	return strncmp(path, above, length) == 0 && (path[length] == '/' || !path[length]);
}

const char *protect_cgroup(const struct protection *protection, const char *path, char *buffer, size_t size)
{
	char own[PATH_LEN];
	if (path[0] != '/' || strstr(path, "/../") || strlen(path) >= PATH_LEN)
		return "unknown: this is no path below the hierarchy";
	const char *rule = cgroup_rule(protection, path, true, buffer, size);
	if (!rule)
		rule = units_in_path(protection, path, buffer, size);
	if (rule)
		return rule;
	int error = own_cgroup(own);
	if (error < 0)
		return "unknown: the agent cannot tell its own cgroup";
	return is_at_or_below(own, path) ? "built-in: the agent's own cgroup or one above it" : NULL;
}

/* --- one process --------------------------------------------------------------------------------------------------------- */

static const char *cgroups_of_process(const struct protection *protection, int proc_fd, int32_t pid, char *buffer, size_t size)
{
	char path[32], text[CGROUP_FILE_LEN], own[PATH_LEN], *end;
	snprintf(path, sizeof(path), "%d/cgroup", (int)pid);
	int got = read_small(proc_fd, path, text, sizeof(text));
	if (got == -ENODATA)
		return NULL; /* a kernel without cgroups: there is nothing to belong to */
	if (got < 0)
		return "unknown: its cgroup cannot be read";

	/* Where we are in the root, as on a node without a service manager, that says nothing about others there. */
	const char *at = primary_path(text, &end);
	if (at && own_cgroup(own) == 0 && own[1] && end - at < PATH_LEN) {
		char theirs[PATH_LEN];
		snprintf(theirs, sizeof(theirs), "%.*s", (int)(end - at), at);
		if (is_at_or_below(theirs, own))
			return "built-in: in the agent's own cgroup";
	}

	for (char *line = text, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		char *first = strchr(line, ':'), *second = first ? strchr(first + 1, ':') : NULL;
		if (!second || second[1] != '/' || strlen(second + 1) >= PATH_LEN)
			return "unknown: its cgroup makes no sense";
		const char *rule = cgroup_rule(protection, second + 1, false, buffer, size);
		if (!rule)
			rule = units_in_path(protection, second + 1, buffer, size);
		if (rule)
			return rule;
	}
	return NULL;
}

const char *protect_process(const struct protection *protection, int proc_fd, int32_t pid, char *buffer, size_t size)
{
	struct seen seen;
	if (pid <= 1)
		return "built-in: PID 1";
	if (read_stat(proc_fd, pid, &seen) < 0)
		return "unknown: it cannot be read";
	if (seen.flags & PF_KTHREAD_FLAG)
		return "built-in: a kernel thread";
	int ours = is_our_ancestor(proc_fd, pid);
	if (ours)
		return ours < 0 ? "unknown: the agent's own parents cannot be read" : "built-in: the agent or one of its parents";
	ours = is_our_program(proc_fd, pid);
	if (ours)
		return ours < 0 ? "unknown: its program cannot be told" : "built-in: this agent's program";

	const char *rule = protect_comm(protection, seen.comm, buffer, size);
	return rule ? rule : cgroups_of_process(protection, proc_fd, pid, buffer, size);
}
