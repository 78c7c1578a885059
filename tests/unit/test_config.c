/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: defaults, values, files and their order, and every message. Each tests/fixtures/config/X is parsed and its faults
 * compared with tests/golden/config/X.txt; NODEMEND_GOLDEN=write writes them anew. Runs in the repository's root.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/config_table.h"
#include "core/policy_table.h"

static struct config *config;
static struct config_faults faults;
static char folder[] = "/tmp/test_config.XXXXXX";

static int parse(const char *text)
{
	return config_parse("t.yaml", text, strlen(text), config, &faults);
}

static void assert_refused(const char *text, const char *part)
{
	assert_int_equal(parse(text), -EINVAL);
	assert_true(faults.count > 0);
	for (uint32_t i = 0; i < faults.count; i++)
		if (strstr(faults.each[i].text, part))
			return;
	fail_msg("\"%s\" is not in \"%s\"", part, faults.each[0].text);
}

static void write_file(const char *name, const char *text)
{
	char path[PATH_LEN];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *out = fopen(path, "w");
	assert_non_null(out);
	fputs(text, out);
	fclose(out);
	assert_int_equal(chmod(path, 0644), 0);
}

static const char *path_of(const char *name)
{
	static char path[PATH_LEN];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

/* --- defaults ---------------------------------------------------------------------------------------------------------- */

static void the_defaults_are_those_of_the_contract(void **state)
{
	char host[NAME_LEN] = "";
	memset(config, 0xa5, sizeof(*config)); /* nothing may be left from before */
	config_defaults(config);
	gethostname(host, sizeof(host) - 1);
	assert_string_equal(config->node, host);
	assert_int_equal(config->interval_ns, NSEC_PER_SEC);
	assert_int_equal(config->mode, MODE_ENFORCE);
	assert_int_equal(config->startup_grace_ns, 2 * NSEC_PER_SEC);
	assert_string_equal(config->listen, "127.0.0.1:9847");
	assert_true(config->budget_cpu_percent == 1.0);
	assert_int_equal(config->budget_memory_bytes, 64 << 20);
	for (int i = 0; i < COLLECTOR_COUNT; i++)
		assert_true(config->collectors[i]);
	assert_string_equal(config->systemd_bus, "");
	assert_string_equal(config->publisher_user, "nodemend");
	assert_int_equal(config->max_processes_shown, 20);
	assert_int_equal(config->protect.unit_count + config->protect.comm_count + config->protect.cgroup_count, 0);
}

static const struct policy *find_policy(const char *name)
{
	for (uint32_t i = 0; i < config->policy_count; i++)
		if (strcmp(config->policies[i].name, name) == 0)
			return &config->policies[i];
	fail_msg("no policy %s", name);
	return NULL;
}

static void the_shipped_policies_never_act_by_themselves(void **state)
{
	config_defaults(config);
	assert_true(config->policy_count >= 9);
	for (uint32_t i = 0; i < config->policy_count; i++) {
		const struct policy *policy = &config->policies[i];
		assert_true(policy->shipped);
		assert_int_equal(policy->mode, MODE_SHADOW);
	}
}

static void the_shipped_thresholds_are_those_of_the_design(void **state)
{
	static const struct {
		const char *name;
		enum severity severity;
		enum condition_kind kind;
		double raise;
	} expected[] = {
		{ "cpu-warning", SEVERITY_WARNING, CONDITION_CPU, 70 },
		{ "cpu-critical", SEVERITY_CRITICAL, CONDITION_CPU, 85 },
		{ "cpu-emergency", SEVERITY_EMERGENCY, CONDITION_CPU, 95 },
		{ "memory-warning", SEVERITY_WARNING, CONDITION_MEMORY, 75 },
		{ "memory-critical", SEVERITY_CRITICAL, CONDITION_MEMORY, 90 },
		{ "memory-emergency", SEVERITY_EMERGENCY, CONDITION_MEMORY, 98 },
		{ "disk-warning", SEVERITY_WARNING, CONDITION_FILESYSTEM, 80 },
		{ "disk-critical", SEVERITY_CRITICAL, CONDITION_FILESYSTEM, 90 },
		{ "disk-emergency", SEVERITY_EMERGENCY, CONDITION_FILESYSTEM, 95 },
	};
	config_defaults(config);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		const struct policy *policy = find_policy(expected[i].name);
		const struct condition *leaf = NULL;
		for (uint32_t at = 0; at < policy->when_count && !leaf; at++)
			if (policy->when[at].op == PREDICATE_LEAF)
				leaf = &policy->when[at].condition;
		assert_int_equal(policy->severity, expected[i].severity);
		assert_int_equal(leaf->kind, expected[i].kind);
		assert_int_equal(leaf->measure, MEASURE_USED_PERCENT);
		assert_true(leaf->threshold.raise == expected[i].raise);
		assert_true(leaf->threshold.clear < leaf->threshold.raise);
		assert_true(leaf->for_ns > 0);
	}
}

