/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent knows, as documents for the control socket: read from a const agent, nothing is changed, nothing is fetched.
 * Each returns an object with "ok", owned by the caller; NULL = out of memory. A number that is unknown is absent.
 */
#ifndef NODEMEND_VIEW_H
#define NODEMEND_VIEW_H

#include <stdbool.h>
#include <stdint.h>

struct agent;
struct cJSON;

struct cJSON *view_status(const struct agent *agent);
struct cJSON *view_doctor(const struct agent *agent);
struct cJSON *view_outlook(const struct agent *agent);

/* Open ones; `all`: those that ended, too, as far as they are in memory. Only what was opened, or ended, at or after `since`. Newest first. */
struct cJSON *view_incidents(const struct agent *agent, int64_t since_wall_ns, bool all);
/* One with its actions and what was considered; the beginning of an id is enough where no other begins so. */
struct cJSON *view_incident(const struct agent *agent, const char *id);
struct cJSON *view_actions(const struct agent *agent);
struct cJSON *view_action(const struct agent *agent, const char *id);

/* What waits for a person; `all`: what is closed, too. Oldest first. */
struct cJSON *view_tasks(const struct agent *agent, bool all);

struct cJSON *view_remedies(const struct agent *agent);
struct cJSON *view_remedy(const struct agent *agent, const char *name);

struct snapshot;
struct outlook_row;
/* Into a list: one capacity, with its forecast or why there is none. */
void view_add_capacity(struct cJSON *list, const struct snapshot *snap, const struct outlook_row *row);
/* Of all capacities the one that is used up first: a list of one, or of none. */
void view_add_nearest(struct cJSON *document, const struct snapshot *snap);

/* {"ok":true,"schema":"nodemend.<name>/1"} */
struct cJSON *view_document(const char *name);
/* Somebody's name, made valid UTF-8. */
void view_add_text(struct cJSON *object, const char *name, const char *text);
/* Absent where it is UNKNOWN. */
void view_add_count(struct cJSON *object, const char *name, uint64_t value);
void view_add_seconds(struct cJSON *object, const char *name, uint64_t ns);
void view_add_time(struct cJSON *object, const char *name, int64_t wall_ns); /* absent where it is 0 */

#endif
