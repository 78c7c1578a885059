/* SPDX-License-Identifier: Apache-2.0 */
/* Which samples name an incident, and with which value. */
#include <math.h>

#include "event.h"
#include "tests/unit/family_reader.h"
#include "tests/unit/render_fixture.h"

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

/* The calls of causes stand at the bucket that they fell into; everybody else's do not, and nothing from long before. */
static void latencies_name_their_incident(void **state)
{
	struct fixture *fixture = *state;
	struct snapshot *snap = fixture->snap;
	put_records(fixture);
	const struct incident_entry *entry = records_incident(fixture->records, "disk-1");
	const struct syscall_stat *stat = &snap->syscalls.each[0];
	snap->wall_ns = entry->opened_ns + 10 * (int64_t)NSEC_PER_SEC;
	const struct { int32_t pid; uint64_t took_ns, before_ns; } calls[] = {
		{ entry->cause_pids[0], 300000000, 7 * NSEC_PER_SEC }, /* (0.25, 0.5] */
		{ entry->cause_pids[0] + 1, 900000000, 6 * NSEC_PER_SEC },
		{ entry->cause_pids[0], 700000000, 75 * NSEC_PER_SEC },
	};
	snap->events = (struct event_section){ 0 };
	for (int i = 2; i >= 0; i--) { /* the newest last */
		struct event *event = event_add(&snap->events, EVENT_SLOW_CALL);
		event->pid = calls[i].pid;
		event->at_ns = snap->boot_ns - calls[i].before_ns;
		event->of.slow_call = (struct slow_call){ .abi = stat->abi, .nr = stat->nr, .took_ns = calls[i].took_ns };
	}
	const char *page = render(fixture, &openmetrics_writer, 0), *at = strstr(page, "_bucket");
	char mark[160];
	snprintf(mark, sizeof(mark), " # {incident=\"disk-1\"} 0.3 %lld", (long long)(entry->opened_ns / (int64_t)NSEC_PER_SEC + 3));
	at = strstr(page, mark);
	assert_non_null(at);
	assert_null(strstr(at + 1, mark));
	while (at[-1] != '\n')
		at--;
	assert_true(strncmp(at, "nodemend_syscall_latency_seconds_bucket{", 40) == 0);
	assert_non_null(memmem(at, strcspn(at, "\n"), ",le=\"0.5\"} ", 11));
	assert_no(render(fixture, &prometheus_writer, 0), "disk-1");

	/* Beyond the last bound only +Inf is left, which protobuf needs a bucket for, then. */
	snap->events.each[snap->events.total % MAX_EVENTS].of.slow_call.took_ns = 20 * NSEC_PER_SEC;
	page = render(fixture, &openmetrics_writer, 0);
	assert_non_null(strstr(page, " # {incident=\"disk-1\"} 20 "));
	render(fixture, &protobuf_writer, 0);
	size_t from = 0;
	int marked = 0;
	for (Exposition__MetricFamily *family; (family = next_family(&fixture->out, &from));) {
		for (size_t i = 0; family->type == EXPOSITION__METRIC_TYPE__HISTOGRAM && i < family->n_metric; i++) {
			const Exposition__Histogram *histogram = family->metric[i]->histogram;
			for (size_t k = 0; k < histogram->n_bucket; k++) {
				if (!histogram->bucket[k]->exemplar)
					continue;
				marked++;
				assert_true(isinf(histogram->bucket[k]->upper_bound) && histogram->bucket[k]->exemplar->value == 20);
				assert_string_equal(histogram->bucket[k]->exemplar->label[0]->value, "disk-1");
			}
		}
		exposition__metric_family__free_unpacked(family, NULL);
	}
	assert_int_equal(marked, 1);

	/* What is left is of somebody else, or of long before. */
	snap->events.each[snap->events.total % MAX_EVENTS].pid = calls[1].pid;
	assert_no(render(fixture, &openmetrics_writer, 0), " # {incident=\"disk-1\"} 0.7 ");
	snap->events.each[(snap->events.total - 2) % MAX_EVENTS].at_ns = snap->boot_ns - 65 * NSEC_PER_SEC;
	assert_non_null(strstr(render(fixture, &openmetrics_writer, 0), " # {incident=\"disk-1\"} 0.7 "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(counters_name_their_incident),
		TEST(latencies_name_their_incident),
	};
	return cmocka_run_group_tests_name("exemplar", tests, NULL, NULL);
}
