/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bus of the test's own and, in a child, as much of systemd's interface as the remedies on units speak: each unit's row says how
 * it behaves, and what was asked of it is counted in memory that both share.
 */
#ifndef NODEMEND_TESTS_FAKE_SYSTEMD_H
#define NODEMEND_TESTS_FAKE_SYSTEMD_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

enum behaviour {
	STARTS, STARTS_EARLY_SIGNAL, JOB_FAILS, JOB_HANGS, DIES_LATER, STARTED_BY_SYSTEMD,
	STOP_HANGS,         /* until it is killed */
	START_HANGS,        /* in activating, for ever */
	FALLS_WITH_BASE,    /* does not come back from a restart of what it hangs on */
	RELOADS_NOTHING, RELOAD_RESTARTS,
	STAYS_FAILED,       /* a reset does not help */
};

struct fake_unit {
	const char *name, *alias, *load_state, *active_state, *result;
	const char *required_by;    /* one unit that hangs on it */
	enum behaviour behaviour;
	bool refuses_manual;
	const char *needs;          /* one unit that it requires */
	const char *sub_state;      /* NULL: "dead", or "running" after a start */
	bool reloads;
	uint32_t job, restarts;     /* a job of somebody else; NRestarts */
	uint32_t began_ago_s;       /* 0: a long time */
	uint64_t start_limit_us;    /* 0: 90 s */
	uint64_t uses_ns;           /* of a processor, from one question to the next; UINT64_MAX: nobody counts it */
};

struct fake_counts { /* one a unit, shared */
	uint32_t restarts, resets, cancels, active_reads, starts, reloads, kills, order;
	uint64_t used_ns;
};

struct fake_systemd {
	const struct fake_unit *units;
	uint32_t count;
	struct fake_counts *counts;
	uint32_t orders;            /* in the child: jobs so far */
	pid_t daemon, manager;
	char dir[64], address[128];
	sd_bus *bus;                /* in the child */
};

#define FAKE_NAME "org.freedesktop.systemd1"
#define FAKE_PATH "/org/freedesktop/systemd1"

static inline int fake_index(const struct fake_systemd *fake, const char *name)
{
	for (uint32_t i = 0; i < fake->count; i++)
		if (strcmp(fake->units[i].name, name) == 0 || (fake->units[i].alias && strcmp(fake->units[i].alias, name) == 0))
			return (int)i;
	return -1;
}

static inline bool fake_base_was_restarted(const struct fake_systemd *fake, const struct fake_unit *unit)
{
	for (uint32_t i = 0; i < fake->count; i++)
		if (fake->units[i].required_by && strcmp(fake->units[i].required_by, unit->name) == 0 && fake->counts[i].restarts)
			return true;
	return false;
}

static inline const char *fake_active_state(struct fake_systemd *fake, uint32_t at)
{
	const struct fake_unit *unit = &fake->units[at];
	struct fake_counts *counts = &fake->counts[at];
	if (unit->behaviour == FALLS_WITH_BASE && fake_base_was_restarted(fake, unit))
		return "failed";
	if (!counts->restarts && !counts->starts)
		return counts->resets && unit->behaviour != STAYS_FAILED ? "inactive" : unit->active_state;
	if (unit->behaviour == STOP_HANGS && !counts->kills)
		return "deactivating";
	if (unit->behaviour == START_HANGS)
		return "activating";
	if (unit->behaviour != DIES_LATER)
		return "active";
	return ++counts->active_reads > 1 ? "failed" : "active";
}

static inline uint64_t fake_awake_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* 0: no number of that name. */
static inline uint64_t fake_number(struct fake_systemd *fake, uint32_t at, const char *property)
{
	const struct fake_unit *unit = &fake->units[at];
	struct fake_counts *counts = &fake->counts[at];
	if (strcmp(property, "InactiveExitTimestampMonotonic") == 0)
		return unit->began_ago_s ? fake_awake_us() - unit->began_ago_s * 1000000ULL : 1;
	if (strcmp(property, "StateChangeTimestampMonotonic") == 0)
		return 1 + (unit->behaviour == RELOADS_NOTHING ? 0 : counts->reloads);
	if (strcmp(property, "TimeoutStartUSec") == 0)
		return unit->start_limit_us ? unit->start_limit_us : 90000000;
	if (strcmp(property, "TimeoutStopUSec") == 0)
		return 1;
	if (strcmp(property, "CPUUsageNSec") == 0)
		return unit->uses_ns == UINT64_MAX ? UINT64_MAX : 1 + (counts->used_ns += unit->uses_ns);
	return 0;
}

