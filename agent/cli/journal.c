/* SPDX-License-Identifier: Apache-2.0 */
/* `nodemend journal verify`: whether the journal still is what was written. Reads files only; the agent need not run. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "keep/journal.h"

static int print_json(const struct journal_report *report, bool whole)
{
	cJSON *json = cJSON_CreateObject();
	cJSON_AddStringToObject(json, "schema", "nodemend.journal/1");
	cJSON_AddBoolToObject(json, "whole", whole);
	cJSON_AddNumberToObject(json, "lines", (double)report->lines);
	cJSON_AddNumberToObject(json, "intents", (double)report->intents);
	cJSON_AddNumberToObject(json, "results", (double)report->results);
	cJSON_AddNumberToObject(json, "dangling", (double)report->dangling);
	cJSON_AddBoolToObject(json, "torn", report->torn);
	cJSON_AddBoolToObject(json, "anchored", report->anchored);
	cJSON_AddNumberToObject(json, "set_aside", report->aside);
	cJSON_AddStringToObject(json, "head", report->head);
	if (!whole) {
		cJSON_AddNumberToObject(json, "bad_line", (double)report->bad_line);
		cJSON_AddStringToObject(json, "why", report->why);
	}
	char *text = cJSON_PrintUnformatted(json);
	cJSON_Delete(json);
	if (!text) {
		fputs("nodemend: out of memory\n", stderr);
		return -ENOMEM;
	}
	puts(text);
	cJSON_free(text);
	return 0;
}

static void print_text(const struct journal_report *report, bool whole)
{
	if (!whole) {
		printf("broken at line %llu: %s\n", (unsigned long long)report->bad_line, report->why);
		printf("%llu lines before it are whole\n", (unsigned long long)report->lines);
		return;
	}
	printf("whole: %llu lines, %llu intents, %llu results\n", (unsigned long long)report->lines, (unsigned long long)report->intents,
	       (unsigned long long)report->results);
	if (report->dangling)
		printf("%llu intents have no result: their acts are under way, or the agent died with them\n", (unsigned long long)report->dangling);
	if (report->torn)
		puts("the last line is unfinished: an append is under way or was cut short; the next start cuts it off");
	puts(report->anchored ? "its end is where the state file says" : "no state file to compare with: lines cut off at the end would not show");
	if (report->aside)
		printf("%u earlier journals were set aside as corrupt (journal.jsonl.corrupt-*)\n", report->aside);
}

static int verify(const char *state_dir, bool json)
{
	struct journal_report report = { 0 };
	int fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int verdict = fd < 0 ? -errno : journal_verify(fd, &report);
	if (fd >= 0)
		close(fd);
	if (verdict < 0) {
		fprintf(stderr, "nodemend: %s: the journal cannot be read: %s\n", state_dir, strerror(-verdict));
		return verdict == -EACCES || verdict == -EPERM ? EXIT_NOT_PERMITTED : EXIT_USAGE;
	}
	if (!json)
		print_text(&report, verdict == 0);
	else if (print_json(&report, verdict == 0) < 0)
		return EXIT_USAGE;
	return verdict == 0 ? EXIT_DONE : EXIT_NO;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "state-dir", required_argument, NULL, 's' }, { "json", no_argument, NULL, 'j' }, { NULL, 0, NULL, 0 },
	};
	const char *state_dir = DEFAULT_STATE_DIR;
	bool json = false;
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (option) {
		case 's':
			state_dir = optarg;
			break;
		case 'j':
			json = true;
			break;
		default:
			return cli_usage(&command_journal, "see the options");
		}
	}
	if (optind + 1 != argc || strcmp(argv[optind], "verify") != 0)
		return cli_usage(&command_journal, "what can be done with a journal is 'verify'");
	return verify(state_dir, json);
}

const struct command command_journal = {
	.name = "journal",
	.arguments = "verify [--state-dir DIR] [--json]",
	.summary = "check the hash chain of the action journal",
	.help = "  --state-dir DIR  where journal.jsonl is (" DEFAULT_STATE_DIR ")\n"
		"  --json           the same as JSON on one line\n"
		"\n"
		"Exit code: 0 it is whole, 1 it is broken (the line and what is wrong are said), 2 it is not there, 4 it may not be read.\n"
		"docs/journal.md shows the same by hand, with sha256sum and jq.\n",
	.run = run,
};
