/* SPDX-License-Identifier: Apache-2.0 */
/* What was changed on the node, in a tree of the test's own: each source by what it tells, and by what is none. */
#include "collect_bench.h"

#include "collect/change.h"

extern const struct collector collector_change;

static struct bench *opened(void **given)
{
	struct bench *bench = *given;
	snprintf(bench->config->host_root, sizeof(bench->config->host_root), "%s", bench->root);
	bench_say(bench, "etc/app.conf", "a\n");
	bench_say(bench, "etc/app/conf.d/extra.conf", "a\n");
	bench_say(bench, "var/log/dpkg.log", "2026-11-01 10:00:00 install old:amd64 <none> 1\n");
	assert_int_equal(bench_open(bench, &collector_change), 0);
	assert_int_equal(bench->status.state, COLLECTOR_UP);
	return bench;
}

static void tick(struct bench *bench)
{
	bench->snap->wall_ns += NSEC_PER_SEC;
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
}

static void say_program(struct bench *bench, int32_t pid, const char *binary)
{
	char link[96], target[160];
	snprintf(link, sizeof(link), "%s/proc/%d", bench->root, pid);
	mkdir(link, 0755);
	snprintf(link, sizeof(link), "%s/proc/%d/exe", bench->root, pid);
	snprintf(target, sizeof(target), "%s/%s", bench->root, binary);
	(void)unlink(link);
	assert_int_equal(symlink(target, link), 0);
	struct process *process = &bench->snap->processes.each[bench->snap->processes.count++];
	*process = (struct process){ .pid = pid, .start_ns = bench->snap->boot_ns, .cgroup_id = 77 };
	snprintf(process->comm, sizeof(process->comm), "app");
}

static uint64_t said(const struct bench *bench)
{
	return bench->snap->changes.total;
}

static const struct node_change *newest(const struct bench *bench)
{
	assert_true(said(bench) > 0);
	return &bench->snap->changes.each[(said(bench) - 1) % MAX_NODE_CHANGES];
}

static void a_deployed_binary_is_told_when_it_is_started(void **given)
{
	struct bench *bench = opened(given);
	bench_say(bench, "bin/app", "one");
	say_program(bench, 11, "bin/app");
	tick(bench);
	say_program(bench, 12, "bin/app");
	tick(bench);
	tick(bench);
	tick(bench);
	assert_int_equal(said(bench), 0); /* the same file again */

	char from[128], to[128];
	bench_say(bench, "bin/app.new", "two");
	snprintf(from, sizeof(from), "%s/bin/app.new", bench->root);
	snprintf(to, sizeof(to), "%s/bin/app", bench->root);
	assert_int_equal(rename(from, to), 0);
	tick(bench);
	assert_int_equal(said(bench), 0); /* nobody has started it */
	say_program(bench, 13, "bin/app");
	tick(bench);
	assert_int_equal(said(bench), 1);
	assert_int_equal(newest(bench)->kind, CHANGE_BINARY);
	assert_int_equal(newest(bench)->cgroup_id, 77);
	assert_non_null(strstr(newest(bench)->what, "app (pid 13) was started from another"));
	tick(bench);
	tick(bench);
	assert_int_equal(said(bench), 1);
}

static void starts_beyond_what_is_looked_at_are_counted(void **given)
{
	struct bench *bench = opened(given);
	bench_say(bench, "bin/app", "one");
	tick(bench);
	tick(bench);
	assert_int_equal(bench->snap->changes.lost, 0);
	for (int i = 0; i < 20; i++)
		say_program(bench, 100 + i, "bin/app");
	tick(bench);
	assert_int_equal(bench->snap->changes.lost, 4);
}

