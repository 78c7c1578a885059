/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hand-made agent in the middle of an incident, for the tests of what it answers and how that is shown. What changes an agent
 * is replaced by a record of the call, so that nothing acts.
 */
#ifndef NODEMEND_TESTS_AGENT_FIXTURE_H
#define NODEMEND_TESTS_AGENT_FIXTURE_H

#include <errno.h>

#include "agent.h"
#include "scene.h"

/* What the control commands asked of the agent. */
static struct {
	uint32_t pauses, resumes, reloads, applies;
	uint64_t pause_ns;
	char reason[WHY_LEN];
	enum remedy_id remedy;
	struct target target;
	union remedy_args args;
	bool dry_run;
	int reload_error, apply_error;
} asked;

void agent_pause(struct agent *agent, uint64_t for_ns, const char *reason)
{
	asked.pauses++;
	asked.pause_ns = for_ns;
	snprintf(asked.reason, sizeof(asked.reason), "%s", reason);
	agent->saved->pause.paused = true;
	snprintf(agent->saved->pause.reason, sizeof(agent->saved->pause.reason), "%s", reason);
}

void agent_resume(struct agent *agent)
{
	asked.resumes++;
	agent->saved->pause.paused = false;
}

int agent_reload(struct agent *agent, struct config_faults *faults)
{
	asked.reloads++;
	if (asked.reload_error == -EINVAL)
		config_fault(faults, "/etc/nodemend/nodemend.yaml", 3, 7, "no such key 'intervall'; did you mean 'interval'?");
	return asked.reload_error;
}

int agent_apply(struct agent *agent, enum remedy_id remedy, const struct target *target, const union remedy_args *args, bool dry_run,
		char ret_id[ID_LEN], char *why, size_t why_size)
{
	asked.applies++;
	asked.remedy = remedy;
	asked.target = *target;
	asked.args = *args;
	asked.dry_run = dry_run;
	snprintf(why, why_size, "pause");
	snprintf(ret_id, ID_LEN, "a1-1");
	return asked.apply_error;
}

#define FIXTURE_WALL_NS 1795428000000000000LL /* 2026-11-23T10:00:00Z */

static const char fixture_yaml[] =
	"node: n1\n"
	"mode: enforce\n"
	"policies:\n"
	"  - name: data-fills\n"
	"    when: {filesystem: {mountpoint: /data, used_percent: {above: 90, clear: 85}}}\n"
	"    mode: enforce\n"
	"    do:\n"
	"      - clean-files: {root: /data/app/logs, match: ['*.log.*'], min_age: 10m}\n"
	"        expect: {freed: 200MiB, within: 5s}\n"
	"      - restart-unit: {unit: app.service}\n"
	"        expect: {unit: active, within: 30s}\n"
	"    limits: {cooldown: 10m, per_target: 3/1h, per_node: 10/1d}\n"
	"  - name: memory-watch\n"
	"    when: {process: {comm: grower, memory: {above: 1GiB}}}\n"
	"    do:\n"
	"      - terminate: {scope: process}\n"
	"        expect: {freed: 500MiB, within: 10s}\n";

static inline void fixture_incident(struct incident *incident)
{
	*incident = (struct incident){
		.kind = KIND_DISK_EXHAUSTION, .severity = SEVERITY_CRITICAL, .state = INCIDENT_MENDING, .opened_wall_ns = FIXTURE_WALL_NS - 192000000000LL,
		.resource = { .type = TARGET_FILESYSTEM, .dev = 0x700000 },
		.signal = { .value = 0.93, .threshold = 0.9, .exhausted_in_ns = SECONDS(412), .confidence_permille = 900 },
		.cause_count = 2, .action_count = 2, .history_count = 3,
	};
	strcpy(incident->id, "i65f1a2b0-1");
	strcpy(incident->policy, "data-fills");
	strcpy(incident->resource.name, "/data");
	strcpy(incident->resource.device, "/dev/vdb");
	strcpy(incident->signal.metric, "node_filesystem_used_ratio");
	incident->causes[0] = (struct cause){ .rank = 1, .pid = 4242, .start_ns = 5, .share_permille = 970 };
	strcpy(incident->causes[0].comm, "dd\033[2J");
	strcpy(incident->causes[0].cgroup, "/system.slice/app.service");
	strcpy(incident->causes[0].unit, "app.service");
	strcpy(incident->causes[0].evidence, "wrote 2.4 GiB in the last 10 s");
	incident->causes[1] = (struct cause){ .rank = 2, .pid = 77, .start_ns = 6, .share_permille = 20 };
	strcpy(incident->causes[1].comm, "logger");
	strcpy(incident->actions[0], "a65f1a2b0-1");
	strcpy(incident->actions[1], "a65f1a2b0-2");
	static const char *const whys[] = { "used 93 % is above 90 %", "policy data-fills: clean-files", "policy data-fills: restart-unit" };
	for (uint32_t i = 0; i < 3; i++) {
		incident->history[i].wall_ns = incident->opened_wall_ns + (int64_t)SECONDS(i);
		incident->history[i].state = i ? INCIDENT_MENDING : INCIDENT_OPEN;
		strcpy(incident->history[i].why, whys[i]);
	}
}

