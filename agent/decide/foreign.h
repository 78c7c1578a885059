/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger of everybody else's kills: the kernel's OOM killer, a kubelet, systemd-oomd, earlyoom, a container runtime, a person. They start the
 * cooldown that an act of ours would have started, and are credited in the incident's record. Pure.
 */
#ifndef NODEMEND_DECIDE_FOREIGN_H
#define NODEMEND_DECIDE_FOREIGN_H

#include "decide/decide.h"

/* Takes what the snapshot's events tell since the last call. */
void foreign_take(struct engine *engine, const struct snapshot *snap, const struct circumstances *now, struct changes *ret);
/* Whether one of them concerns this target and was at or after `since_boot_ns`. `incident` may be NULL: then only the target itself counts. */
bool foreign_since(const struct saved_state *saved, const struct finding *finding, const struct incident *incident, int64_t since_boot_ns);

#endif
