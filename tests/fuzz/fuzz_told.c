/* SPDX-License-Identifier: Apache-2.0 */
/* What an output remembers, of any content: refused, or within its bounds, and then a router that comes to rest and can be saved again. */
#include <stdint.h>
#include <stdlib.h>

#include "push/router.h"
#include "tests/unit/notice_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct router router;
static struct message message;

static void require(int holds)
{
	if (!holds)
		abort();
}

static void check_bounds(void)
{
	require(router.tracked_count <= ROUTER_TRACKED && router.group_count <= ROUTER_TRACKED && router.flap_count <= ROUTER_FLAPS);
	for (uint32_t i = 0; i < router.tracked_count; i++)
		require(router.tracked[i].rule < router.rule_count && router.tracked[i].notice.kind < KIND_COUNT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const int64_t second = (int64_t)NSEC_PER_SEC;
	const struct rule rules[2] = {
		{ .kinds = 1, .severities = 2, .states = ~0U, .group_by = RULE_GROUP_KIND, .group_interval_ns = 60 * NSEC_PER_SEC, .flap_count = 2,
		  .flap_within_ns = 60 * NSEC_PER_SEC },
		{ .kinds = ~0U, .severities = ~0U, .states = ~0U, .repeat_ns = 3600 * NSEC_PER_SEC },
	};
	char *text = malloc(size ? size : 1); /* exactly as large as it is, so that one byte beyond is seen */
	require(text != NULL);
	memcpy(text, data, size);
	router_init(&router, rules, 2, NOTICE_OPENED_NS);
	if (router_load(&router, text, size, 100 * second, NOTICE_OPENED_NS) == 0) {
		check_bounds();
		struct notice notice = make_notice("i1", INCIDENT_RESOLVED);
		router_note(&router, &notice, 101 * second);
		int64_t now = 101 * second;
		for (int told = 0, turns = 0; turns < 20; turns++, now += 600 * second)
			while (router_next(&router, now, NOTICE_OPENED_NS + now, &message))
				require(message.count > 0 && message.count <= MESSAGE_MAX && told++ < 20000);
		check_bounds();
		struct text saved = { 0 };
		require(router_save(&router, now, NOTICE_OPENED_NS + now, &saved) == 0);
		require(router_load(&router, saved.data, saved.length, now, NOTICE_OPENED_NS + now) == 0);
		text_free(&saved);
	}
	free(text);
	return 0;
}
