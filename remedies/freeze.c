/* SPDX-License-Identifier: Apache-2.0 */
/* See freeze.h. */
#include "remedies/freeze.h"

#include "core/clock.h"
#include "remedies/group_control.h"

/* A frozen process that holds a lock holds up whoever waits for it: never for longer than this, whatever becomes of us. */
#define FROZEN_NS (5 * NSEC_PER_SEC)

static const struct control_name freezer = { .controller = "freezer", .v2 = "cgroup.freeze" };

static int write_down(const struct remedy_request *request, const struct group *group, uint64_t id, struct remedy_result *result)
{
	struct knob knob;
	bool v2;
	int error = group_control(id, group->path, &freezer, &knob, &v2);
	return error ? error : lease_take(request, &knob, "1", FROZEN_NS, result);
}

int freeze_and_kill(const struct remedy_request *request, const struct group *group, uint64_t id, uint64_t until_boot_ns, struct remedy_result *result)
{
	bool leased = request->lease_book[0] != '\0';
	int error = leased ? write_down(request, group, id, result) : 0;
	if (error)
		return error; /* nothing was frozen */
	error = group_freeze(group, until_boot_ns);
	if (error >= 0)
		error = group_kill_each(group);
	/* The book's own return knows whether it is still ours; the second one is for the book that cannot be read. */
	struct lease_report report;
	int returned = leased ? leases_return(request->lease_book, LEASES_OF_ACTION, request->action_id, clock_boot_ns(), NULL, NULL, &report) : -1;
	int thawed = returned == 0 && !report.failed ? 0 : group_thaw(group);
	return error ? error : thawed;
}
