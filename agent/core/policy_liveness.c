/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the conditions about lines and lives: log, crash, hung, probe. What a whole of values means, and where it means nothing. */
#include "core/log_pattern.h"
#include "core/policy_table.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	uint32_t number;
	bool crash;                  /* what a program does to itself, and dies of: asked for where nobody says which */
} fatal_signals[] = {
	{ "SIGABRT", SIGABRT, true }, { "SIGALRM", SIGALRM, false }, { "SIGBUS", SIGBUS, true }, { "SIGFPE", SIGFPE, true },
	{ "SIGHUP", SIGHUP, false }, { "SIGILL", SIGILL, true }, { "SIGINT", SIGINT, false }, { "SIGKILL", SIGKILL, false },
	{ "SIGPIPE", SIGPIPE, false }, { "SIGQUIT", SIGQUIT, false }, { "SIGSEGV", SIGSEGV, true }, { "SIGSYS", SIGSYS, true },
	{ "SIGTERM", SIGTERM, false }, { "SIGTRAP", SIGTRAP, true }, { "SIGXCPU", SIGXCPU, false }, { "SIGXFSZ", SIGXFSZ, false },
};

/* One scalar or a list of them. */
static const struct yaml_item *first_of(struct reader *reader, const struct yaml_item *item, const char *wanted)
{
	const struct yaml_item *first = item->kind == ITEM_LIST ? item->first : item;
	if (!first || item->kind == ITEM_MAPPING) {
		reader_fault(reader, item, "%s", wanted);
		return NULL;
	}
	for (const struct yaml_item *word = first; word; word = item->kind == ITEM_LIST ? word->next : NULL)
		if (word->kind != ITEM_SCALAR) {
			reader_fault(reader, word, "%s", wanted);
			return NULL;
		}
	return first;
}

static const struct yaml_item *next_of(const struct yaml_item *item, const struct yaml_item *word)
{
	return item->kind == ITEM_LIST ? word->next : NULL;
}

static bool has_pattern(const struct log_query *log, const char *name)
{
	for (uint32_t i = 0; i < log->pattern_count; i++)
		if (strcmp(log->patterns[i], name) == 0)
			return true;
	return false;
}

void policy_read_log_patterns(struct reader *reader, const struct yaml_item *item, void *base)
{
	struct condition *condition = base;
	const struct yaml_item *word = first_of(reader, item, "pattern: a name, or a list of names, of docs/logs.md is wanted");
	for (; word; word = next_of(item, word)) {
		char shown[CONFIG_SHOWN_LEN];
		if (condition->log.pattern_count == LOG_PATTERNS_MAX) {
			reader_fault(reader, word, "pattern: more than %d; write a second policy", LOG_PATTERNS_MAX);
			return;
		}
		if (strlen(word->text) >= LOG_PATTERN_LEN || !log_pattern_find(word->text))
			reader_fault(reader, word, "pattern: %s is none of the shipped patterns; docs/logs.md lists them, and match: takes one of your own",
				     config_shown(shown, word->text));
		else if (has_pattern(&condition->log, word->text))
			reader_fault(reader, word, "pattern: %s is there already", word->text);
		else
			snprintf(condition->log.patterns[condition->log.pattern_count++], LOG_PATTERN_LEN, "%s", word->text);
	}
}

void policy_read_signals(struct reader *reader, const struct yaml_item *item, void *base)
{
	struct condition *condition = base;
	const struct yaml_item *word = first_of(reader, item, "signals: a list of names is wanted, such as [SIGSEGV, SIGABRT]");
	for (; word; word = next_of(item, word)) {
		char shown[CONFIG_SHOWN_LEN];
		uint32_t number = 0;
		for (size_t i = 0; i < sizeof(fatal_signals) / sizeof(fatal_signals[0]) && !number; i++)
			if (strcmp(fatal_signals[i].name, word->text) == 0)
				number = fatal_signals[i].number;
		if (!number)
			reader_fault(reader, word, "signals: %s is no signal that ends a process; a name such as SIGSEGV is wanted", config_shown(shown, word->text));
		else
			condition->signals |= 1ULL << number;
	}
}

/* 0 to `most`, or -1. */
static long parse_small(const char *text, long most)
{
	char *end;
	long value = strtol(text, &end, 10);
	return text[0] < '0' || text[0] > '9' || *end || value > most ? -1 : value;
}

