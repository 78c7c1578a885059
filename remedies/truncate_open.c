/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gets back the space of a log that is deleted, or runs away, and is still held open: its holder is asked by a signal to open a new
 * one, or its content is taken away through the holder's own descriptor. What a holder could not do to its own file is not done for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "core/clock.h"
#include "core/value.h"
#include "decide/protect.h"
#include "remedies/act.h"
#include "remedies/freed.h"
#include "remedies/open_files.h"
#include "remedies/registry.h"
#include "remedies/victim.h"

#define RELEASE_LOOK_NS (20 * NSEC_PER_MSEC)
enum { SHOWN_LEN = 96, REASON_LEN = 160, MOST_FILES = MAX_OPEN_FILES, STATUS_LEN = 8192 };

static const int signals[] = { SIGHUP, SIGUSR1, SIGUSR2 };
static const char *const signal_choices[] = { "HUP", "USR1", "USR2" };
static const char *const how_choices[] = { [TRUNCATE_BY_SIGNAL] = "signal", [TRUNCATE_CONTENT] = "truncate" };

struct release {
	const struct remedy_request *request;
	const struct truncate_open_args *args;
	struct remedy_result *result;
	int proc_fd;
	struct open_files *files;
	struct freed freed;
	bool begun;                   /* freed is */
	uint64_t done;                /* files whose space was given up */
	uint64_t passed_over;
	char reason[REASON_LEN];      /* of the last one passed over */
	const char *refused_by;
};

/* --- which ------------------------------------------------------------------------------------------------------------------ */

static bool is_meant(const char *path, void *context)
{
	const struct truncate_open_args *args = context;
	const char *name = strrchr(path, '/') + 1;
	size_t length = strlen(args->below);
	if (length > 1 && (strncmp(path, args->below, length) != 0 || path[length] != '/'))
		return false;
	for (uint32_t i = 0; i < args->match_count; i++)
		if (fnmatch(args->match[i], name, FNM_PERIOD) == 0)
			return true;
	return false;
}

/* The first reason for which it is left alone; NULL: none. */
static const char *against(struct release *release, const struct open_file *file)
{
	const char *why = protected_root(file->path);
	release->refused_by = "protected-root";
	if (why)
		return why;
	release->refused_by = "in-use";
	if (file->mapped)
		return "it is mapped: a database's file may be";
	if (file->locked)
		return "somebody has a lock on it: a database's file would have";
	release->refused_by = "linked";
	if (file->links > 1)
		return "it has other names, under which its content would be missed";
	release->refused_by = "no-holder";
	if (!file->writer_count)
		return "nobody holds it open to write";
	release->refused_by = "unknown-holders";
	if (file->writers_cut || release->files->incomplete)
		return file->writers_cut ? "more hold it than are looked at" : "a process may not be looked at, or there are too many: who else holds it is not known";

	release->refused_by = "never-list";
	for (uint32_t i = 0; i < file->writer_count; i++) {
		const char *rule = protect_process(&release->request->protect, release->proc_fd, file->writers[i].pid, release->reason, sizeof(release->reason));
		if (rule)
			return rule;
	}
	release->refused_by = "no-append";
	for (uint32_t i = 0; release->args->how == TRUNCATE_CONTENT && !release->args->sparse && i < file->writer_count; i++)
		if (!(file->writers[i].flags & O_APPEND))
			return "a writer of it does not append: it would go on at its old place, and leave a hole before it (sparse: true allows that)";
	return NULL;
}

static void say_passed_over(struct release *release, const struct open_file *file, const char *why)
{
	char shown[SHOWN_LEN];
	act_shown(shown, sizeof(shown), file->path);
	if (why != release->reason)
		snprintf(release->reason, sizeof(release->reason), "%s", why);
	release->passed_over++;
	if (release->request->verb == REMEDY_VERB_PLAN)
		result_plan(release->result, "leave %s (%" PRIu64 " bytes): %s", shown, file->bytes, release->reason);
	else
		step_end(result_step(release->result, "leave"), false, "%s: %.120s", shown, release->reason);
}

/* --- by a signal ------------------------------------------------------------------------------------------------------------- */

/* Who of the writers no other writer has started: the master of a server opens the logs, and its children get them from it. */
static bool is_topmost(const struct open_file *file, const struct file_writer *writer)
{
	for (uint32_t i = 0; i < file->writer_count; i++)
		if (file->writers[i].pid == writer->parent || (file->writers[i].pid == writer->pid && &file->writers[i] < writer))
			return false;
	return true;
}

