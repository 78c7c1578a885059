/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exporter to Alertmanagers: every one of them gets everything. One that does not answer is owed the newest batch, not all that were
 * due meanwhile.
 */
#include <errno.h>
#include <stdlib.h>

#include "push/alerts.h"
#include "push/deeds.h"
#include "push/exporter.h"
#include "push/outlet.h"
#include "push/rules.h"

#define LOOK_AGAIN_NS NSEC_PER_SEC /* at one that is still busy with the batch before */

struct alertmanager {
	const struct output *output;
	struct notice_home home;
	uint32_t rule_count;
	struct rule rules[ROUTER_RULES];
	struct alerts alerts;
	struct deeds deeds;
	struct text body;
	uint64_t lost_before;
	uint32_t outlet_count;
	struct outlet *outlets[MAX_OUTPUT_URLS];
	bool owed[MAX_OUTPUT_URLS];
};

static const struct parcel_type parcel_types[] = { { .suffix = "/api/v2/alerts", .content_type = "application/json", .ages = true } };
static const struct outlet_family family = { .types = parcel_types, .type_count = 1 };

static bool is_told_of(const struct alertmanager *am, const char *incident)
{
	for (uint32_t i = 0; i < am->alerts.count; i++)
		if (strcmp(am->alerts.each[i].notice.id, incident) == 0)
			return true;
	return false;
}

static void on_incident(void *state, const struct incident *incident, struct moment now)
{
	struct alertmanager *am = state;
	struct notice notice;
	notice_make(&am->home, incident, deeds_of(&am->deeds, incident->id), &notice);
	if (rule_find(am->rules, am->rule_count, &notice, is_told_of(am, notice.parent)) >= 0 || is_told_of(am, notice.id))
		alerts_note(&am->alerts, &notice, now.boot_ns, now.wall_ns);
}

static void on_action(void *state, const struct action *action, struct moment now)
{
	struct alertmanager *am = state;
	const char *incident = deeds_note(&am->deeds, action);
	if (incident)
		alerts_deed(&am->alerts, incident, deeds_of(&am->deeds, incident), now.boot_ns);
}

static uint64_t on_turn(void *state, struct moment now)
{
	struct alertmanager *am = state;
	bool due = alerts_due(&am->alerts) <= now.boot_ns, owed = false, ready = false;
	for (uint32_t i = 0; i < am->outlet_count; i++) {
		am->owed[i] |= due;
		ready |= am->owed[i] && outlet_is_idle(am->outlets[i]);
	}
	if (due || ready) {
		text_reset(&am->body);
		for (uint32_t i = 0; i < am->outlet_count; i++)
			outlet_drop(am->outlets[i], DROP_QUEUE_FULL, am->alerts.lost - am->lost_before);
		am->lost_before = am->alerts.lost;
		uint32_t count = alerts_write(&am->alerts, now.boot_ns, now.wall_ns, &am->body);
		const struct parcel parcel = { .made_wall_ns = now.wall_ns, .items = count, .body = am->body.data, .size = am->body.length };
		for (uint32_t i = 0; i < am->outlet_count; i++) {
			/* One that is ready gets this batch, too, when it was made for another: it is only sooner than the next. */
			if (!outlet_is_idle(am->outlets[i]))
				continue;
			am->owed[i] = count && !am->body.failed && outlet_put(am->outlets[i], &parcel) < 0;
		}
	}
	for (uint32_t i = 0; i < am->outlet_count; i++)
		owed |= am->owed[i];
	uint64_t next = alerts_due(&am->alerts);
	return owed && next > now.boot_ns + LOOK_AGAIN_NS ? now.boot_ns + LOOK_AGAIN_NS : next;
}

static void close_alertmanager(void *state)
{
	struct alertmanager *am = state;
	if (!am)
		return;
	text_free(&am->body);
	free(am);
}

static int open_alertmanager(const struct exporter_env *env, void **ret)
{
	struct alertmanager *am = calloc(1, sizeof(*am));
	if (!am)
		return -ENOMEM;
	am->output = &env->outputs->each[env->output];
	rules_home(env->outputs, env->output, &am->home);
	am->rule_count = rules_of(env->outputs, env->output, am->rules);
	alerts_init(&am->alerts, am->output->resend_ns);
	for (; am->outlet_count < am->output->url_count; am->outlet_count++) {
		int error = delivery_add(env->delivery, env->outputs, env->output, am->outlet_count, &family, am, &am->outlets[am->outlet_count]);
		if (error < 0) {
			close_alertmanager(am);
			return error;
		}
	}
	*ret = am;
	return 0;
}

const struct exporter alertmanager_exporter = {
	.open = open_alertmanager,
	.close = close_alertmanager,
	.on_incident = on_incident,
	.on_action = on_action,
	.on_turn = on_turn,
};
