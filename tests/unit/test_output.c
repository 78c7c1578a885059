/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outputs, routes and labels of the configuration; remote write's requests, told by what is in them; and an outlet's way between memory and
 * disk. Every message about outputs is in tests/golden/config/outputs.yaml.txt, which test_config compares.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <snappy-c.h>

#include "cli/cli.h"
#include "config.h"
#include "push/keys.h"
#include "push/outlet.h"
#include "push/remote_messages.h"

static struct config *config;
static struct config_faults faults;

static void parse(const char *text)
{
	int error = config_parse("t.yaml", text, strlen(text), config, &faults);
	if (error)
		fail_msg("%s", faults.each[0].text);
}

/* --- configuration ----------------------------------------------------------------------------------------------------- */

static void every_key_has_its_place(void **state)
{
	parse("node: n1\nlabels: {zone: z, cluster: c}\n"
	      "routes:\n"
	      "  - {to: oncall, severity: [critical, emergency], kinds: disk_exhaustion, group_by: [kind, policy], group_wait: 1s, repeat: 1h}\n"
	      "  - {to: oncall}\n"
	      "outputs:\n"
	      "  - remote-write: {name: store, url: 'https://h:1/w', every: 5s, version: 2, native_histograms: true, max_samples: 100,\n"
	      "      headers: {X-Scope-OrgID: t}, header_files: {X-Api-Key: /x}, bearer_token_file: /b, ca_file: /ca, cert_file: /c, key_file: /k,\n"
	      "      server_name: s, timeout: 3s, connect_timeout: 2s, spool: 1MiB, max_age: 10m}\n"
	      "  - otlp: {name: collector, url: 'http://[::1]:4318', logs: false}\n"
	      "  - webhook: {name: oncall, url_file: /u, format: slack}\n"
	      "  - mail: {name: ops, server: 'smtp://h', from: a@b, to: [c@d, e@f]}\n"
	      "  - alertmanager: {name: am, urls: ['http://a', 'http://b'], cluster: c1}\n");
	const struct outputs *outputs = &config->outputs;
	assert_int_equal(outputs->output_count, 5);
	const struct output *store = &outputs->each[0];
	assert_int_equal(store->kind, OUTPUT_REMOTE_WRITE);
	assert_string_equal(store->urls[0], "https://h:1/w");
	assert_int_equal(store->every_ns, 5 * NSEC_PER_SEC);
	assert_int_equal(store->version, 2);
	assert_true(store->native_histograms);
	assert_string_equal(store->headers[0].name, "X-Scope-OrgID");
	assert_string_equal(store->header_files[0].value, "/x");
	assert_int_equal(store->spool_bytes, 1 << 20);
	assert_int_equal(store->max_age_ns, 600 * NSEC_PER_SEC);
	assert_true(outputs->each[1].metrics && !outputs->each[1].logs && outputs->each[1].traces);
	assert_int_equal(outputs->each[1].spool_bytes, 64 << 20);
	assert_int_equal(outputs->each[2].format, WEBHOOK_SLACK);
	assert_int_equal(outputs->each[3].to_count, 2);
	assert_int_equal(outputs->each[4].url_count, 2);

	assert_int_equal(outputs->route_count, 2);
	assert_int_equal(outputs->routes[0].output, 2);
	assert_int_equal(outputs->routes[0].severities, 1 << SEVERITY_CRITICAL | 1 << SEVERITY_EMERGENCY);
	assert_int_equal(outputs->routes[0].kinds, 1 << KIND_DISK_EXHAUSTION);
	assert_int_equal(outputs->routes[0].group_by, 1 << GROUP_KIND | 1 << GROUP_POLICY);
	assert_int_equal(outputs->routes[1].severities, (1 << SEVERITY_COUNT) - 1);

	static const char *const labels[][2] = { { "cluster", "c" }, { "instance", "n1" }, { "job", "nodemend" }, { "zone", "z" } };
	assert_int_equal(outputs->label_count, 4);
	for (int i = 0; i < 4; i++) {
		assert_string_equal(outputs->labels[i].name, labels[i][0]);
		assert_string_equal(outputs->labels[i].value, labels[i][1]);
	}
}

