/* SPDX-License-Identifier: Apache-2.0 */
/* When which unit was restarted by us, beside the book of leases: systemd counts only what it starts again by itself. */
#ifndef NODEMEND_REMEDIES_RESTART_BOOK_H
#define NODEMEND_REMEDIES_RESTART_BOOK_H

#include "remedy.h"

enum { RESTARTS_KEPT = 16 };

struct restarts {
	uint32_t count;                       /* of those kept */
	uint64_t boot_ns[RESTARTS_KEPT];      /* the newest first */
};

/* Of this boot. 0, also where there is no book; -errno where it cannot be read: then nothing is known. `lease_book`: it lies beside it. */
int restarts_read(const char *lease_book, const char *unit, struct restarts *ret);
/* Before it is restarted. Where there is no place, the unit that was restarted the longest time ago is forgotten. 0 or -errno. */
int restarts_note(const char *lease_book, const char *unit, uint64_t now_boot_ns);

#endif
