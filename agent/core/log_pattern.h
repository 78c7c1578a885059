/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shipped patterns: what the kernel and common services write when they are in trouble. A name may have several rows. Groups with a
 * name say what a line is about: device, filesystem (its device), interface, unit, pid; comm and others are for the reader of the line.
 */
#ifndef NODEMEND_CORE_LOG_PATTERN_H
#define NODEMEND_CORE_LOG_PATTERN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct log_pattern {
	const char *name, *regex, *help;
	bool kernel;                 /* of the kernel's own lines; else of services' */
};
extern const struct log_pattern log_patterns[];
extern const uint32_t log_pattern_count;

/* The first row of this name; NULL: there is none. */
const struct log_pattern *log_pattern_find(const char *name);
/* The reference for docs/, in Markdown. */
void log_patterns_print_reference(FILE *out);

#endif
