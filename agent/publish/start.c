/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent tells its publisher at the start: descriptors by their numbers, and the few settings that do not change while it runs. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>

#include "core/privilege.h"
#include "publisher.h"

/* The agent wrote these; what is no number of its range is no descriptor. */
static int number(const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);
	return *text && !*end && value >= 0 && value <= INT_MAX ? (int)value : -1;
}

int publisher_start(int argc, char **argv)
{
	static const struct option options[] = {
		{ "ring-fd", required_argument, NULL, 'r' }, { "event-fd", required_argument, NULL, 'e' }, { "feed-fd", required_argument, NULL, 'f' },
		{ "listen", required_argument, NULL, 'l' },  { "node", required_argument, NULL, 'n' },	   { "user", required_argument, NULL, 'u' },
		{ "processes", required_argument, NULL, 'p' }, { "outputs-fd", required_argument, NULL, 'o' }, { "counters-fd", required_argument, NULL, 'c' },
		{ "log-format", required_argument, NULL, 'F' }, { "log-level", required_argument, NULL, 'L' },
		{ "statsd-fd", required_argument, NULL, 's' }, { "statsd-page-fd", required_argument, NULL, 'P' },
		{ "statsd-series", required_argument, NULL, 'S' }, { "statsd-age", required_argument, NULL, 'A' },
		{ NULL, 0, NULL, 0 },
	};
	struct publisher_args args = { .ring_fd = -1, .event_fd = -1, .feed_dir_fd = -1, .outputs_fd = -1, .counters_fd = -1, .listen = "", .node = "", .user = "nobody",
				       .log_format = LOG_FORMAT_TEXT, .log_level = 6, .statsd_fd = -1, .statsd_page_fd = -1 };

	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (option) {
		case 'r':
			args.ring_fd = number(optarg);
			break;
		case 'e':
			args.event_fd = number(optarg);
			break;
		case 'f':
			args.feed_dir_fd = number(optarg);
			break;
		case 'o':
			args.outputs_fd = number(optarg);
			break;
		case 'c':
			args.counters_fd = number(optarg);
			break;
		case 'l':
			args.listen = optarg;
			break;
		case 'n':
			args.node = optarg;
			break;
		case 'u':
			args.user = optarg;
			break;
		case 'p':
			args.max_processes_shown = (uint32_t)number(optarg);
			break;
		case 'F':
			args.log_format = (enum log_format)number(optarg);
			break;
		case 'L':
			args.log_level = (uint32_t)number(optarg);
			break;
		case 's':
			args.statsd_fd = number(optarg);
			break;
		case 'P':
			args.statsd_page_fd = number(optarg);
			break;
		case 'S':
			args.statsd_max_series = (uint32_t)number(optarg);
			break;
		case 'A':
			args.statsd_max_age_ns = strtoull(optarg, NULL, 10);
			break;
		default:
			return -EINVAL;
		}
	}
	if (args.ring_fd < 0 || args.event_fd < 0 || args.feed_dir_fd < 0)
		return -EINVAL;
	privilege_be_ordinary();
	return publisher_run(&args);
}