static inline int fake_reply_list(sd_bus_message *call, const char *first, const char *second)
{
	sd_bus_message *reply = NULL;
	int error = sd_bus_message_new_method_return(call, &reply);
	if (error >= 0)
		error = sd_bus_message_open_container(reply, 'v', "as");
	if (error >= 0)
		error = sd_bus_message_open_container(reply, 'a', "s");
	if (error >= 0 && first)
		error = sd_bus_message_append(reply, "s", first);
	if (error >= 0 && second)
		error = sd_bus_message_append(reply, "s", second);
	if (error >= 0)
		error = sd_bus_message_close_container(reply);
	if (error >= 0)
		error = sd_bus_message_close_container(reply);
	if (error >= 0)
		error = sd_bus_send(NULL, reply, NULL);
	sd_bus_message_unref(reply);
	return error;
}

static inline int fake_get(struct fake_systemd *fake, sd_bus_message *call, int at, const char *property)
{
	if (at < 0)
		return sd_bus_reply_method_return(call, "v", "s", strcmp(property, "Version") == 0 ? "252" : "");
	const struct fake_unit *unit = &fake->units[at];
	struct fake_counts *counts = &fake->counts[at];
	if (strcmp(property, "Names") == 0)
		return fake_reply_list(call, unit->name, unit->alias);
	if (strcmp(property, "RequiredBy") == 0)
		return fake_reply_list(call, unit->required_by, NULL);
	if (strcmp(property, "Requires") == 0)
		return fake_reply_list(call, unit->needs, NULL);
	if (strcmp(property, "BoundBy") == 0 || strcmp(property, "ConsistsOf") == 0 || strcmp(property, "BindsTo") == 0 || strcmp(property, "Requisite") == 0)
		return fake_reply_list(call, NULL, NULL);
	if (strcmp(property, "Job") == 0)
		return sd_bus_reply_method_return(call, "v", "(uo)", unit->job, "/");
	uint64_t number = fake_number(fake, (uint32_t)at, property);
	if (number)
		return sd_bus_reply_method_return(call, "v", "t", number);
	if (strcmp(property, "LoadState") == 0)
		return sd_bus_reply_method_return(call, "v", "s", unit->load_state);
	if (strcmp(property, "ActiveState") == 0)
		return sd_bus_reply_method_return(call, "v", "s", fake_active_state(fake, (uint32_t)at));
	if (strcmp(property, "SubState") == 0)
		return sd_bus_reply_method_return(call, "v", "s", unit->sub_state ? unit->sub_state : counts->restarts + counts->starts ? "running" : "dead");
	if (strcmp(property, "Result") == 0)
		return sd_bus_reply_method_return(call, "v", "s", unit->result);
	if (strcmp(property, "MainPID") == 0) {
		uint32_t extra = unit->behaviour == STARTED_BY_SYSTEMD && counts->restarts ? counts->active_reads++ : 0;
		return sd_bus_reply_method_return(call, "v", "u", 1000 + counts->restarts + extra + (unit->behaviour == RELOAD_RESTARTS ? counts->reloads : 0));
	}
	if (strcmp(property, "NRestarts") == 0)
		return sd_bus_reply_method_return(call, "v", "u", unit->restarts);
	if (strcmp(property, "CanReload") == 0)
		return sd_bus_reply_method_return(call, "v", "b", (int)unit->reloads);
	if (strcmp(property, "ConditionResult") == 0)
		return sd_bus_reply_method_return(call, "v", "b", 1);
	return sd_bus_reply_method_return(call, "v", "b", (int)(unit->refuses_manual && strcmp(property, "RefuseManualStart") == 0));
}

