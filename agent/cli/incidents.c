/* SPDX-License-Identifier: Apache-2.0 */
/* `nodemend incidents`: the list, newest first. */
#include <cjson/cJSON.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/option.h"
#include "cli/show.h"
#include "core/clock.h"

void incidents_show(const struct look *look, const cJSON *answer)
{
	const cJSON *incident;
	if (get_count(answer, "incidents") == 0)
		fprintf(look->out, "no incidents\n");
	cJSON_ArrayForEach(incident, get(answer, "incidents")) {
		const char *severity = get_text(incident, "severity"), *state = get_text(incident, "state"), *resolved = get_text(incident, "resolved");
		struct shown cause = show_cause(incident);
		double lasted = seconds_between(get_text(incident, "opened"), resolved[0] ? resolved : get_text(answer, "time"));
		show_tinted(look, TINT_BOLD, "%s", show_member(incident, "id").text);
		fprintf(look->out, "  %s  ", show_time(get_text(incident, "opened")).text);
		show_tinted(look, strcmp(state, "resolved") == 0 ? TINT_GOOD : tint_of_severity(severity), "%-9s %-11s", show_text(severity).text, show_text(state).text);
		fprintf(look->out, "  %s of %s, %s %s\n", show_member(incident, "kind").text, show_resource(get(incident, "resource")).text,
			resolved[0] ? "over after" : "for", show_seconds(lasted).text);
		fprintf(look->out, "    %s; %s\n", cause.text[0] ? cause.text : "no cause is known", show_deeds(incident).text);
	}
}

/* A time as it is, or so long ago. false: neither. */
static bool parse_since(const char *text, char *ret_utc, size_t size)
{
	int64_t wall_ns;
	uint64_t ago_ns;
	char why[1];
	if (clock_parse(text, &wall_ns) < 0) {
		if (cli_duration(text, &ago_ns, why, sizeof(why)) < 0 || ago_ns > INT64_MAX / 4)
			return false;
		wall_ns = clock_wall_ns() - (int64_t)ago_ns;
	}
	clock_format(wall_ns, ret_utc, size);
	return true;
}

static int run(int argc, char **argv)
{
	static const struct option known[] = { CLI_OPTIONS, { "since", required_argument, NULL, 's' }, { "all", no_argument, NULL, 'a' }, { NULL, 0, NULL, 0 } };
	struct cli_options options = CLI_OPTIONS_INIT;
	char since[32] = "";
	bool all = false;
	for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
		if (option == 's' && !parse_since(optarg, since, sizeof(since)))
			return cli_usage(&command_incidents, "--since %s: a duration such as 2h, or a time such as 2026-11-23T10:00:00Z", optarg);
		else if (option == 'a')
			all = true;
		else if (option != 's' && !cli_option(&options, option, optarg))
			return cli_usage(&command_incidents, "`nodemend incidents --help` lists the options");
	}
	if (optind < argc)
		return cli_usage(&command_incidents, "what is '%s'? one incident is told by `nodemend why ID`", argv[optind]);

	int code;
	cJSON *request = cli_request("incidents");
	cJSON_AddBoolToObject(request, "all", all);
	if (since[0])
		cJSON_AddStringToObject(request, "since", since);
	cJSON *answer = cli_ask(&options, request, &code);
	if (!answer)
		return code;
	struct look look = look_stdout();
	incidents_show(&look, answer);
	cJSON_Delete(answer);
	return EXIT_DONE;
}

const struct command command_incidents = {
	.name = "incidents",
	.arguments = "[--since T] [--all] [--json]",
	.summary = "the open incidents, newest first",
	.help = "  --all              those that ended, too, as far as the agent still remembers them\n"
		"  --since T          those of the last T (2h), or since a time (2026-11-23T10:00:00Z)\n" CLI_OPTIONS_HELP,
	.run = run,
};