static void shipped_levels_are_sustained_and_clear_apart(void **state)
{
	static const struct { const char *name; enum condition_kind kind; double levels[SEVERITY_COUNT]; uint32_t steps; } expected[] = {
		{ "network", CONDITION_INTERFACE, { 70, 85, 95 }, 0 },
		{ "pids", CONDITION_PIDS, { 80, 90, 95 }, 0 },
		{ "files", CONDITION_FILES, { 80, 90, 95 }, 0 },
		{ "conntrack", CONDITION_CONNTRACK, { 75, 90, 98 }, 1 },
	};
	config_defaults(config);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		const struct policy *policy = find_policy(expected[i].name);
		const struct condition *leaf = &policy->when[0].condition;
		assert_int_equal(leaf->kind, expected[i].kind);
		assert_int_equal(leaf->threshold.graded, 7);
		assert_int_equal(policy->step_count, expected[i].steps);
		assert_int_equal(policy->mode, MODE_SHADOW);
		for (int level = 0; level < SEVERITY_COUNT; level++) {
			assert_true(leaf->threshold.levels[level].raise == expected[i].levels[level]);
			assert_true(leaf->threshold.levels[level].clear < expected[i].levels[level]);
		}
	}
	for (uint32_t i = 0; i < config->policy_count; i++)
		for (uint32_t at = 0; at < config->policies[i].when_count; at++) {
			const struct condition *leaf = &config->policies[i].when[at].condition;
			if (leaf->threshold.graded)
				assert_true(leaf->for_ns || leaf->of.samples);
		}
}

/* Next to nothing left *and* tasks that wait, by a window that is measured between ticks, too: the last interval's share is up to one interval old. */
static void who_may_be_ended_is_asked_by_two_signs(void **state)
{
	uint32_t found = 0;
	config_defaults(config);
	for (uint32_t i = 0; i < config->policy_count; i++) {
		const struct policy *policy = &config->policies[i];
		if (!policy->step_count || policy->steps[0].remedy != REMEDY_TERMINATE)
			continue;
		found++;
		assert_int_equal(policy->when_count, 3);
		assert_int_equal(policy->when[0].op, PREDICATE_ALL);
		assert_int_equal(policy->when[1].condition.kind, CONDITION_MEMORY);
		assert_int_equal(policy->when[1].condition.for_ns, 0); /* at the pace that matters there is no time to wait for a second look */
		assert_int_equal(policy->when[2].condition.kind, CONDITION_PSI);
		assert_int_equal(policy->when[2].condition.psi_window_s, TRIGGER_WINDOW_S);
	}
	assert_int_equal(found, 1);
}

static void an_empty_file_is_the_defaults(void **state)
{
	assert_int_equal(parse(""), 0);
	assert_int_equal(config->interval_ns, NSEC_PER_SEC);
	assert_true(config->policies[0].shipped);
	assert_int_equal(parse("---\n# nothing\n"), 0);
}

