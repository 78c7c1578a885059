/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a program that is not ours, as root must: what may be run, what it gets, how much of the node it may use, and that it ends with all that
 * it started. No shell. It blocks until then, so it is for the hands (LANE_SLOW) alone.
 */
#ifndef NODEMEND_REMEDIES_COMMAND_H
#define NODEMEND_REMEDIES_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Where 0 is given. A package manager or an image store's own tool stays well below both. */
enum { COMMAND_DEFAULT_TASKS = 128 };
#define COMMAND_DEFAULT_MEMORY (512ULL << 20)

struct command {
	const char *path;                     /* see program_open() in core/program.h */
	const char *const *argv;              /* ends with NULL; [0] is the program's name for itself */
	const char *input;                    /* all of its stdin; NULL: nothing */
	size_t input_size;
	char *output;                         /* what it prints, ended by a NUL; NULL: not kept */
	size_t output_size;
	char *complaint;                      /* likewise of stderr; why it was not started */
	size_t complaint_size;
	uint64_t deadline_boot_ns;            /* SIGTERM then, SIGKILL a second later */
	uid_t uid;
	gid_t gid;
	uint64_t memory_max;                  /* of all it starts together; 0: the default. Without a v2 memory controller: of each process' data */
	uint32_t tasks_max;                   /* 0: the default. Needs the v2 controller */
	const char *const *environment;       /* "NODEMEND_NAME=value", ends with NULL; beside PATH and LANG. NULL: none */
	uint64_t capabilities;                /* uid 0: bits it keeps beside those over files and its own identity */
};

struct command_end {
	int exit_code;                        /* -1: it ended by `signal` */
	int signal;
	bool timed_out;
	uint32_t left_over;                   /* processes that outlived it, and were killed */
	uint64_t dropped_bytes;               /* printed beyond what is kept */
};

/*
 * An absolute path, every directory of it and the file root's alone, run by the descriptor that was checked; in a cgroup of its own where there is a v2
 * hierarchy, else found again by descent; nobody is left behind. 0, or -errno where it was not started: -EPERM the path is not
 * safe, -ETIME the deadline is past, -EINVAL; said in `complaint`. -EBUSY: it ran, and something of it could not be killed.
 */
int command_run(const struct command *command, struct command_end *ret);

/* Kills what commands of a runner left behind that is not there any more, by their cgroups; how many cgroups that were. */
uint32_t command_sweep(void);

#endif
