/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that holds space for no purpose but to be given back, in one call, when the filesystem fills; made ahead, and made again when there
 * has been room for a while. Its first block says what it is: nothing else is ever shortened.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/value.h"
#include "remedies/act.h"
#include "remedies/freed.h"
#include "remedies/registry.h"
#include "remedies/root_path.h"

static const char header[] = "nodemend ballast: space that is given back when this filesystem fills. It may be deleted at any time.\n";
enum { HEADER_BYTES = 4096, SECTOR_BYTES = 512, LARGEST_USE = 95 };
#define LEAST_SIZE (1ULL << 20)
#define MOST_SIZE (1ULL << 40)
#define MAX_REMAKE_NS (30 * 24 * 3600ULL * NSEC_PER_SEC)

/*
 * Where blocks that were allocated ahead are held, and come back at once. btrfs, bcachefs and zfs promise room and not blocks (compression, copies,
 * snapshots that keep what is shortened); tmpfs would hold memory.
 */
static const long kinds[] = { EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, F2FS_SUPER_MAGIC };

struct ballast {
	const struct remedy_request *request;
	const struct release_ballast_args *args;
	struct remedy_result *result;
	int fd;
	struct stat found;
};

/* --- the file ------------------------------------------------------------------------------------------------------------------- */

static uint64_t bytes_of(const struct stat *found)
{
	return (uint64_t)found->st_blocks * SECTOR_BYTES;
}

/* What it gives back: all but the block that says what it is. */
static uint64_t spare(const struct stat *found)
{
	return bytes_of(found) > HEADER_BYTES ? bytes_of(found) - HEADER_BYTES : 0;
}

static bool holds_where_it_lies(int fd)
{
	struct statfs kind;
	if (fstatfs(fd, &kind) < 0)
		return false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if ((long)kind.f_type == kinds[i])
			return true;
	return false;
}

static bool is_ballast(const struct ballast *ballast)
{
	char text[sizeof(header)];
	const struct stat *found = &ballast->found;
	return S_ISREG(found->st_mode) && found->st_nlink == 1 && !(found->st_mode & (S_IRWXG | S_IRWXO)) &&
	       pread(ballast->fd, text, sizeof(text), 0) == (ssize_t)sizeof(text) && memcmp(text, header, sizeof(header)) == 0;
}

/* 1: there, and ours. 0: not there. -EPERM: refused. */
static int open_ballast(struct ballast *ballast)
{
	ballast->fd = root_path_open(ballast->args->path, O_RDWR);
	if (ballast->fd == -ENOENT)
		return 0;
	if (ballast->fd < 0) {
		act_refuse(ballast->result, "unsafe-path", "%s: %s", ballast->args->path,
			   ballast->fd == -EPERM ? "others than root may put another file in its place" : strerror(-ballast->fd));
		return -EPERM;
	}
	if (fstat(ballast->fd, &ballast->found) == 0 && is_ballast(ballast))
		return 1;
	act_refuse(ballast->result, "not-ballast", "%s is there, and is no ballast that was made here", ballast->args->path);
	return -EPERM;
}

static bool is_on_target(const struct ballast *ballast)
{
	const struct target *target = &ballast->request->target;
	uint32_t dev = major(ballast->found.st_dev) << 20 | minor(ballast->found.st_dev);
	return target->type != TARGET_FILESYSTEM || !target->dev || target->dev == dev;
}

/* --- giving back ---------------------------------------------------------------------------------------------------------------- */