static void collectors_have_a_key_each(void **state)
{
	assert_int_equal(collectors_section.count, COLLECTOR_COUNT);
	for (int i = 0; i < COLLECTOR_COUNT; i++) {
		char text[128];
		snprintf(text, sizeof(text), "collectors: {%s: false}\n", collector_names[i]);
		assert_int_equal(parse(text), 0);
		for (int j = 0; j < COLLECTOR_COUNT; j++)
			assert_int_equal(config->collectors[j], i != j);
	}
}

/* --- values ------------------------------------------------------------------------------------------------------------ */

static void times_and_sizes_are_read_with_their_units(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} times[] = {
		{ "500ms", 500000000 }, { "1s", 1000000000 }, { "1.5s", 1500000000 }, { "1m", 60000000000 }, { "0.5m", 30000000000 },
	};
	static const struct {
		const char *text;
		uint64_t bytes;
	} sizes[] = {
		{ "67108864", 67108864 }, { "16MiB", 16 << 20 },  { "65536KiB", 64 << 20 }, { "1.5GiB", 1610612736 },
		{ "1.5G", 1610612736 },	  { "100MB", 100000000 }, { "1GB", 1000000000 },    { "20000000B", 20000000 },
	};
	char text[128];
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		snprintf(text, sizeof(text), "interval: %s\n", times[i].text);
		assert_int_equal(parse(text), 0);
		assert_int_equal(config->interval_ns, times[i].ns);
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		snprintf(text, sizeof(text), "budget: {memory: %s}\n", sizes[i].text);
		assert_int_equal(parse(text), 0);
		assert_int_equal(config->budget_memory_bytes, sizes[i].bytes);
	}
}

static void numbers_are_only_digits_and_a_point(void **state)
{
	static const char *const wrong[] = {
		"1e9", "0x10", "-1", "+5", ".5", "5.", "inf", "nan", "1 s", "1_000", "five", "1.2.3", "99999999999999999999999"
	};
	char text[128];
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(text, sizeof(text), "budget: {memory: \"%s\"}\n", wrong[i]);
		assert_int_equal(parse(text), -EINVAL);
		snprintf(text, sizeof(text), "interval: \"%s\"\n", wrong[i]);
		assert_int_equal(parse(text), -EINVAL);
		snprintf(text, sizeof(text), "top_processes: \"%s\"\n", wrong[i]);
		assert_int_equal(parse(text), -EINVAL);
	}
}

static void ranges_include_their_ends(void **state)
{
	assert_int_equal(parse("interval: 100ms\n"), 0);
	assert_int_equal(parse("interval: 60s\n"), 0);
	assert_refused("interval: 99ms\n", "100ms to 1m");
	assert_refused("interval: 61s\n", "100ms to 1m");
	assert_refused("top_processes: 1001\n", "0 to 1000");
}

static void addresses_are_numeric(void **state)
{
	static const char *const right[] = { "127.0.0.1:9847", "0.0.0.0:0", "[::1]:80", "[::]:65535", "" };
	static const char *const wrong[] = {
		"localhost:80", ":80",		"127.0.0.1",   "127.0.0.1:",	 "127.0.0.1:65536", "::1:80", "[::1]", "[::1]80",
		"[]:80",	"127.0.0.1:8o", "1.2.3.4.5:1", "[127.0.0.1]:80", "127.0.0.1:-1",    "[",      ":",     "[:"
	};
	char text[128];
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		snprintf(text, sizeof(text), "http: {listen: \"%s\"}\n", right[i]);
		assert_int_equal(parse(text), 0);
		assert_string_equal(config->listen, right[i]);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(text, sizeof(text), "http: {listen: \"%s\"}\n", wrong[i]);
		assert_refused(text, "listen: ");
	}
}

static void lists_are_bounded_and_may_be_one_word(void **state)
{
	assert_int_equal(parse("protect: {units: [a.service, \"b*\"], comms: postgres, cgroups: []}\n"), 0);
	assert_int_equal(config->protect.unit_count, 2);
	assert_string_equal(config->protect.units[1], "b*");
	assert_int_equal(config->protect.comm_count, 1);
	assert_string_equal(config->protect.comms[0], "postgres");
	assert_int_equal(config->protect.cgroup_count, 0);

	char text[MAX_PROTECT * 8 + 64] = "protect: {comms: [";
	for (int i = 0; i <= MAX_PROTECT; i++)
		strcat(text, "c, ");
	strcat(text, "]}\n");
	assert_refused(text, "too many: 32 at most");
}

