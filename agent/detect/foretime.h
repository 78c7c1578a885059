/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the signals of the policies were before anybody knew that they would matter: the last two minutes of each, a value a second, so that
 * an incident can show how it came about. Bounded; who finds no room has no past. Pure: fed by detection.
 */
#ifndef NODEMEND_DETECT_FORETIME_H
#define NODEMEND_DETECT_FORETIME_H

#include "record.h"

struct foretime_log;
struct foretime_log *foretime_new(void); /* NULL: no memory */
void foretime_free(struct foretime_log *log);
/* The value of a metric for the target with this key. After a gap of more than three intervals the past begins anew: what lies before it is not
 * what led here. */
void foretime_note(struct foretime_log *log, const char *metric, const char *key, uint64_t boot_ns, uint64_t interval_ns, double value);
/* Count 0: nothing is known. `log` may be NULL. */
void foretime_read(const struct foretime_log *log, const char *metric, const char *key, struct foretime *ret);

#endif