void policy_read_exit_codes(struct reader *reader, const struct yaml_item *item, void *base)
{
	struct condition *condition = base;
	const struct yaml_item *word = first_of(reader, item, "exit_codes: a list of 1 to 255, or any, is wanted");
	for (; word; word = next_of(item, word)) {
		char shown[CONFIG_SHOWN_LEN];
		long code = parse_small(word->text, 255);
		if (strcmp(word->text, "any") == 0) {
			memset(condition->exit_codes, 0xff, sizeof(condition->exit_codes));
			condition->exit_codes[0] &= ~1ULL; /* 0 is how it ends well */
		} else if (code < 1) {
			reader_fault(reader, word, "exit_codes: %s is not 1 to 255; 0 is how a process ends well", config_shown(shown, word->text));
		} else {
			condition->exit_codes[code / 64] |= 1ULL << (code % 64);
		}
	}
}

void policy_read_status(struct reader *reader, const struct yaml_item *item, void *base)
{
	struct probe *probe = &((struct condition *)base)->probe;
	char from[4] = "", to[4] = "", rest;
	int fields = item->kind == ITEM_SCALAR ? sscanf(item->text, "%3[0-9]-%3[0-9]%c", from, to, &rest) : 0;
	long first = parse_small(from, 599), last = fields == 2 ? parse_small(to, 599) : first;
	bool plain = fields == 2 || (fields == 1 && strlen(item->text) == strlen(from));
	if (!plain || first < 100 || last < first)
		reader_fault(reader, item, "status: a status of HTTP is wanted, such as 200, or a range, such as 200-299");
	else {
		probe->status_from = (uint32_t)first;
		probe->status_to = (uint32_t)last;
	}
}

void policy_read_condition_command(struct reader *reader, const struct yaml_item *item, void *base)
{
	policy_read_command(reader, item, &((struct condition *)base)->probe);
}

/* --- the whole --------------------------------------------------------------------------------------------------------- */

static void finish_log(struct reader *reader, const struct yaml_item *item, struct condition *condition)
{
	struct log_query *log = &condition->log;
	bool kernel = strcmp(log->source, "kernel") == 0, journal = strcmp(log->source, "journal") == 0;
	char shown[CONFIG_SHOWN_LEN];

	if (log->source[0] && !kernel && !journal && log->source[0] != '/')
		reader_fault(reader, yaml_member(item, "source"), "source: %s is neither kernel nor journal, and no absolute path begins so",
			     config_shown(shown, log->source));
	if (condition->unit[0] && !journal)
		reader_fault(reader, yaml_member(item, "unit"), "unit: only the journal knows who wrote a line");
	if (log->multiline[0] && kernel)
		reader_fault(reader, yaml_member(item, "multiline"), "multiline: the kernel's log comes in records of its own");
	for (uint32_t i = 0; i < log->pattern_count; i++)
		if (log_pattern_find(log->patterns[i])->kernel != kernel)
			reader_fault(reader, yaml_member(item, "pattern"), "pattern: %s is of %s", log->patterns[i],
				     kernel ? "services: source: journal, or a file" : "the kernel: source: kernel");
	if (log->clear[0] && !yaml_member(item, "clear_after"))
		log->clear_after_ns = 0;
	if (!log->clear[0] && !log->clear_after_ns)
		reader_fault(reader, yaml_member(item, "clear_after"), "clear_after: 0s and no clear: it would never be over");
}

/* One of the streams of lines that the reader follows: what differs in how lines are put together is another one. False: there is no room. */
static bool note_source(const struct log_query *seen[MAX_LOG_SOURCES], uint32_t *count, const struct log_query *log)
{
	for (uint32_t i = 0; i < *count; i++)
		if (strcmp(seen[i]->source, log->source) == 0 && strcmp(seen[i]->multiline, log->multiline) == 0)
			return true;
	if (*count == MAX_LOG_SOURCES)
		return false;
	seen[(*count)++] = log;
	return true;
}

void policy_check_logs(struct reader *reader, const struct yaml_item *item, const struct config *config, const struct policy *policy)
{
	const struct log_query *seen[MAX_LOG_SOURCES];
	uint32_t count = 0;
	for (const struct policy *each = config->policies; each <= policy; each++)
		for (uint32_t i = 0; i < each->when_count; i++) {
			const struct predicate *predicate = &each->when[i];
			if (predicate->op != PREDICATE_LEAF || predicate->condition.kind != CONDITION_LOG ||
			    note_source(seen, &count, &predicate->condition.log) || each != policy)
				continue;
			char shown[CONFIG_SHOWN_LEN];
			reader_fault(reader, yaml_member(item, "when"),
				     "log: %s, with its multiline, is one source more than the %d that are read in all; name several files by one glob",
				     config_shown(shown, predicate->condition.log.source), MAX_LOG_SOURCES);
			return;
		}
}

