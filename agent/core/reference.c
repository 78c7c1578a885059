/* SPDX-License-Identifier: Apache-2.0 */
/* The reference that docs/configuration.md and docs/policies.md hold: the tables, printed as Markdown. */
#include <stdio.h>
#include <string.h>

#include "core/config_table.h"
#include "core/log_pattern.h"
#include "core/output_table.h"
#include "core/policy_table.h"

/* A | would end the cell. */
static void print_cell(FILE *out, const char *text)
{
	for (; *text; text++)
		fprintf(out, *text == '|' ? "\\|" : "%c", *text);
}

static void print_default(const struct setting *setting, FILE *out)
{
	if (setting->required)
		fprintf(out, "*required*");
	else if (setting->initial)
		fprintf(out, "`%s`", setting->initial[0] ? setting->initial : "\"\"");
}

static void print_row(const struct setting *setting, FILE *out)
{
	char takes[128];
	value_describe(setting, takes, sizeof(takes));
	fprintf(out, "| `%s` | ", setting->name);
	print_cell(out, takes);
	fprintf(out, " | ");
	print_default(setting, out);
	fprintf(out, " | ");
	print_cell(out, setting->help ? setting->help : "");
	fprintf(out, " |\n");
}

static void print_section(const struct section *section, const char *title, FILE *out)
{
	fprintf(out, "\n### %s\n\n", title);
	if (section->help && section->help[0])
		fprintf(out, "%s\n\n", section->help);
	fprintf(out, "| key | takes | default | what |\n|---|---|---|---|\n");
	for (uint32_t i = 0; i < section->count; i++)
		if (section->settings[i].type != VALUE_LATER)
			print_row(&section->settings[i], out);
}

/* Sections below `section` and those below them, each under its own heading. */
static void print_sections_in(const struct section *section, FILE *out)
{
	for (uint32_t i = 0; i < section->count; i++) {
		const struct section *inner = section->settings[i].section;
		if (!inner)
			continue;
		print_section(inner, section->settings[i].name, out);
		print_sections_in(inner, out);
	}
}

void config_print_reference(FILE *out)
{
	fprintf(out, "<!-- from `nodemend check --reference`: configuration -->\n");
	print_section(&config_section, "Keys of the file", out);
	print_sections_in(&config_section, out);
	print_section(&delivery_section, "outputs: all", out);
	for (uint32_t i = 0; i < OUTPUT_KIND_COUNT; i++) {
		char title[64];
		snprintf(title, sizeof(title), "outputs: %s", output_sections[i].name);
		print_section(&output_sections[i], title, out);
	}
	print_section(&route_section, "routes", out);
	fprintf(out, "\n<!-- end -->\n");

	fprintf(out, "\n<!-- from `nodemend check --reference`: policies -->\n");
	print_section(&policy_section, "policies", out);
	print_sections_in(&policy_section, out);
	for (uint32_t i = 0; i < CONDITION_KIND_COUNT; i++) {
		char title[64];
		snprintf(title, sizeof(title), "when: %s", condition_sections[i].name);
		print_section(&condition_sections[i], title, out);
	}
	print_section(&probe_section, "when: unit: probe", out);
	for (uint32_t i = 0; i < REMEDY_COUNT; i++) {
		char title[64];
		snprintf(title, sizeof(title), "do: %s", remedies[i]->name);
		print_section(remedies[i]->arguments, title, out);
	}
	print_section(&ready_section, "do: ready", out);
	print_section(&expect_section, "do: expect", out);
	fprintf(out, "\n<!-- end -->\n");

	fprintf(out, "\n<!-- from `nodemend check --reference`: logs -->\n");
	log_patterns_print_reference(out);
	fprintf(out, "\n<!-- end -->\n");
}
