/* SPDX-License-Identifier: Apache-2.0 */
/* See router.h: groups, when each is due, and what its message says. */
#include <stdio.h>

#include "keep/document.h"
#include "push/router.h"

static bool same_resource(const struct notice *a, const struct notice *b)
{
	return a->resource_type == b->resource_type && a->pid == b->pid && strcmp(a->resource, b->resource) == 0;
}

static bool belongs(const struct router *router, const struct tracked *tracked, uint32_t rule, const struct notice *key)
{
	const struct notice *notice = &tracked->notice;
	uint32_t by = router->rules[rule].group_by;
	if (tracked->rule != rule)
		return false;
	if (!by)
		return strcmp(notice->id, key->id) == 0;
	return (!(by & RULE_GROUP_KIND) || notice->kind == key->kind) && (!(by & RULE_GROUP_SEVERITY) || notice->severity == key->severity) &&
	       (!(by & RULE_GROUP_POLICY) || strcmp(notice->policy, key->policy) == 0) &&
	       (!(by & RULE_GROUP_RESOURCE) || same_resource(notice, key));
}

static struct told_group *find_group(const struct router *router, const struct tracked *tracked)
{
	for (uint32_t i = 0; i < router->group_count; i++)
		if (belongs(router, tracked, router->groups[i].rule, &router->groups[i].key))
			return (struct told_group *)&router->groups[i];
	return NULL;
}

/* Told of as trouble, and not yet as over. */
static bool is_active(const struct tracked *tracked)
{
	return tracked->told && tracked->told_state != INCIDENT_RESOLVED;
}

/* Flapping is said once; what a person must do is said until it is done. */
static bool is_repeated(const struct tracked *tracked)
{
	return is_active(tracked) && !tracked->notice.flapping && (!tracked->quiet || tracked->notice.state == INCIDENT_NEEDS_HUMAN);
}

static int64_t tracked_due(const struct router *router, const struct tracked *tracked)
{
	const struct rule *rule = &router->rules[tracked->rule];
	bool news = router_has_news(router, tracked);
	if (!news && !is_repeated(tracked))
		return INT64_MAX;
	if (news && (tracked->asked || tracked->notice.state == INCIDENT_NEEDS_HUMAN))
		return tracked->news_ns;

	const struct told_group *group = find_group(router, tracked);
	if (!group)
		return news ? tracked->news_ns + (int64_t)rule->group_wait_ns : INT64_MAX;
	if (!news)
		return rule->repeat_ns ? group->last_ns + (int64_t)rule->repeat_ns : INT64_MAX;
	int64_t at = group->last_ns + (int64_t)rule->group_interval_ns;
	return at > tracked->news_ns ? at : tracked->news_ns;
}

int64_t router_due(const struct router *router)
{
	int64_t due = flap_due(router);
	if (router->orphans_ns && router->orphans_ns < due)
		due = router->orphans_ns;
	for (uint32_t i = 0; i < router->tracked_count; i++) {
		int64_t at = tracked_due(router, &router->tracked[i]);
		due = at < due ? at : due;
	}
	return due;
}

/* --- what is over without anybody having said so ---------------------------------------------------------------------- */

static void resolve_orphans(struct router *router, int64_t now_ns, int64_t wall_ns)
{
	if (!router->orphans_ns || now_ns < router->orphans_ns)
		return;
	router->orphans_ns = 0;
	for (uint32_t i = 0; i < router->tracked_count; i++) {
		struct tracked *tracked = &router->tracked[i];
		bool known = tracked->notice.flapping ? flap_is_on(router, &tracked->notice) : tracked->confirmed;
		if (known || tracked->notice.state == INCIDENT_RESOLVED)
			continue;
		tracked->notice.state = INCIDENT_RESOLVED;
		tracked->notice.resolved_wall_ns = wall_ns;
		tracked->news_ns = now_ns;
		snprintf(tracked->notice.why, sizeof(tracked->notice.why), "the agent no longer knows of it");
	}
}

/* --- one message ------------------------------------------------------------------------------------------------------ */

static struct told_group *add_group(struct router *router, const struct tracked *first, int64_t now_ns)
{
	/* Each is dropped with its last incident, so there are no more groups than incidents; a state file may say otherwise. */
	if (router->group_count == ROUTER_TRACKED)
		router->group_count--;
	struct told_group *group = &router->groups[router->group_count++];
	*group = (struct told_group){ .rule = first->rule, .key = first->notice };
	group->last_ns = now_ns - (int64_t)router->rules[first->rule].group_interval_ns;
	text_copy(group->thread, sizeof(group->thread), first->notice.id);
	return group;
}