static void a_reload_sees_each_change_and_nothing_else(void **state)
{
	static const char text[] = "node: n\noutputs: [{remote-write: {name: a, url: 'http://h/'}}, {webhook: {name: w, url: 'http://h/'}}]\nroutes: [{to: w}]\n";
	struct outputs *before = calloc(1, sizeof(*before));
	assert_non_null(before);
	parse(text);
	outputs_copy(before, &config->outputs);
	memset(config, 0xa5, sizeof(*config)); /* nothing that is not in use may count */
	parse(text);
	assert_true(outputs_equal(before, &config->outputs));
	static const char *const others[] = {
		"node: n\noutputs: [{remote-write: {name: a, url: 'http://i/'}}, {webhook: {name: w, url: 'http://h/'}}]\nroutes: [{to: w}]\n",
		"node: n\noutputs: [{remote-write: {name: a, url: 'http://h/'}}, {webhook: {name: w, url: 'http://h/'}}]\nroutes: []\n",
		"node: m\noutputs: [{remote-write: {name: a, url: 'http://h/'}}, {webhook: {name: w, url: 'http://h/'}}]\nroutes: [{to: w}]\n",
		"node: n\noutputs: []\n",
	};
	for (int i = 0; i < 4; i++) {
		parse(others[i]);
		assert_false(outputs_equal(before, &config->outputs));
	}
	free(before);
}

static void no_fault_repeats_a_password(void **state)
{
	static const char text[] = "outputs: [{remote-write: {name: a, url: 'https://u:topsecret@h/', headers: {Authorization: topsecret}}}]\n";
	assert_true(config_parse("t.yaml", text, strlen(text), config, &faults) < 0);
	assert_true(faults.count >= 2);
	for (uint32_t i = 0; i < faults.count; i++)
		assert_null(strstr(faults.each[i].text, "topsecret"));
}

static void check_warns_of_files(void **state)
{
	char path[] = "/tmp/test_output_secret.XXXXXX", text[512], *said = NULL;
	size_t size;
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	snprintf(text, sizeof(text), "outputs: [{remote-write: {name: a, url: 'https://h/', bearer_token_file: %s, ca_file: %s, header_files: {X-Key: /none}}}]\n",
		 path, path);
	parse(text);
	static const struct {
		mode_t mode;
		bool warned;
	} cases[] = { { 0600, false }, { 0640, false }, { 0644, true } };
	for (int i = 0; i < 3; i++) {
		assert_int_equal(fchmod(fd, cases[i].mode), 0);
		FILE *out = open_memstream(&said, &size);
		check_print_files(&config->outputs, out);
		fclose(out);
		assert_int_equal(strstr(said, "bearer_token_file") != NULL, cases[i].warned);
		assert_null(strstr(said, "ca_file")); /* no secret: anybody may read it */
		assert_non_null(strstr(said, "warning: output a: header_files: \"/none\": No such file or directory\n"));
		free(said);
	}
	close(fd);
	unlink(path);
}

/* --- series ------------------------------------------------------------------------------------------------------------ */

static void labels_are_sorted_and_the_metrics_own_win(void **state)
{
	struct outputs outputs = { .label_count = 3, .labels = { { "Zone", "z" }, { "instance", "n" }, { "job", "nodemend" } } };
	const struct metric metric = { .name = "m_seconds" };
	const struct label labels[] = { { "pid", "7" }, { "job", "its own" }, { "empty", "" }, { "bad", "\xff" } };
	struct text text = { 0 };
	assert_int_equal(series_labels(&text, &metric, "_bucket", labels, 4, "+Inf", &outputs), 7);
	static const char wanted[] = "Zone\0z\0__name__\0m_seconds_bucket\0bad\0\xef\xbf\xbd\0instance\0n\0job\0its own\0le\0+Inf\0pid\0" "7";
	assert_int_equal(text.length, sizeof(wanted));
	assert_memory_equal(text.data, wanted, sizeof(wanted));
	text_free(&text);
}

static void a_set_knows_what_is_in_it(void **state)
{
	struct series_set set = { 0 };
	char name[32];
	uint64_t lost = 0;
	for (int round = 0; round < 2; round++) {
		assert_int_equal(series_set_find(&set, "a", 2), 0);
		for (int i = 0; i < 5000; i++) {
			int size = snprintf(name, sizeof(name), "series %d", i) + 1;
			assert_true(series_set_add(&set, name, (size_t)size, &lost));
			assert_false(series_set_add(&set, name, (size_t)size, &lost));
			assert_int_equal(series_set_find(&set, name, (size_t)size), i + 1);
		}
		assert_int_equal(series_set_find(&set, "series 5000", 12), 0);
		series_set_empty(&set);
	}
	assert_int_equal(lost, 0);
	series_set_free(&set);
}