/* A job of StartUnit, RestartUnit or ReloadUnit. */
static inline int fake_job(struct fake_systemd *fake, sd_bus_message *call, const char *member, int at)
{
	const struct fake_unit *unit = &fake->units[at];
	char job[64];
	snprintf(job, sizeof(job), FAKE_PATH "/job/%d", 100 + at);
	const char *result = unit->behaviour == JOB_FAILS ? "failed" : "done";
	uint32_t *count = strcmp(member, "StartUnit") == 0 ? &fake->counts[at].starts : strcmp(member, "ReloadUnit") == 0 ? &fake->counts[at].reloads : &fake->counts[at].restarts;
	bool hangs = unit->behaviour == JOB_HANGS || unit->behaviour == STOP_HANGS || unit->behaviour == START_HANGS;
	(*count)++;
	fake->counts[at].order = ++fake->orders;
	/* A job of somebody else ends first: it is not the one that is waited for. */
	int error = sd_bus_emit_signal(fake->bus, FAKE_PATH, FAKE_NAME ".Manager", "JobRemoved", "uoss", 7U, FAKE_PATH "/job/7", "other.service", "canceled");
	if (error >= 0 && unit->behaviour == STARTS_EARLY_SIGNAL)
		error = sd_bus_emit_signal(fake->bus, FAKE_PATH, FAKE_NAME ".Manager", "JobRemoved", "uoss", 100U + (unsigned)at, job, unit->name, result);
	if (error >= 0)
		error = sd_bus_reply_method_return(call, "o", job);
	if (error >= 0 && !hangs && unit->behaviour != STARTS_EARLY_SIGNAL)
		error = sd_bus_emit_signal(fake->bus, FAKE_PATH, FAKE_NAME ".Manager", "JobRemoved", "uoss", 100U + (unsigned)at, job, unit->name, result);
	if (error >= 0 && (unit->behaviour == DIES_LATER || unit->behaviour == STARTED_BY_SYSTEMD)) {
		char *path = NULL;
		sd_bus_path_encode(FAKE_PATH "/unit", unit->name, &path);
		error = sd_bus_emit_signal(fake->bus, path, "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as", FAKE_NAME ".Unit", 0, 0);
		free(path);
	}
	return error;
}

/* What is left of it is gone, and its job with it. */
static inline int fake_kill(struct fake_systemd *fake, sd_bus_message *call, int at)
{
	char job[64];
	snprintf(job, sizeof(job), FAKE_PATH "/job/%d", 100 + at);
	fake->counts[at].kills++;
	int error = sd_bus_reply_method_return(call, "");
	return error < 0 ? error : sd_bus_emit_signal(fake->bus, FAKE_PATH, FAKE_NAME ".Manager", "JobRemoved", "uoss", 100U + (unsigned)at, job, fake->units[at].name, "done");
}

