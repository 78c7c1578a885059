/* SPDX-License-Identifier: Apache-2.0 */
/* See rules.h. */
#include "push/rules.h"

#include <stdio.h>

_Static_assert((int)ROUTER_RULES >= (int)MAX_ROUTES && (int)ROUTER_POLICIES == (int)MAX_ROUTE_POLICIES && (int)ROUTER_FLAP_MAX == (int)MAX_ROUTE_FLAPS,
	       "a route fits in a rule");
_Static_assert(RULE_GROUP_KIND == 1 << GROUP_KIND && RULE_GROUP_SEVERITY == 1 << GROUP_SEVERITY && RULE_GROUP_POLICY == 1 << GROUP_POLICY &&
		       RULE_GROUP_RESOURCE == 1 << GROUP_RESOURCE,
	       "the masks are the same");

/* As agent/core/output_table.c has the defaults of a route. */
static const struct rule everything = {
	.kinds = ~0U,
	.severities = ~0U,
	.states = ~0U,
	.group_wait_ns = 10 * NSEC_PER_SEC,
	.group_interval_ns = 10 * NSEC_PER_SEC,
	.repeat_ns = 4 * 3600 * NSEC_PER_SEC,
	.flap_count = 3,
	.flap_within_ns = 30 * 60 * NSEC_PER_SEC,
};

static struct rule rule_of(const struct route *route)
{
	struct rule rule = {
		.kinds = route->kinds,
		.severities = route->severities,
		.states = route->states,
		.policy_count = route->policy_count,
		.group_by = route->group_by,
		.group_wait_ns = route->group_wait_ns,
		/* The interval keeps a large group from talking all the time; an incident by itself has few news, and its end should not wait. */
		.group_interval_ns = route->group_by ? route->group_interval_ns : route->group_wait_ns,
		.repeat_ns = route->repeat_ns,
		.flap_count = route->flap_count,
		.flap_within_ns = route->flap_within_ns,
	};
	memcpy(rule.policies, route->policies, sizeof(rule.policies));
	return rule;
}

uint32_t rules_of(const struct outputs *outputs, uint32_t output, struct rule ret[ROUTER_RULES])
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < outputs->route_count && count < ROUTER_RULES; i++)
		if (outputs->routes[i].output == output)
			ret[count++] = rule_of(&outputs->routes[i]);
	if (!count)
		ret[count++] = everything;
	return count;
}

void rules_home(const struct outputs *outputs, uint32_t output, struct notice_home *ret)
{
	*ret = (struct notice_home){ 0 };
	notice_take(ret->node, sizeof(ret->node), outputs->node);
	notice_take(ret->cluster, sizeof(ret->cluster), outputs->each[output].cluster);
	const char *colon = strrchr(outputs->listen, ':');
	if (!colon)
		return;
	/* Where it listens on all addresses, the node's name is the one that others know it by. */
	size_t host = (size_t)(colon - outputs->listen);
	bool anywhere = host == 0 || strncmp(outputs->listen, "0.0.0.0:", 8) == 0 || strncmp(outputs->listen, "[::]:", 5) == 0;
	if (anywhere)
		snprintf(ret->base_url, sizeof(ret->base_url), "http://%s%s", outputs->node, colon);
	else
		snprintf(ret->base_url, sizeof(ret->base_url), "http://%s", outputs->listen);
}
