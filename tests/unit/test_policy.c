/* SPDX-License-Identifier: Apache-2.0 */
/* Policies: that what is written is what the engine gets, and that what would be dangerous is refused. The wording is test_config's
 * goldens'. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/policy_table.h"

static struct config *config;
static struct config_faults faults;

static const struct policy *parse_ok(const char *text)
{
	int err = config_parse("t.yaml", text, strlen(text), config, &faults);
	if (err)
		fail_msg("%u:%u: %s", faults.each[0].line, faults.each[0].column, faults.each[0].text);
	return &config->policies[0];
}

static void assert_refused(const char *text, const char *part)
{
	assert_int_equal(config_parse("t.yaml", text, strlen(text), config, &faults), -EINVAL);
	for (uint32_t i = 0; i < faults.count; i++)
		if (strstr(faults.each[i].text, part))
			return;
	fail_msg("\"%s\" is not in \"%s\"", part, faults.each[0].text);
}

/* One policy with this condition. */
static const struct condition *leaf_of(const char *condition)
{
	char text[1024];
	snprintf(text, sizeof(text), "policies: [{name: p, when: {%s}}]\n", condition);
	return &parse_ok(text)->when[0].condition;
}

static void assert_condition_refused(const char *condition, const char *part)
{
	char text[1024];
	snprintf(text, sizeof(text), "policies: [{name: p, when: {%s}}]\n", condition);
	assert_refused(text, part);
}

/* One policy on /data that cleans with these arguments. */
static void clean_with(char *text, size_t size, const char *arguments)
{
	snprintf(text, size,
		 "policies: [{name: p, when: {filesystem: {mountpoint: /data, used_percent: 90}}, do: [{clean-files: {%s}, "
		 "expect: {freed: 1MiB, within: 5s}}]}]\n",
		 arguments);
}

static void assert_clean_refused(const char *arguments, const char *part)
{
	char text[1024];
	clean_with(text, sizeof(text), arguments);
	assert_refused(text, part);
}

/* --- the whole --------------------------------------------------------------------------------------------------------- */

static void a_whole_policy_arrives_as_written(void **state)
{
	const struct policy *policy = parse_ok("policies:\n"
					       "  - name: data-fills\n"
					       "    when:\n"
					       "      all:\n"
					       "        - filesystem: {mountpoint: /data, used_percent: {above: 90, clear: 85}, for: 5s}\n"
					       "        - filesystem: {mountpoint: /data, full_within: 30m}\n"
					       "    mode: enforce\n"
					       "    severity: emergency\n"
					       "    do:\n"
					       "      - clean-files: {root: /data/app/logs, match: [\"*.log.*\", \"*.tmp\"], min_age: 10m, "
					       "keep_newest: 3, max_bytes: 2GiB}\n"
					       "        expect: {freed: 200MiB, within: 5s}\n"
					       "      - restart-unit: {unit: app.service}\n"
					       "        expect: {unit: active, within: 30s}\n"
					       "    limits: {cooldown: 11m, per_target: 2/1h, per_node: 9/1d}\n"
					       "    blocked_by: {file: /run/app/keep, window: \"22:30-04:05\"}\n");

	assert_int_equal(config->policy_count, 1);
	assert_string_equal(policy->name, "data-fills");
	assert_string_equal(policy->file, "t.yaml");
	assert_int_equal(policy->line, 2);
	assert_int_equal(policy->mode, MODE_ENFORCE);
	assert_int_equal(policy->severity, SEVERITY_EMERGENCY);

	assert_int_equal(policy->when_count, 3);
	assert_int_equal(policy->when[0].op, PREDICATE_ALL);
	assert_int_equal(policy->when[0].first_child, 1);
	assert_int_equal(policy->when[1].next_sibling, 2);
	assert_int_equal(policy->when[2].next_sibling, 0);
	const struct condition *first = &policy->when[1].condition, *second = &policy->when[2].condition;
	assert_string_equal(first->mountpoint, "/data");
	assert_int_equal(first->measure, MEASURE_USED_PERCENT);
	assert_true(first->threshold.above && first->threshold.raise == 90 && first->threshold.clear == 85);
	assert_int_equal(first->for_ns, 5 * NSEC_PER_SEC);
	assert_int_equal(second->measure, MEASURE_FULL_WITHIN);
	assert_true(!second->threshold.above && second->threshold.raise == 1800e9 && second->threshold.clear == 1800e9);
	assert_int_equal(second->for_ns, 0);

	assert_int_equal(policy->step_count, 2);
	const struct clean_files_args *clean = &policy->steps[0].args.clean_files;
	assert_int_equal(policy->steps[0].remedy, REMEDY_CLEAN_FILES);
	assert_int_equal(policy->steps[0].line, 10);
	assert_string_equal(clean->root, "/data/app/logs");
	assert_int_equal(clean->match_count, 2);
	assert_string_equal(clean->match[1], "*.tmp");
	assert_int_equal(clean->min_age_ns, 600 * NSEC_PER_SEC);
	assert_int_equal(clean->keep_newest, 3);
	assert_int_equal(clean->max_bytes, 2ULL << 30);
	assert_int_equal(clean->max_files, 10000);
	assert_int_equal(clean->max_depth, 8);
	assert_int_equal(policy->steps[0].expect.freed_bytes, 200 << 20);
	assert_int_equal(policy->steps[0].expect.within_ns, 5 * NSEC_PER_SEC);
	assert_true(policy->steps[0].expect.exited == UNKNOWN && policy->steps[0].expect.unit_active == UNKNOWN &&
		    policy->steps[0].expect.freed_files == UNKNOWN);
	assert_string_equal(policy->steps[1].args.unit.unit, "app.service");
	assert_int_equal(policy->steps[1].args.unit.job_timeout_ns, 30 * NSEC_PER_SEC);
	assert_int_equal(policy->steps[1].expect.unit_active, 1);

	assert_int_equal(policy->limits.cooldown_ns, 660 * NSEC_PER_SEC);
	assert_int_equal(policy->limits.per_target.count, 2);
	assert_int_equal(policy->limits.per_target.per_ns, 3600 * NSEC_PER_SEC);
	assert_int_equal(policy->limits.per_node.count, 9);
	assert_int_equal(policy->limits.per_node.per_ns, 86400 * NSEC_PER_SEC);
	assert_string_equal(policy->blocked_by.file, "/run/app/keep");
	assert_true(policy->blocked_by.has_window);
	assert_int_equal(policy->blocked_by.window_from_min, 22 * 60 + 30);
	assert_int_equal(policy->blocked_by.window_to_min, 4 * 60 + 5);
}

