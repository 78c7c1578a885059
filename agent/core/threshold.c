/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two mapping forms of a threshold: {above: 90, clear: 85}, one level; and {warning: 80, critical: 90, clear_by: 3}, a level for
 * each severity that is named, each with a clear level of its own.
 */
#include "core/value.h"

#include <stddef.h>

#include "policy.h"

/* A threshold within a threshold: it has one level. */
#define ONE_LEVEL UINT32_MAX

static const char *const level_names[SEVERITY_COUNT] = {
	[SEVERITY_WARNING] = "warning", [SEVERITY_CRITICAL] = "critical", [SEVERITY_EMERGENCY] = "emergency",
};

static bool on_wrong_side(bool above, double clear, double raise)
{
	return above ? clear > raise : clear < raise;
}

/* {above: 90, clear: 85}: the clear level lies on the safe side of the other one. */
static void read_one(struct reader *reader, const struct setting *setting, const struct yaml_item *item, struct threshold *threshold)
{
	const char *raise_word = setting->above ? "above" : "below";
	const struct yaml_item *wrong = yaml_member(item, setting->above ? "below" : "above"), *clear = yaml_member(item, "clear");
	if (wrong) {
		reader_fault(reader, wrong->key, "%s: trouble lies %s here; write %s instead of %s", setting->name, raise_word, raise_word,
			     wrong->key->text);
		return;
	}

	struct threshold values[2] = { 0 };
	const struct setting like = {
		.type = VALUE_THRESHOLD, .unit = setting->unit, .above = setting->above, .min = setting->min, .max = setting->max, .tag = ONE_LEVEL,
	};
	struct setting rows[2] = { like, like };
	rows[0].name = raise_word;
	rows[0].required = true;
	rows[1].name = "clear";
	rows[1].offset = sizeof(values[0]);
	const struct section section = { .name = setting->name, .settings = rows, .count = 2 };
	uint32_t faults = reader->faults->count + reader->faults->cut;
	section_read(reader, &section, item, values);
	if (reader->faults->count + reader->faults->cut != faults)
		return;

	char text[VALUE_TEXT_LEN];
	*threshold =
		(struct threshold){ .above = setting->above, .raise = values[0].raise, .clear = clear ? values[1].raise : values[0].raise };
	if (on_wrong_side(setting->above, threshold->clear, threshold->raise))
		reader_fault(reader, clear, "%s: clear lies on the wrong side; it must be %s %s", setting->name,
			     setting->above ? "no more than" : "no less than", value_format(setting->unit, threshold->raise, text));
}

/* --- levels ------------------------------------------------------------------------------------------------------------ */

struct graded {
	struct threshold levels[SEVERITY_COUNT], clear_by;
};

static bool is_graded(const struct yaml_item *item)
{
	for (int i = 0; i < SEVERITY_COUNT; i++)
		if (yaml_member(item, level_names[i]))
			return true;
	return false;
}

/* Each level must be worse than the one before, else it would never be the one that is told. */
static void check_order(struct reader *reader, const struct setting *setting, const struct yaml_item *item, const struct threshold *threshold)
{
	char text[VALUE_TEXT_LEN];
	int before = -1;
	for (int i = 0; i < SEVERITY_COUNT; i++) {
		if (!(threshold->graded >> i & 1))
			continue;
		if (before >= 0 && (threshold->levels[i].raise == threshold->levels[before].raise ||
				    on_wrong_side(setting->above, threshold->levels[before].raise, threshold->levels[i].raise)))
			reader_fault(reader, yaml_member(item, level_names[i])->key, "%s: %s must lie %s %s, which is %s", setting->name, level_names[i],
				     setting->above ? "above" : "below", level_names[before],
				     value_format(setting->unit, threshold->levels[before].raise, text));
		before = i;
	}
}

static void read_graded(struct reader *reader, const struct setting *setting, const struct yaml_item *item, struct threshold *threshold)
{
	struct setting rows[SEVERITY_COUNT + 1];
	for (uint32_t i = 0; i <= SEVERITY_COUNT; i++)
		rows[i] = (struct setting){
			.name = i < SEVERITY_COUNT ? level_names[i] : "clear_by", .type = VALUE_THRESHOLD, .unit = setting->unit, .above = setting->above,
			.min = i < SEVERITY_COUNT ? setting->min : 0, .max = setting->max, .tag = ONE_LEVEL,
			.offset = i * (uint32_t)sizeof(struct threshold),
		};
	const struct section section = { .name = setting->name, .settings = rows, .count = SEVERITY_COUNT + 1 };
	struct graded values = { 0 };
	uint32_t faults = reader->faults->count + reader->faults->cut;
	uint64_t given = section_read(reader, &section, item, &values);
	if (reader->faults->count + reader->faults->cut != faults)
		return;

	*threshold = (struct threshold){ .above = setting->above };
	for (int i = SEVERITY_COUNT; i-- > 0;) {
		if (!(given >> i & 1))
			continue;
		const struct yaml_item *level = yaml_member(item, level_names[i]);
		double raise = values.levels[i].raise, by = values.clear_by.raise;
		threshold->graded |= 1U << i;
		threshold->levels[i].raise = threshold->raise = raise;
		threshold->levels[i].clear = level->kind == ITEM_MAPPING ? values.levels[i].clear : setting->above ? raise - by : raise + by;
		threshold->clear = threshold->levels[i].clear;
	}
	check_order(reader, setting, item, threshold);
}

void threshold_read(struct reader *reader, const struct setting *setting, const struct yaml_item *item, void *base)
{
	struct threshold *threshold = (struct threshold *)((char *)base + setting->offset);
	if (setting->tag != ONE_LEVEL && is_graded(item))
		read_graded(reader, setting, item, threshold);
	else
		read_one(reader, setting, item, threshold);
}
