/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a program of the user's: what is wrong goes in as JSON, and what became of it is its exit code. What root must heed is command.h's. */
#include "remedies/hook.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "core/clock.h"
#include "core/program.h"
#include "core/value.h"
#include "remedies/act.h"
#include "remedies/command.h"
#include "remedies/registry.h"

/* 1 is what a script ends with when anything in it goes wrong, and 2 is a shell's own: neither may stand for an answer. */
enum hook_exit { HOOK_FIXED = 0, HOOK_NO_EFFECT = 3, HOOK_REFUSED = 4 };
enum { MAX_TASKS = 4096, SHOWN_LEN = 160, ACCOUNT_LEN = 2048 };
#define LEAST_NS (100 * NSEC_PER_MSEC)
#define LONGEST_NS (600 * NSEC_PER_SEC)
#define LEAST_MEMORY (8ULL << 20)
#define MOST_MEMORY (1ULL << 40)

struct talk {
	char said[HOOK_SAID_LEN], complaint[HOOK_SAID_LEN], say[WHY_LEN];
	struct command_end end;
	enum outcome named;
};

/* --- running it --------------------------------------------------------------------------------------------------------------- */

static int account_of(const char *name, uid_t *ret_uid, gid_t *ret_gid)
{
	char buffer[ACCOUNT_LEN];
	struct passwd account, *found = NULL;
	int error = getpwnam_r(name, &account, buffer, sizeof(buffer), &found);
	if (error || !found)
		return error ? -error : -ENOENT;
	*ret_uid = account.pw_uid;
	*ret_gid = account.pw_gid;
	return 0;
}

static uint64_t deadline_of(const struct remedy_request *request)
{
	uint64_t own = clock_boot_ns() + request->args.hook.timeout_ns;
	return own < request->deadline_boot_ns ? own : request->deadline_boot_ns;
}

static int talk_to(const struct remedy_request *request, uid_t uid, gid_t gid, struct talk *talk)
{
	const struct hook_args *args = &request->args.hook;
	char mode[32], action[ID_LEN + 32], policy[NAME_LEN + 32], incident[ID_LEN + 32];
	const char *argv[MAX_HOOK_WORDS + 1] = { NULL }, *environment[] = { mode, action, policy, incident, NULL };
	for (uint32_t i = 0; i < args->word_count; i++)
		argv[i] = args->command[i];
	snprintf(mode, sizeof(mode), "NODEMEND_MODE=%s", request->verb == REMEDY_VERB_APPLY ? "apply" : "plan");
	snprintf(action, sizeof(action), "NODEMEND_ACTION=%s", request->action_id);
	snprintf(policy, sizeof(policy), "NODEMEND_POLICY=%s", request->story.policy);
	snprintf(incident, sizeof(incident), "NODEMEND_INCIDENT=%s", request->story.incident);

	char *question = hook_question(request, clock_boot_ns());
	if (!question)
		return -ENOMEM;
	const struct command command = {
		.path = args->command[0], .argv = argv, .input = question, .input_size = strlen(question), .output = talk->said,
		.output_size = sizeof(talk->said), .complaint = talk->complaint, .complaint_size = sizeof(talk->complaint),
		.deadline_boot_ns = deadline_of(request), .uid = uid, .gid = gid, .memory_max = args->memory_bytes, .tasks_max = args->tasks,
		.environment = environment,
	};
	int error = command_run(&command, &talk->end);
	free(question);
	return error;
}

/* --- what became of it ---------------------------------------------------------------------------------------------------------- */

static void say_end(const struct talk *talk, struct action_step *step)
{
	const struct command_end *end = &talk->end;
	char how[64], left[64] = "";
	if (end->timed_out)
		snprintf(how, sizeof(how), "ended at its time");
	else if (end->signal)
		snprintf(how, sizeof(how), "ended by signal %d", end->signal);
	else
		snprintf(how, sizeof(how), "exit %d", end->exit_code);
	if (end->left_over)
		snprintf(left, sizeof(left), "; %u that it left were ended", end->left_over);
	step_end(step, !end->timed_out && !end->signal && end->exit_code == HOOK_FIXED, "%s%s%s%s", how, left, talk->say[0] ? ": " : "", talk->say);
}

static const char *first_complaint(const struct talk *talk, char shown[SHOWN_LEN])
{
	char line[HOOK_SAID_LEN];
	if (talk->say[0])
		return talk->say;
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(talk->complaint, "\r\n"), talk->complaint);
	return act_shown(shown, SHOWN_LEN, line);
}

