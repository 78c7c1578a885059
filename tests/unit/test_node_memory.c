/* SPDX-License-Identifier: Apache-2.0 */
/* drop-caches and compact over a made-up /proc: nothing without evidence, the figures in the record, what is written, what is told as gained. */
#include "victim_fixture.h"

#include "remedies/node_memory.h"

static char place[] = "/tmp/nodemend-node-XXXXXX";
static int tree;
static struct remedy_request request;
static struct remedy_result result;
static pid_t busy;

/* What stands in it; a kernel that works on is played by rewrite_while_watched(). */
struct figures {
	unsigned total_mib, free_mib, available_mib, cached_mib, slab_mib, dirty_mib;
	unsigned scanned, stalls, fails;
	const char *buddy;
};
static const char in_pieces[] = "Node 0, zone      DMA      1      1      1      1      1      1      1      1      1      1      2\n"
				"Node 0, zone   Normal  90000  40000      7      0      0      0      0      0      0      0      0\n";
static const char whole[] = "Node 0, zone   Normal    900    400      7      0      0      0      0      0      0      5     40\n";
static const struct figures pressed = { 1000, 60, 70, 600, 50, 20, 100, 10, 5, in_pieces };

static void put(const char *file, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(const char *file, const char *format, ...)
{
	char path[PATH_LEN], fresh[PATH_LEN + 8];
	va_list args;
	snprintf(path, sizeof(path), "%s/%s", place, file);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	FILE *to = fopen(fresh, "we");
	assert_non_null(to);
	va_start(args, format);
	vfprintf(to, format, args);
	va_end(args);
	fclose(to);
	assert_int_equal(rename(fresh, path), 0);
}

static void show(const struct figures *figures)
{
	put("meminfo", "MemTotal: %u kB\nMemFree: %u kB\nMemAvailable: %u kB\nCached: %u kB\nDirty: %u kB\nMapped: 0 kB\nShmem: 0 kB\nSReclaimable: %u kB\n",
	    figures->total_mib << 10, figures->free_mib << 10, figures->available_mib << 10, figures->cached_mib << 10, figures->dirty_mib << 10,
	    figures->slab_mib << 10);
	put("vmstat", "pgscan_kswapd %u\npgscan_direct 0\npgscan_direct_throttle 7\ncompact_stall %u\ncompact_fail %u\n", figures->scanned, figures->stalls,
	    figures->fails);
	put("buddyinfo", "%s", figures->buddy);
}

/* What the act wrote; "" = nothing. */
static const char *written(void)
{
	static char text[64];
	char path[PATH_LEN];
	snprintf(path, sizeof(path), "%s/act", place);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[got > 0 ? got : 0] = '\0';
	return text;
}

static bool parent_has_open(const char *path)
{
	char dir[64], link[PATH_LEN], to[PATH_LEN];
	bool has = false;
	snprintf(dir, sizeof(dir), "/proc/%d/fd", (int)getppid());
	for (int fd = 0; fd < 64 && !has; fd++) {
		snprintf(link, sizeof(link), "%s/%d", dir, fd);
		ssize_t length = readlink(link, to, sizeof(to) - 1);
		to[length > 0 ? length : 0] = '\0';
		has = strcmp(to, path) == 0;
	}
	return has;
}

/*
 * A kernel that works on: its counters grow, and when the file is written to, memory is as `after` says before the write returns. The file is a pipe
 * that is full, so that a write waits until it is drained.
 */
static _Noreturn void play_kernel(const struct figures *before, const struct figures *after, const char *path)
{
	static char fill[4096];
	struct figures now = *before;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fcntl(fd, F_SETPIPE_SZ, 4096) < 0)
		_exit(1);
	while (write(fd, fill, sizeof(fill)) > 0)
		;
	while (!parent_has_open(path)) {
		now.scanned += 32;
		now.stalls++;
		show(&now);
		usleep(2000);
	}
	struct figures then = *after;
	then.scanned = now.scanned;
	then.stalls = now.stalls;
	show(&then);
	char text[4096] = "";
	for (;;) {
		ssize_t got = read(fd, text, sizeof(text) - 1);
		for (ssize_t i = 0; i < got; i++)
			if (text[i]) {
				text[got] = '\0';
				put("act", "%s", text + i);
				break;
			}
		usleep(got > 0 ? 0 : 500);
	}
}