static inline int fake_on_call(sd_bus_message *call, void *context, sd_bus_error *error)
{
	struct fake_systemd *fake = context;
	const char *member = sd_bus_message_get_member(call), *path = sd_bus_message_get_path(call), *text = NULL, *property = NULL;
	char *name = NULL, *object = NULL;
	int result = 0;
	if (!sd_bus_message_is_method_call(call, NULL, NULL) || !path || !member)
		return 0;
	if (strcmp(member, "Get") == 0) {
		result = sd_bus_message_read(call, "ss", &text, &property);
		bool unit = sd_bus_path_decode(path, FAKE_PATH "/unit", &name) > 0;
		result = result < 0 ? result : fake_get(fake, call, unit ? fake_index(fake, name) : -1, property);
	} else if (strcmp(member, "Cancel") == 0) {
		fake->counts[atoi(strrchr(path, '/') + 1) - 100].cancels++;
		result = sd_bus_reply_method_return(call, "");
	} else if (strcmp(member, "Subscribe") == 0) {
		result = sd_bus_reply_method_return(call, "");
	} else if ((result = sd_bus_message_read(call, "s", &text)) >= 0) {
		int at = fake_index(fake, text);
		if (strcmp(member, "LoadUnit") == 0 && (result = sd_bus_path_encode(FAKE_PATH "/unit", at < 0 ? text : fake->units[at].name, &object)) >= 0)
			result = sd_bus_reply_method_return(call, "o", object);
		else if ((strcmp(member, "RestartUnit") == 0 || strcmp(member, "StartUnit") == 0 || strcmp(member, "ReloadUnit") == 0) && at >= 0)
			result = fake_job(fake, call, member, at);
		else if (strcmp(member, "KillUnit") == 0 && at >= 0)
			result = fake_kill(fake, call, at);
		else if (strcmp(member, "StartTransientUnit") == 0 && at >= 0)
			result = fake_job(fake, call, "RestartUnit", at);
		else if (strcmp(member, "StopUnit") == 0 && at >= 0)
			result = sd_bus_reply_method_return(call, "o", FAKE_PATH "/job/8");
		else if (at < 0)
			result = sd_bus_reply_method_errorf(call, FAKE_NAME ".NoSuchUnit", "no such unit");
		else if (strcmp(member, "ResetFailedUnit") == 0 && at >= 0 && ++fake->counts[at].resets)
			result = sd_bus_reply_method_return(call, "");
	}
	free(name);
	free(object);
	return result < 0 ? result : 1;
}

static inline _Noreturn void fake_manager(struct fake_systemd *fake, int ready)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int error = sd_bus_new(&fake->bus);
	if (error >= 0)
		error = sd_bus_set_address(fake->bus, fake->address);
	if (error >= 0)
		error = sd_bus_set_bus_client(fake->bus, 1);
	if (error >= 0)
		error = sd_bus_start(fake->bus);
	if (error >= 0)
		error = sd_bus_add_filter(fake->bus, NULL, fake_on_call, fake);
	if (error >= 0)
		error = sd_bus_request_name(fake->bus, FAKE_NAME, 0);
	if (error < 0 || write(ready, "r", 1) != 1)
		_exit(1);
	while (error >= 0) {
		error = sd_bus_process(fake->bus, NULL);
		if (error == 0)
			error = sd_bus_wait(fake->bus, UINT64_MAX);
	}
	_exit(0);
}

/* 0; or -1 where there is no dbus-daemon. */
static inline int fake_start(struct fake_systemd *fake, const struct fake_unit *units, uint32_t count)
{
	int ready[2];
	char byte, option[160];
	*fake = (struct fake_systemd){ .units = units, .count = count };
	fake->counts = mmap(NULL, count * sizeof(*fake->counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	snprintf(fake->dir, sizeof(fake->dir), "/tmp/nodemend-bus-XXXXXX");
	if (fake->counts == MAP_FAILED || !mkdtemp(fake->dir) || pipe(ready) < 0)
		return -1;
	snprintf(fake->address, sizeof(fake->address), "unix:path=%s/bus", fake->dir);
	snprintf(option, sizeof(option), "--address=%s", fake->address);
	fake->daemon = fork();
	if (fake->daemon == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ready[1], 1);
		execlp("dbus-daemon", "dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1", option, (char *)NULL);
		_exit(127);
	}
	if (read(ready[0], &byte, 1) != 1)
		return -1;
	int started[2];
	if (pipe(started) < 0)
		return -1;
	fake->manager = fork();
	if (fake->manager == 0)
		fake_manager(fake, started[1]);
	close(started[1]);
	bool up = read(started[0], &byte, 1) == 1;
	close(started[0]);
	close(ready[0]);
	close(ready[1]);
	return up ? 0 : -1;
}

static inline void fake_stop(struct fake_systemd *fake)
{
	char path[96];
	if (fake->manager > 0)
		kill(fake->manager, SIGKILL);
	if (fake->daemon > 0)
		kill(fake->daemon, SIGKILL);
	if (fake->manager > 0)
		waitpid(fake->manager, NULL, 0);
	if (fake->daemon > 0)
		waitpid(fake->daemon, NULL, 0);
	snprintf(path, sizeof(path), "%s/bus", fake->dir);
	unlink(path);
	rmdir(fake->dir);
}

#endif
