/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child that tells the world, publisher or sender: a program started with descriptors and nothing else, started again when it dies,
 * told without waiting. Whatever happens to it, the agent goes on.
 */
#ifndef NODEMEND_CHILD_H
#define NODEMEND_CHILD_H

#include <stdbool.h>
#include <stdint.h>

struct agent;
struct publisher_message;
struct sd_event_source;

enum { CHILD_MAX_FDS = 8 };

/* What a child is started with: argv, and the descriptors that become 3, 4, …; -1 stands for its end of the socket. */
struct child_start {
	const char *program;           /* path of the executable */
	char *const *argv;
	int fds[CHILD_MAX_FDS];
	int fd_count;
	const struct publisher_message *first; /* waits for it when it begins; NULL: none */
};

struct child {
	const char *name;              /* as messages call it */
	int (*start)(struct agent *agent); /* calls child_spawn() */
	struct agent *agent;
	bool wanted;                   /* else it is not started again */
	bool stopped;                  /* by us: its end is no accident */
	int pid, fd;                   /* 0 and -1: not running */
	struct sd_event_source *timer;
	uint64_t started_ns, restarts, lost; /* lost: messages that did not fit into its socket */
	uint32_t quick_deaths;         /* in a row */
};

int child_open(struct child *child, struct agent *agent);        /* its timer; 0 or -errno */
void child_start(struct child *child);                           /* where it is wanted and not running; tried again where it fails */
int child_spawn(struct child *child, const struct child_start *start);
void child_stop(struct child *child);                            /* SIGTERM; it comes back if it is wanted */
void child_close(struct child *child);
/* Whether `pid` was it; it is started again then, not in a tight loop. */
bool child_ended(struct child *child, int pid);
void child_tell(struct child *child, const struct publisher_message *message);

#endif