static void what_holds_back_and_whom_to_spare(void **state)
{
	const struct policy *policy = parse_ok("policies:\n"
					       "  - name: p\n"
					       "    when: {memory: {used_percent: 90}}\n"
					       "    blocked_by: {alert: disk_exhaustion, unit: backup.service, unit_state: [active, failed], package_manager: true, logged_in: true}\n"
					       "    victims: {prefer: [\"batch-*\", /machine.slice], avoid: [db.service]}\n"
					       "    order: learned\n"
					       "  - name: q\n"
					       "    when: {memory: {used_percent: 90}}\n"
					       "    blocked_by: {alert: p}\n");
	assert_string_equal(policy->blocked_by.alert, "disk_exhaustion");
	assert_string_equal(policy->blocked_by.unit, "backup.service");
	assert_int_equal(policy->blocked_by.unit_states, 1U << UNIT_ACTIVE | 1U << UNIT_FAILED);
	assert_true(policy->blocked_by.package_manager && policy->blocked_by.logged_in);
	assert_int_equal(policy->victims.prefer_count, 2);
	assert_string_equal(policy->victims.prefer[1], "/machine.slice");
	assert_int_equal(policy->victims.avoid_count, 1);
	assert_string_equal(policy->victims.avoid[0], "db.service");
	assert_int_equal(policy->order, STEPS_LEARNED);
	assert_int_equal(config->policies[1].order, STEPS_WRITTEN);
	assert_false(config->policies[1].blocked_by.logged_in);
	assert_true(config->acts_per_node.count == 100 && config->acts_per_remedy.count == 50); /* unless the file says otherwise */

	static const char *const wrong[][2] = {
		{ "blocked_by: {alert: disc_exhaustion}", "neither a kind of incident nor another policy" },
		{ "blocked_by: {alert: p}", "neither a kind of incident nor another policy" }, /* itself */
		{ "blocked_by: {unit: backup}", "unit: " },
		{ "blocked_by: {unit_state: active}", "of which unit" },
		{ "blocked_by: {logged_in: maybe}", "logged_in" },
		{ "order: random", "order" },
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char text[256];
		snprintf(text, sizeof(text), "policies: [{name: p, when: {memory: {used_percent: 90}}, %s}]\n", wrong[i][0]);
		assert_refused(text, wrong[i][1]);
	}
}

static void what_is_not_said_is_cautious(void **state)
{
	const struct policy *policy = parse_ok("policies: [{name: p, when: {memory: {used_percent: 90}}, do: [{terminate: {}, expect: "
					       "{exited: true, within: 9s}}]}]\n");
	assert_int_equal(policy->mode, MODE_SHADOW);
	assert_int_equal(policy->severity, SEVERITY_CRITICAL);
	assert_int_equal(policy->limits.cooldown_ns, 600 * NSEC_PER_SEC);
	assert_int_equal(policy->limits.per_target.count, 3);
	assert_int_equal(policy->limits.per_node.count, 10);
	assert_false(policy->blocked_by.has_window);
	assert_string_equal(policy->blocked_by.file, "");
	assert_int_equal(policy->steps[0].args.terminate.scope, TERMINATE_PROCESS);
	assert_int_equal(policy->steps[0].args.terminate.term_wait_ns, 5 * NSEC_PER_SEC);
	assert_int_equal(policy->steps[0].expect.exited, 1);
	assert_false(policy->shipped);
}

