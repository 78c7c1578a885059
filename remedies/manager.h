/* SPDX-License-Identifier: Apache-2.0 */
/* What restart-unit asks of systemd over D-Bus: what a unit is, that it be restarted, and how that ended. Every call has a deadline. */
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
	struct unit_names names;     /* its aliases, its own name among them */
	struct unit_names bound;     /* units that a restart of it restarts as well */
};

/* `address`: "" = the system bus; /run/systemd/private is systemd's own socket, which is no bus. 0 or -errno. */
int manager_connect(const char *address, uint64_t deadline_boot_ns, struct sd_bus **ret);
int manager_version(struct sd_bus *bus, char *ret, size_t size); /* also proves that systemd answers */
/* Loads it where it is not loaded; a unit that is not there has the load state "not-found". 0 or -errno. */
int manager_facts(struct sd_bus *bus, const char *unit, struct unit_facts *ret);
int manager_reset_failed(struct sd_bus *bus, const char *unit);

/* What a restart waits for; lives on the caller's stack as long as the connection. */
struct job_watch {
	char path[PATH_LEN];   /* of the job; "" = not begun */
	char result[NAME_LEN]; /* "" = not yet over; "done" is success */
};
int manager_watch_jobs(struct sd_bus *bus, struct job_watch *watch);
int manager_restart(struct sd_bus *bus, const char *unit, struct job_watch *watch);
int manager_cancel(struct sd_bus *bus, const struct job_watch *watch);
/* Handles what comes in until something came or the time is there; 1, 0, -errno. */
int manager_process(struct sd_bus *bus, uint64_t until_boot_ns);
/* Wakes manager_process when the unit changes. */
int manager_watch_unit(struct sd_bus *bus, const char *path);
void manager_disconnect(struct sd_bus *bus);

#endif
