/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How full our maps and rings are, how often they had no room, and what they hold of the kernel's memory. Ladder of the fill: the kernel's own counts by an iterator
 * (v6.6); below that one map a tick is walked, so that a tick never pays for more than one.
 */
#ifndef NODEMEND_COLLECT_CENSUS_H
#define NODEMEND_COLLECT_CENSUS_H

#include "collector.h"

struct census;

/* Before the first object is loaded or after, as it comes. 0 or -ENOMEM; which rung it stands on is in census_source(). */
int census_new(const struct collector_env *env, struct census **ret);
void census_free(struct census *census); /* NULL is fine */
const char *census_source(const struct census *census); /* "iter/bpf_map" or "walk" */
/* Brings the section up to `now_ns`. Call it before the collectors read their rings: what waits there is then what a tick gathered. */
void census_take(struct census *census, struct map_section *section, uint64_t now_ns);

#endif
