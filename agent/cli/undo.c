/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `nodemend undo`: turns back what a remedy has on lease, by the book in the run directory and without an agent. A systemd timer runs it, so that
 * a throttle ends even where no agent comes back; a person runs it with --all.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/option.h"
#include "cli/show.h"
#include "core/clock.h"
#include "lease.h"

static void say(const struct lease *lease, enum lease_end end, int error, void *context)
{
	static const char *const words[LEASE_END_COUNT] = {
		[LEASE_RETURNED] = "turned back to", [LEASE_FOREIGN] = "changed by somebody else meanwhile, left as it is; it was", [LEASE_GONE] = "gone; it was",
		[LEASE_FAILED] = "could not be turned back to", [LEASE_TAKEN_OVER] = "on lease by a later act; it was",
	};
	(void)context;
	printf("%s of %s: %s %s%s%s\n", show_text(knob_name(&lease->knob)).text, show_text(lease->action_id).text, words[end], show_text(lease->before).text, error ? ": " : "",
	       error ? strerror(-error) : "");
}

/* What stands at the API server, where this node has one. 0; 1: it could not be turned back. */
static int undo_cordon(bool all, bool quiet)
{
	static struct remedy_result result;
	struct remedy_request request = { .verb = all ? REMEDY_VERB_REVERT : REMEDY_VERB_SWEEP, .remedy = REMEDY_CORDON,
					  .deadline_boot_ns = clock_boot_ns() + 10 * NSEC_PER_SEC };
	const struct remedy *remedy = remedies[REMEDY_CORDON];
	if (remedy->check(&request, &result) < 0 || !result.armed)
		return 0;
	memset(&result, 0, sizeof(result));
	(void)remedy->give_back(&request, &result);
	if (result.leases.failed)
		fprintf(stderr, "nodemend undo: the node's cordon: %s\n", show_text(result.why).text);
	else if (!quiet && result.leases.returned)
		printf("cordon: turned back, pods may come again\n");
	else if (!quiet && result.leases.foreign)
		printf("cordon: somebody has turned it back already\n");
	return result.leases.failed != 0;
}

static int run(int argc, char **argv)
{
	static const struct option known[] = { CLI_OPTIONS, { "all", no_argument, NULL, 'a' }, { NULL, 0, NULL, 0 } };
	struct cli_options options = CLI_OPTIONS_INIT;
	enum lease_choice which = LEASES_EXPIRED;
	for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
		if (option == 'a')
			which = LEASES_ALL;
		else if (!cli_option(&options, option, optarg))
			return cli_usage(&command_undo, "`nodemend undo --help` lists the options");
	}
	if (optind < argc)
		return cli_usage(&command_undo, "what is '%s'?", argv[optind]);
	if (geteuid() != 0) {
		fprintf(stderr, "nodemend undo: what a remedy turned is root's to turn back\n");
		return EXIT_NOT_PERMITTED;
	}

	char book[PATH_LEN];
	struct lease_report report;
	if (snprintf(book, sizeof(book), "%s/leases", options.run_dir) >= (int)sizeof(book))
		return cli_usage(&command_undo, "--run-dir: too long");
	int error = leases_return(book, which, NULL, clock_boot_ns(), options.json ? NULL : say, NULL, &report);
	if (error) {
		fprintf(stderr, "nodemend undo: %s: %s\n", book, strerror(-error));
		return error == -EPERM || error == -EACCES ? EXIT_NOT_PERMITTED : EXIT_NO;
	}
	if (options.json)
		printf("{\"schema\":\"nodemend.undo/1\",\"held\":%u,\"returned\":%u,\"foreign\":%u,\"gone\":%u,\"failed\":%u,\"unreadable\":%u}\n", report.held, report.returned,
		       report.foreign, report.gone, report.failed, report.unreadable);
	else if (report.held)
		printf("%u held for later\n", report.held);
	if (report.unreadable && !options.json)
		printf("%u places of the book cannot be read: they were damaged, or written by another version\n", report.unreadable);
	int cordoned = undo_cordon(which == LEASES_ALL, options.json);
	return report.failed || report.unreadable || cordoned ? EXIT_NO : EXIT_DONE;
}

const struct command command_undo = {
	.name = "undo",
	.arguments = "[--all]",
	.summary = "turn back what is on lease beyond its time",
	.help = "  --all              also what still has time\n" CLI_OPTIONS_HELP,
	.run = run,
};
