/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pressure stall information, from /proc/pressure. The kernel's averages lag by design; interval_permille is made here from
 * the totals, so that what happens after an act is seen at once. The section counts as measured once there is an interval.
 */
#include "collect/procfs.h"
#include "collector.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const files[PSI_RESOURCE_COUNT] = {
	[PSI_CPU] = "pressure/cpu", [PSI_MEMORY] = "pressure/memory", [PSI_IO] = "pressure/io",
};

#define PAST_NS ((uint64_t)TRIGGER_WINDOW_S * NSEC_PER_SEC)
enum { PAST_SAMPLES = 12 }; /* a sixth of a second apart at least, so that they reach back two seconds at fast ticks, too */

struct psi_state {
	int fd[PSI_RESOURCE_COUNT];
	uint64_t full_ns;       /* boot time of the last full tick */
	uint64_t some_total[PSI_RESOURCE_COUNT], full_total[PSI_RESOURCE_COUNT]; /* then */
	bool has_interval;
	struct { uint64_t at_ns, some[PSI_RESOURCE_COUNT], full[PSI_RESOURCE_COUNT]; } past[PAST_SAMPLES]; /* newest first; at_ns 0: none */
	char buffer[4096];
};

/* "avg10=0.00 avg60=0.00 avg300=0.00 total=0" */
static int parse_line(struct span *line, struct psi_line *ret)
{
	const struct {
		const char *prefix;
		uint32_t *to;
	} averages[] = { { "avg10=", &ret->avg10_centi }, { "avg60=", &ret->avg60_centi }, { "avg300=", &ret->avg300_centi } };
	struct span word;
	uint64_t total_us;

	for (size_t i = 0; i < 3; i++)
		if (!span_word(line, &word) || !span_starts(&word, averages[i].prefix) || !span_fixed2(&word, averages[i].to) ||
		    *averages[i].to > 10000)
			return -EINVAL;
	if (!span_word(line, &word) || !span_starts(&word, "total=") || !span_number(&word, &total_us) ||
	    __builtin_mul_overflow(total_us, NSEC_PER_USEC, &ret->total_ns))
		return -EINVAL;
	return 0;
}

int psi_parse(const char *text, size_t size, struct psi_line *ret_some, struct psi_line *ret_full, bool *ret_has_full)
{
	struct psi_line some = { 0 }, full = { 0 };
	bool has_some = false, has_full = false;
	struct span whole, line, word;

	int error = span_of(text, size, &whole);
	if (error)
		return error;
	while (!error && span_line(&whole, &line)) {
		if (!span_word(&line, &word))
			continue;
		if (span_is(&word, "some")) {
			error = parse_line(&line, &some);
			has_some = true;
		} else if (span_is(&word, "full")) {
			error = parse_line(&line, &full);
			has_full = true;
		}
	}
	if (error || !has_some)
		return -EINVAL;

	*ret_some = some;
	*ret_full = full;
	*ret_has_full = has_full;
	return 0;
}

static void psi_close(void *opaque)
{
	struct psi_state *state = opaque;
	if (!state)
		return;
	for (int i = 0; i < PSI_RESOURCE_COUNT; i++)
		if (state->fd[i] >= 0)
			close(state->fd[i]);
	free(state);
}

static void say_why(struct collector_status *status, const char *file, int error)
{
	/* Where it was left out or switched off at boot the files are missing, or there and refuse to be read. */
	if (error == -ENOENT || error == -EOPNOTSUPP)
		snprintf(status->why, sizeof(status->why), "no /proc/pressure: kernel without CONFIG_PSI or psi=0");
	else
		snprintf(status->why, sizeof(status->why), "/proc/%s: %s", file, strerror(-error));
}

