/* SPDX-License-Identifier: Apache-2.0 */
/* See router.h: which incidents are known, by which rule they go, and whether there is something to tell of them. */
#include "push/router.h"

#include "keep/document.h"

void router_init(struct router *router, const struct rule *rules, uint32_t count, int64_t wall_ns)
{
	/* Not as a whole: the tables are a megabyte, most of which nobody ever touches. */
	router->rule_count = count < ROUTER_RULES ? count : ROUTER_RULES;
	router->floor_wall_ns = router->asked_wall_ns = wall_ns;
	router->orphans_ns = 0;
	router->tracked_count = router->group_count = router->flap_count = 0;
	router->lost = 0;
	memcpy(router->rules, rules, router->rule_count * sizeof(rules[0]));
}

/* --- rules ------------------------------------------------------------------------------------------------------------ */

static bool rule_names_policy(const struct rule *rule, const char *policy)
{
	for (uint32_t i = 0; i < rule->policy_count && i < ROUTER_POLICIES; i++)
		if (strcmp(rule->policies[i], policy) == 0)
			return true;
	return rule->policy_count == 0;
}

int rule_find(const struct rule *rules, uint32_t count, const struct notice *notice, bool parent_is_told)
{
	/* Its cause is told here; what needs a person is told in any case. */
	if (notice->parent[0] && parent_is_told && notice->state != INCIDENT_NEEDS_HUMAN)
		return -1;
	for (uint32_t i = 0; i < count; i++) {
		const struct rule *rule = &rules[i];
		bool severe = rule->severities >> notice->severity & 1 || notice->state == INCIDENT_NEEDS_HUMAN;
		if (rule->kinds >> notice->kind & 1 && severe && rule_names_policy(rule, notice->policy))
			return (int)i;
	}
	return -1;
}

/* --- incidents -------------------------------------------------------------------------------------------------------- */

bool router_has_news(const struct router *router, const struct tracked *tracked)
{
	const struct notice *notice = &tracked->notice;
	if (tracked->asked)
		return true;
	if (tracked->told && tracked->told_state == notice->state && tracked->told_severity == notice->severity)
		return false;
	if (notice->state == INCIDENT_RESOLVED && tracked->told)
		return tracked->told_state != INCIDENT_RESOLVED;
	if (notice->state == INCIDENT_NEEDS_HUMAN)
		return true;
	return !tracked->quiet && !tracked->unmatched && router->rules[tracked->rule].states >> notice->state & 1;
}

/* Of these nothing will be told any more; they are kept so that they are not taken for new when the agent speaks of them again. */
static bool is_done(const struct router *router, const struct tracked *tracked)
{
	return tracked->notice.state == INCIDENT_RESOLVED && !router_has_news(router, tracked);
}

struct tracked *router_add(struct router *router)
{
	if (router->tracked_count == ROUTER_TRACKED) {
		uint32_t victim = 0;
		for (uint32_t i = 0; i < router->tracked_count; i++) {
			victim = i;
			if (is_done(router, &router->tracked[i]))
				break;
		}
		if (!is_done(router, &router->tracked[victim])) {
			victim = 0; /* the oldest */
			router->lost++;
		}
		int64_t ended = router->tracked[victim].notice.resolved_wall_ns;
		if (ended > router->floor_wall_ns)
			router->floor_wall_ns = ended;
		router->tracked_count--;
		memmove(&router->tracked[victim], &router->tracked[victim + 1], (router->tracked_count - victim) * sizeof(router->tracked[0]));
	}
	struct tracked *tracked = &router->tracked[router->tracked_count++];
	*tracked = (struct tracked){ .confirmed = true };
	return tracked;
}

static struct tracked *find(const struct router *router, const char *id)
{
	for (uint32_t i = 0; i < router->tracked_count; i++)
		if (strcmp(router->tracked[i].notice.id, id) == 0)
			return (struct tracked *)&router->tracked[i];
	return NULL;
}

bool router_tells(const struct router *router, const char *id)
{
	for (uint32_t i = 0; id[0] && i < router->tracked_count; i++)
		if (strcmp(router->tracked[i].notice.id, id) == 0)
			return !router->tracked[i].unmatched;
	return false;
}

static struct tracked *find_or_add(struct router *router, const struct notice *notice)
{
	struct tracked *tracked = find(router, notice->id);
	if (tracked)
		return tracked;
	if (notice->state == INCIDENT_RESOLVED && notice->resolved_wall_ns <= router->floor_wall_ns)
		return NULL; /* the agent tells a new sender of the past, too */
	return rule_find(router->rules, router->rule_count, notice, router_tells(router, notice->parent)) >= 0 ? router_add(router) : NULL;
}

bool router_note(struct router *router, const struct notice *notice, int64_t now_ns)
{
	struct tracked *tracked = find_or_add(router, notice);
	if (!tracked)
		return false;

	bool is_new = !tracked->notice.id[0], had_news = !is_new && router_has_news(router, tracked);
	bool ended = notice->state == INCIDENT_RESOLVED && (is_new || tracked->notice.state != INCIDENT_RESOLVED);
	bool changed = is_new || tracked->notice.state != notice->state || tracked->notice.severity != notice->severity;
	/* What was told by one rule stays with it: its end belongs where its beginning was told. */
	int rule = tracked->told ? (int)tracked->rule : rule_find(router->rules, router->rule_count, notice, router_tells(router, notice->parent));
	tracked->unmatched = rule < 0; /* it has become milder than any rule asks for, before it was told */
	if (rule >= 0)
		tracked->rule = (uint32_t)rule;
	tracked->notice = *notice;
	tracked->confirmed = true;
	if (is_new || ended)
		flap_on_change(router, tracked, ended, now_ns);
	tracked = find(router, notice->id); /* flapping adds a row, which may move this one, or take its place */
	if (tracked && !had_news)
		tracked->news_ns = now_ns;
	return changed;
}

bool router_tell(struct router *router, const struct notice *notice, int64_t ended_wall_ns, int64_t now_ns)
{
	if (ended_wall_ns <= router->asked_wall_ns)
		return false; /* the agent tells a new sender of the past, too */
	router->asked_wall_ns = ended_wall_ns;
	struct tracked *tracked = find(router, notice->id);
	if (!tracked)
		tracked = router_add(router);
	tracked->notice = *notice;
	tracked->asked = true;
	tracked->news_ns = now_ns;
	return true;
}

void router_deed(struct router *router, const char *incident, const char *line)
{
	struct tracked *tracked = find(router, incident);
	if (tracked)
		text_copy(tracked->notice.action, sizeof(tracked->notice.action), line);
}
