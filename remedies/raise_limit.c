/* SPDX-License-Identifier: Apache-2.0 */
/* See raise_limit.h. */
#include "remedies/raise_limit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "lease.h"
#include "remedies/act.h"

enum { LEAST_TIMES = 1, MOST_TIMES = 10 };

struct level { /* of one table */
	struct knob knob;
	uint64_t entries, limit, to;
};

/* --- reading -------------------------------------------------------------------------------------------------------------- */

static int read_text(const char *path, char *ret, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -errno : read(fd, ret, size - 1);
	if (got < 0 && fd >= 0)
		got = -errno;
	if (fd >= 0)
		close(fd);
	if (got >= 0)
		ret[got] = '\0';
	return got < 0 ? (int)got : 0;
}

static int read_entries(const struct raise_row *row, uint64_t *ret)
{
	char text[1024], *end;
	int error = read_text(row->entries, text, sizeof(text));
	if (error)
		return error;
	const char *at = row->statistics ? strchr(text, '\n') : text;
	if (!at)
		return -EINVAL;
	*ret = strtoull(at, &end, row->statistics ? 16 : 10);
	return end == at ? -EINVAL : 0;
}

static int read_memory(uint64_t *ret_bytes)
{
	char text[128];
	static const char word[] = "MemTotal:"; /* always the first line */
	int error = read_text("/proc/meminfo", text, sizeof(text));
	if (error)
		return error;
	if (strncmp(text, word, sizeof(word) - 1) != 0)
		return -EINVAL;
	*ret_bytes = strtoull(text + sizeof(word) - 1, NULL, 10) * 1024;
	return *ret_bytes ? 0 : -EINVAL;
}

static int read_level(const struct raise_row *row, struct level *ret)
{
	char text[LEASE_TEXT_LEN], *end;
	memset(ret, 0, sizeof(*ret));
	ret->knob.kind = KNOB_SYSCTL;
	snprintf(ret->knob.file, sizeof(ret->knob.file), "/proc/sys/%s", row->limit);
	int error = knob_read(&ret->knob, text, sizeof(text));
	if (error)
		return error;
	ret->limit = strtoull(text, &end, 10);
	if (end == text || *end || !ret->limit)
		return -EINVAL;
	return read_entries(row, &ret->entries);
}

uint64_t raise_to(uint64_t limit, uint64_t memory_bytes, uint64_t entry_bytes, const struct raise_limit_args *args)
{
	double room = (double)memory_bytes * args->memory_percent / 100 / (double)entry_bytes, wanted = (double)limit * args->times;
	double to = wanted < room ? wanted : room;
	return to > (double)INT32_MAX ? INT32_MAX : to < (double)limit ? limit : (uint64_t)to; /* the kernel keeps both as an int */
}

/* --- raising -------------------------------------------------------------------------------------------------------------- */

/* What is left of its use when the limit is raised so far, in percent. */
static uint64_t use_left(const struct level *before, uint64_t entries, uint64_t limit)
{
	if (!before->entries)
		return 100;
	return (uint64_t)lround(100.0 * (double)entries / (double)limit / ((double)before->entries / (double)before->limit));
}

static void worst_use(uint64_t *use, uint64_t of_this)
{
	if (*use == UNKNOWN || of_this > *use)
		*use = of_this;
}

/* 1: it is so full that it is to be raised, and can be; 0: not; and the last reason stands in the result. */
static int plan_row(const struct raise_row *row, const struct remedy_request *request, struct level *level, struct remedy_result *result)
{
	const struct raise_limit_args *args = &request->args.raise_limit;
	uint64_t memory;
	int error = read_level(row, level);
	if (error == 0)
		error = read_memory(&memory);
	if (error) {
		act_refuse(result, "no-table", "%s: %s", row->what, error == -ESTALE ? "this host has no limit of them" : strerror(-error));
		return 0;
	}
	if ((double)level->entries * 100 < (double)level->limit * args->full_percent) {
		act_refuse(result, "not-full", "%s: %" PRIu64 " of %" PRIu64 ", which is less than %.0f %%", row->what, level->entries, level->limit,
			   args->full_percent);
		return 0;
	}
	level->to = raise_to(level->limit, memory, row->entry_bytes, args);
	if (level->to <= level->limit) {
		act_refuse(result, "memory", "%s: %" PRIu64 " may take %.1f %% of the memory as it is", row->what, level->limit,
			   100 * (double)level->limit * (double)row->entry_bytes / (double)memory);
		return 0;
	}
	result_plan(result, "%s: room for %" PRIu64 " instead of %" PRIu64 ", for %llu s; there are %" PRIu64 ", and full it would take %llu MiB", row->what,
		    level->to, level->limit, (unsigned long long)(args->for_ns / NSEC_PER_SEC), level->entries,
		    (unsigned long long)(level->to * row->entry_bytes >> 20));
	worst_use(&result->expected.use_percent, use_left(level, level->entries, level->to));
	return 1;
}

