/* SPDX-License-Identifier: Apache-2.0 */
/* See cleaning.h. docs/safety.md has its rules one by one, each with the test that holds it. */
#include "remedies/cleaning.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "remedies/act.h"
#include "remedies/crowded.h"
#include "remedies/freed.h"
#include "remedies/held_file.h"

enum { MAX_ROUNDS = 256, SAME_ROOT_EVERY = 64, INODES_SHORT_PERCENT = 80, CROWDED_PART = 4, SHOWN_LEN = 128 };
#define CROWDED_NS (3 * NSEC_PER_SEC)

struct clean {
	const struct remedy_request *request;
	const struct cleaning *cleaning;
	struct remedy_result *result;
	struct old_files *old;
	uint64_t most_bytes;         /* that may go: max_bytes, and what is there beyond keep_bytes */
	uint64_t files;              /* unlinked */
	struct freed freed;
	uint64_t errors;
	int last_error;
	const char *stopped;         /* the guard, or why else it ended early */
};

/* --- planning ----------------------------------------------------------------------------------------------------------------- */

static bool is_within(const struct clean *clean, uint64_t files, uint64_t bytes, uint64_t more)
{
	return files < clean->cleaning->args.max_files && more <= clean->most_bytes && bytes <= clean->most_bytes - more;
}

