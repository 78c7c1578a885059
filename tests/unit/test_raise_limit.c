/* SPDX-License-Identifier: Apache-2.0 */
/* raise-conntrack and raise-neighbours, over a /proc/sys of the test's own: how far, when not, and back again by the lease. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "decide/hands.h"
#include "lease.h"
#include "remedies/raise_limit.h"

#define CONNTRACK_MAX "/proc/sys/net/netfilter/nf_conntrack_max"
#define CONNTRACK_COUNT "/proc/sys/net/netfilter/nf_conntrack_count"
#define NEIGHBOURS4 "/proc/sys/net/ipv4/neigh/default/gc_thresh3"
#define NEIGHBOURS6 "/proc/sys/net/ipv6/neigh/default/gc_thresh3"

static char place[] = "/tmp/nodemend-raise-XXXXXX";
static struct remedy_request request;
static struct remedy_result result;
static struct lease_report report;

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static uint64_t number(const char *path)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strtoull(text, NULL, 10);
}

static void entries(const char *name, uint32_t count)
{
	char path[PATH_LEN], text[256];
	snprintf(path, sizeof(path), "/proc/net/stat/%s", name);
	snprintf(text, sizeof(text), "entries  allocs   destroys\n%08x 000000c6 000000d5\n%08x 00000001 00000001\n", count, count);
	put(path, text);
}

static int set_up(void **state)
{
	(void)state;
	memset(&request, 0, sizeof(request));
	snprintf(request.lease_book, sizeof(request.lease_book), "%s/leases", place);
	snprintf(request.action_id, sizeof(request.action_id), "a-1");
	(void)leases_return(request.lease_book, LEASES_ALL, "", clock_boot_ns(), NULL, NULL, &report); /* with what marks them as held */
	(void)unlink(request.lease_book);
	request.verb = REMEDY_VERB_APPLY;
	request.remedy = REMEDY_RAISE_CONNTRACK;
	request.target.type = TARGET_NODE;
	request.deadline_boot_ns = clock_boot_ns() + 10 * NSEC_PER_SEC;
	request.args.raise_limit = (struct raise_limit_args){ .times = 2, .memory_percent = 5, .full_percent = 75, .for_ns = 60 * NSEC_PER_SEC };
	effect_clear(&request.expect);
	put(CONNTRACK_MAX, "1000\n");
	put(CONNTRACK_COUNT, "900\n");
	put(NEIGHBOURS4, "1024\n");
	put(NEIGHBOURS6, "1024\n");
	entries("arp_cache", 3);
	entries("ndisc_cache", 3);
	return 0;
}

static void refused(const char *by, uint64_t limit)
{
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_REFUSED);
	assert_string_equal(result.refused_by, by);
	assert_int_equal(number(CONNTRACK_MAX), limit);
}

static void a_table_that_is_nearly_full_has_twice_the_room_and_then_as_before(void **state)
{
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_int_equal(number(CONNTRACK_MAX), 2000);
	assert_int_equal(result.observed.use_percent, 50);
	assert_int_equal(result.expected.use_percent, 50);
	assert_int_equal(leases_return(request.lease_book, LEASES_EXPIRED, "", clock_boot_ns() + 61 * NSEC_PER_SEC, NULL, NULL, &report), 0);
	assert_int_equal(report.returned, 1);
	assert_int_equal(number(CONNTRACK_MAX), 1000);
}

static void what_is_not_full_is_left(void **state)
{
	put(CONNTRACK_COUNT, "749\n");
	refused("not-full", 1000);
	put(CONNTRACK_COUNT, "750\n");
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_FIXED);
}

