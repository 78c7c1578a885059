/* SPDX-License-Identifier: Apache-2.0 */
/* outputs, routes and labels from YAML into include/output.h's structs, by the tables in output_table.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/output_table.h"
#include "core/pages.h"

/* clang-format off */
const char *const output_kind_names[OUTPUT_KIND_COUNT] = {
	[OUTPUT_REMOTE_WRITE] = "remote-write",
	[OUTPUT_OTLP] = "otlp",
	[OUTPUT_ALERTMANAGER] = "alertmanager",
	[OUTPUT_WEBHOOK] = "webhook",
	[OUTPUT_MAIL] = "mail",
};
/* clang-format on */

void outputs_copy(struct outputs *to, const struct outputs *from)
{
	memcpy(to, from, offsetof(struct outputs, routes));
	pages_copy(to->routes, from->routes, from->route_count * sizeof(from->routes[0]));
	pages_copy(to->each, from->each, from->output_count * sizeof(from->each[0]));
}

bool outputs_equal(const struct outputs *a, const struct outputs *b)
{
	return memcmp(a, b, offsetof(struct outputs, routes)) == 0 && memcmp(a->routes, b->routes, a->route_count * sizeof(a->routes[0])) == 0 &&
	       memcmp(a->each, b->each, a->output_count * sizeof(a->each[0])) == 0;
}

void outputs_set_listen(struct outputs *outputs, const char *listen)
{
	memset(outputs->listen, 0, sizeof(outputs->listen)); /* compared as bytes by a reload */
	snprintf(outputs->listen, sizeof(outputs->listen), "%s", listen);
}

/* --- addresses, headers, labels ---------------------------------------------------------------------------------------- */

static void add_url(struct reader *reader, const struct yaml_item *item, struct output *output)
{
	const char *problem = item->kind != ITEM_SCALAR || yaml_is_null(item) ? "one address is wanted" : NULL;
	if (!problem && strlen(item->text) >= URL_LEN)
		problem = "longer than 511 bytes";
	if (!problem)
		problem = output_url_problem(output->kind, item->text);
	if (!problem && output->url_count == MAX_OUTPUT_URLS)
		problem = "more than 4 addresses";
	if (problem) /* without the address: it may hold a password */
		reader_fault(reader, item, "%s: %s", output_kind_names[output->kind], problem);
	else
		snprintf(output->urls[output->url_count++], URL_LEN, "%s", item->text);
}

void output_read_url(struct reader *reader, const struct yaml_item *item, void *base)
{
	if (item->kind != ITEM_LIST) {
		add_url(reader, item, base);
		return;
	}
	for (const struct yaml_item *member = item->first; member; member = member->next)
		add_url(reader, member, base);
}

/* RFC 9110's token; a label's name is one of Prometheus. */
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define HEADER_CHARACTERS LETTERS "0123456789!#$%&'*+-.^_`|~"
#define LABEL_CHARACTERS LETTERS "0123456789_"

struct field_rule {
	const char *what, *characters;
	uint32_t room;
	bool paths, labels;
};

static void read_fields(struct reader *reader, const struct yaml_item *item, const struct field_rule *rule, struct output_field *fields, uint32_t *count)
{
	if (item->kind != ITEM_MAPPING) {
		reader_fault(reader, item, "%s: a mapping (name: value) is wanted", rule->what);
		return;
	}
	for (const struct yaml_item *member = item->first; member; member = member->next) {
		const char *name = member->key->text, *problem = NULL;
		if (!name[0] || strlen(name) >= FIELD_NAME_LEN || name[strspn(name, rule->characters)])
			problem = "not a name: letters, digits and _ (headers: also -), up to 63";
		else if (rule->labels && (strncmp(name, "__", 2) == 0 || (name[0] >= '0' && name[0] <= '9')))
			problem = "a label does not begin with a digit or __";
		else if (member->kind != ITEM_SCALAR || yaml_is_null(member) || !member->text[0])
			problem = "one value is wanted";
		else if (strlen(member->text) >= PATH_LEN || !config_is_plain(member->text))
			problem = "the value is longer than 255 bytes, or has a control character";
		else if (rule->paths)
			problem = path_problem(member->text);
		if (!problem && *count == rule->room)
			problem = "too many";
		if (problem) {
			reader_fault(reader, member->key, "%s: %s", rule->what, problem);
			continue;
		}
		struct output_field *field = &fields[(*count)++];
		snprintf(field->name, sizeof(field->name), "%s", name);
		snprintf(field->value, sizeof(field->value), "%s", member->text);
	}
}

