/* SPDX-License-Identifier: Apache-2.0 */
/* Names of systemd's units, as systemd.unit(5) has them. */
#ifndef NODEMEND_CORE_UNIT_NAME_H
#define NODEMEND_CORE_UNIT_NAME_H

/* ".service", …; NULL: no unit's name ends so. */
const char *unit_suffix(const char *name);
/* Why this cannot be one unit's full name; NULL when it can. */
const char *unit_name_problem(const char *name);

#endif
