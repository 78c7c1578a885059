/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One control command: who may ask it, and what it answers. Reading is view.h's; what changes something is here, and is for
 * root alone. docs/cli.md lists the commands.
 */
#include "agent.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/clock.h"
#include "core/control.h"
#include "core/policy_table.h"
#include "view.h"

/* A century: longer pauses are `pause` without an end, and the sum with the clock stays in range. */
#define LONGEST_PAUSE_S (100.0 * 366 * 86400)

static const char *text_of(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
	return cJSON_IsString(item) ? item->valuestring : NULL;
}

/* --- reading ------------------------------------------------------------------------------------------------------------ */

static cJSON *answer_status(struct agent *agent, const cJSON *request)
{
	return view_status(agent);
}

static cJSON *answer_doctor(struct agent *agent, const cJSON *request)
{
	return view_doctor(agent);
}

static cJSON *answer_outlook(struct agent *agent, const cJSON *request)
{
	return view_outlook(agent);
}

static cJSON *answer_incidents(struct agent *agent, const cJSON *request)
{
	const char *since = text_of(request, "since");
	int64_t since_wall_ns = 0;
	if (since && clock_parse(since, &since_wall_ns) < 0)
		return control_error(EXIT_USAGE, "since: a time such as 2026-11-23T10:00:00Z");
	bool all = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(request, "all"));
	return view_incidents(agent, since_wall_ns, all || since);
}

static cJSON *answer_incident(struct agent *agent, const cJSON *request)
{
	const char *id = text_of(request, "id");
	return id ? view_incident(agent, id) : control_error(EXIT_USAGE, "incident: an id is missing");
}

static cJSON *answer_actions(struct agent *agent, const cJSON *request)
{
	return view_actions(agent);
}

static cJSON *answer_action(struct agent *agent, const cJSON *request)
{
	const char *id = text_of(request, "id");
	return id ? view_action(agent, id) : control_error(EXIT_USAGE, "action: an id is missing");
}

static cJSON *answer_remedies(struct agent *agent, const cJSON *request)
{
	return view_remedies(agent);
}

static cJSON *answer_remedy(struct agent *agent, const cJSON *request)
{
	const char *name = text_of(request, "name");
	return name ? view_remedy(agent, name) : control_error(EXIT_USAGE, "remedy: a name is missing");
}

static cJSON *answer_tasks(struct agent *agent, const cJSON *request)
{
	return view_tasks(agent, cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(request, "all")));
}

/* --- changing ----------------------------------------------------------------------------------------------------------- */

static cJSON *answer_pause(struct agent *agent, const cJSON *request)
{
	const cJSON *seconds = cJSON_GetObjectItemCaseSensitive(request, "for_seconds");
	const char *reason = text_of(request, "reason");
	if (seconds && (!cJSON_IsNumber(seconds) || !(seconds->valuedouble > 0) || seconds->valuedouble > LONGEST_PAUSE_S))
		return control_error(EXIT_USAGE, "for_seconds: a positive number of seconds, at most a century");
	agent_pause(agent, seconds ? (uint64_t)(seconds->valuedouble * (double)NSEC_PER_SEC) : 0, reason ? reason : "");
	return view_status(agent);
}

static cJSON *answer_resume(struct agent *agent, const cJSON *request)
{
	agent_resume(agent);
	return view_status(agent);
}

static cJSON *answer_task_close(struct agent *agent, const cJSON *request)
{
	const char *id = text_of(request, "id");
	char found[ID_LEN];
	if (!id || !id[0])
		return control_error(EXIT_USAGE, "task_close: an id is missing");
	int error = task_close(agent, id, found);
	if (error < 0)
		return control_error(EXIT_NO, error == -EEXIST ? "more than one open task begins with %.40s" : "no open task begins with %.40s", id);
	cJSON *document = view_document("task_close");
	cJSON_AddStringToObject(document, "id", found);
	return document;
}

static cJSON *faults_document(const struct config_faults *faults)
{
	cJSON *answer = control_error(EXIT_USAGE, "the new configuration has %u faults, the old one stays", faults->count + faults->cut);
	cJSON *list = cJSON_AddArrayToObject(answer, "faults");
	for (uint32_t i = 0; i < faults->count; i++) {
		cJSON *row = cJSON_CreateObject();
		cJSON_AddStringToObject(row, "file", faults->each[i].file);
		cJSON_AddNumberToObject(row, "line", faults->each[i].line);
		cJSON_AddNumberToObject(row, "column", faults->each[i].column);
		cJSON_AddStringToObject(row, "text", faults->each[i].text);
		cJSON_AddItemToArray(list, row);
	}
	cJSON_AddNumberToObject(answer, "faults_cut", faults->cut);
	return answer;
}