static void rewrite_while_watched(const struct figures *before, const struct figures *after, const char *file)
{
	char path[PATH_LEN];
	show(before);
	snprintf(path, sizeof(path), "%s/sys/vm/%s", place, file);
	(void)unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	busy = fork();
	assert_true(busy >= 0);
	if (busy == 0)
		play_kernel(before, after, path);
}

static void wait_for_act(void)
{
	for (int i = 0; i < 5000 && !written()[0]; i++)
		usleep(1000);
}

static int set_up(void **state)
{
	(void)state;
	char path[PATH_LEN];
	snprintf(path, sizeof(path), "%s/act", place);
	(void)unlink(path);
	put("sys/vm/drop_caches", "%s", "");
	put("sys/vm/compact_memory", "%s", "");
	victim_request(&request, 0);
	memset(&result, 0, sizeof(result));
	effect_clear(&result.expected);
	effect_clear(&result.observed);
	request.target = (struct target){ .type = TARGET_NODE, .name = "memory" };
	request.args.drop_caches = (struct drop_caches_args){ .what = 3, .min_cached_percent = 40, .max_available_percent = 10, .watch_ns = 100 * NSEC_PER_MSEC };
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (busy > 0)
		victim_reap(busy);
	busy = 0;
	return 0;
}

static void assert_refused_by(const char *guard)
{
	if (result.outcome != OUTCOME_REFUSED || strcmp(result.refused_by, guard) != 0)
		fail_msg("outcome %d, refused by %s: %s", result.outcome, result.refused_by, result.why);
}

static void for_compact(void)
{
	request.args.compact = (struct compact_args){ .order = 9, .min_free_percent = 5, .watch_ns = 100 * NSEC_PER_MSEC };
}

static void caches_go_on_evidence(void **state)
{
	(void)state;
	struct figures after = pressed;
	after.scanned = after.stalls = 0;
	after.free_mib = 500;
	after.cached_mib = 150;
	rewrite_while_watched(&pressed, &after, "drop_caches");
	request.args.drop_caches.watch_ns = 200 * NSEC_PER_MSEC;
	assert_int_equal(drop_caches_in(tree, &request, &result), 0);
	wait_for_act();
	assert_string_equal(written(), "3\n");
	assert_int_equal(result.expected.freed_bytes, (600 - 20 + 50) << 20); /* what is not written out stays */
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_int_equal(result.observed.freed_bytes, 440 << 20);

	/* And not again at once. */
	request.args.drop_caches.every_ns = NSEC_PER_SEC * 3600;
	memset(&result, 0, sizeof(result));
	assert_int_equal(drop_caches_in(tree, &request, &result), 0);
	assert_refused_by("too-soon");
}

/* Each of the three signs alone is none. */
static void caches_stay_without_evidence(void **state)
{
	(void)state;
	struct figures calm[] = { pressed, pressed };
	calm[0].cached_mib = 300;
	calm[1].available_mib = 400;
	for (size_t i = 0; i < sizeof(calm) / sizeof(calm[0]); i++) {
		rewrite_while_watched(&calm[i], &calm[i], "drop_caches");
		assert_int_equal(drop_caches_in(tree, &request, &result), 0);
		assert_refused_by("no-evidence");
		victim_reap(busy);
		busy = 0;
	}
	assert_non_null(strstr(result.why, "40 % are available (at most 10)"));
	show(&pressed); /* nobody scans */
	assert_int_equal(drop_caches_in(tree, &request, &result), 0);
	assert_refused_by("no-evidence");
	assert_non_null(strstr(result.why, "0 pages scanned"));
	assert_string_equal(written(), "");
}