static int turn_row(const struct raise_row *row, const struct remedy_request *request, const struct level *level, struct remedy_result *result)
{
	char value[32];
	struct level after;
	const char *halted = act_halted(request);
	if (halted) {
		act_refuse(result, halted, "stopped by the %s", halted);
		return -ECANCELED;
	}
	snprintf(value, sizeof(value), "%" PRIu64, level->to);
	int error = lease_take(request, &level->knob, value, request->args.raise_limit.for_ns, result);
	if (error == -ENOSPC || error == -EBUSY || error == -ENOENT)
		act_refuse(result, "lease-book", "the book of leases has no place or is held: nothing is turned that is not written down");
	else if (error)
		act_fail(result, "%s: %s", row->what, strerror(-error));
	if (error)
		return error;

	error = read_level(row, &after);
	struct action_step *step = result_step(result, "use");
	bool raised = error == 0 && after.limit == level->to;
	if (error == 0)
		worst_use(&result->observed.use_percent, use_left(level, after.entries, after.limit));
	step_end(step, raised, "%s: %" PRIu64 " of %" PRIu64, row->what, after.entries, after.limit);
	if (!raised)
		act_fail(result, "%s: the limit is not what was written", row->what);
	return raised ? 0 : -EIO;
}

static void judge(const struct remedy_request *request, struct remedy_result *result)
{
	uint64_t promised = request->expect.use_percent, seen = result->observed.use_percent;
	result->outcome = promised == UNKNOWN || seen <= promised ? OUTCOME_FIXED : OUTCOME_IMPROVED;
	if (result->outcome == OUTCOME_IMPROVED)
		snprintf(result->why, sizeof(result->why), "it is at %" PRIu64 " %% of what it was, %" PRIu64 " %% were promised", seen, promised);
}

int raise_run(const struct raise *raise, const struct remedy_request *request, struct remedy_result *result)
{
	struct level levels[4];
	bool full[4] = { false };
	uint32_t wanted = 0;
	for (uint32_t i = 0; i < raise->count; i++) {
		full[i] = plan_row(&raise->rows[i], request, &levels[i], result);
		wanted += full[i];
	}
	if (!wanted)
		return 0; /* refused, as the last of them said */
	result->outcome = OUTCOME_NONE;
	result->refused_by[0] = result->why[0] = '\0';
	if (request->verb != REMEDY_VERB_APPLY)
		return 0;
	for (uint32_t i = 0; i < raise->count; i++)
		if (full[i] && turn_row(&raise->rows[i], request, &levels[i], result) < 0)
			return 0;
	judge(request, result);
	return 0;
}

int raise_check(const struct raise *raise, const struct remedy_request *request, struct remedy_result *result)
{
	char path[PATH_LEN];
	(void)request;
	for (uint32_t i = 0; i < raise->count; i++) {
		snprintf(path, sizeof(path), "/proc/sys/%s", raise->rows[i].limit);
		result->armed |= access(path, W_OK) == 0 && access(raise->rows[i].entries, R_OK) == 0;
	}
	if (!result->armed)
		snprintf(result->why, sizeof(result->why), "/proc/sys/%.90s is not here, or is not ours to write", raise->rows[0].limit);
	return 0;
}

const char *raise_problem(const union remedy_args *all)
{
	const struct raise_limit_args *args = &all->raise_limit;
	if (!(args->times > LEAST_TIMES && args->times <= MOST_TIMES))
		return "times is out of its range";
	if (!(args->memory_percent > 0 && args->memory_percent <= 50) || !(args->full_percent >= 0 && args->full_percent <= 100))
		return "a percentage is out of its range";
	return args->for_ns < NSEC_PER_SEC || args->for_ns > LONGEST_WAIT_S * NSEC_PER_SEC ? "for is out of its range" : NULL;
}
