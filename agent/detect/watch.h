/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches the numbers of watch_table.h for anomalies, at ten seconds and, for the node, at five minutes, and says how often a day the
 * past of the node (or cgroup) would give a score as high as now's: an alarm is what is rarer than a policy's budget. Pure, as anomaly.h is.
 */
#ifndef NODEMEND_DETECT_WATCH_H
#define NODEMEND_DETECT_WATCH_H

#include <stddef.h>

#include "snapshot.h"

/* Of the state that is kept: 0.9 MB, of which a node touches what it has. */
enum { WATCH_MAX_SERIES = 1024, WATCH_LANES = 2 };

struct watch;
struct watch *watch_new(void);  /* NULL: out of memory */
void watch_free(struct watch *watch);
/* Takes this full tick in and brings snap->anomaly up to date. */
void watch_take(struct watch *watch, struct snapshot *snap);

/*
 * What was learnt, for a file: watch_save writes at most watch_saved_most() bytes and returns how many. watch_load takes them back: 0; -EBADMSG with a
 * sentence, and then the watch is as new. Series go on after a break: what lies between two runs of the agent is no jump.
 */
size_t watch_saved_most(void);
size_t watch_save(const struct watch *watch, void *to);
int watch_load(struct watch *watch, const void *from, size_t size, char *why, size_t why_size);

#endif
