/* SPDX-License-Identifier: Apache-2.0 */
/* What the remedies for memory, tasks and limits take as their arguments, and the parts that they share: figures, and an end to what blocks. */
#include "victim_fixture.h"

#include <time.h>

#include "core/value.h"
#include "remedies/figure.h"
#include "remedies/swap.h"
#include "remedies/time_limit.h"

static union remedy_args args;

static void sound(enum remedy_id remedy)
{
	memset(&args, 0, sizeof(args));
	section_defaults(remedies[remedy]->arguments, &args);
	if (remedy == REMEDY_RECLAIM)
		args.reclaim.max_bytes = 1 << 30;
	if (remedy == REMEDY_ADD_SWAPFILE) {
		snprintf(args.add_swapfile.path, PATH_LEN, "/var/swap");
		args.add_swapfile.size_bytes = 1 << 30;
	}
	if (remedy == REMEDY_ADD_ZRAM)
		args.add_zram.size_bytes = 1 << 30;
}

#define REFUSES(remedy_, change_) \
	do { \
		sound(remedy_); \
		assert_null(remedies[remedy_]->problem(&args)); \
		change_; \
		if (!remedies[remedy_]->problem(&args)) \
			fail_msg("let through: %s", #change_); \
	} while (0)

/* As a stranger would send it across the pipe. */
static void what_is_out_of_its_range_is_refused(void **state)
{
	(void)state;
	REFUSES(REMEDY_RECLAIM, args.reclaim.step_bytes = 0);
	REFUSES(REMEDY_RECLAIM, args.reclaim.max_bytes = UNKNOWN);
	REFUSES(REMEDY_RECLAIM, args.reclaim.step_timeout_ns = UINT64_MAX);
	REFUSES(REMEDY_RECLAIM, args.reclaim.step_timeout_ns = 0);
	REFUSES(REMEDY_RECLAIM, args.reclaim.max_stalled_percent = 101);
	REFUSES(REMEDY_RECLAIM, args.reclaim.max_returned_percent = UINT32_MAX);
	REFUSES(REMEDY_KILL_CGROUP, args.kill_cgroup.term_wait_ns = UINT64_MAX);
	REFUSES(REMEDY_KILL_FORK_BOMB, args.kill_fork_bomb.max_processes = 0);
	REFUSES(REMEDY_KILL_FORK_BOMB, args.kill_fork_bomb.max_processes = 8193);
	REFUSES(REMEDY_KILL_FORK_BOMB, args.kill_fork_bomb.min_born = 1);
	REFUSES(REMEDY_KILL_FORK_BOMB, args.kill_fork_bomb.born_within_ns = 0);
	REFUSES(REMEDY_REAP, memset(&args.reap.end_parent, 7, 1));
	REFUSES(REMEDY_REAP, args.reap.min_zombies = 0);
	REFUSES(REMEDY_REAP, args.reap.wait_ns = UINT64_MAX);
	REFUSES(REMEDY_REAP, args.reap.term_wait_ns = UINT64_MAX);
	REFUSES(REMEDY_RAISE_LIMITS, memset(&args.raise_limits.act, 7, 1));
	REFUSES(REMEDY_RAISE_LIMITS, args.raise_limits.percent = 100);
	REFUSES(REMEDY_RAISE_LIMITS, args.raise_limits.most = UINT32_MAX);
	REFUSES(REMEDY_RAISE_LIMITS, args.raise_limits.for_ns = 0);
	REFUSES(REMEDY_DROP_CACHES, args.drop_caches.what = 0);
	REFUSES(REMEDY_DROP_CACHES, args.drop_caches.what = 4);
	REFUSES(REMEDY_DROP_CACHES, args.drop_caches.min_cached_percent = 0);
	REFUSES(REMEDY_DROP_CACHES, args.drop_caches.watch_ns = UINT64_MAX);
	REFUSES(REMEDY_COMPACT, args.compact.order = 0);
	REFUSES(REMEDY_COMPACT, args.compact.order = 20);
	REFUSES(REMEDY_COMPACT, args.compact.every_ns = UINT64_MAX);
	REFUSES(REMEDY_ADD_SWAPFILE, memset(args.add_swapfile.path, '/', PATH_LEN));
	REFUSES(REMEDY_ADD_SWAPFILE, snprintf(args.add_swapfile.path, PATH_LEN, "/"));
	REFUSES(REMEDY_ADD_SWAPFILE, snprintf(args.add_swapfile.path, PATH_LEN, "swap"));
	REFUSES(REMEDY_ADD_SWAPFILE, snprintf(args.add_swapfile.path, PATH_LEN, "/var/../swap"));
	REFUSES(REMEDY_ADD_SWAPFILE, snprintf(args.add_swapfile.path, PATH_LEN, "/var/a swap"));
	REFUSES(REMEDY_ADD_SWAPFILE, args.add_swapfile.size_bytes = 0);
	REFUSES(REMEDY_ADD_SWAPFILE, args.add_swapfile.size_bytes = UINT64_MAX);
	REFUSES(REMEDY_ADD_SWAPFILE, args.add_swapfile.keep_free_bytes = UINT64_MAX);
	REFUSES(REMEDY_ADD_SWAPFILE, args.add_swapfile.priority = 32768);
	REFUSES(REMEDY_ADD_ZRAM, args.add_zram.size_bytes = 0);
	REFUSES(REMEDY_ADD_ZRAM, args.add_zram.algorithm = 5);
	REFUSES(REMEDY_ADD_ZRAM, args.add_zram.for_ns = UINT64_MAX);
}

/* --- reclaim where it cannot be had ----------------------------------------------------------------------------------------------- */

static void without_the_file_reclaim_says_what_is_missing(void **state)
{
	(void)state;
	struct remedy_request request;
	struct remedy_result result;
	struct stat found;
	char dir[PATH_LEN];
	const char *mount = access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
	snprintf(dir, sizeof(dir), "%s/nm.reclaim-%d", mount, (int)getpid());
	if (mkdir(dir, 0755) < 0 || stat(dir, &found) < 0)
		skip(); /* no v2 hierarchy that may be written */
	char file[PATH_LEN + 32];
	snprintf(file, sizeof(file), "%s/memory.reclaim", dir);
	bool has = access(file, F_OK) == 0;
	victim_request(&request, 0);
	request.remedy = REMEDY_RECLAIM;
	sound(REMEDY_RECLAIM);
	request.args = args;
	request.target = (struct target){ .type = TARGET_CGROUP, .cgroup_id = found.st_ino };
	snprintf(request.target.name, PATH_LEN, "%s", dir + strlen(mount));
	hands_run(&request, &result);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(result.outcome, OUTCOME_REFUSED);
	assert_string_equal(result.refused_by, has ? "nothing-to-take" : "no-control");
	if (!has)
		assert_non_null(strstr(result.why, "force_empty"));
	victim_request(&request, 0);
	request.remedy = REMEDY_RECLAIM;
	request.verb = REMEDY_VERB_CHECK;
	hands_run(&request, &result);
	snprintf(file, sizeof(file), "%s/memory.reclaim", mount);
	assert_int_equal(result.armed, access(file, W_OK) == 0);
	assert_int_equal(result.armed, !result.why[0]);
}

/* --- what they share -------------------------------------------------------------------------------------------------------------- */

static void put(int tree, const char *file, const char *text)
{
	int fd = openat(tree, file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static void figures_are_read_by_their_whole_name(void **state)
{
	(void)state;
	char place[] = "/tmp/nodemend-figure-XXXXXX", long_text[FIGURE_TEXT_LEN + 8];
	uint64_t value = 7;
	assert_non_null(mkdtemp(place));
	int tree = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(tree, "f", "pgscan_direct_throttle 9\npgscan_direct 4\nMemFree:   12 kB\nempty\nlast 5");
	assert_int_equal(figure_named(tree, "f", "pgscan_direct", &value), 0);
	assert_int_equal(value, 4);
	assert_int_equal(figure_named(tree, "f", "MemFree", &value), 0);
	assert_int_equal(value, 12 * 1024);
	assert_int_equal(figure_named(tree, "f", "last", &value), 0);
	assert_int_equal(value, 5);
	assert_int_equal(figure_named(tree, "f", "pgscan", &value), -ENOENT);
	assert_int_equal(figure_named(tree, "f", "empty", &value), -ENOENT);
	assert_int_equal(figure_named(tree, "none", "last", &value), -ENOENT);
	put(tree, "f", "max\n");
	assert_int_equal(figure_one(tree, "f", &value), 0);
	assert_true(value == UNKNOWN);
	put(tree, "f", "12 13\n");
	assert_int_equal(figure_one(tree, "f", &value), -EINVAL);
	put(tree, "f", "some avg10=1.00 avg60=0.00 avg300=0.00 total=55\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=21\n");
	assert_int_equal(figure_stalled(tree, "f", "full", &value), 0);
	assert_int_equal(value, 21000);
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	put(tree, "f", long_text);
	assert_int_equal(figure_named(tree, "f", "x", &value), -EFBIG);
	assert_int_equal(unlinkat(tree, "f", 0), 0);
	close(tree);
	rmdir(place);
}

static void what_blocks_is_ended(void **state)
{
	(void)state;
	int silent[2];
	char byte;
	struct time_limit limit;
	sigset_t blocked, now;
	assert_int_equal(pipe2(silent, O_CLOEXEC), 0);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGALRM);
	sigprocmask(SIG_BLOCK, &blocked, NULL); /* as in a worker of the event loop */
	for (uint64_t ns = 0; ns <= 20 * NSEC_PER_MSEC; ns += 20 * NSEC_PER_MSEC) {
		assert_int_equal(time_limit_begin(&limit, ns), 0);
		assert_int_equal(read(silent[0], &byte, 1), -1); /* would wait for ever */
		assert_int_equal(errno, EINTR);
		time_limit_end(&limit);
	}
	sigprocmask(SIG_SETMASK, NULL, &now);
	assert_int_equal(sigismember(&now, SIGALRM), 1);
	close(silent[0]);
	close(silent[1]);
}

/* A file that is not ours is "foreign", and neither made over nor removed. */
static void somebody_else_s_file_is_no_swap_of_ours(void **state)
{
	(void)state;
	char place[] = "/tmp/nodemend-swap-XXXXXX", text[LEASE_TEXT_LEN];
	struct stat found;
	assert_non_null(mkdtemp(place));
	assert_int_equal(stat(place, &found), 0);
	struct knob knob = { .kind = KNOB_SWAPFILE, .directory_inode = found.st_ino };
	snprintf(knob.file, sizeof(knob.file), "%s/swap", place);
	swap_key(knob.key, 16 << 20, 3);
	assert_string_equal(knob.key, "16:3");
	assert_int_equal(knob_read(&knob, text, sizeof(text)), 0);
	assert_string_equal(text, "off");
	int tree = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(tree, "swap", "precious");
	assert_int_equal(knob_read(&knob, text, sizeof(text)), 0);
	assert_string_equal(text, "foreign");
	assert_true(swapfile_write(&knob, "off") < 0);
	assert_true(swapfile_write(&knob, "on") < 0);
	int fd = openat(tree, "swap", O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, text, sizeof(text)), 8);
	close(fd);
	assert_int_equal(unlinkat(tree, "swap", 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", tree, "swap"), 0);
	assert_int_equal(knob_read(&knob, text, sizeof(text)), 0);
	assert_string_equal(text, "foreign");
	assert_int_equal(unlinkat(tree, "swap", 0), 0);
	knob.directory_inode++;
	assert_int_equal(knob_read(&knob, text, sizeof(text)), -ESTALE);
	close(tree);
	rmdir(place);
	struct knob device = { .kind = KNOB_ZRAM, .file = "/dev/zram0/../sda" };
	assert_int_equal(knob_read(&device, text, sizeof(text)), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_out_of_its_range_is_refused), cmocka_unit_test(without_the_file_reclaim_says_what_is_missing),
		cmocka_unit_test(figures_are_read_by_their_whole_name), cmocka_unit_test(what_blocks_is_ended),
		cmocka_unit_test(somebody_else_s_file_is_no_swap_of_ours),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
