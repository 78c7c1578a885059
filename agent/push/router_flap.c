/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flapping, see router.h. A flapping resource is tracked as if it were an incident of its own: opened when it began to flap, resolved
 * when it has been calm; so it is told once each way like any other, and survives a restart like any other.
 */
#include <stdio.h>

#include "push/router.h"

static struct flap *find_flap(const struct router *router, const struct notice *resource)
{
	for (uint32_t i = 0; i < router->flap_count; i++)
		if (notice_same_resource(&router->flaps[i].resource, resource))
			return (struct flap *)&router->flaps[i];
	return NULL;
}

bool flap_is_on(const struct router *router, const struct notice *resource)
{
	const struct flap *flap = find_flap(router, resource);
	return flap && flap->flapping;
}

static void become_calm(struct router *router, const struct flap *flap, int64_t now_ns, int64_t wall_ns)
{
	for (uint32_t i = 0; i < router->tracked_count; i++) {
		struct tracked *tracked = &router->tracked[i];
		if (!notice_same_resource(&tracked->notice, &flap->resource) || tracked->notice.state == INCIDENT_RESOLVED)
			continue;
		if (tracked->notice.flapping) {
			tracked->notice.state = INCIDENT_RESOLVED;
			tracked->notice.resolved_wall_ns = wall_ns;
		}
		tracked->quiet = false;
		tracked->news_ns = now_ns;
	}
}

/* The one that has been still for longest makes room, one that flaps only where all do. */
static struct flap *add_flap(struct router *router, const struct tracked *tracked, int64_t now_ns)
{
	uint32_t at = router->flap_count;
	if (at == ROUTER_FLAPS) {
		at = 0;
		for (uint32_t i = 1; i < ROUTER_FLAPS; i++) {
			const struct flap *a = &router->flaps[i], *b = &router->flaps[at];
			if (a->flapping != b->flapping ? b->flapping : a->changed_ns < b->changed_ns)
				at = i;
		}
		if (router->flaps[at].flapping)
			become_calm(router, &router->flaps[at], now_ns, tracked->notice.resolved_wall_ns);
	} else {
		router->flap_count++;
	}
	router->flaps[at] = (struct flap){ .resource = tracked->notice, .rule = tracked->rule };
	return &router->flaps[at];
}

static void forget_old_ends(struct flap *flap, int64_t since_ns)
{
	uint32_t old = 0;
	while (old < flap->count && flap->ends_ns[old] <= since_ns)
		old++;
	flap->count -= old;
	memmove(flap->ends_ns, flap->ends_ns + old, flap->count * sizeof(flap->ends_ns[0]));
}

static void count_end(struct flap *flap, uint32_t most, int64_t now_ns)
{
	if (flap->count == most)
		forget_old_ends(flap, flap->ends_ns[0]);
	if (flap->count < most)
		flap->ends_ns[flap->count++] = now_ns;
}

static void begin_flapping(struct router *router, struct flap *flap, const struct notice *of, int64_t now_ns)
{
	struct notice notice = *of;
	snprintf(notice.id, sizeof(notice.id), "f-%.37s", of->id);
	notice.flapping = true;
	notice.state = INCIDENT_OPEN;
	notice.opened_wall_ns = of->resolved_wall_ns;
	notice.resolved_wall_ns = 0;
	flap->flapping = true;
	flap->resource = notice;

	struct tracked *tracked = router_add(router);
	tracked->notice = notice;
	tracked->rule = flap->rule;
	tracked->news_ns = now_ns;
}

void flap_on_change(struct router *router, struct tracked *tracked, bool ended, int64_t now_ns)
{
	const struct rule *rule = &router->rules[tracked->rule];
	uint32_t most = rule->flap_count < ROUTER_FLAP_MAX ? rule->flap_count : ROUTER_FLAP_MAX;
	struct flap *flap = find_flap(router, &tracked->notice);
	if (!most || (!flap && !ended))
		return;
	if (!flap)
		flap = add_flap(router, tracked, now_ns);

	flap->changed_ns = now_ns;
	if (ended) {
		forget_old_ends(flap, now_ns - (int64_t)rule->flap_within_ns);
		count_end(flap, most, now_ns);
	}
	if (flap->flapping || flap->count == most)
		tracked->quiet = true;
	if (!flap->flapping && flap->count == most) {
		struct notice notice = tracked->notice; /* adding a row may move this one */
		begin_flapping(router, flap, &notice, now_ns);
	}
}

static int64_t still_until(const struct router *router, const struct flap *flap)
{
	return flap->changed_ns + (int64_t)router->rules[flap->rule].flap_within_ns;
}

void flap_turn(struct router *router, int64_t now_ns, int64_t wall_ns)
{
	for (uint32_t i = 0; i < router->flap_count;) {
		struct flap *flap = &router->flaps[i];
		if (still_until(router, flap) > now_ns) {
			i++;
			continue;
		}
		if (flap->flapping)
			become_calm(router, flap, now_ns, wall_ns);
		router->flap_count--;
		memmove(flap, flap + 1, (router->flap_count - i) * sizeof(*flap));
	}
}

int64_t flap_due(const struct router *router)
{
	int64_t due = INT64_MAX;
	for (uint32_t i = 0; i < router->flap_count; i++)
		if (router->flaps[i].flapping && still_until(router, &router->flaps[i]) < due)
			due = still_until(router, &router->flaps[i]);
	return due;
}
