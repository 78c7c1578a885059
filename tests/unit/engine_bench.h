/* SPDX-License-Identifier: Apache-2.0 */
/* An engine on a bench: two policies that enforce, a hog and a pig, and time that passes when the test says so. */
#ifndef NODEMEND_TESTS_ENGINE_BENCH_H
#define NODEMEND_TESTS_ENGINE_BENCH_H

#include "scene.h"

#include <errno.h>

#include "decide/decide.h"
#include "decide/guard.h"

struct bench {
	struct snapshot *snap;
	struct config *config;
	struct findings *findings;
	struct saved_state *saved;
	struct engine *engine;
	struct changes *changes;
	struct circumstances now;
};

static const char two_policies[] =
	"policies:\n"
	"  - name: first\n"
	"    mode: enforce\n"
	"    when: {process: {comm: hog, memory: {above: 100MiB}}}\n"
	"    do:\n"
	"      - terminate: {scope: process}\n"
	"        expect: {exited: 1, within: 5s}\n"
	"      - restart-unit: {unit: app.service}\n"
	"        expect: {unit: active, within: 5s}\n"
	"    limits: {cooldown: 60s, per_target: 3/1h, per_node: 5/1d}\n"
	"  - name: second\n"
	"    mode: enforce\n"
	"    when: {process: {comm: pig, memory: {above: 100MiB}}}\n"
	"    do:\n"
	"      - terminate: {scope: process}\n"
	"        expect: {exited: 1, within: 5s}\n"
	"    limits: {cooldown: 60s, per_target: 2/1h, per_node: 2/1d}\n";

static inline void reset(struct bench *bench)
{
	memset(&bench->saved->pause, 0, sizeof(bench->saved->pause));
	bench->saved->act_count = bench->saved->machine_count = bench->saved->incident_count = bench->saved->closed_count = 0;
	bench->saved->foreign_count = bench->saved->lesson_count = 0;
	bench->engine->last_ended = (struct ended_one){ 0 };
	bench->engine->recent_action_count = bench->engine->recent_incident_count = 0;
	for (uint32_t i = 0; i < MAX_ORDERS; i++)
		bench->engine->orders[i].phase = ORDER_FREE;
	bench->changes->incident_count = bench->changes->action_count = bench->changes->order_count = bench->changes->revert_count = 0;
	bench->now = (struct circumstances){ .boot_ns = SECONDS(10000), .agent_started_boot_ns = SECONDS(9000) };
	bench->config->mode = MODE_ENFORCE;
}

static inline struct bench set_up(const char *yaml)
{
	struct bench bench = {
		.snap = scene_new(), .config = scene_config(yaml), .findings = calloc(1, sizeof(struct findings)),
		.saved = calloc(1, sizeof(struct saved_state)), .engine = calloc(1, sizeof(struct engine)), .changes = calloc(1, sizeof(struct changes)),
	};
	assert_true(bench.findings && bench.saved && bench.engine && bench.changes);
	engine_init(bench.engine, bench.saved);
	reset(&bench);
	scene_process(bench.snap, 41, "hog", MIB(200), (int64_t)MIB(100));
	scene_process(bench.snap, 42, "pig", MIB(200), (int64_t)MIB(100));
	return bench;
}

static inline void tear_down(struct bench *bench)
{
	free(bench->snap);
	free(bench->config);
	free(bench->findings);
	free(bench->saved);
	free(bench->engine);
	free(bench->changes);
}

static inline void set_finding(struct bench *bench, uint32_t policy, enum verdict verdict)
{
	struct finding *finding = &bench->findings->each[policy];
	int32_t pid = 41 + (int32_t)policy;
	*finding = (struct finding){ .policy = policy, .kind = KIND_MEMORY_EXHAUSTION, .verdict = verdict };
	finding->target = (struct target){ .type = TARGET_PROCESS, .pid = pid, .start_ns = (uint64_t)pid * 1000 };
	snprintf(finding->target.name, sizeof(finding->target.name), "%s", policy ? "pig" : "hog");
	snprintf(finding->key, sizeof(finding->key), "process:%d:%d", pid, pid * 1000);
	if (bench->findings->count < policy + 1)
		bench->findings->count = policy + 1;
}

static inline void clear_changes(struct bench *bench)
{
	bench->changes->incident_count = bench->changes->action_count = bench->changes->order_count = bench->changes->revert_count = bench->changes->cut = 0;
}

static inline void decide(struct bench *bench)
{
	clear_changes(bench);
	engine_decide(bench->engine, bench->snap, bench->findings, bench->config, &bench->now, bench->changes);
}

static inline uint32_t tick(struct bench *bench, uint64_t seconds)
{
	bench->now.boot_ns += SECONDS(seconds);
	bench->now.wall_ns += (int64_t)SECONDS(seconds);
	bench->snap->seq++;
	decide(bench);
	return bench->changes->order_count;
}

static inline const char *dispatch(struct bench *bench, uint32_t slot)
{
	return engine_still_wanted(bench->engine, slot, bench->findings, bench->config, &bench->now, bench->changes);
}

static inline void answer(struct bench *bench, uint32_t slot, enum outcome outcome)
{
	struct remedy_result result = { .verb = REMEDY_VERB_APPLY, .outcome = outcome };
	effect_clear(&result.expected);
	effect_clear(&result.observed);
	if (outcome == OUTCOME_FIXED || outcome == OUTCOME_IMPROVED)
		result.observed.exited = 1;
	memcpy(result.action_id, bench->engine->orders[slot].action.id, ID_LEN);
	clear_changes(bench);
	engine_result(bench->engine, slot, &result, bench->config, &bench->now, bench->changes);
}

#endif
