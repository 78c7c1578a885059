/* SPDX-License-Identifier: Apache-2.0 */
/* Rows and rest of a tally against what was read: nothing is lost when rows leave, come back, or are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "measure/tally.h"
#include "snapshot.h"

static struct tally_key key(uint64_t a, uint64_t b)
{
	return (struct tally_key){ a, b };
}

static void tick(struct tally *tally, const uint64_t *a, const uint64_t *b)
{
	tally_begin(tally);
	if (b)
		tally_take(tally, key(9, 1), b);
	if (a)
		tally_take(tally, key(4, 2), a);
	tally_end(tally, NSEC_PER_SEC);
}

static void rows_are_sorted_and_differences_are_of_one_tick(void **state)
{
	struct tally *tally = tally_new(8, 2);

	tick(tally, (uint64_t[]){ 10, 1 }, (uint64_t[]){ 100, 2 });
	tick(tally, (uint64_t[]){ 15, 1 }, (uint64_t[]){ 100, 2 });
	assert_int_equal(tally_count(tally), 2);
	struct tally_row first = tally_row(tally, 0), second = tally_row(tally, 1);
	assert_true(first.key.a == 4 && first.key.b == 2 && second.key.a == 9);
	assert_true(first.total[0] == 15 && first.delta[0] == 5 && first.delta[1] == 0 && first.quiet_ticks == 0);
	assert_true(second.total[0] == 100 && second.delta[0] == 0 && second.quiet_ticks == 1 && second.in_kernel);
	assert_true(tally_find(tally, key(9, 1))[1] == 2);
	assert_null(tally_find(tally, key(9, 2)));
	tally_free(tally);
}

static void a_kernel_row_made_anew_goes_on_from_what_it_was(void **state)
{
	struct tally *tally = tally_new(8, 1);

	tick(tally, (uint64_t[]){ 10 }, NULL);
	tick(tally, NULL, NULL);
	assert_false(tally_row(tally, 0).in_kernel);
	tick(tally, (uint64_t[]){ 3 }, NULL);
	assert_true(tally_row(tally, 0).total[0] == 13);

	tally_begin(tally);
	tally_take_last(tally, key(4, 2), (uint64_t[]){ 5 });
	tally_end(tally, NSEC_PER_SEC);
	tick(tally, (uint64_t[]){ 6 }, NULL); /* larger than its last, and yet new */
	assert_true(tally_row(tally, 0).total[0] == 21);
	tally_free(tally);
}

static void what_retires_stays_in_the_rest_and_makes_room(void **state)
{
	struct tally *tally = tally_new(2, 1);

	tick(tally, (uint64_t[]){ 10 }, (uint64_t[]){ 20 });
	tally_begin(tally);
	tally_take(tally, key(1, 1), (uint64_t[]){ 7 });
	tally_end(tally, NSEC_PER_SEC);
	assert_int_equal(tally_cut(tally), 1);

	tally_retire(tally, 0);
	tally_retire(tally, 0); /* once is enough */
	tally_begin(tally);
	tally_take(tally, key(1, 1), (uint64_t[]){ 7 });
	tally_end(tally, NSEC_PER_SEC);
	assert_int_equal(tally_count(tally), 2);
	assert_true(tally_rest(tally)[0] == 10 && tally_row(tally, 0).total[0] == 7 && tally_row(tally, 1).total[0] == 20);
	tally_free(tally);
}

/* Against plain sums, over many ticks in which rows come, go and are retired. */
static void rows_and_rest_add_up_to_all_that_was_read(void **state)
{
	enum { KEYS = 50, TICKS = 400 };
	struct tally *tally = tally_new(KEYS, 1);
	uint64_t kernel[KEYS] = { 0 }, truth = 0;

	srandom(7);
	for (int t = 0; t < TICKS; t++) {
		tally_begin(tally);
		for (uint64_t k = 0; k < KEYS; k++) {
			uint64_t more = (uint64_t)random() % 100;

			if (random() % 3 == 0)
				continue;
			kernel[k] += more;
			truth += more;
			if (random() % 10 == 0) {
				tally_take_last(tally, key(k, k * 3), &kernel[k]);
				kernel[k] = 0;
			} else {
				tally_take(tally, key(k, k * 3), &kernel[k]);
			}
		}
		tally_end(tally, NSEC_PER_SEC);
		uint64_t sum = tally_rest(tally)[0];
		for (uint32_t i = 0; i < tally_count(tally); i++)
			sum += tally_row(tally, i).total[0];
		assert_true(sum == truth);
		for (uint32_t i = 0; i < tally_count(tally); i++)
			if (!tally_row(tally, i).in_kernel && !kernel[tally_row(tally, i).key.a])
				tally_retire(tally, i);
	}
	assert_int_equal(tally_cut(tally), 0);
	tally_free(tally);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_sorted_and_differences_are_of_one_tick),
		cmocka_unit_test(a_kernel_row_made_anew_goes_on_from_what_it_was),
		cmocka_unit_test(what_retires_stays_in_the_rest_and_makes_room),
		cmocka_unit_test(rows_and_rest_add_up_to_all_that_was_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
