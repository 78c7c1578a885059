/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has logrotate rotate, now, what it would rotate later: the stanza of its own configuration that names the file which grows, or else the
 * largest files on the filesystem, with the directives that hold for it and no other stanza.
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/value.h"
#include "remedies/act.h"
#include "remedies/command.h"
#include "remedies/freed.h"
#include "remedies/logrotate_config.h"
#include "remedies/registry.h"

enum { MAX_LOGS = 64, SHOWN_LEN = 96, COMPLAINT_LEN = 512, SECTOR_BYTES = 512 };
static const char logrotate_path[] = "/usr/sbin/logrotate";

struct log_file {
	char path[PATH_LEN];
	dev_t dev;
	ino_t ino;
	uint64_t size, bytes;
};

struct choice {
	char source[PATH_LEN];
	uint32_t line, log_count, logs_cut;
	uint64_t bytes;                       /* of blocks, on the filesystem */
	struct log_file logs[MAX_LOGS];
	size_t length;
	char text[2 * LOGROTATE_TEXT_LEN];    /* the directives before it, and the stanza */
};

struct rotate {
	const struct remedy_request *request;
	const struct rotate_logs_args *args;
	struct remedy_result *result;
	struct choice *best, *now;
};

/* --- which stanza --------------------------------------------------------------------------------------------------------------- */

static bool is_on_target(const struct rotate *rotate, const struct stat *found)
{
	const struct target *target = &rotate->request->target;
	return target->type != TARGET_FILESYSTEM || !target->dev || target->dev == (uint32_t)(major(found->st_dev) << 20 | minor(found->st_dev));
}

static void add_log(const struct rotate *rotate, struct choice *choice, const char *path)
{
	struct stat found;
	if (strlen(path) >= PATH_LEN || lstat(path, &found) < 0 || !S_ISREG(found.st_mode) || !is_on_target(rotate, &found) || !found.st_size)
		return;
	if (choice->log_count == MAX_LOGS) {
		choice->logs_cut++;
		return;
	}
	struct log_file *log = &choice->logs[choice->log_count++];
	*log = (struct log_file){ .dev = found.st_dev, .ino = found.st_ino, .size = (uint64_t)found.st_size, .bytes = (uint64_t)found.st_blocks * SECTOR_BYTES };
	snprintf(log->path, sizeof(log->path), "%s", path);
	choice->bytes += log->bytes;
}

static bool names_file(const struct logrotate_stanza *stanza, const char *file)
{
	for (uint32_t i = 0; i < stanza->pattern_count; i++)
		if (fnmatch(stanza->patterns[i], file, FNM_PATHNAME | FNM_PERIOD) == 0)
			return true;
	return false;
}

/* Of those that name the file, or, where none is given, of all, the one with most on this filesystem. */
static void consider(const struct logrotate_stanza *stanza, void *context)
{
	struct rotate *rotate = context;
	struct choice *now = rotate->now;
	if ((rotate->args->file[0] && !names_file(stanza, rotate->args->file)) || stanza->globals_length + stanza->length + 1 > sizeof(now->text))
		return;
	now->log_count = now->logs_cut = 0;
	now->bytes = 0;
	for (uint32_t i = 0; i < stanza->pattern_count; i++) {
		glob_t found;
		if (glob(stanza->patterns[i], GLOB_NOSORT, NULL, &found) == 0)
			for (size_t k = 0; k < found.gl_pathc; k++)
				add_log(rotate, now, found.gl_pathv[k]);
		globfree(&found);
	}
	if (!now->log_count || now->bytes <= rotate->best->bytes)
		return;
	snprintf(now->source, sizeof(now->source), "%s", stanza->source);
	now->line = stanza->line;
	memcpy(now->text, stanza->globals, stanza->globals_length);
	memcpy(now->text + stanza->globals_length, stanza->text, stanza->length);
	now->length = stanza->globals_length + stanza->length;
	now->text[now->length++] = '\n';
	rotate->now = rotate->best;
	rotate->best = now;
}