static void lists_nest_in_document_order(void **state)
{
	const struct policy *policy = parse_ok("policies:\n  - name: p\n    when:\n      any:\n"
					       "        - all: [{cpu: {used_percent: 1}}, {cpu: {used_percent: 2}}]\n"
					       "        - memory: {used_percent: 3}\n        - any: [{cpu: {used_percent: 4}}]\n");
	static const enum predicate_op ops[] = { PREDICATE_ANY,	 PREDICATE_ALL, PREDICATE_LEAF, PREDICATE_LEAF,
						 PREDICATE_LEAF, PREDICATE_ANY, PREDICATE_LEAF };
	static const uint16_t first[] = { 1, 2, 0, 0, 0, 6, 0 }, next[] = { 0, 4, 3, 0, 5, 0, 0 };
	assert_int_equal(policy->when_count, 7);
	for (uint32_t i = 0; i < 7; i++) {
		assert_int_equal(policy->when[i].op, ops[i]);
		assert_int_equal(policy->when[i].first_child, first[i]);
		assert_int_equal(policy->when[i].next_sibling, next[i]);
	}
}

static void the_room_of_a_policy_is_bounded(void **state)
{
	char text[4096] = "policies: [{name: p, when: {all: [";
	for (int i = 0; i < MAX_CONDITIONS; i++)
		strcat(text, "{cpu: {used_percent: 9}}, ");
	strcat(text, "]}}]\n");
	assert_refused(text, "more than 16");

	strcpy(text, "policies: [{name: p, when: {cpu: {used_percent: 9}}, do: [");
	for (int i = 0; i <= MAX_STEPS; i++)
		strcat(text, "{terminate: {}, expect: {exited: true, within: 9s}}, ");
	strcat(text, "]}]\n");
	assert_refused(text, "more than 8 steps");
}

static void the_sources_of_lines_are_bounded(void **state)
{
	char text[4096] = "policies:\n", one[160];
	for (int i = 0; i <= MAX_LOG_SOURCES; i++) {
		snprintf(one, sizeof(one), "  - {name: p%d, when: {log: {source: /var/log/%d.log, match: x}}}\n", i, i);
		strcat(text, one);
		if (i == MAX_LOG_SOURCES - 1) {
			strcat(text, "  - {name: again, when: {log: {source: /var/log/3.log, match: y}}}\n");
			assert_int_equal(config_parse("t.yaml", text, strlen(text), config, &faults), 0);
		}
	}
	assert_refused(text, "/var/log/16.log\", with its multiline, is one source more than the 16");
	assert_int_equal(faults.count, 1);
	assert_refused("policies: [{name: p, when: {log: {source: kernel, pattern: [oom-kill, lockup, oom-kill]}}}]\n", "pattern: oom-kill is there already");
}

/* --- conditions -------------------------------------------------------------------------------------------------------- */

