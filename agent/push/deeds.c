/* SPDX-License-Identifier: Apache-2.0 */
/* See deeds.h. */
#include "push/deeds.h"

#include <stdio.h>

#include "keep/document.h"
#include "push/notice.h"

static void count_of(struct text *out, uint64_t count, const char *thing, const char *done)
{
	if (count == UNKNOWN || !count)
		return;
	text_string(out, ", ");
	text_u64(out, count);
	text_string(out, thing);
	text_string(out, done);
}

static void bytes_of(struct text *out, uint64_t bytes, const char *word)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	char buffer[32];
	double value = (double)bytes;
	size_t unit = 0;
	if (bytes == UNKNOWN || !bytes)
		return;
	for (; value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		value /= 1024;
	snprintf(buffer, sizeof(buffer), ", %.3g %s %s", value, units[unit], word);
	text_string(out, buffer);
}

static void effect_of(struct text *out, const struct effect *effect)
{
	bytes_of(out, effect->freed_bytes, "freed");
	count_of(out, effect->freed_files, " files", " deleted");
	count_of(out, effect->exited, " processes", " ended");
	if (effect->unit_active != UNKNOWN)
		text_string(out, effect->unit_active ? ", unit active" : ", unit not active");
	count_of(out, effect->use_percent, " %", " of its use left");
	bytes_of(out, effect->available_bytes, "more available");
}

void deed_line(const struct action *action, struct text *out)
{
	static const char *const words[OUTCOME_COUNT] = {
		[OUTCOME_FIXED] = "fixed", [OUTCOME_IMPROVED] = "improved, not fixed", [OUTCOME_NO_EFFECT] = "had no effect",
		[OUTCOME_FAILED] = "failed", [OUTCOME_REFUSED] = "refused", [OUTCOME_ROLLED_BACK] = "did not verify and was undone",
		[OUTCOME_TOLD] = "told",
	};
	bool acts = action->mode == MODE_ENFORCE && !action->dry_run;
	text_string(out, action->remedy);
	text_string(out, acts ? ": " : action->dry_run ? " (dry run): " : action->mode == MODE_SHADOW ? " (shadow): " : " (observe): ");
	if (action->refused_by[0]) {
		text_string(out, "refused by ");
		text_string(out, action->refused_by);
	} else if (!acts) {
		text_string(out, "changed nothing; expected");
		effect_of(out, &action->expected);
	} else {
		text_string(out, words[action->outcome] ? words[action->outcome] : "under way");
		effect_of(out, &action->observed);
		if (action->outcome != OUTCOME_NONE && action->observed.within_ns != UNKNOWN) {
			text_string(out, " in ");
			notice_seconds(action->observed.within_ns, out);
		}
	}
}

static struct deed *find(const struct deeds *deeds, const char *incident)
{
	uint32_t held = deeds->count < DEEDS_MAX ? deeds->count : DEEDS_MAX;
	for (uint32_t i = 0; i < held; i++)
		if (strcmp(deeds->each[i].incident, incident) == 0)
			return (struct deed *)&deeds->each[i];
	return NULL;
}

const char *deeds_note(struct deeds *deeds, const struct action *action)
{
	if (!action->incident[0])
		return NULL;
	struct deed *deed = find(deeds, action->incident);
	if (deed && deed->started_wall_ns > action->started_wall_ns)
		return NULL;
	if (!deed)
		deed = &deeds->each[deeds->count++ % DEEDS_MAX];

	struct text line = { 0 };
	*deed = (struct deed){ .started_wall_ns = action->started_wall_ns };
	text_copy(deed->incident, sizeof(deed->incident), action->incident);
	text_copy(deed->id, sizeof(deed->id), action->id);
	deed_line(action, &line);
	text_append(&line, "", 1);
	notice_take(deed->line, sizeof(deed->line), line.failed ? "" : line.data);
	text_free(&line);
	return deed->incident;
}

const char *deeds_of(const struct deeds *deeds, const char *incident)
{
	const struct deed *deed = find(deeds, incident);
	return deed ? deed->line : NULL;
}
