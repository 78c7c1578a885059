/* SPDX-License-Identifier: Apache-2.0 */
/* See crash.h. */
#include "collect/crash.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "signals/kill.h"

enum { MAX_WANTED = 64, CORE_DUMPED = 0x80, SIGNAL_BITS = 0x7f };

struct crash_filter {
	uint32_t count;
	struct {
		uint64_t signals, codes[4];
		char comm[NAME_LEN], cgroup[PATH_LEN], unit[NAME_LEN];
	} each[MAX_WANTED];
};

static void add_condition(struct crash_filter *filter, const struct condition *condition)
{
	if (filter->count == MAX_WANTED)
		return; /* policies are at most so many, and few of them ask for this */
	uint32_t at = filter->count++;
	filter->each[at].signals = condition->signals;
	memcpy(filter->each[at].codes, condition->exit_codes, sizeof(filter->each[at].codes));
	memcpy(filter->each[at].comm, condition->comm, sizeof(filter->each[at].comm));
	memcpy(filter->each[at].cgroup, condition->cgroup, sizeof(filter->each[at].cgroup));
	memcpy(filter->each[at].unit, condition->unit, sizeof(filter->each[at].unit));
}

struct crash_filter *crash_filter_new(const struct config *config)
{
	struct crash_filter *filter = calloc(1, sizeof(*filter));
	for (uint32_t i = 0; filter && i < config->policy_count; i++)
		for (uint32_t j = 0; j < config->policies[i].when_count; j++) {
			const struct predicate *leaf = &config->policies[i].when[j];
			if (leaf->op == PREDICATE_LEAF && leaf->condition.kind == CONDITION_CRASH)
				add_condition(filter, &leaf->condition);
		}
	if (filter && filter->count)
		return filter;
	free(filter);
	return NULL;
}

bool crash_filter_same(const struct crash_filter *one, const struct crash_filter *other)
{
	if (!one || !other)
		return one == other;
	return one->count == other->count && memcmp(one->each, other->each, one->count * sizeof(one->each[0])) == 0;
}

void crash_filter_free(struct crash_filter *filter)
{
	free(filter);
}

void crash_filter_wants(const struct crash_filter *filter, uint64_t *ret_signals, uint64_t ret_codes[4])
{
	*ret_signals = 0;
	memset(ret_codes, 0, 4 * sizeof(ret_codes[0]));
	for (uint32_t i = 0; filter && i < filter->count; i++) {
		*ret_signals |= filter->each[i].signals;
		for (int j = 0; j < 4; j++)
			ret_codes[j] |= filter->each[i].codes[j];
	}
}

static bool fits(const char *glob, const char *text, int flags)
{
	return !glob[0] || !text[0] || fnmatch(glob, text, flags) == 0; /* what is not known yet may be the one */
}

static bool is_wanted(const struct crash_filter *filter, const struct crash *crash)
{
	for (uint32_t i = 0; i < filter->count; i++) {
		bool asked = crash->signal ? filter->each[i].signals >> crash->signal & 1 : filter->each[i].codes[crash->exit_code / 64] >> (crash->exit_code % 64) & 1;
		if (asked && fits(filter->each[i].comm, crash->comm, 0) && fits(filter->each[i].unit, crash->unit, 0) &&
		    fits(filter->each[i].cgroup, crash->cgroup, FNM_PATHNAME | FNM_LEADING_DIR))
			return true;
	}
	return false;
}

/* --- words --------------------------------------------------------------------------------------------------------------- */

static void make_plain(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || (unsigned char)*text >= 0x7f)
			*text = '?';
}

static void say(struct crash *crash)
{
	char how[64], number[16], comm[sizeof(crash->comm)];
	const char *whose = crash->unit[0] ? crash->unit : crash->cgroup;

	memcpy(comm, crash->comm, sizeof(comm));
	comm[sizeof(comm) - 1] = '\0';
	make_plain(comm);
	if (crash->signal)
		snprintf(how, sizeof(how), "ended by %s%s", fatal_signal_name(crash->signal, number), crash->core_dumped ? ", core dumped" : "");
	else
		snprintf(how, sizeof(how), "ended with exit code %u", crash->exit_code);
	snprintf(crash->line, sizeof(crash->line), "%s[%d] %s%s%.80s%s%.12s", comm, crash->pid, how, whose[0] ? ", of " : "", whose,
		 crash->container[0] ? ", container " : "", crash->container);
}

void crash_name(struct crash *crash, const struct cgroup *cgroup)
{
	if (!cgroup || !cgroup->path[0])
		return;
	memcpy(crash->cgroup, cgroup->path, sizeof(crash->cgroup));
	memcpy(crash->container, cgroup->container, sizeof(crash->container));
	memcpy(crash->unit, cgroup->unit, sizeof(crash->unit));
	/* A slice, or a session's scope, is many things at once: not one service that crashed. */
	const char *dot = strrchr(crash->unit, '.');
	if (!dot || strcmp(dot, ".service") != 0)
		crash->unit[0] = '\0';
	say(crash);
}

void crash_add(const struct crash_filter *filter, struct snapshot *snap, const struct task_event *end)
{
	struct crash_section *section = &snap->crashes;
	struct crash crash = {
		.at_ns = end->at_ns, .start_ns = end->start_ns, .cgroup_id = end->cgroup_id, .pid = end->pid, .ppid = end->ppid, .uid = end->uid,
		.signal = (uint32_t)end->exit_code & SIGNAL_BITS, .core_dumped = end->exit_code & CORE_DUMPED,
		.exit_code = (uint32_t)end->exit_code >> 8 & 0xff,
	};

	if (!filter || (!crash.signal && !crash.exit_code) || crash.signal >= SIGNAL_NUMBERS - 1)
		return;
	memcpy(crash.comm, end->comm, sizeof(crash.comm));
	crash.comm[sizeof(crash.comm) - 1] = '\0';
	crash_name(&crash, snapshot_cgroup(snap, crash.cgroup_id));
	if (!is_wanted(filter, &crash))
		return;
	say(&crash);
	section->total++;
	if (section->count == CRASHES_KEPT) {
		memmove(&section->each[0], &section->each[1], (CRASHES_KEPT - 1) * sizeof(section->each[0]));
		section->count--;
		section->cut++;
	}
	section->each[section->count++] = crash;
}