static void a_request_of_2_becomes_the_same_of_1(void **state)
{
	static const char labels[] = "__name__\0m\0job\0j";
	const struct metric metric = { .name = "m", .help = "help", .unit = "seconds", .type = METRIC_HISTOGRAM };
	struct histogram histogram = { .sum_ns = 1500000000 };
	struct batch batch = { 0 };
	struct text raw = { 0 }, requests[3] = { { 0 } };
	histogram.buckets[0] = 1;
	histogram.buckets[40] = 2;
	histogram.buckets[HISTOGRAM_BUCKETS - 1] = 3;
	for (uint32_t version = 1; version <= 2; version++) {
		batch_begin(&batch, version);
		batch_sample(&batch, labels, sizeof(labels), &metric, 1.5, 1000);
		batch_histogram(&batch, labels, sizeof(labels), &metric, &histogram, 1000);
		assert_int_equal(batch.items, 2);
		assert_int_equal(batch_finish(&batch, &raw, &requests[version]), 0);
	}
	assert_int_equal(batch_downgrade(requests[2].data, requests[2].length, &requests[0]), 0);
	assert_int_equal(requests[0].length, requests[1].length);
	assert_memory_equal(requests[0].data, requests[1].data, requests[1].length);
	assert_true(batch_downgrade("rubbish", 7, &requests[0]) < 0);
	for (int i = 0; i < 3; i++)
		text_free(&requests[i]);
	text_free(&raw);
	batch_free(&batch);
}

/* --- outlets ----------------------------------------------------------------------------------------------------------- */

struct place {
	char root[32];
	int root_fd, epoll_fd;
	struct output_page *page;
	struct keys *keys;
	struct delivery *delivery;
	struct outlet *outlet;
};

static const struct parcel_type plain[] = { { .ages = true }, { .ages = false } };
static const struct outlet_family family = { .types = plain, .type_count = 2 };

static void open_place(struct place *place, const char *text)
{
	parse(text);
	assert_int_equal(keys_open(&config->outputs, &place->keys), 0);
	assert_int_equal(delivery_open(place->epoll_fd, place->root_fd, place->keys, place->page, &place->delivery), 0);
	assert_int_equal(delivery_add(place->delivery, &config->outputs, 0, 0, &family, NULL, &place->outlet), 0);
}