static void every_measure_has_its_name_and_direction(void **state)
{
	static const struct {
		const char *text;
		enum condition_kind kind;
		enum measure measure;
		bool above;
		double raise;
	} cases[] = {
		{ "filesystem: {inodes_used_percent: {above: 90}}", CONDITION_FILESYSTEM, MEASURE_INODES_USED_PERCENT, true, 90 },
		{ "filesystem: {avail_bytes: {below: 1KiB}}", CONDITION_FILESYSTEM, MEASURE_AVAILABLE_BYTES, false, 1024 },
		{ "filesystem: {avail_percent: 5%}", CONDITION_FILESYSTEM, MEASURE_AVAILABLE_PERCENT, false, 5 },
		{ "memory: {available_percent: 2.5}", CONDITION_MEMORY, MEASURE_AVAILABLE_PERCENT, false, 2.5 },
		{ "memory: {available_bytes: {below: 100MiB}}", CONDITION_MEMORY, MEASURE_AVAILABLE_BYTES, false, 104857600 },
		{ "memory: {swap_used_percent: {above: 80}}", CONDITION_MEMORY, MEASURE_SWAP_USED_PERCENT, true, 80 },
		{ "cpu: {used_percent: {above: 95}}", CONDITION_CPU, MEASURE_USED_PERCENT, true, 95 },
		{ "psi: {resource: io, some: {above: 10}}", CONDITION_PSI, MEASURE_PSI_SOME, true, 10 },
		{ "psi: {resource: memory, full: {above: 10}}", CONDITION_PSI, MEASURE_PSI_FULL, true, 10 },
		{ "process: {comm: x, memory: {above: 1GiB}}", CONDITION_PROCESS, MEASURE_RSS_BYTES, true, 1073741824 },
		{ "process: {comm: x, rss_bytes: {above: 1GiB}}", CONDITION_PROCESS, MEASURE_RSS_BYTES, true, 1073741824 },
		{ "process: {comm: x, cpu_percent: {above: 150}}", CONDITION_PROCESS, MEASURE_CPU_PERCENT, true, 150 },
		{ "process: {comm: x, growth_bytes: {above: 10MiB}}", CONDITION_PROCESS, MEASURE_GROWTH_BYTES, true, 10485760 },
		{ "process: {comm: x, running: {below: 2}}", CONDITION_PROCESS, MEASURE_COUNT_BELOW, false, 2 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct condition *condition = leaf_of(cases[i].text);
		assert_int_equal(condition->kind, cases[i].kind);
		assert_int_equal(condition->measure, cases[i].measure);
		assert_int_equal(condition->threshold.above, cases[i].above);
		assert_true(condition->threshold.raise == cases[i].raise);
		assert_true(condition->threshold.clear == cases[i].raise);
	}
}

static void selectors_and_windows_arrive(void **state)
{
	const struct condition *condition = leaf_of("process: {comm: \"java*\", cgroup: /app.slice, unit: \"*\", by: process, memory: "
						    "1GiB}");
	assert_string_equal(condition->comm, "java*");
	assert_string_equal(condition->cgroup, "/app.slice");
	assert_string_equal(condition->unit, ""); /* stars alone select nothing */
	assert_false(condition->by_group);
	assert_true(leaf_of("process: {cgroup: \"/test-*\", by: cgroup, memory: 1GiB}")->by_group);
	assert_string_equal(leaf_of("filesystem: {mountpoint: \"*\", used_percent: 90}")->mountpoint, "");
	assert_int_equal(leaf_of("psi: {resource: cpu, some: 10}")->psi_window_s, 10);
	assert_int_equal(leaf_of("psi: {resource: cpu, some: 10, window: 300s}")->psi_window_s, 300);
	assert_int_equal(leaf_of("psi: {resource: cpu, some: 10, window: interval}")->psi_window_s, 0);
	assert_int_equal(leaf_of("psi: {resource: io, some: 10}")->psi_resource, PSI_IO);
}

static void units_have_states_or_a_probe(void **state)
{
	const struct condition *condition = leaf_of("unit: {name: a@1.service, state: [failed, inactive]}");
	assert_string_equal(condition->unit, "a@1.service");
	assert_int_equal(condition->measure, MEASURE_UNIT_STATE);
	assert_int_equal(condition->unit_states, 1U << UNIT_FAILED | 1U << UNIT_INACTIVE);

	condition = leaf_of("unit: {name: a.service, probe: {http: \"http://[::1]:80/health\"}, every: 1s, failures: 2, for: 1s}");
	assert_int_equal(condition->measure, MEASURE_UNIT_PROBE);
	assert_int_equal(condition->probe.type, PROBE_TYPE_HTTP);
	assert_string_equal(condition->probe.address, "http://[::1]:80/health");
	assert_int_equal(condition->probe.every_ns, NSEC_PER_SEC);
	assert_int_equal(condition->probe.timeout_ns, NSEC_PER_SEC); /* the default of 2 s would outlast `every` */
	assert_int_equal(condition->probe.failures, 2);

	condition = leaf_of("unit: {name: a.service, probe: {command: [/bin/true, \"a b\"]}}");
	assert_int_equal(condition->probe.type, PROBE_TYPE_COMMAND);
	assert_string_equal(condition->probe.argv[0], "/bin/true");
	assert_string_equal(condition->probe.argv[1], "a b");
	assert_string_equal(condition->probe.argv[2], "");
	condition = leaf_of("unit: {name: a.service, probe: {tcp: \"127.0.0.1:5432\"}}");
	assert_int_equal(condition->probe.type, PROBE_TYPE_TCP);
	assert_condition_refused("unit: {name: a.service, probe: {command: [/b, 1, 2, 3, 4, 5, 6, 7]}}", "more than 7 words");
}

static void clear_lies_on_the_safe_side(void **state)
{
	assert_true(leaf_of("cpu: {used_percent: {above: 90, clear: 90}}")->threshold.clear == 90);
	assert_condition_refused("cpu: {used_percent: {above: 90, clear: 91}}", "no more than 90%");
	assert_condition_refused("memory: {available_percent: {below: 5, clear: 4}}", "no less than 5%");
	assert_condition_refused("memory: {available_percent: {above: 5}}", "write below");
	assert_condition_refused("cpu: {used_percent: {clear: 5}}", "above is missing");
}

static void levels_get_worse_and_clear_on_the_safe_side(void **state)
{
	const struct threshold *threshold = &leaf_of("cpu: {used_percent: {warning: 70, critical: {above: 85, clear: 75}, emergency: 95, clear_by: 5}}")->threshold;
	assert_int_equal(threshold->graded, 7);
	assert_true(threshold->raise == 70 && threshold->clear == 65);
	assert_true(threshold->levels[SEVERITY_WARNING].raise == 70 && threshold->levels[SEVERITY_WARNING].clear == 65);
	assert_true(threshold->levels[SEVERITY_CRITICAL].raise == 85 && threshold->levels[SEVERITY_CRITICAL].clear == 75);
	assert_true(threshold->levels[SEVERITY_EMERGENCY].raise == 95 && threshold->levels[SEVERITY_EMERGENCY].clear == 90);

	threshold = &leaf_of("memory: {available_bytes: {critical: 2GiB, emergency: 1GiB, clear_by: 512MiB}}")->threshold;
	assert_int_equal(threshold->graded, 6);
	assert_true(threshold->raise == 2147483648.0 && threshold->levels[SEVERITY_EMERGENCY].clear == 1610612736.0);
	assert_int_equal(leaf_of("cpu: {used_percent: {above: 90, clear: 80}}")->threshold.graded, 0);

	assert_condition_refused("cpu: {used_percent: {warning: 90, critical: 80}}", "critical must lie above warning, which is 90%");
	assert_condition_refused("cpu: {used_percent: {warning: 90, emergency: 90}}", "emergency must lie above warning");
	assert_condition_refused("memory: {available_percent: {warning: 5, critical: 10}}", "critical must lie below warning");
	assert_condition_refused("cpu: {used_percent: {warning: 101}}", "out of range");
	assert_condition_refused("cpu: {used_percent: {warning: {above: 80, clear: 85}}}", "no more than 80%");
	assert_condition_refused("cpu: {used_percent: {warning: {warning: 80}}}", "above is missing");
	assert_condition_refused("cpu: {used_percent: {warning: 80, above: 90}}", "known: warning, critical, emergency, clear_by");
	assert_condition_refused("cpu: {used_percent: {clear_by: 3}}", "above is missing");
}

static void windows_of_samples_have_a_form(void **state)
{
	const struct condition *condition = leaf_of("cpu: {used_percent: 90, of: 8/10}");
	assert_int_equal(condition->of.count, 8);
	assert_int_equal(condition->of.samples, 10);
	assert_int_equal(leaf_of("cpu: {used_percent: 90}")->of.samples, 0);
	assert_condition_refused("cpu: {used_percent: 90, of: 8}", "COUNT/SAMPLES");
	assert_condition_refused("cpu: {used_percent: 90, of: 11/10}", "out of range");
	assert_condition_refused("cpu: {used_percent: 90, of: 0/10}", "out of range");
	assert_condition_refused("cpu: {used_percent: 90, of: 8/65}", "2 to 64");
	static const char *const wrong[] = { "-1/10", "/10", "8/", "8/10/12", "8/0", "8//10", "a/10", "8/10s", "/" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char text[64];
		snprintf(text, sizeof(text), "cpu: {used_percent: 90, of: \"%s\"}", wrong[i]);
		assert_condition_refused(text, "COUNT/SAMPLES");
	}
	assert_condition_refused("cpu: {used_percent: 90, of: 99999999999999999999/10}", "out of range");
	assert_condition_refused("cpu: {used_percent: 90, for: 5s, of: 8/10}", "give one of the two");
}

static void selectors_that_never_match_are_refused(void **state)
{
	assert_condition_refused("psi: {resource: io, some: 5, window: 60s, cgroup: /app}", "only 10s and 2s");
	assert_condition_refused("psi: {resource: io, some: 5, cgroup: \"*\"}", "every cgroup is /*");
	assert_condition_refused("psi: {resource: io, some: 0, window: 2s}", "at least 0.1%");
	assert_int_equal(leaf_of("psi: {resource: io, some: 5, window: 2s, cgroup: /app}")->psi_window_s, 2);
	assert_condition_refused("files: {comm: x, used_percent: 90}", "write process_used_percent");
	assert_condition_refused("files: {comm: a-rather-long-name, process_used_percent: 90}", "a-rather-long-n");
	assert_condition_refused("cgroup: {cgroup: app, memory_used_percent: 90}", "begins with /");
	assert_condition_refused("dependency: {peer: 10.0.0.5, fails_percent: 50}", "ADDRESS:PORT");
	assert_condition_refused("interface: {name: a-name-of-16-long, used_percent: 50}", "at most 15 bytes");
	assert_condition_refused("listener: {port: 0, backlog_percent: 50}", "out of range");
	assert_string_equal(leaf_of("dependency: {peer: \"10.0.0.5:*\", slower_than_usual: 3x}")->name, "10.0.0.5:*");
	assert_true(leaf_of("dependency: {slower_than_usual: 2.5}")->threshold.raise == 2.5);
	assert_condition_refused("dependency: {slower_than_usual: 1}", "1.1x to 10000x");
}

static void any_process_at_all_is_not_a_policy(void **state)
{
	assert_condition_refused("process: {memory: 1GiB}", "select some");
	assert_condition_refused("process: {comm: \"**\", cgroup: \"/*\", memory: 1GiB}", "select some");
	leaf_of("process: {comm: \"a*\", memory: 1GiB}");
}

/* --- what is dangerous ------------------------------------------------------------------------------------------------- */

static void roots_that_hold_a_system_or_data_are_refused(void **state)
{
	static const char *const roots[] = { "/",
					     "/etc",
					     "/etc/x",
					     "/usr",
					     "/boot",
					     "/home",
					     "/var",
					     "/var/lib",
					     "/root",
					     "/bin",
					     "/sbin",
					     "/lib",
					     "/lib64",
					     "/dev",
					     "/dev/shm/x",
					     "/proc",
					     "/sys",
					     "/run",
					     "/opt",
					     "/srv",
					     "/var/lib/kubelet",
					     "/var/lib/docker/overlay2",
					     "/var/lib/etcd",
					     "/var/lib/postgresql/15",
					     "/var/lib/mysql",
					     "/var/lib/dpkg",
					     "/var/lib/systemd/x",
					     "/var/lib/nodemend",
					     "/var/lib/containerd",
					     "data",
					     "/data/",
					     "/data/../etc",
					     "/data/./x",
					     "//data",
					     "/data//x",
					     "/..",
					     "" };
	char arguments[256];
	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		snprintf(arguments, sizeof(arguments), "root: \"%s\", match: \"*.log\"", roots[i]);
		assert_clean_refused(arguments, "root: ");
	}
	static const char *const fine[] = { "/data",	     "/data/logs", "/var/log/app", "/var/lib/app/cache",
					    "/home/x/cache", "/data/..x",  "/libs",	   "/variable" };
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
		char text[1024];
		snprintf(arguments, sizeof(arguments), "root: \"%s\", match: \"*.log\"", fine[i]);
		clean_with(text, sizeof(text), arguments);
		parse_ok(text);
	}
}

