/* SPDX-License-Identifier: Apache-2.0 */
/* The triggers' ladder against files that take, refuse or lack them; the kernel's own are for test_budget. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "govern/pressure.h"

struct tree {
	char path[64];
	int fd;
};

static int set_up(void **state)
{
	struct tree *tree = calloc(1, sizeof(*tree));

	strcpy(tree->path, "/tmp/nodemend-test-XXXXXX");
	assert_non_null(mkdtemp(tree->path));
	tree->fd = open(tree->path, O_PATH | O_DIRECTORY);
	assert_int_equal(mkdirat(tree->fd, "pressure", 0755), 0);
	*state = tree;
	return 0;
}

static int tear_down(void **state)
{
	struct tree *tree = *state;

	(void)unlinkat(tree->fd, "pressure/cpu", 0);
	assert_int_equal(unlinkat(tree->fd, "pressure", AT_REMOVEDIR), 0);
	close(tree->fd);
	rmdir(tree->path);
	free(tree);
	return 0;
}

/* A second of window first; the end of the string goes with it. */
static void the_shortest_window_is_asked_for_first(void **state)
{
	struct tree *tree = *state;
	char text[64] = { 0 };

	close(openat(tree->fd, "pressure/cpu", O_CREAT | O_WRONLY, 0644));
	int fd = pressure_open(tree->fd, PSI_CPU);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(pread(fd, text, sizeof(text), 0), sizeof("some 75000 1000000"));
	assert_string_equal(text, "some 75000 1000000");
	close(fd);
}

static void a_refusal_is_an_answer(void **state)
{
	struct tree *tree = *state;
	int before = dup(0), after;

	close(before);
	assert_int_equal(symlinkat("/dev/full", tree->fd, "pressure/cpu"), 0); /* takes no byte of anybody */
	assert_int_equal(pressure_open(tree->fd, PSI_CPU), -ENOSPC);
	assert_int_equal(pressure_open(tree->fd, PSI_MEMORY), -ENOENT);
	after = dup(0);
	assert_int_equal(after, before); /* and nothing stays open */
	close(after);
}

static void a_policy_names_its_own_share(void **state)
{
	struct tree *tree = *state;
	char text[64] = "";
	int made = openat(tree->fd, "pressure/cpu", O_CREAT | O_WRONLY, 0600);
	assert_true(made >= 0);
	close(made);

	int fd = pressure_trigger(tree->fd, "pressure/cpu", true, 25, 2);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, text, sizeof(text), 0), sizeof("full 50000 2000000"));
	assert_string_equal(text, "full 50000 2000000");
	close(fd);
	assert_int_equal(pressure_trigger(tree->fd, "pressure/none", true, 25, 2), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_shortest_window_is_asked_for_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_refusal_is_an_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_policy_names_its_own_share, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