static cJSON *answer_reload(struct agent *agent, const cJSON *request)
{
	struct config_faults *faults = calloc(1, sizeof(*faults));
	if (!faults)
		return NULL;
	cJSON *answer;
	int error = agent_reload(agent, faults);
	if (error == 0)
		answer = view_status(agent);
	else if (error == -EINVAL)
		answer = faults_document(faults);
	else if (error == -EBUSY)
		answer = control_error(EXIT_NO, "an act is under way: the new configuration is read as soon as it has ended");
	else
		answer = control_error(EXIT_NO, "not reloaded, the old configuration stays: %s", strerror(-error));
	agent->reload_pending |= error == -EBUSY;
	free(faults);
	return answer;
}

/* --- by hand -------------------------------------------------------------------------------------------------------------- */

static bool is_below(const char *path, const char *directory)
{
	size_t length = strlen(directory);
	if (strcmp(directory, "/") == 0)
		return path[0] == '/';
	return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* By name, of what was measured: a path on a server that hangs must not hang the agent. NULL; or a sentence that says why not. */
static const char *find_filesystem(const struct snapshot *snap, const char *root, struct target *ret)
{
	const struct filesystem *best = NULL;
	size_t best_length = 0;
	for (uint32_t i = 0; i < snap->filesystems.count; i++) {
		const struct filesystem *filesystem = &snap->filesystems.each[i];
		size_t length = strlen(filesystem->mountpoint);
		if (!is_below(root, filesystem->mountpoint) || length < best_length)
			continue;
		best = filesystem; /* of two with one name the later one lies on top */
		best_length = length;
	}
	if (!best)
		return "the agent does not measure the filesystem it is on";

	ret->type = TARGET_FILESYSTEM;
	ret->dev = best->dev;
	memcpy(ret->name, best->mountpoint, sizeof(ret->name));
	memcpy(ret->device, best->device, sizeof(ret->device));
	return NULL;
}

static const char *find_process(const struct snapshot *snap, double number, struct target *ret)
{
	int32_t pid = number >= 1 && number <= INT32_MAX ? (int32_t)number : 0;
	const struct process *process = pid ? snapshot_process(snap, pid) : NULL;
	if (!process)
		return "the agent knows no such process (yet: it looks once an interval)";
	ret->type = TARGET_PROCESS;
	ret->pid = pid;
	ret->start_ns = process->start_ns;
	ret->cgroup_id = process->cgroup_id;
	snprintf(ret->name, sizeof(ret->name), "%s", process->comm);
	return NULL;
}

/* What was removed is told of for a while, and its name may have another one by then, such as a container's that was started anew: the one with
 * members is meant. */
static const char *find_cgroup(const struct snapshot *snap, const char *path, struct target *ret)
{
	const struct cgroup *found = NULL;
	for (uint32_t i = 0; i < snap->cgroups.count; i++) {
		const struct cgroup *cgroup = &snap->cgroups.each[i];
		if (strcmp(cgroup->path, path) == 0 && (!found || (!found->processes && cgroup->processes)))
			found = cgroup;
	}
	if (!found)
		return "the agent knows no such cgroup";
	ret->type = TARGET_CGROUP;
	ret->cgroup_id = found->id;
	memcpy(ret->name, found->path, sizeof(ret->name));
	return NULL;
}

/* Arguments as {"min_age":"10m","match":["*.log"]}. 0; or -EINVAL and why. */
static int read_args(enum remedy_id remedy, const cJSON *given, union remedy_args *args, uint64_t *given_args, char why[VALUE_WHY_LEN])
{
	const cJSON *item;
	cJSON_ArrayForEach(item, given)
	{
		const cJSON *value = cJSON_IsArray(item) ? item->child : item;
		for (; value; value = cJSON_IsArray(item) ? value->next : NULL) {
			if (!cJSON_IsString(value)) {
				snprintf(why, VALUE_WHY_LEN, "arguments are strings, or lists of strings");
				return -EINVAL;
			}
			int error = remedy_args_set(remedy, item->string, value->valuestring, args, given_args, why);
			if (error < 0)
				return error;
		}
	}
	return 0;
}

/* "a process or a cgroup": what the remedy can be aimed at. */
static void say_targets(const struct remedy *remedy, char why[VALUE_WHY_LEN])
{
	static const struct {
		enum applies_to bit;
		const char *words;
	} kinds[] = {
		{ APPLIES_TO_PATH, "a path" }, { APPLIES_TO_UNIT, "a unit" }, { APPLIES_TO_PROCESS, "a process" }, { APPLIES_TO_CGROUP, "a cgroup" },
		{ APPLIES_TO_NODE, "the node" }, { APPLIES_TO_INTERFACE, "an interface" },
	};
	size_t used = (size_t)snprintf(why, VALUE_WHY_LEN, "its target is ");
	const char *between = "";
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!(remedy->applies_to & kinds[i].bit))
			continue;
		used += (size_t)snprintf(why + used, VALUE_WHY_LEN - used, "%s%s", between, kinds[i].words);
		between = " or ";
	}
}

