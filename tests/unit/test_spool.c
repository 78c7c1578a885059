/* SPDX-License-Identifier: Apache-2.0 */
/* The spool: order, restarts, a torn tail, broken records, a full disk and its bound; and the back-off, which is a pure function. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "push/backoff.h"
#include "push/spool.h"
#include "snapshot.h"

enum { LIMIT = 1 << 20 };

static char root[] = "/tmp/test_spool.XXXXXX";
static int root_fd;
static struct spool *spool;

static void open_spool(uint64_t limit)
{
	assert_int_equal(spool_open(root_fd, "store", limit, &spool), 0);
}

static void reopen(void)
{
	spool_close(spool);
	open_spool(LIMIT);
}

static void empty_folder(const char *name)
{
	int fd = openat(root_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	for (struct dirent *entry; dir && (entry = readdir(dir));)
		(void)unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	(void)unlinkat(root_fd, name, AT_REMOVEDIR);
}

static int setup(void **state)
{
	open_spool(LIMIT);
	return 0;
}

static int teardown(void **state)
{
	spool_close(spool);
	spool = NULL;
	empty_folder("store");
	return 0;
}

/* Number n, padded to `size`. */
static int append(uint32_t n, size_t size)
{
	static char body[PARCEL_MAX];
	memset(body, 'a' + (int)(n % 26), size);
	memcpy(body, &n, sizeof(n));
	const struct parcel parcel = { .made_wall_ns = 1000 + n, .type = n % 3, .items = 10, .body = body, .size = size };
	return spool_append(spool, &parcel);
}

/* The number of the oldest; UINT32_MAX where there is none. */
static uint32_t peek(void)
{
	struct parcel parcel;
	uint32_t n;
	if (spool_peek(spool, &parcel) != 1)
		return UINT32_MAX;
	memcpy(&n, parcel.body, sizeof(n));
	assert_int_equal(parcel.made_wall_ns, 1000 + n);
	assert_int_equal(parcel.type, n % 3);
	assert_int_equal(parcel.items, 10);
	return n;
}

static void assert_gives(uint32_t from, uint32_t to)
{
	for (uint32_t n = from; n < to; n++) {
		assert_int_equal(peek(), n);
		spool_pop(spool);
	}
}