static void a_match_of_everything_needs_a_written_age(void **state)
{
	char text[1024];
	assert_clean_refused("root: /data/x, match: \"*\"", "matches every file");
	assert_clean_refused("root: /data/x, match: [a, \"?*\"]", "matches every file");
	assert_clean_refused("root: /data/x, match: \"*\", min_age: 59m", "matches every file");
	assert_clean_refused("root: /data/x, match: \"\", min_age: 1d", "empty word");
	assert_clean_refused("root: /data/x, match: []", "matches nothing");
	assert_clean_refused("root: /data/x", "match is missing");
	assert_clean_refused("root: /data/x, match: \"logs/*.log\"", "never matches");
	assert_clean_refused("root: /data/x, match: x, max_depth: 0", "out of range");
	clean_with(text, sizeof(text), "root: /data/x, match: \"*\", min_age: 1h");
	parse_ok(text);
}

/* A policy with this `do`. */
static void assert_do_refused(const char *when, const char *steps, const char *part)
{
	char text[1024];
	snprintf(text, sizeof(text), "policies: [{name: p, when: {%s}, do: [%s]}]\n", when, steps);
	assert_refused(text, part);
}

static void no_expectation_no_act(void **state)
{
	static const char cpu[] = "cpu: {used_percent: 90}";
	assert_do_refused(cpu, "{terminate: {}}", "expect is missing");
	assert_do_refused(cpu, "{terminate: {}, expect: {}}", "within is missing");
	assert_do_refused(cpu, "{terminate: {}, expect: {within: 5s}}", "no effect");
	assert_do_refused(cpu, "{terminate: {}, expect: {exited: true}}", "within is missing");
	assert_do_refused(cpu, "{terminate: {}, expect: {unit: active, within: 5s}}", "does not bring about unit");
	assert_do_refused(cpu, "{terminate: {}, expect: {exited: false, within: 5s}}", "exited");
	assert_do_refused(cpu, "{restart-unit: {unit: a.service}, expect: {freed: 1, within: 5s}}", "does not bring about freed");
	assert_do_refused(cpu, "{expect: {exited: true, within: 5s}}", "exactly one remedy");
}