static void packages_by_the_lines_of_the_log(void **given)
{
	struct bench *bench = opened(given);
	for (int i = 0; i < 6; i++)
		tick(bench);
	assert_int_equal(said(bench), 0); /* what the log held before is no news */
	bench_say(bench, "var/log/dpkg.log", "2026-11-01 10:00:00 install old:amd64 <none> 1\n"
					     "2026-11-26 10:00:01 upgrade nginx:amd64 1.22 1.24\n"
					     "2026-11-26 10:00:02 status half-configured nginx:amd64 1.24\n"
					     "2026-11-26 10:00:03 remove telnet:amd64 0.17 <none>\n");
	for (int i = 0; i < 6; i++)
		tick(bench);
	assert_int_equal(said(bench), 2);
	assert_string_equal(bench->snap->changes.each[0].what, "nginx:amd64 was upgraded from 1.22 to 1.24");
	assert_string_equal(bench->snap->changes.each[1].what, "telnet:amd64 0.17 was removed");

	/* More at once than one read takes, and the last line only half: nothing is passed over. */
	char much[16384] = "";
	size_t used = 0;
	for (int i = 0; i < 200; i++)
		used += (size_t)snprintf(much + used, sizeof(much) - used, "2026-11-26 10:00:04 status half-configured nginx:amd64 1.24 %d\n", i);
	used += (size_t)snprintf(much + used, sizeof(much) - used, "2026-11-26 10:00:05 upgrade curl:amd64 8.1 8.2\n2026-11-26 10:00:06 upgr");
	bench_say(bench, "var/log/dpkg.log", much);
	for (int i = 0; i < 6; i++)
		tick(bench);
	assert_string_equal(newest(bench)->what, "curl:amd64 was upgraded from 8.1 to 8.2");
	(void)snprintf(much + used, sizeof(much) - used, "ade bash:amd64 5.1 5.2\n");
	bench_say(bench, "var/log/dpkg.log", much);
	for (int i = 0; i < 6; i++)
		tick(bench);
	assert_int_equal(said(bench), 4);
	assert_string_equal(newest(bench)->what, "bash:amd64 was upgraded from 5.1 to 5.2");

	char text[CHANGE_TEXT_LEN];
	assert_false(change_package_parse("2026-11-26 10:00:02 startup packages configure", text, sizeof(text)));
	assert_false(change_package_parse("", text, sizeof(text)));
	assert_false(change_package_parse("\xff\xff upgrade", text, sizeof(text)));
}

static void configuration_written_below_etc(void **given)
{
	struct bench *bench = opened(given);
	tick(bench);
	bench_say(bench, "etc/app.conf", "b\n");
	bench_say(bench, "etc/.app.conf.swp", "b\n");
	bench_say(bench, "etc/app/conf.d/extra.conf", "b\n");
	tick(bench);
	assert_int_equal(said(bench), 2);
	assert_int_equal(newest(bench)->kind, CHANGE_CONFIGURATION);
	assert_string_equal(bench->snap->changes.each[0].what, "/etc/app.conf was written");
	assert_string_equal(bench->snap->changes.each[1].what, "/etc/app/conf.d/extra.conf was written");

	/* A folder that was made later is watched, too. */
	bench_say(bench, "etc/new/first.conf", "a\n");
	tick(bench);
	bench_say(bench, "etc/new/second.conf", "a\n");
	tick(bench);
	assert_string_equal(newest(bench)->what, "/etc/new/second.conf was written");
	/* One that is renamed goes on under its new name, and has one watch. */
	char path[128], to[128];
	snprintf(path, sizeof(path), "%s/etc/new", bench->root);
	snprintf(to, sizeof(to), "%s/etc/moved", bench->root);
	assert_int_equal(rename(path, to), 0);
	tick(bench);
	bench_say(bench, "etc/moved/second.conf", "b\n");
	tick(bench);
	assert_string_equal(newest(bench)->what, "/etc/moved/second.conf was written");
	snprintf(path, sizeof(path), "%s/etc/app.conf", bench->root);
	assert_int_equal(unlink(path), 0);
	tick(bench);
	assert_string_equal(newest(bench)->what, "/etc/app.conf was removed");
}