static void a_slip_is_answered_with_the_nearest_key(void **state)
{
	assert_refused("intervall: 1s\n", "did you mean interval?");
	assert_refused("top-processes: 5\n", "did you mean top_processes?");
	assert_refused("Mode: shadow\n", "did you mean mode?");
	assert_refused("xyzzy: 1\n", "known: node, interval");
	assert_refused("tls: 1\n", "unknown key");
	assert_refused("http: {tls: {}}\n", "cert_file is missing");
}

static void all_faults_are_reported_and_beyond_the_room_counted(void **state)
{
	char text[8192] = "";
	size_t used = 0;
	for (int i = 0; i < 100; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "unknown%d: 1\n", i);
	assert_int_equal(parse(text), -EINVAL);
	assert_int_equal(faults.count, 64);
	assert_int_equal(faults.cut, 36);
}

static void after_a_fault_the_defaults_stand(void **state)
{
	assert_int_equal(parse("interval: 5s\nmode: observe\npolicies: []\nnonsense: 1\n"), -EINVAL);
	assert_int_equal(config->interval_ns, NSEC_PER_SEC);
	assert_int_equal(config->mode, MODE_ENFORCE);
	assert_true(config->policy_count > 0);
}

static void what_is_shown_cannot_steer_a_terminal(void **state)
{
	char shown[CONFIG_SHOWN_LEN];
	assert_string_equal(config_shown(shown, "plain \xc3\xa9"), "\"plain \xc3\xa9\"");
	assert_string_equal(config_shown(shown, "\x1b[31m\n"), "\"\\x1b[31m\\x0a\"");
	assert_string_equal(config_shown(shown, "\xe2\x80\xae\xc2\x9b\"\\"), "\"\\xe2\\x80\\xae\\xc2\\x9b\\\"\\\\\"");
	assert_string_equal(config_shown(shown, "\xff\xc3"), "\"\\xff\\xc3\"");
	char text[512];
	for (int byte = 1; byte < 256; byte++) {
		memset(text, byte, sizeof(text) - 1);
		text[sizeof(text) - 1] = 0;
		config_shown(shown, text);
		assert_true(strlen(shown) < CONFIG_SHOWN_LEN);
		assert_non_null(strstr(shown, "...\""));
	}
}

/* --- files ------------------------------------------------------------------------------------------------------------- */

static void files_follow_each_other_in_order(void **state)
{
	char paths[CONFIG_MAX_FILES][PATH_LEN];
	assert_int_equal(config_places(folder, paths, CONFIG_MAX_FILES), 0);
	assert_int_equal(config_load_folder(folder, config, &faults), 0);
	assert_true(config->policies[0].shipped);

	write_file("nodemend.yaml", "mode: observe\ninterval: 2s\nprotect: {comms: a}\n");
	assert_int_equal(mkdir(path_of("conf.d"), 0755), 0);
	write_file("conf.d/20.yaml", "policies: [{name: twenty, when: {cpu: {used_percent: 90}}}]\nprotect: {comms: b}\n");
	write_file("conf.d/10.yaml", "mode: shadow\npolicies: [{name: ten, when: {cpu: {used_percent: 90}}}]\n");
	write_file("conf.d/ignored.txt", "garbage: [\n");
	assert_int_equal(config_places(folder, paths, CONFIG_MAX_FILES), 3);
	assert_string_equal(paths[1], path_of("conf.d/10.yaml"));
	assert_int_equal(config_places(folder, paths, 1), 3);

	assert_int_equal(config_load_folder(folder, config, &faults), 0);
	assert_int_equal(config->mode, MODE_SHADOW);
	assert_int_equal(config->interval_ns, 2 * NSEC_PER_SEC);
	assert_int_equal(config->protect.comm_count, 2);
	assert_int_equal(config->policy_count, 2);
	assert_string_equal(config->policies[0].name, "ten");
	assert_string_equal(config->policies[1].file, path_of("conf.d/20.yaml"));
	assert_false(config->policies[0].shipped);

	write_file("conf.d/30.yaml", "policies: [{name: ten, when: {cpu: {used_percent: 90}}}]\n");
	assert_int_equal(config_load_folder(folder, config, &faults), -EINVAL);
	assert_int_equal(faults.count, 1);
	assert_string_equal(faults.each[0].file, path_of("conf.d/30.yaml"));
	assert_non_null(strstr(faults.each[0].text, "conf.d/10.yaml line 2"));
}

