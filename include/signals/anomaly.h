/* SPDX-License-Identifier: Apache-2.0 */
/* How unusual the node and its cgroups are just now, against their own past; detect/watch.c fills it. */
#ifndef NODEMEND_SIGNALS_ANOMALY_H
#define NODEMEND_SIGNALS_ANOMALY_H

#include <stdbool.h>
#include <stdint.h>

enum { MAX_ANOMALY_SCOPES = 49, ANOMALY_TOP = 5, ANOMALY_SERIES_LEN = 80, ANOMALY_FEATURE_LEN = 16 };

/* One series that brought much evidence. */
struct anomaly_sign {
	char series[ANOMALY_SERIES_LEN];   /* "disk sda read bytes/s" */
	char feature[ANOMALY_FEATURE_LEN]; /* "jump" */
	double seen, expected;
	float share;
};

/* The node, or one cgroup. */
struct anomaly_scope {
	uint64_t cgroup_id;                /* 0: the node */
	uint64_t measured_ns;              /* 0: never; too little is known yet */
	double score;                      /* the sum of the evidence of its series */
	double threshold;                  /* the score that is to be expected once a day */
	double alarms_per_day;             /* how often a day its own past would give a score like that of the alarm that stands; high: none stands */
	uint64_t since_ns;                 /* CLOCK_BOOTTIME of that alarm; 0: none */
	uint32_t top_count;
	struct anomaly_sign top[ANOMALY_TOP]; /* of that alarm, most evidence first */
};

struct anomaly_section {
	uint64_t measured_ns;
	uint32_t watched, folded;          /* series; those for which there was no room */
	uint32_t count, cut;
	struct anomaly_scope each[MAX_ANOMALY_SCOPES]; /* [0] is the node */
};

#endif
