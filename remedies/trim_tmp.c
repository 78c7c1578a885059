/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has systemd-tmpfiles clean, now, what its rules say has been lying about for too long: its own rules and its own care for what is in use, below
 * those prefixes that lie on the filesystem which fills.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "config.h"
#include "core/value.h"
#include "remedies/act.h"
#include "remedies/command.h"
#include "remedies/freed.h"
#include "remedies/registry.h"

enum { RULES_LEN = 128 * 1024, COMPLAINT_LEN = 512, SHOWN_LEN = 96, FIELD_COUNT = 6, FIELD_AGE = 5, OPTION_LEN = PATH_LEN + 16 };
static const char tmpfiles_path[] = "/usr/bin/systemd-tmpfiles";
static const char *const usual[] = { "/tmp", "/var/tmp" };
enum { USUAL = sizeof(usual) / sizeof(usual[0]) };

struct trim {
	const struct remedy_request *request;
	const struct trim_tmp_args *args;
	struct remedy_result *result;
	uint32_t count;
	const char *prefixes[MAX_TRIM_PREFIXES];   /* those on the filesystem */
	int fd;                                    /* of the first; -1: none */
	uint32_t rules;
	char root[OPTION_LEN], options[MAX_TRIM_PREFIXES][OPTION_LEN];
	char text[RULES_LEN];
};

/* --- where ---------------------------------------------------------------------------------------------------------------------- */

static bool is_on_target(const struct trim *trim, const struct stat *found)
{
	const struct target *target = &trim->request->target;
	return target->type != TARGET_FILESYSTEM || !target->dev || target->dev == (uint32_t)(major(found->st_dev) << 20 | minor(found->st_dev));
}

static void add_prefix(struct trim *trim, const char *prefix)
{
	char path[PATH_LEN * 2];
	struct stat found;
	snprintf(path, sizeof(path), "%s%s", trim->args->root, prefix);
	int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	if (fstat(fd, &found) < 0 || !is_on_target(trim, &found)) {
		close(fd);
		return;
	}
	if (trim->fd < 0)
		trim->fd = fd;
	else
		close(fd);
	snprintf(trim->options[trim->count], sizeof(trim->options[0]), "--prefix=%s", prefix);
	trim->prefixes[trim->count++] = prefix;
}

static void find_prefixes(struct trim *trim)
{
	trim->fd = -1;
	if (trim->args->root[0])
		snprintf(trim->root, sizeof(trim->root), "--root=%s", trim->args->root);
	for (uint32_t i = 0; i < trim->args->prefix_count; i++)
		add_prefix(trim, trim->args->prefixes[i]);
	for (uint32_t i = 0; i < USUAL && !trim->args->prefix_count; i++)
		add_prefix(trim, usual[i]);
}

/* --- which rules ------------------------------------------------------------------------------------------------------------------ */

/* systemd-tmpfiles with `verb`, and the prefixes where `limited`. */
static int run_tmpfiles(struct trim *trim, const char *verb, bool limited, char *output, size_t size, char *complaint, struct command_end *end)
{
	const char *argv[MAX_TRIM_PREFIXES + 4] = { "systemd-tmpfiles", verb };
	size_t count = 2;
	if (trim->root[0])
		argv[count++] = trim->root;
	for (uint32_t i = 0; limited && i < trim->count; i++)
		argv[count++] = trim->options[i];
	complaint[0] = '\0';
	const struct command command = { .path = tmpfiles_path, .argv = argv, .output = output, .output_size = size, .complaint = complaint,
					 .complaint_size = COMPLAINT_LEN, .deadline_boot_ns = trim->request->deadline_boot_ns };
	int error = command_run(&command, end);
	complaint[strcspn(complaint, "\n")] = '\0';
	return error;
}

static bool is_below(const struct trim *trim, const char *path)
{
	for (uint32_t i = 0; i < trim->count; i++) {
		size_t length = strlen(trim->prefixes[i]);
		if (strncmp(path, trim->prefixes[i], length) == 0 && (!path[length] || path[length] == '/'))
			return true;
	}
	return false;
}

/* tmpfiles.d(5): type, path, mode, user, group, age; a rule without an age makes and never cleans. */
static void read_rule(struct trim *trim, char *line)
{
	char *fields[FIELD_COUNT], *rest = NULL, shown[SHOWN_LEN], copy[SHOWN_LEN];
	snprintf(copy, sizeof(copy), "%s", line);
	size_t count = 0;
	for (char *field = strtok_r(line, " \t", &rest); field && count < FIELD_COUNT; field = strtok_r(NULL, " \t", &rest))
		fields[count++] = field;
	if (count <= FIELD_AGE || fields[0][0] == '#' || strcmp(fields[FIELD_AGE], "-") == 0 || !is_below(trim, fields[1]))
		return;
	trim->rules++;
	result_plan(trim->result, "by the rule: %s", act_shown(shown, sizeof(shown), copy));
}

