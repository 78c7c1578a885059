/* SPDX-License-Identifier: Apache-2.0 */
/* What the families say of a snapshot: every number under its name, and parts that add up to the whole. */
#include "tests/unit/render_fixture.h"

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
	assert_line(page, "nodemend_bpf_map_failed_inserts_total{collector=\"task\",map=\"task_bpf/ended\"} 17");
	assert_no(page, "nodemend_bpf_map_failed_inserts_total{collector=\"syscall\"");
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
/* Two cgroups whose names are not known yet would be one series twice: they are among the others. */
static void the_nameless_are_among_the_others(void **state)
{
	struct fixture *fixture = *state;
	struct cgroup_section *cgroups = &fixture->snap->cgroups;
	uint32_t nameless = 0;
	for (uint32_t i = 0; i < cgroups->count && nameless < 2; i++) {
		cgroups->each[i].path[0] = 0;
		cgroups->each[i].cpu_recent_ns = UINT64_MAX / 2; /* large enough for a series of their own */
		nameless++;
	}
	assert_int_equal(nameless, 2);
	shown_choose(fixture->shown, fixture->snap, 10);
	const char *page = render(fixture, &prometheus_writer, 0);
	assert_no(page, "\nnodemend_cgroup_cpu_seconds_total "); /* a label that is not known is none */
	assert_no(page, "\nnodemend_cgroup_cpu_seconds_total{unit=");
	assert_non_null(strstr(page, "nodemend_cgroup_cpu_seconds_total{cgroup=\"other\"}"));
}

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

/* A file that is removed and made anew, with its inode again, is one series. */
static void a_file_made_anew_is_one_series(void **state)
{
	struct fixture *fixture = *state;
	struct growth_section *growth = &fixture->snap->growth;
	growth->each[1] = growth->each[0];
	growth->each[1].grown_total = 500;
	growth->count = 2;
	growth->filesystems[0].grown_total = 10000;
	const char *page = render(fixture, &prometheus_writer, 0), *first = strstr(page, "\nnodemend_file_growth_bytes_total{"), *line = first;
	int lines = 0;
	for (; line; line = strstr(line + 1, "\nnodemend_file_growth_bytes_total{"))
		lines++;
	assert_int_equal(lines, 2);
	assert_non_null(strstr(first, "} 9500\n"));
	assert_line(page, "nodemend_file_growth_bytes_total{device=\"/dev/loop0\",mountpoint=\"/data\"} 500");
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

/* With some dozens of remedies the others would be hundreds of zeros. */
static void only_remedies_in_use_have_series(void **state)
{
	struct fixture *fixture = *state;
	const char *page = render(fixture, &prometheus_writer, 0);
	assert_line(page, "nodemend_actions_total{remedy=\"clean-files\",mode=\"enforce\",outcome=\"failed\"} 0"); /* it has acted: all of its outcomes */
	assert_no(page, "nodemend_actions_total{remedy=\"restart-unit\"");
	assert_no(page, "nodemend_remedy_set_aside{remedy=\"restart-unit\"");
	fixture->snap->engine.named[REMEDY_RESTART_UNIT] = true;
	fixture->snap->engine.set_aside[REMEDY_LIMIT_CPU] = 2;
	page = render(fixture, &prometheus_writer, 0);
	assert_line(page, "nodemend_actions_total{remedy=\"restart-unit\",mode=\"shadow\",outcome=\"fixed\"} 0");
	assert_line(page, "nodemend_remedy_set_aside{remedy=\"restart-unit\"} 0");
	assert_line(page, "nodemend_remedy_set_aside{remedy=\"limit-cpu\"} 2");
	assert_no(page, "nodemend_actions_total{remedy=\"terminate\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(numbers_stand_under_their_names),
		TEST(only_remedies_in_use_have_series),
		TEST(the_network_adds_up),
		TEST(cgroups_and_their_rest),
		TEST(the_nameless_are_among_the_others),
		TEST(named_writers_and_the_rest_add_up),
		TEST(storage_and_its_rests_add_up),
		TEST(a_file_made_anew_is_one_series),
		TEST(calls_are_told_by_cgroup_and_class),
		TEST(who_was_killed_adds_up),
		TEST(stalls_and_the_page_cache_add_up),
		TEST(who_is_who),
		TEST(a_sandbox_has_no_container_name),
	};
	return cmocka_run_group_tests_name("metric", tests, NULL, NULL);
}
