/* SPDX-License-Identifier: Apache-2.0 */
/* CFS bandwidth control of the cgroups that have names: periods, throttled periods, throttled time, from their cpu.stat. */
#ifndef NODEMEND_COLLECT_BANDWIDTH_H
#define NODEMEND_COLLECT_BANDWIDTH_H

#include "collector.h"

struct bandwidth_reader;
/* NULL: no hierarchy with the cpu controller is mounted, or no memory. */
struct bandwidth_reader *bandwidth_new(const struct collector_env *env);
void bandwidth_free(struct bandwidth_reader *reader); /* NULL is fine */
/* Fills snap->bandwidths for the rows of snap->cgroups. */
void bandwidth_read(struct bandwidth_reader *reader, struct snapshot *snap);

/* A whole cpu.stat of either version; -ENODATA where it has no periods: no controller, or no limit ever. */
int bandwidth_parse(const char *text, size_t size, struct bandwidth *ret);

#endif
