/* SPDX-License-Identifier: Apache-2.0 */
/* clean-files: what it takes, and what of it would be dangerous although it is well-formed; cleaning.c does the work. */
#include <string.h>

#include "config.h"
#include "core/value.h"
#include "remedies/act.h"
#include "remedies/canary.h"
#include "remedies/cleaning.h"
#include "remedies/registry.h"

#define WIDE_MATCH_AGE_NS (3600 * NSEC_PER_SEC)
#define ARGUMENT(member_) MEMBER(union remedy_args, member_)
enum { MAX_DEPTH = 32, MAX_FILES = 1000000, MAX_KEEP = 100000, MIN_AGE_ARGUMENT = 2 };

static const struct setting clean_files_settings[] = {
	{ .name = "root", .type = VALUE_PATH, .required = true, ARGUMENT(clean_files.root), .min = 1,
	  .help = "the directory; nothing outside it is touched" },
	{ .name = "match", .type = VALUE_LIST, .required = true,
	  .offset = offsetof(union remedy_args, clean_files.match), .size = NAME_LEN, .room = MAX_MATCH,
	  .count_offset = offsetof(union remedy_args, clean_files.match_count), .help = "globs on the file's name" },
	{ .name = "min_age", .type = VALUE_DURATION, ARGUMENT(clean_files.min_age_ns), .max = 3650 * 24 * 3600.0 * NSEC_PER_SEC, .initial = "1h",
	  .help = "younger files stay (by mtime and ctime)" },
	{ .name = "keep_newest", .type = VALUE_COUNT, ARGUMENT(clean_files.keep_newest), .max = 100000, .initial = "1",
	  .help = "the newest matching files of each directory stay" },
	{ .name = "max_bytes", .type = VALUE_BYTES, ARGUMENT(clean_files.max_bytes), .min = 1, .initial = "1GiB",
	  .help = "no more than this in one act" },
	{ .name = "max_files", .type = VALUE_COUNT, ARGUMENT(clean_files.max_files), .min = 1, .max = 1000000, .initial = "10000",
	  .help = "likewise" },
	{ .name = "max_depth", .type = VALUE_COUNT, ARGUMENT(clean_files.max_depth), .min = 1, .max = 32, .initial = "8",
	  .help = "1: the root itself only" },
	{ .name = "empty", .type = VALUE_BOOL, ARGUMENT(clean_files.empty), .initial = "false",
	  .help = "files without blocks go as well: no byte comes back, but an inode each" },
};
static const struct section arguments = SECTION("clean-files", "Deletes old files that match, oldest first.", clean_files_settings);

static const char *root_problem(const char *root)
{
	const char *problem = path_problem(root);
	return problem ? problem : protected_root(root);
}

/* A pattern without a letter of its own matches everything. */
static const char *match_problem(const char *pattern, bool may_be_wide)
{
	if (strchr(pattern, '/'))
		return "a / never matches: patterns are for the file's name; set the directory by root";
	if (pattern[strspn(pattern, "*?")] == 0 && !may_be_wide)
		return "this matches every file; allowed only beside a min_age of 1h or more that is written out";
	return NULL;
}

static void vet(const union remedy_args *all, uint64_t given, argument_fault *fault, void *context)
{
	const struct clean_files_args *args = &all->clean_files;
	char shown[CONFIG_SHOWN_LEN];
	const char *problem = args->root[0] ? root_problem(args->root) : NULL;
	bool may_be_wide = (given >> MIN_AGE_ARGUMENT & 1) && args->min_age_ns >= WIDE_MATCH_AGE_NS;

	if (problem)
		fault(context, "root", "%s: %s", config_shown(shown, args->root), problem);
	if (!args->match_count)
		fault(context, "match", "an empty list matches nothing; name the files that may go");
	for (uint32_t i = 0; i < args->match_count; i++) {
		problem = match_problem(args->match[i], may_be_wide);
		if (problem)
			fault(context, "match", "%s: %s", config_shown(shown, args->match[i]), problem);
	}
}

static const char *problem_of(const union remedy_args *all)
{
	const struct clean_files_args *args = &all->clean_files;
	if (!ENDED(args->root) || !request_path_is_plain(args->root))
		return "root is no plain absolute path";
	if (args->match_count < 1 || args->match_count > MAX_MATCH)
		return "no pattern, or more than there is room for";
	for (uint32_t i = 0; i < args->match_count; i++)
		if (!ENDED(args->match[i]) || !args->match[i][0] || strchr(args->match[i], '/'))
			return "a pattern is empty or crosses directories";
	if (!args->max_bytes || !args->max_files || args->max_files > MAX_FILES || !args->max_depth || args->max_depth > MAX_DEPTH)
		return "no limit on bytes, files or depth, or one out of its range";
	return args->keep_newest > MAX_KEEP ? "keep_newest is out of its range" : NULL;
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	const struct cleaning cleaning = { .args = request->args.clean_files };
	return cleaning_run(&cleaning, request, result);
}

/* What cleaning needs is here; then it is proved on files of our own. */
static int check(const struct remedy_request *request, struct remedy_result *result)
{
	char why[WHY_LEN];
	int error = cleaning_check(request, result);
	if (error == 0 && result->armed)
		canary_judge(canary_files(request, run, why), why, result);
	return error;
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
	.arguments = &arguments,
	.vet = vet,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