/* 0: `best` is the one. -ECANCELED: refused. */
static int choose(struct rotate *rotate)
{
	char shown[SHOWN_LEN];
	struct logrotate_read read;
	const char *config = rotate->args->config;
	struct action_step *step = result_step(rotate->result, "look");
	int error = logrotate_each(config, consider, rotate, &read);
	step_end(step, error == 0, "%" PRIu32 " files of configuration with %" PRIu32 " stanzas%s%.120s", read.files, read.stanzas, read.fault[0] ? "; " : "", read.fault);
	if (error == -EINVAL)
		act_refuse(rotate->result, "configuration", "logrotate's configuration cannot be followed: %.100s", act_shown(shown, sizeof(shown), read.fault));
	else if (error < 0)
		act_refuse(rotate->result, "configuration", "%.100s: %s", config, error == -EPERM || error == -ELOOP ?
			   "others than root may change it, or a link leads there" : strerror(-error));
	else if (!rotate->best->log_count)
		act_refuse(rotate->result, "no-stanza", rotate->args->file[0] ? "no stanza of logrotate's configuration names %.100s, or it is empty" :
			   "no stanza of logrotate's configuration names a file on this filesystem%.0s", rotate->args->file);
	else if (rotate->best->bytes < rotate->args->min_size)
		act_refuse(rotate->result, "too-small", "all that a stanza names there holds less than min_size: %" PRIu64 " bytes", rotate->best->bytes);
	return rotate->result->outcome == OUTCOME_REFUSED ? -ECANCELED : 0;
}

static void say_plan(struct rotate *rotate)
{
	const struct choice *best = rotate->best;
	char shown[SHOWN_LEN];
	result_plan(rotate->result, "run logrotate for the stanza at %s:%" PRIu32, act_shown(shown, sizeof(shown), best->source), best->line);
	for (uint32_t i = 0; i < best->log_count; i++)
		result_plan(rotate->result, "rotate %s (%" PRIu64 " bytes)", act_shown(shown, sizeof(shown), best->logs[i].path), best->logs[i].bytes);
	rotate->result->expected.freed_files = best->log_count; /* how many bytes, logrotate's own directives decide: what goes, what is compressed */
}

/* --- running it ----------------------------------------------------------------------------------------------------------------- */

/* In the run directory, which is root's alone, for as long as it runs. */
static int write_config(const struct rotate *rotate, char path[PATH_LEN + 64])
{
	const char *book = rotate->request->lease_book, *slash = strrchr(book, '/');
	if (!slash)
		return -ENOENT;
	snprintf(path, PATH_LEN + 64, "%.*s/logrotate-%.40s.conf", (int)(slash - book), book, rotate->request->action_id);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	ssize_t put = write(fd, rotate->best->text, rotate->best->length);
	close(fd);
	if (put == (ssize_t)rotate->best->length)
		return 0;
	unlink(path);
	return -EIO;
}

static int run_logrotate(struct rotate *rotate, const char *config, struct command_end *end)
{
	char complaint[COMPLAINT_LEN] = "", shown[EVIDENCE_LEN];
	const char *argv[6] = { "logrotate", "--force" };
	size_t count = 2;
	if (rotate->args->state[0]) {
		argv[count++] = "--state";
		argv[count++] = rotate->args->state;
	}
	argv[count] = config;
	const struct command command = { .path = logrotate_path, .argv = argv, .complaint = complaint, .complaint_size = sizeof(complaint),
					 .deadline_boot_ns = rotate->request->deadline_boot_ns };
	struct action_step *step = result_step(rotate->result, "logrotate");
	int error = command_run(&command, end);
	complaint[strcspn(complaint, "\n")] = '\0';
	act_shown(shown, sizeof(shown), complaint);
	if (error < 0)
		step_end(step, false, "%.100s: %.60s", strerror(-error), shown);
	else
		step_end(step, end->exit_code == 0, "exit code %d%s%s%.100s", end->exit_code, end->timed_out ? ", after its time" : "", shown[0] ? ": " : "", shown);
	return error;
}

/* Another file has the name, or none, or it was shortened where it stands (copytruncate). */
static bool is_rotated(const struct log_file *log)
{
	struct stat now;
	if (lstat(log->path, &now) < 0)
		return errno == ENOENT;
	return now.st_dev != log->dev || now.st_ino != log->ino || (uint64_t)now.st_size < log->size;
}

static void judge(struct rotate *rotate, const struct freed *freed, int error, const struct command_end *end)
{
	struct remedy_result *result = rotate->result;
	const struct effect *expect = &rotate->request->expect;
	uint64_t rotated = 0;
	for (uint32_t i = 0; i < rotate->best->log_count; i++)
		rotated += is_rotated(&rotate->best->logs[i]);
	step_end(result_step(result, "rotated"), rotated > 0, "%" PRIu64 " of %" PRIu32 " files", rotated, rotate->best->log_count);
	result->observed.freed_files = rotated;
	result->observed.freed_bytes = freed_tell(freed, result);
	bool bytes = expect->freed_bytes == UNKNOWN || result->observed.freed_bytes >= expect->freed_bytes;
	bool files = expect->freed_files == UNKNOWN || rotated >= expect->freed_files;
	if (error < 0 || (!rotated && end->exit_code != 0))
		act_fail(result, "logrotate could not do it: %s", error < 0 ? strerror(-error) : end->timed_out ? "not in time" : "it said so, see the steps");
	else if (!rotated)
		result->outcome = OUTCOME_NO_EFFECT;
	else
		result->outcome = bytes && files ? OUTCOME_FIXED : OUTCOME_IMPROVED;
	if (result->outcome == OUTCOME_NO_EFFECT || result->outcome == OUTCOME_IMPROVED)
		snprintf(result->why, sizeof(result->why), "%s", rotated ? "rotated, and less came back than was promised" : "logrotate left the files as they were");
}

