/* SPDX-License-Identifier: Apache-2.0 */
/* The control commands over a hand-made agent: what each answers, who may ask it, and what it refuses. */
#include "agent_fixture.h"

#include <cjson/cJSON.h>

static int open_agent(void **state)
{
	*state = fixture_new();
	return 0;
}

static int close_agent(void **state)
{
	fixture_free(*state);
	return 0;
}

static cJSON *ask(struct agent *agent, const char *request, bool root)
{
	cJSON *json = cJSON_Parse(request);
	assert_non_null(json);
	cJSON *answer = agent_answer(agent, json, root);
	assert_non_null(answer);
	cJSON_Delete(json);
	return answer;
}

/* Follows names and numbers: "incident.causes.0.comm". */
static const cJSON *at(const cJSON *json, const char *path)
{
	char copy[128], *rest = copy, *name;
	snprintf(copy, sizeof(copy), "%s", path);
	while ((name = strsep(&rest, ".")))
		json = name[0] >= '0' && name[0] <= '9' ? cJSON_GetArrayItem(json, atoi(name)) : cJSON_GetObjectItemCaseSensitive(json, name);
	return json;
}

static void assert_text(const cJSON *json, const char *path, const char *text)
{
	const char *found = cJSON_GetStringValue(at(json, path));
	if (!found || strcmp(found, text) != 0)
		fail_msg("%s is %s, not %s", path, found ? found : "absent", text);
}

static void assert_number(const cJSON *json, const char *path, double number)
{
	const cJSON *found = at(json, path);
	if (!cJSON_IsNumber(found) || found->valuedouble < number - 1e-6 || found->valuedouble > number + 1e-6)
		fail_msg("%s is %g, not %g", path, cJSON_IsNumber(found) ? found->valuedouble : -1.0, number);
}

static void assert_refused(struct agent *agent, const char *request, bool root, int code, const char *part)
{
	cJSON *answer = ask(agent, request, root);
	assert_true(cJSON_IsFalse(at(answer, "ok")));
	assert_number(answer, "code", code);
	const char *error = cJSON_GetStringValue(at(answer, "error"));
	if (!error || !strstr(error, part))
		fail_msg("%s: wanted '%s' in '%s'", request, part, error ? error : "");
	cJSON_Delete(answer);
}

/* --- reading -------------------------------------------------------------------------------------------------------------- */

static void status_says_what_is_known(void **state)
{
	cJSON *answer = ask(*state, "{\"command\":\"status\"}", false);
	assert_text(answer, "schema", "nodemend.status/1");
	assert_text(answer, "node", "n1");
	assert_text(answer, "mode", "enforce");
	assert_text(answer, "time", "2026-11-23T10:00:00.000Z");
	assert_number(answer, "pressure.cpu.used_percent", 23.1);
	assert_number(answer, "pressure.memory.used_percent", 62.5);
	assert_number(answer, "pressure.filesystems.1.used_percent", 93);
	assert_number(answer, "pressure.filesystems.1.exhausted_in_seconds", 412);
	assert_number(answer, "self.cpu_percent", 0.5);
	assert_text(answer, "incidents.0.id", "i65f1a2b0-1");
	assert_text(answer, "collectors.1.state", "down");
	assert_null(at(answer, "paused"));
	cJSON_Delete(answer);
}

static void unknown_is_absent(void **state)
{
	struct agent *agent = *state;
	agent->snap->cpu.used_permille = UINT32_MAX;
	agent->snap->memory.measured_ns = 0;
	agent->snap->psi.measured_ns = agent->snap->boot_ns - 4 * agent->snap->interval_ns;
	agent->snap->filesystems.each[1].measured_ns = 0;
	agent->snap->filesystems.each[1].stuck_ns = SECONDS(7);
	cJSON *answer = ask(agent, "{\"command\":\"status\"}", false);
	assert_null(at(answer, "pressure.cpu.used_percent"));
	assert_null(at(answer, "pressure.memory.used_percent"));
	assert_null(at(answer, "pressure.memory.swap_used_percent"));
	assert_null(at(answer, "pressure.disk.some_stalled_percent"));
	assert_null(at(answer, "pressure.filesystems.1.used_percent"));
	assert_number(answer, "pressure.filesystems.1.stuck_seconds", 7);
	assert_null(at(answer, "pressure.network.interfaces.0.used_percent"));
	assert_null(at(answer, "anomaly"));
	cJSON_Delete(answer);
}

