/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text formats: escaping, decimals, histograms, what is absent, what is filtered, and that docs/metrics.md is the table.
 * With an argument it prints instead: text, openmetrics or reference, for tests/unit/test_formats.py and for docs/.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "exposition.pb-c.h"
#include "publish/metric.h"
#include "publish/publish.h"
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

static int open_fixture(void **state)
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

static int close_fixture(void **state)
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
static bool has_line(const char *page, const char *line)
{
	size_t length = strlen(line);
	for (const char *at = page; (at = strstr(at, line)); at++)
		if ((at == page || at[-1] == '\n') && at[length] == '\n')
			return true;
	return false;
}

static void assert_line(const char *page, const char *line)
{
	if (!has_line(page, line))
		fail_msg("no such line: %s", line);
}

static void assert_no(const char *page, const char *part)
{
	if (strstr(page, part))
		fail_msg("must not be there: %s", part);
}

static void decimals_are_exact(void **state)
{
	static const struct { uint64_t value; unsigned int decimals; const char *text; } cases[] = {
		{ 0, 0, "0" }, { 0, 9, "0" }, { 1, 9, "0.000000001" }, { 1500000000, 9, "1.5" }, { 256, 9, "0.000000256" }, { 1000000000,
			9, "1" },
		{ 17179869184, 9, "17.179869184" }, { UINT64_MAX, 0, "18446744073709551615" }, { UINT64_MAX, 9, "18446744073.709551615" },
		{ 100, 0, "100" }, { 1234, 4, "0.1234" }, { 10, 3, "0.01" }, { 18000000000000000000ULL, 18, "18" },
	};
	struct text text = { 0 };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		text_reset(&text);
		text_decimal(&text, cases[i].value, cases[i].decimals);
		text_append(&text, "", 1);
		assert_string_equal(text.data, cases[i].text);
	}
	text_free(&text);
}

static void names_are_escaped(void **state)
{
	static const struct { const char *value, *text; } cases[] = {
		{ "plain", "plain" }, { "", "" }, { "a\"b", "a\\\"b" }, { "a\\b", "a\\\\b" }, { "a\nb", "a\\nb" }, { "\xc3\xa9",
			"\xc3\xa9" },
		{ "\xff", "\xef\xbf\xbd" }, { "x\xe2\x82", "x\xef\xbf\xbd\xef\xbf\xbd" }, { "\xe2\x82\xac", "\xe2\x82\xac" },
		{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, { "\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" }, { "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\x1b[2J", "\xef\xbf\xbd[2J" }, { "a\rb\tc\x7f", "a\xef\xbf\xbd""b\xef\xbf\xbd""c\xef\xbf\xbd" },
	};
	struct text text = { 0 };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		text_reset(&text);
		text_label_value(&text, cases[i].value);
		text_append(&text, "", 1);
		assert_string_equal(text.data, cases[i].text);
	}
	text_free(&text);
}

