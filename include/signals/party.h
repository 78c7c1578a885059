/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/* Who takes part in an event: a process as it was at that moment, by an identity that a reused pid cannot take over. */
#ifndef NODEMEND_SIGNALS_PARTY_H
#define NODEMEND_SIGNALS_PARTY_H

#include "wire.h"

struct party {
	__u64 start_ns;              /* CLOCK_BOOTTIME of the leader's start: pid + start_ns never repeat */
	__u64 cgroup_id;
	__s32 pid;                   /* thread group, as the agent's pid namespace sees it; 0 = it does not */
	__u32 uid;                   /* effective */
	char comm[WIRE_COMM_LEN];
};

#endif
