/* SPDX-License-Identifier: Apache-2.0 */
/* The options that most commands have. */
#ifndef NODEMEND_CLI_OPTION_H
#define NODEMEND_CLI_OPTION_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/cli.h"

struct cli_options {
	const char *run_dir, *state_dir;
	bool json;
};

#define CLI_OPTIONS_INIT { .run_dir = DEFAULT_RUN_DIR, .state_dir = DEFAULT_STATE_DIR }
/* Rows for getopt_long, above any letter; the commands' own stand after them. */
enum { OPTION_RUN_DIR = 256, OPTION_STATE_DIR, OPTION_JSON };
#define CLI_OPTIONS \
	{ "run-dir", required_argument, NULL, OPTION_RUN_DIR }, { "state-dir", required_argument, NULL, OPTION_STATE_DIR }, { "json", no_argument, NULL, OPTION_JSON }
#define CLI_OPTIONS_HELP \
	"  --json             the same as one line of JSON\n" \
	"  --run-dir DIR      where the agent's socket is (" DEFAULT_RUN_DIR ")\n" \
	"  --state-dir DIR    where its journal is (" DEFAULT_STATE_DIR ")\n"

/* Whether it was one of CLI_OPTIONS. */
bool cli_option(struct cli_options *options, int option, const char *value);
/* For commands that have no others: parses, and leaves the words in argv from optind on. false = usage was said. */
bool cli_parse(const struct command *command, int argc, char **argv, struct cli_options *options);

struct cJSON;
/* {"command":name}; NULL only out of memory. */
struct cJSON *cli_request(const char *name);
/* Asks; with --json prints the answer as it is. The answer for showing it; or NULL and the exit code (EXIT_DONE: it is printed). */
struct cJSON *cli_ask(const struct cli_options *options, struct cJSON *request, int *ret_code);

/* All of a command that takes no words, asks by its own name and shows the answer. */
struct look;
int cli_show(const struct command *command, int argc, char **argv, void (*show)(const struct look *look, const struct cJSON *answer));

/* As in a configuration: "90s", "2h". 0 or -EINVAL with what would be right in `why`. */
int cli_duration(const char *text, uint64_t *ret_ns, char *why, size_t why_size);

#endif
