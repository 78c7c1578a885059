/* SPDX-License-Identifier: Apache-2.0 */
/* What of an incident or an action has not been told yet: the agent tells them whole and again, logs and traces take each part once. */
#ifndef NODEMEND_PUSH_OTLP_NEWS_H
#define NODEMEND_PUSH_OTLP_NEWS_H

#include "push/otlp_told.h"
#include "record.h"

enum { OTLP_SHADOWS_MAX = 64 }; /* as many actions as the agent remembers */

/* An action that was planned only; the same in earnest links to it. */
struct otlp_shadow { char incident[ID_LEN], remedy[NAME_LEN], id[ID_LEN]; };

struct otlp_news {
	struct otlp_told told;
	uint32_t shadow_count;     /* ever noted; the newest at (count - 1) % OTLP_SHADOWS_MAX */
	struct otlp_shadow shadows[OTLP_SHADOWS_MAX];
};

struct otlp_incident_news {
	uint32_t first_entry, entry_end; /* of its history: these are new */
	bool opened;                     /* nothing was told of it before */
	bool over;                       /* and that was not told before */
};

/* True: there is something to tell, and from now on it counts as told. */
bool otlp_news_incident(struct otlp_news *news, const struct incident *incident, struct otlp_incident_news *ret);
/* Likewise of an action, which is news when it has ended. */
bool otlp_news_action(struct otlp_news *news, const struct action *action);
/* The id of the action that planned the same before in shadow, in the same incident; "" = none. */
const char *otlp_news_shadow(const struct otlp_news *news, const struct action *action);

#endif
