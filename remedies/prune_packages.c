/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deletes packages that a package manager has downloaded and keeps: they are installed, or can be had again. Under its own lock, and never
 * while it is at work.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remedies/act.h"
#include "remedies/registry.h"
#include "remedies/stale_files.h"

enum { MAX_LOCKS = 4, PID_TEXT_LEN = 32 };

/* How each says that it is at work. A path without a slash lies in the cache itself. */
struct manager_locks {
	const char *taken;               /* held by us meanwhile, by fcntl, as the manager takes it; NULL: it has none for its cache */
	const char *asked[MAX_LOCKS];    /* fcntl: somebody may hold it, then nothing is done */
	const char *pids[MAX_LOCKS];     /* a number in it of a process that lives: likewise */
};

#define RPM "/var/lib/rpm/.rpm.lock", "/usr/lib/sysimage/rpm/.rpm.lock"

static const struct stale_place places[] = {
	{ .path = "/var/cache/apt/archives", .licence = { .own = "/var/cache/apt/archives" }, .match = { "*.deb" }, .max_depth = 1 }, /* partial/, where it downloads to, lies below */
	{ .path = "/var/cache/libdnf5", .licence = { .own = "/var/cache/libdnf5" }, .match = { "*.rpm" }, .max_depth = 4 },
	{ .path = "/var/cache/dnf", .licence = { .own = "/var/cache/dnf" }, .match = { "*.rpm" }, .max_depth = 4 },
	{ .path = "/var/cache/yum", .licence = { .own = "/var/cache/yum" }, .match = { "*.rpm" }, .max_depth = 6 },
};
enum { PLACES = sizeof(places) / sizeof(places[0]) };

/* apt: GetLock() in fileutl.cc. dnf: dnf/lock.py. yum: yum/__init__.py:doLock(). libdnf5 takes no lock but rpm's. */
static const struct manager_locks locks[PLACES] = {
	{ .taken = "lock", .asked = { "/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock" } },
	{ .asked = { RPM } },
	{ .asked = { RPM }, .pids = { "download_lock.pid", "metadata_lock.pid", "/var/lib/dnf/rpmdb_lock.pid" } },
	{ .asked = { RPM }, .pids = { "/run/yum.pid" } },
};

/* --- locks ---------------------------------------------------------------------------------------------------------------------- */

static int open_lock(int cache_fd, const char *path, int flags)
{
	int fd = openat(cache_fd, path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0640);
	return fd < 0 ? -errno : fd;
}

/* 0: free, or not there. Else who holds it; -errno: cannot be told. */
static int holder_of(int cache_fd, const char *path)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open_lock(cache_fd, path, O_RDWR);
	if (fd < 0)
		return fd == -ENOENT || fd == -ENOTDIR ? 0 : fd;
	int error = fcntl(fd, F_GETLK, &lock) < 0 ? -errno : 0;
	close(fd);
	if (error < 0)
		return error;
	return lock.l_type == F_UNLCK ? 0 : lock.l_pid > 0 ? lock.l_pid : 1;
}

static int pid_in(int cache_fd, const char *path)
{
	char text[PID_TEXT_LEN];
	struct stat found;
	int fd = open_lock(cache_fd, path, O_RDONLY);
	if (fd < 0)
		return fd == -ENOENT || fd == -ENOTDIR ? 0 : fd;
	ssize_t got = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[got < 0 ? 0 : got] = '\0';
	long pid = strtol(text, NULL, 10);
	snprintf(text, sizeof(text), "/proc/%ld", pid);
	return pid > 0 && stat(text, &found) == 0 ? (int)pid : 0;
}

/* 0: nobody is at work. Else refused. */
static int refuse_where_at_work(const struct manager_locks *its, int cache_fd, struct remedy_result *result)
{
	for (size_t i = 0; i < MAX_LOCKS * 2; i++) {
		bool is_pid = i >= MAX_LOCKS;
		const char *path = is_pid ? its->pids[i - MAX_LOCKS] : its->asked[i];
		int holder = !path ? 0 : is_pid ? pid_in(cache_fd, path) : holder_of(cache_fd, path);
		if (holder > 0)
			act_refuse(result, "package-manager", "the package manager is at work: process %d holds %s", holder, path);
		else if (holder < 0)
			act_refuse(result, "package-manager", "whether the package manager is at work cannot be told: %s: %s", path, strerror(-holder));
		if (holder)
			return -EBUSY;
	}
	return 0;
}

/* In a directory of others nothing of the name of a lock is opened or made. */
static bool is_roots_alone(int fd)
{
	struct stat found;
	return fstat(fd, &found) == 0 && found.st_uid == 0 && !(found.st_mode & (S_IWGRP | S_IWOTH));
}

