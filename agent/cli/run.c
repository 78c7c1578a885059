/* SPDX-License-Identifier: Apache-2.0 */
/* `nodemend run`: the agent in the foreground. */
#include <getopt.h>
#include <string.h>

#include "agent.h"
#include "cli/cli.h"

static int parse_mode(const char *text, enum mode *ret)
{
	for (enum mode mode = 0; mode < MODE_COUNT; mode++) {
		if (strcmp(text, mode_names[mode]) == 0) {
			*ret = mode;
			return 0;
		}
	}
	return -1;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' }, { "run-dir", required_argument, NULL, 'r' },
		{ "state-dir", required_argument, NULL, 's' }, { "listen", required_argument, NULL, 'l' },
		{ "mode", required_argument, NULL, 'm' }, { "once", no_argument, NULL, 'o' }, { NULL, 0, NULL, 0 },
	};
	struct agent_options agent = { .run_dir = DEFAULT_RUN_DIR, .state_dir = DEFAULT_STATE_DIR, .mode = MODE_COUNT };

	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (option) {
		case 'c':
			agent.config_path = optarg;
			break;
		case 'r':
			agent.run_dir = optarg;
			break;
		case 's':
			agent.state_dir = optarg;
			break;
		case 'l':
			agent.listen = optarg;
			break;
		case 'm':
			if (parse_mode(optarg, &agent.mode) < 0)
				return cli_usage(&command_run_agent, "--mode %s: it is one of observe, shadow, enforce", optarg);
			break;
		case 'o':
			agent.once = true;
			break;
		default:
			return cli_usage(&command_run_agent, "see the options");
		}
	}
	if (optind < argc)
		return cli_usage(&command_run_agent, "what is '%s'?", argv[optind]);
	return agent_run(&agent);
}

const struct command command_run_agent = {
	.name = "run",
	.arguments = "[--config FILE] [--mode MODE] [--listen ADDRESS] [--once]",
	.summary = "the agent in the foreground; without a configuration it observes all and mends in shadow",
	.help = "  --config FILE      instead of /etc/nodemend/nodemend.yaml and conf.d\n"
		"  --mode MODE        ceiling over all policies: observe, shadow or enforce\n"
		"  --listen HOST:PORT instead of http.listen; \"\" serves nothing\n"
		"  --run-dir DIR      control socket and metrics.json (" DEFAULT_RUN_DIR ")\n"
		"  --state-dir DIR    journal and state (" DEFAULT_STATE_DIR ")\n"
		"  --once             take one full interval, print the feed and end\n",
	.run = run,
};
