/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a router remembers over a restart: whom it has told what, and who flaps; see router.h. The incidents themselves come from the
 * agent again. Times are those since boot as they stood when it was saved; loading carries them over a reboot by the wall clock.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>

#include "keep/document.h"
#include "push/router.h"

#define SCHEMA "nodemend.router/1"
/* However the clocks were set, nothing here waits or looks back for longer. */
#define LONGEST_NS (30LL * 24 * 3600 * (int64_t)NSEC_PER_SEC)

static const struct field notice_fields[] = {
	{ .name = "id", .type = FIELD_ID, .flags = FIELD_NEEDED, FIELD_AT(notice, id) },
	{ .name = "node", .type = FIELD_TEXT, FIELD_AT(notice, node) },
	{ .name = "cluster", .type = FIELD_TEXT, .flags = FIELD_OMIT, FIELD_AT(notice, cluster) },
	{ .name = "policy", .type = FIELD_TEXT, FIELD_AT(notice, policy) },
	{ .name = "kind", .type = FIELD_CHOICE, .flags = FIELD_NEEDED, FIELD_AT(notice, kind), FIELD_NAMES(incident_kind_names) },
	{ .name = "severity", .type = FIELD_CHOICE, .flags = FIELD_NEEDED, FIELD_AT(notice, severity), FIELD_NAMES(severity_names) },
	{ .name = "state", .type = FIELD_CHOICE, .flags = FIELD_NEEDED, FIELD_AT(notice, state), FIELD_NAMES(incident_state_names) },
	{ .name = "flapping", .type = FIELD_BOOL, .flags = FIELD_OMIT, FIELD_AT(notice, flapping) },
	{ .name = "opened", .type = FIELD_I64, FIELD_AT(notice, opened_wall_ns) },
	{ .name = "resolved", .type = FIELD_I64, .flags = FIELD_OMIT, FIELD_AT(notice, resolved_wall_ns) },
	{ .name = "resource_type", .type = FIELD_CHOICE, FIELD_AT(notice, resource_type), FIELD_NAMES(target_type_names) },
	{ .name = "resource", .type = FIELD_TEXT, FIELD_AT(notice, resource) },
	{ .name = "device", .type = FIELD_TEXT, .flags = FIELD_OMIT, FIELD_AT(notice, device) },
	{ .name = "pid", .type = FIELD_SIGNED, .flags = FIELD_OMIT, FIELD_AT(notice, pid) },
};
static const struct fields notice_rows = FIELDS(notice_fields);

static const struct field tracked_fields[] = {
	{ .name = "notice", .type = FIELD_OBJECT, .flags = FIELD_NEEDED, FIELD_AT(tracked, notice), .inner = &notice_rows },
	{ .name = "told", .type = FIELD_BOOL, .flags = FIELD_OMIT, FIELD_AT(tracked, told) },
	{ .name = "quiet", .type = FIELD_BOOL, .flags = FIELD_OMIT, FIELD_AT(tracked, quiet) },
	{ .name = "asked", .type = FIELD_BOOL, .flags = FIELD_OMIT, FIELD_AT(tracked, asked) },
	{ .name = "told_state", .type = FIELD_CHOICE, FIELD_AT(tracked, told_state), FIELD_NAMES(incident_state_names) },
	{ .name = "told_severity", .type = FIELD_CHOICE, FIELD_AT(tracked, told_severity), FIELD_NAMES(severity_names) },
	{ .name = "news_ns", .type = FIELD_I64, FIELD_AT(tracked, news_ns) },
};
static const struct fields tracked_rows = FIELDS(tracked_fields);

static const struct field group_fields[] = {
	{ .name = "rule", .type = FIELD_UNSIGNED, FIELD_AT(told_group, rule) },
	{ .name = "key", .type = FIELD_OBJECT, .flags = FIELD_NEEDED, FIELD_AT(told_group, key), .inner = &notice_rows },
	{ .name = "thread", .type = FIELD_ID, .flags = FIELD_NEEDED, FIELD_AT(told_group, thread) },
	{ .name = "sequence", .type = FIELD_UNSIGNED, FIELD_AT(told_group, sequence) },
	{ .name = "last_ns", .type = FIELD_I64, FIELD_AT(told_group, last_ns) },
};
static const struct fields group_rows = FIELDS(group_fields);

