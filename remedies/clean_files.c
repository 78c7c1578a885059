/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deletes old files below one directory, oldest first, and says how many bytes that brought by what the filesystem shows, not by
 * what the files seemed to hold. docs/safety.md has its rules one by one, each with the test that holds it.
 */
#include "remedies/held_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "remedies/act.h"
#include "remedies/canary.h"
#include "remedies/clean_files.h"
#include "remedies/registry.h"

/* ext4 and xfs give blocks back after the unlink has returned, xfs from a worker of its own. */
#define SETTLE_NS (5 * NSEC_PER_SEC)
#define SETTLE_STILL_NS (NSEC_PER_SEC)        /* no more came for so long: no more will */
#define SETTLE_LOOK_NS (20 * NSEC_PER_MSEC)
enum { MAX_ROUNDS = 256, SAME_ROOT_EVERY = 64, AGREE_PERMILLE = 10 };

/* What statvfs shows around each unlink, and between them, where only others are at work. */
struct witness {
	uint64_t inside_bytes, inside_ns;   /* gained right around each unlink, and how long that took */
	uint64_t outside_ns;
	int64_t outside_taken;              /* by others, between two unlinks */
	uint64_t last_free, last_ns;        /* right after the last one */
};

struct clean {
	const struct remedy_request *request;
	const struct clean_files_args *args;
	struct remedy_result *result;
	struct old_files *old;
	uint64_t files, bytes;       /* unlinked, and the blocks of those whose last link that was */
	struct witness witness;
	uint64_t errors;
	int last_error;
	const char *stopped;         /* the guard, or why else it ended early */
};

/* --- planning ----------------------------------------------------------------------------------------------------------------- */

static bool is_within(const struct clean *clean, uint64_t files, uint64_t bytes, uint64_t more)
{
	return files < clean->args->max_files && more <= clean->args->max_bytes && bytes <= clean->args->max_bytes - more;
}

/* Looks at each of the found files as the act would, and puts it down again. */
static void plan_files(struct clean *clean)
{
	struct old_files *old = clean->old;
	struct held_file held;
	char name[PLAN_LINE_LEN / 2];
	uint64_t files = 0, bytes = 0;
	for (uint32_t i = 0; i < old->count && files < clean->args->max_files && !act_halted(clean->request); i++) {
		const struct old_file *file = &old->files[old->order[i].slot];
		if (!is_within(clean, files, bytes, file->bytes)) {
			old->stayed[STAY_TOO_LARGE]++;
			continue;
		}
		enum stay stay = held_file_open(&old->tree, file, &held);
		if (stay != STAY_COUNT) {
			old->stayed[stay]++;
			continue;
		}
		held_file_close(&held);
		files++;
		bytes += file->bytes;
		result_plan(clean->result, "delete %s (%" PRIu64 " bytes, of user %u)", tree_name(&old->tree, file->directory, file->name, name, sizeof(name)),
			    file->bytes, (unsigned)file->uid);
	}
	clean->result->expected.freed_bytes = bytes;
	clean->result->expected.freed_files = files;
}

static int look(struct clean *clean)
{
	char stayed[EVIDENCE_LEN];
	struct old_files *old = clean->old;
	struct action_step *step = result_step(clean->result, "look");
	int error = old_files_find(old, clean->request, clock_wall_ns());
	if (error == 0)
		plan_files(clean);
	bool many = old->more;
	old_files_stayed(old, stayed, sizeof(stayed));
	step_end(step, error == 0, "%" PRIu64 " names in %" PRIu32 " directories; %" PRIu64 " files%s may go; stay: %.96s", old->seen, old->tree.count,
		 error == 0 ? clean->result->expected.freed_files : 0, many ? " or more" : "", stayed[0] ? stayed : "none");
	return error;
}

/* --- deleting ------------------------------------------------------------------------------------------------------------------ */

static uint64_t free_bytes(int fd)
{
	struct statvfs now;
	return fstatvfs(fd, &now) < 0 ? UNKNOWN : (uint64_t)now.f_bfree * now.f_frsize;
}

static void witness_before(struct witness *witness, uint64_t free, uint64_t now)
{
	if (!witness->last_ns || free == UNKNOWN || witness->last_free == UNKNOWN)
		return;
	witness->outside_ns += now - witness->last_ns;
	witness->outside_taken += (int64_t)(witness->last_free - free);
}

static void witness_after(struct witness *witness, uint64_t free_before, uint64_t begun, int root_fd)
{
	uint64_t now_free = free_bytes(root_fd), now = clock_boot_ns();
	witness->last_free = now_free;
	witness->last_ns = now;
	witness->inside_ns += now - begun;
	if (free_before != UNKNOWN && now_free != UNKNOWN && now_free > free_before)
		witness->inside_bytes += now_free - free_before;
}