/* A descriptor, closing which gives the lock back; -1: there is none to take, or it is only asked for; -EBUSY: refused. */
static int take_lock(const struct manager_locks *its, int cache_fd, const struct remedy_request *request, struct remedy_result *result)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	if (!its->taken)
		return -1;
	if (request->verb == REMEDY_VERB_PLAN) {
		int holder = holder_of(cache_fd, its->taken);
		if (holder)
			act_refuse(result, "package-manager", "the package manager is at work: process %d holds the lock of its cache", holder);
		return holder ? -EBUSY : -1;
	}
	struct action_step *step = result_step(result, "lock");
	int fd = open_lock(cache_fd, its->taken, O_RDWR | O_CREAT);
	int error = fd < 0 ? fd : fcntl(fd, F_SETLK, &lock) < 0 ? -errno : 0;
	step_end(step, error == 0, "the lock of the package manager's cache%s%s", error ? ": " : "", error ? strerror(-error) : "");
	if (error == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	act_refuse(result, "package-manager", "the lock of the package manager's cache cannot be had: %s", strerror(-error));
	return -EBUSY;
}

/* --- the remedy ----------------------------------------------------------------------------------------------------------------- */

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	const struct stale_files_args *args = &request->args.prune_packages;
	const struct stale_place *place = stale_place(places, PLACES, args, &request->target);
	const char *root = args->root[0] || !place ? args->root : place->path;
	int cache_fd = place ? tree_open_path(root) : -ENOENT, error = 0;
	if (cache_fd >= 0 && !is_roots_alone(cache_fd)) {
		act_refuse(result, "writable-root", "others than root may change the names in it");
		close(cache_fd);
	} else if (cache_fd >= 0) {
		const struct manager_locks *its = &locks[place - places];
		int lock = take_lock(its, cache_fd, request, result);
		if (lock != -EBUSY && refuse_where_at_work(its, cache_fd, result) == 0)
			error = stale_files_run(places, PLACES, args, request, result);
		if (lock >= 0)
			close(lock);
		close(cache_fd);
	} else {
		act_refuse(result, "no-such-root", "%s: %s", place ? root : "no cache of a package manager lies on the filesystem", strerror(-cache_fd));
	}
	return error;
}

/* --- arguments ------------------------------------------------------------------------------------------------------------------ */

#define ARGUMENT(member_) MEMBER(union remedy_args, prune_packages.member_)

static const struct setting settings[] = {
	{ .name = "root", .type = VALUE_PATH, ARGUMENT(root),
	  .help = "the cache; without it that of apt, dnf or yum, whichever lies on the filesystem" },
	{ .name = "min_age", .type = VALUE_DURATION, ARGUMENT(min_age_ns), .max = 3650 * 24 * 3600.0 * NSEC_PER_SEC, .initial = "1h",
	  .help = "packages younger than this stay: somebody may be about to install them" },
	{ .name = "keep", .type = VALUE_BYTES, ARGUMENT(keep_bytes), .initial = "0", .help = "of all together, so much stays" },
	{ .name = "max_bytes", .type = VALUE_BYTES, ARGUMENT(max_bytes), .min = 1, .initial = "16GiB", .help = "no more than this in one act" },
	{ .name = "max_files", .type = VALUE_COUNT, ARGUMENT(max_files), .min = 1, .max = 1000000, .initial = "10000", .help = "likewise" },
};
static const struct section arguments = SECTION("prune-packages", "Deletes downloaded packages, oldest first.", settings);

static void vet(const union remedy_args *all, uint64_t given, argument_fault *fault, void *context)
{
	(void)given;
	stale_root_vet(places, PLACES, all->prune_packages.root, fault, context);
}

static const char *problem_of(const union remedy_args *all)
{
	return stale_files_problem(&all->prune_packages);
}

const struct remedy prune_packages = {
	.name = "prune-packages",
	.id = REMEDY_PRUNE_PACKAGES,
	.lane = LANE_SLOW,
	.help = "Deletes packages that apt, dnf or yum has downloaded, under its own lock and never while it is at work.",
	.undo = "none is needed: what is installed stays, and what was deleted can be downloaded again",
	.destructive = true,
	.aim = AIM_FOUND,
	.applies_to = APPLIES_TO_PATH,
	.target_argument = "root",
	.effects = EFFECT_FREED | EFFECT_FILES | EFFECT_WITHIN,
	.expect_example = "{freed: 200MiB, within: 10s}",
	.arguments = &arguments,
	.vet = vet,
	.problem = problem_of,
	.check = cleaning_check,
	.plan = run,
	.apply = run,
};
