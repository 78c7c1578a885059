/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives the node a swap file for a time, where the policy names its place and size. It wins time while somebody looks for who needs so much; a node
 * that swaps all day is slow all day, so it is on lease: once its time is over and memory allows, it is read back and deleted.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/value.h"
#include "remedies/act.h"
#include "remedies/figure.h"
#include "remedies/registry.h"
#include "remedies/swap.h"

#define MIB (1024.0 * 1024.0)
#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

/* --- its place ----------------------------------------------------------------------------------------------------------- */

/* The directory of the path, every part of it root's and writable by nobody else, so that nobody can put another in its place. -errno; -EPERM: it is not. */
static int open_safely(const char *path)
{
	char part[PATH_LEN];
	struct stat found;
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (const char *at = path + 1, *slash; fd >= 0 && (slash = strchr(at, '/')); at = slash + 1) {
		snprintf(part, sizeof(part), "%.*s", (int)(slash - at), at);
		int next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), error = errno;
		close(fd);
		fd = next;
		if (fd < 0)
			return -error;
		if (fstat(fd, &found) < 0 || found.st_uid != 0 || (found.st_mode & 022)) {
			close(fd);
			return -EPERM;
		}
	}
	return fd < 0 ? -errno : fd;
}

/* 0; -ECANCELED: refused. */
static int look_at_place(const struct remedy_request *request, int directory, struct remedy_result *result)
{
	const struct add_swapfile_args *args = &request->args.add_swapfile;
	struct statfs kind;
	struct statvfs space;
	uint64_t used;
	if (fstatfs(directory, &kind) < 0 || fstatvfs(directory, &space) < 0) {
		act_refuse(result, "no-such-directory", "%s", strerror(errno));
		return -ECANCELED;
	}
	if (kind.f_type != EXT4_SUPER_MAGIC && kind.f_type != XFS_SUPER_MAGIC) {
		act_refuse(result, "filesystem-kind", "neither ext4 nor xfs: elsewhere a file may have holes or be copied on write, and cannot be swapped to");
		return -ECANCELED;
	}
	uint64_t available = (uint64_t)space.f_bavail * space.f_frsize;
	if (available < args->size_bytes || available - args->size_bytes < args->keep_free_bytes) {
		act_refuse(result, "no-space", "%.1f MiB are available there, and %.1f MiB must stay free beside it", (double)available / MIB,
			   (double)args->keep_free_bytes / MIB);
		return -ECANCELED;
	}
	if (swap_in_use(args->path, &used) != 0) {
		act_refuse(result, "already-there", "the kernel swaps to it already");
		return -ECANCELED;
	}
	return 0;
}

/* --- the act ------------------------------------------------------------------------------------------------------------- */

static uint64_t swap_total(void)
{
	uint64_t bytes = UNKNOWN;
	(void)figure_named(AT_FDCWD, "/proc/meminfo", "SwapTotal", &bytes);
	return bytes;
}

static void judge(const struct remedy_request *request, uint64_t before, struct remedy_result *result)
{
	uint64_t after = swap_total(), promised = request->expect.available_bytes;
	struct action_step *step = result_step(result, "swap");
	if (before == UNKNOWN || after == UNKNOWN) {
		step_end(step, false, "how much swap there is cannot be seen");
		result->outcome = OUTCOME_IMPROVED;
		return;
	}
	uint64_t more = after > before ? after - before : 0;
	bool enough = more && more >= (promised == UNKNOWN ? result->expected.available_bytes : promised);
	result->observed.available_bytes = more;
	step_end(step, enough, "SwapTotal went from %.1f to %.1f MiB", (double)before / MIB, (double)after / MIB);
	result->outcome = enough ? OUTCOME_FIXED : more ? OUTCOME_IMPROVED : OUTCOME_NO_EFFECT;
	if (!enough)
		snprintf(result->why, sizeof(result->why), "%.1f MiB more swap", (double)more / MIB);
}

static void act(const struct remedy_request *request, struct knob *knob, struct remedy_result *result)
{
	char stands[LEASE_TEXT_LEN];
	const char *halted = act_halted(request);
	if (halted) {
		act_refuse(result, halted, "stopped by the %s", halted);
		return;
	}
	/* Ours, and not in use: from before the node was started anew, when its lease went with the book. */
	if (knob_read(knob, stands, sizeof(stands)) == 0 && strcmp(stands, "on") == 0)
		step_end(result_step(result, "left over"), swapfile_write(knob, "off") == 0, "removed one of ours that nobody uses");
	uint64_t before = swap_total();
	int error = lease_take(request, knob, "on", request->args.add_swapfile.for_ns, result);
	if (error == -ENOSPC || error == -EBUSY)
		act_refuse(result, "lease-book", "the book of leases has no place or is held, or the filesystem is full");
	else if (error == -ESTALE)
		act_refuse(result, "target-changed", "another directory has its name now");
	else if (error)
		act_fail(result, "no swap file: %s", strerror(-error));
	else
		judge(request, before, result);
}