static void services_by_their_cgroups(void **given)
{
	struct bench *bench = opened(given);
	struct cgroup_section *cgroups = &bench->snap->cgroups;
	cgroups->count = 2;
	cgroups->each[0] = (struct cgroup){ .id = 5, .path = "/system.slice/app.service", .unit = "app.service" };
	cgroups->each[1] = (struct cgroup){ .id = 6, .path = "/system.slice", .unit = "system.slice" };
	tick(bench);
	assert_int_equal(said(bench), 0); /* it has been there */
	cgroups->each[0] = cgroups->each[1];
	cgroups->each[1] = (struct cgroup){ .id = 9, .path = "/system.slice/app.service", .unit = "app.service" };
	tick(bench);
	assert_string_equal(newest(bench)->what, "app.service was restarted");
	assert_int_equal(newest(bench)->cgroup_id, 9);
	cgroups->count = 3;
	cgroups->each[2] = (struct cgroup){ .id = 10, .path = "/system.slice/web.service", .unit = "web.service" };
	tick(bench);
	assert_string_equal(newest(bench)->what, "web.service was started");
	tick(bench);
	assert_int_equal(said(bench), 2);

	bench->snap->units.count = 1;
	bench->snap->units.each[0] = (struct unit_sample){ .name = "app.service", .state = UNIT_RELOADING };
	tick(bench);
	tick(bench);
	assert_int_equal(said(bench), 3);
	assert_string_equal(newest(bench)->what, "app.service was reloaded");
}

static void a_clock_that_is_set_and_a_boot(void **given)
{
	struct bench *bench = opened(given);
	bench->snap->boot_ns = 100 * NSEC_PER_SEC;
	tick(bench);
	assert_int_equal(newest(bench)->kind, CHANGE_BOOT);
	bench->snap->wall_ns += 100 * NSEC_PER_MSEC; /* slewed */
	tick(bench);
	assert_int_equal(said(bench), 1);
	bench->snap->wall_ns -= 90 * (int64_t)NSEC_PER_SEC;
	tick(bench);
	assert_int_equal(newest(bench)->kind, CHANGE_CLOCK);
	assert_string_equal(newest(bench)->what, "the clock was set back by 90.000 s");
	/* A suspend moves both clocks, and none of them was set. */
	bench->snap->wall_ns += 3600 * (int64_t)NSEC_PER_SEC;
	bench->snap->boot_ns += 3600 * NSEC_PER_SEC;
	tick(bench);
	assert_int_equal(said(bench), 2);
}

static void a_flood_is_cut_and_counted(void **given)
{
	struct bench *bench = opened(given);
	tick(bench);
	for (int i = 0; i < 30; i++) {
		char name[32];
		snprintf(name, sizeof(name), "etc/many-%d.conf", i);
		bench_say(bench, name, "a\n");
	}
	tick(bench);
	assert_int_equal(said(bench), CHANGES_A_TICK);
	assert_int_equal(bench->status.events_lost, 30 - CHANGES_A_TICK);
}

static void without_etc_the_rest_goes_on(void **given)
{
	struct bench *bench = *given;
	snprintf(bench->config->host_root, sizeof(bench->config->host_root), "%s", bench->root);
	assert_int_equal(bench_open(bench, &collector_change), 0);
	assert_int_equal(bench->status.state, COLLECTOR_DEGRADED);
	assert_non_null(strstr(bench->status.why, "/etc"));
	bench->snap->boot_ns = 100 * NSEC_PER_SEC;
	tick(bench);
	assert_int_equal(newest(bench)->kind, CHANGE_BOOT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(a_deployed_binary_is_told_when_it_is_started), BENCH_TEST(starts_beyond_what_is_looked_at_are_counted),
		BENCH_TEST(packages_by_the_lines_of_the_log),
		BENCH_TEST(configuration_written_below_etc), BENCH_TEST(services_by_their_cgroups), BENCH_TEST(a_clock_that_is_set_and_a_boot),
		BENCH_TEST(a_flood_is_cut_and_counted), BENCH_TEST(without_etc_the_rest_goes_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