static void numbers_stand_under_their_names(void **state)
{
	const char *page = render(*state, &prometheus_writer, 0);
	assert_line(page, "# TYPE node_cpu_seconds_total counter");
	assert_line(page, "node_cpu_seconds_total{cpu=\"1\",mode=\"idle\"} 2451.59");
	assert_no(page, "cpu=\"2\"");
	assert_line(page, "node_load1 1.25");
	assert_line(page, "node_memory_MemAvailable_bytes 8589934592");
	assert_line(page, "node_filesystem_avail_bytes{device=\"/dev/loop0\",fstype=\"ext4\",mountpoint=\"/data\"} 83886080");
	assert_line(page,
		"node_filesystem_readonly{device=\"none\",fstype=\"tmpfs\",mountpoint=\"/mnt/\xef\xbf\xbdt\xc3\xa9 \\\"x\\\"\\\\\\n\"} 1");
	assert_line(page, "node_disk_read_time_seconds_total{device=\"vda\"} 15.514");
	assert_line(page, "node_network_speed_bytes{device=\"eth0\"} 125000000");
	assert_line(page, "node_pressure_memory_waiting_seconds_total 4.645924");
	assert_line(page, "nodemend_pressure_ratio{resource=\"memory\",stall=\"some\",window=\"10s\"} 0.1234");
	assert_line(page, "# TYPE node_vmstat_pgfault untyped");
	assert_line(page, "nodemend_exhausted_in_seconds{resource=\"filesystem\",device=\"/dev/loop0\",mountpoint=\"/data\"} 412.5");
	assert_line(page, "nodemend_process_exits_total{cause=\"signal\"} 2");
	assert_line(page, "nodemend_process_exit_signals_total{signal=\"9\"} 2");
	assert_no(page, "nodemend_process_exit_signals_total{signal=\"15\"}");
	assert_line(page, "nodemend_exited_cpu_seconds_total 5");
	assert_line(page, "node_processes_state{state=\"R\"} 1");
	assert_line(page, "node_processes_max_processes 32768");
	assert_line(page, "node_filefd_allocated 592");
	assert_line(page, "nodemend_attribution_error_ratio{resource=\"cpu\"} 0.016666");
	assert_line(page, "nodemend_zombies 3");
	assert_line(page, "nodemend_tasks_hung{over_seconds=\"10\"} 1");
	assert_line(page, "nodemend_task_uninterruptible_oldest_seconds{cgroup=\"/system.slice/app.service\",comm=\"nfsd\"} 12.5");
	assert_line(page, "nodemend_syscalls_total{syscall=\"read\",abi=\"64\"} 12");
	assert_line(page, "nodemend_syscall_errors_total{syscall=\"write\",errno=\"ENOENT\",abi=\"64\"} 1");
	assert_line(page, "nodemend_collector_up{collector=\"cpu\",source=\"procfs\"} 1");
	assert_line(page, "nodemend_events_lost_total{collector=\"syscall\"} 3");
	assert_line(page, "nodemend_bpf_runs_total{program=\"syscall_bpf/on_sys_enter\"} 4");
	assert_line(page, "nodemend_bpf_run_seconds_total{program=\"syscall_bpf/on_sys_enter\"} 0.000001");
	assert_line(page, "nodemend_bpf_map_entries{collector=\"task\",map=\"task_bpf/ended\"} 3900");
	assert_line(page, "nodemend_bpf_map_capacity{collector=\"syscall\",map=\"syscall_bpf/counts_64\"} 512");
	assert_line(page, "nodemend_collector_depth{collector=\"syscall\"} 1");
	assert_line(page, "nodemend_collector_cpu_ratio{collector=\"syscall\",where=\"kernel\"} 0.005");
	assert_line(page, "nodemend_coverage_ratio{collector=\"task\"} 0.75");
	assert_line(page, "nodemend_budget_cpu_ratio 0.01");
	assert_line(page, "nodemend_bottleneck{resource=\"cpu\",device=\"\"} 0");
	assert_line(page, "nodemend_bottleneck{resource=\"disk\",device=\"vda\"} 1");
	assert_line(page, "nodemend_resource_utilisation_ratio{resource=\"disk\",device=\"vda\"} 0.97");
	assert_line(page, "nodemend_resource_saturation{resource=\"disk\",device=\"vda\"} 12.5");
	assert_line(page, "nodemend_resource_errors_total{resource=\"disk\",device=\"vda\"} 3");
	assert_line(page, "nodemend_budget_spent_ratio 0.0035");
	assert_line(page, "nodemend_budget_steps_total{collector=\"syscall\",direction=\"down\"} 2");
	assert_line(page, "nodemend_depth_armed 1");
	assert_line(page, "nodemend_depth_arms_total{reason=\"io\"} 3");
	assert_line(page, "nodemend_self_cpu_ratio{where=\"kernel\"} 0.005");
	assert_line(page, "nodemend_actions_total{remedy=\"clean-files\",mode=\"shadow\",outcome=\"fixed\"} 4");
	assert_line(page, "nodemend_remedy_armed{remedy=\"clean-files\"} 1");
	assert_line(page, "nodemend_self_resident_bytes{process=\"publisher\"} 5242880");
	assert_line(page, "nodemend_unit_active{unit=\"app.service\"} 0");
	assert_line(page,
		"nodemend_cgroup_memory_current_bytes{cgroup=\"/system.slice/app.service\",unit=\"app.service\"} 8192");
}

static void the_network_adds_up(void **state)
{
	const char *page = render(*state, &prometheus_writer, 0);
	const char app[] = "cgroup=\"/system.slice/app.service\"";
	char line[256];

	(void)snprintf(line, sizeof(line), "nodemend_socket_bytes_total{%s,protocol=\"tcp\",direction=\"sent\"} 900", app);
	assert_line(page, line);
	assert_line(page, "nodemend_socket_bytes_total{cgroup=\"other\",protocol=\"tcp\",direction=\"sent\"} 100");
	(void)snprintf(line, sizeof(line), "nodemend_connections_total{%s,direction=\"out\",peer=\"10.1.2.3\",port=\"5432\"} 4", app);
	assert_line(page, line);
	assert_line(page, "nodemend_connections_total{cgroup=\"other\",direction=\"out\",peer=\"other\",port=\"other\"} 6");
	(void)snprintf(line, sizeof(line), "nodemend_connections_failed_total{%s,direction=\"out\",peer=\"10.1.2.3\",port=\"5432\",end=\"refused\"} 1",
		       app);
	assert_line(page, line);
	(void)snprintf(line, sizeof(line), "nodemend_connections_rtt_seconds_total{%s,direction=\"out\",peer=\"10.1.2.3\",port=\"5432\"} 0.0015", app);
	assert_line(page, line);
	(void)snprintf(line, sizeof(line), "nodemend_tcp_retransmits_total{%s,direction=\"out\"} 2", app);
	assert_line(page, line);
	assert_line(page, "nodemend_tcp_retransmits_total{cgroup=\"other\",direction=\"out\"} 0");
	assert_line(page, "nodemend_tcp_rtt_seconds_count 3");
	(void)snprintf(line, sizeof(line), "nodemend_listen_backlog{%s,port=\"80\"} 3", app);
	assert_line(page, line);
	assert_line(page, "node_netstat_TcpExt_ListenOverflows 5");
	assert_no(page, "node_netstat_TcpExt_ListenDrops");
	assert_line(page, "nodemend_packet_drops_total{reason=\"NO_SOCKET\",protocol=\"ipv6\"} 9");
	assert_line(page, "nodemend_device_packet_drops_total{device=\"lo\"} 7");
	assert_line(page, "nodemend_device_packet_drops_total{device=\"other\"} 2");
	(void)snprintf(line, sizeof(line), "nodemend_dns_requests_total{%s,server=\"::1\",rcode=\"NXDOMAIN\"} 4", app);
	assert_line(page, line);
	assert_line(page, "nodemend_dns_requests_total{cgroup=\"other\",server=\"other\",rcode=\"NXDOMAIN\"} 2");
	assert_line(page, "nodemend_dns_request_seconds_total{cgroup=\"other\",server=\"other\",rcode=\"NXDOMAIN\"} 0.01");
}

