/* SPDX-License-Identifier: Apache-2.0 */
/* Commands: one file each, one row each in agent/main.c's table. */
#ifndef NODEMEND_CLI_CLI_H
#define NODEMEND_CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>

enum exit_code { EXIT_DONE = 0, EXIT_NO = 1, EXIT_USAGE = 2, EXIT_UNREACHABLE = 3, EXIT_NOT_PERMITTED = 4 };

#define DEFAULT_RUN_DIR "/run/nodemend"
#define DEFAULT_STATE_DIR "/var/lib/nodemend"

struct command {
	const char *name;
	const char *arguments;   /* for the usage line: "[--config FILE]" */
	const char *summary;     /* one line */
	const char *help;        /* the options, one a line */
	int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns an exit code */
	bool internal;           /* not listed */
};

extern const struct command command_run_agent, command_check, command_doctor, command_status, command_incidents, command_why,
	command_remedies, command_apply, command_pause, command_resume, command_reload, command_journal, command_publish, command_undo,
	command_outlook, command_forecast, command_detect;

struct outputs;
/* check_files.c: a sentence for each file of an output that is not there, or that too many can read. */
void check_print_files(const struct outputs *outputs, FILE *out);

/* Sends a request to the agent and returns the answer, or prints why not and returns NULL with *ret_code set. */
struct cJSON *cli_call(const char *run_dir, struct cJSON *request, int *ret_code);
/* Prints the command's help to stdout. */
int cli_help(const struct command *command);
int cli_usage(const struct command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* On a terminal and without NO_COLOR. */
bool cli_colour(void);

#endif
