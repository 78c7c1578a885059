/* SPDX-License-Identifier: Apache-2.0 */
/* See manager.h. org.freedesktop.systemd1(5) describes the interface. */
#include "remedies/manager.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "core/clock.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER SYSTEMD ".Manager"
#define UNIT SYSTEMD ".Unit"
#define SERVICE SYSTEMD ".Service"
#define SYSTEM_BUS "unix:path=/run/dbus/system_bus_socket"

/* systemd's own socket: one peer and no bus in between. */
static bool is_direct(const char *address)
{
	return strstr(address, "/systemd/private") != NULL;
}

static const char *system_bus(void)
{
	const char *address = getenv("DBUS_SYSTEM_BUS_ADDRESS");
	return address ? address : SYSTEM_BUS;
}

int manager_connect(const char *address, uint64_t deadline_boot_ns, struct sd_bus **ret)
{
	sd_bus *bus = NULL;
	uint64_t now = clock_boot_ns();
	if (now >= deadline_boot_ns)
		return -ETIME;
	if (!address[0])
		address = system_bus();
	int error = sd_bus_new(&bus);
	if (error >= 0)
		error = sd_bus_set_address(bus, address);
	if (error >= 0)
		error = sd_bus_set_bus_client(bus, !is_direct(address));
	if (error >= 0)
		error = sd_bus_set_trusted(bus, false);
	if (error >= 0)
		error = sd_bus_set_method_call_timeout(bus, (deadline_boot_ns - now) / NSEC_PER_USEC + 1);
	if (error >= 0)
		error = sd_bus_start(bus);
	if (error < 0) {
		sd_bus_close_unref(bus);
		return error;
	}
	*ret = bus;
	return 0;
}

void manager_disconnect(struct sd_bus *bus)
{
	sd_bus_close_unref(bus);
}

/* --- properties ----------------------------------------------------------------------------------------------------------- */

static int text_of(sd_bus *bus, const char *path, const char *interface, const char *name, char *ret, size_t size)
{
	char *text = NULL;
	int error = sd_bus_get_property_string(bus, SYSTEMD, path, interface, name, NULL, &text);
	if (error < 0)
		return error;
	snprintf(ret, size, "%s", text);
	free(text);
	return 0;
}

static int number_of(sd_bus *bus, const char *path, const char *name, uint32_t *ret)
{
	return sd_bus_get_property_trivial(bus, SYSTEMD, path, SERVICE, name, NULL, 'u', ret);
}

static int flag_of(sd_bus *bus, const char *path, const char *name, bool *ret)
{
	int value = 0;
	int error = sd_bus_get_property_trivial(bus, SYSTEMD, path, UNIT, name, NULL, 'b', &value);
	*ret = error >= 0 && value;
	return error;
}

/* Microseconds; systemd writes "infinity" and "not measured" as the largest number. */
static uint64_t time_of(sd_bus *bus, const char *path, const char *interface, const char *name)
{
	uint64_t value = UINT64_MAX;
	int error = sd_bus_get_property_trivial(bus, SYSTEMD, path, interface, name, NULL, 't', &value);
	return error < 0 || value > UINT64_MAX / NSEC_PER_USEC ? UNKNOWN : value * NSEC_PER_USEC;
}

static int job_of(sd_bus *bus, const char *path, uint32_t *ret)
{
	sd_bus_message *answer = NULL;
	const char *object;
	int error = sd_bus_get_property(bus, SYSTEMD, path, UNIT, "Job", NULL, &answer, "(uo)");
	if (error >= 0)
		error = sd_bus_message_read(answer, "(uo)", ret, &object);
	sd_bus_message_unref(answer);
	return error;
}

static int names_of(sd_bus *bus, const char *path, const char *property, struct unit_names *names)
{
	sd_bus_message *answer = NULL;
	const char *name;
	int error = sd_bus_get_property(bus, SYSTEMD, path, UNIT, property, NULL, &answer, "as");
	if (error >= 0)
		error = sd_bus_message_enter_container(answer, 'a', "s");
	while (error >= 0 && (error = sd_bus_message_read(answer, "s", &name)) > 0) {
		if (names->count == MAX_UNIT_NAMES || strlen(name) >= NAME_LEN)
			names->cut = true;
		else
			snprintf(names->each[names->count++], NAME_LEN, "%s", name);
	}
	sd_bus_message_unref(answer);
	return error;
}

