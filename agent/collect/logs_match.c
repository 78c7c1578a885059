/* SPDX-License-Identifier: Apache-2.0 */
/* See logs_match.h. */
#include "collect/logs_match.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log_pattern.h"
#include "mask.h"

/* --- rules -------------------------------------------------------------------------------------------------------------- */

static uint32_t count_row(struct log_matcher *matcher, const char *pattern, const char *source)
{
	for (uint32_t i = 0; i < matcher->count_count; i++)
		if (strcmp(matcher->counts[i].pattern, pattern) == 0 && strcmp(matcher->counts[i].source, source) == 0)
			return i;
	if (matcher->count_count == MAX_LOG_COUNTS)
		return NO_INDEX;
	struct log_count *count = &matcher->counts[matcher->count_count];
	snprintf(count->pattern, sizeof(count->pattern), "%s", pattern);
	snprintf(count->source, sizeof(count->source), "%s", source);
	matcher->count_changed[matcher->count_count] = true; /* zero is told, too: a counter that begins with its first event misses it */
	return matcher->count_count++;
}

static int add_regex(struct log_matcher *matcher, struct log_rule *rule, const char *text, const char *pattern, const char *name)
{
	char why[64];
	if (rule->regex_count == LOG_REGEXES_MAX)
		return -ENOSPC;
	struct log_regex *row = &rule->regexes[rule->regex_count];
	row->regex = regex_new(text, why, sizeof(why));
	if (!row->regex)
		return -EINVAL;
	row->pattern = pattern;
	row->count = count_row(matcher, name, rule->source);
	rule->regex_count++;
	return 0;
}

static int add_patterns(struct log_matcher *matcher, struct log_rule *rule, const struct log_query *query)
{
	for (uint32_t i = 0; i < query->pattern_count; i++)
		for (uint32_t j = 0; j < log_pattern_count; j++) {
			if (strcmp(log_patterns[j].name, query->patterns[i]) != 0)
				continue;
			rule->kernel_only |= log_patterns[j].kernel;
			int error = add_regex(matcher, rule, log_patterns[j].regex, log_patterns[j].name, log_patterns[j].name);
			if (error)
				return error;
		}
	return 0;
}

static void free_rule(struct log_rule *rule)
{
	for (uint32_t i = 0; i < rule->regex_count; i++)
		regex_free(rule->regexes[i].regex);
	regex_free(rule->clear);
	memset(rule, 0, sizeof(*rule));
}

int log_matcher_add(struct log_matcher *matcher, const struct log_order *order, uint32_t stream)
{
	char why[64];
	if (matcher->rule_count == MAX_LOG_RULES)
		return -ENOSPC;
	struct log_rule *rule = &matcher->rules[matcher->rule_count];
	rule->id = order->rule;
	rule->stream = stream;
	rule->window = (struct log_window_rule){ order->times ? order->times : 1, order->within_ns, order->query.clear_after_ns };
	memcpy(rule->unit, order->unit, sizeof(rule->unit));
	memcpy(rule->source, order->query.source, sizeof(rule->source));

	int error = order->query.match[0] ? add_regex(matcher, rule, order->query.match, NULL, order->name) : add_patterns(matcher, rule, &order->query);
	if (!error && order->query.clear[0]) {
		rule->clear = regex_new(order->query.clear, why, sizeof(why));
		error = rule->clear ? 0 : -EINVAL;
	}
	if (error)
		free_rule(rule);
	else
		matcher->rule_count++;
	return error;
}

void log_matcher_free_rules(struct log_matcher *matcher)
{
	for (uint32_t i = 0; i < matcher->rule_count; i++)
		free_rule(&matcher->rules[i]);
	matcher->rule_count = 0;
}

static const struct log_rule *rule_of(const struct log_matcher *matcher, uint64_t id)
{
	for (uint32_t i = 0; i < matcher->rule_count; i++)
		if (matcher->rules[i].id == id)
			return &matcher->rules[i];
	return NULL;
}

void log_matcher_forget_others(struct log_matcher *matcher)
{
	for (uint32_t i = 0; i < MAX_LOG_ROWS; i++)
		if (matcher->tracks[i].used && !rule_of(matcher, matcher->tracks[i].row.rule))
			memset(&matcher->tracks[i], 0, sizeof(matcher->tracks[i]));
}

/* --- what a line is about ----------------------------------------------------------------------------------------------- */

