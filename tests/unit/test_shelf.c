/* SPDX-License-Identifier: Apache-2.0 */
/* A file of what was learned: whole or not at all, damage is told, and nothing is followed or left behind. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "keep/shelf.h"

#define NAME "learned"

static char folder[64];
static int dir_fd;

static int open_folder(void **state)
{
	snprintf(folder, sizeof(folder), "/tmp/nodemend-shelf-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd < 0 ? -1 : 0;
}

static int close_folder(void **state)
{
	unlinkat(dir_fd, NAME, 0);
	unlinkat(dir_fd, NAME ".new", 0);
	close(dir_fd);
	return rmdir(folder);
}

static void poke(off_t at, const char *with)
{
	int fd = openat(dir_fd, NAME, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, with, strlen(with), at), (ssize_t)strlen(with));
	close(fd);
}

static void what_is_saved_is_loaded(void **state)
{
	char got[64];

	assert_int_equal(shelf_read(dir_fd, NAME, got, sizeof(got)), -ENOENT);
	assert_int_equal(shelf_write(dir_fd, NAME, "first", 5), 0);
	/* A crash left half of the next one behind. */
	int fd = openat(dir_fd, NAME ".new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(shelf_read(dir_fd, NAME, got, sizeof(got)), 5);
	assert_memory_equal(got, "first", 5);
	assert_int_equal(shelf_write(dir_fd, NAME, "the second", 10), 0);
	assert_int_equal(shelf_read(dir_fd, NAME, got, sizeof(got)), 10);
	assert_memory_equal(got, "the second", 10);
	assert_int_equal(faccessat(dir_fd, NAME ".new", F_OK, 0), -1);
}

static void damage_is_told(void **state)
{
	char got[64];

	assert_int_equal(shelf_write(dir_fd, NAME, "something", 9), 0);
	poke(98, "X");
	assert_int_equal(shelf_read(dir_fd, NAME, got, sizeof(got)), -EBADMSG);
	assert_int_equal(shelf_write(dir_fd, NAME, "something", 9), 0);
	poke(105, "and more");
	assert_int_equal(shelf_read(dir_fd, NAME, got, sizeof(got)), -EBADMSG);
	int fd = openat(dir_fd, NAME, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(shelf_read(dir_fd, NAME, got, sizeof(got)), -EBADMSG);
	assert_int_equal(ftruncate(fd, 1 << 24), 0);
	close(fd);
	assert_int_equal(shelf_read(dir_fd, NAME, got, sizeof(got)), -EFBIG);
}

static void a_link_is_not_followed(void **state)
{
	char got[64];
	unlinkat(dir_fd, NAME, 0);
	assert_int_equal(symlinkat("/etc/hostname", dir_fd, NAME), 0);
	assert_true(shelf_read(dir_fd, NAME, got, sizeof(got)) < 0);
	assert_int_equal(shelf_write(dir_fd, NAME, "mine", 4), 0); /* takes the link's place */
	assert_int_equal(shelf_read(dir_fd, NAME, got, sizeof(got)), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_saved_is_loaded), cmocka_unit_test(damage_is_told), cmocka_unit_test(a_link_is_not_followed),
	};
	return cmocka_run_group_tests_name("shelf", tests, open_folder, close_folder);
}
