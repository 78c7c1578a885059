/* SPDX-License-Identifier: Apache-2.0 */
/* The throttles' arguments, as a policy or a stranger would write them; and which disk is a filesystem's. What they do is in bpf/test_throttle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "core/policy_table.h"
#include "core/value.h"
#include "remedies/written.h"

static union remedy_args args;

static void set(enum remedy_id remedy, const char *name, const char *value)
{
	uint64_t given = 0;
	char why[VALUE_WHY_LEN];
	if (remedy_args_set(remedy, name, value, &args, &given, why) < 0)
		fail_msg("%s", why);
}

static void sound(enum remedy_id remedy)
{
	memset(&args, 0, sizeof(args));
	remedy_args_defaults(remedy, &args);
	if (remedy == REMEDY_LIMIT_CPU)
		set(remedy, "percent", "50");
	if (remedy == REMEDY_ISOLATE)
		set(remedy, "cpus", "0,2-3");
	if (remedy == REMEDY_THROTTLE_WRITER)
		set(remedy, "bytes_per_second", "1MiB");
}

#define REFUSES(remedy_, change_) \
	do { \
		sound(remedy_); \
		assert_null(remedies[remedy_]->problem(&args)); \
		change_; \
		if (!remedies[remedy_]->problem(&args)) \
			fail_msg("let through: %s", #change_); \
	} while (0)

static void a_stranger_s_arguments_are_refused(void **state)
{
	REFUSES(REMEDY_LIMIT_CPU, args.limit_cpu.percent = 4);
	REFUSES(REMEDY_LIMIT_CPU, args.limit_cpu.for_ns = 0);
	REFUSES(REMEDY_RENICE, args.renice.nice = 0);
	REFUSES(REMEDY_RENICE, args.renice.nice = 20);
	REFUSES(REMEDY_RENICE, args.renice.scope = (enum throttle_scope)2);
	REFUSES(REMEDY_RENICE, args.renice.for_ns = UINT64_MAX);
	REFUSES(REMEDY_CPU_WEIGHT, args.cpu_weight.weight = 0);
	REFUSES(REMEDY_CPU_WEIGHT, args.cpu_weight.weight = 100);
	REFUSES(REMEDY_CPU_WEIGHT, args.cpu_weight.for_ns = 1);
	REFUSES(REMEDY_ISOLATE, memset(args.isolate.cpus, '1', sizeof(args.isolate.cpus)));
	REFUSES(REMEDY_ISOLATE, args.isolate.cpus[0] = '\0');
	REFUSES(REMEDY_ISOLATE, snprintf(args.isolate.cpus, NAME_LEN, "0"));
	REFUSES(REMEDY_ISOLATE, snprintf(args.isolate.cpus, NAME_LEN, "1\n2"));
	REFUSES(REMEDY_ISOLATE, snprintf(args.isolate.cpus, NAME_LEN, "1-"));
	REFUSES(REMEDY_ISOLATE, args.isolate.for_ns = 0);
	REFUSES(REMEDY_LIMIT_MEMORY, args.limit_memory.at_least_percent = 49);
	REFUSES(REMEDY_LIMIT_MEMORY, args.limit_memory.at_least_percent = 101);
	REFUSES(REMEDY_LIMIT_MEMORY, args.limit_memory.stall_percent = 0);
	REFUSES(REMEDY_LIMIT_MEMORY, args.limit_memory.stall_percent = 101);
	REFUSES(REMEDY_LIMIT_MEMORY, args.limit_memory.high = UINT64_MAX);
	REFUSES(REMEDY_LIMIT_MEMORY, args.limit_memory.watch_ns = 61 * NSEC_PER_SEC);
	REFUSES(REMEDY_LIMIT_MEMORY, args.limit_memory.for_ns = 0);
	REFUSES(REMEDY_THROTTLE_WRITER, args.throttle_writer.bytes_per_second = 1023);
	REFUSES(REMEDY_THROTTLE_WRITER, args.throttle_writer.bytes_per_second = UINT64_MAX);
	REFUSES(REMEDY_THROTTLE_WRITER, snprintf(args.throttle_writer.path, PATH_LEN, "/a/../b"));
	REFUSES(REMEDY_THROTTLE_WRITER, snprintf(args.throttle_writer.path, PATH_LEN, "relative"));
	REFUSES(REMEDY_THROTTLE_WRITER, memset(args.throttle_writer.path, 'x', PATH_LEN));
	REFUSES(REMEDY_THROTTLE_WRITER, args.throttle_writer.for_ns = 0);
	REFUSES(REMEDY_STOP_WRITER, args.stop_writer.scope = (enum throttle_scope)-1);
	REFUSES(REMEDY_STOP_WRITER, args.stop_writer.for_ns = 61 * NSEC_PER_SEC);
	(void)state;
}

static char said[256];
static __attribute__((format(printf, 3, 4))) void note(void *context, const char *argument, const char *format, ...)
{
	va_list list;
	(void)context;
	(void)argument;
	va_start(list, format);
	vsnprintf(said, sizeof(said), format, list);
	va_end(list);
}

static void a_list_that_is_none_is_said_in_the_policy(void **state)
{
	static const char *const wrong[] = { "all", "0", "2-1", "1 2" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		sound(REMEDY_ISOLATE);
		set(REMEDY_ISOLATE, "cpus", wrong[i]);
		said[0] = '\0';
		remedies[REMEDY_ISOLATE]->vet(&args, 0, note, NULL);
		assert_non_null(strstr(said, "is wanted"));
	}
	sound(REMEDY_ISOLATE);
	said[0] = '\0';
	remedies[REMEDY_ISOLATE]->vet(&args, 0, note, NULL);
	assert_string_equal(said, "");
	(void)state;
}

static void what_is_on_no_disk_has_none(void **state)
{
	char disk[DISK_LEN] = "untouched";
	assert_int_equal(disk_of_path("/proc", disk), -ENODEV);
	assert_int_equal(disk_of_path("/nonexistent", disk), -ENOENT);
	assert_int_equal(disk_of_filesystem(0, "tmpfs", disk), -ENODEV);
	assert_int_equal(disk_of_filesystem(0, "/dev/null", disk), -ENODEV);
	assert_int_equal(disk_of_filesystem(0xfffu << 20, "", disk), -ENODEV);
	static const char *const names[] = { "", "..", "../block/vda", "nonexistent" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_true(disk_of_name(names[i], disk) < 0);
	assert_string_equal(disk, "untouched");
	(void)state;
}

/* Where the root is on a disk at all, by each of the three ways to say so. */
static void the_ways_to_name_a_disk_agree(void **state)
{
	struct stat root;
	char path[DISK_LEN], filesystem[DISK_LEN];
	assert_int_equal(stat("/", &root), 0);
	if (disk_of_path("/", path) < 0) {
		print_message("SKIP the_ways_to_name_a_disk_agree: / is on no disk here\n");
		skip();
	}
	assert_int_equal(disk_of_filesystem(major(root.st_dev) << 20 | minor(root.st_dev), "", filesystem), 0);
	assert_string_equal(path, filesystem);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stranger_s_arguments_are_refused),
		cmocka_unit_test(a_list_that_is_none_is_said_in_the_policy),
		cmocka_unit_test(what_is_on_no_disk_has_none),
		cmocka_unit_test(the_ways_to_name_a_disk_agree),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
