/* SPDX-License-Identifier: Apache-2.0 */
/* What the remedies on units ask of systemd over D-Bus: what a unit is, that something be done to it, and how that ended. Every call has a deadline. */
#ifndef NODEMEND_REMEDIES_MANAGER_H
#define NODEMEND_REMEDIES_MANAGER_H

#include "remedy.h"

struct sd_bus;

enum { MAX_UNIT_NAMES = 32 };

struct unit_names {
	uint32_t count;
	bool cut;              /* there were more */
	char each[MAX_UNIT_NAMES][NAME_LEN];
};

struct unit_facts {
	char path[PATH_LEN];   /* of the object */
	char load_state[NAME_LEN], active_state[NAME_LEN], sub_state[NAME_LEN], result[NAME_LEN];
	uint32_t main_pid, restarts; /* 0 for what is no service */
	bool may_start;        /* false: RefuseManualStart or RefuseManualStop */
	bool can_reload;
	bool condition;        /* false: when it was to be started last, a Condition… of its file did not hold */
	uint32_t job;          /* somebody has asked for something that is not over; 0: nobody */
	uint64_t began_awake_ns;     /* CLOCK_MONOTONIC: when it last left inactive; 0: never */
	uint64_t changed_awake_ns;   /* when its state changed last */
	uint64_t start_limit_ns, stop_limit_ns; /* its own TimeoutStartSec and TimeoutStopSec; UNKNOWN: none, or not a service */
	struct unit_names names;     /* its aliases, its own name among them */
	struct unit_names bound;     /* units that a restart of it restarts as well */
	struct unit_names needs;     /* units without which it does not run: Requires, BindsTo, Requisite */
};

/* `address`: "" = the system bus; /run/systemd/private is systemd's own socket, which is no bus. 0 or -errno. */
int manager_connect(const char *address, uint64_t deadline_boot_ns, struct sd_bus **ret);
int manager_version(struct sd_bus *bus, char *ret, size_t size); /* also proves that systemd answers */
/* Loads it where it is not loaded; a unit that is not there has the load state "not-found". 0 or -errno. */
int manager_facts(struct sd_bus *bus, const char *unit, struct unit_facts *ret);
int manager_reset_failed(struct sd_bus *bus, const char *unit);
/* KILL to all of its processes, by systemd itself, which knows them. */
int manager_kill(struct sd_bus *bus, const char *unit);
/* Processor time that a service and all that it started have used; UNKNOWN where nobody counts it. 0 or -errno. */
int manager_processor_time(struct sd_bus *bus, const char *path, uint64_t *ret_ns);

/* What a restart waits for; lives on the caller's stack as long as the connection. */
struct job_watch {
	char path[PATH_LEN];   /* of the job; "" = not begun */
	char result[NAME_LEN]; /* "" = not yet over; "done" is success */
};
int manager_watch_jobs(struct sd_bus *bus, struct job_watch *watch);
/* `method`: StartUnit, RestartUnit, ReloadUnit. */
int manager_job(struct sd_bus *bus, const char *method, const char *unit, struct job_watch *watch);
int manager_cancel(struct sd_bus *bus, const struct job_watch *watch);
/* Handles what comes in until something came or the time is there; 1, 0, -errno. */
int manager_process(struct sd_bus *bus, uint64_t until_boot_ns);
/* Wakes manager_process when the unit changes. */
int manager_watch_unit(struct sd_bus *bus, const char *path);
void manager_disconnect(struct sd_bus *bus);

#endif