static void terminate_needs_somebody_to_aim_at(void **state)
{
	static const char step[] = "{terminate: {}, expect: {exited: true, within: 5s}}";
	assert_do_refused("filesystem: {used_percent: 90}", step, "terminate needs");
	assert_do_refused("unit: {name: a.service, state: failed}", step, "terminate needs");
	assert_do_refused("process: {comm: a, running: {below: 1}}", step, "terminate needs");
	/* Whoever fills a filesystem is a writer, and nobody else's cause. */
	static const char hold[] = "{stop-writer: {}, expect: {use_percent: 1, within: 5s}}";
	assert_do_refused("unit: {name: a.service, state: failed}", hold, "psi or filesystem");
	(void)parse_ok("policies: [{name: p, when: {filesystem: {used_percent: 90}}, do: [{stop-writer: {}, expect: {use_percent: 1, within: 5s}}]}]\n");
}

static void units_are_whole_names_of_one_thing(void **state)
{
	static const char *const wrong[] = { "nginx",	     "*.service",	  "a b.service",    ".service",	  "a.conf",
					     "system.slice", "multi-user.target", "dev-sda.device", "a/b.service" };
	char step[256];
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(step, sizeof(step), "{restart-unit: {unit: \"%s\"}, expect: {unit: active, within: 5s}}", wrong[i]);
		assert_do_refused("cpu: {used_percent: 90}", step, "unit: ");
	}
}

static const struct unit_args *unit_args_of(const char *when, const char *arguments)
{
	char text[1024];
	snprintf(text, sizeof(text), "policies: [{name: p, when: {%s}, do: [{restart-unit: {unit: a.service%s}, expect: {unit: active, within: 5s}}]}]", when, arguments);
	return &parse_ok(text)->steps[0].args.unit;
}

