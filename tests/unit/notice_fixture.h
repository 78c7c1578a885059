/* SPDX-License-Identifier: Apache-2.0 */
/* Incidents to be told of, with names as hostile as they come; for the tests of what is sent to people and Alertmanagers. */
#ifndef NODEMEND_TESTS_NOTICE_FIXTURE_H
#define NODEMEND_TESTS_NOTICE_FIXTURE_H

#include <stdio.h>
#include <string.h>

#include "push/deeds.h"
#include "push/message.h"

#define NOTICE_OPENED_NS 1795485165123000000
/* A header, a mention, an escape, a quote, a line end, a terminal's, and what is not UTF-8. */
#define NOTICE_HOSTILE "x\r\nBcc: a@b <!channel> &\"\\{{id}}\x1b[2J\xff\xc3\xa9"

static const struct notice_home notice_home = { "n1", "c1", "http://127.0.0.1:9847" };

static inline void fill_told_incident(struct incident *incident, const char *id, enum incident_state state)
{
	*incident = (struct incident){ .kind = KIND_DISK_EXHAUSTION, .severity = SEVERITY_CRITICAL, .state = state, .opened_wall_ns = NOTICE_OPENED_NS };
	snprintf(incident->id, sizeof(incident->id), "%s", id);
	strcpy(incident->policy, "data-fills");
	incident->resolved_wall_ns = state == INCIDENT_RESOLVED ? NOTICE_OPENED_NS + 5000000000 : 0;
	incident->resource.type = TARGET_FILESYSTEM;
	strcpy(incident->resource.name, "/data");
	strcpy(incident->resource.device, "/dev/vdb");
	strcpy(incident->signal.metric, "node_filesystem_avail_bytes");
	incident->signal.value = 0.93;
	incident->signal.threshold = 0.9;
	incident->signal.exhausted_in_ns = 412000000000;
	incident->signal.confidence_permille = 900;
	incident->cause_count = 1;
	incident->causes[0] = (struct cause){ .rank = 1, .pid = 4242, .share_permille = 970 };
	strcpy(incident->causes[0].comm, "dd");
	strcpy(incident->causes[0].unit, "app.service");
	strcpy(incident->causes[0].evidence, "wrote 9 MiB/s");
	incident->history_count = 1;
	incident->history[0] = (struct history_entry){ .wall_ns = NOTICE_OPENED_NS, .state = INCIDENT_OPEN };
	strcpy(incident->history[0].why, "policy data-fills: used 93 %");
}

static inline void make_hostile(struct incident *incident)
{
	strcpy(incident->resource.name, NOTICE_HOSTILE);
	strcpy(incident->policy, NOTICE_HOSTILE);
	memcpy(incident->causes[0].comm, NOTICE_HOSTILE, COMM_LEN - 1);
	strcpy(incident->causes[0].unit, NOTICE_HOSTILE);
	strcpy(incident->causes[0].evidence, NOTICE_HOSTILE);
	strcpy(incident->history[0].why, NOTICE_HOSTILE);
	strcpy(incident->signal.metric, NOTICE_HOSTILE);
}

static inline struct notice make_notice(const char *id, enum incident_state state)
{
	struct incident incident;
	struct notice notice;
	fill_told_incident(&incident, id, state);
	notice_make(&notice_home, &incident, "clean-files: fixed, 200 MiB freed in 1.2s", &notice);
	return notice;
}

#endif