static void what_is_unusual_is_said_once_it_is_known(void **state)
{
	struct agent *agent = *state;
	struct anomaly_section *section = &agent->snap->anomaly;
	*section = (struct anomaly_section){ .measured_ns = agent->snap->boot_ns, .watched = 312, .count = 1 };
	cJSON *answer = ask(agent, "{\"command\":\"status\"}", false);
	assert_number(answer, "anomaly.series_watched", 312);
	assert_null(at(answer, "anomaly.score"));
	cJSON_Delete(answer);

	section->each[0] = (struct anomaly_scope){ .measured_ns = agent->snap->boot_ns, .score = 61, .threshold = 46.5, .alarms_per_day = 0.25, .since_ns = 1 };
	answer = ask(agent, "{\"command\":\"status\"}", false);
	assert_number(answer, "anomaly.score", 61);
	assert_number(answer, "anomaly.threshold", 46.5);
	assert_number(answer, "anomaly.alarms_per_day", 0.25);
	cJSON_Delete(answer);
	section->measured_ns = 0;
}

static void pause_is_shown_until_it_is_over(void **state)
{
	struct agent *agent = *state;
	agent->saved->pause = (struct pause){ .paused = true, .until_boot_ns = (int64_t)SECONDS(1001), .reason = "upgrade" };
	cJSON *answer = ask(agent, "{\"command\":\"status\"}", false);
	assert_text(answer, "paused.reason", "upgrade");
	cJSON_Delete(answer);
	agent->saved->pause.until_boot_ns = (int64_t)SECONDS(1000);
	answer = ask(agent, "{\"command\":\"status\"}", false);
	assert_null(at(answer, "paused"));
	cJSON_Delete(answer);
}

static void add_resolved(struct agent *agent, const char *id, int64_t opened, int64_t resolved)
{
	struct incident *incident = &agent->engine.recent_incidents[agent->engine.recent_incident_count++ % MAX_RECENT];
	fixture_incident(incident);
	strcpy(incident->id, id);
	incident->state = INCIDENT_RESOLVED;
	incident->opened_wall_ns = opened;
	incident->resolved_wall_ns = resolved;
}

static void incidents_are_filtered_and_newest_first(void **state)
{
	struct agent *agent = *state;
	add_resolved(agent, "old-1", FIXTURE_WALL_NS - (int64_t)SECONDS(9000), FIXTURE_WALL_NS - (int64_t)SECONDS(8000));
	add_resolved(agent, "long-2", FIXTURE_WALL_NS - (int64_t)SECONDS(7000), FIXTURE_WALL_NS - (int64_t)SECONDS(60));
	add_resolved(agent, "new-3", FIXTURE_WALL_NS - (int64_t)SECONDS(20), FIXTURE_WALL_NS - (int64_t)SECONDS(10));

	cJSON *answer = ask(agent, "{\"command\":\"incidents\"}", false);
	assert_int_equal(cJSON_GetArraySize(at(answer, "incidents")), 1);
	assert_text(answer, "incidents.0.id", "i65f1a2b0-1");
	cJSON_Delete(answer);

	answer = ask(agent, "{\"command\":\"incidents\",\"all\":true}", false);
	assert_int_equal(cJSON_GetArraySize(at(answer, "incidents")), 4);
	assert_text(answer, "incidents.0.id", "new-3");
	assert_text(answer, "incidents.1.id", "i65f1a2b0-1");
	assert_text(answer, "incidents.3.id", "old-1");
	cJSON_Delete(answer);

	/* What ended after it counts, whenever it began. */
	answer = ask(agent, "{\"command\":\"incidents\",\"since\":\"2026-11-23T09:58:00Z\"}", false);
	assert_int_equal(cJSON_GetArraySize(at(answer, "incidents")), 2);
	assert_text(answer, "incidents.0.id", "new-3");
	assert_text(answer, "incidents.1.id", "long-2");
	cJSON_Delete(answer);
	assert_refused(agent, "{\"command\":\"incidents\",\"since\":\"yesterday\"}", false, 2, "since");
}

