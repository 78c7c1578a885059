/* SPDX-License-Identifier: Apache-2.0 */
/* See otlp_news.h. */
#include "push/otlp_news.h"

#include <stdio.h>
#include <string.h>

#include "push/otlp_logs.h"

bool otlp_news_incident(struct otlp_news *news, const struct incident *incident, struct otlp_incident_news *ret)
{
	struct otlp_told_row *row = otlp_told_of(&news->told, incident->id);
	uint32_t entries = otlp_at_most(incident->history_count, MAX_INCIDENT_HISTORY);
	uint32_t changes = entries + incident->history_cut, first = 0;

	*ret = (struct otlp_incident_news){ .opened = !row->changes, .over = incident->state == INCIDENT_RESOLVED && !row->ended };
	if (changes <= row->changes && !ret->over)
		return false; /* another share of a cause is no change */
	while (first < entries && otlp_history_ordinal(incident, first) < row->changes)
		first++;
	ret->first_entry = first;
	ret->entry_end = entries;
	row->changes = changes;
	row->ended |= ret->over;
	news->told.changed = true;
	return true;
}

static void note_shadow(struct otlp_news *news, const struct action *action)
{
	struct otlp_shadow *shadow = &news->shadows[news->shadow_count++ % OTLP_SHADOWS_MAX];

	snprintf(shadow->incident, sizeof(shadow->incident), "%s", action->incident);
	snprintf(shadow->remedy, sizeof(shadow->remedy), "%s", action->remedy);
	snprintf(shadow->id, sizeof(shadow->id), "%s", action->id);
}

bool otlp_news_action(struct otlp_news *news, const struct action *action)
{
	if (!action->ended_wall_ns)
		return false; /* its intent */
	if (action->mode == MODE_SHADOW && *action->incident)
		note_shadow(news, action); /* even one that was told: what links to it may be still to come */

	struct otlp_told_row *row = otlp_told_of(&news->told, action->id);
	if (row->changes)
		return false;
	row->changes = 1;
	news->told.changed = true;
	return true;
}

const char *otlp_news_shadow(const struct otlp_news *news, const struct action *action)
{
	uint32_t known = otlp_at_most(news->shadow_count, OTLP_SHADOWS_MAX);

	for (uint32_t i = 0; i < known && action->mode == MODE_ENFORCE; i++) {
		const struct otlp_shadow *shadow = &news->shadows[(news->shadow_count - 1 - i) % OTLP_SHADOWS_MAX];

		if (strcmp(shadow->incident, action->incident) == 0 && strcmp(shadow->remedy, action->remedy) == 0)
			return shadow->id;
	}
	return "";
}