static inline void fixture_action(struct action *action, const char *id, const char *remedy, enum outcome outcome)
{
	*action = (struct action){
		.mode = MODE_ENFORCE, .target = { .type = TARGET_FILESYSTEM, .dev = 0x700000 }, .plan_count = 1, .outcome = outcome,
		.started_wall_ns = FIXTURE_WALL_NS - 191000000000LL, .ended_wall_ns = FIXTURE_WALL_NS - 189800000000LL,
	};
	strcpy(action->id, id);
	strcpy(action->incident, "i65f1a2b0-1");
	strcpy(action->policy, "data-fills");
	strcpy(action->remedy, remedy);
	strcpy(action->target.name, "/data");
	effect_clear(&action->expected);
	effect_clear(&action->observed);
	if (outcome == OUTCOME_REFUSED) {
		strcpy(action->refused_by, "per-target-budget");
		action->plan_count = 0;
		return;
	}
	strcpy(action->plan[0], "delete app.log.\nfake line");
	action->expected.freed_bytes = MIB(200);
	action->expected.within_ns = SECONDS(5);
	action->observed.freed_bytes = MIB(120);
	action->observed.freed_files = 3;
	action->observed.within_ns = SECONDS(1);
	action->step_count = 1;
	strcpy(action->steps[0].name, "unlink");
	strcpy(action->steps[0].detail, "3 files, 120 MiB");
	action->steps[0].started_wall_ns = action->started_wall_ns;
	action->steps[0].ended_wall_ns = action->started_wall_ns + (int64_t)SECONDS(1);
	action->steps[0].ok = true;
}