static int give_back(struct ballast *ballast)
{
	struct remedy_result *result = ballast->result;
	struct freed freed;
	const char *halted = act_halted(ballast->request);
	if (halted) {
		act_refuse(result, halted, "stopped by the %s", halted);
		return 0;
	}
	freed_begin(&freed, ballast->fd, ballast->request);
	struct action_step *step = result_step(result, "shorten");
	freed_before_deed(&freed);
	int error = ftruncate(ballast->fd, HEADER_BYTES) < 0 ? -errno : 0;
	if (error == 0)
		freed_after_deed(&freed, spare(&ballast->found));
	step_end(step, error == 0, "%" PRIu64 " bytes of blocks%s%s", spare(&ballast->found), error ? ": " : "", error ? strerror(-error) : "");
	if (error < 0) {
		act_fail(result, "%s could not be shortened: %s", ballast->args->path, strerror(-error));
		return 0;
	}
	result->observed.freed_bytes = freed_tell(&freed, result);
	result->outcome = freed_outcome(ballast->request, result);
	if (result->outcome != OUTCOME_FIXED)
		snprintf(result->why, sizeof(result->why), "less came back than was promised");
	return 0;
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	struct ballast ballast = { .request = request, .args = &request->args.release_ballast, .result = result };
	int there = open_ballast(&ballast);
	if (there == 0)
		act_refuse(result, "no-ballast", "%s is not there: it is made while a policy in enforce names it and there is room", ballast.args->path);
	else if (there > 0 && !is_on_target(&ballast))
		act_refuse(result, "other-filesystem", "it lies on another filesystem than the one that is filling");
	else if (there > 0 && !spare(&ballast.found))
		act_refuse(result, "no-ballast", "it was given back already, and has not been made again yet");
	int error = 0;
	if (there > 0 && result->outcome != OUTCOME_REFUSED) {
		char shown[PLAN_LINE_LEN / 2];
		result_plan(result, "give back the %" PRIu64 " bytes that %s holds", spare(&ballast.found), act_shown(shown, sizeof(shown), ballast.args->path));
		result->expected.freed_bytes = spare(&ballast.found);
		if (request->verb == REMEDY_VERB_APPLY)
			error = give_back(&ballast);
	}
	if (ballast.fd >= 0)
		close(ballast.fd);
	return error;
}

/* --- making --------------------------------------------------------------------------------------------------------------------- */

/* What would be in use of what is there for all, with `more`. */
static uint64_t use_percent(int fd, uint64_t more)
{
	struct statvfs now;
	if (fstatvfs(fd, &now) < 0)
		return UNKNOWN;
	uint64_t used = (uint64_t)(now.f_blocks - now.f_bfree) * now.f_frsize + more, all = (uint64_t)(now.f_blocks - now.f_bfree + now.f_bavail) * now.f_frsize;
	return all ? (used * 100 + all - 1) / all : UNKNOWN;
}

