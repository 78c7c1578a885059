/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nodemend itself costs, program by program and collector by collector, what its maps hold, and what the governor made of
 * it. A rate is nanoseconds of processor time a second, so that 1e9 is one processor kept busy.
 */
#ifndef NODEMEND_SIGNALS_GOVERNOR_H
#define NODEMEND_SIGNALS_GOVERNOR_H

#ifndef __bpf__
#include <stdbool.h>
#include <stdint.h>

enum {
	MAX_BPF_PROGRAMS = 256,
	MAX_BPF_MAPS = 192,
	BPF_NAME_LEN = 64,             /* object/program, object/map */
	COST_ROWS = 32,                /* as many as collectors fit into a snapshot */
};

/* The kernel counts runs only in the windows in which we ask it to; in the snapshot these are estimates of all the time since the load. */
struct bpf_program_stat {
	char name[BPF_NAME_LEN];
	uint32_t id;                   /* the kernel's */
	uint32_t collector;            /* whose it is; NO_INDEX: the agent's own */
	bool runs_for_us;              /* an iterator: its time is in the agent's own */
	uint64_t run_ns, run_count;
	uint64_t run_rate;             /* in the last window */
};

struct program_section {
	uint64_t measured_ns;          /* end of the last window; 0: the kernel does not count */
	uint32_t count, cut;
	struct bpf_program_stat each[MAX_BPF_PROGRAMS];
};

struct bpf_map_stat {
	char name[BPF_NAME_LEN];
	uint32_t collector;
	uint64_t entries;              /* rows; of a ring: bytes not yet read, right before the tick reads them. UNKNOWN: an array */
	uint64_t capacity;             /* in the same unit; UNKNOWN: grows with what it belongs to */
	uint64_t refused;              /* rows and records that found no room, since its object was loaded. UNKNOWN: an array */
	uint64_t bytes;                /* kernel memory */
};

struct map_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct bpf_map_stat each[MAX_BPF_MAPS];
};

enum arm_reason { ARM_CPU, ARM_MEMORY, ARM_IO, ARM_FINDING, ARM_REASON_COUNT };

struct collector_cost {
	uint64_t kernel_rate, user_rate; /* its programs; its collect() */
	uint64_t steps_down, steps_up;
};

struct governor_section {
	uint64_t measured_ns;          /* end of the last window; 0: none yet, and then no rate is known */
	uint64_t windows;
	uint64_t kernel_rate, agent_rate, publisher_rate;
	uint64_t budget_rate;          /* what the budget allows for the three together */
	uint64_t memory_bytes, memory_budget_bytes; /* of all our processes, each page once, and the maps */
	uint32_t processors;           /* online: the node is so many times 1e9 */
	uint32_t shed_level;           /* steps down in force, of all collectors */
	bool exhausted;                /* over budget, and nothing is left to step down */
	bool short_of_memory;          /* over the memory budget: the deep tier is not armed */
	bool armed;
	uint64_t armed_until_ns;
	enum arm_reason armed_by;
	uint64_t arms[ARM_REASON_COUNT];
	struct collector_cost each[COST_ROWS]; /* by collector */
};

#endif
#endif