int manager_version(struct sd_bus *bus, char *ret, size_t size)
{
	return text_of(bus, MANAGER_PATH, MANAGER, "Version", ret, size);
}

static int load(sd_bus *bus, const char *unit, char *ret_path, size_t size)
{
	sd_bus_message *answer = NULL;
	const char *path = NULL;
	int error = sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, "LoadUnit", NULL, &answer, "s", unit);
	if (error >= 0)
		error = sd_bus_message_read(answer, "o", &path);
	if (error >= 0)
		error = strlen(path) < size ? 0 : -ENAMETOOLONG;
	if (error >= 0)
		snprintf(ret_path, size, "%s", path);
	sd_bus_message_unref(answer);
	return error;
}

/* What is there for services alone, and what older versions do not tell: absent is the quieter answer. */
static void service_facts(sd_bus *bus, struct unit_facts *ret)
{
	(void)number_of(bus, ret->path, "MainPID", &ret->main_pid);   /* a unit that is not loaded has none */
	(void)number_of(bus, ret->path, "NRestarts", &ret->restarts); /* since systemd 235 */
	(void)text_of(bus, ret->path, SERVICE, "Result", ret->result, sizeof(ret->result));
	ret->start_limit_ns = time_of(bus, ret->path, SERVICE, "TimeoutStartUSec");
	ret->stop_limit_ns = time_of(bus, ret->path, SERVICE, "TimeoutStopUSec");
}

static int lists_of(sd_bus *bus, struct unit_facts *ret)
{
	/* What stopping it stops and restarting it restarts: systemd.unit(5), Requires=, BindsTo=, PartOf=, from the other side. */
	static const char *const binding[] = { "RequiredBy", "BoundBy", "ConsistsOf" };
	static const char *const needing[] = { "Requires", "BindsTo", "Requisite" };
	int error = names_of(bus, ret->path, "Names", &ret->names);
	for (size_t i = 0; error >= 0 && i < sizeof(binding) / sizeof(binding[0]); i++)
		error = names_of(bus, ret->path, binding[i], &ret->bound);
	for (size_t i = 0; error >= 0 && i < sizeof(needing) / sizeof(needing[0]); i++)
		error = names_of(bus, ret->path, needing[i], &ret->needs);
	return error;
}

int manager_facts(struct sd_bus *bus, const char *unit, struct unit_facts *ret)
{
	bool refuses_start = false, refuses_stop = false;
	memset(ret, 0, sizeof(*ret));
	ret->start_limit_ns = ret->stop_limit_ns = UNKNOWN;
	int error = load(bus, unit, ret->path, sizeof(ret->path));
	if (error >= 0)
		error = text_of(bus, ret->path, UNIT, "LoadState", ret->load_state, sizeof(ret->load_state));
	if (error >= 0)
		error = text_of(bus, ret->path, UNIT, "ActiveState", ret->active_state, sizeof(ret->active_state));
	if (error >= 0)
		error = text_of(bus, ret->path, UNIT, "SubState", ret->sub_state, sizeof(ret->sub_state));
	if (error >= 0)
		error = lists_of(bus, ret);
	if (error >= 0)
		error = flag_of(bus, ret->path, "RefuseManualStart", &refuses_start);
	if (error >= 0)
		error = flag_of(bus, ret->path, "RefuseManualStop", &refuses_stop);
	if (error >= 0)
		error = flag_of(bus, ret->path, "CanReload", &ret->can_reload);
	if (error >= 0)
		error = flag_of(bus, ret->path, "ConditionResult", &ret->condition);
	if (error >= 0)
		error = job_of(bus, ret->path, &ret->job);
	if (error < 0)
		return error;
	ret->may_start = !refuses_start && !refuses_stop;
	uint64_t began = time_of(bus, ret->path, UNIT, "InactiveExitTimestampMonotonic");
	uint64_t changed = time_of(bus, ret->path, UNIT, "StateChangeTimestampMonotonic");
	ret->began_awake_ns = began == UNKNOWN ? 0 : began;
	ret->changed_awake_ns = changed == UNKNOWN ? 0 : changed;

	size_t length = strlen(unit);
	if (length > 8 && strcmp(unit + length - 8, ".service") == 0)
		service_facts(bus, ret);
	return 0;
}