static void incident_is_found_by_its_beginning(void **state)
{
	struct agent *agent = *state;
	add_resolved(agent, "i65f1a2b0-12", FIXTURE_WALL_NS, FIXTURE_WALL_NS);
	assert_refused(agent, "{\"command\":\"incident\",\"id\":\"i65f\"}", false, 2, "2 incidents begin so");
	assert_refused(agent, "{\"command\":\"incident\",\"id\":\"nothing\"}", false, 1, "no such incident");
	assert_refused(agent, "{\"command\":\"incident\",\"id\":\"\"}", false, 1, "no such incident");
	assert_refused(agent, "{\"command\":\"incident\"}", false, 2, "id");
	cJSON *answer = ask(agent, "{\"command\":\"incident\",\"id\":\"i65f1a2b0-12\"}", false);
	assert_text(answer, "incident.id", "i65f1a2b0-12");
	cJSON_Delete(answer);
	answer = ask(agent, "{\"command\":\"incident\",\"id\":\"i65f1a2b0-1\"}", false); /* whole, and the beginning of another */
	assert_text(answer, "incident.id", "i65f1a2b0-1");
	cJSON_Delete(answer);
}

static void what_was_considered_is_told(void **state)
{
	struct agent *agent = *state;
	cJSON *answer = ask(agent, "{\"command\":\"incident\",\"id\":\"i65f1a2b0-1\"}", false);
	assert_int_equal(cJSON_GetArraySize(at(answer, "considered")), 1);
	assert_text(answer, "considered.0.policy", "data-fills");
	assert_text(answer, "considered.0.state", "armed");
	assert_text(answer, "considered.0.remedies.0.verdict", "chosen");
	assert_text(answer, "considered.0.remedies.0.action", "a65f1a2b0-1");
	assert_text(answer, "considered.0.remedies.1.verdict", "refused");
	assert_text(answer, "considered.0.remedies.1.why", "the guard per-target-budget refused it");
	cJSON_Delete(answer);

	/* Before anything was tried: the first is next, the second only after it. */
	agent->saved->incidents[0].action_count = 0;
	agent->saved->machines[0].step = 0;
	strcpy(agent->engine.refusals[0], "pause");
	answer = ask(agent, "{\"command\":\"incident\",\"id\":\"i65f1a2b0-1\"}", false);
	assert_text(answer, "considered.0.remedies.0.verdict", "held");
	assert_text(answer, "considered.0.remedies.0.why", "the guard pause holds it back");
	assert_text(answer, "considered.0.remedies.1.verdict", "skipped");
	cJSON_Delete(answer);

	agent->config->mode = MODE_OBSERVE;
	answer = ask(agent, "{\"command\":\"incident\",\"id\":\"i65f1a2b0-1\"}", false);
	assert_text(answer, "considered.0.effective_mode", "observe");
	assert_text(answer, "considered.0.remedies.0.why", "mode observe: nothing is tried");
	cJSON_Delete(answer);
}