static void finish_crash(struct reader *reader, const struct yaml_item *item, struct condition *condition)
{
	if (yaml_member(item, "signals") || yaml_member(item, "exit_codes"))
		return;
	for (size_t i = 0; i < sizeof(fatal_signals) / sizeof(fatal_signals[0]); i++)
		if (fatal_signals[i].crash)
			condition->signals |= 1ULL << fatal_signals[i].number;
}

static void finish_hung(struct reader *reader, const struct yaml_item *item, struct condition *condition)
{
	if (!condition->comm[0] && !condition->unit[0] && !condition->cgroup[0])
		reader_fault(reader, item, "hung: any process at all; select some by comm, unit or cgroup");
}

static void finish_probe(struct reader *reader, const struct yaml_item *item, struct condition *condition)
{
	static const char *const http_words[] = { "status", "body" };
	struct probe *probe = &condition->probe;
	probe->type = yaml_member(item, "http") ? PROBE_TYPE_HTTP : yaml_member(item, "tcp") ? PROBE_TYPE_TCP : PROBE_TYPE_COMMAND;
	for (size_t i = 0; i < sizeof(http_words) / sizeof(http_words[0]); i++)
		if (yaml_member(item, http_words[i]) && probe->type != PROBE_TYPE_HTTP)
			reader_fault(reader, yaml_member(item, http_words[i]), "%s: only http has one", http_words[i]);
	if (probe->timeout_ns > probe->every_ns)
		reader_fault(reader, yaml_member(item, "timeout"), "timeout: longer than every; one probe must end before the next begins");
}

void policy_finish_liveness(struct reader *reader, const struct yaml_item *item, struct condition *condition)
{
	static void (*const finish[CONDITION_KIND_COUNT])(struct reader *, const struct yaml_item *, struct condition *) = {
		[CONDITION_LOG] = finish_log, [CONDITION_CRASH] = finish_crash, [CONDITION_HUNG] = finish_hung, [CONDITION_PROBE] = finish_probe,
	};
	if (finish[condition->kind])
		finish[condition->kind](reader, item, condition);
	if (condition->kind == CONDITION_LOG || condition->kind == CONDITION_CRASH)
		condition->threshold = (struct threshold){ .above = true, .raise = condition->times, .clear = condition->times };
	else if (condition->measure == MEASURE_HUNG || condition->measure == MEASURE_PROBE)
		condition->threshold = (struct threshold){ .above = true, .raise = 1, .clear = 1 };
}

/* FNV-1a, of a text with its end and of a number. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ULL;
	return hash * 0x100000001b3ULL;
}

static uint64_t hash_number(uint64_t hash, uint64_t number)
{
	for (int i = 0; i < 8; i++, number >>= 8)
		hash = (hash ^ (number & 0xff)) * 0x100000001b3ULL;
	return hash;
}

uint64_t log_query_hash(const struct condition *condition)
{
	const struct log_query *log = &condition->log;
	const char *const texts[] = { log->source, condition->unit, log->match, log->clear, log->multiline };
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		hash = hash_text(hash, texts[i]);
	for (uint32_t i = 0; i < log->pattern_count; i++)
		hash = hash_text(hash, log->patterns[i]);
	hash = hash_number(hash, condition->times);
	hash = hash_number(hash, condition->window_ns);
	hash = hash_number(hash, log->clear_after_ns);
	return hash ? hash : 1;
}

void probe_name(const struct probe *probe, char ret[NAME_LEN])
{
	const char *what = probe->type == PROBE_TYPE_COMMAND ? probe->argv[0] : probe->address;
	const uint64_t numbers[] = { (uint64_t)probe->type, probe->timeout_ns, probe->every_ns, probe->failures, probe->status_from, probe->status_to };
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		hash = hash_number(hash, numbers[i]);
	hash = hash_text(hash, probe->address);
	hash = hash_text(hash, probe->body);
	for (size_t i = 0; i < sizeof(probe->argv) / sizeof(probe->argv[0]); i++)
		hash = hash_text(hash, probe->argv[i]);
	snprintf(ret, NAME_LEN, "%.70s#%016llx", what, (unsigned long long)hash);
}