static bool goes_before(const struct message_item *a, const struct message_item *b)
{
	if (a->news != b->news)
		return a->news;
	if (a->notice->severity != b->notice->severity)
		return a->notice->severity > b->notice->severity;
	return a->notice->opened_wall_ns < b->notice->opened_wall_ns;
}

/* In order, the last ones falling off. */
static void insert(struct message *message, struct message_item item)
{
	uint32_t at = message->count;
	while (at > 0 && goes_before(&item, &message->items[at - 1]))
		at--;
	if (at == MESSAGE_MAX)
		return;
	uint32_t tail = (message->count < MESSAGE_MAX ? message->count : MESSAGE_MAX - 1) - at;
	memmove(&message->items[at + 1], &message->items[at], tail * sizeof(item));
	message->items[at] = item;
	if (message->count < MESSAGE_MAX)
		message->count++;
}

/* How many news there are, listed or not. */
static uint32_t fill(const struct router *router, const struct told_group *group, struct message *message)
{
	uint32_t news = 0, old = 0;
	for (uint32_t i = 0; i < router->tracked_count; i++) {
		const struct tracked *tracked = &router->tracked[i];
		if (!belongs(router, tracked, group->rule, &group->key))
			continue;
		struct message_item item = { .notice = &tracked->notice, .news = router_has_news(router, tracked), .told_before = tracked->told };
		if (!item.news && !is_active(tracked))
			continue;
		message->firing |= tracked->notice.state != INCIDENT_RESOLVED;
		*(item.news ? &news : &old) += 1;
		insert(message, item);
	}
	uint32_t listed_news = news < MESSAGE_MAX ? news : MESSAGE_MAX;
	message->cut = old - (message->count - listed_news);
	return news;
}

static void mark_told(struct router *router, const struct message *message)
{
	for (uint32_t i = 0; i < message->count; i++) {
		struct tracked *tracked = &router->tracked[(struct tracked *)message->items[i].notice - router->tracked];
		if (!message->items[i].news)
			continue;
		tracked->told = true;
		tracked->asked = tracked->unmatched = false;
		tracked->told_state = tracked->notice.state;
		tracked->told_severity = tracked->notice.severity;
	}
}

_Static_assert(offsetof(struct tracked, notice) == 0, "an item's notice is its row");

static bool is_alive(const struct router *router, const struct told_group *group)
{
	for (uint32_t i = 0; i < router->tracked_count; i++) {
		const struct tracked *tracked = &router->tracked[i];
		if (belongs(router, tracked, group->rule, &group->key) && (is_active(tracked) || router_has_news(router, tracked)))
			return true;
	}
	return false;
}

static void drop_dead_groups(struct router *router)
{
	for (uint32_t i = 0; i < router->group_count;)
		if (is_alive(router, &router->groups[i]))
			i++;
		else
			router->groups[i] = router->groups[--router->group_count];
}

static void write_message(struct router *router, const struct tracked *first, int64_t now_ns, int64_t wall_ns, struct message *ret)
{
	struct told_group *group = find_group(router, first);
	if (!group)
		group = add_group(router, first, now_ns);

	*ret = (struct message){ .wall_ns = wall_ns, .sequence = group->sequence };
	text_copy(ret->thread, sizeof(ret->thread), group->thread);
	uint32_t news = fill(router, group, ret);
	ret->reason = group->sequence == 0 ? REASON_NEW : news ? REASON_CHANGED : REASON_REPEAT;
	group->sequence++;
	mark_told(router, ret);
	if (news <= MESSAGE_MAX)
		group->last_ns = now_ns; /* else the rest follows at once */
}

bool router_next(struct router *router, int64_t now_ns, int64_t wall_ns, struct message *ret)
{
	flap_turn(router, now_ns, wall_ns);
	resolve_orphans(router, now_ns, wall_ns);
	drop_dead_groups(router);

	const struct tracked *first = NULL;
	int64_t due = now_ns;
	for (uint32_t i = 0; i < router->tracked_count; i++) {
		int64_t at = tracked_due(router, &router->tracked[i]);
		if (at > now_ns || (first && at >= due))
			continue;
		first = &router->tracked[i];
		due = at;
	}
	if (!first)
		return false;
	write_message(router, first, now_ns, wall_ns, ret);
	return true;
}