static void actions_newest_first(void **state)
{
	cJSON *answer = ask(*state, "{\"command\":\"actions\"}", false);
	assert_int_equal(cJSON_GetArraySize(at(answer, "actions")), 2);
	assert_text(answer, "actions.0.id", "a65f1a2b0-2");
	cJSON_Delete(answer);
	answer = ask(*state, "{\"command\":\"action\",\"id\":\"a65f1a2b0-1\"}", false);
	assert_text(answer, "action.outcome", "improved");
	cJSON_Delete(answer);
	assert_refused(*state, "{\"command\":\"action\",\"id\":\"a65f1a2b0\"}", false, 1, "no such action");
}

static void remedies_say_armed_budget_and_record(void **state)
{
	struct agent *agent = *state;
	cJSON *answer = ask(agent, "{\"command\":\"remedies\"}", false);
	assert_int_equal(cJSON_GetArraySize(at(answer, "remedies")), REMEDY_COUNT);
	assert_text(answer, "remedies.0.name", "clean-files");
	assert_true(cJSON_IsTrue(at(answer, "remedies.0.armed")));
	assert_text(answer, "remedies.0.policies.0.policy", "data-fills");
	assert_number(answer, "remedies.0.policies.0.node_budget_left", 9);
	assert_number(answer, "remedies.0.record.enforce.improved", 1);
	assert_true(cJSON_IsFalse(at(answer, "remedies.1.armed")));
	assert_text(answer, "remedies.1.why", "no system bus");
	assert_true(cJSON_IsNull(at(answer, "remedies.2.armed")));
	assert_text(answer, "remedies.2.policies.0.effective_mode", "shadow");
	assert_int_equal(cJSON_GetArraySize(at(answer, "remedies.2.lessons")), 0);
	cJSON_Delete(answer);

	agent->saved->lessons[0] = (struct lesson){ .kind = KIND_MEMORY_EXHAUSTION, .cause = "app.service", .remedy = "terminate", .worked = 2, .failed = 3,
						    .failed_in_a_row = 3, .boot_ns = (int64_t)agent->snap->boot_ns };
	agent->saved->lesson_count = 1;
	answer = ask(agent, "{\"command\":\"remedies\"}", false);
	assert_text(answer, "remedies.2.lessons.0.kind", "memory_exhaustion");
	assert_text(answer, "remedies.2.lessons.0.cause", "app.service");
	assert_number(answer, "remedies.2.lessons.0.worked", 2);
	assert_number(answer, "remedies.2.lessons.0.failed", 3);
	assert_true(cJSON_IsTrue(at(answer, "remedies.2.lessons.0.set_aside")));
	assert_int_equal(cJSON_GetArraySize(at(answer, "remedies.0.lessons")), 0);
	cJSON_Delete(answer);

	agent->config->mode = MODE_OBSERVE;
	answer = ask(agent, "{\"command\":\"remedy\",\"name\":\"terminate\"}", false);
	assert_text(answer, "remedy.name", "terminate");
	assert_text(answer, "remedy.policies.0.effective_mode", "observe");
	cJSON_Delete(answer);
	assert_refused(agent, "{\"command\":\"remedy\",\"name\":\"reboot\"}", false, 2, "no such remedy");
}

/* --- changing ------------------------------------------------------------------------------------------------------------- */

static void changing_is_for_root(void **state)
{
	static const char *const requests[] = {
		"{\"command\":\"pause\"}", "{\"command\":\"resume\"}", "{\"command\":\"reload\"}",
		"{\"command\":\"apply\",\"remedy\":\"restart-unit\",\"target\":{\"unit\":\"a.service\"}}",
	};
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		assert_refused(*state, requests[i], false, 4, "root");
	assert_int_equal(asked.pauses + asked.resumes + asked.reloads + asked.applies, 0);
}

