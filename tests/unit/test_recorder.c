/* SPDX-License-Identifier: Apache-2.0 */
/* The flight recorder over snapshots made by hand: a minute, a picture a second, the largest and the fastest, frozen at a kill. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure/recorder.h"

enum { PROCESSES = 20 };

struct scene {
	struct snapshot *snap;
	struct recorder *recorder;
};

static int setup(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	scene->snap = calloc(1, sizeof(*scene->snap));
	scene->recorder = recorder_new();
	assert_non_null(scene->snap);
	assert_non_null(scene->recorder);
	scene->snap->interval_ns = NSEC_PER_SEC;
	scene->snap->boot_ns = 100 * NSEC_PER_SEC;
	scene->snap->cgroups.count = 1;
	scene->snap->cgroups.each[0] = (struct cgroup){ .id = 7, .path = "/app" };
	*state = scene;
	return 0;
}

static int teardown(void **state)
{
	struct scene *scene = *state;

	recorder_free(scene->recorder);
	free(scene->snap);
	free(scene);
	return 0;
}

/* A tick `after_ns` later, at which process i holds i pages and process 20 - i grows by i. */
static void tick(struct scene *scene, uint64_t after_ns, uint64_t available)
{
	struct snapshot *snap = scene->snap;

	snap->boot_ns += after_ns;
	snap->memory = (struct memory_section){ .measured_ns = snap->boot_ns, .available = available, .free = 1, .swap_free = UNKNOWN };
	snap->processes.measured_ns = snap->boot_ns;
	snap->processes.count = PROCESSES;
	for (int i = 0; i < PROCESSES; i++) {
		snap->processes.each[i] = (struct process){ .pid = i + 1, .cgroup_id = 7, .rss_bytes = (uint64_t)(i + 1) * 4096,
							    .rss_growing_bytes = i < 3 ? 300 - i : -1 };
		snprintf(snap->processes.each[i].comm, COMM_LEN, "p%d", i + 1);
	}
	recorder_tick(scene->recorder, snap, &snap->recordings);
}

static uint64_t kill_one(struct scene *scene)
{
	struct event *event = event_add(&scene->snap->events, EVENT_OOM_KILL);

	event->at_ns = scene->snap->boot_ns + NSEC_PER_SEC / 2;
	return event->seq;
}

static void a_kill_keeps_the_minute_before(void **state)
{
	struct scene *scene = *state;

	for (uint64_t i = 0; i < 100; i++)
		tick(scene, NSEC_PER_SEC, 1000 - i);
	uint64_t seq = kill_one(scene);
	assert_null(recorder_find(&scene->snap->recordings, seq));
	tick(scene, NSEC_PER_SEC, 5);

	const struct recording *recording = recorder_find(&scene->snap->recordings, seq);
	assert_non_null(recording);
	assert_int_equal(recording->count, RECORDED_TICKS);
	for (uint32_t i = 0; i < RECORDED_TICKS; i++) /* oldest first, and none of after the kill */
		assert_int_equal(recording->each[i].available_bytes, 1000 - 40 - i);
	const struct recorded_tick *last = &recording->each[RECORDED_TICKS - 1];
	assert_int_equal(last->swap_free_bytes, UNKNOWN);
	assert_int_equal(last->some_permille, UINT32_MAX); /* no pressure was measured */
	assert_int_equal(last->largest_count, RECORDED_PROCESSES);
	assert_int_equal(last->largest[0].pid, 20);
	assert_int_equal(last->largest[7].pid, 13);
	assert_int_equal(last->growing_count, 3); /* who shrinks does not grow least */
	assert_int_equal(last->growing[0].pid, 1);
	assert_int_equal(last->growing[2].pid, 3);
}

