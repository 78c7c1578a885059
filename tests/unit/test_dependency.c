/* SPDX-License-Identifier: Apache-2.0 */
/* Services elsewhere: failures and resets of late, slower than usual, and what too little is known of. */
#include "scene.h"

#include "detect/dependency.h"

struct bench {
	struct snapshot *snap;
	struct dependencies *dependencies;
	uint64_t second;
};

static struct bench set_up(void)
{
	struct bench bench = { scene_new(), dependencies_new(), 1000 };
	assert_non_null(bench.dependencies);
	return bench;
}

static void tear_down(struct bench *bench)
{
	free(bench->snap);
	dependencies_free(bench->dependencies);
}

static struct peer *add_peer(struct bench *bench, uint64_t cgroup_id, uint8_t last, uint16_t port)
{
	struct peer *peer = &bench->snap->peers.each[bench->snap->peers.count++];
	*peer = (struct peer){ .key = { .cgroup_id = cgroup_id, .port = port, .direction = TCP_OUT } };
	memcpy(peer->key.address, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0", 15);
	peer->key.address[15] = last;
	return peer;
}

static void connects(struct peer *peer, uint64_t count, uint64_t each_ms)
{
	peer->counts.connections += count;
	peer->counts.connect_count += count;
	peer->counts.connect_sum_ns += count * each_ms * NSEC_PER_MSEC;
	peer->recent += count;
}

static const struct dependency *tick(struct bench *bench)
{
	struct snapshot *snap = bench->snap;
	snap->boot_ns = SECONDS(bench->second++);
	snap->peers.measured_ns = snap->dns.measured_ns = snap->boot_ns;
	dependencies_update(bench->dependencies, snap);
	return snap->dependencies.count ? &snap->dependencies.each[0] : NULL;
}

static void what_was_before_us_is_not_of_late(void **state)
{
	struct bench bench = set_up();
	struct peer *peer = add_peer(&bench, 5, 7, 5432);
	peer->counts.failures[TCP_END_REFUSED] = 1000;
	assert_true(tick(&bench)->attempts == 0);
	const struct dependency *row = tick(&bench);
	assert_string_equal(row->name, "10.0.0.7:5432");
	assert_true(row->attempts == 0);
	tear_down(&bench);
}

static void failures_are_told_and_forgotten(void **state)
{
	struct bench bench = set_up();
	tick(&bench);
	struct peer *peer = add_peer(&bench, 5, 7, 5432);
	for (int i = 0; i < 10; i++) {
		connects(peer, 1, 1);
		peer->counts.failures[i % 2 ? TCP_END_TIMED_OUT : TCP_END_OTHER]++;
		tick(&bench);
	}
	const struct dependency *row = &bench.snap->dependencies.each[0];
	assert_true(row->attempts > 15 && row->attempts <= 20);
	assert_true(row->failures > 0.49 * row->attempts && row->failures < 0.51 * row->attempts);
	for (int i = 0; i < 60; i++) {
		connects(peer, 1, 1);
		tick(&bench);
	}
	assert_true(row->failures < 0.05 * row->attempts);
	tear_down(&bench);
}

static void cgroups_are_added_up_and_named(void **state)
{
	struct bench bench = set_up();
	tick(&bench);
	for (uint64_t group = 1; group <= 5; group++) {
		struct peer *peer = add_peer(&bench, group, 7, 443);
		connects(peer, group, 1);
	}
	add_peer(&bench, 9, 7, 443)->key.direction = TCP_IN; /* whoever connects to us is no dependency */
	const struct dependency *row = tick(&bench);
	assert_int_equal(bench.snap->dependencies.count, 1);
	assert_true(row->attempts == 15);
	assert_int_equal(row->user_count, DEPENDENCY_USERS);
	assert_int_equal(row->users_cut, 2);
	assert_int_equal(row->users[0], 5);
	assert_int_equal(row->users[2], 3);
	tear_down(&bench);
}

static void slower_than_usual(void **state)
{
	struct bench bench = set_up();
	tick(&bench);
	struct peer *peer = add_peer(&bench, 5, 7, 443);
	for (int i = 0; i < 10; i++) {
		connects(peer, 5, 10);
		tick(&bench);
	}
	assert_true(bench.snap->dependencies.each[0].times_slower == 0); /* too little history */
	for (int i = 0; i < 100; i++) {
		connects(peer, 5, 9 + (uint64_t)i % 3);
		tick(&bench);
	}
	const struct dependency *row = &bench.snap->dependencies.each[0];
	assert_true(row->times_slower > 0.8 && row->times_slower < 1.3);
	for (int i = 0; i < 60; i++) {
		connects(peer, 5, 50);
		tick(&bench);
	}
	assert_true(row->times_slower > 3.5 && row->times_slower < 5.5);
	for (int i = 0; i < 60; i++) { /* as before: it has not become the usual */
		connects(peer, 5, 10);
		tick(&bench);
	}
	assert_true(row->times_slower < 1.5);
	tear_down(&bench);
}

static void a_tenth_of_a_millisecond_is_not_slow(void **state)
{
	struct bench bench = set_up();
	tick(&bench);
	struct peer *peer = add_peer(&bench, 5, 7, 443);
	for (int i = 0; i < 100; i++) {
		connects(peer, 5, 0);
		peer->counts.connect_sum_ns += 5 * (i < 60 ? 30000 : 300000);
		tick(&bench);
	}
	assert_true(bench.snap->dependencies.each[0].times_slower == 1);
	tear_down(&bench);
}

static void a_row_that_falls_away_is_no_negative_count(void **state)
{
	struct bench bench = set_up();
	tick(&bench);
	struct peer *peer = add_peer(&bench, 5, 7, 443), *other = add_peer(&bench, 6, 7, 443);
	connects(other, 100, 1);
	connects(peer, 10, 1);
	tick(&bench);
	bench.snap->peers.count = 1;
	connects(peer, 1, 1);
	double before = bench.snap->dependencies.each[0].attempts;
	const struct dependency *row = tick(&bench);
	assert_true(row->attempts > 0 && row->attempts <= before);
	connects(peer, 10, 1);
	assert_true(tick(&bench)->attempts > 0.9 * before + 9);
	tear_down(&bench);
}

static void name_servers_fail_in_three_ways(void **state)
{
	enum { NOERROR = 0, SERVFAIL = 2, NXDOMAIN = 3, REFUSED = 5 };
	const uint32_t results[] = { NOERROR, SERVFAIL, NXDOMAIN, REFUSED, DNS_RESULT_TIMEOUT };
	struct bench bench = set_up();
	tick(&bench);
	for (size_t i = 0; i < 5; i++) {
		struct dns_row *row = &bench.snap->dns.each[bench.snap->dns.count++];
		*row = (struct dns_row){ .key = { .cgroup_id = 3, .result = results[i] }, .counts = { .requests = 1 + i * i, .sum_ns = 1000 } };
		memcpy(row->key.server, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
	}
	const struct dependency *row = tick(&bench);
	assert_string_equal(row->name, "dns:2001:db8::1");
	assert_true(row->attempts == 35 && row->failures == 2 + 10 + 17);
	tear_down(&bench);
}

static void one_that_nobody_asks_any_more_is_gone(void **state)
{
	struct bench bench = set_up();
	tick(&bench);
	struct peer *peer = add_peer(&bench, 5, 7, 443);
	connects(peer, 10, 1);
	assert_non_null(tick(&bench));
	for (int i = 0; i < 301; i++)
		tick(&bench);
	assert_int_equal(bench.snap->dependencies.count, 0);
	connects(peer, 1, 1);
	assert_non_null(tick(&bench));
	tear_down(&bench);
}

static void more_than_there_is_room_for_are_counted(void **state)
{
	struct bench bench = set_up();
	for (uint32_t i = 0; i < MAX_DEPENDENCIES + 10; i++)
		add_peer(&bench, 5, (uint8_t)i, (uint16_t)(1000 + i));
	tick(&bench);
	assert_int_equal(bench.snap->dependencies.count, MAX_DEPENDENCIES);
	assert_int_equal(bench.snap->dependencies.cut, 10);
	tear_down(&bench);
}

static void without_collectors_it_grows_stale(void **state)
{
	struct bench bench = set_up();
	bench.snap->boot_ns = SECONDS(1000);
	dependencies_update(bench.dependencies, bench.snap);
	assert_int_equal(bench.snap->dependencies.measured_ns, 0);
	tear_down(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_before_us_is_not_of_late),
		cmocka_unit_test(failures_are_told_and_forgotten),
		cmocka_unit_test(cgroups_are_added_up_and_named),
		cmocka_unit_test(slower_than_usual),
		cmocka_unit_test(a_tenth_of_a_millisecond_is_not_slow),
		cmocka_unit_test(a_row_that_falls_away_is_no_negative_count),
		cmocka_unit_test(name_servers_fail_in_three_ways),
		cmocka_unit_test(one_that_nobody_asks_any_more_is_gone),
		cmocka_unit_test(more_than_there_is_room_for_are_counted),
		cmocka_unit_test(without_collectors_it_grows_stale),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
