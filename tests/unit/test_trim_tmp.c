/* SPDX-License-Identifier: Apache-2.0 */
/* trim-tmp: the real systemd-tmpfiles over a root of the test's own, whose rules and files are on the test's own filesystem. */
#include "disk_fixture.h"

static struct clean_fixture fixture;

static struct trim_tmp_args *args(void)
{
	return &fixture.request.args.trim_tmp;
}

static void put_rule(const char *rule)
{
	char path[PATH_LEN * 2];
	fixture_put(&fixture, "etc/tmpfiles.d/.keep", 0, 0);
	int fd = open(fixture_path(&fixture, "etc/tmpfiles.d/test.conf", path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_int_equal(write(fd, rule, strlen(rule)), (ssize_t)strlen(rule));
	close(fd);
}

static int reset(void **state)
{
	char path[PATH_LEN * 2];
	disk_reset(&fixture, REMEDY_TRIM_TMP);
	snprintf(args()->root, PATH_LEN, "%s", fixture.root);
	assert_int_equal(mkdir(fixture_path(&fixture, "etc", path), 0755), 0);
	fixture_put(&fixture, "tmp/.keep", 0, 0);
	fixture_put(&fixture, "tmp/old/a", 1024, OLD);
	fixture_put(&fixture, "var/.keep", 0, 0);
	fixture_put(&fixture, "var/tmp/b", 512, OLD);
	put_rule("q /tmp 1777 root root m:1h\nd /var/tmp 1777 root root -\n"); /* by the time of change of content alone: no other can be set back */
	return 0;
}

static void what_the_rules_call_old_goes(void **state)
{
	fixture_put(&fixture, "tmp/young", 512, 0);
	uint64_t before = disk_free(&fixture);
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_FIXED);
	disk_says_truth(&fixture, before);
	assert_true(fixture.result.observed.freed_bytes >= MIB);
	assert_false(fixture_has(&fixture, "tmp/old/a"));
	assert_true(fixture_has(&fixture, "tmp/young") && fixture_has(&fixture, "var/tmp/b")); /* a rule without an age cleans nothing */
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_NO_EFFECT);
}

static void only_below_the_prefixes(void **state)
{
	put_rule("q /tmp 1777 root root m:1h\nd /var/tmp 1777 root root m:1h\n");
	args()->prefix_count = 1;
	snprintf(args()->prefixes[0], PATH_LEN, "/var/tmp");
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_FIXED);
	assert_true(fixture_has(&fixture, "tmp/old/a"));
	assert_false(fixture_has(&fixture, "var/tmp/b"));
}

static void only_what_lies_on_the_filesystem_that_fills(void **state)
{
	char path[PATH_LEN * 2];
	put_rule("q /tmp 1777 root root m:1h\nd /var/tmp 1777 root root m:1h\n");
	assert_int_equal(mount("other", fixture_path(&fixture, "tmp", path), "tmpfs", 0, NULL), 0);
	fixture_put(&fixture, "tmp/elsewhere", 64, OLD);
	fixture_run(&fixture);
	bool stays = fixture_has(&fixture, "tmp/elsewhere");
	assert_int_equal(umount2(path, MNT_DETACH), 0);
	disk_is(&fixture, OUTCOME_FIXED);
	assert_true(stays);
	assert_false(fixture_has(&fixture, "var/tmp/b"));
	fixture.request.target.dev++;
	disk_refused(&fixture, "no-prefix");
}

static void without_a_rule_that_cleans_it_says_so(void **state)
{
	put_rule("q /tmp 1777 root root -\nd /var/tmp 1777 root root\nd /srv 0755 root root 1h\n");
	disk_refused(&fixture, "no-rule");
	assert_true(fixture_has(&fixture, "tmp/old/a"));
}

static void a_plan_names_the_rules_and_touches_nothing(void **state)
{
	fixture.request.verb = REMEDY_VERB_PLAN;
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_NONE);
	assert_int_equal(fixture.result.plan_count, 1);
	assert_string_equal(fixture.result.plan[0], "by the rule: q /tmp 1777 root root m:1h");
	assert_true(fixture_has(&fixture, "tmp/old/a"));
}

static void the_kill_switch_stops_it_and_nonsense_is_refused(void **state)
{
	snprintf(fixture.request.kill_switch, PATH_LEN, "%s", fixture.dir);
	disk_refused(&fixture, "kill-switch");
	assert_true(fixture_has(&fixture, "tmp/old/a"));
	reset(NULL);
	args()->prefix_count = MAX_TRIM_PREFIXES + 1;
	disk_refused(&fixture, "invalid-request");
	reset(NULL);
	args()->prefix_count = 1;
	snprintf(args()->prefixes[0], PATH_LEN, "/tmp/..");
	disk_refused(&fixture, "invalid-request");
	reset(NULL);
	memset(args()->root, '/', PATH_LEN);
	disk_refused(&fixture, "invalid-request");
}

static int end(void **state)
{
	fixture_unmount(&fixture);
	return 0;
}

#define TEST(name_) cmocka_unit_test_setup(name_, reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_the_rules_call_old_goes), TEST(only_below_the_prefixes), TEST(only_what_lies_on_the_filesystem_that_fills),
		TEST(without_a_rule_that_cleans_it_says_so), TEST(a_plan_names_the_rules_and_touches_nothing),
		TEST(the_kill_switch_stops_it_and_nonsense_is_refused),
	};
	if (access("/usr/bin/systemd-tmpfiles", X_OK) < 0 || fixture_mount(&fixture) < 0) {
		printf("SKIP trim-tmp: not root, no loop device to mount, or no systemd-tmpfiles\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, end);
}