static bool may_be(enum outcome outcome, bool planned)
{
	return planned ? outcome == OUTCOME_REFUSED || outcome == OUTCOME_FAILED : outcome != OUTCOME_NONE;
}

/* The exit code decides; only where it says 0 may its answer say more, or less. */
static void judge(const struct remedy_request *request, const struct talk *talk, struct remedy_result *result)
{
	const struct command_end *end = &talk->end;
	bool planned = request->verb == REMEDY_VERB_PLAN;
	char shown[SHOWN_LEN];
	const char *why = first_complaint(talk, shown);

	enum outcome outcome = planned ? OUTCOME_NONE : OUTCOME_FIXED;
	if (end->timed_out || end->signal)
		outcome = OUTCOME_FAILED;
	else if (end->exit_code == HOOK_FIXED)
		outcome = may_be(talk->named, planned) ? talk->named : outcome;
	else if (end->exit_code == HOOK_NO_EFFECT)
		outcome = planned ? OUTCOME_NONE : OUTCOME_NO_EFFECT;
	else
		outcome = end->exit_code == HOOK_REFUSED ? OUTCOME_REFUSED : OUTCOME_FAILED;

	result->outcome = outcome;
	if (outcome == OUTCOME_REFUSED)
		act_refuse(result, "hook", "%s", why[0] ? why : "it gave no reason");
	else if (outcome == OUTCOME_FAILED && end->timed_out)
		act_fail(result, "it was not done in its time%s%s", why[0] ? ": " : "", why);
	else if (outcome == OUTCOME_FAILED && end->signal)
		act_fail(result, "it ended by signal %d%s%s", end->signal, why[0] ? ": " : "", why);
	else if (outcome == OUTCOME_FAILED)
		act_fail(result, "exit %d%s%s", end->exit_code, why[0] ? ": " : "", why);
	else
		snprintf(result->why, sizeof(result->why), "%s", outcome == OUTCOME_NO_EFFECT ? why : "");
}

static void run_hook(const struct remedy_request *request, struct remedy_result *result)
{
	struct talk talk = { .named = OUTCOME_NONE };
	uid_t uid = 0;
	gid_t gid = 0;
	int error = account_of(request->args.hook.user, &uid, &gid);
	if (error) {
		act_refuse(result, "no-such-user", "%.32s: %s", request->args.hook.user, error == -ENOENT ? "there is no such user" : strerror(-error));
		return;
	}
	struct action_step *step = result_step(result, "run");
	error = talk_to(request, uid, gid, &talk);
	if (error && error != -EBUSY) {
		step_end(step, false, "%.180s", talk.complaint);
		if (error == -EPERM)
			act_refuse(result, "unsafe-program", "%.150s", talk.complaint);
		else
			act_fail(result, "%.150s", talk.complaint[0] ? talk.complaint : strerror(-error));
		return;
	}
	talk.named = hook_answer(talk.said, result, talk.say, sizeof(talk.say));
	say_end(&talk, step);
	judge(request, &talk, result);
	if (error == -EBUSY)
		act_fail(result, "it ran, and something that it started could not be ended");
}

static void say_plan(const struct hook_args *args, struct remedy_result *result)
{
	char text[PLAN_LINE_LEN] = "", shown[PLAN_LINE_LEN];
	for (uint32_t i = 0; i < args->word_count; i++) {
		size_t used = strlen(text);
		snprintf(text + used, sizeof(text) - used, "%s%s", i ? " " : "", args->command[i]);
	}
	result_plan(result, "run as %.32s: %.180s", args->user, act_shown(shown, sizeof(shown), text));
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	const struct hook_args *args = &request->args.hook;
	say_plan(args, result);
	if (request->verb == REMEDY_VERB_PLAN && !args->dry_run) {
		result_plan(result, "what it would do is not known beforehand: it does not say that it understands the mode plan (dry_run: true)");
		return 0;
	}
	const char *halted = act_halted(request);
	if (halted)
		act_refuse(result, halted, "stopped by the %s", halted);
	else
		run_hook(request, result);
	return 0;
}

/* An earlier agent's hooks end here at the latest: this is asked at every start. */
static int check(const struct remedy_request *request, struct remedy_result *result)
{
	(void)request;
	uint32_t left = command_sweep();
	result->armed = geteuid() == 0;
	if (!result->armed)
		snprintf(result->why, sizeof(result->why), "without root nothing can be run as another user");
	else if (left)
		snprintf(result->why, sizeof(result->why), "what %u commands of an earlier agent left behind was ended", left);
	return 0;
}