static void pause_and_resume(void **state)
{
	cJSON *answer = ask(*state, "{\"command\":\"pause\",\"for_seconds\":1800,\"reason\":\"upgrade\"}", true);
	assert_text(answer, "paused.reason", "upgrade");
	assert_int_equal(asked.pause_ns, SECONDS(1800));
	cJSON_Delete(answer);
	answer = ask(*state, "{\"command\":\"resume\"}", true);
	assert_null(at(answer, "paused"));
	assert_int_equal(asked.resumes, 1);
	cJSON_Delete(answer);
	static const char *const wrong[] = { "-1", "0", "1e300", "\"1h\"", "null", "[]" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char request[80];
		snprintf(request, sizeof(request), "{\"command\":\"pause\",\"for_seconds\":%s}", wrong[i]);
		assert_refused(*state, request, true, 2, "for_seconds");
	}
	assert_int_equal(asked.pauses, 1);
}

static void reload_tells_faults(void **state)
{
	struct agent *agent = *state;
	cJSON *answer = ask(agent, "{\"command\":\"reload\"}", true);
	assert_true(cJSON_IsTrue(at(answer, "ok")));
	cJSON_Delete(answer);

	asked.reload_error = -EINVAL;
	answer = ask(agent, "{\"command\":\"reload\"}", true);
	assert_number(answer, "code", 2);
	assert_number(answer, "faults.0.line", 3);
	assert_text(answer, "faults.0.file", "/etc/nodemend/nodemend.yaml");
	cJSON_Delete(answer);
	assert_false(agent->reload_pending);

	asked.reload_error = -EBUSY;
	assert_refused(agent, "{\"command\":\"reload\"}", true, 1, "as soon as it has ended");
	assert_true(agent->reload_pending);
}

static void apply_builds_the_order(void **state)
{
	struct agent *agent = *state;
	cJSON *answer = ask(agent, "{\"command\":\"apply\",\"remedy\":\"clean-files\",\"target\":{\"path\":\"/data/app/logs\"},"
				   "\"args\":{\"match\":[\"*.log.*\",\"*.tmp\"],\"min_age\":[\"30m\"],\"max_bytes\":\"2GiB\"},\"dry_run\":true}", true);
	assert_text(answer, "id", "a1-1");
	cJSON_Delete(answer);
	assert_int_equal(asked.remedy, REMEDY_CLEAN_FILES);
	assert_true(asked.dry_run);
	assert_int_equal(asked.target.type, TARGET_FILESYSTEM);
	assert_string_equal(asked.target.name, "/data");
	assert_int_equal(asked.target.dev, 0x700000);
	assert_string_equal(asked.args.clean_files.root, "/data/app/logs");
	assert_int_equal(asked.args.clean_files.match_count, 2);
	assert_string_equal(asked.args.clean_files.match[1], "*.tmp");
	assert_int_equal(asked.args.clean_files.min_age_ns, SECONDS(1800));
	assert_int_equal(asked.args.clean_files.max_bytes, 2ULL << 30);

	/* /database is not below /data. */
	cJSON_Delete(ask(agent, "{\"command\":\"apply\",\"remedy\":\"clean-files\",\"target\":{\"path\":\"/database/logs\"},"
				"\"args\":{\"match\":[\"*.tmp\"]}}", true));
	assert_string_equal(asked.target.name, "/");

	cJSON_Delete(ask(agent, "{\"command\":\"apply\",\"remedy\":\"restart-unit\",\"target\":{\"unit\":\"app.service\"}}", true));
	assert_int_equal(asked.target.type, TARGET_UNIT);
	assert_string_equal(asked.args.unit.unit, "app.service");
	assert_false(asked.dry_run);

	cJSON_Delete(ask(agent, "{\"command\":\"apply\",\"remedy\":\"terminate\",\"target\":{\"pid\":4242}}", true));
	assert_int_equal(asked.target.type, TARGET_PROCESS);
	assert_int_equal(asked.target.start_ns, 4242000);
	assert_int_equal(asked.args.terminate.scope, TERMINATE_PROCESS);

	cJSON_Delete(ask(agent, "{\"command\":\"apply\",\"remedy\":\"terminate\",\"target\":{\"cgroup\":\"/system.slice/app.service\"}}", true));
	assert_int_equal(asked.target.type, TARGET_CGROUP);
	assert_int_equal(asked.target.cgroup_id, 9);
	assert_int_equal(asked.args.terminate.scope, TERMINATE_CGROUP);

	cJSON_Delete(ask(agent, "{\"command\":\"apply\",\"remedy\":\"restart-interface\",\"target\":{\"interface\":\"eth1\"},\"args\":{\"watch\":[\"9s\"]}}", true));
	assert_int_equal(asked.target.type, TARGET_INTERFACE);
	assert_string_equal(asked.target.name, "eth1");
	assert_int_equal(asked.args.restart_interface.watch_ns, SECONDS(9));
	cJSON_Delete(ask(agent, "{\"command\":\"apply\",\"remedy\":\"raise-conntrack\",\"target\":{\"node\":true}}", true));
	assert_int_equal(asked.target.type, TARGET_NODE);
	assert_true(asked.args.raise_limit.times == 2 && asked.args.raise_limit.for_ns == SECONDS(3600));
	assert_int_equal(asked.applies, 7);
}