#define APP "cgroup=\"/system.slice/app.service\",unit=\"app.service\""
#define OTHER "cgroup=\"other\""

/* What is shown and the rest add up to the node. */
static void cgroups_and_their_rest(void **state)
{
	const char *page = render(*state, &prometheus_writer, 0);
	assert_line(page, "nodemend_cgroup_cpu_seconds_total{" APP "} 7");
	assert_line(page, "nodemend_cgroup_cpu_seconds_total{" OTHER "} 1");
	assert_line(page, "nodemend_cgroup_forks_total{" APP "} 9");
	assert_line(page, "nodemend_cgroup_forks_total{" OTHER "} 12");
	assert_line(page, "nodemend_cgroup_exits_total{" APP ",cause=\"error\"} 4");
	assert_line(page, "nodemend_cgroup_exits_total{" OTHER ",cause=\"error\"} 0");
	assert_line(page, "nodemend_cgroup_open_files{" APP "} 17");
	assert_line(page, "nodemend_cgroup_pids{" APP "} 3");
	assert_line(page, "nodemend_cgroup_pressure_waiting_seconds_total{" APP ",resource=\"cpu\"} 1.5");
	assert_no(page, "nodemend_cgroup_pressure_stalled_seconds_total");
	assert_no(page, "nodemend_cgroup_max_pids");
}

static void unknown_is_absent(void **state)
{
	const char *page = render(*state, &prometheus_writer, 0);
	assert_no(page, "node_memory_MemFree_bytes");
	assert_no(page, "node_processes_max_threads");
	assert_no(page, "node_filefd_maximum");
	assert_no(page, "nodemend_attribution_error_ratio{resource=\"read\"}");
	assert_no(page, "nodemend_process_max_files");
	assert_no(page, "18446744073");
	assert_no(page, "node_network_speed_bytes{device=\"lo\"}");
	assert_no(page, "node_filesystem_size_bytes{device=\"server:/x\"");
	assert_line(page, "node_filesystem_device_error{device=\"server:/x\",fstype=\"nfs4\",mountpoint=\"/nfs\"} 1");
	assert_line(page, "nodemend_filesystem_stuck_seconds{device=\"server:/x\",fstype=\"nfs4\",mountpoint=\"/nfs\"} 3");
	assert_no(page, "node_filesystem_files{device=\"none\"");
	assert_no(page, "nodemend_exhausted_in_seconds{resource=\"filesystem\",device=\"none\"");
	assert_no(page, "nodemend_cgroup_memory_max_bytes");
	assert_no(page, "nodemend_bpf_map_entries{collector=\"syscall\"");
	assert_no(page, "nodemend_coverage_ratio{collector=\"syscall\"}");
	assert_no(page, "nodemend_collector_depth{collector=\"task\"}");
	assert_no(page, "nodemend_self_cpu_ratio{where=\"publisher\"}");
	assert_no(page, "collector=\"unit\"");
	assert_no(page, "nodemend_remedy_armed{remedy=\"restart-unit\"}");
}

static void what_is_stale_is_absent(void **state)
{
	struct fixture *fixture = *state;
	fixture->snap->cpu.measured_ns = FULL_SNAPSHOT_BOOT_NS - 4 * NSEC_PER_SEC;
	const char *page = render(fixture, &prometheus_writer, 0);
	assert_no(page, "node_cpu_seconds_total");
	assert_line(page, "node_memory_MemAvailable_bytes 8589934592");

	fixture->context.now_ns += 4 * NSEC_PER_SEC; /* the agent hangs */
	page = render(fixture, &prometheus_writer, 0);
	assert_no(page, "node_memory");
	assert_no(page, "nodemend_syscalls_total");
	assert_no(page, "nodemend_collector_up");
	assert_line(page, "nodemend_snapshot_age_seconds 4");
}

static void without_a_snapshot_only_the_publisher_speaks(void **state)
{
	struct fixture *fixture = *state;
	fixture->context.snap = NULL;
	const char *page = render(fixture, &prometheus_writer, 0);
	assert_no(page, "node_");
	assert_line(page, "nodemend_publisher_requests_total 0");
}

static void a_down_collector_takes_its_metrics_along(void **state)
{
	struct fixture *fixture = *state;
	fixture->snap->collectors[COLLECTOR_TASK].state = COLLECTOR_DOWN;
	const char *page = render(fixture, &prometheus_writer, 0);
	assert_no(page, "nodemend_process_exits_total");
	assert_line(page, "nodemend_collector_up{collector=\"task\",source=\"procfs\"} 0");
}

