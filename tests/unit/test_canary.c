/* SPDX-License-Identifier: Apache-2.0 */
/* The armed check does what it says: something of our own is really ended, killed, throttled and cleaned, and nothing is left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "decide/hands.h"
#include "fake_systemd.h"
#include "remedies/canary.h"
#include "remedies/manager.h"

static char place[] = "/root/nodemend-canary-XXXXXX";

static int make_place(void **state)
{
	(void)state;
	strcpy(place + strlen(place) - 6, "XXXXXX");
	return mkdtemp(place) ? 0 : -1;
}

static int remove_place(void **state)
{
	char book[300];
	(void)state;
	snprintf(book, sizeof(book), "%s/leases", place);
	(void)unlink(book);
	return rmdir(place); /* fails where anything else is left */
}

static struct remedy_request request_of(enum remedy_id remedy)
{
	struct remedy_request request = { .verb = REMEDY_VERB_CHECK, .remedy = remedy, .deadline_boot_ns = clock_boot_ns() + 10 * NSEC_PER_SEC };
	effect_clear(&request.expect);
	snprintf(request.scratch, sizeof(request.scratch), "%s", place);
	snprintf(request.lease_book, sizeof(request.lease_book), "%.200s/leases", place);
	snprintf(request.kill_switch, sizeof(request.kill_switch), "%.200s/stop", place);
	return request;
}

static void nobody_is_left(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	static const char *const mounts[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/cpu" };
	char prefix[64];
	snprintf(prefix, sizeof(prefix), "nodemend-canary-%d", (int)getpid());
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		DIR *directory = opendir(mounts[i]);
		for (struct dirent *entry; directory && (entry = readdir(directory));)
			assert_int_not_equal(strncmp(entry->d_name, prefix, strlen(prefix)), 0);
		if (directory)
			closedir(directory);
	}
}

static void a_process_is_ended(void **state)
{
	char why[WHY_LEN] = "";
	(void)state;
	assert_int_equal(canary_process(why), CANARY_PROVEN);
	assert_string_equal(why, "");
	nobody_is_left();
}

static void a_group_is_killed(void **state)
{
	char why[WHY_LEN] = "";
	(void)state;
	enum canary canary = canary_group(why);
	nobody_is_left();
	if (access("/sys/fs/cgroup/cgroup.procs", F_OK) < 0 && access("/sys/fs/cgroup/unified/cgroup.procs", F_OK) < 0) {
		assert_int_equal(canary, CANARY_FAILED);
		assert_non_null(strstr(why, "v2"));
		return;
	}
	assert_int_equal(canary, CANARY_PROVEN);
}

/* Hands that were killed in the middle of it cannot clear up. */
static void what_the_dead_left_is_removed(void **state)
{
	char path[128], why[WHY_LEN];
	const char *mount = access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
	(void)state;
	pid_t gone = fork();
	if (gone == 0)
		_exit(0);
	assert_int_equal(waitpid(gone, NULL, 0), gone);
	snprintf(path, sizeof(path), "%s/nodemend-canary-%d", mount, (int)gone);
	if (mkdir(path, 0700) < 0)
		skip(); /* no v2 hierarchy that may be written */
	(void)canary_group(why);
	assert_int_equal(access(path, F_OK), -1);
}

static void a_processor_is_throttled_where_there_is_a_controller(void **state)
{
	struct remedy_request request = request_of(REMEDY_LIMIT_CPU);
	struct remedy_result result;
	(void)state;
	hands_run(&request, &result);
	nobody_is_left();
	static const struct control_name cpu = { .controller = "cpu", .v2 = "cpu.max", .v1 = "cpu.cfs_quota_us" };
	if (!control_exists(&cpu)) {
		assert_false(result.armed);
		return;
	}
	if (!result.armed)
		print_message("%s\n", result.why);
	assert_true(result.armed);
	assert_string_equal(result.why, "");
}

static bool never_held(int dir_fd)
{
	(void)dir_fd;
	return false;
}