static void memory_says_how_far(void **state)
{
	const struct raise_limit_args args = { .times = 2, .memory_percent = 5 };
	assert_int_equal(raise_to(1000, 1ULL << 30, 512, &args), 2000);
	assert_int_equal(raise_to(80000, 1ULL << 30, 512, &args), 104857); /* 5 % of a GiB */
	assert_int_equal(raise_to(200000, 1ULL << 30, 512, &args), 200000); /* never less than it was */
	assert_int_equal(raise_to(1500000000, 1ULL << 50, 512, &args), INT32_MAX);
	put(CONNTRACK_MAX, "2000000\n"); /* of 512 bytes each they are 6 % of 16 GB */
	put(CONNTRACK_COUNT, "2000000\n");
	refused("memory", 2000000);
}

static void fewer_than_promised_is_an_improvement(void **state)
{
	request.args.raise_limit.times = 1.2;
	request.expect.use_percent = 60;
	hands_run(&request, &result);
	if (result.outcome != OUTCOME_IMPROVED)
		fail_msg("outcome %d: %s", result.outcome, result.why);
	assert_int_equal(result.observed.use_percent, 83);
	assert_int_equal(number(CONNTRACK_MAX), 1200);
}

static void only_the_family_that_is_full_is_raised(void **state)
{
	request.remedy = REMEDY_RAISE_NEIGHBOURS;
	entries("ndisc_cache", 1000);
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_int_equal(number(NEIGHBOURS4), 1024);
	assert_int_equal(number(NEIGHBOURS6), 2048);
	entries("ndisc_cache", 1);
	hands_run(&request, &result);
	assert_string_equal(result.refused_by, "not-full");
	entries("arp_cache", 1024);
	hands_run(&request, &result);
	assert_int_equal(number(NEIGHBOURS4), 2048);
}

static void a_plan_and_a_pulled_switch_turn_nothing(void **state)
{
	request.verb = REMEDY_VERB_PLAN;
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_NONE);
	assert_non_null(strstr(result.plan[0], "room for 2000 instead of 1000"));
	assert_int_equal(number(CONNTRACK_MAX), 1000);
	request.verb = REMEDY_VERB_APPLY;
	snprintf(request.kill_switch, sizeof(request.kill_switch), "%s", place);
	refused("kill-switch", 1000);
	assert_int_equal(access(request.lease_book, F_OK), -1);
}

static void nothing_is_turned_that_cannot_be_written_down(void **state)
{
	snprintf(request.lease_book, sizeof(request.lease_book), "%s/nowhere/leases", place);
	refused("lease-book", 1000);
}

static void a_host_without_the_table_is_not_armed(void **state)
{
	assert_int_equal(unlink(CONNTRACK_MAX), 0);
	hands_run(&request, &result);
	assert_string_equal(result.refused_by, "no-table");
	request.verb = REMEDY_VERB_CHECK;
	hands_run(&request, &result);
	assert_false(result.armed);
	put(CONNTRACK_MAX, "1000\n");
	hands_run(&request, &result);
	assert_true(result.armed);
}

/* Whoever wrote the book: nothing outside of /proc/sys is a sysctl, and no link is followed. */
static void a_sysctl_is_below_proc_sys_and_nowhere_else(void **state)
{
	char text[LEASE_TEXT_LEN], victim[PATH_LEN];
	static const char *const paths[] = { "/etc/hostname", "/proc/meminfo", "/proc/sys", "/proc/sys/../meminfo", "/proc/sys/link", "/proc/sys/way/victim" };
	snprintf(victim, sizeof(victim), "%s/victim", place);
	put(victim, "1\n");
	assert_int_equal(symlink(victim, "/proc/sys/link"), 0);
	assert_int_equal(symlink(place, "/proc/sys/way"), 0);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct knob knob = { .kind = KNOB_SYSCTL };
		snprintf(knob.file, sizeof(knob.file), "%s", paths[i]);
		assert_true(knob_read(&knob, text, sizeof(text)) < 0);
		assert_true(lease_take(&request, &knob, "7", NSEC_PER_SEC, &result) < 0);
	}
	assert_int_equal(number(victim), 1);
	unlink("/proc/sys/link");
	unlink("/proc/sys/way");
	unlink(victim);
}