static uint32_t files(void)
{
	uint32_t count = 0;
	DIR *dir = fdopendir(openat(root_fd, "store", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	for (struct dirent *entry; (entry = readdir(dir));)
		count += strstr(entry->d_name, ".seg") != NULL;
	closedir(dir);
	return count;
}

static int open_first(int flags)
{
	int fd = openat(root_fd, "store/0000000000000001.seg", flags | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* --- order and restarts ------------------------------------------------------------------------------------------------ */

static void gives_what_it_got_in_order(void **state)
{
	for (uint32_t n = 0; n < 200; n++)
		assert_int_equal(append(n, 1000), 0);
	assert_true(files() > 1);
	assert_gives(0, 200);
	assert_int_equal(peek(), UINT32_MAX);
	assert_true(spool_is_empty(spool));
	assert_int_equal(spool_bytes(spool), 0);
	assert_int_equal(files(), 0);
}

static void goes_on_where_it_was(void **state)
{
	for (uint32_t n = 0; n < 300; n++) {
		assert_int_equal(append(n, 1000), 0);
		if (n % 3 == 2) { /* one of three is taken off, at times with a new process between */
			assert_gives(n / 3, n / 3 + 1);
			if (n % 10 == 0)
				reopen();
		}
	}
	reopen();
	assert_gives(100, 300);
	assert_int_equal(append(300, 10), 0);
	reopen();
	assert_gives(300, 301);
}

static void what_was_peeked_at_is_not_gone(void **state)
{
	assert_int_equal(append(0, 100), 0);
	assert_int_equal(peek(), 0);
	reopen();
	assert_gives(0, 1);
}

static void an_old_place_is_not_believed_for_a_new_segment(void **state)
{
	for (uint32_t n = 0; n < 10; n++)
		assert_int_equal(append(n, 1000), 0);
	assert_gives(0, 10); /* the folder is empty; the cursor is behind it */
	reopen();
	assert_int_equal(append(10, 1000), 0);
	reopen();
	assert_gives(10, 11);
}

/* --- damage ------------------------------------------------------------------------------------------------------------ */

static void a_torn_tail_is_cut(void **state)
{
	static char whole[4096];
	struct spool_losses losses;
	for (uint32_t n = 0; n < 3; n++)
		assert_int_equal(append(n, 1000), 0);
	int fd = open_first(O_RDWR);
	ssize_t size = pread(fd, whole, sizeof(whole), 0);
	assert_int_equal(size, 8 + 3 * 1032);
	for (ssize_t cut = 1; cut < 1032; cut += 103) { /* within the body, within the head */
		spool_close(spool);
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, whole, (size_t)(size - cut), 0), size - cut);
		open_spool(LIMIT);
		spool_take_losses(spool, &losses);
		assert_int_equal(losses.corrupt_records, 1);
		assert_int_equal(spool_bytes(spool), 8 + 2 * 1032);
	}
	close(fd);
	assert_gives(0, 2);
	assert_int_equal(append(2, 1000), 0);
	assert_gives(2, 3);
	spool_take_losses(spool, &losses);
	assert_int_equal(losses.corrupt_records, 0);
}

static void a_broken_record_is_skipped_and_counted(void **state)
{
	struct spool_losses losses;
	for (uint32_t n = 0; n < 10; n++)
		assert_int_equal(append(n, 1000), 0);
	int fd = open_first(O_WRONLY);
	assert_int_equal(pwrite(fd, "?", 1, 8 + 3 * 1032 + 500), 1); /* the fourth's body */
	assert_int_equal(pwrite(fd, "\xff\xff\xff\xff", 4, 8 + 6 * 1032 + 8), 4); /* the seventh's length */
	close(fd);
	assert_gives(0, 3);
	assert_gives(4, 6);
	assert_gives(7, 10);
	assert_int_equal(peek(), UINT32_MAX);
	spool_take_losses(spool, &losses);
	assert_int_equal(losses.corrupt_records, 2);
}

static void what_is_no_segment_is_thrown_away(void **state)
{
	struct spool_losses losses;
	assert_int_equal(append(0, 100), 0);
	int fd = openat(root_fd, "store/0000000000000000.seg", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "rubbish", 7), 7);
	close(fd);
	fd = openat(root_fd, "store/cursor", O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(write(fd, "rubbish that is as long as a cursor is", 24), 24);
	close(fd);
	/* A victim of our own: a test that runs as root must not point at anything that matters. */
	fd = openat(root_fd, "victim", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "untouched", 9), 9);
	close(fd);
	assert_int_equal(symlinkat("../victim", root_fd, "store/00000000000000ff.seg"), 0);
	reopen();
	char kept[16] = "";
	fd = openat(root_fd, "victim", O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, kept, sizeof(kept)), 9);
	close(fd);
	assert_string_equal(kept, "untouched");
	assert_int_equal(unlinkat(root_fd, "victim", 0), 0);
	spool_take_losses(spool, &losses);
	assert_int_equal(losses.corrupt_records, 2);
	assert_gives(0, 1);
}

/* --- bounds ------------------------------------------------------------------------------------------------------------ */

static void the_oldest_go_when_it_is_full(void **state)
{
	struct spool_losses losses;
	for (uint32_t n = 0; n < 3000; n++) {
		assert_int_equal(append(n, 1000), 0);
		assert_true(spool_bytes(spool) <= LIMIT);
	}
	spool_take_losses(spool, &losses);
	assert_int_equal(losses.full_items % 10, 0);
	uint32_t first = (uint32_t)losses.full_items / 10;
	assert_in_range(first, 3000 - LIMIT / 1032, 3000 - LIMIT / 1032 * 3 / 4);
	assert_gives(first, 3000);
}

static void one_that_is_on_its_way_may_go_too(void **state)
{
	assert_int_equal(append(0, 1000), 0);
	assert_int_equal(peek(), 0);
	for (uint32_t n = 1; n < 3000; n++)
		assert_int_equal(append(n, 1000), 0);
	uint64_t before = spool_bytes(spool);
	spool_pop(spool); /* delivered in the end, but long dropped: nothing else may go for it */
	assert_int_equal(spool_bytes(spool), before);
}

