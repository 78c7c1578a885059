/* SPDX-License-Identifier: Apache-2.0 */
/* What csv.c asks of a single field. */
#ifndef NODEMEND_CSV_TIME_H
#define NODEMEND_CSV_TIME_H

#include <stdbool.h>
#include <stdint.h>

/* A decimal number and nothing else: no blanks, no hexadecimal, no words. */
bool csv_number(const char *text, double *ret);
/* Unix seconds or ISO 8601; see csv.h. */
bool csv_time(const char *text, int64_t *ret_ns);

#endif