void output_read_headers(struct reader *reader, const struct yaml_item *item, void *base)
{
	static const struct field_rule rule = { .what = "headers", .characters = HEADER_CHARACTERS, .room = MAX_OUTPUT_HEADERS };
	struct output *output = base;
	read_fields(reader, item, &rule, output->headers, &output->header_count);
}

void output_read_header_files(struct reader *reader, const struct yaml_item *item, void *base)
{
	static const struct field_rule rule = { .what = "header_files", .characters = HEADER_CHARACTERS, .room = MAX_OUTPUT_HEADERS, .paths = true };
	struct output *output = base;
	read_fields(reader, item, &rule, output->header_files, &output->header_file_count);
}

/* Two places stay free for instance and job. */
void config_read_labels(struct reader *reader, const struct yaml_item *item, void *base)
{
	static const struct field_rule rule = { .what = "labels", .characters = LABEL_CHARACTERS, .room = MAX_EXTERNAL_LABELS - 2, .labels = true };
	struct config *config = base;
	read_fields(reader, item, &rule, config->outputs.labels, &config->outputs.label_count);
}

/* --- outputs ----------------------------------------------------------------------------------------------------------- */

static enum output_kind kind_of(const char *name)
{
	enum output_kind kind = 0;
	while (kind < OUTPUT_KIND_COUNT && strcmp(output_kind_names[kind], name) != 0)
		kind++;
	return kind;
}

static void unknown_kind(struct reader *reader, const struct yaml_item *at)
{
	struct setting words[OUTPUT_KIND_COUNT] = { 0 };
	for (int kind = 0; kind < OUTPUT_KIND_COUNT; kind++)
		words[kind] = (struct setting){ .name = output_kind_names[kind], .type = VALUE_SECTION };
	const struct section section = { .name = "outputs", .settings = words, .count = OUTPUT_KIND_COUNT };
	section_unknown_key(reader, &section, at);
}

/* What all have and what this kind has, read as one, so that a wrong key is told which ones are right. */
static void read_output(struct reader *reader, const struct yaml_item *item, struct output *output)
{
	enum { ROOM = 32 };
	const struct section *own = &output_sections[output->kind];
	struct setting settings[ROOM];
	const struct section both = { .name = own->name, .settings = settings, .count = delivery_section.count + own->count };
	_Static_assert(ROOM <= 64, "section_read() returns them as bits");
	memcpy(settings, own->settings, own->count * sizeof(settings[0]));
	memcpy(settings + own->count, delivery_section.settings, delivery_section.count * sizeof(settings[0]));

	section_defaults(&both, output);
	section_read(reader, &both, item, output);
	/* Alerts that are older say nothing that the next resend does not say better; with an end that has passed they would even lie. */
	if (output->kind == OUTPUT_ALERTMANAGER && item->kind == ITEM_MAPPING && !yaml_member(item, "max_age"))
		output->max_age_ns = 2 * output->resend_ns;
	if (item->kind == ITEM_MAPPING)
		output_check(reader, item, output);
}

static void refuse_same_name(struct reader *reader, const struct yaml_item *item, const struct config *config, const struct output *output)
{
	for (const struct output *other = config->outputs.each; other < output; other++)
		if (output->name[0] && strcmp(other->name, output->name) == 0)
			reader_fault(reader, item, "name: there is an output %s already; names are unique", output->name);
}

void config_read_outputs(struct reader *reader, const struct yaml_item *list, void *base)
{
	struct config *config = base;
	if (list->kind != ITEM_LIST) {
		reader_fault(reader, list, "outputs: a list is wanted, each with a dash, such as - remote-write: {name: store, url: ...}");
		return;
	}
	for (const struct yaml_item *item = list->first; item; item = item->next) {
		if (item->kind != ITEM_MAPPING || !item->first || item->first->next) {
			reader_fault(reader, item, "outputs: each is one of remote-write, otlp, alertmanager, webhook, mail, with its keys in braces");
			continue;
		}
		const struct yaml_item *body = item->first;
		enum output_kind kind = kind_of(body->key->text);
		if (kind == OUTPUT_KIND_COUNT) {
			unknown_kind(reader, body->key);
			continue;
		}
		if (config->outputs.output_count == MAX_OUTPUTS) {
			reader_fault(reader, item, "outputs: more than %d", MAX_OUTPUTS);
			return;
		}
		struct output *output = &config->outputs.each[config->outputs.output_count];
		pages_clear(output, sizeof(*output));
		output->kind = kind;
		output->line = body->key->line;
		read_output(reader, body, output);
		refuse_same_name(reader, body, config, output);
		config->outputs.output_count++;
	}
}

/* --- routes ------------------------------------------------------------------------------------------------------------ */