/* Looks at each of the found files as the act would, and puts it down again. */
static void plan_files(struct clean *clean)
{
	struct old_files *old = clean->old;
	struct held_file held;
	char name[PLAN_LINE_LEN / 2];
	uint64_t files = 0, bytes = 0;
	for (uint32_t i = 0; i < old->count && files < clean->cleaning->args.max_files && !act_halted(clean->request); i++) {
		const struct old_file *file = &old->files[old->order[i].slot];
		if (!is_within(clean, files, bytes, file->bytes)) {
			old->stayed[STAY_TOO_LARGE]++;
			continue;
		}
		enum stay stay = held_file_open(&old->tree, file, clean->cleaning, &held);
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

/*
 * Where inodes run short, the plan says first who has them, wherever on the filesystem that is: what the policy may clean need not be it. It may take a part of
 * the time and no more.
 */
static void say_who_has_the_inodes(struct clean *clean)
{
	char shown[SHOWN_LEN], mount[SHOWN_LEN];
	struct crowding crowding;
	const struct target *target = &clean->request->target;
	uint64_t now = clock_boot_ns(), part = clean->request->deadline_boot_ns > now ? (clean->request->deadline_boot_ns - now) / CROWDED_PART : 0;
	int fd = target->type == TARGET_FILESYSTEM && target->name[0] == '/' ? tree_open_path(target->name) : -1;
	uint64_t used = fd < 0 ? UNKNOWN : inodes_used_percent(fd);
	if (used != UNKNOWN && used >= INODES_SHORT_PERCENT) {
		struct action_step *step = result_step(clean->result, "inodes");
		int error = crowded_find(fd, now + (part < CROWDED_NS ? part : CROWDED_NS), &crowding);
		step_end(step, error == 0 && crowding.complete, "%" PRIu64 " %% of the inodes are used; %" PRIu64 " names in %" PRIu64 " directories%s; %" PRIu64 " not looked at", used,
			 crowding.names, crowding.directories, crowding.complete ? "" : ", until its time was over", crowding.left_out);
		for (uint32_t i = 0; i < crowding.count; i++)
			result_plan(clean->result, "most files: %" PRIu64 " in %s/%s", crowding.top[i].files, act_shown(mount, sizeof(mount), target->name),
				    act_shown(shown, sizeof(shown), crowding.top[i].path));
	}
	if (fd >= 0)
		close(fd);
}

static int look(struct clean *clean)
{
	char stayed[EVIDENCE_LEN];
	struct old_files *old = clean->old;
	struct action_step *step = result_step(clean->result, "look");
	int error = old_files_find(old, clean->request, clock_wall_ns());
	uint64_t keep = clean->cleaning->keep_bytes, beyond = old->matching_bytes > keep ? old->matching_bytes - keep : 0;
	clean->most_bytes = clean->cleaning->args.max_bytes;
	if (keep && beyond < clean->most_bytes)
		clean->most_bytes = beyond;
	if (error == 0)
		plan_files(clean);
	bool many = old->more;
	old_files_stayed(old, stayed, sizeof(stayed));
	step_end(step, error == 0, "%" PRIu64 " names in %" PRIu32 " directories; %" PRIu64 " files%s may go; stay: %.96s", old->seen, old->tree.count,
		 error == 0 ? clean->result->expected.freed_files : 0, many ? " or more" : "", stayed[0] ? stayed : "none");
	return error;
}

/* --- deleting ------------------------------------------------------------------------------------------------------------------ */

static void delete_held(struct clean *clean, struct held_file *held, const struct old_file *file)
{
	int error = 0;
	uint64_t bytes = held->bytes;
	freed_before_deed(&clean->freed);
	enum stay stay = held_file_unlink(held, file, &error);
	held_file_close(held);
	if (stay == STAY_COUNT) {
		freed_after_deed(&clean->freed, bytes);
		clean->files++;
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
	for (uint32_t i = 0; i < old->count && !clean->stopped && clean->files < clean->cleaning->args.max_files; i++) {
		const struct old_file *file = &old->files[old->order[i].slot];
		if (!is_within(clean, clean->files, clean->freed.bytes, file->bytes))
			continue;
		if (i % SAME_ROOT_EVERY == 0 && !tree_is_same(&old->tree)) {
			clean->stopped = "another directory has the root's place";
			break;
		}
		enum stay stay = held_file_open(&old->tree, file, clean->cleaning, &held);
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
		if (!more || !went || clean->stopped || clean->files >= clean->cleaning->args.max_files || rounds == MAX_ROUNDS)
			break;
		if (old_files_find(clean->old, clean->request, clock_wall_ns()) < 0) {
			clean->stopped = act_halted(clean->request);
			break;
		}
	}
	step_end(step, !clean->errors && !clean->stopped, "%" PRIu64 " files, %" PRIu64 " bytes, in %" PRIu32 " rounds; %" PRIu64 " errors%s%s%s%s", clean->files,
		 clean->freed.bytes, rounds, clean->errors, clean->errors ? ", the last: " : "", clean->errors ? strerror(-clean->last_error) : "",
		 clean->stopped ? "; stopped: " : "", clean->stopped ? clean->stopped : "");
}

/* --- what it brought ------------------------------------------------------------------------------------------------------------ */

static void judge(struct clean *clean)
{
	struct remedy_result *result = clean->result;
	const char *why = clean->stopped ? clean->stopped : clean->errors ? strerror(-clean->last_error) : "nothing there may go";

	result->outcome = clean->files ? freed_outcome(clean->request, result) : OUTCOME_NO_EFFECT;
	if (clean->stopped && !clean->files)
		act_refuse(result, strcmp(clean->stopped, "kill-switch") == 0 || strcmp(clean->stopped, "deadline") == 0 ? clean->stopped : "root-changed",
			   "stopped before anything was deleted: %s", clean->stopped);
	else if (clean->errors && !clean->files)
		act_fail(result, "%" PRIu64 " files could not be deleted: %s", clean->errors, why);
	if (result->outcome == OUTCOME_NO_EFFECT || result->outcome == OUTCOME_IMPROVED)
		snprintf(result->why, sizeof(result->why), "%s", result->outcome == OUTCOME_IMPROVED && !clean->stopped && !clean->errors ?
			 "less than was promised may go" : why);
}

static void act(struct clean *clean)
{
	freed_begin(&clean->freed, clean->old->tree.root_fd, clean->request);
	delete_all(clean);
	clean->result->observed.freed_bytes = freed_tell(&clean->freed, clean->result);
	clean->result->observed.freed_files = clean->files;
	judge(clean);
}

static int with_tree(struct clean *clean)
{
	enum tree_refusal refusal;
	char why[WHY_LEN];
	struct old_files *old = clean->old;
	if (tree_open(&old->tree, clean->cleaning->args.root, &clean->cleaning->licence, &clean->request->target, &refusal, why, sizeof(why)) < 0) {
		act_refuse(clean->result, tree_refusal_names[refusal], "%s", why);
		return 0;
	}
	say_who_has_the_inodes(clean);
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

int cleaning_run(const struct cleaning *cleaning, const struct remedy_request *request, struct remedy_result *result)
{
	struct clean clean = { .request = request, .cleaning = cleaning, .result = result };
	clean.old = old_files_new(cleaning);
	if (!clean.old)
		return -ENOMEM;
	int error = with_tree(&clean);
	old_files_free(clean.old);
	return error;
}

/* All of it is system calls; only openat2 (5.6) may be missing, or forbidden by a filter. */
int cleaning_check(const struct remedy_request *request, struct remedy_result *result)
{
	(void)request;
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
	return 0;
}