static void too_large_is_refused(void **state)
{
	assert_int_equal(append(0, PARCEL_MAX), -EMSGSIZE); /* with its head, more than all of it */
	spool_close(spool);
	open_spool(16 * (uint64_t)LIMIT);
	assert_int_equal(append(0, PARCEL_MAX), 0);
	assert_gives(0, 1);
}

static void a_full_disk_leaves_nothing_behind(void **state)
{
	/* The same to the writer as a disk that takes no more: some bytes, or none. */
	const struct rlimit small = { .rlim_cur = 10000, .rlim_max = RLIM_INFINITY }, large = { .rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY };
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	uint32_t n = 0;
	while (append(n, 1000) == 0)
		n++;
	assert_true(append(n, 1000) < 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &large), 0);
	assert_in_range(n, 9, 10);
	assert_int_equal(append(n, 1000), 0);
	reopen();
	assert_gives(0, n + 1);
}

/* --- back-off ---------------------------------------------------------------------------------------------------------- */

static void waits_grow_with_jitter_to_five_minutes(void **state)
{
	assert_int_equal(backoff_ns(1, 0, 0), NSEC_PER_SEC);
	assert_int_equal(backoff_ns(1, UINT32_MAX, 0), NSEC_PER_SEC);
	for (uint32_t failures = 2; failures < 100; failures++) {
		uint64_t least = backoff_ns(failures, 0, 0), most = backoff_ns(failures, UINT32_MAX, 0), middle = backoff_ns(failures, UINT32_MAX / 2, 0);
		assert_true(least >= backoff_ns(failures - 1, 0, 0) && most <= 300 * NSEC_PER_SEC);
		assert_int_equal(most, 2 * least);
		assert_in_range(middle, least + 1, most - 1);
	}
	assert_int_equal(backoff_ns(UINT32_MAX, UINT32_MAX, 0), 300 * NSEC_PER_SEC);
}

static void what_the_receiver_asks_for_is_waited_for(void **state)
{
	assert_int_equal(backoff_ns(1, 0, 20 * NSEC_PER_SEC), 20 * NSEC_PER_SEC);
	assert_int_equal(backoff_ns(9, UINT32_MAX, 20 * NSEC_PER_SEC), 256 * NSEC_PER_SEC);
	assert_int_equal(backoff_ns(1, 0, UINT64_MAX), 300 * NSEC_PER_SEC);
	const int64_t wall = 784111777LL * (int64_t)NSEC_PER_SEC; /* Sun, 06 Nov 1994 08:49:37 GMT, RFC 9110's own */
	assert_int_equal(retry_after_ns("120", wall), 120 * NSEC_PER_SEC);
	assert_int_equal(retry_after_ns("99999999999999999999", wall), 300 * NSEC_PER_SEC);
	assert_int_equal(retry_after_ns("Sun, 06 Nov 1994 08:49:47 GMT", wall), 10 * NSEC_PER_SEC);
	assert_int_equal(retry_after_ns("Sun, 06 Nov 1994 08:49:07 GMT", wall), 0);
	assert_int_equal(retry_after_ns("", wall), 0);
	assert_int_equal(retry_after_ns("soon", wall), 0);
	assert_int_equal(retry_after_ns("-5", wall), 0);
}

/* ----------------------------------------------------------------------------------------------------------------------- */

#define WITH_SPOOL(test_) cmocka_unit_test_setup_teardown(test_, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SPOOL(gives_what_it_got_in_order),
		WITH_SPOOL(goes_on_where_it_was),
		WITH_SPOOL(what_was_peeked_at_is_not_gone),
		WITH_SPOOL(an_old_place_is_not_believed_for_a_new_segment),
		WITH_SPOOL(a_torn_tail_is_cut),
		WITH_SPOOL(a_broken_record_is_skipped_and_counted),
		WITH_SPOOL(what_is_no_segment_is_thrown_away),
		WITH_SPOOL(the_oldest_go_when_it_is_full),
		WITH_SPOOL(one_that_is_on_its_way_may_go_too),
		WITH_SPOOL(too_large_is_refused),
		WITH_SPOOL(a_full_disk_leaves_nothing_behind),
		cmocka_unit_test(waits_grow_with_jitter_to_five_minutes),
		cmocka_unit_test(what_the_receiver_asks_for_is_waited_for),
	};
	if (!mkdtemp(root) || (root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)rmdir(root);
	return failed;
}
