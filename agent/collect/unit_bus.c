/* SPDX-License-Identifier: Apache-2.0 */
/* See unit_bus.h. */
#include "collect/unit_bus.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>

#define MANAGER "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define DEFAULT_ADDRESS "unix:path=/run/dbus/system_bus_socket"

#define ASK_AGAIN_NS (5 * NSEC_PER_SEC)
#define ANSWER_NS (4 * NSEC_PER_SEC)         /* PID 1 answers in microseconds; while it reloads, in seconds */
#define KNOWN_FOR_NS (12 * NSEC_PER_SEC)     /* two rounds of asking and an answer that came late */
#define BACKOFF_FIRST_NS (500 * NSEC_PER_MSEC)
#define BACKOFF_MOST_NS (30 * NSEC_PER_SEC)
enum { MAX_MESSAGES_A_STEP = 256 };

struct property {
	const char *interface, *name;
	bool number;
	size_t offset, size;             /* in struct unit_sample; size 0: what it says goes into the state */
};

static const struct property properties[UNIT_PROPERTIES] = {
	{ MANAGER ".Unit", "ActiveState", false, 0, 0 },
	{ MANAGER ".Unit", "LoadState", false, 0, 0 },
	{ MANAGER ".Unit", "SubState", false, offsetof(struct unit_sample, sub_state), NAME_LEN },
	/* From here on services only. */
	{ MANAGER ".Service", "MainPID", true, offsetof(struct unit_sample, main_pid), sizeof(int32_t) },
	{ MANAGER ".Service", "NRestarts", true, offsetof(struct unit_sample, restarts), sizeof(uint32_t) },
	{ MANAGER ".Service", "Result", false, offsetof(struct unit_sample, result), NAME_LEN },
};
enum { OF_ANY_UNIT = 3 };

static enum unit_state state_of(const char *word)
{
	static const struct {
		const char *word;
		enum unit_state state;
	} table[] = {
		{ "activating", UNIT_ACTIVATING },
		{ "active", UNIT_ACTIVE },
		{ "deactivating", UNIT_DEACTIVATING },
		{ "failed", UNIT_FAILED },
		{ "inactive", UNIT_INACTIVE },
		{ "refreshing", UNIT_RELOADING },
		{ "reloading", UNIT_RELOADING },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(table[i].word, word) == 0)
			return table[i].state;
	return UNIT_UNKNOWN;
}

/* --- one unit ----------------------------------------------------------------------------------------------------------- */

static void forget(struct unit_watch *unit)
{
	if (unit->known_ns || unit->sample.state != UNIT_UNKNOWN)
		unit->changed = true;
	unit->known_ns = 0;
	unit->sample.state = UNIT_UNKNOWN;
}

static void settle(struct unit_watch *unit)
{
	struct unit_sample *sample = &unit->sample, *next = &unit->next;

	if (unit->failed) {
		forget(unit);
		return;
	}
	if (unit->missing) {
		next->state = UNIT_MISSING;
		next->main_pid = 0;
	}
	if (!unit->known_ns || sample->state != next->state || sample->main_pid != next->main_pid || sample->restarts != next->restarts ||
	    strcmp(sample->sub_state, next->sub_state) != 0 || strcmp(sample->result, next->result) != 0)
		unit->changed = true;
	sample->state = next->state;
	sample->main_pid = next->main_pid;
	sample->restarts = next->restarts;
	memcpy(sample->sub_state, next->sub_state, sizeof(sample->sub_state));
	memcpy(sample->result, next->result, sizeof(sample->result));
	unit->known_ns = unit->asked_ns;
}

static void take_text(struct unit_watch *unit, uint32_t which, const char *text)
{
	const struct property *property = &properties[which];

	if (property->size)
		snprintf((char *)&unit->next + property->offset, property->size, "%s", text);
	else if (strcmp(property->name, "LoadState") == 0)
		unit->missing = strcmp(text, "not-found") == 0;
	else
		unit->next.state = state_of(text);
}

static int take_property(struct unit_watch *unit, uint32_t which, sd_bus_message *answer)
{
	const char *text;
	uint32_t number;

	int error = properties[which].number ? sd_bus_message_read(answer, "v", "u", &number) :
					       sd_bus_message_read(answer, "v", "s", &text);
	if (error < 0)
		return error;
	if (properties[which].number)
		memcpy((char *)&unit->next + properties[which].offset, &number, sizeof(number));
	else
		take_text(unit, which, text);
	return 0;
}