/* Printable, since it becomes part of names and is shown on terminals. */
static void make_plain(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || (unsigned char)*text >= 0x7f)
			*text = *text == '\n' || *text == '\t' ? ' ' : '?';
}

static void name_log(const struct log_regex *regex, const char *source, const struct log_record *record, struct log_row *row)
{
	const char *log = record->unit[0] ? record->unit : source;
	if (regex->pattern)
		snprintf(row->log, sizeof(row->log), "%.200s: %s", log, regex->pattern);
	else
		snprintf(row->log, sizeof(row->log), "%s", log);
	make_plain(row->log);
}

static void find_subject(const struct log_regex *regex, const char *source, const struct log_record *record, struct log_row *row)
{
	static const struct {
		const char *group;
		enum target_type type;
	} groups[] = {
		{ "device", TARGET_DISK }, { "filesystem", TARGET_FILESYSTEM }, { "interface", TARGET_INTERFACE }, { "unit", TARGET_UNIT }, { "pid", TARGET_PROCESS },
	};
	char found[LOG_NAME_LEN];

	name_log(regex, source, record, row);
	row->about = TARGET_LOG;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (!regex_group(regex->regex, groups[i].group, record->text, found, sizeof(found)))
			continue;
		/* Anybody may write any number; the kernel knows whom it speaks of, and the journal who spoke: of himself. */
		if (groups[i].type == TARGET_PROCESS && !record->by_kernel && (!record->pid || strtol(found, NULL, 10) != record->pid))
			continue;
		make_plain(found);
		row->about = groups[i].type;
		snprintf(row->name, sizeof(row->name), "%s", found);
		if (row->about == TARGET_PROCESS) {
			row->pid = (int32_t)strtol(found, NULL, 10);
			(void)regex_group(regex->regex, "comm", record->text, row->name, sizeof(row->name));
			make_plain(row->name);
		}
		return;
	}
	memcpy(row->name, row->log, sizeof(row->name));
}

static void show_line(const struct log_record *record, char ret[LOG_LINE_LEN])
{
	char text[LOG_TEXT_MAX + 1], masked[LOG_TEXT_MAX + 1];
	memcpy(text, record->text, record->length);
	text[record->length] = '\0';
	make_plain(text);
	mask_text(masked, sizeof(masked), text); /* whole, and then cut: a secret's name must not be cut off its value */
	snprintf(ret, LOG_LINE_LEN, "%.*s", LOG_LINE_LEN - 1, masked);
}

/* --- rows --------------------------------------------------------------------------------------------------------------- */

static struct log_track *find_track(struct log_matcher *matcher, const struct log_row *row)
{
	for (uint32_t i = 0; i < MAX_LOG_ROWS; i++) {
		struct log_track *track = &matcher->tracks[i];
		if (track->used && track->row.rule == row->rule && track->row.about == row->about && track->row.pid == row->pid &&
		    strcmp(track->row.name, row->name) == 0)
			return track;
	}
	return NULL;
}

/* Of a rule's source as a whole: each rule has the room for one, so that whatever others fill its matches are told. */
static bool is_whole(const struct log_rule *rule, const struct log_row *row)
{
	return row->about == TARGET_LOG && strcmp(row->name, rule->source) == 0;
}

/* What is not kept for those is everybody's, half of it one rule's at most: who writes one log must not fill the rows of all. */
static bool has_room(const struct log_matcher *matcher, const struct log_rule *rule, const struct log_row *row)
{
	uint32_t shared = MAX_LOG_ROWS - matcher->rule_count, used = 0, own = 0;
	if (is_whole(rule, row))
		return true;
	for (uint32_t i = 0; i < MAX_LOG_ROWS; i++) {
		const struct log_track *track = &matcher->tracks[i];
		const struct log_rule *of = track->used ? rule_of(matcher, track->row.rule) : NULL;
		if (!(track->used || track->gone) || (of && is_whole(of, &track->row)))
			continue;
		used++;
		own += of == rule;
	}
	return used < shared && own < (matcher->rule_count > 1 ? shared / 2 : shared);
}

static struct log_track *new_track(struct log_matcher *matcher, const struct log_rule *rule, const struct log_row *row)
{
	if (!has_room(matcher, rule, row))
		return NULL;
	for (uint32_t i = 0; i < MAX_LOG_ROWS; i++) {
		struct log_track *track = &matcher->tracks[i];
		if (track->used || track->gone)
			continue;
		*track = (struct log_track){ .used = true, .row = *row };
		return track;
	}
	return NULL;
}