static void apply_refuses_what_is_not_meant(void **state)
{
	static const struct { const char *rest, *part; int code; } wrong[] = {
		{ "\"remedy\":\"reboot\"", "no such remedy", 2 },
		{ "\"remedy\":\"terminate\"", "a process or a cgroup", 2 },
		{ "\"remedy\":\"terminate\",\"target\":{\"path\":\"/data\"}", "a process or a cgroup", 2 },
		{ "\"remedy\":\"terminate\",\"target\":{\"pid\":5}", "no such process", 1 },
		{ "\"remedy\":\"terminate\",\"target\":{\"pid\":-1}", "no such process", 1 },
		{ "\"remedy\":\"terminate\",\"target\":{\"pid\":1e99}", "no such process", 1 },
		{ "\"remedy\":\"terminate\",\"target\":{\"cgroup\":\"/\"}", "no such cgroup", 1 },
		{ "\"remedy\":\"terminate\",\"target\":{\"pid\":77},\"args\":{\"root\":\"/\"}", "terminate: ", 2 },
		{ "\"remedy\":\"terminate\",\"target\":{\"pid\":77},\"args\":{\"term_wait\":5}", "strings", 2 },
		{ "\"remedy\":\"clean-files\",\"target\":{\"path\":\"/data/app/logs\"}", "match", 2 },
		{ "\"remedy\":\"clean-files\",\"target\":{\"path\":\"logs\"},\"args\":{\"match\":\"*\"}", "clean-files: ", 2 },
		{ "\"remedy\":\"clean-files\",\"target\":{\"path\":\"/\"},\"args\":{\"match\":\"*.log\"}", "clean-files: ", 2 },
		{ "\"remedy\":\"clean-files\",\"target\":{\"path\":\"/etc\"},\"args\":{\"match\":\"*.log\"}", "clean-files: ", 2 },
		{ "\"remedy\":\"restart-unit\",\"target\":{\"unit\":\"\"}", "restart-unit: ", 2 },
		{ "\"remedy\":\"restart-interface\",\"target\":{\"unit\":\"eth0\"}", "its target is an interface", 2 },
		{ "\"remedy\":\"raise-conntrack\",\"target\":{\"interface\":\"eth0\"}", "its target is the node", 2 },
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char request[256];
		snprintf(request, sizeof(request), "{\"command\":\"apply\",%s}", wrong[i].rest);
		assert_refused(*state, request, true, wrong[i].code, wrong[i].part);
	}
	assert_int_equal(asked.applies, 0);
}

static void a_guard_refuses_by_name(void **state)
{
	asked.apply_error = -EPERM;
	assert_refused(*state, "{\"command\":\"apply\",\"remedy\":\"terminate\",\"target\":{\"pid\":77}}", true, 1, "refused by pause");
}