static int on_answer(sd_bus_message *answer, void *opaque, sd_bus_error *error)
{
	struct unit_ask *ask = opaque;
	struct unit_watch *unit = ask->unit;

	if (unit->pending == 0)
		return 0; /* of a round that was given up */
	if (sd_bus_message_is_method_error(answer, MANAGER ".NoSuchUnit"))
		unit->missing = true;
	else if (sd_bus_message_is_method_error(answer, NULL) || take_property(unit, ask->property, answer) < 0)
		unit->failed |= ask->property < OF_ANY_UNIT; /* what is said of services only is no loss elsewhere */
	if (!sd_bus_message_is_method_error(answer, NULL)) {
		unit->bus->up = true;
	} else {
		const char *message = sd_bus_message_get_error(answer)->message;
		snprintf(unit->bus->why, sizeof(unit->bus->why), "systemd: %.120s", message ? message : "refused to answer");
		unit->bus->refused = true;
	}
	if (--unit->pending == 0)
		settle(unit);
	return 0;
}

static bool is_service(const char *name)
{
	size_t length = strlen(name), suffix = strlen(".service");
	return length > suffix && strcmp(name + length - suffix, ".service") == 0;
}

static void ask(struct unit_bus *bus, struct unit_watch *unit)
{
	uint32_t count = is_service(unit->sample.name) ? UNIT_PROPERTIES : OF_ANY_UNIT;

	unit->dirty = unit->failed = unit->missing = false;
	unit->asked_ns = bus->now_ns;
	unit->next = (struct unit_sample){ 0 };
	unit->pending = 0;
	for (uint32_t i = 0; i < count; i++) {
		unit->asks[i] = (struct unit_ask){ unit, i };
		int error = sd_bus_call_method_async(bus->bus, NULL, MANAGER, unit->path, "org.freedesktop.DBus.Properties", "Get",
						     on_answer, &unit->asks[i], "ss", properties[i].interface, properties[i].name);
		if (error < 0) {
			bus->lost = true;
			return;
		}
		unit->pending++;
	}
}

static int on_changed(sd_bus_message *message, void *opaque, sd_bus_error *error)
{
	struct unit_watch *unit = opaque;
	unit->dirty = true;
	return 0;
}

/* --- the connection ----------------------------------------------------------------------------------------------------- */

/* systemd's own socket speaks to root without a bus between. */
static bool is_direct(const char *address)
{
	return strstr(address, "/systemd/private") != NULL;
}

static const char *address_of(const struct unit_bus *bus)
{
	const char *environment = getenv("DBUS_SYSTEM_BUS_ADDRESS");
	return bus->address[0] ? bus->address : environment ? environment : DEFAULT_ADDRESS;
}

static int subscribe(struct unit_bus *bus, bool direct)
{
	int error = sd_bus_call_method_async(bus->bus, NULL, MANAGER, MANAGER_PATH, MANAGER ".Manager", "Subscribe", NULL, NULL, "");

	for (uint32_t i = 0; error >= 0 && i < bus->count; i++) {
		char match[PATH_LEN * 2];
		struct unit_watch *unit = &bus->units[i];
		unit->bus = bus;
		unit->dirty = true;
		unit->pending = 0;
		if (!unit->path)
			error = sd_bus_path_encode(MANAGER_PATH "/unit", unit->sample.name, &unit->path);
		if (error < 0)
			break;
		snprintf(match, sizeof(match),
			 "type='signal',%sinterface='org.freedesktop.DBus.Properties',member='PropertiesChanged',path='%.255s'",
			 direct ? "" : "sender='" MANAGER "',", unit->path);
		error = sd_bus_add_match_async(bus->bus, NULL, match, on_changed, NULL, unit);
	}
	return error < 0 ? error : 0;
}

static int connect_bus(struct unit_bus *bus)
{
	const char *address = address_of(bus);
	bool direct = is_direct(address);

	int error = sd_bus_new(&bus->bus);
	if (error >= 0)
		error = sd_bus_set_address(bus->bus, address);
	if (error >= 0)
		error = sd_bus_set_bus_client(bus->bus, !direct);
	if (error >= 0)
		error = sd_bus_set_trusted(bus->bus, false);
	if (error >= 0)
		error = sd_bus_set_method_call_timeout(bus->bus, ANSWER_NS / NSEC_PER_USEC);
	if (error >= 0)
		error = sd_bus_start(bus->bus);
	if (error >= 0)
		error = subscribe(bus, direct);
	return error < 0 ? error : 0;
}