static void ready_is_the_policy_s_own_probe_unless_another_is_said(void **state)
{
	static const char asks[] = "unit: {name: a.service, probe: {http: \"http://127.0.0.1:80/x\"}, timeout: 500ms}", failed[] = "unit: {name: a.service, state: failed}";
	const struct unit_args *args = unit_args_of(failed, "");
	assert_true(args->ready.type == PROBE_TYPE_NONE && args->only_if == RESTART_IF_UNSAID);
	assert_true(args->crash_loop.count == 5 && args->crash_loop.per_ns == 600 * NSEC_PER_SEC && args->back_off_ns == 5 * NSEC_PER_SEC);
	args = unit_args_of(asks, "");
	assert_true(args->ready.type == PROBE_TYPE_HTTP && args->ready.timeout_ns == 500 * NSEC_PER_MSEC && args->only_if == RESTART_IF_STUCK);
	assert_string_equal(args->ready.address, "http://127.0.0.1:80/x");
	args = unit_args_of(asks, ", ready: {unit: active}, only_if: any");
	assert_true(args->ready.type == PROBE_TYPE_NONE && args->only_if == RESTART_IF_ANY);
	args = unit_args_of(asks, ", ready: {tcp: \"127.0.0.1:81\", timeout: 1s}");
	assert_true(args->ready.type == PROBE_TYPE_TCP && args->ready.timeout_ns == NSEC_PER_SEC && args->only_if == RESTART_IF_STUCK);
	args = unit_args_of(failed, ", ready: {command: [/bin/true, -q]}");
	assert_true(args->ready.type == PROBE_TYPE_COMMAND && strcmp(args->ready.argv[1], "-q") == 0);
	/* A probe of another unit says nothing of this one. */
	args = unit_args_of("unit: {name: b.service, probe: {tcp: \"127.0.0.1:80\"}}", "");
	assert_true(args->ready.type == PROBE_TYPE_NONE && args->only_if == RESTART_IF_UNSAID);

	assert_do_refused(failed, "{restart-unit: {unit: a.service, ready: {timeout: 1s}}, expect: {unit: active, within: 5s}}", "exactly one of unit, tcp");
	assert_do_refused(failed, "{restart-unit: {unit: a.service, ready: {unit: active, tcp: \"127.0.0.1:1\"}}, expect: {unit: active, within: 5s}}", "exactly one of unit, tcp");
	assert_do_refused(failed, "{restart-unit: {unit: a.service, ready: {command: true}}, expect: {unit: active, within: 5s}}", "a list is wanted");
	assert_do_refused(failed, "{restart-unit: {unit: a.service, back_off: 1h}, expect: {unit: active, within: 5s}}", "longer than the time of crash_loop");
	assert_do_refused(failed, "{restart-unit: {unit: a.socket, only_if: stuck}, expect: {unit: active, within: 5s}}", "only a service can be stuck");
}

static void an_interface_to_restart_is_named_by_the_condition(void **state)
{
	static const char step[] = "{restart-interface: {}, expect: {clears: true, within: 30s}}";
	assert_do_refused("conntrack: {used_percent: 90}", step, "restart-interface needs an interface condition");
	parse_ok("policies: [{name: p, when: {interface: {name: eth1, unanswered_bytes_per_second: 1KiB}}, do: [{restart-interface: {}, expect: {clears: true, within: 30s}}]}]");
}

static void limits_must_make_sense_together(void **state)
{
	static const char head[] = "policies: [{name: p, when: {cpu: {used_percent: 90}}, do: [{terminate: {}, expect: {exited: true, "
				   "within: 30s}}], limits: ";
	char text[512];
	snprintf(text, sizeof(text), "%s{cooldown: 29s}}]", head);
	assert_refused(text, "cooldown is shorter");
	snprintf(text, sizeof(text), "%s{cooldown: 30s}}]", head);
	parse_ok(text);
	snprintf(text, sizeof(text), "%s{per_target: 11/1d}}]", head);
	assert_refused(text, "could never be used up");
	snprintf(text, sizeof(text), "%s{per_target: 11/2d}}]", head); /* in a longer time the node allows more */
	parse_ok(text);
}

static void names_are_unique_labels(void **state)
{
	assert_refused("policies: [{name: A, when: {cpu: {used_percent: 9}}}]", "only a to z");
	assert_refused("policies: [{name: \"\", when: {cpu: {used_percent: 9}}}]", "is empty");
	assert_refused("policies: [{when: {cpu: {used_percent: 9}}}]", "name is missing");
	assert_refused("policies: [{name: a, when: {cpu: {used_percent: 9}}}, {name: a, when: {cpu: {used_percent: 9}}}]", "is there "
															   "already");
}

static void what_is_to_come_is_said_to_be_unknown(void **state)
{
	assert_refused("policies: [{name: p, when: {cpu: {used_percent: 9}}, limits: {fleet: 10%}}]", "not known in this version");
}

#define TELLING "policies: [{name: p, when: {cpu: {used_percent: 9}}, do: [%s]}]\noutputs:\n" \
	"  - webhook: {name: oncall, url: \"https://x.example/\"}\n  - otlp: {name: metrics, url: \"https://x.example/\"}\n"

static void telling(const char *step, const char *part)
{
	char text[1024];
	snprintf(text, sizeof(text), TELLING, step);
	assert_refused(text, part);
}

