/* SPDX-License-Identifier: Apache-2.0 */
/* `nodemend check`: whether the agent would take this configuration, and if not, where and why. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/cli.h"
#include "config.h"
#include "push/template_check.h"

/* One file, or (path NULL) all of the default places together, as the agent reads them. */
struct result {
	const char *path;
	int err;
	struct config config;
	struct config_faults faults;
};

struct tally {
	uint32_t total, modes[MODE_COUNT];
};

/* The policies that came from `file`; the shipped ones where file is NULL. */
static struct tally count_policies(const struct config *config, const char *file)
{
	struct tally tally = { 0 };
	for (uint32_t i = 0; i < config->policy_count; i++) {
		const struct policy *policy = &config->policies[i];
		if (file ? policy->shipped || strcmp(policy->file, file) != 0 : !policy->shipped)
			continue;
		tally.total++;
		tally.modes[policy->mode]++;
	}
	return tally;
}

static void print_tally(const char *name, const struct tally *tally)
{
	printf("%s: ok, %u policies (%u enforce, %u shadow, %u observe)\n", name, tally->total, tally->modes[MODE_ENFORCE],
	       tally->modes[MODE_SHADOW], tally->modes[MODE_OBSERVE]);
}

/* One line a file that was read, and one for the shipped policies where they still stand. */
static void print_text(const struct result *result)
{
	char places[CONFIG_MAX_FILES][PATH_LEN];
	uint32_t count = 1;

	config_print_faults(&result->faults, stderr);
	if (result->err)
		return;
	check_print_files(&result->config.outputs, stderr);
	if (result->path)
		snprintf(places[0], sizeof(places[0]), "%s", result->path);
	else
		count = config_places(NULL, places, CONFIG_MAX_FILES);
	for (uint32_t i = 0; i < count && i < CONFIG_MAX_FILES; i++) {
		struct tally tally = count_policies(&result->config, places[i]);
		print_tally(places[i], &tally);
	}
	struct tally shipped = count_policies(&result->config, NULL);
	if (shipped.total)
		print_tally("shipped policies", &shipped);
}

static cJSON *to_json(const struct result *result)
{
	cJSON *object = cJSON_CreateObject(), *faults = cJSON_CreateArray();
	cJSON_AddStringToObject(object, "file", result->path ? result->path : "");
	cJSON_AddBoolToObject(object, "ok", result->err == 0);
	if (!result->err) {
		cJSON_AddNumberToObject(object, "policies", result->config.policy_count);
		for (int mode = MODE_COUNT - 1; mode >= 0; mode--) {
			uint32_t count = 0;
			for (uint32_t i = 0; i < result->config.policy_count; i++)
				count += result->config.policies[i].mode == (enum mode)mode;
			cJSON_AddNumberToObject(object, mode_names[mode], count);
		}
	}
	for (uint32_t i = 0; i < result->faults.count; i++) {
		const struct config_fault *fault = &result->faults.each[i];
		cJSON *entry = cJSON_CreateObject();
		cJSON_AddStringToObject(entry, "file", fault->file);
		cJSON_AddNumberToObject(entry, "line", fault->line);
		cJSON_AddNumberToObject(entry, "column", fault->column);
		cJSON_AddStringToObject(entry, "text", fault->text);
		cJSON_AddItemToArray(faults, entry);
	}
	cJSON_AddItemToObject(object, "faults", faults);
	cJSON_AddNumberToObject(object, "faults_cut", result->faults.cut);
	return object;
}

static int print_json(cJSON *files, bool ok)
{
	cJSON *object = cJSON_CreateObject();
	cJSON_AddBoolToObject(object, "ok", ok);
	cJSON_AddItemToObject(object, "files", files);
	char *text = cJSON_PrintUnformatted(object);
	cJSON_Delete(object);
	if (!text) {
		fprintf(stderr, "nodemend check: out of memory\n");
		return EXIT_NO;
	}
	puts(text);
	free(text);
	return EXIT_DONE;
}

/* `paths` may be empty: then the default places. */
static int check_files(char **paths, int count, bool json)
{
	struct result *result = calloc(1, sizeof(*result));
	cJSON *files = json ? cJSON_CreateArray() : NULL;
	bool ok = true;
	if (!result || (json && !files)) {
		fprintf(stderr, "nodemend check: out of memory\n");
		free(result);
		cJSON_Delete(files);
		return EXIT_NO;
	}

	for (int i = 0; i < (count ? count : 1); i++) {
		result->path = count ? paths[i] : NULL;
		result->err = config_load(result->path, &result->config, &result->faults);
		if (!result->err)
			result->err = templates_check(&result->config.outputs, &result->faults);
		ok = ok && !result->err;
		if (json)
			cJSON_AddItemToArray(files, to_json(result));
		else
			print_text(result);
	}
	free(result);
	if (json && print_json(files, ok) != EXIT_DONE)
		return EXIT_NO;
	return ok ? EXIT_DONE : EXIT_USAGE;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, 'j' },
		{ "reference", no_argument, NULL, 'r' },
		{ 0 },
	};
	bool json = false;
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'h':
			return cli_help(&command_check);
		case 'j':
			json = true;
			break;
		case 'r':
			config_print_reference(stdout);
			return EXIT_DONE;
		default:
			return cli_usage(&command_check, "unknown option %s", argv[optind - 1]);
		}
	}
	return check_files(argv + optind, argc - optind, json);
}

const struct command command_check = {
	.name = "check",
	.arguments = "[--json] [FILE...]",
	.summary = "validate configuration and policies",
	.help = "  FILE          a file to check on its own; none: /etc/nodemend/nodemend.yaml and conf.d/*.yaml together\n"
		"  --json        the result as JSON on one line\n"
		"  -h, --help    this text\n"
		"\n"
		"Every fault is file:line:column: what is wrong, and what would be right. Exit code 0: all is well; 2: there are faults.\n"
		"A file that an output names and that is not there, or a secret that everybody can read, is a warning.\n",
	.run = run,
};