/* --- arguments ----------------------------------------------------------------------------------------------------------------- */

#define ARGUMENT(member_) MEMBER(union remedy_args, member_)

static const struct setting hook_settings[] = {
	{ .name = "command", .type = VALUE_LIST, .required = true, .offset = offsetof(union remedy_args, hook.command), .size = PATH_LEN,
	  .room = MAX_HOOK_WORDS, .count_offset = offsetof(union remedy_args, hook.word_count),
	  .help = "[/path, argument…]; no shell; the file must be root's, and neither it nor a directory on the way to it writable by others" },
	{ .name = "timeout", .type = VALUE_DURATION, ARGUMENT(hook.timeout_ns), .min = (double)LEAST_NS, .max = (double)LONGEST_NS, .initial = "30s",
	  .help = "SIGTERM then, or at the end of `within` where that is sooner; SIGKILL a second later, to all that it started" },
	{ .name = "user", .type = VALUE_STRING, ARGUMENT(hook.user), .min = 1, .initial = "nobody",
	  .help = "whom it runs as; root keeps only the rights over files and over who it is" },
	{ .name = "memory", .type = VALUE_BYTES, ARGUMENT(hook.memory_bytes), .min = (double)LEAST_MEMORY, .max = (double)MOST_MEMORY, .initial = "256MiB",
	  .help = "for all that it starts together; without a v2 memory controller, for each process' data" },
	{ .name = "tasks", .type = VALUE_COUNT, ARGUMENT(hook.tasks), .min = 1, .max = MAX_TASKS, .initial = "64",
	  .help = "processes and threads at a time; needs the v2 pids controller" },
	{ .name = "dry_run", .type = VALUE_BOOL, ARGUMENT(hook.dry_run), .initial = "false",
	  .help = "it understands the mode plan and changes nothing in it, so it is asked in shadow, too" },
};
static const struct section arguments = SECTION("hook", "Runs a program of yours.", hook_settings);

static void vet(const union remedy_args *all, uint64_t given, argument_fault *fault, void *context)
{
	(void)given;
	const struct hook_args *args = &all->hook;
	char shown[CONFIG_SHOWN_LEN];
	int fd;

	if (!args->word_count) {
		fault(context, "command", "an empty list runs nothing; name the program, such as [/usr/local/sbin/mend, --now]");
		return;
	}
	const char *problem = path_problem(args->command[0]);
	int error = problem ? 0 : program_open(args->command[0], &fd);
	if (problem)
		fault(context, "command", "%s: %s", config_shown(shown, args->command[0]), problem);
	else if (error == -EACCES)
		fault(context, "command", "%s: not an executable file that is root's, with every directory on the way to it, and writable by nobody else",
		      config_shown(shown, args->command[0]));
	else if (error == 0)
		close(fd); /* one that is not there yet is refused when it is to be run */
}

static const char *problem_of(const union remedy_args *all)
{
	const struct hook_args *args = &all->hook;
	unsigned char dry_run;
	memcpy(&dry_run, &args->dry_run, 1);
	if (args->word_count < 1 || args->word_count > MAX_HOOK_WORDS)
		return "no command, or more words than there is room for";
	for (uint32_t i = 0; i < args->word_count; i++)
		if (!ENDED(args->command[i]))
			return "a word of the command has no end";
	if (!request_path_is_plain(args->command[0]))
		return "the command is no plain absolute path";
	if (!ENDED(args->user) || !args->user[0] || dry_run > 1)
		return "user or dry_run makes no sense";
	if (args->timeout_ns < LEAST_NS || args->timeout_ns > LONGEST_NS || args->memory_bytes < LEAST_MEMORY || args->memory_bytes > MOST_MEMORY)
		return "timeout or memory is out of its range";
	return args->tasks < 1 || args->tasks > MAX_TASKS ? "tasks is out of its range" : NULL;
}

const struct remedy hook = {
	.name = "hook",
	.id = REMEDY_HOOK,
	.lane = LANE_SLOW,
	.help = "Runs a program of yours, and takes its exit code for what became of it.",
	.undo = "none: what a program did, only it knows",
	.destructive = true,
	.wants_causes = true,
	.aim = AIM_FOUND,
	.applies_to = APPLIES_TO_PATH | APPLIES_TO_UNIT | APPLIES_TO_PROCESS | APPLIES_TO_CGROUP | APPLIES_TO_NODE,
	.effects = EFFECT_WITHIN,
	.expect_example = "{clears: true, within: 30s}",
	.arguments = &arguments,
	.vet = vet,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