static const struct field end_field[] = { { .type = FIELD_I64, .size = sizeof(int64_t) } };
static const struct fields end_rows = FIELDS(end_field);

static const struct field flap_fields[] = {
	{ .name = "resource", .type = FIELD_OBJECT, .flags = FIELD_NEEDED, FIELD_AT(flap, resource), .inner = &notice_rows },
	{ .name = "ends_ns", .type = FIELD_LIST, FIELD_EACH(flap, ends_ns, count), .inner = &end_rows },
	{ .name = "flapping", .type = FIELD_BOOL, .flags = FIELD_OMIT, FIELD_AT(flap, flapping) },
	{ .name = "changed_ns", .type = FIELD_I64, FIELD_AT(flap, changed_ns) },
};
static const struct fields flap_rows = FIELDS(flap_fields);

static const struct field router_fields[] = {
	{ .name = "floor_wall_ns", .type = FIELD_I64, .flags = FIELD_NEEDED, FIELD_AT(router, floor_wall_ns) },
	{ .name = "asked_wall_ns", .type = FIELD_I64, FIELD_AT(router, asked_wall_ns) },
	{ .name = "lost", .type = FIELD_U64, FIELD_AT(router, lost) },
	{ .name = "tracked", .type = FIELD_LIST, .flags = FIELD_NEEDED, FIELD_EACH(router, tracked, tracked_count), .inner = &tracked_rows },
	{ .name = "groups", .type = FIELD_LIST, .flags = FIELD_NEEDED, FIELD_EACH(router, groups, group_count), .inner = &group_rows },
	{ .name = "flaps", .type = FIELD_LIST, .flags = FIELD_NEEDED, FIELD_EACH(router, flaps, flap_count), .inner = &flap_rows },
};
static const struct fields router_rows = FIELDS(router_fields);

/* When it was saved, in both clocks. */
struct saved_at { int64_t boot_ns, wall_ns; };
static const struct field saved_fields[] = {
	{ .name = "saved_boot_ns", .type = FIELD_I64, .flags = FIELD_NEEDED, FIELD_AT(saved_at, boot_ns) },
	{ .name = "saved_wall_ns", .type = FIELD_I64, .flags = FIELD_NEEDED, FIELD_AT(saved_at, wall_ns) },
};
static const struct fields saved_rows = FIELDS(saved_fields);

int router_save(const struct router *router, int64_t now_ns, int64_t wall_ns, struct text *out)
{
	const struct saved_at saved = { .boot_ns = now_ns, .wall_ns = wall_ns };
	cJSON *json = cJSON_CreateObject();
	bool whole = json && cJSON_AddStringToObject(json, "schema", SCHEMA) && fields_write(&saved_rows, &saved, json) == 0 &&
		     fields_write(&router_rows, router, json) == 0;
	char *printed = whole ? cJSON_PrintUnformatted(json) : NULL;
	if (printed)
		text_string(out, printed);
	free(printed);
	cJSON_Delete(json);
	return printed && !out->failed ? 0 : -ENOMEM;
}

/* --- loading ---------------------------------------------------------------------------------------------------------- */

/* How the clocks have moved since. */
struct shift { int64_t saved_ns, now_ns, away_ns; };

static int64_t within(int64_t value, int64_t least, int64_t most)
{
	return value < least ? least : value > most ? most : value;
}

static int64_t shifted(const struct shift *shift, int64_t at_ns)
{
	int64_t age = 0;
	if (__builtin_sub_overflow(shift->saved_ns, at_ns, &age))
		age = LONGEST_NS;
	return shift->now_ns - shift->away_ns - within(age, -LONGEST_NS, LONGEST_NS);
}