void config_read_routes(struct reader *reader, const struct yaml_item *list, void *base)
{
	struct config *config = base;
	if (list->kind != ITEM_LIST) {
		reader_fault(reader, list, "routes: a list is wanted, each with a dash, such as - {to: oncall, severity: [critical]}");
		return;
	}
	for (const struct yaml_item *item = list->first; item; item = item->next) {
		if (config->outputs.route_count == MAX_ROUTES) {
			reader_fault(reader, item, "routes: more than %d", MAX_ROUTES);
			return;
		}
		struct route *route = &config->outputs.routes[config->outputs.route_count++];
		memset(route, 0, sizeof(*route));
		snprintf(route->file, sizeof(route->file), "%s", reader->file);
		route->line = item->line;
		route->column = item->column;
		section_defaults(&route_section, route);
		section_read(reader, &route_section, item, route);
		if (!route->severities)
			route->severities = (1U << SEVERITY_COUNT) - 1;
		if (!route->kinds)
			route->kinds = (1U << KIND_COUNT) - 1;
		if (!route->states)
			route->states = (1U << INCIDENT_STATE_COUNT) - 1;
	}
}

/* Only now: an output may stand behind its routes, or in a later file. */
void routes_resolve(struct config *config, struct config_faults *faults)
{
	struct outputs *outputs = &config->outputs;
	for (uint32_t i = 0; i < outputs->route_count; i++) {
		struct route *route = &outputs->routes[i];
		char shown[CONFIG_SHOWN_LEN];
		for (route->output = 0; route->output < outputs->output_count; route->output++)
			if (strcmp(outputs->each[route->output].name, route->to) == 0)
				break;
		if (!route->to[0])
			continue; /* said already */
		if (route->output == outputs->output_count)
			config_fault(faults, route->file, route->line, route->column, "to: there is no output %s", config_shown(shown, route->to));
		else if (outputs->each[route->output].kind < OUTPUT_ALERTMANAGER)
			config_fault(faults, route->file, route->line, route->column, "to: %s is a %s, which takes no routes: it gets everything",
				     route->to, output_kind_names[outputs->each[route->output].kind]);
	}
}

/* Only what has people behind it can be told something by hand: the others get everything by themselves. */
void notices_resolve(const struct config *config, struct config_faults *faults)
{
	const struct outputs *outputs = &config->outputs;
	char shown[CONFIG_SHOWN_LEN];
	for (uint32_t at = 0; at < config->policy_count; at++) {
		const struct policy *policy = &config->policies[at];
		for (uint32_t i = 0; i < policy->step_count; i++) {
			const struct remedy_step *step = &policy->steps[i];
			if (step->remedy != REMEDY_NOTIFY || !step->args.notify.to[0])
				continue;
			const struct output *output = NULL;
			for (uint32_t j = 0; j < outputs->output_count && !output; j++)
				if (strcmp(outputs->each[j].name, step->args.notify.to) == 0)
					output = &outputs->each[j];
			if (!output)
				config_fault(faults, policy->file, step->line, 1, "notify: there is no output %s; `outputs` names them", config_shown(shown, step->args.notify.to));
			else if (output->kind != OUTPUT_WEBHOOK && output->kind != OUTPUT_MAIL)
				config_fault(faults, policy->file, step->line, 1, "notify: %s is a %s; a webhook or a mail tells people", output->name,
					     output_kind_names[output->kind]);
		}
	}
}

/* --- labels ------------------------------------------------------------------------------------------------------------ */

static void add_label(struct outputs *outputs, const char *name, const char *value)
{
	for (uint32_t i = 0; i < outputs->label_count; i++)
		if (strcmp(outputs->labels[i].name, name) == 0)
			return;
	struct output_field *label = &outputs->labels[outputs->label_count++];
	memset(label, 0, sizeof(*label)); /* compared as bytes by a reload */
	snprintf(label->name, sizeof(label->name), "%s", name);
	snprintf(label->value, sizeof(label->value), "%s", value);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct output_field *)a)->name, ((const struct output_field *)b)->name);
}

void outputs_finish(struct config *config)
{
	struct outputs *outputs = &config->outputs;
	memset(outputs->node, 0, sizeof(outputs->node));
	snprintf(outputs->node, sizeof(outputs->node), "%s", config->node);
	outputs_set_listen(outputs, config->listen);
	outputs->log_format = config->log_format;
	outputs->log_level = config->log_level;
	outputs->mask = config->mask;
	outputs->max_processes_shown = config->max_processes_shown;
	outputs->statsd_max_series = config->statsd.socket[0] ? config->statsd.max_series : 0;
	add_label(outputs, "instance", config->node);
	add_label(outputs, "job", "nodemend");
	qsort(outputs->labels, outputs->label_count, sizeof(outputs->labels[0]), by_name);
}
