/* SPDX-License-Identifier: Apache-2.0 */
/* `nodemend publish`: how the agent starts its publisher where nm-publisher is not beside it; of no use by hand. */
#include "cli/cli.h"
#include "publisher.h"

static int run(int argc, char **argv)
{
	int code = publisher_start(argc, argv);

	return code < 0 ? cli_usage(&command_publish, "the agent starts this itself") : code;
}

const struct command command_publish = {
	.name = "publish",
	.arguments = "--ring-fd N --event-fd N --feed-fd N",
	.summary = "the publisher process",
	.help = "  Started by the agent with descriptors of its own.\n",
	.run = run,
	.internal = true,
};