/* 0; -ECANCELED: refused, or told. */
static int look(struct trim *trim)
{
	char complaint[COMPLAINT_LEN], shown[EVIDENCE_LEN], *rest = NULL;
	struct command_end end = { .exit_code = -1 };
	if (!trim->count) {
		act_refuse(trim->result, "no-prefix", "none of the prefixes is there, or none lies on the filesystem that this is about");
		return -ECANCELED;
	}
	struct action_step *step = result_step(trim->result, "rules");
	int error = run_tmpfiles(trim, "--cat-config", false, trim->text, sizeof(trim->text), complaint, &end);
	if (error < 0 || end.exit_code != 0) {
		step_end(step, false, "%.60s, exit code %d: %.100s", error < 0 ? strerror(-error) : "it ran", end.exit_code, act_shown(shown, sizeof(shown), complaint));
		act_fail(trim->result, "systemd-tmpfiles cannot say its rules");
		return -ECANCELED;
	}
	for (char *line = strtok_r(trim->text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		read_rule(trim, line);
	step_end(step, trim->rules > 0, "%" PRIu32 " rules with an age below the prefixes%s", trim->rules, end.dropped_bytes ? ", of those that were read" : "");
	if (trim->rules)
		return 0;
	act_refuse(trim->result, "no-rule", "no rule of tmpfiles.d cleans there: they make directories and set no age");
	return -ECANCELED;
}

/* --- cleaning ------------------------------------------------------------------------------------------------------------------- */

static void clean(struct trim *trim)
{
	char complaint[COMPLAINT_LEN], shown[EVIDENCE_LEN];
	struct command_end end = { .exit_code = -1 };
	struct freed freed;
	struct remedy_result *result = trim->result;
	const char *halted = act_halted(trim->request);
	if (halted) {
		act_refuse(result, halted, "stopped by the %s", halted);
		return;
	}
	freed_begin(&freed, trim->fd, trim->request);
	freed.bytes = UNKNOWN;
	struct action_step *step = result_step(result, "clean");
	int error = run_tmpfiles(trim, "--clean", true, NULL, 0, complaint, &end);
	act_shown(shown, sizeof(shown), complaint);
	step_end(step, error == 0 && end.exit_code == 0, "%.40s, exit code %d%s%.100s", error < 0 ? strerror(-error) : end.timed_out ? "not in time" : "it ran",
		 end.exit_code, shown[0] ? ": " : "", shown);
	result->observed.freed_bytes = freed_tell(&freed, result);
	if (error < 0)
		act_fail(result, "systemd-tmpfiles could not be run: %s", strerror(-error));
	else
		result->outcome = freed_outcome(trim->request, result);
	if (result->outcome == OUTCOME_NO_EFFECT || result->outcome == OUTCOME_IMPROVED)
		snprintf(result->why, sizeof(result->why), "%s", result->outcome == OUTCOME_IMPROVED ? "less came back than was promised" : "nothing there is old enough, or in nobody's use");
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	struct trim *trim = calloc(1, sizeof(*trim));
	if (!trim)
		return -ENOMEM;
	trim->request = request;
	trim->args = &request->args.trim_tmp;
	trim->result = result;
	find_prefixes(trim);
	if (look(trim) == 0 && request->verb == REMEDY_VERB_APPLY)
		clean(trim);
	if (trim->fd >= 0)
		close(trim->fd);
	free(trim);
	return 0;
}

static int check(const struct remedy_request *request, struct remedy_result *result)
{
	(void)request;
	result->armed = geteuid() == 0 && access(tmpfiles_path, X_OK) == 0;
	if (!result->armed)
		snprintf(result->why, sizeof(result->why), "%s", geteuid() ? "only root cleans what is others'" : "there is no /usr/bin/systemd-tmpfiles");
	return 0;
}

/* --- arguments ------------------------------------------------------------------------------------------------------------------ */

static const struct setting settings[] = {
	{ .name = "prefixes", .type = VALUE_LIST, .offset = offsetof(union remedy_args, trim_tmp.prefixes), .size = PATH_LEN, .room = MAX_TRIM_PREFIXES,
	  .count_offset = offsetof(union remedy_args, trim_tmp.prefix_count),
	  .help = "directories; only rules at or below them, and only those of them that lie on the filesystem; without it /tmp and /var/tmp" },
	{ .name = "root", .type = VALUE_PATH, MEMBER(union remedy_args, trim_tmp.root),
	  .help = "another system's root, as systemd-tmpfiles --root takes it: its rules and its files" },
};
static const struct section arguments = SECTION("trim-tmp", "Has systemd-tmpfiles clean by its rules.", settings);

static void vet(const union remedy_args *all, uint64_t given, argument_fault *fault, void *context)
{
	(void)given;
	char shown[CONFIG_SHOWN_LEN];
	for (uint32_t i = 0; i < all->trim_tmp.prefix_count; i++) {
		const char *problem = path_problem(all->trim_tmp.prefixes[i]);
		if (problem)
			fault(context, "prefixes", "%s: %s", config_shown(shown, all->trim_tmp.prefixes[i]), problem);
	}
}

static const char *problem_of(const union remedy_args *all)
{
	const struct trim_tmp_args *args = &all->trim_tmp;
	if (args->prefix_count > MAX_TRIM_PREFIXES)
		return "more prefixes than there is room for";
	for (uint32_t i = 0; i < args->prefix_count; i++)
		if (!ENDED(args->prefixes[i]) || !request_path_is_plain(args->prefixes[i]))
			return "a prefix is no plain absolute path";
	return !ENDED(args->root) || (args->root[0] && !request_path_is_plain(args->root)) ? "root is no plain absolute path" : NULL;
}

const struct remedy trim_tmp = {
	.name = "trim-tmp",
	.id = REMEDY_TRIM_TMP,
	.lane = LANE_SLOW,
	.help = "Has systemd-tmpfiles clean, at once, what its own rules say is too old, on the filesystem that fills.",
	.undo = "none: what it deletes, it would have deleted later",
	.destructive = true,
	.aim = AIM_FOUND,
	.applies_to = APPLIES_TO_PATH,
	.target_argument = "prefixes",
	.effects = EFFECT_FREED | EFFECT_WITHIN,
	.expect_example = "{freed: 100MiB, within: 60s}",
	.arguments = &arguments,
	.vet = vet,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