static void what_is_no_command(void **state)
{
	assert_refused(*state, "{}", true, 2, "no such command");
	assert_refused(*state, "{\"command\":7}", true, 2, "no such command");
	assert_refused(*state, "{\"command\":\"shutdown\"}", true, 2, "no such command");
}

/* --- tasks ---------------------------------------------------------------------------------------------------------------- */

static struct order task_order(const char *id, const char *key, const char *title)
{
	struct order order = { .remedy = REMEDY_MANUAL_TASK };
	snprintf(order.action.id, ID_LEN, "%s", id);
	snprintf(order.action.policy, NAME_LEN, "data-fills");
	snprintf(order.action.incident, ID_LEN, "i65f1a2b0-1");
	snprintf(order.key, KEY_LEN, "%s", key);
	struct manual_task_args *args = &order.request.args.manual_task;
	snprintf(args->title, TASK_TEXT_LEN, "%s", title);
	snprintf(args->steps[0], TASK_TEXT_LEN, "first");
	args->step_count = 1;
	return order;
}

static enum outcome take_task(struct agent *agent, const char *id, const char *key, const char *title)
{
	struct order order = task_order(id, key, title);
	struct remedy_result answer = { .outcome = OUTCOME_TOLD };
	memcpy(answer.action_id, order.action.id, ID_LEN);
	task_take(agent, &order, &answer);
	return answer.outcome;
}

static void a_task_stays_open_until_it_is_closed(void **state)
{
	struct agent *agent = *state;
	agent->changes = calloc(1, sizeof(*agent->changes));
	assert_int_equal(take_task(agent, "a1-1", "filesystem:/data", "replace the disk"), OUTCOME_TOLD);
	assert_true(agent->changes->state_changed);
	assert_int_equal(take_task(agent, "a1-2", "filesystem:/data", "replace the disk"), OUTCOME_TOLD); /* the same, asked for again */
	assert_int_equal(take_task(agent, "a1-3", "filesystem:/b", "replace the disk"), OUTCOME_TOLD);
	assert_int_equal(tasks_open(agent->saved), 2);

	cJSON *answer = ask(agent, "{\"command\":\"tasks\"}", false);
	assert_int_equal(cJSON_GetArraySize(at(answer, "tasks")), 2);
	assert_text(answer, "tasks.0.id", "a1-1");
	assert_text(answer, "tasks.0.title", "replace the disk");
	assert_text(answer, "tasks.0.steps.0", "first");
	assert_text(answer, "tasks.0.incident", "i65f1a2b0-1");
	assert_number(answer, "tasks.0.times", 2);
	assert_null(at(answer, "tasks.0.closed"));
	cJSON_Delete(answer);

	assert_refused(agent, "{\"command\":\"task_close\",\"id\":\"a1-1\"}", false, 4, "root");
	assert_refused(agent, "{\"command\":\"task_close\",\"id\":\"a1\"}", true, 1, "more than one");
	assert_refused(agent, "{\"command\":\"task_close\",\"id\":\"a2\"}", true, 1, "no open task");
	assert_refused(agent, "{\"command\":\"task_close\",\"id\":\"\"}", true, 2, "missing");
	answer = ask(agent, "{\"command\":\"task_close\",\"id\":\"a1-1\"}", true);
	assert_text(answer, "id", "a1-1");
	cJSON_Delete(answer);
	assert_int_equal(tasks_open(agent->saved), 1);
	assert_refused(agent, "{\"command\":\"task_close\",\"id\":\"a1-1\"}", true, 1, "no open task");
	answer = ask(agent, "{\"command\":\"tasks\",\"all\":true}", false);
	assert_int_equal(cJSON_GetArraySize(at(answer, "tasks")), 2);
	assert_non_null(at(answer, "tasks.0.closed"));
	cJSON_Delete(answer);
	assert_int_equal(take_task(agent, "a1-4", "filesystem:/data", "replace the disk"), OUTCOME_TOLD); /* after it was closed: a new one */
	assert_int_equal(tasks_open(agent->saved), 2);
	free(agent->changes);
	agent->changes = NULL;
}

