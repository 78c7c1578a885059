/* SPDX-License-Identifier: Apache-2.0 */
/* What is read of smaps_rollup, and that memory which two processes share counts once in both together. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "collect/footprint.h"

enum { SHARED = 32 << 20 };

static int parse(const char *text, uint64_t *ret)
{
	return footprint_parse(text, strlen(text), ret);
}

static void the_share_is_read(void **state)
{
	uint64_t bytes = 7;

	(void)state;
	assert_int_equal(parse("56141d826000-7ffc5e2f3000 ---p 00000000 00:00 0                          [rollup]\n"
			       "Rss:               20628 kB\nPss:                8467 kB\nPss_Dirty:          5800 kB\n", &bytes), 0);
	assert_int_equal(bytes, 8467 << 10);
	assert_int_equal(parse("Rss:               20628 kB\nPss_Dirty:          5800 kB\n", &bytes), -EINVAL);
	assert_int_equal(parse("Pss:                8467 pages\n", &bytes), -EINVAL);
	assert_int_equal(parse("Pss:                18446744073709551614 kB\n", &bytes), -EINVAL);
	assert_int_equal(parse("Pss:                84", &bytes), -EINVAL);
	assert_int_equal(bytes, 8467 << 10); /* untouched on failure */
}

static void shared_pages_count_once(void **state)
{
	int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	uint64_t alone, both[2] = { 0 };
	char *memory = malloc(SHARED);

	(void)state;
	assert_non_null(memory);
	memset(memory, 1, SHARED);
	assert_int_equal(footprint_read(proc, getpid(), &alone), 0);
	assert_true(alone >= SHARED);
	pid_t child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	assert_int_equal(footprint_read(proc, getpid(), &both[0]), 0);
	assert_int_equal(footprint_read(proc, child, &both[1]), 0);
	assert_true(both[0] + both[1] >= SHARED && both[0] + both[1] < alone + SHARED / 2);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(footprint_read(proc, child, &both[1]), -ENOENT);
	free(memory);
	close(proc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_share_is_read),
		cmocka_unit_test(shared_pages_count_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
