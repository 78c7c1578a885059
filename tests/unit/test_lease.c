/* SPDX-License-Identifier: Apache-2.0 */
/* Leases: written down before the knob is turned, turned back by whoever comes next, and never over somebody else's change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <signal.h>
#include <unistd.h>

#include "core/clock.h"
#include "decide/hands.h"
#include "lease.h"

/* A directory that stands for a cgroup: what a lease needs of one is files that are read and written and an inode. */
static char place[] = "/tmp/nodemend-lease-XXXXXX", book[PATH_LEN], control[PATH_LEN];
static struct remedy_request request;
static struct remedy_result result;
static struct lease_report report;

static void put(const char *text)
{
	int fd = open(control, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static const char *got(void)
{
	static char text[256];
	int fd = open(control, O_RDONLY);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	close(fd);
	text[length < 0 ? 0 : length] = '\0';
	return text;
}

/* What another book left on the group: the tests make theirs anew. */
static void remove_marks(void)
{
	char directory[PATH_LEN], names[16384];
	snprintf(directory, sizeof(directory), "%s/group", place);
	ssize_t length = listxattr(directory, names, sizeof(names));
	for (ssize_t at = 0; at < length; at += (ssize_t)strlen(names + at) + 1)
		if (strncmp(names + at, "trusted.nodemend.", 17) == 0)
			(void)removexattr(directory, names + at);
}

static int set_up(void **state)
{
	(void)state;
	memset(&request, 0, sizeof(request));
	memset(&result, 0, sizeof(result));
	snprintf(book, sizeof(book), "%s/leases", place);
	snprintf(control, sizeof(control), "%s/group/cpu.max", place);
	(void)unlink(book);
	remove_marks();
	put("max 100000\n");
	snprintf(request.lease_book, sizeof(request.lease_book), "%s", book);
	snprintf(request.action_id, sizeof(request.action_id), "a-1");
	request.remedy = REMEDY_LIMIT_CPU;
	return 0;
}

static struct knob knob(void)
{
	struct stat group;
	char directory[PATH_LEN];
	snprintf(directory, sizeof(directory), "%s/group", place);
	assert_int_equal(stat(directory, &group), 0);
	struct knob ret = { .kind = KNOB_CGROUP, .directory_inode = group.st_ino };
	snprintf(ret.file, sizeof(ret.file), "%s", control);
	return ret;
}

static int give(enum lease_choice which, uint64_t after_s)
{
	return leases_return(book, which, request.action_id, clock_boot_ns() + after_s * NSEC_PER_SEC, NULL, NULL, &report);
}

static void what_was_turned_is_turned_back_when_its_time_is_over(void **state)
{
	struct knob turned = knob();
	put("max 100000");
	assert_int_equal(lease_take(&request, &turned, "50000 100000", 60 * NSEC_PER_SEC, &result), 0);
	assert_string_equal(got(), "50000 100000");

	assert_int_equal(give(LEASES_EXPIRED, 30), 0);
	assert_true(report.held == 1 && report.returned == 0 && report.next_boot_ns > clock_boot_ns() + 50 * NSEC_PER_SEC);
	assert_string_equal(got(), "50000 100000");

	assert_int_equal(give(LEASES_EXPIRED, 61), 0);
	assert_true(report.held == 0 && report.returned == 1 && report.next_boot_ns == UNKNOWN);
	assert_int_equal(strncmp(got(), "max 100000", 10), 0);
	assert_int_equal(give(LEASES_ALL, 0), 0);
	assert_int_equal(report.returned, 0);
}

static void a_second_lease_on_the_same_knob_keeps_what_was_before_the_first(void **state)
{
	struct knob turned = knob();
	put("80000 100000");
	assert_int_equal(lease_take(&request, &turned, "50000 100000", 60 * NSEC_PER_SEC, &result), 0);
	snprintf(request.action_id, sizeof(request.action_id), "a-2");
	assert_int_equal(lease_take(&request, &turned, "20000 100000", 90 * NSEC_PER_SEC, &result), 0);
	assert_int_equal(give(LEASES_OF_ACTION, 0), 0);
	assert_int_equal(report.returned, 1);
	assert_string_equal(got(), "80000 100000");
}

static void what_somebody_else_changed_meanwhile_is_theirs(void **state)
{
	struct knob turned = knob();
	assert_int_equal(lease_take(&request, &turned, "50000 100000", NSEC_PER_SEC, &result), 0);
	put("70000 100000");
	assert_int_equal(give(LEASES_EXPIRED, 2), 0);
	assert_true(report.foreign == 1 && report.held == 0);
	assert_string_equal(got(), "70000 100000");
}

static void another_cgroup_of_the_same_name_is_not_touched(void **state)
{
	char group[PATH_LEN], aside[PATH_LEN];
	struct knob turned = knob();
	assert_int_equal(lease_take(&request, &turned, "50000 100000", NSEC_PER_SEC, &result), 0);
	snprintf(group, sizeof(group), "%s/group", place);
	snprintf(aside, sizeof(aside), "%s/aside", place);
	assert_int_equal(rename(group, aside), 0);
	assert_int_equal(mkdir(group, 0700), 0);
	put("50000 100000");
	assert_int_equal(give(LEASES_EXPIRED, 2), 0);
	assert_true(report.gone == 1 && report.held == 0);
	assert_string_equal(got(), "50000 100000");
	/* Nor taken on lease. */
	assert_int_equal(lease_take(&request, &turned, "10000 100000", NSEC_PER_SEC, &result), -ESTALE);
	assert_string_equal(got(), "50000 100000");
	unlink(control);
	rmdir(group);
	assert_int_equal(rename(aside, group), 0);
}

static void one_device_s_line_is_turned_and_the_others_are_left(void **state)
{
	struct knob turned = knob();
	snprintf(turned.key, sizeof(turned.key), "8:0");
	snprintf(turned.absent, sizeof(turned.absent), "8:0 wbps=max");
	put("8:16 wbps=5\n8:0 wbps=9\n");
	char text[LEASE_TEXT_LEN];
	assert_int_equal(knob_read(&turned, text, sizeof(text)), 0);
	assert_string_equal(text, "8:0 wbps=9");
	put("8:16 wbps=5\n8:01 wbps=7\n");
	assert_int_equal(knob_read(&turned, text, sizeof(text)), 0);
	assert_string_equal(text, "8:0 wbps=max");
}

static void a_full_book_turns_nothing(void **state)
{
	struct knob turned = knob();
	for (uint32_t i = 0; i < MAX_LEASES; i++) {
		snprintf(turned.key, sizeof(turned.key), "8:%u", i);
		snprintf(turned.absent, sizeof(turned.absent), "8:%u max", i);
		put("");
		assert_int_equal(lease_take(&request, &turned, "x", NSEC_PER_SEC, &result), 0);
	}
	put("max 100000");
	struct knob one_more = knob();
	assert_int_equal(lease_take(&request, &one_more, "1 100000", NSEC_PER_SEC, &result), -ENOSPC);
	assert_int_equal(strncmp(got(), "max 100000", 10), 0);
}

/* Whatever a place of the book holds, the worst that comes of it is that it is skipped and counted. */
static void a_damaged_place_is_skipped(void **state)
{
	struct knob turned = knob();
	put("max 100000");
	assert_int_equal(lease_take(&request, &turned, "50000 100000", NSEC_PER_SEC, &result), 0);
	int fd = open(book, O_RDWR);
	for (size_t at = 0; at < sizeof(struct lease); at += 7) {
		char was, other;
		assert_int_equal(pread(fd, &was, 1, (off_t)at), 1);
		other = (char)(was ^ 0x55);
		assert_int_equal(pwrite(fd, &other, 1, (off_t)at), 1);
		assert_int_equal(give(LEASES_ALL, 100), 0);
		assert_true(report.unreadable == 1 && report.returned == 0 && report.failed == 0);
		assert_string_equal(got(), "50000 100000");
		assert_int_equal(pwrite(fd, &was, 1, (off_t)at), 1);
	}
	close(fd);
	assert_int_equal(give(LEASES_ALL, 100), 0);
	assert_int_equal(report.returned, 1);
}

static void a_book_that_others_can_write_is_not_believed(void **state)
{
	struct knob turned = knob();
	assert_int_equal(lease_take(&request, &turned, "50000 100000", NSEC_PER_SEC, &result), 0);
	assert_int_equal(chmod(book, 0622), 0);
	assert_int_equal(give(LEASES_ALL, 0), -EPERM);
	assert_int_equal(lease_take(&request, &turned, "40000 100000", NSEC_PER_SEC, &result), -EPERM);
	assert_string_equal(got(), "50000 100000");
	assert_int_equal(chmod(book, 0600), 0);
}

static void no_book_is_nothing_to_do(void **state)
{
	assert_int_equal(give(LEASES_ALL, 0), 0);
	assert_true(report.held == 0 && report.next_boot_ns == UNKNOWN);
}

/* Killed at any moment of taking: afterwards the knob is as it was, or the book knows of it and turns it back. */
static void an_end_at_any_moment_leaves_nothing_turned(void **state)
{
	struct knob turned = knob();
	uint32_t turned_when_killed = 0;
	for (int round = 0; round < 200; round++) {
		(void)unlink(book);
		put("max 100000");
		memset(&result, 0, sizeof(result));
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			for (int i = 0;; i++) {
				char text[32];
				snprintf(text, sizeof(text), "%d 1000", 50000 + i % 1000); /* as long as the other: the stand-in is a plain file */
				(void)lease_take(&request, &turned, text, NSEC_PER_SEC, &result);
				snprintf(text, sizeof(text), "%d 1000", 20000 + i % 1000);
				(void)lease_take(&request, &turned, text, NSEC_PER_SEC, &result);
				(void)leases_return(book, LEASES_ALL, "", 0, NULL, NULL, &report);
			}
		}
		usleep((useconds_t)(200 + round * 13 % 1700));
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		turned_when_killed += strncmp(got(), "max 100000", 10) != 0;
		assert_int_equal(give(LEASES_ALL, 0), 0);
		assert_true(report.failed == 0 && report.foreign == 0);
		assert_string_equal(got(), "max 100000");
	}
	assert_true(turned_when_killed > 0);
}

static uint64_t start_of(pid_t pid)
{
	char path[64], text[1024];
	uint64_t ticks = 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	int fd = open(path, O_RDONLY);
	ssize_t length = read(fd, text, sizeof(text) - 1);
	close(fd);
	assert_true(length > 0);
	text[length] = '\0';
	assert_int_equal(sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %lu", &ticks), 1);
	return ticks * (NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
}

static void a_nice_value_is_one_process_own(void **state)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		pause();
		_exit(0);
	}
	struct knob turned = { .kind = KNOB_NICE, .pid = child, .start_ns = start_of(child) };
	assert_int_equal(lease_take(&request, &turned, "10", NSEC_PER_SEC, &result), 0);
	assert_int_equal(getpriority(PRIO_PROCESS, (id_t)child), 10);
	struct knob other = turned;
	other.start_ns += NSEC_PER_SEC;
	assert_int_equal(lease_take(&request, &other, "5", NSEC_PER_SEC, &result), -ESTALE);
	assert_int_equal(give(LEASES_EXPIRED, 2), 0);
	assert_int_equal(getpriority(PRIO_PROCESS, (id_t)child), 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* A knob that somebody turned while it was on lease is theirs; a second lease on it is a new one, and ends at what they chose. */
static void a_second_lease_after_somebody_else_keeps_theirs(void **state)
{
	struct knob turned = knob();
	put("80000 100000");
	assert_int_equal(lease_take(&request, &turned, "50000 100000", 60 * NSEC_PER_SEC, &result), 0);
	put("70000 100000");
	assert_int_equal(lease_take(&request, &turned, "20000 100000", 60 * NSEC_PER_SEC, &result), 0);
	assert_int_equal(give(LEASES_ALL, 0), 0);
	assert_int_equal(report.returned, 1);
	assert_string_equal(got(), "70000 100000");
}

static void what_a_lease_stands_for_is_told(void **state)
{
	struct knob turned = knob();
	char text[LEASE_TEXT_LEN] = "";
	put("80000 100000");
	assert_int_equal(lease_find(book, &turned, text, sizeof(text)), 0); /* no book yet */
	assert_int_equal(lease_find("", &turned, text, sizeof(text)), 0);
	assert_int_equal(lease_take(&request, &turned, "50000 100000", 60 * NSEC_PER_SEC, &result), 0);
	assert_int_equal(lease_find(book, &turned, text, sizeof(text)), 1);
	assert_string_equal(text, "80000 100000");
	put("70000 100000");
	assert_int_equal(lease_find(book, &turned, text, sizeof(text)), 0);
	assert_int_equal(give(LEASES_ALL, 0), 0);
}

static void what_has_proven_itself_stays_longer(void **state)
{
	struct knob turned = knob();
	put("80000 100000");
	assert_int_equal(lease_extend(book, &turned, NSEC_PER_SEC), -ENOENT);
	assert_int_equal(lease_take(&request, &turned, "50000 100000", 5 * NSEC_PER_SEC, &result), 0);
	assert_int_equal(lease_extend(book, &turned, 60 * NSEC_PER_SEC), 0);
	assert_int_equal(give(LEASES_EXPIRED, 30), 0);
	assert_true(report.held == 1 && report.returned == 0);
	assert_int_equal(give(LEASES_EXPIRED, 61), 0);
	assert_int_equal(report.returned, 1);
	assert_string_equal(got(), "80000 100000");
	assert_int_equal(lease_extend(book, &turned, NSEC_PER_SEC), -ENOENT);
}

/* Ended between the turn and the look at how the kernel words it: what stands there looks like nobody's, and is ours. */
static void what_the_kernel_words_otherwise_is_ours_all_the_same(void **state)
{
	struct knob turned = knob();
	struct lease lease;
	put("80000 100000");
	assert_int_equal(lease_take(&request, &turned, "50000 100000", 60 * NSEC_PER_SEC, &result), 0);
	put("5e4   100000");
	assert_int_equal(give(LEASES_EXPIRED, 61), 0);
	assert_int_equal(report.foreign, 1);
	put("80000 100000");
	assert_int_equal(lease_take(&request, &turned, "50000 100000", 60 * NSEC_PER_SEC, &result), 0);
	/* A place in the middle of it is written as such: the test makes one of it with the book's own sum. */
	int fd = open(book, O_RDWR);
	assert_int_equal(pread(fd, &lease, sizeof(lease), 0), sizeof(lease));
	assert_int_equal(lease.held, LEASE_HELD);
	lease.held = LEASE_TURNING;
	uint64_t hash = 0xcbf29ce484222325ULL;
	for (const unsigned char *at = (const unsigned char *)&lease + sizeof(lease.sum); at < (const unsigned char *)(&lease + 1); at++)
		hash = (hash ^ *at) * 0x100000001b3ULL;
	lease.sum = hash;
	assert_int_equal(pwrite(fd, &lease, sizeof(lease), 0), sizeof(lease));
	close(fd);
	put("5e4   100000");
	assert_int_equal(give(LEASES_EXPIRED, 61), 0);
	assert_true(report.returned == 1 && report.foreign == 0);
	assert_string_equal(got(), "80000 100000");
}

/* An act whose lease a later one took over has nothing to turn back, and does not say it had. */
static void an_act_whose_lease_was_taken_over_says_so(void **state)
{
	struct knob turned = knob();
	put("80000 100000");
	for (int i = 1; i <= LEASE_OWNERS + 1; i++) {
		snprintf(request.action_id, sizeof(request.action_id), "a-%d", i);
		assert_int_equal(lease_take(&request, &turned, i % 2 ? "50000 100000" : "40000 100000", 60 * NSEC_PER_SEC, &result), 0);
	}
	request.verb = REMEDY_VERB_REVERT;
	snprintf(request.action_id, sizeof(request.action_id), "a-1"); /* as far back as is kept */
	hands_run(&request, &result);
	assert_true(result.outcome == OUTCOME_NO_EFFECT && result.leases.taken_over == 1 && result.leases.held == 1 && result.why[0]);
	assert_string_equal(got(), "50000 100000");
	snprintf(request.action_id, sizeof(request.action_id), "a-%d", LEASE_OWNERS + 1);
	put("60000 100000");
	hands_run(&request, &result);
	assert_true(result.outcome == OUTCOME_NO_EFFECT && result.leases.foreign == 1 && result.why[0]);
	hands_run(&request, &result); /* nothing of it is left */
	assert_true(result.outcome == OUTCOME_ROLLED_BACK && result.step_count == 1);
}

static void needs_marks(void)
{
	char directory[PATH_LEN];
	snprintf(directory, sizeof(directory), "%s/group", place);
	if (setxattr(directory, "trusted.nodemend.test", "1", 1, 0) == 0)
		return;
	print_message("SKIP marks: %s carries no trusted attribute here: %s\n", directory, strerror(errno));
	skip();
}

/* Two agents with a book each: the second would take what the first one set for what it was before. */
static void a_knob_is_in_one_book_only(void **state)
{
	struct knob turned = knob();
	char second[PATH_LEN + 8];
	needs_marks();
	put("max 100000");
	assert_int_equal(lease_take(&request, &turned, "50000 100000", 60 * NSEC_PER_SEC, &result), 0);
	struct remedy_request theirs = request;
	snprintf(second, sizeof(second), "%s/second", place);
	snprintf(theirs.lease_book, sizeof(theirs.lease_book), "%.200s", second);
	assert_int_equal(lease_take(&theirs, &turned, "20000 100000", 60 * NSEC_PER_SEC, &result), -EADDRINUSE);
	assert_string_equal(got(), "50000 100000");
	assert_int_equal(leases_return(second, LEASES_ALL, NULL, 0, NULL, NULL, &report), 0);
	assert_true(report.held == 0 && report.returned == 0);
	assert_int_equal(give(LEASES_ALL, 0), 0);
	assert_int_equal(report.returned, 1);
	assert_int_equal(strncmp(got(), "max 100000", 10), 0);
	/* It is free again. */
	put("max 100000");
	assert_int_equal(lease_take(&theirs, &turned, "20000 100000", 60 * NSEC_PER_SEC, &result), 0);
	assert_int_equal(leases_return(second, LEASES_ALL, NULL, 0, NULL, NULL, &report), 0);
	assert_int_equal(report.returned, 1);
	assert_int_equal(strncmp(got(), "max 100000", 10), 0);
	(void)unlink(second);
}

/* Ages the mark that is on the group, as if its agent and its book had been gone for long. */
static void age_mark(void)
{
	char directory[PATH_LEN], text[512];
	unsigned long dev, inode;
	snprintf(directory, sizeof(directory), "%s/group", place);
	ssize_t length = getxattr(directory, "trusted.nodemend.cpu.max", text, sizeof(text) - 1);
	assert_true(length > 0);
	text[length] = '\0';
	assert_int_equal(sscanf(text, "1 %lu %lu", &dev, &inode), 2);
	char aged[600];
	snprintf(aged, sizeof(aged), "1 %lu %lu 1%s", dev, inode, strchr(text, '\n'));
	assert_int_equal(setxattr(directory, "trusted.nodemend.cpu.max", aged, strlen(aged), 0), 0);
}

static void what_a_lost_book_left_turned_is_found_and_ended(void **state)
{
	struct knob turned = knob();
	char second[PATH_LEN + 8];
	needs_marks();
	put("max 100000");
	assert_int_equal(lease_take(&request, &turned, "50000 100000", 60 * NSEC_PER_SEC, &result), 0);
	struct remedy_request theirs = request;
	snprintf(second, sizeof(second), "%s/second", place);
	snprintf(theirs.lease_book, sizeof(theirs.lease_book), "%.200s", second);
	age_mark();
	assert_int_equal(lease_take(&theirs, &turned, "20000 100000", 60 * NSEC_PER_SEC, &result), 0);
	/* Should the first book come back, it finds another's mark, whatever stands there. */
	put("50000 100000");
	assert_int_equal(give(LEASES_ALL, 0), 0);
	assert_true(report.foreign == 1 && report.held == 0);
	put("20000 100000");
	assert_int_equal(leases_return(second, LEASES_ALL, NULL, 0, NULL, NULL, &report), 0);
	assert_int_equal(report.returned, 1);
	assert_int_equal(strncmp(got(), "max 100000", 10), 0); /* not what the first one had set */
	(void)unlink(second);
}

/* Written by a version that words it otherwise: it is somebody's. */
static void a_mark_that_cannot_be_read_is_respected(void **state)
{
	struct knob turned = knob();
	char directory[PATH_LEN];
	needs_marks();
	snprintf(directory, sizeof(directory), "%s/group", place);
	static const char *const marks[] = { "", "2 1 1 1\na\nb", "1 1 1 1", "1 1 1 x\na\nb", "1 1 1 1\na" };
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		assert_int_equal(setxattr(directory, "trusted.nodemend.cpu.max", marks[i], strlen(marks[i]), 0), 0);
		assert_int_equal(lease_take(&request, &turned, "20000 100000", 60 * NSEC_PER_SEC, &result), -EADDRINUSE);
		assert_int_equal(strncmp(got(), "max 100000", 10), 0);
	}
}

static void a_process_is_stopped_and_goes_on(void **state)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		for (;;)
			pause();
	}
	struct knob turned = { .kind = KNOB_STOP, .pid = child, .start_ns = start_of(child) };
	char text[LEASE_TEXT_LEN];
	assert_int_equal(lease_take(&request, &turned, KNOB_STOPPED, NSEC_PER_SEC, &result), 0);
	assert_int_equal(knob_read(&turned, text, sizeof(text)), 0);
	assert_string_equal(text, KNOB_STOPPED);
	assert_int_equal(give(LEASES_EXPIRED, 2), 0);
	assert_int_equal(report.returned, 1);
	assert_int_equal(knob_read(&turned, text, sizeof(text)), 0);
	assert_string_equal(text, KNOB_RUNNING);

	assert_int_equal(lease_take(&request, &turned, KNOB_STOPPED, NSEC_PER_SEC, &result), 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_int_equal(give(LEASES_EXPIRED, 2), 0);
	assert_true(report.gone == 1 && report.held == 0);
}

/* The hands' own verbs: no remedy's arguments are needed, and no guard stops them. */
static void the_hands_sweep_and_revert(void **state)
{
	struct knob turned = knob();
	put("max 100000");
	assert_int_equal(lease_take(&request, &turned, "50000 100000", NSEC_PER_SEC, &result), 0);
	request.verb = REMEDY_VERB_SWEEP;
	hands_run(&request, &result);
	assert_true(result.outcome == OUTCOME_ROLLED_BACK && result.leases.held == 1);
	request.verb = REMEDY_VERB_REVERT;
	snprintf(request.kill_switch, sizeof(request.kill_switch), "/");
	hands_run(&request, &result);
	assert_true(result.outcome == OUTCOME_ROLLED_BACK && result.leases.returned == 1 && result.leases.held == 0);
	assert_int_equal(strncmp(got(), "max 100000", 10), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_was_turned_is_turned_back_when_its_time_is_over, set_up),
		cmocka_unit_test_setup(a_second_lease_on_the_same_knob_keeps_what_was_before_the_first, set_up),
		cmocka_unit_test_setup(what_somebody_else_changed_meanwhile_is_theirs, set_up),
		cmocka_unit_test_setup(another_cgroup_of_the_same_name_is_not_touched, set_up),
		cmocka_unit_test_setup(one_device_s_line_is_turned_and_the_others_are_left, set_up),
		cmocka_unit_test_setup(a_full_book_turns_nothing, set_up),
		cmocka_unit_test_setup(a_damaged_place_is_skipped, set_up),
		cmocka_unit_test_setup(a_book_that_others_can_write_is_not_believed, set_up),
		cmocka_unit_test_setup(no_book_is_nothing_to_do, set_up),
		cmocka_unit_test_setup(an_end_at_any_moment_leaves_nothing_turned, set_up),
		cmocka_unit_test_setup(a_nice_value_is_one_process_own, set_up),
		cmocka_unit_test_setup(a_second_lease_after_somebody_else_keeps_theirs, set_up),
		cmocka_unit_test_setup(what_a_lease_stands_for_is_told, set_up),
		cmocka_unit_test_setup(what_has_proven_itself_stays_longer, set_up),
		cmocka_unit_test_setup(what_the_kernel_words_otherwise_is_ours_all_the_same, set_up),
		cmocka_unit_test_setup(an_act_whose_lease_was_taken_over_says_so, set_up),
		cmocka_unit_test_setup(a_knob_is_in_one_book_only, set_up),
		cmocka_unit_test_setup(what_a_lost_book_left_turned_is_found_and_ended, set_up),
		cmocka_unit_test_setup(a_mark_that_cannot_be_read_is_respected, set_up),
		cmocka_unit_test_setup(a_process_is_stopped_and_goes_on, set_up),
		cmocka_unit_test_setup(the_hands_sweep_and_revert, set_up),
	};
	char group[PATH_LEN];
	if (!mkdtemp(place))
		return 1;
	snprintf(group, sizeof(group), "%s/group", place);
	mkdir(group, 0700);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(control);
	unlink(book);
	rmdir(group);
	rmdir(place);
	return failed;
}
