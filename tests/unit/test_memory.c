/* SPDX-License-Identifier: Apache-2.0 */
/* Memory as meminfo and vmstat tell it; a kernel without a line makes it unknown, a text that is not whole makes all of it stale. */
#include "collect_bench.h"

extern const struct collector collector_memory;

static struct bench *opened(void **given, const char *meminfo, const char *vmstat)
{
	struct bench *bench = *given;
	bench_copy(bench, meminfo, "proc/meminfo");
	bench_copy(bench, vmstat, "proc/vmstat");
	assert_int_equal(bench_open(bench, &collector_memory), 0);
	assert_int_equal(bench_tick(bench, 0, true), 0);
	return bench;
}

/* The figures of the fixture by another way than the collector's. */
static uint64_t expected(const char *path, const char *name)
{
	char text[65536], line[128];
	unsigned long long value;
	bench_read(path, text, sizeof(text));
	snprintf(line, sizeof(line), "\n%s", name);
	char *at = strncmp(text, name, strlen(name)) == 0 ? text : strstr(text, line) + 1;
	assert_int_equal(sscanf(at + strlen(name), "%llu", &value), 1);
	return value;
}

static void reads_debian_12(void **given)
{
	struct bench *bench = opened(given, FIXTURES "proc/meminfo", FIXTURES "proc/vmstat");
	const struct memory_section *memory = &bench->snap->memory;
	const struct {
		const char *name;
		uint64_t value;
	} table[] = {
		{ "MemTotal:", memory->total },	   { "MemFree:", memory->free },	   { "MemAvailable:", memory->available },
		{ "Buffers:", memory->buffers },   { "Cached:", memory->cached },	   { "SwapTotal:", memory->swap_total },
		{ "SwapFree:", memory->swap_free }, { "Dirty:", memory->dirty },	   { "Writeback:", memory->writeback },
		{ "AnonPages:", memory->anon },	   { "Mapped:", memory->mapped },	   { "Shmem:", memory->shmem },
		{ "Slab:", memory->slab },	   { "SReclaimable:", memory->sreclaimable }, { "SUnreclaim:", memory->sunreclaim },
		{ "KernelStack:", memory->kernel_stack }, { "PageTables:", memory->page_tables }, { "Committed_AS:", memory->committed_as },
		{ "CommitLimit:", memory->commit_limit }, { "Active:", memory->active },	   { "Inactive:", memory->inactive },
	};

	assert_int_equal(memory->measured_ns, bench->snap->boot_ns);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_int_equal(table[i].value, expected(FIXTURES "proc/meminfo", table[i].name) * 1024);
	assert_int_equal(memory->pgfault, 11206406);
	assert_int_equal(memory->pgmajfault, 4323);
	assert_int_equal(memory->oom_kill, 0);
}

static void lines_that_are_missing_are_unknown(void **given)
{
	struct bench *bench = opened(given, FIXTURES "proc-5.10/meminfo", FIXTURES "proc-5.10/vmstat");
	const struct memory_section *memory = &bench->snap->memory;
	assert_int_equal(memory->total, 2048000ULL * 1024);
	assert_true(memory->available == UNKNOWN);
	assert_true(memory->swap_total == UNKNOWN);
	assert_true(memory->oom_kill == UNKNOWN);
	assert_int_equal(memory->pgfault, 4711);
}

static void no_vmstat_is_degraded(void **given)
{
	struct bench *bench = *given;
	bench_copy(bench, FIXTURES "proc/meminfo", "proc/meminfo");
	assert_int_equal(bench_open(bench, &collector_memory), 0);
	assert_int_equal(bench->status.state, COLLECTOR_DEGRADED);
	assert_non_null(strstr(bench->status.why, "vmstat"));
	assert_int_equal(bench_tick(bench, 0, true), 0);
	assert_true(bench->snap->memory.pgfault == UNKNOWN);
	assert_true(bench->snap->memory.available != UNKNOWN);
}

static void bad_text_leaves_the_section_alone(void **given)
{
	static const char *const bad[] = {
		"",
		"MemTotal: 100 kB",
		"MemTotal: 0 kB\n",
		"MemFree: 5 kB\n",
		"MemTotal: 100 kB\nMemAvailable: 101 kB\n",
		"MemTotal: 100 MB\n",
		"MemTotal: 18446744073709551615 kB\n",
		"MemTotal: 18014398509481984 kB\n",
		"MemTotal:\n",
		"MemTotal: 100 kB\nMemAvailable: -1 kB\n",
	};
	struct bench *bench = opened(given, FIXTURES "proc/meminfo", FIXTURES "proc/vmstat");
	uint64_t measured_ns = bench->snap->memory.measured_ns, total = bench->snap->memory.total;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bench_say(bench, "proc/meminfo", bad[i]);
		assert_true(bench_tick(bench, NSEC_PER_SEC, true) < 0);
		assert_int_equal(bench->snap->memory.measured_ns, measured_ns);
		assert_int_equal(bench->snap->memory.total, total);
	}
	bench_put(bench, "proc/meminfo", "MemTotal: 1 kB\n\0\n", 17);
	assert_true(bench_tick(bench, NSEC_PER_SEC, true) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(reads_debian_12),
		BENCH_TEST(lines_that_are_missing_are_unknown),
		BENCH_TEST(no_vmstat_is_degraded),
		BENCH_TEST(bad_text_leaves_the_section_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
