/* SPDX-License-Identifier: Apache-2.0 */
/* What the snapshot says of an anomaly's target. */
#ifndef NODEMEND_DETECT_ANOMALY_CAUSE_H
#define NODEMEND_DETECT_ANOMALY_CAUSE_H

#include "record.h"

/* Of the node, or of the cgroup that the target is; NULL: it is not watched. */
const struct anomaly_scope *anomaly_of(const struct snapshot *snap, const struct target *target);
/* The series with most evidence, as causes. Returns how many. */
uint32_t anomaly_causes(const struct snapshot *snap, const struct target *target, struct cause ret[MAX_CAUSES]);

#endif