/* f_bfree: f_bavail stands still while the reserve of root fills up again. */
static void delete_held(struct clean *clean, struct held_file *held, const struct old_file *file)
{
	int error = 0, root_fd = clean->old->tree.root_fd;
	uint64_t bytes = held->bytes, free = free_bytes(root_fd), begun = clock_boot_ns();
	witness_before(&clean->witness, free, begun);
	enum stay stay = held_file_unlink(held, file, &error);
	held_file_close(held);
	if (stay == STAY_COUNT) {
		witness_after(&clean->witness, free, begun, root_fd);
		clean->files++;
		clean->bytes += bytes;
		return;
	}
	clean->old->stayed[stay]++;
	if (error < 0) {
		clean->errors++;
		clean->last_error = error;
	}
	if (error == -EUCLEAN)
		clean->stopped = "names are changed under our hands";
}

/* One pass over what was found. Returns how many went. */
static uint64_t delete_round(struct clean *clean)
{
	struct old_files *old = clean->old;
	struct held_file held;
	uint64_t before = clean->files;
	for (uint32_t i = 0; i < old->count && !clean->stopped && clean->files < clean->args->max_files; i++) {
		const struct old_file *file = &old->files[old->order[i].slot];
		if (!is_within(clean, clean->files, clean->bytes, file->bytes))
			continue;
		if (i % SAME_ROOT_EVERY == 0 && !tree_is_same(&old->tree)) {
			clean->stopped = "another directory has the root's place";
			break;
		}
		enum stay stay = held_file_open(&old->tree, file, &held);
		if (stay != STAY_COUNT) {
			old->stayed[stay]++;
			continue;
		}
		clean->stopped = act_halted(clean->request);
		if (clean->stopped)
			held_file_close(&held);
		else
			delete_held(clean, &held, file);
	}
	return clean->files - before;
}

static void delete_all(struct clean *clean)
{
	struct action_step *step = result_step(clean->result, "unlink");
	uint32_t rounds = 0;
	for (;;) {
		bool more = clean->old->more;
		uint64_t went = delete_round(clean);
		rounds++;
		if (!more || !went || clean->stopped || clean->files >= clean->args->max_files || rounds == MAX_ROUNDS)
			break;
		if (old_files_find(clean->old, clean->request, clock_wall_ns()) < 0) {
			clean->stopped = act_halted(clean->request);
			break;
		}
	}
	step_end(step, !clean->errors && !clean->stopped, "%" PRIu64 " files, %" PRIu64 " bytes, in %" PRIu32 " rounds; %" PRIu64 " errors%s%s%s%s", clean->files,
		 clean->bytes, rounds, clean->errors, clean->errors ? ", the last: " : "", clean->errors ? strerror(-clean->last_error) : "",
		 clean->stopped ? "; stopped: " : "", clean->stopped ? clean->stopped : "");
}

/* --- the truth of the bytes ------------------------------------------------------------------------------------------------------ */

static bool agrees(uint64_t shown, uint64_t expected)
{
	return shown >= expected - expected / 1000 * AGREE_PERMILLE;
}

static uint64_t gained(int fd, uint64_t before)
{
	uint64_t now = free_bytes(fd);
	return now != UNKNOWN && before != UNKNOWN && now > before ? now - before : 0;
}

/* Until statvfs shows as much as was unlinked, or nothing more comes. There is no event to wait for. */
static uint64_t settle(const struct clean *clean, uint64_t before)
{
	int fd = clean->old->tree.root_fd;
	uint64_t begun = clock_boot_ns(), grew = begun, most = gained(fd, before);
	while (!agrees(most, clean->bytes)) {
		uint64_t now = clock_boot_ns();
		if (now - begun >= SETTLE_NS || now - grew >= SETTLE_STILL_NS || now >= clean->request->deadline_boot_ns)
			break;
		nanosleep(&(struct timespec){ .tv_nsec = SETTLE_LOOK_NS }, NULL);
		uint64_t seen = gained(fd, before);
		if (seen > most) {
			most = seen;
			grew = now;
		}
	}
	return most;
}

/*
 * What statvfs showed around the unlinks, and what others took in just that time: at the pace at which they took it between them.
 * That pace is a guess, so it may explain a twentieth and no more.
 */
static uint64_t shown_around(const struct clean *clean)
{
	const struct witness *witness = &clean->witness;
	double taken = witness->outside_ns && witness->outside_taken > 0 ? (double)witness->outside_taken / (double)witness->outside_ns : 0;
	uint64_t guess = (uint64_t)(taken * (double)witness->inside_ns), most = clean->bytes / 20;
	return witness->inside_bytes + (guess < most ? guess : most);
}

/*
 * Two witnesses, since others write and delete meanwhile: statvfs around each single unlink, too short a time for much else to
 * happen, and statvfs over the whole, which also sees what comes back late. The larger one counts, and never more than the blocks
 * of what was unlinked; within 1 % of those, the blocks are the exact number. Shared extents and snapshots show in neither.
 */
static void measure(struct clean *clean, uint64_t before)
{
	struct action_step *step = result_step(clean->result, "statvfs");
	uint64_t begun = clock_boot_ns(), around = shown_around(clean);
	uint64_t whole = agrees(around, clean->bytes) ? gained(clean->old->tree.root_fd, before) : settle(clean, before);
	uint64_t shown = whole > around ? whole : around;
	bool agreed = agrees(shown, clean->bytes);
	uint64_t waited_ms = (clock_boot_ns() - begun) / NSEC_PER_MSEC;
	step_end(step, agreed, "blocks unlinked %" PRIu64 "; shown around each unlink %" PRIu64 ", with what others took meanwhile %" PRIu64 ", over the whole %" PRIu64
		 ", after %" PRIu64 " ms", clean->bytes, clean->witness.inside_bytes, around, whole, waited_ms);
	clean->result->observed.freed_bytes = agreed ? clean->bytes : shown;
	clean->result->observed.freed_files = clean->files;
}