/* A signal without a handler ends a process: SIGHUP's own action is that. */
static bool is_caught(int proc_fd, int32_t pid, int signal)
{
	char path[32], text[STATUS_LEN];
	snprintf(path, sizeof(path), "%d/status", (int)pid);
	int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t got = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[got < 0 ? 0 : got] = '\0';
	const char *caught = strstr(text, "\nSigCgt:");
	return caught && (strtoull(caught + strlen("\nSigCgt:"), NULL, 16) >> (signal - 1) & 1);
}

static const char *cannot_signal(const struct release *release, const struct open_file *file)
{
	for (uint32_t i = 0; i < file->writer_count; i++)
		if (is_topmost(file, &file->writers[i]) && !is_caught(release->proc_fd, file->writers[i].pid, signals[release->args->signal]))
			return "its holder does not catch that signal, and would end by it";
	return NULL;
}

/* The new one may have the inode's number of the old one at once, and its descriptor's as well: but it has a name. */
static bool holds(const struct release *release, const struct open_file *file, const struct file_writer *writer)
{
	struct stat now;
	return open_file_stat(release->proc_fd, writer->pid, writer->fd, &now) == 0 && now.st_dev == file->dev && now.st_ino == file->ino && now.st_nlink == 0;
}

static int signal_one(struct release *release, const struct open_file *file, const struct file_writer *writer)
{
	struct victim victim;
	char shown[SHOWN_LEN], buffer[REASON_LEN];
	struct action_step *step = result_step(release->result, "signal");
	int signal = signals[release->args->signal], error = victim_hold(release->proc_fd, writer->pid, &victim);
	act_shown(shown, sizeof(shown), writer->comm);
	/* Held now: whoever has the number is the one that is looked at once more. */
	if (error == 0 && (!holds(release, file, writer) || !is_caught(release->proc_fd, writer->pid, signal)))
		error = -ESTALE;
	if (error == 0 && protect_process(&release->request->protect, release->proc_fd, writer->pid, buffer, sizeof(buffer)))
		error = -EPERM;
	if (error == 0)
		error = victim_signal(&victim, signal);
	victim_close(&victim);
	step_end(step, error == 0, "SIG%s to %" PRId32 " (%s)%s%s", signal_choices[release->args->signal], writer->pid, shown, error ? ": " : "",
		 error == -ESTALE ? "it does not hold it any more" : error ? strerror(-error) : "");
	return error;
}

/* Until none of them has it any more; there is no event to wait for. */
static bool wait_for_release(const struct release *release, const struct open_file *file)
{
	for (;;) {
		bool held = false;
		for (uint32_t i = 0; i < file->writer_count && !held; i++)
			held = holds(release, file, &file->writers[i]);
		if (!held)
			return true;
		if (clock_boot_ns() >= release->request->deadline_boot_ns)
			return false;
		nanosleep(&(struct timespec){ .tv_nsec = RELEASE_LOOK_NS }, NULL);
	}
}

static int by_signal(struct release *release, const struct open_file *file)
{
	int sent = 0;
	freed_before_deed(&release->freed);
	for (uint32_t i = 0; i < file->writer_count; i++)
		if (is_topmost(file, &file->writers[i]))
			sent += signal_one(release, file, &file->writers[i]) == 0;
	struct action_step *step = result_step(release->result, "release");
	bool released = sent && wait_for_release(release, file);
	step_end(step, released, released ? "nobody writes it any more%s" : "it is held still%s", file->readers ? "; somebody reads it" : "");
	if (!released)
		return -ETIME;
	freed_after_deed(&release->freed, file->bytes);
	return 0;
}

/* --- by its content ----------------------------------------------------------------------------------------------------------- */

/*
 * Through the holder's descriptor and in two steps, so that no device or pipe which has its number now is ever opened: first the
 * path alone, and when that is the file, through it. A fd or -errno.
 */