static void fast_ticks_do_not_shorten_the_minute(void **state)
{
	struct scene *scene = *state;

	for (int i = 0; i < 400; i++)
		tick(scene, NSEC_PER_SEC / 20, 1);
	uint64_t seq = kill_one(scene);
	tick(scene, NSEC_PER_SEC / 20, 1);
	const struct recording *recording = recorder_find(&scene->snap->recordings, seq);
	assert_non_null(recording);
	assert_in_range(recording->count, 20, 22); /* 20 s */
}

static void the_newest_recordings_are_kept(void **state)
{
	struct scene *scene = *state;
	uint64_t seqs[MAX_RECORDINGS + 2];

	for (int i = 0; i < MAX_RECORDINGS + 2; i++) {
		tick(scene, NSEC_PER_SEC, 1);
		seqs[i] = kill_one(scene);
		(void)event_add(&scene->snap->events, EVENT_FATAL_SIGNAL);
		if (i == MAX_RECORDINGS + 1)
			seqs[i] = kill_one(scene); /* two at one tick share one */
		tick(scene, NSEC_PER_SEC, 1);
	}
	assert_int_equal(scene->snap->recordings.total, MAX_RECORDINGS + 2);
	assert_null(recorder_find(&scene->snap->recordings, seqs[0]));
	assert_null(recorder_find(&scene->snap->recordings, seqs[1]));
	for (int i = 2; i < MAX_RECORDINGS + 2; i++)
		assert_non_null(recorder_find(&scene->snap->recordings, seqs[i]));
	const struct recording *last = recorder_find(&scene->snap->recordings, seqs[MAX_RECORDINGS + 1]);
	assert_int_equal(last->last_seq - last->first_seq, 2);
}

static void a_copy_has_what_was_kept(void **state)
{
	struct scene *scene = *state;
	struct snapshot *copy = calloc(1, sizeof(*copy));

	assert_non_null(copy);
	for (int i = 0; i < 3; i++)
		tick(scene, NSEC_PER_SEC, 9);
	uint64_t seq = kill_one(scene);
	tick(scene, NSEC_PER_SEC, 9);
	snapshot_copy(copy, scene->snap);
	const struct recording *recording = recorder_find(&copy->recordings, seq);
	assert_non_null(recording);
	assert_int_equal(recording->count, 3);
	assert_memory_equal(recording->each, recorder_find(&scene->snap->recordings, seq)->each, 3 * sizeof(recording->each[0]));
	free(copy);
}

static void json_leaves_out_what_is_unknown(void **state)
{
	struct scene *scene = *state;

	tick(scene, NSEC_PER_SEC, 9);
	uint64_t seq = kill_one(scene);
	tick(scene, NSEC_PER_SEC, 9);
	cJSON *json = recorder_json(recorder_find(&scene->snap->recordings, seq), scene->snap);
	const cJSON *ticks = cJSON_GetObjectItem(json, "ticks"), *first = cJSON_GetArrayItem(ticks, 0);

	assert_int_equal(cJSON_GetObjectItem(json, "first_event")->valuedouble, seq);
	assert_int_equal(cJSON_GetArraySize(ticks), 1);
	assert_true(cJSON_GetObjectItem(first, "seconds_before")->valuedouble == 0.5);
	assert_int_equal(cJSON_GetObjectItem(first, "available_bytes")->valuedouble, 9);
	assert_null(cJSON_GetObjectItem(first, "swap_free_bytes"));
	assert_null(cJSON_GetObjectItem(first, "pressure_full"));
	const cJSON *largest = cJSON_GetArrayItem(cJSON_GetObjectItem(first, "largest"), 0);
	assert_string_equal(cJSON_GetObjectItem(largest, "comm")->valuestring, "p20");
	assert_string_equal(cJSON_GetObjectItem(largest, "cgroup")->valuestring, "/app");
	cJSON_Delete(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_kill_keeps_the_minute_before, setup, teardown),
		cmocka_unit_test_setup_teardown(fast_ticks_do_not_shorten_the_minute, setup, teardown),
		cmocka_unit_test_setup_teardown(the_newest_recordings_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(a_copy_has_what_was_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(json_leaves_out_what_is_unknown, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
