/* SPDX-License-Identifier: Apache-2.0 */
/* rotate-logs: which stanza is taken, by which directives, and what the real logrotate then does with it. */
#include "disk_fixture.h"

#include "remedies/logrotate_config.h"

static struct clean_fixture fixture;

static struct rotate_logs_args *args(void)
{
	return &fixture.request.args.rotate_logs;
}

static void put_text(const char *name, const char *text)
{
	char path[PATH_LEN * 2];
	fixture_put(&fixture, name, 0, 0);
	int fd = open(fixture_path(&fixture, name, path), O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

/* The stanza with the root of the test before its one pattern. */
static void put_stanza(const char *name, const char *stanza)
{
	char text[2048];
	snprintf(text, sizeof(text), "%s%s%s", stanza[0] ? fixture.root : "", stanza[0] ? "/" : "", stanza);
	put_text(name, text);
}

static void configure(const char *globals, const char *app, const char *other)
{
	char text[4096];
	snprintf(text, sizeof(text), "# the head\n%s\ninclude %s/../conf.d\n", globals, fixture.root);
	put_text("../logrotate.conf", text);
	put_stanza("../conf.d/app", app);
	put_stanza("../conf.d/other", other);
}

static void aim_at(const char *name)
{
	snprintf(args()->file, PATH_LEN, "%.200s/%.40s", fixture.root, name);
}

static int reset(void **state)
{
	char run[PATH_LEN];
	disk_reset(&fixture, REMEDY_ROTATE_LOGS);
	snprintf(run, sizeof(run), "%.60s/app/run", fixture.dir);
	fixture_make_dirs(run, 0755);
	snprintf(fixture.request.lease_book, PATH_LEN, "%.60s/app/run/leases", fixture.dir);
	snprintf(args()->config, PATH_LEN, "%.60s/app/logrotate.conf", fixture.dir);
	snprintf(args()->state, PATH_LEN, "%.60s/app/status", fixture.dir);
	configure("rotate 3\ncreate 0640", "app*.log {\n\tweekly\n\tcompress\n}\n", "other.log {\n\tmonthly\n\trotate 2\n}\n");
	return 0;
}

static bool is_empty_run(void)
{
	char path[PATH_LEN];
	snprintf(path, sizeof(path), "%.60s/app/run/logrotate-a-1.conf", fixture.dir);
	return access(path, F_OK) < 0;
}

/* --- the real one -------------------------------------------------------------------------------------------------------------------- */

static void the_largest_is_rotated_and_no_other(void **state)
{
	fixture_put(&fixture, "app1.log", 2048, OLD);
	fixture_put(&fixture, "other.log", 512, OLD);
	uint64_t before = disk_free(&fixture);
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_FIXED);
	disk_says_truth(&fixture, before); /* a log of one letter compresses well */
	assert_int_equal(fixture.result.observed.freed_files, 1);
	assert_true(fixture_has(&fixture, "app1.log.1.gz")); /* by its own `compress`, and kept by the global `rotate 3` */
	assert_true(fixture_has(&fixture, "app1.log"));      /* by the global `create` */
	assert_false(fixture_has(&fixture, "other.log.1"));
	assert_true(is_empty_run());
}

static void the_file_that_grows_names_its_stanza(void **state)
{
	fixture_put(&fixture, "app1.log", 2048, OLD);
	fixture_put(&fixture, "other.log", 512, OLD);
	aim_at("other.log");
	fixture.request.expect.freed_files = 1;
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_FIXED);
	assert_true(fixture_has(&fixture, "other.log.1"));
	assert_false(fixture_has(&fixture, "app1.log.1.gz"));
	aim_at("nowhere.log");
	disk_refused(&fixture, "no-stanza");
}

/* Moved aside, not a byte comes back: then only the promise of a file is kept. */
static void what_frees_nothing_is_told_as_that(void **state)
{
	fixture_put(&fixture, "other.log", 512, OLD);
	fixture.request.expect.freed_bytes = 4096;
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_IMPROVED);
	assert_int_equal(fixture.result.observed.freed_bytes, 0);
	assert_int_equal(fixture.result.observed.freed_files, 1);
}

static void copytruncate_counts_as_rotated(void **state)
{
	configure("rotate 0", "app*.log {\n\tcopytruncate\n}\n", "");
	fixture_put(&fixture, "app1.log", 2048, OLD);
	uint64_t before = disk_free(&fixture);
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_FIXED);
	disk_says_truth(&fixture, before);
	assert_true(fixture_has(&fixture, "app1.log"));
}

static void a_stanza_that_logrotate_refuses_fails(void **state)
{
	configure("rotate 1", "app*.log {\n\tsize nonsense\n}\n", "");
	fixture_put(&fixture, "app1.log", 2048, OLD);
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_FAILED);
	assert_true(fixture.result.why[0]);
	assert_true(is_empty_run());
}