static void what_only_tells_names_whom_and_expects_nothing(void **state)
{
	telling("{notify: {to: nobody}}", "there is no output \"nobody\"");
	telling("{notify: {to: metrics}}", "a webhook or a mail tells people");
	telling("{notify: {to: oncall}, expect: {clears: true, within: 5s}}", "nothing is to be expected of notify");
	telling("{notify: {}}", "to");
	telling("{manual-task: {steps: [a]}}", "title");
	telling("{manual-task: {title: x, steps: [a, b, c, d, e, f, g]}}", "steps");

	char text[1024];
	snprintf(text, sizeof(text), TELLING, "{notify: {to: oncall}}, {manual-task: {title: replace the disk, steps: [order one, swap it]}}");
	assert_int_equal(config_parse("x.yaml", text, strlen(text), config, &faults), 0);
	const struct policy *policy = &config->policies[config->policy_count - 1];
	assert_int_equal(policy->step_count, 2);
	assert_string_equal(policy->steps[0].args.notify.to, "oncall");
	assert_int_equal(policy->steps[0].expect.within_ns, 10 * NSEC_PER_SEC);
	assert_string_equal(policy->steps[1].args.manual_task.title, "replace the disk");
	assert_int_equal(policy->steps[1].args.manual_task.step_count, 2);
	assert_string_equal(policy->steps[1].args.manual_task.steps[1], "swap it");
}

/* --- by hand ----------------------------------------------------------------------------------------------------------- */

static void arguments_by_hand_obey_the_same_tables(void **state)
{
	union remedy_args args;
	char why[VALUE_WHY_LEN] = "";
	memset(&args, 0, sizeof(args));
	uint64_t given = 0;
	remedy_args_defaults(REMEDY_CLEAN_FILES, &args);
	assert_int_equal(args.clean_files.min_age_ns, 3600 * NSEC_PER_SEC);
	assert_int_equal(remedy_args_set(REMEDY_CLEAN_FILES, "root", "/data/x", &args, &given, why), 0);
	assert_int_equal(remedy_args_check(REMEDY_CLEAN_FILES, &args, given, why), -EINVAL);
	assert_int_equal(remedy_args_set(REMEDY_CLEAN_FILES, "match", "*.log", &args, &given, why), 0);
	assert_int_equal(remedy_args_set(REMEDY_CLEAN_FILES, "match", "*.tmp", &args, &given, why), 0);
	assert_int_equal(args.clean_files.match_count, 2);
	assert_int_equal(remedy_args_check(REMEDY_CLEAN_FILES, &args, given, why), 0);
	assert_int_equal(remedy_args_set(REMEDY_CLEAN_FILES, "rot", "/", &args, &given, why), -EINVAL);
	assert_non_null(strstr(why, "no argument \"rot\""));
	assert_int_equal(remedy_args_set(REMEDY_CLEAN_FILES, "max_depth", "99", &args, &given, why), -EINVAL);
	assert_non_null(strstr(why, "1 to 32"));
	assert_int_equal(remedy_args_set(REMEDY_CLEAN_FILES, "root", "/etc", &args, &given, why), 0);
	assert_int_equal(remedy_args_check(REMEDY_CLEAN_FILES, &args, given, why), -EINVAL);
}

static int set_up(void **state)
{
	config = calloc(1, sizeof(*config));
	return config ? 0 : -1;
}

static int tear_down(void **state)
{
	free(config);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_policy_arrives_as_written),
		cmocka_unit_test(what_holds_back_and_whom_to_spare),
		cmocka_unit_test(what_is_not_said_is_cautious),
		cmocka_unit_test(lists_nest_in_document_order),
		cmocka_unit_test(the_sources_of_lines_are_bounded),
		cmocka_unit_test(the_room_of_a_policy_is_bounded),
		cmocka_unit_test(every_measure_has_its_name_and_direction),
		cmocka_unit_test(selectors_and_windows_arrive),
		cmocka_unit_test(units_have_states_or_a_probe),
		cmocka_unit_test(clear_lies_on_the_safe_side),
		cmocka_unit_test(levels_get_worse_and_clear_on_the_safe_side),
		cmocka_unit_test(windows_of_samples_have_a_form),
		cmocka_unit_test(selectors_that_never_match_are_refused),
		cmocka_unit_test(any_process_at_all_is_not_a_policy),
		cmocka_unit_test(roots_that_hold_a_system_or_data_are_refused),
		cmocka_unit_test(a_match_of_everything_needs_a_written_age),
		cmocka_unit_test(no_expectation_no_act),
		cmocka_unit_test(terminate_needs_somebody_to_aim_at),
		cmocka_unit_test(units_are_whole_names_of_one_thing),
		cmocka_unit_test(ready_is_the_policy_s_own_probe_unless_another_is_said),
		cmocka_unit_test(an_interface_to_restart_is_named_by_the_condition), cmocka_unit_test(limits_must_make_sense_together),
		cmocka_unit_test(names_are_unique_labels),
		cmocka_unit_test(what_is_to_come_is_said_to_be_unknown),
		cmocka_unit_test(what_only_tells_names_whom_and_expects_nothing),
		cmocka_unit_test(arguments_by_hand_obey_the_same_tables),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