/* What the target says goes into both: what it is aimed at, and the argument that names it. 0; -EINVAL; -ENOENT: not there; and why. */
static int read_target(const struct agent *agent, const struct remedy *remedy, const cJSON *given, struct target *target, union remedy_args *args,
		       uint64_t *given_args, char why[VALUE_WHY_LEN])
{
	const char *path = text_of(given, "path"), *unit = text_of(given, "unit"), *cgroup = text_of(given, "cgroup"), *interface = text_of(given, "interface");
	const cJSON *pid = cJSON_GetObjectItemCaseSensitive(given, "pid");
	const char *problem = NULL, *argument = NULL, *text = NULL;

	if (path && (remedy->applies_to & APPLIES_TO_PATH)) {
		argument = remedy->target_argument;
		text = path;
		problem = find_filesystem(agent->snap, path, target);
	} else if (unit && (remedy->applies_to & APPLIES_TO_UNIT)) {
		argument = remedy->target_argument;
		text = unit;
		target->type = TARGET_UNIT;
		snprintf(target->name, sizeof(target->name), "%s", unit);
	} else if (cJSON_IsNumber(pid) && (remedy->applies_to & APPLIES_TO_PROCESS)) {
		argument = "scope";
		text = "process";
		problem = find_process(agent->snap, pid->valuedouble, target);
	} else if (cgroup && (remedy->applies_to & APPLIES_TO_CGROUP)) {
		argument = "scope";
		text = "cgroup";
		problem = find_cgroup(agent->snap, cgroup, target);
	} else if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(given, "node")) && (remedy->applies_to & APPLIES_TO_NODE)) {
		target->type = TARGET_NODE;
	} else if (interface && (remedy->applies_to & APPLIES_TO_INTERFACE)) {
		target->type = TARGET_INTERFACE;
		snprintf(target->name, sizeof(target->name), "%s", interface);
	} else {
		say_targets(remedy, why);
		return -EINVAL;
	}
	if (argument && section_find(remedy->arguments, argument)) {
		int error = remedy_args_set(remedy->id, argument, text, args, given_args, why);
		if (error < 0)
			return error;
	}
	if (problem)
		snprintf(why, VALUE_WHY_LEN, "%s", problem);
	return problem ? -ENOENT : 0;
}

static cJSON *answer_apply(struct agent *agent, const cJSON *request)
{
	const char *name = text_of(request, "remedy");
	const struct remedy *remedy = name ? remedy_by_name(name) : NULL;
	if (!remedy)
		return control_error(EXIT_USAGE, "there is no such remedy");

	struct target target = { 0 };
	union remedy_args args;
	memset(&args, 0, sizeof(args)); /* whole, since it is copied whole */
	char why[VALUE_WHY_LEN] = "";
	uint64_t given = 0;
	remedy_args_defaults(remedy->id, &args);
	int error = read_args(remedy->id, cJSON_GetObjectItemCaseSensitive(request, "args"), &args, &given, why);
	if (error == 0)
		error = read_target(agent, remedy, cJSON_GetObjectItemCaseSensitive(request, "target"), &target, &args, &given, why);
	if (error == 0)
		error = remedy_args_check(remedy->id, &args, given, why);
	if (error < 0)
		return control_error(error == -ENOENT ? EXIT_NO : EXIT_USAGE, "%s: %s", remedy->name, why);

	char id[ID_LEN];
	bool dry_run = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(request, "dry_run"));
	error = agent_apply(agent, remedy->id, &target, &args, dry_run, id, why, sizeof(why));
	if (error == -EPERM) {
		cJSON *refused = control_error(EXIT_NO, "refused by %s", why);
		cJSON_AddStringToObject(refused, "refused_by", why);
		return refused;
	}
	if (error < 0)
		return control_error(EXIT_NO, "%s", why[0] ? why : strerror(-error));
	cJSON *document = view_document("apply");
	cJSON_AddStringToObject(document, "id", id);
	return document;
}

/* --- the table ------------------------------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	bool changes;
	cJSON *(*answer)(struct agent *agent, const cJSON *request);
} commands[] = {
	{ "action", false, answer_action },
	{ "actions", false, answer_actions },
	{ "apply", true, answer_apply },
	{ "doctor", false, answer_doctor },
	{ "incident", false, answer_incident },
	{ "incidents", false, answer_incidents },
	{ "outlook", false, answer_outlook },
	{ "pause", true, answer_pause },
	{ "reload", true, answer_reload },
	{ "remedies", false, answer_remedies },
	{ "remedy", false, answer_remedy },
	{ "resume", true, answer_resume },
	{ "status", false, answer_status },
	{ "task_close", true, answer_task_close },
	{ "tasks", false, answer_tasks },
};

cJSON *agent_answer(void *agent, const cJSON *request, bool root)
{
	const char *name = text_of(request, "command");
	for (size_t i = 0; name && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		if (commands[i].changes && !root)
			return control_error(EXIT_NOT_PERMITTED, "%s is for root: reading is for the group nodemend", name);
		return commands[i].answer(agent, request);
	}
	return control_error(EXIT_USAGE, "no such command");
}
