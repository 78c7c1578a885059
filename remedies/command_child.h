/* SPDX-License-Identifier: Apache-2.0 */
/* What a command is made of between the fork and its first instruction: nothing of ours, and no more of root than it was given. */
#ifndef NODEMEND_REMEDIES_COMMAND_CHILD_H
#define NODEMEND_REMEDIES_COMMAND_CHILD_H

#include "remedies/command.h"

struct command_child {
	const struct command *command;
	char *const *environment;
	int program, input, output, complaint, status; /* `status`: written to, an int -errno, where it could not become the command */
	int group_procs;                               /* -1: it is in its cgroup already, or has none */
	pid_t parent;
	uint64_t data_max;                             /* of each process; 0: the cgroup limits them */
};

_Noreturn void command_become(const struct command_child *child);

#endif
