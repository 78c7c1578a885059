/* SPDX-License-Identifier: Apache-2.0 */
/* What grew lately, by key: growth, decay, a row that began anew, and one that was away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "measure/recency.h"
#include "snapshot.h"

static uint64_t note(struct recency *recency, uint64_t key, uint64_t weight, uint64_t *ret_grown)
{
	return recency_note(recency, &key, weight, ret_grown);
}

static void growth_is_since_the_round_before(void **state)
{
	struct recency *recency = recency_new(8, sizeof(uint64_t));
	uint64_t grown;

	(void)state;
	recency_begin(recency, 0);
	assert_int_equal(note(recency, 7, 100, &grown), 100);
	assert_int_equal(grown, 100);
	assert_int_equal(note(recency, 3, 5, &grown), 5);
	recency_end(recency);

	recency_begin(recency, RECENT_HALF_LIFE_NS);
	assert_int_equal(note(recency, 3, 5, &grown), 2);
	assert_int_equal(grown, 0);
	assert_int_equal(note(recency, 7, 130, &grown), 80);
	assert_int_equal(grown, 30);
	recency_end(recency);

	/* Below what it was: deleted, and begun anew. */
	recency_begin(recency, 0);
	assert_int_equal(note(recency, 7, 10, &grown), 90);
	assert_int_equal(grown, 10);
	recency_end(recency);

	/* 3 was away for a round: it is a new one. */
	recency_begin(recency, 0);
	assert_int_equal(note(recency, 3, 5, &grown), 5);
	assert_int_equal(grown, 5);
	recency_end(recency);
	recency_free(recency);
	recency_free(NULL);
}

static void more_than_its_capacity_is_always_new(void **state)
{
	struct recency *recency = recency_new(2, sizeof(uint64_t));
	uint64_t grown;

	(void)state;
	for (int round = 0; round < 2; round++) {
		recency_begin(recency, 0);
		(void)note(recency, 1, 10, &grown);
		assert_int_equal(grown, round ? 0 : 10);
		(void)note(recency, 2, 10, &grown);
		assert_int_equal(grown, round ? 0 : 10);
		(void)note(recency, 3, 10, &grown);
		assert_int_equal(grown, 10);
		recency_end(recency);
	}
	recency_free(recency);
	assert_null(recency_new(2, RECENCY_KEY_BYTES + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(growth_is_since_the_round_before),
		cmocka_unit_test(more_than_its_capacity_is_always_new),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