static void take_again(struct notice *notice)
{
	struct notice raw = *notice;
	notice_take(notice->node, sizeof(notice->node), raw.node);
	notice_take(notice->cluster, sizeof(notice->cluster), raw.cluster);
	notice_take(notice->policy, sizeof(notice->policy), raw.policy);
	notice_take(notice->resource, sizeof(notice->resource), raw.resource);
	notice_take(notice->device, sizeof(notice->device), raw.device);
	notice->exhausted_in_ns = UNKNOWN;
}

/* The rules may be others by now. */
static uint32_t rule_of(const struct router *router, const struct notice *notice)
{
	int rule = rule_find(router->rules, router->rule_count, notice, router_tells(router, notice->parent));
	return rule < 0 ? 0 : (uint32_t)rule;
}

static void adopt(struct router *loaded, const struct shift *shift)
{
	for (uint32_t i = 0; i < loaded->tracked_count; i++) {
		struct tracked *tracked = &loaded->tracked[i];
		take_again(&tracked->notice);
		tracked->rule = rule_of(loaded, &tracked->notice);
		tracked->news_ns = shifted(shift, tracked->news_ns);
	}
	for (uint32_t i = 0; i < loaded->group_count; i++) {
		struct told_group *group = &loaded->groups[i];
		take_again(&group->key);
		group->last_ns = shifted(shift, group->last_ns);
		group->rule = group->rule < loaded->rule_count ? group->rule : 0;
	}
	for (uint32_t i = 0; i < loaded->flap_count; i++) {
		struct flap *flap = &loaded->flaps[i];
		take_again(&flap->resource);
		flap->rule = rule_of(loaded, &flap->resource);
		flap->changed_ns = shifted(shift, flap->changed_ns);
		for (uint32_t k = 0; k < flap->count; k++)
			flap->ends_ns[k] = shifted(shift, flap->ends_ns[k]);
	}
	loaded->orphans_ns = shift->now_ns + (int64_t)ROUTER_ORPHAN_NS;
}

static int read_json(const cJSON *json, struct saved_at *saved, struct router *loaded)
{
	const cJSON *schema = cJSON_GetObjectItemCaseSensitive(json, "schema");
	if (!cJSON_IsString(schema) || strcmp(schema->valuestring, SCHEMA) != 0)
		return -EINVAL;
	int error = fields_read(&saved_rows, json, saved, NULL);
	return error < 0 ? error : fields_read(&router_rows, json, loaded, NULL);
}

/* What is in use. */
static void copy(struct router *to, const struct router *from)
{
	to->floor_wall_ns = from->floor_wall_ns;
	/* A file of before there was such a thing says nothing of it. */
	if (from->asked_wall_ns)
		to->asked_wall_ns = from->asked_wall_ns;
	to->orphans_ns = from->orphans_ns;
	to->lost = from->lost;
	to->tracked_count = from->tracked_count;
	to->group_count = from->group_count;
	to->flap_count = from->flap_count;
	memcpy(to->tracked, from->tracked, from->tracked_count * sizeof(from->tracked[0]));
	memcpy(to->groups, from->groups, from->group_count * sizeof(from->groups[0]));
	memcpy(to->flaps, from->flaps, from->flap_count * sizeof(from->flaps[0]));
}

int router_load(struct router *router, const char *text, size_t size, int64_t now_ns, int64_t wall_ns)
{
	struct router *loaded = calloc(1, sizeof(*loaded));
	cJSON *json = cJSON_ParseWithLength(text, size);
	struct saved_at saved = { 0 };
	int error = !loaded ? -ENOMEM : !json || router->rule_count == 0 ? -EINVAL : read_json(json, &saved, loaded);
	cJSON_Delete(json);
	if (error == 0) {
		struct shift shift = { .saved_ns = saved.boot_ns, .now_ns = now_ns };
		if (__builtin_sub_overflow(wall_ns, saved.wall_ns, &shift.away_ns))
			shift.away_ns = LONGEST_NS;
		shift.away_ns = within(shift.away_ns, 0, LONGEST_NS);
		loaded->rule_count = router->rule_count;
		memcpy(loaded->rules, router->rules, sizeof(loaded->rules));
		adopt(loaded, &shift);
		copy(router, loaded);
	}
	free(loaded);
	return error;
}