static void named_writers_and_the_rest_add_up(void **state)
{
	const char *page = render(*state, &prometheus_writer, 0);
	assert_line(page, "nodemend_filesystem_dirtied_bytes_total{device=\"/dev/loop0\",mountpoint=\"/data\",pid=\"1\","
			  "comm=\"a\\\"b\\\\c\\n\xef\xbf\xbd[2J\xef\xbf\xbd\",cgroup=\"/system.slice/app.service\"} 4000");
	assert_line(page,
		"nodemend_filesystem_dirtied_bytes_total{device=\"/dev/loop0\",mountpoint=\"/data\",pid=\"2\",comm=\"dd\",cgroup=\"\"} 900");
	assert_line(page, "nodemend_filesystem_dirtied_bytes_total{device=\"/dev/loop0\",mountpoint=\"/data\"} 100");
	assert_line(page, "nodemend_filesystem_dirtied_all_bytes_total{device=\"/dev/loop0\",mountpoint=\"/data\"} 5000");
}

/* Cgroups with a series and all others together are what the device did; likewise files and filesystems. */
static void storage_and_its_rests_add_up(void **state)
{
	struct fixture *fixture = *state;
	const char *page = render(fixture, &prometheus_writer, 0);
	assert_line(page, "nodemend_block_bytes_total{device=\"vda\",op=\"write\"} 20480");
	assert_line(page, "nodemend_cgroup_block_bytes_total{cgroup=\"/system.slice/app.service\",device=\"vda\",op=\"write\",source=\"writeback\"} 8192");
	assert_line(page, "nodemend_cgroup_block_bytes_total{cgroup=\"other\",device=\"vda\",op=\"write\"} 12288");
	assert_line(page, "nodemend_cgroup_block_device_seconds_total{cgroup=\"other\",device=\"vda\",op=\"write\"} 0.003");
	assert_line(page, "nodemend_block_errors_total{device=\"vda\",op=\"write\",errno=\"EIO\"} 2");
	assert_line(page, "nodemend_block_latency_seconds_count{device=\"vda\",op=\"write\"} 5");
	assert_line(page, "nodemend_block_in_flight_mean{device=\"vda\"} 1.5");
	assert_line(page, "nodemend_file_growth_bytes_total{device=\"/dev/loop0\",mountpoint=\"/data\"} 1000");
	assert_line(page, "nodemend_filesystem_grown_bytes_total{device=\"/dev/loop0\",mountpoint=\"/data\"} 10000");
	assert_line(page, "nodemend_filesystem_deleted_bytes{device=\"/dev/loop0\",mountpoint=\"/data\"} 1048576");
	assert_line(page, "nodemend_filesystem_operations_total{op=\"msync\"} 1");
	assert_line(page, "nodemend_filesystem_operations_total{device=\"/dev/loop0\",mountpoint=\"/data\",op=\"fsync\"} 3");
	assert_line(page, "nodemend_cgroup_filesystem_operations_total{cgroup=\"other\",op=\"fsync\"} 1");
	assert_line(page, "nodemend_cgroup_filesystem_operations_total{cgroup=\"/system.slice/app.service\",op=\"fsync\"} 2");

	/* Less deep: the histograms are gone, and only they. */
	fixture->snap->block_stats.has_histograms = fixture->snap->fsops.has_histograms = false;
	fixture->snap->block_devices.each[0].mean_in_flight_milli = UINT32_MAX;
	page = render(fixture, &prometheus_writer, 0);
	assert_no(page, "nodemend_block_latency_seconds");
	assert_no(page, "nodemend_block_queue_seconds");
	assert_no(page, "nodemend_filesystem_operation_latency_seconds");
	assert_no(page, "nodemend_block_in_flight_mean");
	assert_line(page, "nodemend_block_requests_total{device=\"vda\",op=\"write\"} 5");
}

static void histograms_are_cumulative_and_constant(void **state)
{
	struct fixture *fixture = *state;
	memset(&fixture->snap->syscalls.each[2], 0, sizeof(fixture->snap->syscalls.each[2]));
	fixture->snap->syscalls.each[2].nr = 2; /* one call, longer than all buckets: the same buckets */
	fixture->snap->syscalls.each[2].timed = fixture->snap->syscalls.each[2].count = 1;
	fixture->snap->syscalls.each[2].latency.buckets[HISTOGRAM_BUCKETS - 1] = 1;
	const char *page = render(fixture, &prometheus_writer, 1u << COLLECTOR_SYSCALL);
	assert_line(page, "nodemend_syscall_latency_seconds_bucket{syscall=\"read\",abi=\"64\",class=\"working\",le=\"2.384185791015625e-07\"} 3");
	assert_line(page, "nodemend_syscall_latency_seconds_bucket{syscall=\"read\",abi=\"64\",class=\"working\",le=\"4.76837158203125e-07\"} 9");
	assert_line(page, "nodemend_syscall_latency_seconds_bucket{syscall=\"read\",abi=\"64\",class=\"working\",le=\"16\"} 9");
	assert_line(page, "nodemend_syscall_latency_seconds_bucket{syscall=\"read\",abi=\"64\",class=\"working\",le=\"+Inf\"} 12");
	assert_line(page, "nodemend_syscall_latency_seconds_sum{syscall=\"read\",abi=\"64\",class=\"working\"} 0.004");
	assert_line(page, "nodemend_syscall_latency_seconds_count{syscall=\"read\",abi=\"64\",class=\"working\"} 12");
	assert_line(page, "nodemend_syscall_latency_seconds_bucket{syscall=\"open\",abi=\"64\",class=\"working\",le=\"2.384185791015625e-07\"} 0");
	assert_line(page, "nodemend_syscall_latency_seconds_bucket{syscall=\"open\",abi=\"64\",class=\"working\",le=\"16\"} 0");

	page = render(fixture, &prometheus_writer, 1u << METRIC_OF_AGENT);
	assert_line(page, "nodemend_tick_seconds_bucket{le=\"0.0009765625\"} 0");
	assert_line(page, "nodemend_tick_seconds_bucket{le=\"0.001953125\"} 5");
	assert_line(page, "nodemend_tick_seconds_count 5");
}

