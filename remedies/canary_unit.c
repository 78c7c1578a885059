/* SPDX-License-Identifier: Apache-2.0 */
/* A transient unit of ours is restarted, by the same call and the same job as restart-unit's. See canary.h. */
#include "remedies/canary.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "core/clock.h"
#include "remedies/manager.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER SYSTEMD ".Manager"

static const char unit[] = "nodemend-canary.service", program[] = "/bin/sleep";

/* It sleeps for half a minute, ends by itself, and is forgotten then, whatever becomes of us. */
static int add_properties(sd_bus_message *call)
{
	int error = sd_bus_message_append(call, "(sv)(sv)(sv)(sv)", "Description", "s", "nodemend's armed check", "CollectMode", "s", "inactive-or-failed", "Type", "s",
					  "exec", "RuntimeMaxUSec", "t", (uint64_t)40 * 1000 * 1000);
	if (error >= 0)
		error = sd_bus_message_append(call, "(sv)", "ExecStart", "a(sasb)", 1, program, 2, program, "30", 0);
	return error;
}

static int start(sd_bus *bus, struct job_watch *watch)
{
	sd_bus_message *call = NULL, *answer = NULL;
	const char *path = NULL;
	int error = sd_bus_message_new_method_call(bus, &call, SYSTEMD, MANAGER_PATH, MANAGER, "StartTransientUnit");
	if (error >= 0)
		error = sd_bus_message_append(call, "ss", unit, "fail");
	if (error >= 0)
		error = sd_bus_message_open_container(call, 'a', "(sv)");
	if (error >= 0)
		error = add_properties(call);
	if (error >= 0)
		error = sd_bus_message_close_container(call);
	if (error >= 0)
		error = sd_bus_message_append(call, "a(sa(sv))", 0);
	if (error >= 0)
		error = sd_bus_call(bus, call, 0, NULL, &answer);
	if (error >= 0)
		error = sd_bus_message_read(answer, "o", &path);
	if (error >= 0)
		snprintf(watch->path, sizeof(watch->path), "%s", path);
	sd_bus_message_unref(call);
	sd_bus_message_unref(answer);
	return error < 0 ? error : 0;
}

static int ask_to_restart(sd_bus *bus, struct job_watch *watch)
{
	sd_bus_message *answer = NULL;
	const char *path = NULL;
	memset(watch, 0, sizeof(*watch));
	int error = sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, "RestartUnit", NULL, &answer, "ss", unit, "replace");
	if (error >= 0)
		error = sd_bus_message_read(answer, "o", &path);
	if (error >= 0)
		snprintf(watch->path, sizeof(watch->path), "%s", path);
	sd_bus_message_unref(answer);
	return error < 0 ? error : 0;
}

/* "" where it did not end in time. */
static int wait_for(sd_bus *bus, const struct job_watch *watch, uint64_t until)
{
	int error = 0;
	while (error >= 0 && !watch->result[0] && clock_boot_ns() < until)
		error = manager_process(bus, until);
	return error < 0 ? error : 0;
}

static enum canary restart(sd_bus *bus, struct job_watch *watch, uint64_t until, char why[WHY_LEN])
{
	struct unit_facts before, after = { .main_pid = 0 };
	int error = manager_facts(bus, unit, &before);
	if (error >= 0)
		error = ask_to_restart(bus, watch);
	if (error >= 0)
		error = wait_for(bus, watch, until);
	if (error >= 0)
		error = manager_facts(bus, unit, &after);
	if (error < 0)
		snprintf(why, WHY_LEN, "a unit of our own cannot be restarted: %s", strerror(-error));
	else if (strcmp(watch->result, "done") != 0)
		snprintf(why, WHY_LEN, "the restart of a unit of our own ended as %.60s", watch->result[0] ? watch->result : "nothing in time");
	else if (strcmp(after.active_state, "active") != 0 || after.main_pid == before.main_pid)
		snprintf(why, WHY_LEN, "a unit of our own was restarted and is %.40s, with main pid %u as before", after.active_state, after.main_pid);
	else
		return CANARY_PROVEN;
	return CANARY_FAILED;
}

enum canary canary_unit(struct sd_bus *bus, uint64_t until_boot_ns, char why[WHY_LEN])
{
	struct job_watch watch;
	int error = manager_watch_jobs(bus, &watch);
	if (error >= 0)
		error = start(bus, &watch);
	if (error >= 0)
		error = wait_for(bus, &watch, until_boot_ns);
	if (error < 0 || strcmp(watch.result, "done") != 0) {
		snprintf(why, WHY_LEN, "no unit of our own to try it on: %.100s", error < 0 ? strerror(-error) : watch.result[0] ? watch.result : "it did not start in time");
		return CANARY_UNTRIED;
	}
	enum canary canary = restart(bus, &watch, until_boot_ns, why);
	(void)sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, "StopUnit", NULL, NULL, "ss", unit, "replace"); /* else it ends by itself */
	return canary;
}
