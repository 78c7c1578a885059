/* SPDX-License-Identifier: Apache-2.0 */
/* Who is credited with a fatal signal: each kind of killer, and what must not be taken for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "signals/kill.h"

static struct fatal_record sent_by(const char *comm, uint32_t signal)
{
	struct fatal_record record = { .signal = signal, .origin = FATAL_BY_TASK, .target = { .pid = 10, .start_ns = 5 },
				       .sender = { .pid = 20, .start_ns = 6 } };

	snprintf(record.sender.comm, sizeof(record.sender.comm), "%s", comm);
	return record;
}

static void the_kernel_goes_by_what_it_says(void **state)
{
	struct fatal_record fault = { .signal = SIGSEGV, .origin = FATAL_BY_FAULT }, oom = { .signal = SIGKILL, .origin = FATAL_BY_KERNEL,
		.flags = FATAL_FLAG_OOM }, alarm = { .signal = SIGALRM, .origin = FATAL_BY_KERNEL },
		key = { .signal = SIGINT, .origin = FATAL_BY_KERNEL }, hangup = { .signal = SIGHUP, .origin = FATAL_BY_KERNEL },
		unseen = { .signal = SIGTERM, .origin = FATAL_UNSEEN };

	assert_int_equal(killer_of(&fault, "", true), KILLER_KERNEL_FAULT);
	assert_int_equal(killer_of(&oom, "kubelet.service", false), KILLER_KERNEL_OOM);
	assert_int_equal(killer_of(&alarm, "", false), KILLER_KERNEL);
	assert_int_equal(killer_of(&key, "", false), KILLER_TERMINAL);
	assert_int_equal(killer_of(&hangup, "", false), KILLER_TERMINAL);
	assert_int_equal(killer_of(&unseen, "", false), KILLER_OTHER);
}

static void names_and_units(void **state)
{
	static const struct {
		const char *comm, *unit;
		enum killer killer;
	} cases[] = {
		{ "systemd", "init.scope", KILLER_SYSTEMD },
		{ "systemd-oomd", "", KILLER_SYSTEMD_OOMD },
		{ "x", "systemd-oomd.service", KILLER_SYSTEMD_OOMD },
		{ "earlyoom", "", KILLER_EARLYOOM },
		{ "kubelet", "", KILLER_KUBELET },
		{ "containerd-shim", "", KILLER_CONTAINER_RUNTIME },
		{ "runc:[2:INIT]", "", KILLER_CONTAINER_RUNTIME },
		{ "conmon", "", KILLER_CONTAINER_RUNTIME },
		{ "kill", "session-4.scope", KILLER_OPERATOR },
		{ "kill", "cron.service", KILLER_OTHER },
		{ "systemd-udevd", "", KILLER_OTHER },
		{ "my-kubelet", "", KILLER_OTHER },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fatal_record record = sent_by(cases[i].comm, SIGTERM);
		if (killer_of(&record, cases[i].unit, false) != cases[i].killer)
			fail_msg("%s in \"%s\" is not %s", cases[i].comm, cases[i].unit, killer_names[cases[i].killer]);
	}
	for (int i = 0; i < KILLER_COUNT; i++)
		assert_non_null(killer_names[i]);
}

static void who_it_is_comes_before_its_name(void **state)
{
	struct fatal_record record = sent_by("earlyoom", SIGTERM);

	assert_int_equal(killer_of(&record, "", true), KILLER_NODEMEND);
	record.target = record.sender;
	assert_int_equal(killer_of(&record, "", false), KILLER_SELF);
	record.target.start_ns++; /* the same pid in another life is somebody else */
	assert_int_equal(killer_of(&record, "", false), KILLER_EARLYOOM);

	struct fatal_record typed = sent_by("bash", SIGKILL);
	assert_int_equal(killer_of(&typed, "", false), KILLER_OTHER);
	typed.flags = FATAL_FLAG_TERMINAL;
	assert_int_equal(killer_of(&typed, "", false), KILLER_OPERATOR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernel_goes_by_what_it_says),
		cmocka_unit_test(names_and_units),
		cmocka_unit_test(who_it_is_comes_before_its_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