static int rotate_now(struct rotate *rotate)
{
	char config[PATH_LEN + 64];
	struct command_end end = { .exit_code = -1 };
	struct freed freed;
	const char *halted = act_halted(rotate->request);
	if (halted) {
		act_refuse(rotate->result, halted, "stopped by the %s", halted);
		return 0;
	}
	int error = write_config(rotate, config);
	if (error < 0) {
		act_fail(rotate->result, "the run directory cannot be written to: %s", strerror(-error));
		return 0;
	}
	char directory[PATH_LEN];
	snprintf(directory, sizeof(directory), "%s", rotate->best->logs[0].path);
	*strrchr(directory, '/') = '\0';
	int fd = open(directory[0] ? directory : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	freed_begin(&freed, fd, rotate->request);
	freed.bytes = UNKNOWN;
	error = run_logrotate(rotate, config, &end);
	(void)unlink(config);
	judge(rotate, &freed, error, &end);
	if (fd >= 0)
		close(fd);
	return 0;
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	struct choice *choices = calloc(2, sizeof(*choices));
	struct rotate rotate = { .request = request, .args = &request->args.rotate_logs, .result = result };
	if (!choices)
		return -ENOMEM;
	int error = 0;
	rotate.best = &choices[0];
	rotate.now = &choices[1];
	if (choose(&rotate) == 0) {
		say_plan(&rotate);
		if (request->verb == REMEDY_VERB_APPLY)
			error = rotate_now(&rotate);
	}
	free(choices);
	return error;
}

static int check(const struct remedy_request *request, struct remedy_result *result)
{
	(void)request;
	result->armed = geteuid() == 0 && access(logrotate_path, X_OK) == 0;
	if (!result->armed)
		snprintf(result->why, sizeof(result->why), "%s", geteuid() ? "only root runs logrotate for all" : "there is no /usr/sbin/logrotate");
	return 0;
}

/* --- arguments ------------------------------------------------------------------------------------------------------------------ */

#define ARGUMENT(member_) MEMBER(union remedy_args, rotate_logs.member_)

static const struct setting settings[] = {
	{ .name = "file", .type = VALUE_PATH, ARGUMENT(file), .help = "the log that grows; without it the stanza with most on the filesystem is taken" },
	{ .name = "config", .type = VALUE_PATH, ARGUMENT(config), .initial = "/etc/logrotate.conf", .help = "logrotate's configuration, with what it includes" },
	{ .name = "state", .type = VALUE_PATH, ARGUMENT(state), .help = "logrotate's state file; without it its own default" },
	{ .name = "min_size", .type = VALUE_BYTES, ARGUMENT(min_size), .initial = "64MiB", .help = "of all that the stanza names on the filesystem; less is left alone" },
};
static const struct section arguments = SECTION("rotate-logs", "Has logrotate rotate what grows.", settings);

static const char *problem_of(const union remedy_args *all)
{
	const struct rotate_logs_args *args = &all->rotate_logs;
	if (!ENDED(args->file) || !ENDED(args->config) || !ENDED(args->state) || !request_path_is_plain(args->config))
		return "config is no plain absolute path";
	return (args->file[0] && !request_path_is_plain(args->file)) || (args->state[0] && !request_path_is_plain(args->state)) ?
	       "file or state is no plain absolute path" : NULL;
}

const struct remedy rotate_logs = {
	.name = "rotate-logs",
	.id = REMEDY_ROTATE_LOGS,
	.lane = LANE_SLOW,
	.help = "Has logrotate rotate, at once, the stanza of its configuration that names what grows.",
	.undo = "none: what logrotate does, it would have done later; how much of it stays, its own directives say",
	.destructive = true,
	.aim = AIM_FOUND,
	.applies_to = APPLIES_TO_PATH,
	.target_argument = "file",
	.effects = EFFECT_FREED | EFFECT_FILES | EFFECT_WITHIN,
	.expect_example = "{files: 1, within: 60s}",
	.arguments = &arguments,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