static void disconnect(struct unit_bus *bus)
{
	for (uint32_t i = 0; i < bus->count; i++)
		bus->units[i].pending = 0; /* before the answers that will not come are told to be missing */
	sd_bus_close_unref(bus->bus);
	bus->bus = NULL;
	bus->up = bus->lost = bus->refused = false;
	for (uint32_t i = 0; i < bus->count; i++)
		forget(&bus->units[i]);
	bus->backoff_ns = bus->backoff_ns ? bus->backoff_ns * 2 : BACKOFF_FIRST_NS;
	if (bus->backoff_ns > BACKOFF_MOST_NS)
		bus->backoff_ns = BACKOFF_MOST_NS;
	bus->retry_ns = bus->now_ns + bus->backoff_ns;
}

static void say_why(struct unit_bus *bus, int error)
{
	snprintf(bus->why, sizeof(bus->why), "no word from systemd at %.80s: %s", address_of(bus), strerror(-error));
}

static int process(struct unit_bus *bus)
{
	for (int i = 0; i < MAX_MESSAGES_A_STEP; i++) {
		int more = sd_bus_process(bus->bus, NULL);
		if (more < 0)
			return more;
		if (more == 0)
			break;
	}
	return sd_bus_is_open(bus->bus) > 0 ? 0 : -ECONNRESET;
}

static void ask_what_is_due(struct unit_bus *bus)
{
	for (uint32_t i = 0; i < bus->count && !bus->lost; i++) {
		struct unit_watch *unit = &bus->units[i];
		bool due = unit->dirty || bus->now_ns >= unit->asked_ns + ASK_AGAIN_NS;
		if (unit->pending == 0 && due)
			ask(bus, unit);
	}
}

void unit_bus_step(struct unit_bus *bus, uint64_t now_ns)
{
	int error = 0;

	bus->now_ns = now_ns;
	if (!bus->bus) {
		if (now_ns < bus->retry_ns)
			return;
		bus->begun_ns = now_ns;
		error = connect_bus(bus);
	}
	if (!error)
		error = process(bus);
	if (!error) {
		ask_what_is_due(bus);
		error = process(bus); /* sends what was asked */
	}
	if (!error && bus->lost)
		error = -EIO;
	if (!error && !bus->up && now_ns >= bus->begun_ns + 2 * ANSWER_NS)
		error = -ETIMEDOUT;
	if (error) {
		if (error != -ETIMEDOUT || !bus->refused)
			say_why(bus, error);
		disconnect(bus);
	} else if (bus->up) {
		bus->why[0] = '\0';
		bus->backoff_ns = 0;
	}
}

static uint64_t monotonic_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

/* Its timeouts are in monotonic time; ours, in boot time. */
static uint64_t timeout_ns(const struct unit_bus *bus)
{
	uint64_t until_us = UINT64_MAX, clock_ns = monotonic_ns();

	if (sd_bus_get_timeout(bus->bus, &until_us) < 0 || until_us >= UINT64_MAX / NSEC_PER_USEC)
		return UINT64_MAX;
	uint64_t until_ns = until_us * NSEC_PER_USEC;
	return bus->now_ns + (until_ns > clock_ns ? until_ns - clock_ns : 0);
}

void unit_bus_poll(const struct unit_bus *bus, int *ret_fd, short *ret_events, uint64_t *ret_due_ns)
{
	*ret_fd = -1;
	*ret_events = 0;
	*ret_due_ns = bus->retry_ns;
	if (!bus->bus)
		return;

	int events = sd_bus_get_events(bus->bus);
	*ret_fd = sd_bus_get_fd(bus->bus);
	*ret_events = (short)(events < 0 ? POLLIN : events);
	*ret_due_ns = timeout_ns(bus);
	for (uint32_t i = 0; i < bus->count; i++) {
		const struct unit_watch *unit = &bus->units[i];
		uint64_t again_ns = unit->asked_ns + ASK_AGAIN_NS;
		if (unit->pending == 0 && again_ns < *ret_due_ns)
			*ret_due_ns = again_ns;
	}
}

bool unit_bus_knows(const struct unit_bus *bus, const struct unit_watch *unit, uint64_t now_ns)
{
	return bus->up && unit->known_ns && now_ns <= unit->known_ns + KNOWN_FOR_NS;
}

void unit_bus_close(struct unit_bus *bus)
{
	if (bus->bus)
		disconnect(bus);
	for (uint32_t i = 0; i < bus->count; i++) {
		free(bus->units[i].path);
		bus->units[i].path = NULL;
	}
}