static void no_more_tasks_than_there_is_room_for(void **state)
{
	struct agent *agent = *state;
	char id[ID_LEN], key[KEY_LEN];
	agent->changes = calloc(1, sizeof(*agent->changes));
	for (int i = 0; i < MAX_TASKS; i++) {
		snprintf(id, sizeof(id), "a%d-1", i);
		snprintf(key, sizeof(key), "filesystem:/%d", i);
		assert_int_equal(take_task(agent, id, key, "x"), OUTCOME_TOLD);
	}
	assert_int_equal(take_task(agent, "b-1", "filesystem:/b", "x"), OUTCOME_REFUSED);
	assert_int_equal(tasks_open(agent->saved), MAX_TASKS);
	assert_int_equal(task_close(agent, "a7-1", id), 0);
	assert_int_equal(take_task(agent, "b-1", "filesystem:/b", "x"), OUTCOME_TOLD); /* in the place of what is done */
	assert_int_equal(agent->saved->task_count, MAX_TASKS);
	assert_string_equal(agent->saved->tasks[MAX_TASKS - 1].id, "b-1");
	assert_string_equal(agent->saved->tasks[7].id, "a8-1");
	free(agent->changes);
	agent->changes = NULL;
}

/* A full house of hostile names stays below what the socket carries. */
static void the_largest_answer_fits(void **state)
{
	struct agent *agent = *state;
	for (uint32_t i = 0; i < MAX_OPEN_INCIDENTS; i++)
		agent->saved->incidents[i] = agent->saved->incidents[0];
	agent->saved->incident_count = MAX_OPEN_INCIDENTS;
	for (uint32_t i = 0; i < MAX_RECENT; i++) {
		add_resolved(agent, "x", FIXTURE_WALL_NS, FIXTURE_WALL_NS);
		if (i > 1)
			fixture_action(&agent->engine.recent_actions[i], "other", "clean-files", OUTCOME_FIXED);
	}
	agent->engine.recent_action_count = MAX_RECENT;
	cJSON *answer = ask(agent, "{\"command\":\"incidents\",\"all\":true}", false);
	char *text = cJSON_PrintUnformatted(answer);
	assert_non_null(text);
	assert_int_equal(cJSON_GetArraySize(at(answer, "incidents")), MAX_OPEN_INCIDENTS + MAX_RECENT);
	assert_true(strlen(text) < 4 << 20);
	free(text);
	cJSON_Delete(answer);
}

#define WITH_AGENT(test) cmocka_unit_test_setup_teardown(test, open_agent, close_agent)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_AGENT(status_says_what_is_known), WITH_AGENT(unknown_is_absent), WITH_AGENT(what_is_unusual_is_said_once_it_is_known), WITH_AGENT(pause_is_shown_until_it_is_over),
		WITH_AGENT(incidents_are_filtered_and_newest_first), WITH_AGENT(incident_is_found_by_its_beginning), WITH_AGENT(what_was_considered_is_told),
		WITH_AGENT(actions_newest_first), WITH_AGENT(remedies_say_armed_budget_and_record), WITH_AGENT(changing_is_for_root),
		WITH_AGENT(pause_and_resume), WITH_AGENT(reload_tells_faults), WITH_AGENT(apply_builds_the_order),
		WITH_AGENT(apply_refuses_what_is_not_meant), WITH_AGENT(a_guard_refuses_by_name), WITH_AGENT(what_is_no_command),
		WITH_AGENT(a_task_stays_open_until_it_is_closed), WITH_AGENT(no_more_tasks_than_there_is_room_for),
		WITH_AGENT(the_largest_answer_fits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
