/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/* Fatal signals: who ended whom by which signal, and who is credited with it. */
#ifndef NODEMEND_SIGNALS_KILL_H
#define NODEMEND_SIGNALS_KILL_H

#include "signals/party.h"

enum { SIGNAL_NUMBERS = 65 };        /* 1 to 64 */

enum fatal_origin {
	FATAL_UNSEEN,                /* a tracer put it in the place of another one */
	FATAL_BY_TASK,               /* kill() and its kin, cgroup.kill, the death of a parent: the sender is known */
	FATAL_BY_KERNEL,             /* OOM killer, timers, limits, the terminal */
	FATAL_BY_FAULT,              /* the target's own: SIGSEGV, SIGILL, … */
};

enum { FATAL_FLAG_OOM = 1, FATAL_FLAG_TERMINAL = 2 }; /* target chosen by the OOM killer; the sender has a controlling terminal */

struct fatal_record {
	__u64 at_ns;                 /* CLOCK_BOOTTIME of its delivery */
	__u64 sent_ns;               /* of its generation; 0 unseen */
	struct party target, sender; /* sender: zeros unless FATAL_BY_TASK */
	__u32 signal;
	__s32 code;                  /* si_code */
	__u32 origin;
	__u32 flags;
};

/* What is noted of a target until it dies of it, in the kernel only: by the leader's life, several signals at once. */
enum { SIGNALS_NOTED = 4 };          /* systemd sends SIGTERM with SIGHUP, and SIGKILL later */

struct fatal_life {
	__u64 start_ns;
	__u64 pid;                   /* in the initial namespace */
};

struct fatal_note {
	__u64 sent_ns;
	struct party sender;
	__u32 signal;                /* 0 = free */
	__s32 code;
	__u32 origin;
	__u32 flags;
};

struct fatal_notes {
	struct fatal_note each[SIGNALS_NOTED];
	__s32 pid;                   /* as the agent sees it, who prunes those that died of something else */
	__u32 unused;
};

/* By signal: processes that it ended, and those of them without a record. */
struct fatal_count {
	__u64 ended, lost;
};

#ifndef __bpf__
#include <stdbool.h>
#include <stdint.h>

enum killer {
	KILLER_CONTAINER_RUNTIME, KILLER_EARLYOOM, KILLER_KERNEL, KILLER_KERNEL_FAULT, KILLER_KERNEL_OOM, KILLER_KUBELET, KILLER_NODEMEND,
	KILLER_OPERATOR, KILLER_OTHER, KILLER_SELF, KILLER_SYSTEMD, KILLER_SYSTEMD_OOMD, KILLER_TERMINAL, KILLER_UNKNOWN, KILLER_COUNT,
};
extern const char *const killer_names[KILLER_COUNT];
/* "SIGKILL"; "40" in `buffer` for one without a name. */
const char *fatal_signal_name(uint32_t signal, char buffer[16]);

struct fatal_signal {
	struct fatal_record record;
	enum killer killer;
};

/* killers[…][signal]: processes ended. UNKNOWN holds those whose record was lost, so that all of a signal add up to its total. */
struct kill_section {
	uint64_t measured_ns;
	uint64_t ended[KILLER_COUNT][SIGNAL_NUMBERS];
};

/* Who is credited, by what is known of the sender: `unit` of its cgroup ("" unknown), `ours` where it is the agent or a worker. */
enum killer killer_of(const struct fatal_record *record, const char *unit, bool ours);
#endif

#endif