/* Its own row; where there is no room, that of the unit that wrote it, and at last the one of the source as a whole. */
static struct log_track *track_of(struct log_matcher *matcher, const struct log_rule *rule, struct log_row *row)
{
	struct log_track *track = find_track(matcher, row);
	if (!track)
		track = new_track(matcher, rule, row);
	if (track)
		return track;
	matcher->cut++;
	row->about = TARGET_LOG;
	row->pid = 0;
	memcpy(row->name, row->log, sizeof(row->name));
	track = find_track(matcher, row);
	if (track)
		return track;
	snprintf(row->log, sizeof(row->log), "%s", rule->source);
	memcpy(row->name, row->log, sizeof(row->name));
	track = find_track(matcher, row);
	return track ? track : new_track(matcher, rule, row);
}

static void note_match(struct log_matcher *matcher, const struct log_rule *rule, const struct log_regex *regex, const char *source,
		       const struct log_record *record)
{
	struct log_row row = { .rule = rule->id };

	if (regex->count != NO_INDEX) {
		matcher->counts[regex->count].matches++;
		matcher->count_changed[regex->count] = true;
	}
	find_subject(regex, source, record, &row);
	struct log_track *track = track_of(matcher, rule, &row);
	if (!track)
		return;
	log_window_match(&track->window, &rule->window, record->at_ns);
	show_line(record, track->row.line);
	track->row.last_ns = track->window.last_ns;
	track->changed = true;
}

/* A line that says that it is over names what is over, or means all that the rule knows of this log. */
static void note_clear(struct log_matcher *matcher, const struct log_rule *rule, const char *source, const struct log_record *record)
{
	const struct log_regex as = { .regex = rule->clear };
	struct log_row about = { .rule = rule->id };

	find_subject(&as, source, record, &about);
	for (uint32_t i = 0; i < MAX_LOG_ROWS; i++) {
		struct log_track *track = &matcher->tracks[i];
		bool meant = about.about == TARGET_LOG ? !record->unit[0] || strncmp(track->row.log, record->unit, strlen(record->unit)) == 0 :
							 track->row.about == about.about && strcmp(track->row.name, about.name) == 0;
		if (!track->used || track->row.rule != rule->id || !meant)
			continue;
		log_window_clear(&track->window);
		track->changed = true;
	}
}

static bool holds(struct log_matcher *matcher, struct regex *regex, const struct log_record *record)
{
	enum regex_answer answer = regex_match(regex, record->text, record->length);
	matcher->gave_up += answer == REGEX_GAVE_UP;
	return answer == REGEX_YES;
}

void log_matcher_take(struct log_matcher *matcher, uint32_t stream, const char *source, const struct log_record *record)
{
	for (uint32_t i = 0; i < matcher->rule_count; i++) {
		const struct log_rule *rule = &matcher->rules[i];
		if (rule->stream != stream || (rule->kernel_only && !record->by_kernel))
			continue;
		if (rule->unit[0] && (!record->unit[0] || fnmatch(rule->unit, record->unit, 0) != 0))
			continue;
		if (rule->clear && holds(matcher, rule->clear, record)) {
			note_clear(matcher, rule, source, record);
			continue;
		}
		for (uint32_t j = 0; j < rule->regex_count; j++)
			if (holds(matcher, rule->regexes[j].regex, record)) {
				note_match(matcher, rule, &rule->regexes[j], source, record);
				break;
			}
	}
}

void log_matcher_pass(struct log_matcher *matcher, uint64_t now_ns)
{
	for (uint32_t i = 0; i < MAX_LOG_ROWS; i++) {
		struct log_track *track = &matcher->tracks[i];
		const struct log_rule *rule = track->used ? rule_of(matcher, track->row.rule) : NULL;
		if (!rule)
			continue;
		(void)log_window_pass(&track->window, &rule->window, now_ns);
		uint32_t matches = log_window_count(&track->window, &rule->window, now_ns);
		track->changed |= matches != track->row.matches || track->window.raised != track->row.raised;
		track->row.matches = matches;
		track->row.raised = track->window.raised;
		if (log_window_is_idle(&track->window, &rule->window, now_ns))
			*track = (struct log_track){ .gone = true };
	}
}

bool log_matcher_has_news(const struct log_matcher *matcher)
{
	for (uint32_t i = 0; i < MAX_LOG_ROWS; i++)
		if (matcher->tracks[i].changed || matcher->tracks[i].gone)
			return true;
	return false;
}
