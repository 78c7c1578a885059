/* SPDX-License-Identifier: Apache-2.0 */
/* See probe_once.h. */
#include "collect/probe_once.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "collect/probe.h"
#include "collect/probe_command.h"
#include "collect/procfs.h"
#include "core/clock.h"

/* How long a command that was killed is waited for: it is gone as soon as it is scheduled, or hangs in the kernel. */
#define LAST_WAIT_NS NSEC_PER_SEC
enum { MAX_OTHERS = 64 };

static void step(struct probe_run *run, uint64_t until)
{
	uint64_t now = clock_boot_ns();
	struct pollfd waiting = { .fd = run->fd, .events = run->events };
	int ready = poll(&waiting, run->fd >= 0, until > now ? (int)((until - now) / NSEC_PER_MSEC) + 1 : 0);
	(void)probe_step(run, ready > 0, clock_boot_ns());
}

/* Children that are none of the command's: a command is waited for while others may be there. */
struct others {
	bool known;
	uint32_t count;
	pid_t each[MAX_OTHERS];
};

static void look_for_others(struct others *others)
{
	char text[1024];
	uint64_t pid;
	ssize_t length = procfs_read_at(AT_FDCWD, "/proc/thread-self/children", text, sizeof(text));
	others->count = 0;
	others->known = length >= 0;
	struct span children = { text, text + (length > 0 ? length : 0) };
	while (others->known && span_next_number(&children, &pid)) {
		others->known = others->count < MAX_OTHERS;
		if (others->known)
			others->each[others->count++] = (pid_t)pid;
	}
}

static void put_away(struct probe_run *run)
{
	probe_reset(run, UINT64_MAX);
	for (uint64_t until = clock_boot_ns() + LAST_WAIT_NS; run->phase != PROBE_IDLE && clock_boot_ns() < until;)
		step(run, until);
	probe_free(run);
}

static bool ask(const struct probe *asked, uint64_t now, char *why, size_t size)
{
	struct probe_run run;
	probe_init(&run, asked, now);
	(void)probe_step(&run, false, now);
	while (run.state == PROBE_UNKNOWN)
		step(&run, now + asked->timeout_ns);
	snprintf(why, size, "%s", run.why);
	bool passes = run.state == PROBE_PASSING;
	put_away(&run);
	return passes;
}

/* What a command leaves behind comes to us, and ends. */
static bool ask_command(const struct probe *asked, uint64_t now, char *why, size_t size)
{
	struct others others;
	int was_subreaper = 0;
	look_for_others(&others);
	(void)prctl(PR_GET_CHILD_SUBREAPER, &was_subreaper, 0, 0, 0);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	bool passes = ask(asked, now, why, size);
	if (others.known)
		command_reap_strays(others.each, others.count);
	(void)prctl(PR_SET_CHILD_SUBREAPER, was_subreaper, 0, 0, 0);
	return passes;
}

bool probe_once(const struct probe *what, uint64_t patience_ns, char *why, size_t size)
{
	struct probe asked = *what;
	asked.timeout_ns = patience_ns;
	asked.every_ns = UINT64_MAX / 4; /* no second time */
	asked.failures = 1;
	if (!asked.status_to) {
		asked.status_from = 200;
		asked.status_to = 399;
	}
	uint64_t now = clock_boot_ns();
	return what->type == PROBE_TYPE_COMMAND ? ask_command(&asked, now, why, size) : ask(&asked, now, why, size);
}
