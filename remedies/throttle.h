/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all throttles of a cgroup have in common: whose cgroup it is, that nobody protected is in it, the lease, and the measurement before and
 * after. A throttle itself is a row: which control file, which text, and what counts as its use.
 */
#ifndef NODEMEND_REMEDIES_THROTTLE_H
#define NODEMEND_REMEDIES_THROTTLE_H

#include "remedies/group.h"
#include "remedies/group_control.h"

enum { THROTTLE_USES = 2 };

/* What a row is asked about. */
struct throttle_view {
	const struct remedy_request *request;
	const struct group *group;         /* in the v2 hierarchy */
	const struct knob *knob;
	bool v2;                           /* the knob's hierarchy */
	bool renewed;                      /* on lease of ours already */
	const char *now;                   /* what stands, or what stood before our lease */
	const char *value;                 /* after `value`: what was chosen */
	int proc_fd;
};

struct throttle {
	struct control_name control;
	const char *v1_why;                /* why v1's controller, where there is one, is of no use; NULL: it is */
	bool leaf_only;                    /* not where other cgroups are below it */
	uint64_t watch_ns;                 /* how long its use is watched, before and after */
	bool patient;                      /* what was promised may take until the deadline to show */
	uint64_t (*for_ns)(const union remedy_args *args);
	/* Completes the knob where a line of the file is one device's; NULL: the file is one value. 0; -errno and why. */
	int (*aim)(const struct throttle_view *view, struct knob *knob, char *why, size_t why_size);
	/* The text to write. 0; or -errno and in `why` the reason for which it is refused. */
	int (*value)(const struct throttle_view *view, char *ret, size_t size, char *why, size_t why_size);
	/* Counters of what the cgroup uses, of which the one that grows faster counts; NULL: it is not to be seen in the cgroup itself. */
	int (*used)(const struct throttle_view *view, uint64_t ret[THROTTLE_USES]);
	/* Of `used`, per second, so much may be left of it, whatever it was before; NULL: that is not known. */
	uint64_t (*most)(const struct throttle_view *view);
	/* 1: what was written has taken hold of all of it; 0 and why not. NULL: the file says so. */
	int (*holds)(const struct throttle_view *view, char *why, size_t why_size);
	/* Instead of a comparison of `used`: looks on, and sets the observed effect. 1: as promised; 0: not, and why. */
	int (*watch)(const struct throttle_view *view, uint64_t before, struct remedy_result *result, char *why, size_t why_size);
	uint64_t (*level)(const struct throttle_view *view); /* of `watch`: how much it is before anything is turned */
};

/* Plan and apply of a remedy that is a throttle. */
int throttle_run(const struct throttle *throttle, const struct remedy_request *request, struct remedy_result *result);
/* Check of one: the controller is there and its files may be written. */
int throttle_check(const struct throttle *throttle, const struct remedy_request *request, struct remedy_result *result);

/* --- shared with throttles of single processes --- */

/* Waits, and then turns back what is on lease beyond its time: this lane does nothing else meanwhile, and somebody stopped for seconds must not stay so
 * for a minute because a throttle is looked at. */
void throttle_wait(const struct remedy_request *request, uint64_t ns);
/* Sets observed.use_percent and a step. True: it is as little as was promised; else `why` says it. UNKNOWN: not measured. */
bool throttle_use_is_enough(const struct remedy_request *request, uint64_t before, uint64_t after, struct remedy_result *result);
/* Says why a lease could not be taken. */
void throttle_say_untaken(int error, const char *what, struct remedy_result *result);
/* All that this act has turned is turned back: rolled back, or failed where that failed. */
void throttle_take_back(const struct remedy_request *request, struct remedy_result *result);
/* A number behind a word in a file of the cgroup: "usage_usec " in cpu.stat. 0 or -errno. */
int throttle_number(int dir_fd, const char *file, const char *word, uint64_t *ret);
/* `used` by processor time. cpu.stat of the v2 hierarchy counts with or without the controller (4.15). */
int throttle_cpu_used(const struct throttle_view *view, uint64_t ret[THROTTLE_USES]);

/* `for` of every throttle. */
#define THROTTLE_FOR(member_, longest_s_, initial_) \
	{ .name = "for", .type = VALUE_DURATION, MEMBER(union remedy_args, member_), .min = 1.0 * NSEC_PER_SEC, .max = (longest_s_) * 1e9, .initial = (initial_), \
	  .help = "after which it is turned back, whatever becomes of the agent" }
static inline bool throttle_for_is_sound(uint64_t for_ns, uint64_t longest_s)
{
	return for_ns >= 1000000000ULL && for_ns <= longest_s * 1000000000ULL;
}

#endif