static bool is_kept(uint64_t promised, uint64_t seen)
{
	return promised == UNKNOWN || seen >= promised;
}

static void judge(struct clean *clean)
{
	struct remedy_result *result = clean->result;
	const struct effect *expect = &clean->request->expect, *observed = &result->observed;
	bool promised = expect->freed_bytes != UNKNOWN || expect->freed_files != UNKNOWN;
	const struct effect *measure_by = promised ? expect : &result->expected;
	const char *why = clean->stopped ? clean->stopped : clean->errors ? strerror(-clean->last_error) : "nothing there may go";

	if (clean->files && observed->freed_bytes && is_kept(measure_by->freed_bytes, observed->freed_bytes) &&
	    is_kept(measure_by->freed_files, observed->freed_files))
		result->outcome = OUTCOME_FIXED;
	else if (clean->files && observed->freed_bytes)
		result->outcome = OUTCOME_IMPROVED;
	else if (clean->stopped && !clean->files)
		act_refuse(result, strcmp(clean->stopped, "kill-switch") == 0 || strcmp(clean->stopped, "deadline") == 0 ? clean->stopped : "root-changed",
			   "stopped before anything was deleted: %s", clean->stopped);
	else if (clean->errors && !clean->files)
		act_fail(result, "%" PRIu64 " files could not be deleted: %s", clean->errors, why);
	else
		result->outcome = OUTCOME_NO_EFFECT;
	if (result->outcome == OUTCOME_NO_EFFECT || result->outcome == OUTCOME_IMPROVED)
		snprintf(result->why, sizeof(result->why), "%s", result->outcome == OUTCOME_IMPROVED && !clean->stopped && !clean->errors ?
			 "less than was promised may go" : why);
}

/* --- the remedy ------------------------------------------------------------------------------------------------------------------- */

static void act(struct clean *clean)
{
	uint64_t before = free_bytes(clean->old->tree.root_fd);
	delete_all(clean);
	measure(clean, before);
	judge(clean);
}

static int with_tree(struct clean *clean)
{
	enum tree_refusal refusal;
	char why[WHY_LEN];
	struct old_files *old = clean->old;
	if (tree_open(&old->tree, clean->args->root, &clean->request->target, &refusal, why, sizeof(why)) < 0) {
		act_refuse(clean->result, tree_refusal_names[refusal], "%s", why);
		return 0;
	}
	int error = look(clean);
	const char *halted = act_halted(clean->request);
	if (error < 0 && halted) {
		act_refuse(clean->result, halted, "stopped while looking, before anything was deleted: %s", halted);
		return 0;
	}
	if (error == 0 && clean->request->verb == REMEDY_VERB_APPLY)
		act(clean);
	return error;
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	struct clean clean = { .request = request, .args = &request->args.clean_files, .result = result };
	clean.old = old_files_new(clean.args);
	if (!clean.old)
		return -ENOMEM;
	int error = with_tree(&clean);
	old_files_free(clean.old);
	return error;
}

/* All of it is system calls; only openat2 (5.6) may be missing, or forbidden by a filter. Then it is proved on files of our own. */
static int check(const struct remedy_request *request, struct remedy_result *result)
{
	char why[WHY_LEN];
	int fd = tree_open_below(AT_FDCWD, ".", O_PATH | O_DIRECTORY);
	if (fd < 0)
		snprintf(result->why, sizeof(result->why), "openat2: %s", strerror(-fd));
	else if (geteuid() != 0)
		snprintf(result->why, sizeof(result->why), "only root can delete as each file's owner");
	else if (access("/proc/self/fd", X_OK) < 0)
		snprintf(result->why, sizeof(result->why), "no procfs: %s", strerror(errno));
	else
		result->armed = true;
	if (fd >= 0)
		close(fd);
	if (result->armed)
		canary_judge(canary_files(request, run, why), why, result);
	return 0;
}

const struct remedy clean_files = {
	.name = "clean-files",
	.id = REMEDY_CLEAN_FILES,
	.lane = LANE_SLOW,
	.help = "Deletes old files below one directory that match, oldest first, within limits on bytes and number.",
	.undo = "none: what is deleted is gone; the dry run lists it, and the newest always stay",
	.destructive = true,
	.aim = AIM_FOUND,
	.applies_to = APPLIES_TO_PATH,
	.target_argument = "root",
	.effects = EFFECT_FREED | EFFECT_FILES | EFFECT_WITHIN,
	.expect_example = "{freed: 200MiB, within: 5s}",
	.arguments = &clean_files_arguments,
	.vet = clean_files_vet,
	.problem = clean_files_problem,
	.check = check,
	.plan = run,
	.apply = run,
};