static void a_plan_runs_nothing(void **state)
{
	fixture_put(&fixture, "app1.log", 2048, OLD);
	fixture_put(&fixture, "app2.log", 1024, OLD);
	fixture.request.verb = REMEDY_VERB_PLAN;
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_NONE);
	assert_int_equal(fixture.result.plan_count, 3);
	assert_non_null(strstr(fixture.result.plan[0], "conf.d/app:1"));
	assert_int_equal(fixture.result.expected.freed_files, 2);
	assert_false(fixture_has(&fixture, "app1.log.1.gz"));
	assert_true(is_empty_run());
}

static void what_others_can_write_is_not_followed(void **state)
{
	char path[PATH_LEN * 2];
	fixture_put(&fixture, "app1.log", 2048, OLD);
	assert_int_equal(chmod(fixture_path(&fixture, "../conf.d/app", path), 0666), 0);
	disk_refused(&fixture, "no-stanza");
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chown(fixture_path(&fixture, "../conf.d", path), 12001, 12001), 0);
	disk_refused(&fixture, "no-stanza");
	assert_int_equal(chown(path, 0, 0), 0);
	assert_int_equal(chmod(args()->config, 0666), 0);
	disk_refused(&fixture, "configuration");
}

static void small_ones_other_filesystems_and_the_kill_switch_stop_it(void **state)
{
	fixture_put(&fixture, "app1.log", 2048, OLD);
	args()->min_size = 64 * MIB;
	disk_refused(&fixture, "too-small");
	args()->min_size = 0;
	fixture.request.target.dev++;
	disk_refused(&fixture, "no-stanza");
	fixture.request.target.dev--;
	snprintf(fixture.request.kill_switch, PATH_LEN, "%s", fixture.dir);
	disk_refused(&fixture, "kill-switch");
	assert_false(fixture_has(&fixture, "app1.log.1.gz"));
}

/* --- its configuration ---------------------------------------------------------------------------------------------------------------- */

struct taken {
	uint32_t count, patterns;
	char first[PATH_LEN], text[512], globals[512];
};

static void take(const struct logrotate_stanza *stanza, void *context)
{
	struct taken *taken = context;
	taken->count++;
	taken->patterns = stanza->pattern_count;
	snprintf(taken->first, sizeof(taken->first), "%s", stanza->patterns[0]);
	snprintf(taken->text, sizeof(taken->text), "%.*s", (int)stanza->length, stanza->text);
	snprintf(taken->globals, sizeof(taken->globals), "%.*s", (int)stanza->globals_length, stanza->globals);
}

static int read_in(const char *text, struct taken *taken, struct logrotate_read *read)
{
	memset(taken, 0, sizeof(*taken));
	return logrotate_each_in(text, strlen(text), take, taken, read);
}

static void stanzas_are_told_apart(void **state)
{
	struct taken taken;
	struct logrotate_read read;
	assert_int_equal(read_in("weekly\n/a.log\n\"/b c.log\" # two\n{\n\tpostrotate\n\t\tif true; then {\n}\n\tendscript\n}\nrotate 9\n", &taken, &read), 0);
	assert_int_equal(taken.count, 1);
	assert_int_equal(taken.patterns, 2);
	assert_string_equal(taken.first, "/a.log");
	assert_string_equal(taken.globals, "weekly\n"); /* and not what comes after it */
	assert_non_null(strstr(taken.text, "endscript\n}"));

	assert_int_equal(read_in("/a.log {\n}\ncompress\n'/b.log' {\n  daily\n  }\n", &taken, &read), 0);
	assert_int_equal(taken.count, 2);
	assert_string_equal(taken.first, "/b.log");
	assert_string_equal(taken.globals, "compress\n");
	assert_string_equal(taken.text, "'/b.log' {\n  daily\n  }");
}

static void what_cannot_be_followed_is_said(void **state)
{
	static const char *const broken[] = { "/a.log {\n daily\n", "/a.log\n", "/a.log {\npostrotate\n}\n", "\"/a.log {\n}\n", "postrotate\nx\n" };
	struct taken taken;
	struct logrotate_read read;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		assert_int_equal(read_in(broken[i], &taken, &read), -EINVAL);
		assert_non_null(strstr(read.fault, "text:"));
	}
}

static void what_makes_no_sense_is_refused(void **state)
{
	args()->config[0] = '\0';
	disk_refused(&fixture, "invalid-request");
	reset(NULL);
	snprintf(args()->file, PATH_LEN, "relative");
	disk_refused(&fixture, "invalid-request");
	reset(NULL);
	memset(args()->state, 'x', PATH_LEN);
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
		TEST(the_largest_is_rotated_and_no_other), TEST(the_file_that_grows_names_its_stanza), TEST(what_frees_nothing_is_told_as_that),
		TEST(copytruncate_counts_as_rotated), TEST(a_stanza_that_logrotate_refuses_fails), TEST(a_plan_runs_nothing),
		TEST(what_others_can_write_is_not_followed), TEST(small_ones_other_filesystems_and_the_kill_switch_stop_it), TEST(stanzas_are_told_apart),
		TEST(what_cannot_be_followed_is_said), TEST(what_makes_no_sense_is_refused),
	};
	if (access("/usr/sbin/logrotate", X_OK) < 0 || fixture_mount(&fixture) < 0) {
		printf("SKIP rotate-logs: not root, no loop device to mount, or no logrotate\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, end);
}
