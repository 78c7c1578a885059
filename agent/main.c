/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands, and nothing else. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "core/heap.h"

static const struct command *const commands[] = {
	&command_run_agent,	   &command_check, &command_doctor, &command_status, &command_incidents, &command_why,	 &command_remedies,
	&command_apply, &command_pause, &command_resume, &command_reload, &command_journal, &command_publish, &command_undo,
	&command_outlook,
	&command_forecast,
	&command_detect,
};
enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static void print_usage(FILE *out)
{
	fprintf(out, "usage: nodemend COMMAND [OPTION]...\n\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (!commands[i]->internal)
			fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(out, "\n`nodemend COMMAND --help` says more.\n");
}

int main(int argc, char **argv)
{
	heap_keep_small();
	if (argc < 2) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		print_usage(stdout);
		return EXIT_DONE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("nodemend %s\n", NODEMEND_VERSION);
		return EXIT_DONE;
	}

	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(argv[1], commands[i]->name) != 0)
			continue;
		for (int word = 2; word < argc && strcmp(argv[word], "--") != 0; word++)
			if (strcmp(argv[word], "--help") == 0 || strcmp(argv[word], "-h") == 0)
				return cli_help(commands[i]);
		return commands[i]->run(argc - 1, argv + 1);
	}
	fprintf(stderr, "nodemend: no command '%s'; `nodemend --help` lists them\n", argv[1]);
	return EXIT_USAGE;
}