static int open_through(const struct release *release, const struct open_file *file, const struct file_writer *writer)
{
	char link[48];
	struct stat found;
	snprintf(link, sizeof(link), "%d/fd/%d", (int)writer->pid, (int)writer->fd);
	int path_fd = openat(release->proc_fd, link, O_PATH | O_CLOEXEC);
	if (path_fd < 0)
		return -errno;
	if (fstat(path_fd, &found) < 0 || found.st_dev != file->dev || found.st_ino != file->ino || !S_ISREG(found.st_mode)) {
		close(path_fd);
		return -ESTALE;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", path_fd);
	int fd = open(link, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int error = fd < 0 ? -errno : 0;
	close(path_fd);
	return error < 0 ? error : fd;
}

/* What was true in the walk is asked once more of the file that is open now. */
static int prove(const struct release *release, const struct open_file *file, const struct file_writer *writer, int fd, uint64_t *ret_bytes)
{
	struct stat found;
	uint32_t flags;
	if (fstat(fd, &found) < 0 || open_file_flags(release->proc_fd, writer->pid, writer->fd, &flags) < 0)
		return -ESTALE;
	if (found.st_dev != file->dev || found.st_ino != file->ino || !S_ISREG(found.st_mode) || found.st_nlink > (release->args->deleted ? 0 : 1))
		return -ESTALE;
	if ((flags & O_ACCMODE) == O_RDONLY || (!release->args->sparse && !(flags & O_APPEND)))
		return -EPERM;
	*ret_bytes = (uint64_t)found.st_blocks * 512;
	if (*ret_bytes < release->args->min_size)
		return -ERANGE;
	return open_file_is_locked(release->proc_fd, file->dev, file->ino) ? -EBUSY : 0;
}

static int by_truncation(struct release *release, const struct open_file *file)
{
	const struct file_writer *writer = &file->writers[0];
	char shown[SHOWN_LEN];
	uint64_t bytes = 0;
	struct action_step *step = result_step(release->result, "truncate");
	int fd = open_through(release, file, writer), error = fd < 0 ? fd : prove(release, file, writer, fd, &bytes);
	if (error == 0) {
		freed_before_deed(&release->freed);
		error = ftruncate(fd, 0) < 0 ? -errno : 0;
		if (error == 0)
			freed_after_deed(&release->freed, bytes);
	}
	if (fd >= 0)
		close(fd);
	step_end(step, error == 0, "%s, of %" PRIu64 " bytes, through descriptor %" PRId32 " of %" PRId32 "%s%s", act_shown(shown, sizeof(shown), file->path), bytes,
		 writer->fd, writer->pid, error ? ": " : "", error == -ESTALE ? "it is another one now" : error ? strerror(-error) : "");
	return error;
}

/* --- the remedy --------------------------------------------------------------------------------------------------------------- */

static void say_plan(struct release *release, const struct open_file *file)
{
	char path[SHOWN_LEN], comm[COMM_LEN * 4];
	const struct file_writer *writer = &file->writers[0];
	for (uint32_t i = 0; i < file->writer_count; i++)
		if (is_topmost(file, &file->writers[i]))
			writer = &file->writers[i];
	act_shown(path, sizeof(path), file->path);
	act_shown(comm, sizeof(comm), writer->comm);
	const char *state = file->links ? "" : ", deleted";
	if (release->args->how == TRUNCATE_BY_SIGNAL)
		result_plan(release->result, "SIG%s to %" PRId32 " (%s), which holds %s (%" PRIu64 " bytes%s)", signal_choices[release->args->signal], writer->pid, comm, path,
			    file->bytes, state);
	else
		result_plan(release->result, "truncate %s (%" PRIu64 " bytes%s), which %" PRId32 " (%s) and %" PRIu32 " others hold", path, file->bytes, state, writer->pid,
			    comm, file->writer_count + file->readers - 1);
}

/* Any directory of the filesystem would do for statvfs; the finding's own mountpoint is one. */
static int begin(struct release *release)
{
	int fd = open(release->request->target.name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	freed_begin(&release->freed, fd, release->request);
	release->begun = true;
	return 0;
}

static int release_all(struct release *release)
{
	uint64_t planned = 0, bytes = 0;
	bool apply = release->request->verb == REMEDY_VERB_APPLY;
	for (uint32_t i = 0; i < release->files->count && planned < release->args->max_files; i++) {
		const struct open_file *file = &release->files->each[i];
		const char *why = against(release, file);
		if (!why && release->args->how == TRUNCATE_BY_SIGNAL) {
			why = cannot_signal(release, file);
			release->refused_by = "not-caught";
		}
		if (why) {
			say_passed_over(release, file, why);
			continue;
		}
		say_plan(release, file);
		planned++;
		bytes += file->bytes;
		release->result->expected.freed_bytes = bytes;
		release->result->expected.freed_files = planned;
		const char *halted = apply ? act_halted(release->request) : NULL;
		if (halted) {
			release->refused_by = halted;
			snprintf(release->reason, sizeof(release->reason), "stopped by the %s", halted);
			return 0;
		}
		if (!apply)
			continue;
		int error = release->begun ? 0 : begin(release);
		if (error < 0)
			return error;
		error = release->args->how == TRUNCATE_BY_SIGNAL ? by_signal(release, file) : by_truncation(release, file);
		release->done += error == 0;
		if (error < 0) {
			release->refused_by = NULL;
			snprintf(release->reason, sizeof(release->reason), "%s", error == -ETIME ? "its holder holds it still" : strerror(-error));
		}
	}
	return 0;
}

static void judge(struct release *release)
{
	struct remedy_result *result = release->result;
	if (release->done) {
		result->observed.freed_bytes = freed_tell(&release->freed, result);
		result->observed.freed_files = release->done;
		result->outcome = freed_outcome(release->request, result);
		if (result->outcome != OUTCOME_FIXED)
			snprintf(result->why, sizeof(result->why), "%s", "less came back than was promised: others took it meanwhile, or have it open still");
		return;
	}
	if (release->begun) {
		result->observed.freed_bytes = result->observed.freed_files = 0;
		result->outcome = OUTCOME_NO_EFFECT;
		snprintf(result->why, sizeof(result->why), "%s", release->reason);
	} else if (release->reason[0]) {
		act_refuse(result, release->refused_by, "%s", release->reason);
	} else {
		result->observed.freed_bytes = result->observed.freed_files = 0;
		result->outcome = OUTCOME_NO_EFFECT;
		snprintf(result->why, sizeof(result->why), "no open file there is %s, matches, and is as large", release->args->deleted ? "deleted" : "meant");
	}
}

static int look_and_act(struct release *release)
{
	const struct target *target = &release->request->target;
	const struct open_files_wanted wanted = { .dev = target->dev, .min_bytes = release->args->min_size, .deleted_only = release->args->deleted,
						  .is_meant = is_meant, .context = (void *)(uintptr_t)release->args };
	struct action_step *step = result_step(release->result, "look");
	int error = open_files_find(release->files, release->proc_fd, &wanted, release->request);
	step_end(step, error == 0, "%" PRIu64 " descriptors; %" PRIu32 " files may be meant%s%s", release->files->descriptors, release->files->count,
		 release->files->cut ? ", and more that are smaller" : "", release->files->incomplete ? "; not all descriptors were looked at" : "");
	if (error == -ECANCELED) {
		act_refuse(release->result, act_halted(release->request) ? act_halted(release->request) : "deadline", "stopped while looking");
		return 0;
	}
	if (error == 0)
		error = release_all(release);
	if (error == 0 && (release->request->verb == REMEDY_VERB_APPLY || !release->result->expected.freed_files))
		judge(release);
	return error;
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	struct release release = { .request = request, .args = &request->args.truncate_open, .result = result, .proc_fd = -1 };
	if (request->target.type != TARGET_FILESYSTEM || !request->target.dev || request->target.name[0] != '/') {
		act_refuse(result, "no-filesystem", "it is about a filesystem, and none is named");
		return 0;
	}
	release.files = malloc(sizeof(*release.files));
	if (!release.files)
		return -ENOMEM;
	release.proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int error = release.proc_fd < 0 ? -errno : look_and_act(&release);
	if (release.begun)
		close(release.freed.fd);
	if (release.proc_fd >= 0)
		close(release.proc_fd);
	free(release.files);
	if (request->verb == REMEDY_VERB_PLAN) { /* a plan has seen nothing happen */
		result->observed.freed_bytes = result->observed.freed_files = UNKNOWN;
		if (result->outcome == OUTCOME_NO_EFFECT)
			result->outcome = OUTCOME_NONE;
	}
	return error;
}

/* Another's descriptors are read and opened with the rights of ptrace(2): PID 1's are as far away as any. */
static int check(const struct remedy_request *request, struct remedy_result *result)
{
	(void)request;
	struct stat found;
	uint32_t flags;
	int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		snprintf(result->why, sizeof(result->why), "no procfs: %s", strerror(errno));
	else if (faccessat(proc_fd, "1/fd", R_OK | X_OK, AT_EACCESS) < 0 || faccessat(proc_fd, "locks", R_OK, AT_EACCESS) < 0)
		snprintf(result->why, sizeof(result->why), "the descriptors of others cannot be looked at: %s", strerror(errno));
	else if (open_file_flags(proc_fd, 1, 0, &flags) == -EACCES || open_file_stat(proc_fd, 1, 0, &found) == -EACCES)
		snprintf(result->why, sizeof(result->why), "the files of others cannot be reached through their descriptors");
	else
		result->armed = true;
	if (proc_fd >= 0)
		close(proc_fd);
	return 0;
}

/* --- arguments ------------------------------------------------------------------------------------------------------------------ */

#define ARGUMENT(member_) MEMBER(union remedy_args, member_)

static const struct setting truncate_open_settings[] = {
	{ .name = "match", .type = VALUE_LIST, .required = true,
	  .offset = offsetof(union remedy_args, truncate_open.match), .size = NAME_LEN, .room = MAX_MATCH,
	  .count_offset = offsetof(union remedy_args, truncate_open.match_count), .help = "globs on the file's name, as it was before it was deleted" },
	{ .name = "how", .type = VALUE_CHOICE, ARGUMENT(truncate_open.how), CHOICES(how_choices), .initial = "signal",
	  .help = "the holder is asked by a signal to open a new one; or the content is taken away under it" },
	{ .name = "signal", .type = VALUE_CHOICE, ARGUMENT(truncate_open.signal), CHOICES(signal_choices), .initial = "HUP",
	  .help = "which signal; only a process that catches it gets it" },
	{ .name = "below", .type = VALUE_PATH, ARGUMENT(truncate_open.below), .help = "only files that lie, or lay, below this directory" },
	{ .name = "deleted", .type = VALUE_BOOL, ARGUMENT(truncate_open.deleted), .initial = "true",
	  .help = "only files that are deleted; false: with how: truncate, one that still has its name as well" },
	{ .name = "sparse", .type = VALUE_BOOL, ARGUMENT(truncate_open.sparse), .initial = "false",
	  .help = "also where a writer does not append, and so leaves a hole in it" },
	{ .name = "min_size", .type = VALUE_BYTES, ARGUMENT(truncate_open.min_size), .min = 4096, .initial = "64MiB", .help = "of blocks; smaller ones are left alone" },
	{ .name = "max_files", .type = VALUE_COUNT, ARGUMENT(truncate_open.max_files), .min = 1, .max = MOST_FILES, .initial = "4",
	  .help = "no more in one act, the largest first" },
};
static const struct section arguments = SECTION("truncate-open", "Gets back the space of deleted or runaway logs that are held open.", truncate_open_settings);

static void vet(const union remedy_args *all, uint64_t given, argument_fault *fault, void *context)
{
	(void)given;
	const struct truncate_open_args *args = &all->truncate_open;
	char shown[CONFIG_SHOWN_LEN];
	if (!args->match_count)
		fault(context, "match", "an empty list matches nothing; name the files that may lose their content");
	for (uint32_t i = 0; i < args->match_count; i++) {
		if (strchr(args->match[i], '/'))
			fault(context, "match", "%s: a / never matches: patterns are for the file's name; set the directory by below", config_shown(shown, args->match[i]));
		else if (args->match[i][strspn(args->match[i], "*?")] == 0)
			fault(context, "match", "%s: this matches every file, those of databases as well: name the logs", config_shown(shown, args->match[i]));
	}
	if (args->how == TRUNCATE_BY_SIGNAL && !args->deleted)
		fault(context, "deleted", "false: a file that still has its name is not given up by opening it anew; how: truncate takes its content");
}

static const char *problem_of(const union remedy_args *all)
{
	const struct truncate_open_args *args = &all->truncate_open;
	if (args->match_count < 1 || args->match_count > MAX_MATCH)
		return "no pattern, or more than there is room for";
	for (uint32_t i = 0; i < args->match_count; i++)
		if (!ENDED(args->match[i]) || !args->match[i][0] || strchr(args->match[i], '/') || args->match[i][strspn(args->match[i], "*?")] == 0)
			return "a pattern is empty, crosses directories, or matches everything";
	if (!ENDED(args->below) || (args->below[0] && !request_path_is_plain(args->below)))
		return "below is no plain absolute path";
	if ((unsigned)args->how > TRUNCATE_CONTENT || args->signal >= sizeof(signals) / sizeof(signals[0]) || (args->how == TRUNCATE_BY_SIGNAL && !args->deleted))
		return "how or signal makes no sense";
	return args->min_size < 4096 || args->max_files < 1 || args->max_files > MOST_FILES ? "min_size or max_files is out of its range" : NULL;
}

const struct remedy truncate_open = {
	.name = "truncate-open",
	.id = REMEDY_TRUNCATE_OPEN,
	.lane = LANE_SLOW,
	.help = "Gets back the space of a log that is deleted or runs away and is held open: by a signal to its holder, or by truncating it.",
	.undo = "none: a log whose holder opened a new one needs none; content that was taken away is gone",
	.destructive = true,
	.aim = AIM_FOUND,
	.applies_to = APPLIES_TO_PATH,
	.target_argument = "below",
	.effects = EFFECT_FREED | EFFECT_FILES | EFFECT_WITHIN,
	.expect_example = "{freed: 1GiB, within: 30s}",
	.arguments = &arguments,
	.vet = vet,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