static int psi_open(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct psi_state *state = calloc(1, sizeof(*state));
	if (!state)
		return -ENOMEM;

	snprintf(status->source, sizeof(status->source), "procfs");
	for (int i = 0; i < PSI_RESOURCE_COUNT; i++)
		state->fd[i] = -1;
	for (int i = 0; i < PSI_RESOURCE_COUNT; i++) {
		state->fd[i] = procfs_open(env->proc_fd, files[i]);
		int error = state->fd[i];
		if (error >= 0)
			error = (int)procfs_read(state->fd[i], state->buffer, sizeof(state->buffer));
		if (error < 0) {
			say_why(status, files[i], error);
			psi_close(state);
			return error;
		}
	}

	status->state = COLLECTOR_UP;
	*ret_state = state;
	return 0;
}

static uint32_t stalled_permille(uint64_t before_ns, uint64_t after_ns, uint64_t elapsed_ns)
{
	if (after_ns <= before_ns || !elapsed_ns)
		return 0;
	double share = (double)(after_ns - before_ns) * 1000 / (double)elapsed_ns;
	return share < 1000 ? (uint32_t)share : 1000;
}

/* The share of the last full interval stands until the next full tick. */
static void take_interval(struct psi_state *state, struct psi_section *next, const struct psi_section *old, uint64_t now_ns, bool full)
{
	for (int i = 0; i < PSI_RESOURCE_COUNT; i++) {
		uint64_t elapsed_ns = now_ns - state->full_ns;
		next->some[i].interval_permille = full ? stalled_permille(state->some_total[i], next->some[i].total_ns, elapsed_ns) :
							 old->some[i].interval_permille;
		next->full[i].interval_permille = full ? stalled_permille(state->full_total[i], next->full[i].total_ns, elapsed_ns) :
							 old->full[i].interval_permille;
		if (full) {
			state->some_total[i] = next->some[i].total_ns;
			state->full_total[i] = next->full[i].total_ns;
		}
	}
}

/* Against the youngest sample that is old enough. */
static void take_recent(struct psi_state *state, struct psi_section *next, uint64_t now_ns)
{
	int at = 0;
	while (at < PAST_SAMPLES - 1 && state->past[at].at_ns && state->past[at].at_ns + PAST_NS > now_ns && state->past[at + 1].at_ns)
		at++;
	uint64_t elapsed_ns = state->past[at].at_ns ? now_ns - state->past[at].at_ns : 0;
	for (int i = 0; i < PSI_RESOURCE_COUNT; i++) {
		next->some[i].recent_permille = stalled_permille(state->past[at].some[i], next->some[i].total_ns, elapsed_ns);
		next->full[i].recent_permille = stalled_permille(state->past[at].full[i], next->full[i].total_ns, elapsed_ns);
	}
	if (state->past[0].at_ns && now_ns - state->past[0].at_ns < PAST_NS / PAST_SAMPLES)
		return;
	memmove(&state->past[1], &state->past[0], (PAST_SAMPLES - 1) * sizeof(state->past[0]));
	state->past[0].at_ns = now_ns;
	for (int i = 0; i < PSI_RESOURCE_COUNT; i++) {
		state->past[0].some[i] = next->some[i].total_ns;
		state->past[0].full[i] = next->full[i].total_ns;
	}
}

static int psi_collect(void *opaque, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct psi_state *state = opaque;
	struct psi_section next = { 0 };

	for (int i = 0; i < PSI_RESOURCE_COUNT; i++) {
		ssize_t length = procfs_read(state->fd[i], state->buffer, sizeof(state->buffer));
		if (length < 0)
			return (int)length;
		int error = psi_parse(state->buffer, (size_t)length, &next.some[i], &next.full[i], &next.has_full[i]);
		if (error)
			return error;
	}

	bool first = !state->full_ns;
	take_recent(state, &next, snap->boot_ns);
	take_interval(state, &next, &snap->psi, snap->boot_ns, full);
	if (full)
		state->full_ns = snap->boot_ns;
	state->has_interval |= full && !first;
	if (state->has_interval)
		next.measured_ns = snap->boot_ns;
	snap->psi = next;
	return 0;
}

const struct collector collector_psi = {
	.name = "psi", .id = COLLECTOR_PSI, .fast = true, .open = psi_open, .collect = psi_collect, .close = psi_close,
};