int manager_processor_time(struct sd_bus *bus, const char *path, uint64_t *ret_ns)
{
	uint64_t value = UINT64_MAX;
	int error = sd_bus_get_property_trivial(bus, SYSTEMD, path, SERVICE, "CPUUsageNSec", NULL, 't', &value);
	if (error < 0)
		return error;
	*ret_ns = value == UINT64_MAX ? UNKNOWN : value;
	return 0;
}

int manager_reset_failed(struct sd_bus *bus, const char *unit)
{
	int error = sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, "ResetFailedUnit", NULL, NULL, "s", unit);
	return error < 0 ? error : 0;
}

int manager_kill(struct sd_bus *bus, const char *unit)
{
	int error = sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, "KillUnit", NULL, NULL, "ssi", unit, "all", (int32_t)SIGKILL);
	return error < 0 ? error : 0;
}

/* --- jobs ----------------------------------------------------------------------------------------------------------------- */

static int on_job_removed(sd_bus_message *message, void *context, sd_bus_error *error)
{
	struct job_watch *watch = context;
	uint32_t id;
	const char *path, *unit, *result;
	if (sd_bus_message_read(message, "uoss", &id, &path, &unit, &result) < 0)
		return 0;
	if (watch->path[0] && strcmp(path, watch->path) == 0)
		snprintf(watch->result, sizeof(watch->result), "%s", result[0] ? result : "without a result");
	return 0;
}

/* Only what systemd itself says: on a bus, anybody may shout. */
static int add_match(sd_bus *bus, const char *path, const char *interface, const char *member, sd_bus_message_handler_t handler, void *context)
{
	int is_client = sd_bus_is_bus_client(bus);
	return sd_bus_match_signal(bus, NULL, is_client > 0 ? SYSTEMD : NULL, path, interface, member, handler, context);
}

int manager_watch_jobs(struct sd_bus *bus, struct job_watch *watch)
{
	memset(watch, 0, sizeof(*watch));
	int error = add_match(bus, MANAGER_PATH, MANAGER, "JobRemoved", on_job_removed, watch);
	if (error >= 0)
		error = sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, "Subscribe", NULL, NULL, "");
	return error < 0 ? error : 0;
}

/* The signal cannot be handled before the path is known: sd-bus queues what comes in while it waits for the answer. */
int manager_job(struct sd_bus *bus, const char *method, const char *unit, struct job_watch *watch)
{
	sd_bus_message *answer = NULL;
	const char *path = NULL;
	memset(watch, 0, sizeof(*watch));
	int error = sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, method, NULL, &answer, "ss", unit, "replace");
	if (error >= 0)
		error = sd_bus_message_read(answer, "o", &path);
	if (error >= 0)
		snprintf(watch->path, sizeof(watch->path), "%s", path);
	sd_bus_message_unref(answer);
	return error < 0 ? error : 0;
}

int manager_cancel(struct sd_bus *bus, const struct job_watch *watch)
{
	int error = sd_bus_call_method(bus, SYSTEMD, watch->path, SYSTEMD ".Job", "Cancel", NULL, NULL, "");
	return error < 0 ? error : 0;
}

static int on_unit_changed(sd_bus_message *message, void *context, sd_bus_error *error)
{
	return 0; /* that it came is all that is waited for */
}

int manager_watch_unit(struct sd_bus *bus, const char *path)
{
	int error = add_match(bus, path, "org.freedesktop.DBus.Properties", "PropertiesChanged", on_unit_changed, NULL);
	return error < 0 ? error : 0;
}

int manager_process(struct sd_bus *bus, uint64_t until_boot_ns)
{
	int done = sd_bus_process(bus, NULL);
	if (done != 0)
		return done;
	uint64_t now = clock_boot_ns();
	if (now >= until_boot_ns)
		return 0;
	int ready = sd_bus_wait(bus, (until_boot_ns - now) / NSEC_PER_USEC + 1);
	return ready < 0 && ready != -EINTR ? ready : ready > 0;
}