static void assert_unreadable(const char *name, const char *part)
{
	assert_int_equal(config_load(path_of(name), config, &faults), -EINVAL);
	assert_int_equal(faults.count, 1);
	assert_int_equal(faults.each[0].line, 0);
	assert_string_equal(faults.each[0].file, path_of(name));
	assert_non_null(strstr(faults.each[0].text, part));
}

static void a_file_that_cannot_be_trusted_or_read_is_a_sentence(void **state)
{
	assert_unreadable("missing.yaml", "No such file");
	assert_int_equal(mkdir(path_of("a-directory"), 0755), 0);
	assert_unreadable("a-directory", "directory");
	assert_int_equal(mkfifo(path_of("fifo"), 0644), 0);
	assert_unreadable("fifo", "not a regular file"); /* and it does not hang */
	write_file("open.yaml", "mode: shadow\n");
	assert_int_equal(chmod(path_of("open.yaml"), 0646), 0);
	assert_unreadable("open.yaml", "chmod o-w");
	assert_int_equal(chmod(path_of("open.yaml"), 0664), 0); /* a group of administrators may */
	assert_int_equal(config_load(path_of("open.yaml"), config, &faults), 0);
	write_file("large.yaml", "");
	assert_int_equal(truncate(path_of("large.yaml"), YAML_MAX_SIZE + 1), 0);
	assert_unreadable("large.yaml", "1 MiB");
	if (geteuid() != 0) {
		write_file("secret.yaml", "");
		assert_int_equal(chmod(path_of("secret.yaml"), 0), 0);
		assert_unreadable("secret.yaml", "Permission denied");
	}
	write_file("fine.yaml", "mode: shadow\n");
	assert_int_equal(config_load(path_of("fine.yaml"), config, &faults), 0);
	assert_int_equal(config->mode, MODE_SHADOW);
}

static void a_copy_is_what_is_in_use(void **state)
{
	struct config *copy = calloc(1, sizeof(*copy));
	assert_non_null(copy);
	assert_int_equal(parse("mode: shadow\npolicies: [{name: a, when: {cpu: {used_percent: 90}}}]\n"), 0);
	config_copy(copy, config);
	assert_int_equal(copy->mode, MODE_SHADOW);
	assert_memory_equal(&copy->policies[0], &config->policies[0], sizeof(copy->policies[0]));
	free(copy);
}

/* --- messages and reference -------------------------------------------------------------------------------------------- */

static char *read_whole(const char *path, size_t *ret_size)
{
	FILE *in = fopen(path, "r");
	if (!in)
		return NULL;
	char *text = calloc(1, 256 << 10);
	assert_non_null(text);
	*ret_size = fread(text, 1, (256 << 10) - 1, in);
	fclose(in);
	return text;
}