static int make_file(struct ballast *ballast)
{
	char directory[PATH_LEN];
	snprintf(directory, sizeof(directory), "%s", ballast->args->path);
	char *slash = strrchr(directory, '/');
	*slash = '\0';
	int dir_fd = root_path_open(directory[0] ? directory : "/", O_RDONLY | O_DIRECTORY);
	if (dir_fd < 0)
		return dir_fd;
	ballast->fd = openat(dir_fd, slash + 1, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int error = ballast->fd < 0 ? -errno : 0;
	if (error == 0) {
		char block[HEADER_BYTES] = "";
		memcpy(block, header, sizeof(header));
		if (pwrite(ballast->fd, block, sizeof(block), 0) != (ssize_t)sizeof(block) || fsync(ballast->fd) < 0 || fstat(ballast->fd, &ballast->found) < 0) {
			error = errno ? -errno : -EIO;
			(void)unlinkat(dir_fd, slash + 1, 0);
		}
	}
	close(dir_fd);
	return error;
}

/* Since its last time of change: it is set when it is given back, and at each look at which there is no room for it. */
static bool has_waited(const struct ballast *ballast)
{
	int64_t since = (int64_t)ballast->found.st_mtim.tv_sec * (int64_t)NSEC_PER_SEC + ballast->found.st_mtim.tv_nsec, now = clock_wall_ns();
	return now >= since && (uint64_t)(now - since) >= ballast->args->remake_after_ns;
}

/* All of it or nothing: a part would be taken from others and not be there when it is needed. */
static int allocate(struct ballast *ballast)
{
	struct stat found;
	int error = fallocate(ballast->fd, 0, 0, (off_t)(HEADER_BYTES + ballast->args->size)) < 0 ? -errno : 0;
	if (error == 0 && (fstat(ballast->fd, &found) < 0 || spare(&found) < ballast->args->size))
		error = -ENOTSUP; /* the kernel said yes, and there are no blocks */
	if (error < 0)
		(void)!ftruncate(ballast->fd, HEADER_BYTES);
	return error;
}

static void fill(struct ballast *ballast, bool is_new)
{
	struct remedy_result *result = ballast->result;
	uint64_t missing = ballast->args->size - (spare(&ballast->found) < ballast->args->size ? spare(&ballast->found) : ballast->args->size);
	uint64_t use = use_percent(ballast->fd, missing);
	if (!missing)
		return;
	if (!holds_where_it_lies(ballast->fd)) {
		act_refuse(result, "filesystem-kind", "neither ext4, xfs nor f2fs: elsewhere blocks that are allocated ahead are not surely there, or do not surely come back");
	} else if (use >= ballast->args->remake_below) {
		(void)futimens(ballast->fd, NULL);
		act_refuse(result, "no-room", "with it %" PRIu64 " %% would be in use; it is made below %" PRIu32 " %%", use, ballast->args->remake_below);
	} else if (!is_new && !has_waited(ballast)) {
		act_refuse(result, "waiting", "there has not been room for it for long enough");
	} else {
		struct action_step *step = result_step(result, "allocate");
		int error = allocate(ballast);
		step_end(step, error == 0, "%" PRIu64 " bytes%s%s", missing, error ? ": " : "", error ? strerror(-error) : "");
		if (error < 0)
			act_fail(result, "%s could not be made: %s", ballast->args->path, strerror(-error));
		else
			result->outcome = OUTCOME_FIXED;
	}
}

/* Asked now and then while a policy in enforce has it among its steps. NONE: it is whole. FIXED: it was made. */
static int prepare(const struct remedy_request *request, struct remedy_result *result)
{
	struct ballast ballast = { .request = request, .args = &request->args.release_ballast, .result = result };
	int there = open_ballast(&ballast), error = 0;
	if (there == 0)
		error = make_file(&ballast);
	if (error < 0)
		act_refuse(result, "unsafe-path", "%s cannot be made: %s", ballast.args->path,
			   error == -EPERM ? "others than root may put another file in its place" : strerror(-error));
	else if (there >= 0)
		fill(&ballast, there == 0);
	if (ballast.fd >= 0)
		close(ballast.fd);
	return 0;
}

static int check(const struct remedy_request *request, struct remedy_result *result)
{
	(void)request;
	result->armed = geteuid() == 0;
	if (!result->armed)
		snprintf(result->why, sizeof(result->why), "only root makes a file where nobody else can put another");
	return 0;
}

/* --- arguments ------------------------------------------------------------------------------------------------------------------ */

#define ARGUMENT(member_) MEMBER(union remedy_args, release_ballast.member_)

static const struct setting settings[] = {
	{ .name = "path", .type = VALUE_PATH, .required = true, ARGUMENT(path), .min = 1,
	  .help = "the file; its directory must be root's alone, and lie on the filesystem that it is for" },
	{ .name = "size", .type = VALUE_BYTES, .required = true, ARGUMENT(size), .min = (double)LEAST_SIZE, .max = (double)MOST_SIZE, .help = "what it holds" },
	{ .name = "remake_below", .type = VALUE_COUNT, ARGUMENT(remake_below), .min = 1, .max = LARGEST_USE, .initial = "70",
	  .help = "percent in use: it is made only where, with it, fewer are" },
	{ .name = "remake_after", .type = VALUE_DURATION, ARGUMENT(remake_after_ns), .max = (double)MAX_REMAKE_NS, .initial = "1h",
	  .help = "for so long there must have been room before it is made again" },
};
static const struct section arguments = SECTION("release-ballast", "Gives back a file that was allocated ahead.", settings);

static const char *path_fault(const char *path)
{
	const char *problem = protected_root(path);
	return problem && strncmp(path, "/var/lib/nodemend/", strlen("/var/lib/nodemend/")) != 0 ? problem : NULL;
}

static void vet(const union remedy_args *all, uint64_t given, argument_fault *fault, void *context)
{
	(void)given;
	const char *path = all->release_ballast.path, *problem = path[0] ? path_fault(path) : NULL;
	if (problem)
		fault(context, "path", "%.100s: %s", path, problem);
}

static const char *problem_of(const union remedy_args *all)
{
	const struct release_ballast_args *args = &all->release_ballast;
	if (!ENDED(args->path) || !request_path_is_plain(args->path) || !args->path[1] || path_fault(args->path))
		return "path is no plain absolute path of a file, or of a place that is protected";
	if (args->size < LEAST_SIZE || args->size > MOST_SIZE || args->remake_after_ns > MAX_REMAKE_NS)
		return "size or remake_after is out of its range";
	return args->remake_below < 1 || args->remake_below > LARGEST_USE ? "remake_below is out of its range" : NULL;
}

const struct remedy release_ballast = {
	.name = "release-ballast",
	.id = REMEDY_RELEASE_BALLAST,
	.lane = LANE_SLOW,
	.help = "Gives back, in one call, a file that was allocated ahead; it is made again when there is room.",
	.undo = "by itself: it is made again when the filesystem has had room for it for a time",
	.aim = AIM_FOUND,
	.applies_to = APPLIES_TO_PATH,
	.target_argument = "path",
	.effects = EFFECT_FREED | EFFECT_WITHIN,
	.expect_example = "{freed: 1GiB, within: 2s}",
	.arguments = &arguments,
	.vet = vet,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
	.prepare = prepare,
};