/* The kernel's own, and harmless: it is of a network namespace that nobody else is in. */
static void a_real_sysctl_is_turned_and_turned_back(void **state)
{
	static const char ttl[] = "/proc/sys/net/ipv4/ip_default_ttl";
	struct knob knob = { .kind = KNOB_SYSCTL };
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0)
		skip();
	snprintf(knob.file, sizeof(knob.file), "%s", ttl);
	snprintf(request.lease_book, sizeof(request.lease_book), "%s/leases", place);
	snprintf(request.action_id, sizeof(request.action_id), "a-1");
	uint64_t was = number(ttl);
	assert_int_equal(lease_take(&request, &knob, "77", NSEC_PER_SEC, &result), 0);
	assert_int_equal(number(ttl), 77);
	assert_int_equal(leases_return(request.lease_book, LEASES_OF_ACTION, "a-1", clock_boot_ns(), NULL, NULL, &report), 0);
	assert_int_equal(report.returned, 1);
	assert_int_equal(number(ttl), was);
	assert_int_equal(lease_take(&request, &knob, "99999", NSEC_PER_SEC, &result), -EINVAL); /* what the kernel refuses is not held */
	assert_int_equal(leases_return(request.lease_book, LEASES_ALL, "", clock_boot_ns(), NULL, NULL, &report), 0);
	assert_int_equal(report.held + report.returned, 0);
}

/* --- the tree ------------------------------------------------------------------------------------------------------------- */

/* What stands below /proc/net is another directory at each look: over all of /proc there is no such trouble. */
static int prepare(void)
{
	static const char *const folders[] = {
		"/proc/net", "/proc/net/stat", "/proc/sys", "/proc/sys/kernel", "/proc/sys/kernel/random", "/proc/sys/net", "/proc/sys/net/netfilter", "/proc/sys/net/ipv4",
		"/proc/sys/net/ipv4/neigh", "/proc/sys/net/ipv4/neigh/default", "/proc/sys/net/ipv6", "/proc/sys/net/ipv6/neigh", "/proc/sys/net/ipv6/neigh/default",
	};
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("none", "/proc", "tmpfs", 0, NULL) < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (mkdir(folders[i], 0755) < 0)
			return -errno;
	put("/proc/meminfo", "MemTotal:       16316412 kB\nMemFree:         1234567 kB\n");
	put("/proc/sys/kernel/random/boot_id", "5eedb007-0000-4000-8000-000000000001\n");
	return 0;
}

#define TEST(name_) cmocka_unit_test_setup(name_, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_table_that_is_nearly_full_has_twice_the_room_and_then_as_before), TEST(what_is_not_full_is_left), TEST(memory_says_how_far),
		TEST(fewer_than_promised_is_an_improvement), TEST(only_the_family_that_is_full_is_raised), TEST(a_plan_and_a_pulled_switch_turn_nothing),
		TEST(nothing_is_turned_that_cannot_be_written_down), TEST(a_host_without_the_table_is_not_armed), TEST(a_sysctl_is_below_proc_sys_and_nowhere_else),
	};
	const struct CMUnitTest real[] = { cmocka_unit_test(a_real_sysctl_is_turned_and_turned_back) };
	char path[PATH_LEN];
	if (!mkdtemp(place))
		return 1;
	int failed = cmocka_run_group_tests(real, NULL, NULL), error = prepare();
	if (error)
		printf("SKIP raise-conntrack, raise-neighbours: no tree of our own for /proc/sys: %s\n", strerror(-error));
	else
		failed += cmocka_run_group_tests(tests, NULL, NULL);
	(void)leases_return(request.lease_book, LEASES_ALL, "", clock_boot_ns(), NULL, NULL, &report);
	(void)umount2("/proc", MNT_DETACH);
	snprintf(path, sizeof(path), "%s/leases", place);
	(void)unlink(path);
	(void)rmdir(place);
	return failed;
}