static int make_place(void **state)
{
	struct place *place = calloc(1, sizeof(*place));
	assert_non_null(place);
	strcpy(place->root, "/tmp/test_output.XXXXXX");
	assert_non_null(mkdtemp(place->root));
	place->root_fd = open(place->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	place->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	place->page = calloc(1, sizeof(*place->page));
	*state = place;
	return place->root_fd < 0 || !place->page ? -1 : 0;
}

static int remove_place(void **state)
{
	struct place *place = *state;
	char command[64];
	delivery_close(place->delivery);
	keys_close(place->keys);
	(void)unlinkat(place->root_fd, "a/cursor", 0);
	for (int i = 0; i < 16; i++) {
		snprintf(command, sizeof(command), "a/%016x.seg", i);
		(void)unlinkat(place->root_fd, command, 0);
	}
	(void)unlinkat(place->root_fd, "a", AT_REMOVEDIR);
	int error = rmdir(place->root);
	close(place->root_fd);
	close(place->epoll_fd);
	free(place->page);
	free(place);
	return error;
}

static int put(struct place *place, uint32_t n, size_t size, uint32_t type, int64_t made_wall_ns)
{
	static char body[PARCEL_MAX + 1];
	memcpy(body, &n, sizeof(n));
	const struct parcel parcel = { .made_wall_ns = made_wall_ns, .type = type, .items = 1, .body = body, .size = size };
	return outlet_put(place->outlet, &parcel);
}

static void assert_next(struct place *place, uint32_t n, int64_t wall_ns)
{
	uint32_t got;
	assert_true(outlet_next(place->outlet, wall_ns));
	memcpy(&got, place->outlet->head.body, sizeof(got));
	assert_int_equal(got, n);
	outlet_take_off(place->outlet);
}

static uint64_t dropped(const struct place *place, enum drop why)
{
	return atomic_load(&place->page->outlets[0].dropped[why]);
}

static void memory_while_it_goes_well_and_disk_when_not(void **state)
{
	struct place *place = *state;
	open_place(place, "outputs: [{remote-write: {name: a, url: 'http://127.0.0.1:1/'}}]\n");
	for (uint32_t n = 0; n < 4; n++)
		assert_int_equal(put(place, n, 1000, 1, 0), 0);
	assert_true(spool_is_empty(place->outlet->spool));
	assert_next(place, 0, 0);

	assert_true(outlet_next(place->outlet, 0)); /* the second is on its way when it fails */
	place->outlet->failures = 1;
	outlet_spill(place->outlet);
	assert_int_equal(place->outlet->queue_bytes, 0);
	assert_int_equal(put(place, 4, 1000, 1, 0), 0);
	assert_int_equal(atomic_load(&place->page->outlets[0].queue_bytes), 0);
	assert_true(atomic_load(&place->page->outlets[0].spool_bytes) > 4000);
	place->outlet->failures = 0;
	for (uint32_t n = 1; n < 5; n++)
		assert_next(place, n, 0);
	assert_true(outlet_is_idle(place->outlet));
}

static void a_disk_that_takes_nothing_leaves_memory(void **state)
{
	struct place *place = *state;
	const struct rlimit none = { .rlim_cur = 100, .rlim_max = RLIM_INFINITY }, all = { .rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY };
	(void)signal(SIGXFSZ, SIG_IGN);
	open_place(place, "outputs: [{remote-write: {name: a, url: 'http://127.0.0.1:1/'}}]\n");
	place->outlet->failures = 1;
	assert_int_equal(put(place, 0, 1000, 1, 0), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	for (uint32_t n = 1; n < 2000; n++)
		assert_int_equal(put(place, n, 10000, 1, 0), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
	assert_true(atomic_load(&place->page->outlets[0].spool_errors) > 0);
	assert_in_range(place->outlet->queue_bytes, QUEUE_MAX - 10000, QUEUE_MAX);
	assert_int_equal(dropped(place, DROP_QUEUE_FULL), 1999 - QUEUE_MAX / 10000);
	place->outlet->failures = 0;
	assert_next(place, 0, 0);
	for (uint32_t n = 2000 - QUEUE_MAX / 10000; n < 2000; n++)
		assert_next(place, n, 0);
}

static void what_is_too_old_or_too_large_is_dropped(void **state)
{
	struct place *place = *state;
	const int64_t hour = 3600 * (int64_t)NSEC_PER_SEC;
	open_place(place, "outputs: [{remote-write: {name: a, url: 'http://127.0.0.1:1/', spool: 0}}]\n");
	assert_null(place->outlet->spool);
	put(place, 0, 100, 0, hour);
	put(place, 1, 100, 1, hour);
	put(place, 2, 100, 0, 2 * hour);
	assert_true(put(place, 3, PARCEL_MAX + 1, 0, hour) < 0);
	assert_next(place, 1, 2 * hour + 1); /* records do not age */
	assert_next(place, 2, 2 * hour + 1);
	assert_false(outlet_next(place->outlet, 2 * hour + 1));
	assert_int_equal(dropped(place, DROP_AGE), 1);
	assert_int_equal(dropped(place, DROP_TOO_LARGE), 1);
}

static void an_orderly_end_saves_what_waits(void **state)
{
	struct place *place = *state;
	static const char text[] = "outputs: [{remote-write: {name: a, url: 'http://127.0.0.1:1/'}}]\n";
	open_place(place, text);
	for (uint32_t n = 0; n < 3; n++)
		put(place, n, 1000, 1, 0);
	assert_true(outlet_next(place->outlet, 0));
	delivery_close(place->delivery);
	keys_close(place->keys);
	open_place(place, text);
	for (uint32_t n = 0; n < 3; n++)
		assert_next(place, n, 0);
}

/* ----------------------------------------------------------------------------------------------------------------------- */

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

#define IN_PLACE(test_) cmocka_unit_test_setup_teardown(test_, make_place, remove_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_has_its_place),
		cmocka_unit_test(a_reload_sees_each_change_and_nothing_else),
		cmocka_unit_test(no_fault_repeats_a_password),
		cmocka_unit_test(check_warns_of_files),
		cmocka_unit_test(labels_are_sorted_and_the_metrics_own_win),
		cmocka_unit_test(a_set_knows_what_is_in_it),
		cmocka_unit_test(a_request_of_2_becomes_the_same_of_1),
		IN_PLACE(memory_while_it_goes_well_and_disk_when_not),
		IN_PLACE(a_disk_that_takes_nothing_leaves_memory),
		IN_PLACE(what_is_too_old_or_too_large_is_dropped),
		IN_PLACE(an_orderly_end_saves_what_waits),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