static inline void fixture_snapshot(struct snapshot *snap)
{
	snap->wall_ns = FIXTURE_WALL_NS;
	snap->seq = 42;
	struct filesystem *root = scene_filesystem(snap, "/", 0x800001, 40), *data = scene_filesystem(snap, "/data", 0x700000, 93);
	strcpy(root->device, "/dev/vda1");
	strcpy(data->device, "/dev/vdb");
	data->exhausted_in_ns = SECONDS(412);
	data->exhausted_confidence_permille = 900;
	scene_process(snap, 77, "logger", MIB(4), 0);
	scene_process(snap, 4242, "dd\033[2J", MIB(8), 0);
	scene_cgroup(snap, 9, "/system.slice/app.service", MIB(12));

	snap->cpu.online = 2;
	snap->cpu.used_permille = 231;
	snap->cpu.load1_milli = 420;
	snap->memory.total = MIB(8192);
	snap->memory.available = MIB(3072);
	snap->memory.swap_total = snap->memory.swap_free = UNKNOWN;
	snap->psi.some[PSI_IO].avg10_centi = 1234;
	snap->psi.has_full[PSI_MEMORY] = true;
	snap->disks.count = 1;
	strcpy(snap->disks.each[0].name, "vdb");
	snap->disks.each[0].busy_permille = 980;
	snap->interfaces.count = 1;
	strcpy(snap->interfaces.each[0].name, "eth0");
	snap->interfaces.each[0].up = true;
	snap->interfaces.each[0].rx_delta_bytes = MIB(1);
	snap->interfaces.each[0].tx_delta_bytes = 2048;
	snap->interfaces.each[0].speed_bits = UNKNOWN;

	scene_at(snap, SECONDS(1000));
	snap->disks.measured_ns = snap->interfaces.measured_ns = snap->self.measured_ns = snap->boot_ns;
	snap->self.cpu_ns = SECONDS(1);
	snap->self.publisher_cpu_ns = SECONDS(1);
	snap->self.resident_bytes = MIB(10);
	snap->self.publisher_resident_bytes = MIB(6);
	snap->collector_count = 3;
	strcpy(snap->collectors[0].name, "cpu");
	strcpy(snap->collectors[0].source, "procfs");
	snap->collectors[0].state = COLLECTOR_UP;
	strcpy(snap->collectors[1].name, "syscall");
	strcpy(snap->collectors[1].why, "no program could be loaded: Operation not permitted");
	snap->collectors[1].state = COLLECTOR_DOWN;
	snap->collectors[0].coverage_seen = snap->collectors[0].coverage_expected = UNKNOWN;
	strcpy(snap->collectors[2].name, "task");
	strcpy(snap->collectors[2].source, "tp_btf");
	snap->collectors[2].state = COLLECTOR_UP;
	snap->collectors[2].adjustable = true;
	snap->collectors[2].depth = DEPTH_COUNTS;
	snap->collectors[2].coverage_seen = 93;
	snap->collectors[2].coverage_expected = 100;

	snap->governor = (struct governor_section){ .measured_ns = snap->boot_ns, .windows = 3, .kernel_rate = 14000000, .agent_rate = 3000000,
						    .publisher_rate = 100000, .budget_rate = 20000000, .memory_bytes = MIB(21),
						    .memory_budget_bytes = MIB(64), .processors = 2, .shed_level = 1, .armed = true,
						    .armed_until_ns = snap->boot_ns + SECONDS(42), .armed_by = ARM_IO };
	snap->governor.each[2] = (struct collector_cost){ .kernel_rate = 12000000, .user_rate = 200000, .steps_down = 1 };
	snap->maps.measured_ns = snap->boot_ns;
	snap->maps.count = 2;
	snap->maps.each[0] = (struct bpf_map_stat){ .name = "task_bpf/ended", .collector = 2, .entries = 3900, .capacity = 4096, .bytes = 400000 };
	snap->maps.each[1] = (struct bpf_map_stat){ .name = "task_bpf/totals", .collector = 2, .entries = UNKNOWN, .refused = UNKNOWN, .capacity = 1, .bytes = 500 };
}

static inline struct agent *fixture_new(void)
{
	memset(&asked, 0, sizeof(asked));
	struct agent *agent = calloc(1, sizeof(*agent));
	assert_non_null(agent);
	agent->config = scene_config(fixture_yaml);
	agent->snap = scene_new();
	agent->saved = calloc(1, sizeof(*agent->saved));
	assert_non_null(agent->saved);
	fixture_snapshot(agent->snap);
	engine_init(&agent->engine, agent->saved);
	agent->started_boot_ns = SECONDS(600);
	strcpy(agent->run_dir, "/run/nodemend");
	strcpy(agent->state_dir, "/var/lib/nodemend");

	struct saved_state *saved = agent->saved;
	fixture_incident(&saved->incidents[0]);
	saved->incident_count = 1;
	fixture_action(&agent->engine.recent_actions[0], "a65f1a2b0-1", "clean-files", OUTCOME_IMPROVED);
	fixture_action(&agent->engine.recent_actions[1], "a65f1a2b0-2", "restart-unit", OUTCOME_REFUSED);
	agent->engine.recent_action_count = 2;
	agent->engine.actions_total[REMEDY_CLEAN_FILES][MODE_ENFORCE][OUTCOME_IMPROVED] = 1;

	saved->machine_count = 1;
	strcpy(saved->machines[0].policy, "data-fills");
	strcpy(saved->machines[0].target_key, "filesystem:/data");
	strcpy(saved->machines[0].incident, "i65f1a2b0-1");
	saved->machines[0].state = ENGINE_ARMED;
	saved->machines[0].step = 1;
	saved->act_count = 1;
	strcpy(saved->acts[0].action_id, "a65f1a2b0-1");
	strcpy(saved->acts[0].policy, "data-fills");
	strcpy(saved->acts[0].remedy, "clean-files");
	strcpy(saved->acts[0].target_key, "filesystem:/data");
	saved->acts[0].boot_ns = (int64_t)SECONDS(809);

	agent->next_check = 2;
	agent->armed[REMEDY_CLEAN_FILES].armed = true;
	strcpy(agent->armed[REMEDY_RESTART_UNIT].why, "no system bus");
	return agent;
}

static inline void fixture_free(struct agent *agent)
{
	free(agent->config);
	free(agent->snap);
	free(agent->saved);
	free(agent);
}

#endif
