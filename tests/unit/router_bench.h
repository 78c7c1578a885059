/* SPDX-License-Identifier: Apache-2.0 */
/* A router, its clock and what it says; for the tests of who is told of what and when. */
#ifndef NODEMEND_TESTS_ROUTER_BENCH_H
#define NODEMEND_TESTS_ROUTER_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "push/router.h"
#include "tests/unit/notice_fixture.h"

#define S ((int64_t)NSEC_PER_SEC)
#define MINUTE (60 * S)
#define ALL (~0U)
#define BEGUN (1000 * S)

static struct router *router;
static struct message message;
static int64_t now;

static inline int64_t wall(void)
{
	return NOTICE_OPENED_NS - BEGUN + now;
}

static const struct rule plain_rule = { .kinds = ALL, .severities = ALL, .states = ALL, .group_wait_ns = 10 * S, .group_interval_ns = MINUTE,
					.repeat_ns = 4 * 60 * MINUTE, .flap_count = 3, .flap_within_ns = 30 * MINUTE };

static inline void start(const struct rule *rules, uint32_t count)
{
	now = BEGUN;
	router_init(router, rules, count, wall());
}

static inline int setup(void **state)
{
	router = calloc(1, sizeof(*router));
	start(&plain_rule, 1);
	return router ? 0 : -1;
}

static inline int teardown(void **state)
{
	free(router);
	return 0;
}

static inline struct notice notice_of(const char *id, const char *resource, enum incident_state state)
{
	struct notice notice = make_notice(id, state);
	snprintf(notice.resource, sizeof(notice.resource), "%s", resource);
	notice.resolved_wall_ns = state == INCIDENT_RESOLVED ? wall() : 0;
	return notice;
}

static inline void note(const char *id, enum incident_state state)
{
	struct notice notice = notice_of(id, "/data", state);
	router_note(router, &notice, now);
}

static inline bool next(void)
{
	return router_next(router, now, wall(), &message);
}

/* Exactly one message is due, about one incident in this state. */
static inline void tells(const char *id, enum incident_state state)
{
	assert_true(next());
	assert_int_equal(message.count, 1);
	assert_string_equal(message.items[0].notice->id, id);
	assert_int_equal(message.items[0].notice->state, state);
	assert_true(message.items[0].news);
	assert_false(next());
}

static inline void restart(void)
{
	struct text saved = { 0 };
	assert_int_equal(router_save(router, now, wall(), &saved), 0);
	struct rule rules[ROUTER_RULES];
	uint32_t count = router->rule_count;
	memcpy(rules, router->rules, sizeof(rules));
	router_init(router, rules, count, wall());
	assert_int_equal(router_load(router, saved.data, saved.length, now, wall()), 0);
	text_free(&saved);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