static void what_cannot_be_seen_is_no_evidence(void **state)
{
	(void)state;
	show(&pressed);
	put("meminfo", "MemTotal: 1000 kB\n");
	assert_int_equal(drop_caches_in(tree, &request, &result), 0);
	assert_refused_by("no-measure");
	for_compact();
	show(&pressed);
	put("vmstat", "pgscan_kswapd 5\n");
	assert_int_equal(compact_in(tree, &request, &result), 0);
	assert_refused_by("no-measure");
	assert_string_equal(written(), "");
}

static void a_plan_and_a_halt_write_nothing(void **state)
{
	(void)state;
	rewrite_while_watched(&pressed, &pressed, "drop_caches");
	request.verb = REMEDY_VERB_PLAN;
	assert_int_equal(drop_caches_in(tree, &request, &result), 0);
	assert_true(result.outcome == OUTCOME_NONE && result.plan_count == 1);
	request.verb = REMEDY_VERB_APPLY;
	snprintf(request.kill_switch, PATH_LEN, "/proc/self/status");
	assert_int_equal(drop_caches_in(tree, &request, &result), 0);
	assert_refused_by("kill-switch");
	for_compact();
	assert_int_equal(compact_in(tree, &request, &result), 0);
	assert_refused_by("kill-switch");
	assert_string_equal(written(), "");
	assert_string_equal(written(), "");
}

static void pieces_are_put_together_on_evidence(void **state)
{
	(void)state;
	struct figures after = pressed;
	after.scanned = after.stalls = 0;
	after.buddy = whole;
	for_compact();
	rewrite_while_watched(&pressed, &after, "compact_memory");
	assert_int_equal(compact_in(tree, &request, &result), 0);
	wait_for_act();
	assert_string_equal(written(), "1\n");
	uint64_t gained = ((5ULL << 9) + (40ULL << 10)) * (uint64_t)sysconf(_SC_PAGESIZE);
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_int_equal(result.observed.available_bytes, gained);
	request.args.compact.every_ns = NSEC_PER_SEC * 3600;
	assert_int_equal(compact_in(tree, &request, &result), 0);
	assert_refused_by("too-soon");
}

static void large_blocks_or_calm_are_no_evidence(void **state)
{
	(void)state;
	struct figures large = pressed, full = pressed;
	large.buddy = whole;
	full.free_mib = 10;
	const struct figures *cases[] = { &large, &full };
	for_compact();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rewrite_while_watched(cases[i], cases[i], "compact_memory");
		assert_int_equal(compact_in(tree, &request, &result), 0);
		assert_refused_by("no-evidence");
		victim_reap(busy);
		busy = 0;
	}
	show(&pressed); /* nobody stalls */
	assert_int_equal(compact_in(tree, &request, &result), 0);
	assert_refused_by("no-evidence");
	assert_non_null(strstr(result.why, "0 free blocks of order 9"));
	assert_string_equal(written(), "");
}

#define TEST(name_) cmocka_unit_test_setup_teardown(name_, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(caches_stay_without_evidence), TEST(what_cannot_be_seen_is_no_evidence), TEST(a_plan_and_a_halt_write_nothing),
		TEST(caches_go_on_evidence), TEST(large_blocks_or_calm_are_no_evidence), TEST(pieces_are_put_together_on_evidence),
	};
	char path[PATH_LEN];
	if (!mkdtemp(place))
		return 1;
	snprintf(path, sizeof(path), "%s/sys", place);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/sys/vm", place);
	mkdir(path, 0700);
	tree = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	static const char *const made[] = { "meminfo", "vmstat", "buddyinfo", "meminfo.new", "vmstat.new", "buddyinfo.new", "act", "act.new",
					     "sys/vm/drop_caches", "sys/vm/compact_memory" };
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", place, made[i]);
		(void)unlink(path);
	}
	snprintf(path, sizeof(path), "%s/sys/vm", place);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/sys", place);
	rmdir(path);
	rmdir(place);
	return failed;
}