/* A limit that the kernel takes and does not keep: that is what the canary is for. */
static void a_limit_that_holds_nobody_back_is_not_armed(void **state)
{
	static const struct canary_throttle deaf = { .control = { .controller = "cpu", .v2 = "cpu.max", .v1 = "cpu.cfs_quota_us" },
						     .v2 = "5000 100000", .v1 = "5000", .is_held = never_held };
	struct remedy_request request = request_of(REMEDY_LIMIT_CPU);
	char why[WHY_LEN] = "";
	(void)state;
	if (!control_exists(&deaf.control))
		skip();
	assert_int_equal(canary_throttle(&deaf, &request, why), CANARY_FAILED);
	assert_non_null(strstr(why, "is not held back"));
	nobody_is_left();

	struct remedy_result result = { .armed = true };
	canary_judge(CANARY_FAILED, why, &result);
	assert_false(result.armed);
	assert_string_equal(result.why, why);
}

static void without_the_controller_or_a_book_there_is_nothing_to_prove(void **state)
{
	static const struct canary_throttle none = { .control = { .controller = "nonesuch", .v2 = "nonesuch.max", .v1 = "nonesuch.limit" }, .v2 = "1", .v1 = "1",
						     .is_held = never_held };
	struct remedy_request request = request_of(REMEDY_LIMIT_CPU);
	char why[WHY_LEN] = "";
	(void)state;
	assert_int_not_equal(canary_throttle(&none, &request, why), CANARY_PROVEN);
	assert_int_not_equal(why[0], '\0');
	nobody_is_left();
	request.lease_book[0] = '\0';
	assert_int_equal(canary_throttle(&none, &request, why), CANARY_UNTRIED);

	struct remedy_result result = { .armed = true };
	canary_judge(CANARY_UNTRIED, "x", &result);
	assert_true(result.armed);
	assert_string_equal(result.why, "not tried: x");
}

static void files_are_cleaned(void **state)
{
	struct remedy_request request = request_of(REMEDY_CLEAN_FILES);
	struct remedy_result result;
	(void)state;
	hands_run(&request, &result);
	assert_true(result.armed);
	assert_string_equal(result.why, "");
}

static int applied;
static int idle_apply(const struct remedy_request *request, struct remedy_result *result)
{
	assert_string_equal(request->args.clean_files.match[0], "canary-*");
	assert_non_null(strstr(request->args.clean_files.root, "/canary"));
	result->outcome = OUTCOME_NO_EFFECT;
	applied++;
	return 0;
}

static void files_that_stay_are_told(void **state)
{
	struct remedy_request request = request_of(REMEDY_CLEAN_FILES);
	char why[WHY_LEN] = "";
	(void)state;
	assert_int_equal(canary_files(&request, idle_apply, why), CANARY_FAILED);
	assert_int_equal(applied, 1);
	assert_non_null(strstr(why, "stayed"));
}

static void no_place_is_no_proof(void **state)
{
	struct remedy_request request = request_of(REMEDY_CLEAN_FILES);
	struct remedy_result result;
	(void)state;
	snprintf(request.scratch, sizeof(request.scratch), "/nonexistent/nodemend");
	hands_run(&request, &result);
	assert_true(result.armed);
	assert_memory_equal(result.why, "not tried: ", 11);
	request.scratch[0] = '\0';
	hands_run(&request, &result);
	assert_true(result.armed);
	assert_memory_equal(result.why, "not tried: ", 11);
	snprintf(request.scratch, sizeof(request.scratch), "/tmp/../etc");
	hands_run(&request, &result);
	assert_string_equal(result.refused_by, "invalid-request");
	assert_false(result.armed);
}

/* The kill switch stops the canary as it stops an act, and that is no proof of anything. */
static void the_kill_switch_spares_the_canary(void **state)
{
	struct remedy_request request = request_of(REMEDY_CLEAN_FILES);
	struct remedy_result result;
	(void)state;
	int fd = open(request.kill_switch, O_WRONLY | O_CREAT, 0600);
	close(fd);
	hands_run(&request, &result);
	assert_int_equal(unlink(request.kill_switch), 0);
	assert_true(result.armed);
	assert_memory_equal(result.why, "not tried: ", 11);
}

