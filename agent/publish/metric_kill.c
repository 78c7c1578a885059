/* SPDX-License-Identifier: Apache-2.0 */
/* Who was killed: for memory by the kernel, and by a signal by whomever. */
#include <stdio.h>
#include <string.h>

#include "publish/metric.h"

#define LABEL_COUNT(labels) ((uint32_t)(sizeof(labels) / sizeof((labels)[0])))

static const char *const scopes[OOM_SCOPE_COUNT] = { [OOM_SCOPE_NODE] = "node", [OOM_SCOPE_CGROUP] = "cgroup" };

/* Whether a row before this one has the same labels: a name that came again stands for a new cgroup. */
static bool is_told(const struct oom_section *section, uint32_t index)
{
	const struct oom_row *row = &section->each[index];

	for (uint32_t i = 0; i < index; i++)
		if (section->each[i].scope == row->scope && !strcmp(section->each[i].path, row->path))
			return true;
	return false;
}

static uint64_t kills_of_name(const struct oom_section *section, uint32_t index)
{
	const struct oom_row *row = &section->each[index];
	uint64_t kills = 0;

	for (uint32_t i = index; i < section->count; i++)
		if (section->each[i].scope == row->scope && !strcmp(section->each[i].path, row->path))
			kills += section->each[i].kills;
	return kills;
}

static void emit_oom_kills(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap || !context_fresh(context, context->snap->oom.measured_ns))
		return;

	const struct oom_section *section = &context->snap->oom;
	uint64_t other[OOM_SCOPE_COUNT];
	for (int scope = 0; scope < OOM_SCOPE_COUNT; scope++)
		other[scope] = section->folded[scope] + section->lost[scope];
	for (uint32_t i = 0; i < section->count; i++) {
		const struct oom_row *row = &section->each[i];

		if (row->scope >= OOM_SCOPE_COUNT)
			continue;
		if (!row->path[0]) {
			other[row->scope] += row->kills;
			continue;
		}
		if (is_told(section, i))
			continue;
		struct label labels[] = { { "cgroup", row->path }, { "scope", scopes[row->scope] } };
		sink_sample(sink, labels, LABEL_COUNT(labels), kills_of_name(section, i), 0);
	}
	for (int scope = 0; scope < OOM_SCOPE_COUNT; scope++) {
		struct label labels[] = { { "cgroup", "other" }, { "scope", scopes[scope] } };
		sink_sample(sink, labels, LABEL_COUNT(labels), other[scope], 0);
	}
}

/* Those above 31 have no names of their own. */
const char *fatal_signal_name(uint32_t signal, char buffer[16])
{
	const char *name = signal < 32 ? sigabbrev_np((int)signal) : NULL;

	if (name)
		snprintf(buffer, 16, "SIG%s", name);
	else
		snprintf(buffer, 16, "%u", signal);
	return buffer;
}

static void emit_fatal_signals(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap || !context_fresh(context, context->snap->kills.measured_ns))
		return;

	const struct kill_section *section = &context->snap->kills;
	for (uint32_t signal = 1; signal < SIGNAL_NUMBERS; signal++) {
		for (int killer = 0; killer < KILLER_COUNT; killer++) {
			char name[16];
			struct label labels[] = { { "signal", fatal_signal_name(signal, name) }, { "killer", killer_names[killer] } };

			if (section->ended[killer][signal])
				sink_sample(sink, labels, LABEL_COUNT(labels), section->ended[killer][signal], 0);
		}
	}
}

/* clang-format off */
static const struct metric rows[] = {
	{ .name = "nodemend_fatal_signals_total", .type = METRIC_COUNTER, .unit = "", .source = COLLECTOR_KILL, .emit = emit_fatal_signals,
	  .help = "Processes that a signal ended, by who is credited with it; unknown: its record was lost." },
	{ .name = "nodemend_oom_kills_total", .type = METRIC_COUNTER, .unit = "", .source = COLLECTOR_OOM, .emit = emit_oom_kills,
	  .help = "Processes that the kernel chose to kill for memory, by their cgroup; scope: whose memory had run out." },
};
/* clang-format on */

const struct metric_table metrics_of_kills = { rows, sizeof(rows) / sizeof(rows[0]) };
