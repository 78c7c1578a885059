/* SPDX-License-Identifier: Apache-2.0 */
/* When a unit that could be restarted had better not be: it goes round in a loop, or it works and is only slow. */
#ifndef NODEMEND_REMEDIES_RESTART_GUARD_H
#define NODEMEND_REMEDIES_RESTART_GUARD_H

#include "remedies/unit_act.h"

/* How often it was restarted of late, by us and by systemd, and how long ago by us. 0; 1: refused. */
int restart_check_loop(struct unit_act *act);
/* Watches it for a moment. 0: it does not work; 1: it does, so refused; -errno. */
int restart_check_stuck(struct unit_act *act);

#endif