static void put_incident(struct fixture *fixture, const char *id, enum target_type about, const char *name, int32_t cause,
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
static void put_records(struct fixture *fixture)
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

/* Reads `size` bytes of one family after the other, as a reader does, with the generated code's unpacking as the judge of form. */
static Exposition__MetricFamily *next_family(const struct text *page, size_t *at)
{
	uint64_t size = 0;
	uint8_t byte;

	if (*at == page->length)
		return NULL;
	for (unsigned int shift = 0;; shift += 7) {
		byte = (uint8_t)page->data[(*at)++];
		size |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			break;
	}
	assert_true(size <= page->length - *at);
	Exposition__MetricFamily *family = exposition__metric_family__unpack(NULL, size, (const uint8_t *)page->data + *at);
	assert_non_null(family);
	*at += size;
	return family;
}

/* The counts of a native histogram's buckets by their index, added up. */
static uint64_t native_count(const Exposition__Histogram *histogram, int32_t index)
{
	int64_t count = 0;
	int32_t at = 0;
	size_t delta = 0;

	for (size_t i = 0; i < histogram->n_positive_span; i++) {
		at += histogram->positive_span[i]->offset;
		for (uint32_t j = 0; j < histogram->positive_span[i]->length; j++, at++) {
			count += histogram->positive_delta[delta++];
			if (at == index)
				return (uint64_t)count;
		}
	}
	return 0;
}

static void protobuf_says_the_same_with_native_buckets(void **state)
{
	struct fixture *fixture = *state;
	Exposition__MetricFamily *family;
	size_t at = 0, families = 0, samples = 0, lines = 0, exemplars = 0;
	bool seen = false;

	for (const char *line = render(fixture, &prometheus_writer, 0); line; line = strchr(line, '\n')) {
		line += *line == '\n';
		lines += *line && *line != '#' && !strstr(strndupa(line, strcspn(line, "\n")), "_bucket{");
	}
	put_records(fixture);
	(void)render(fixture, &protobuf_writer, 0);
	while ((family = next_family(&fixture->out, &at))) {
		families++;
		samples += family->n_metric * (family->type == EXPOSITION__METRIC_TYPE__HISTOGRAM ? 2 : 1); /* _sum and _count */
		if (strcmp(family->name, "nodemend_syscall_latency_seconds") == 0) {
			const Exposition__Histogram *histogram = family->metric[0]->histogram;

			seen = true;
			assert_string_equal(family->metric[0]->label[0]->name, "syscall");
			assert_string_equal(family->metric[0]->label[0]->value, "read");
			assert_true(histogram->sample_count == 12 && histogram->sample_sum == 0.004);
			assert_true(histogram->schema == 3 && histogram->zero_count == 0 && histogram->zero_threshold == 0x1p-24);
			/* 200 ns: 2^(-22.25) s, so the bucket that ends at 2^(-178/8); 300 ns: 2^(-21.67), at 2^(-173/8) */
			assert_int_equal(native_count(histogram, -178), 3);
			assert_int_equal(native_count(histogram, -173), 6);
			assert_int_equal(native_count(histogram, 8193), 3);
			assert_true(histogram->bucket[1]->cumulative_count == 9 && histogram->bucket[1]->upper_bound == 0x1p-21);
		}
		if (strcmp(family->name, "nodemend_filesystem_dirtied_all_bytes_total") == 0) {
			const Exposition__Exemplar *exemplar = family->metric[0]->counter->exemplar;

			assert_non_null(exemplar);
			assert_string_equal(exemplar->label[0]->name, "incident");
			assert_string_equal(exemplar->label[0]->value, "disk-1");
			assert_true(exemplar->value == 5000);
			assert_int_equal(exemplar->timestamp->seconds, fixture->snap->wall_ns / 1000000000);
			exemplars++;
		}
		if (strcmp(family->name, "nodemend_process_resident_bytes") == 0) /* cleaned, and not escaped */
			assert_string_equal(family->metric[0]->label[1]->value, "a\"b\\c\n\xef\xbf\xbd[2J\xef\xbf\xbd");
		exposition__metric_family__free_unpacked(family, NULL);
	}
	assert_true(seen && families > 50 && exemplars == 1);
	assert_int_equal(samples, lines);
}

static void calls_are_told_by_cgroup_and_class(void **state)
{
	struct fixture *fixture = *state;
	const char *page = render(fixture, &prometheus_writer, 1u << COLLECTOR_SYSCALL);

	assert_line(page, "nodemend_cgroup_syscalls_total{cgroup=\"/system.slice/app.service\",syscall=\"read\",abi=\"64\",class=\"waiting\"} 7");
	assert_line(page, "nodemend_cgroup_syscalls_total{cgroup=\"other\",syscall=\"read\",abi=\"64\",class=\"working\"} 5");
	assert_line(page, "nodemend_cgroup_syscall_errors_total{cgroup=\"other\",syscall=\"read\",abi=\"64\",class=\"working\"} 1");
	assert_line(page, "nodemend_cgroup_syscall_seconds_total{cgroup=\"other\",syscall=\"read\",abi=\"64\",class=\"working\"} 0.002");
	assert_line(page, "nodemend_syscall_seconds_total{class=\"waiting\"} 0");
	assert_line(page, "nodemend_syscall_in_flight{cgroup=\"other\",syscall=\"poll\",abi=\"64\",class=\"waiting\"} 4");
	assert_line(page, "nodemend_syscall_in_flight_oldest_seconds{cgroup=\"/system.slice/app.service\",syscall=\"fsync\",abi=\"64\",class=\"working\"} 600");
	assert_line(page, "nodemend_cgroup_syscall_latency_seconds_count{cgroup=\"/system.slice/app.service\",syscall=\"read\",abi=\"64\",class=\"working\"} 1");
	assert_line(page, "nodemend_slow_syscalls_total 7");
	assert_line(page, "nodemend_syscall_errors_total{syscall=\"close\",errno=\"RESTART\",abi=\"64\"} 1");
	assert_line(page, "nodemend_syscall_coverage_ratio 1");

	/* Two classes of one call are one series of what is not told by class; an error without a name is one of the others. */
	struct syscall_stat *each = fixture->snap->syscalls.each;
	each[1] = each[0];
	each[1].class = SYSCALL_WAITING;
	each[1].errors = 3;
	page = render(fixture, &prometheus_writer, 1u << COLLECTOR_SYSCALL);
	assert_line(page, "nodemend_syscalls_total{syscall=\"read\",abi=\"64\"} 24");
	assert_line(page, "nodemend_syscall_errors_total{syscall=\"read\",errno=\"other\",abi=\"64\"} 3");
	assert_line(page, "nodemend_syscall_seconds_total{class=\"waiting\"} 0.004");

	/* Without an enter hook there are no times: absent, not zero. */
	for (uint32_t i = 0; i < fixture->snap->syscalls.count; i++)
		each[i].timed = 0;
	page = render(fixture, &prometheus_writer, 1u << COLLECTOR_SYSCALL);
	assert_no(page, "nodemend_syscall_latency_seconds");
}

static void rows_are_bounded_and_counted(void **state)
{
	struct fixture *fixture = *state;
	const char *page = render(fixture, &prometheus_writer, 0);
	int series = 0;
	for (const char *at = page; (at = strstr(at, "\nnodemend_process_resident_bytes{")); at++)
		series++;
	assert_int_equal(series, 10);
	assert_line(page, "nodemend_series_folded_total{entity=\"process\"} 90");
	/* Those ten and the rest are what all hundred have used: 0 + 1 + … + 99 µs. */
	double sum = 0;
	for (const char *at = page; (at = strstr(at, "\nnodemend_process_cpu_seconds_total{")); at++)
		sum += strtod(strstr(at, "} ") + 2, NULL);
	assert_non_null(strstr(page, "\nnodemend_process_cpu_seconds_total{comm=\"other\"} "));
	assert_true(sum > 0.0049499 && sum < 0.0049501);
	/* The largest by processor time, and the largest by memory. */
	assert_non_null(strstr(page, "nodemend_process_threads{pid=\"100\""));
	assert_non_null(strstr(page, "nodemend_process_threads{pid=\"1\""));
	assert_no(page, "nodemend_process_threads{pid=\"50\"");
}

static void the_filter_keeps_only_its_collectors(void **state)
{
	const char *page = render(*state, &prometheus_writer, 1u << COLLECTOR_DISK | 1u << COLLECTOR_PSI);
	assert_non_null(strstr(page, "node_disk_io_now"));
	assert_non_null(strstr(page, "node_pressure_"));
	assert_no(page, "node_cpu");
	assert_no(page, "node_memory");
	assert_no(page, "nodemend_build_info");
	assert_int_equal(metric_source_by_name("disk"), COLLECTOR_DISK);
	assert_int_equal(metric_source_by_name("agent"), METRIC_OF_AGENT);
	assert_int_equal(metric_source_by_name("nonsense"), -ENOENT);
}

static void counters_name_their_incident(void **state)
{
	struct fixture *fixture = *state;
	put_records(fixture);
	fixture->snap->wall_ns = 1795485166000000000;
	const char *page = render(fixture, &openmetrics_writer, 0);
	assert_line(page, "nodemend_filesystem_dirtied_all_bytes_total{device=\"/dev/loop0\",mountpoint=\"/data\"} 5000"
			  " # {incident=\"disk-1\"} 5000 1795485166");
	assert_line(page, "nodemend_actions_total{remedy=\"clean-files\",mode=\"enforce\",outcome=\"fixed\"} 7"
			  " # {incident=\"disk-1\"} 1 1795485165.25");
	assert_non_null(strstr(page, "cgroup=\"/system.slice/app.service\"} 4000 # {incident=\"disk-1\"} 4000 "));
	assert_no(page, "over-1");
	assert_line(page, "nodemend_filesystem_dirtied_bytes_total{device=\"/dev/loop0\",mountpoint=\"/data\"} 100"); /* the rest is nobody's */
	assert_no(render(fixture, &prometheus_writer, 0), "disk-1");
	assert_no(render(fixture, &json_writer, 0), "disk-1");
}

static void openmetrics_differs_where_it_must(void **state)
{
	struct fixture *fixture = *state;
	const char *page = render(fixture, &openmetrics_writer, 0);
	assert_line(page, "# TYPE node_cpu_seconds counter");
	assert_line(page, "# UNIT node_cpu_seconds seconds");
	assert_line(page, "node_cpu_seconds_total{cpu=\"1\",mode=\"idle\"} 2451.59");
	assert_line(page, "# TYPE node_vmstat_pgfault unknown");
	assert_no(page, "# UNIT node_load1");
	assert_line(page, "# TYPE nodemend_build info");
	assert_line(page, "nodemend_build_info{version=\"" NODEMEND_VERSION "\"} 1");
	assert_non_null(strstr(page, ",le=\"1.0\"} "));
	assert_non_null(strstr(page, ",le=\"16.0\"} "));
	assert_line(render(fixture, &prometheus_writer, 0), "# TYPE nodemend_build_info gauge");
	page = render(fixture, &openmetrics_writer, 0);
	size_t length = strlen(page);
	assert_string_equal(page + length - 6, "# EOF\n");
	assert_no(render(fixture, &prometheus_writer, 0), "# EOF");
}

/* Prometheus takes a family's lines only in one piece, and each name only once. */
static void the_table_is_in_order(void **state)
{
	for (const struct metric_table *const *table = metric_tables; *table; table++) {
		for (size_t i = 0; i < (*table)->count; i++) {
			const struct metric *metric = &(*table)->each[i];
			size_t length = strlen(metric->name);
			bool total = length > 6 && strcmp(metric->name + length - 6, "_total") == 0;
			assert_true(total == (metric->type == METRIC_COUNTER));
			assert_true(strncmp(metric->name, "node_", 5) == 0 || strncmp(metric->name, "nodemend_", 9) == 0);
			assert_null(strpbrk(metric->help, "\\\"\n|"));
			for (const struct metric_table *const *other = metric_tables; *other; other++)
				for (size_t j = 0; j < (*other)->count; j++)
					assert_true(metric == &(*other)->each[j] || strcmp(metric->name, (*other)->each[j].name) != 0);
		}
	}
}

static void accept_is_understood(void **state)
{
	assert_int_equal(EXPOSITION_TEXT, accept_exposition(""));
	assert_int_equal(EXPOSITION_TEXT, accept_exposition("*/*"));
	assert_int_equal(EXPOSITION_TEXT, accept_exposition("text/plain;version=0.0.4;q=1,*/*;q=0.1"));
	assert_int_equal(EXPOSITION_OPENMETRICS, accept_exposition("application/openmetrics-text; version=1.0.0"));
	assert_int_equal(EXPOSITION_OPENMETRICS, accept_exposition("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
					       "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"));
	assert_int_equal(EXPOSITION_TEXT, accept_exposition("application/openmetrics-text;q=0.2,text/plain;q=0.5"));
	assert_int_equal(EXPOSITION_TEXT, accept_exposition("application/openmetrics-text;q=0,text/html"));
	assert_int_equal(EXPOSITION_TEXT, accept_exposition("application/openmetrics-textual"));
	assert_int_equal(EXPOSITION_PROTOBUF, accept_exposition(
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
		"application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"));
	assert_int_equal(EXPOSITION_OPENMETRICS, accept_exposition("application/vnd.google.protobuf;q=0.7,application/openmetrics-text;q=0.8"));
}

static void who_was_killed_adds_up(void **state)
{
	const char *text = render(*state, &prometheus_writer, 0);

	/* A cgroup that was made again under its name is the same series. */
	assert_line(text, "nodemend_oom_kills_total{cgroup=\"/system.slice/app.service\",scope=\"cgroup\"} 5");
	assert_line(text, "nodemend_oom_kills_total{cgroup=\"other\",scope=\"node\"} 1");
	assert_line(text, "nodemend_oom_kills_total{cgroup=\"other\",scope=\"cgroup\"} 0");
	assert_line(text, "nodemend_fatal_signals_total{signal=\"SIGKILL\",killer=\"kernel_oom\"} 5");
	assert_line(text, "nodemend_fatal_signals_total{signal=\"40\",killer=\"self\"} 1");
}

static void stalls_and_the_page_cache_add_up(void **state)
{
	struct fixture *fixture = *state;
	const char *text = render(fixture, &prometheus_writer, 0);

	assert_line(text, "nodemend_cgroup_reclaim_stalls_total{cgroup=\"/system.slice/app.service\",unit=\"app.service\",scope=\"own_limit\"} 3");
	assert_line(text, "nodemend_cgroup_reclaim_stalls_total{cgroup=\"other\",scope=\"own_limit\"} 1");
	assert_line(text, "nodemend_cgroup_reclaim_stalls_total{cgroup=\"other\",scope=\"node\"} 4");
	assert_line(text, "nodemend_cgroup_reclaim_stall_seconds_total{cgroup=\"other\",scope=\"own_limit\"} 0.002");
	assert_line(text, "nodemend_reclaim_stall_seconds_count{scope=\"own_limit\"} 4");
	assert_line(text, "nodemend_cgroup_page_cache_accessed_bytes_total{cgroup=\"other\"} 36864");
	assert_line(text, "nodemend_page_cache_filled_bytes_total 8192");
	assert_line(text, "nodemend_cgroup_growth_bytes_per_second{cgroup=\"/system.slice/app.service\",unit=\"app.service\"} 100");
	assert_null(strstr(text, "nodemend_cgroup_memory_growth_bytes_per_second{"));

	/* Before v6.12 nobody says what was asked for. */
	fixture->snap->pagecache.tells_accesses = false;
	text = render(fixture, &prometheus_writer, 0);
	assert_null(strstr(text, "page_cache_accessed"));
	assert_line(text, "nodemend_page_cache_filled_bytes_total 8192");
}

#define POD_ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define POD_LABELS "cgroup=\"" POD_CGROUP "\",namespace=\"shop\",pod=\"web-7d9f-x2x\",container=\"app\""

/* What is not known is no label at all, and whoever joins finds the same names on both sides. */
static void who_is_who(void **state)
{
	const char *page = render(*state, &prometheus_writer, 0);

	assert_line(page, "nodemend_cgroup_info{" POD_LABELS ",runtime=\"containerd\",container_id=\"" POD_ID "\","
			  "pod_uid=\"3a1f4c1e-8c7b-4d62-9d5a-6f6d1c0b2a3e\",qos=\"Burstable\",type=\"container\"} 1");
	assert_line(page, "nodemend_cgroup_info{cgroup=\"/system.slice/app.service\",unit=\"app.service\",slice=\"system.slice\"} 1");
	assert_line(page, "nodemend_cgroup_info{cgroup=\"/user.slice/user-1000.slice/session-3.scope\",unit=\"session-3.scope\","
			  "slice=\"user-1000.slice\",uid=\"1000\",session=\"3\"} 1");
	assert_line(page, "nodemend_cgroup_resident_bytes{" POD_LABELS "} 2048");
}

static void a_sandbox_has_no_container_name(void **state)
{
	struct fixture *fixture = *state;
	struct cgroup_identity *row = &fixture->snap->identities.each[0];
	row->sandbox = true;
	row->container[0] = '\0';
	const char *page = render(fixture, &prometheus_writer, 0);

	assert_non_null(strstr(page, "qos=\"Burstable\",type=\"sandbox\"} 1"));
	assert_line(page, "nodemend_cgroup_resident_bytes{cgroup=\"" POD_CGROUP "\",namespace=\"shop\",pod=\"web-7d9f-x2x\"} 2048");
}

static void the_reference_is_the_table(void **state)
{
	FILE *page = fopen("docs/metrics.md", "r");
	assert_non_null(page);
	char *made = NULL, *kept = calloc(1, 1 << 20);
	size_t size = 0, length = fread(kept, 1, (1 << 20) - 1, page);
	fclose(page);
	FILE *out = open_memstream(&made, &size);
	metrics_print_reference(out);
	fclose(out);
	assert_int_equal(length, size);
	assert_string_equal(made, kept);
	free(made);
	free(kept);
}

static int print(const char *what)
{
	void *state;
	if (strcmp(what, "reference") == 0) {
		metrics_print_reference(stdout);
		return 0;
	}
	open_fixture(&state);
	struct fixture *fixture = state;
	if (strcmp(what, "cost") == 0) { /* processor time of a scrape, for the bench */
		struct timespec from, to;
		size_t lines = 0;
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
		for (int i = 0; i < 200; i++)
			render(fixture, &prometheus_writer, 0);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
		for (const char *at = fixture->out.data; (at = strchr(at, '\n')); at++)
			lines += at[1] && at[1] != '#';
		printf("%zu series %.1f us\n", lines,
			((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / 200e3);
	} else {
		put_records(fixture);
		fputs(render(fixture, strcmp(what, "openmetrics") == 0 ? &openmetrics_writer : &prometheus_writer, 0), stdout);
	}
	close_fixture(&state);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(int argc, char **argv)
{
	if (argc > 1)
		return print(argv[1]);

	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decimals_are_exact),
		cmocka_unit_test(names_are_escaped),
		TEST(numbers_stand_under_their_names),
		TEST(the_network_adds_up),
		TEST(cgroups_and_their_rest),
		TEST(unknown_is_absent),
		TEST(what_is_stale_is_absent),
		TEST(without_a_snapshot_only_the_publisher_speaks),
		TEST(a_down_collector_takes_its_metrics_along),
		TEST(named_writers_and_the_rest_add_up),
		TEST(storage_and_its_rests_add_up),
		TEST(histograms_are_cumulative_and_constant),
		TEST(protobuf_says_the_same_with_native_buckets),
		TEST(calls_are_told_by_cgroup_and_class),
		TEST(rows_are_bounded_and_counted),
		TEST(the_filter_keeps_only_its_collectors),
		TEST(counters_name_their_incident),
		TEST(openmetrics_differs_where_it_must),
		cmocka_unit_test(the_table_is_in_order),
		cmocka_unit_test(accept_is_understood),
		cmocka_unit_test_setup_teardown(who_was_killed_adds_up, open_fixture, close_fixture),
		cmocka_unit_test_setup_teardown(stalls_and_the_page_cache_add_up, open_fixture, close_fixture),
		TEST(who_is_who),
		TEST(a_sandbox_has_no_container_name),
		cmocka_unit_test(the_reference_is_the_table),
	};
	return cmocka_run_group_tests_name("prometheus", tests, NULL, NULL);
}
