/* SPDX-License-Identifier: Apache-2.0 */
/* From the configuration to what the router and the notices read. */
#ifndef NODEMEND_PUSH_RULES_H
#define NODEMEND_PUSH_RULES_H

#include "output.h"
#include "push/router.h"

/* The rules of the output at this index, in the order of the file; one that lets all through where no route names it. How many. */
uint32_t rules_of(const struct outputs *outputs, uint32_t output, struct rule ret[ROUTER_RULES]);
void rules_home(const struct outputs *outputs, uint32_t output, struct notice_home *ret);

#endif
