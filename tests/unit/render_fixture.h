/* SPDX-License-Identifier: Apache-2.0 */
/* A full snapshot and what a writer makes of it, for the tests of metrics and of their formats. */
#ifndef NODEMEND_TESTS_RENDER_FIXTURE_H
#define NODEMEND_TESTS_RENDER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "publish/metric.h"
#include "publish/records.h"
#include "remedy.h"
#include "tests/unit/full_snapshot.h"

struct fixture {
	struct snapshot *snap;
	struct shown *shown;
	struct records *records;
	struct publisher_counters counters;
	struct metric_context context;
	struct text out;
};

static inline int open_fixture(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	fixture->snap = empty_snapshot();
	fixture->shown = calloc(1, sizeof(*fixture->shown));
	fixture->records = calloc(1, sizeof(*fixture->records));
	fill_snapshot(fixture->snap, 42, FULL_SNAPSHOT_BOOT_NS, 40, 100);
	shown_choose(fixture->shown, fixture->snap, 10);
	fixture->context = (struct metric_context){ .snap = fixture->snap, .now_ns = FULL_SNAPSHOT_BOOT_NS, .shown = fixture->shown,
						    .records = fixture->records, .counters = &fixture->counters };
	*state = fixture;
	return 0;
}

static inline int close_fixture(void **state)
{
	struct fixture *fixture = *state;
	munmap(fixture->snap, sizeof(*fixture->snap));
	free(fixture->shown);
	records_free(fixture->records);
	free(fixture->records);
	text_free(&fixture->out);
	free(fixture);
	return 0;
}

static const char *render(struct fixture *fixture, const struct metric_writer *writer, uint32_t sources)
{
	text_reset(&fixture->out);
	metrics_write(writer, &fixture->context, sources, &fixture->out);
	text_append(&fixture->out, "", 1);
	assert_false(fixture->out.failed);
	return fixture->out.data;
}

/* Whether `line` stands there as a whole line. */
static inline bool has_line(const char *page, const char *line)
{
	size_t length = strlen(line);
	for (const char *at = page; (at = strstr(at, line)); at++)
		if ((at == page || at[-1] == '\n') && at[length] == '\n')
			return true;
	return false;
}

static inline void assert_line(const char *page, const char *line)
{
	if (!has_line(page, line))
		fail_msg("no such line: %s", line);
}

static inline void assert_no(const char *page, const char *part)
{
	if (strstr(page, part))
		fail_msg("must not be there: %s", part);
}

static inline void put_incident(struct fixture *fixture, const char *id, enum target_type about, const char *name, int32_t cause,
	enum incident_state state)
{
	struct incident *incident = calloc(1, sizeof(*incident));
	snprintf(incident->id, sizeof(incident->id), "%s", id);
	incident->state = state;
	incident->resource.type = about;
	snprintf(incident->resource.name, sizeof(incident->resource.name), "%s", name);
	incident->cause_count = cause ? 1 : 0;
	incident->causes[0].pid = cause;
	assert_non_null(records_put_incident(fixture->records, incident));
	free(incident);
}

/* An open incident on /data that process 1 caused, one that is over, and an action of the first. */
static inline void put_records(struct fixture *fixture)
{
	struct action *action = calloc(1, sizeof(*action));
	put_incident(fixture, "disk-1", TARGET_FILESYSTEM, "/data", 1, INCIDENT_MENDING);
	put_incident(fixture, "over-1", TARGET_FILESYSTEM, "/data", 2, INCIDENT_RESOLVED);
	strcpy(action->id, "a1");
	strcpy(action->incident, "disk-1");
	strcpy(action->remedy, "clean-files");
	action->mode = MODE_ENFORCE;
	action->outcome = OUTCOME_FIXED;
	action->started_wall_ns = 1795485165250000000;
	fixture->snap->engine.actions_total[REMEDY_CLEAN_FILES][MODE_ENFORCE][OUTCOME_FIXED] = 7;
	assert_non_null(records_put_action(fixture->records, action));
	free(action);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

#endif