static void terminate_proves_both(void **state)
{
	struct remedy_request request = request_of(REMEDY_TERMINATE);
	struct remedy_result result;
	(void)state;
	hands_run(&request, &result);
	assert_true(result.armed);
	nobody_is_left();
}

/* --- a unit -------------------------------------------------------------------------------------------------------------- */

/* What a systemd that behaves so lets the canary say; the times it was started or restarted. */
static enum canary with_systemd(const struct fake_unit *units, char why[WHY_LEN], uint32_t *ret_starts)
{
	struct fake_systemd fake;
	struct sd_bus *bus = NULL;
	if (fake_start(&fake, units, 1) < 0) {
		fake_stop(&fake);
		skip(); /* no dbus-daemon to test with */
	}
	uint64_t until = clock_boot_ns() + 5 * NSEC_PER_SEC;
	assert_int_equal(manager_connect(fake.address, until, &bus), 0);
	why[0] = '\0';
	enum canary canary = canary_unit(bus, until, why);
	*ret_starts = fake.counts[0].restarts;
	manager_disconnect(bus);
	fake_stop(&fake);
	return canary;
}

static void a_unit_is_restarted(void **state)
{
	static const struct fake_unit unit = { .name = "nodemend-canary.service", .load_state = "loaded", .active_state = "inactive", .result = "success", .behaviour = STARTS };
	char why[WHY_LEN];
	uint32_t starts;
	(void)state;
	assert_int_equal(with_systemd(&unit, why, &starts), CANARY_PROVEN);
	assert_string_equal(why, "");
	assert_int_equal(starts, 2); /* once, and once more */
}

static void a_unit_that_does_not_come_back_is_told(void **state)
{
	static const struct fake_unit unit = { .name = "nodemend-canary.service", .load_state = "loaded", .active_state = "inactive", .result = "success", .behaviour = DIES_LATER };
	char why[WHY_LEN];
	uint32_t starts;
	(void)state;
	assert_int_equal(with_systemd(&unit, why, &starts), CANARY_FAILED);
	assert_non_null(strstr(why, "was restarted and is failed"));
}

static void a_systemd_that_makes_no_unit_of_ours_proves_nothing(void **state)
{
	static const struct fake_unit other = { .name = "other.service", .load_state = "loaded", .active_state = "active", .result = "success", .behaviour = STARTS };
	static const struct fake_unit bad = { .name = "nodemend-canary.service", .load_state = "loaded", .active_state = "inactive", .result = "success", .behaviour = JOB_FAILS };
	char why[WHY_LEN];
	uint32_t starts;
	(void)state;
	assert_int_equal(with_systemd(&other, why, &starts), CANARY_UNTRIED);
	assert_int_equal(starts, 0);
	assert_int_equal(with_systemd(&bad, why, &starts), CANARY_UNTRIED);
	assert_non_null(strstr(why, "failed"));
	assert_int_equal(starts, 1);
}

#define IN_A_PLACE(test_) cmocka_unit_test_setup_teardown(test_, make_place, remove_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_is_ended),
		cmocka_unit_test(a_group_is_killed),
		cmocka_unit_test(what_the_dead_left_is_removed),
		IN_A_PLACE(a_processor_is_throttled_where_there_is_a_controller),
		IN_A_PLACE(a_limit_that_holds_nobody_back_is_not_armed),
		IN_A_PLACE(without_the_controller_or_a_book_there_is_nothing_to_prove),
		IN_A_PLACE(files_are_cleaned),
		IN_A_PLACE(files_that_stay_are_told),
		IN_A_PLACE(no_place_is_no_proof),
		IN_A_PLACE(the_kill_switch_spares_the_canary),
		IN_A_PLACE(terminate_proves_both),
		cmocka_unit_test(a_unit_is_restarted),
		cmocka_unit_test(a_unit_that_does_not_come_back_is_told),
		cmocka_unit_test(a_systemd_that_makes_no_unit_of_ours_proves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