static void check_golden(const char *fixture)
{
	const char *name = strrchr(fixture, '/') + 1;
	char golden[PATH_LEN], *got = NULL;
	size_t size, got_size, expected_size;
	char *text = read_whole(fixture, &size);
	assert_non_null(text);

	int err = config_parse(name, text, size, config, &faults);
	assert_int_equal(err, faults.count ? -EINVAL : 0);
	FILE *out = open_memstream(&got, &got_size);
	assert_non_null(out);
	config_print_faults(&faults, out);
	if (!err)
		fprintf(out, "ok\n");
	fclose(out);

	snprintf(golden, sizeof(golden), "tests/golden/config/%s.txt", name);
	const char *write = getenv("NODEMEND_GOLDEN");
	if (write && strcmp(write, "write") == 0) {
		out = fopen(golden, "w");
		assert_non_null(out);
		fputs(got, out);
		fclose(out);
	}
	char *expected = read_whole(golden, &expected_size);
	if (!expected)
		fail_msg("%s is missing", golden);
	else
		assert_string_equal(got, expected);
	free(expected);
	free(got);
	free(text);
}

static void every_message_is_as_it_was(void **state)
{
	glob_t found;
	assert_int_equal(glob("tests/fixtures/config/*", 0, NULL, &found), 0);
	assert_true(found.gl_pathc >= 20);
	for (size_t i = 0; i < found.gl_pathc; i++)
		check_golden(found.gl_pathv[i]);
	globfree(&found);
}

/* Each generated block, from its mark to its end, stands in its document word for word. */
static void the_reference_in_the_documents_is_what_the_tables_say(void **state)
{
	static const char *const documents[] = { "docs/configuration.md", "docs/policies.md", "docs/logs.md" };
	char *printed = NULL;
	size_t size;
	FILE *out = open_memstream(&printed, &size);
	assert_non_null(out);
	config_print_reference(out);
	fclose(out);

	char *block = printed;
	for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
		char *end = strstr(block, "<!-- end -->\n");
		assert_non_null(end);
		end += strlen("<!-- end -->\n");
		char kept = *end;
		*end = 0;
		char *document = read_whole(documents[i], &size);
		assert_non_null(document);
		block = strstr(block, "<!-- from");
		if (!strstr(document, block))
			fail_msg("%s holds another reference than `nodemend check --reference` prints; copy it there", documents[i]);
		free(document);
		*end = kept;
		block = end;
	}
	free(printed);
}

static int set_up(void **state)
{
	config = calloc(1, sizeof(*config));
	return config && mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	static const char *const files[] = { "conf.d/10.yaml", "conf.d/20.yaml", "conf.d/30.yaml", "conf.d/ignored.txt",
					     "conf.d",	       "nodemend.yaml",	 "a-directory",	   "fifo",
					     "open.yaml",      "large.yaml",	 "secret.yaml",	   "fine.yaml" };
	free(config);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		(void)remove(path_of(files[i])); /* those that a failed test never made are not there */
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_defaults_are_those_of_the_contract),
		cmocka_unit_test(the_shipped_policies_never_act_by_themselves),
		cmocka_unit_test(the_shipped_thresholds_are_those_of_the_design),
		cmocka_unit_test(shipped_levels_are_sustained_and_clear_apart),
		cmocka_unit_test(who_may_be_ended_is_asked_by_two_signs),
		cmocka_unit_test(an_empty_file_is_the_defaults),
		cmocka_unit_test(collectors_have_a_key_each),
		cmocka_unit_test(times_and_sizes_are_read_with_their_units),
		cmocka_unit_test(numbers_are_only_digits_and_a_point),
		cmocka_unit_test(ranges_include_their_ends),
		cmocka_unit_test(addresses_are_numeric),
		cmocka_unit_test(lists_are_bounded_and_may_be_one_word),
		cmocka_unit_test(a_slip_is_answered_with_the_nearest_key),
		cmocka_unit_test(all_faults_are_reported_and_beyond_the_room_counted),
		cmocka_unit_test(after_a_fault_the_defaults_stand),
		cmocka_unit_test(what_is_shown_cannot_steer_a_terminal),
		cmocka_unit_test(files_follow_each_other_in_order),
		cmocka_unit_test(a_file_that_cannot_be_trusted_or_read_is_a_sentence),
		cmocka_unit_test(a_copy_is_what_is_in_use),
		cmocka_unit_test(every_message_is_as_it_was),
		cmocka_unit_test(the_reference_in_the_documents_is_what_the_tables_say),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