static void plan_and_act(const struct remedy_request *request, int directory, struct remedy_result *result)
{
	const struct add_swapfile_args *args = &request->args.add_swapfile;
	struct knob knob = { .kind = KNOB_SWAPFILE };
	char stands[LEASE_TEXT_LEN], shown[128];
	struct stat held;
	if (look_at_place(request, directory, result) < 0)
		return;
	snprintf(knob.file, sizeof(knob.file), "%s", args->path);
	swap_key(knob.key, args->size_bytes, args->priority);
	knob.directory_inode = fstat(directory, &held) == 0 ? held.st_ino : 0;
	int error = knob_read(&knob, stands, sizeof(stands));
	if (error || strcmp(stands, "foreign") == 0) {
		act_refuse(result, "path-taken", "there is something else at that path");
		return;
	}
	result_plan(result, "make %s, %.1f MiB, and swap to it with priority %u, for %llu s", act_shown(shown, sizeof(shown), args->path),
		    (double)args->size_bytes / MIB, args->priority, (unsigned long long)(args->for_ns / NSEC_PER_SEC));
	result->expected.available_bytes = (args->size_bytes & ~((1ULL << 20) - 1)) - (uint64_t)sysconf(_SC_PAGESIZE); /* the header's page */
	if (request->verb == REMEDY_VERB_APPLY)
		act(request, &knob, result);
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	int directory = open_safely(request->args.add_swapfile.path);
	if (directory < 0) {
		act_refuse(result, directory == -EPERM ? "writable-way" : "no-such-directory", "%s",
			   directory == -EPERM ? "a directory of the path is not root's, or others may write to it" : strerror(-directory));
		return 0;
	}
	plan_and_act(request, directory, result);
	close(directory);
	return 0;
}

static int check(const struct remedy_request *request, struct remedy_result *result)
{
	(void)request;
	result->armed = geteuid() == 0 && access("/proc/swaps", R_OK) == 0;
	if (!result->armed)
		snprintf(result->why, sizeof(result->why), "%s", geteuid() == 0 ? "this kernel cannot swap" : "only root may");
	return 0;
}

/* --- arguments ----------------------------------------------------------------------------------------------------------- */

#define ARGUMENT(member_) MEMBER(union remedy_args, member_)

static const struct setting add_swapfile_settings[] = {
	{ .name = "path", .type = VALUE_PATH, .required = true, ARGUMENT(add_swapfile.path), .min = 1,
	  .help = "of the file, which is made and deleted again; on ext4 or xfs, its directories root's own" },
	{ .name = "size", .type = VALUE_BYTES, .required = true, ARGUMENT(add_swapfile.size_bytes), .min = (double)SWAP_LEAST_BYTES, .max = (double)SWAP_MOST_BYTES,
	  .help = "in whole MiB" },
	{ .name = "keep_free", .type = VALUE_BYTES, ARGUMENT(add_swapfile.keep_free_bytes), .initial = "1GiB", .help = "so much stays available on that filesystem" },
	{ .name = "priority", .type = VALUE_COUNT, ARGUMENT(add_swapfile.priority), .max = SWAP_MOST_PRIORITY, .initial = "0",
	  .help = "among all swap: higher is used first" },
	{ .name = "for", .type = VALUE_DURATION, ARGUMENT(add_swapfile.for_ns), .min = 1.0 * NSEC_PER_SEC, .max = LONGEST_WAIT_S * 1e9, .initial = "6h",
	  .help = "after which it is read back and deleted, once memory allows" },
};
static const struct section arguments = SECTION("add-swapfile", "Gives the node a swap file, for a time.", add_swapfile_settings);

/* /proc/swaps writes a blank as \040: a plain name is the same there as here. */
static bool is_simple(const char *path)
{
	return !path[strspn(path, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/")];
}

static void vet(const union remedy_args *args, uint64_t given, argument_fault *fault, void *context)
{
	(void)given;
	if (args->add_swapfile.path[0] && !is_simple(args->add_swapfile.path))
		fault(context, "path", "letters, digits, '.', '_' and '-' only");
}

static const char *problem_of(const union remedy_args *all)
{
	const struct add_swapfile_args *args = &all->add_swapfile;
	if (!ENDED(args->path) || !request_path_is_plain(args->path) || !args->path[1] || !is_simple(args->path))
		return "the path is not a plain one";
	if (args->size_bytes < SWAP_LEAST_BYTES || args->size_bytes > SWAP_MOST_BYTES || args->keep_free_bytes > SWAP_MOST_BYTES * 1024)
		return "size or keep_free is out of its range";
	if (args->priority > SWAP_MOST_PRIORITY)
		return "priority is out of its range";
	return args->for_ns < NSEC_PER_SEC || args->for_ns > LONGEST_WAIT_S * NSEC_PER_SEC ? "for is out of its range" : NULL;
}

const struct remedy add_swapfile = {
	.name = "add-swapfile",
	.id = REMEDY_ADD_SWAPFILE,
	.lane = LANE_SLOW,
	.help = "Gives the node a swap file, for a time.",
	.undo = "a lease: read back and deleted when its time is over and memory allows, by the agent, the next one, or `nodemend undo`",
	.reversible = true,
	.aim = AIM_FOUND,
	.applies_to = APPLIES_TO_NODE,
	.effects = EFFECT_AVAILABLE | EFFECT_WITHIN,
	.expect_example = "{available: 1GiB, within: 30s}",
	.arguments = &arguments,
	.vet = vet,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
