/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The incidents and actions the publisher knows of: the newest so many by id, each as the JSON it is served as. An update
 * replaces; the oldest falls off, a resolved one before an open one.
 */
#ifndef NODEMEND_PUBLISH_RECORDS_H
#define NODEMEND_PUBLISH_RECORDS_H

#include "publish/text.h"
#include "record.h"

enum { RECORDS_INCIDENTS = 256, RECORDS_ACTIONS = 512 };

struct incident_entry {
	char id[ID_LEN];
	enum incident_kind kind;
	enum severity severity;
	enum incident_state state;
	int64_t opened_ns, changed_ns;   /* wall; changed: resolved, or its last history entry, or opened */
	enum target_type about;
	char name[PATH_LEN];             /* of what it is about, as in struct target */
	uint32_t cause_count;
	int32_t cause_pids[MAX_CAUSES];
	uint32_t action_count;
	char actions[MAX_INCIDENT_ACTIONS][ID_LEN];
	char *json;                      /* with "actions":[] */
	size_t length, splice;           /* actions go in at `splice` */
};

struct action_entry {
	char id[ID_LEN], incident[ID_LEN], remedy[NAME_LEN];
	enum mode mode;
	enum outcome outcome;
	int64_t started_ns;
	char *json;
	size_t length;
};

struct records {
	uint32_t incident_count, action_count;           /* in use; in the order of arrival, oldest first */
	struct incident_entry incidents[RECORDS_INCIDENTS];
	struct action_entry actions[RECORDS_ACTIONS];
	uint64_t incidents_dropped, actions_dropped;     /* fell off, or there was no memory for them */
	uint64_t changes;                                /* so far */
};

/* The entry as it is now held, or NULL without memory for it. */
const struct incident_entry *records_put_incident(struct records *records, const struct incident *incident);
const struct action_entry *records_put_action(struct records *records, const struct action *action);
void records_free(struct records *records);

const struct incident_entry *records_incident(const struct records *records, const char *id);
/* One incident with its actions inside. */
void records_write_incident(const struct records *records, const struct incident_entry *entry, struct text *out);

struct records_query {
	int64_t since_ns;              /* wall; incidents that were open at or after it, actions begun at or after it */
	bool has_state;
	enum incident_state state;     /* incidents only */
	uint32_t limit;
};
/* {"schema":…,"incidents":[…]} and {"schema":…,"actions":[…]}, newest first. */
void records_write_incidents(const struct records *records, const struct records_query *query, struct text *out);
void records_write_actions(const struct records *records, const struct records_query *query, struct text *out);

#endif
