/* SPDX-License-Identifier: Apache-2.0 */
/* See config_table.h: tables only. */
#include "core/config_table.h"

static const char *const mode_choices[] = { [MODE_OBSERVE] = "observe", [MODE_SHADOW] = "shadow", [MODE_ENFORCE] = "enforce" };

static const struct setting http_settings[] = {
	{ .name = "listen", .type = VALUE_ADDRESS, MEMBER(struct config, listen), .initial = "127.0.0.1:9847",
	  .help = "where metrics are served, read-only; \"\" serves nothing" },
	{ .name = "tls", .type = VALUE_LATER, .help = "serve on 127.0.0.1 behind a proxy that has TLS" },
	{ .name = "auth", .type = VALUE_LATER, .help = "serve on 127.0.0.1 behind a proxy that asks who it is" },
};
const struct section http_section = SECTION("http", "The HTTP side.", http_settings);

static const struct setting budget_settings[] = {
	{ .name = "cpu_percent", .type = VALUE_PERCENT, MEMBER(struct config, budget_cpu_percent), .min = 0.1, .max = 100, .initial = "1.0",
	  .help = "of one processor; `status` shows the agent's own cost beside it" },
	{ .name = "memory", .type = VALUE_BYTES, MEMBER(struct config, budget_memory_bytes), .min = 16 << 20, .max = 4294967296.0,
	  .initial = "64MiB",
	  .help = "resident, agent and publisher together; likewise" },
};
const struct section budget_section = SECTION("budget", "What the agent itself may cost.", budget_settings);

#define COLLECTOR(id_, name_, help_) \
	{ .name = (name_), .type = VALUE_BOOL, MEMBER(struct config, collectors[id_]), .initial = "true", .help = (help_) }
static const struct setting collector_settings[] = {
	COLLECTOR(COLLECTOR_CPU, "cpu", "processor times and load"),
	COLLECTOR(COLLECTOR_MEMORY, "memory", "/proc/meminfo and /proc/vmstat"),
	COLLECTOR(COLLECTOR_PSI, "psi", "pressure stall information"),
	COLLECTOR(COLLECTOR_FILESYSTEM, "filesystem", "space and inodes of mounted filesystems, and when they will be full"),
	COLLECTOR(COLLECTOR_DISK, "disk", "block devices"),
	COLLECTOR(COLLECTOR_INTERFACE, "interface", "network interfaces"),
	COLLECTOR(COLLECTOR_SYSCALL, "syscall", "system calls: counts, errors, latency (BPF)"),
	COLLECTOR(COLLECTOR_TASK, "task", "processes that start and end, with what their whole life cost (BPF)"),
	COLLECTOR(COLLECTOR_FSWRITE, "fswrite", "who fills which filesystem (BPF)"),
	COLLECTOR(COLLECTOR_PROCESS, "process", "all processes"),
	COLLECTOR(COLLECTOR_CGROUP, "cgroup", "names and limits of cgroups"),
	COLLECTOR(COLLECTOR_UNIT, "unit", "the systemd units that policies name"),
};
const struct section collectors_section = SECTION("collectors",
	"What is measured; false switches one off, and with it every condition that reads it.", collector_settings);

static const struct setting statsd_settings[] = {
	{ .name = "socket", .type = VALUE_PATH, MEMBER(struct config, statsd.socket), .initial = "",
	  .help = "where applications send StatsD or DogStatsD datagrams, such as /run/nodemend/statsd.sock; \"\": nowhere" },
	{ .name = "mode", .type = VALUE_MODE, MEMBER(struct config, statsd.mode), .initial = "0660", .help = "who may send: the socket's permissions" },
	{ .name = "group", .type = VALUE_STRING, MEMBER(struct config, statsd.group), .initial = "", .help = "the socket's group; \"\": root's" },
	{ .name = "max_series", .type = VALUE_COUNT, MEMBER(struct config, statsd.max_series), .min = 1, .max = 10000, .initial = "1000",
	  .help = "beyond them new names and tags are left out and counted" },
	{ .name = "max_age", .type = VALUE_DURATION, MEMBER(struct config, statsd.max_age_ns), .min = NSEC_PER_SEC, .max = 86400.0 * NSEC_PER_SEC,
	  .initial = "5m", .help = "a series that nobody sends for so long is forgotten" },
};
const struct section statsd_section = SECTION("inputs: statsd", "StatsD and DogStatsD lines; see docs/inputs.md.", statsd_settings);

static const struct setting input_settings[] = {
	{ .name = "statsd", .type = VALUE_SECTION, .section = &statsd_section, .help = "StatsD and DogStatsD lines" },
};
const struct section inputs_section = SECTION("inputs", "What others may send to the agent.", input_settings);

static const char *const format_choices[] = {
	[LOG_FORMAT_AUTO] = "auto", [LOG_FORMAT_TEXT] = "text", [LOG_FORMAT_JSON] = "json", [LOG_FORMAT_JOURNALD] = "journald",
};
static const char *const level_choices[] = { "error", "warning", "info", "debug" };
static const uint32_t level_values[] = { 3, 4, 6, 7 };
static const struct setting log_settings[] = {
	{ .name = "format", .type = VALUE_CHOICE, MEMBER(struct config, log_format), CHOICES(format_choices), .initial = "auto",
	  .help = "auto: fields to journald where stderr is its, text on a terminal, JSON lines otherwise" },
	{ .name = "level", .type = VALUE_CHOICE, MEMBER(struct config, log_level), CHOICES(level_choices), .choice_values = level_values, .initial = "info",
	  .help = "the least of what is said" },
};
const struct section log_section = SECTION("log", "The agent's own log; see docs/logging.md.", log_settings);

static const struct setting mask_settings[] = {
	{ .name = "keys", .type = VALUE_LIST, .offset = offsetof(struct config, mask.keys), .size = MASK_KEY_LEN, .room = MASK_MAX_KEYS,
	  .count_offset = offsetof(struct config, mask.key_count), .help = "globs on names whose values are secret, such as *_dsn" },
	{ .name = "patterns", .type = VALUE_PATTERNS, .offset = offsetof(struct config, mask.patterns), .size = MASK_PATTERN_LEN, .room = MASK_MAX_PATTERNS,
	  .count_offset = offsetof(struct config, mask.pattern_count),
	  .help = "PCRE2; what its first group holds is hidden, or all it matches where it has none" },
};
const struct section mask_section = SECTION("mask",
	"What is hidden as *** wherever it would leave the agent, beside the built-in rules of docs/privacy.md.", mask_settings);

#define PROTECTED(member_, count_) \
	.type = VALUE_LIST, .offset = offsetof(struct config, protect.member_), .size = sizeof(((struct config *)0)->protect.member_[0]), \
	.room = MAX_PROTECT, .count_offset = offsetof(struct config, protect.count_)
static const struct setting protect_settings[] = {
	{ .name = "units", PROTECTED(units, unit_count), .help = "globs on unit names" },
	{ .name = "comms", PROTECTED(comms, comm_count), .help = "globs on command names" },
	{ .name = "cgroups", PROTECTED(cgroups, cgroup_count), .help = "globs on cgroup paths" },
};
const struct section protect_section = SECTION("protect",
	"What no remedy may touch, beside the built-in list; the lists of all files are added up.", protect_settings);

static const struct setting config_settings[] = {
	{ .name = "node", .type = VALUE_STRING, MEMBER(struct config, node), .initial = "",
	  .help = "the node's name in all outputs; \"\": the host's name" },
	{ .name = "interval", .type = VALUE_DURATION, MEMBER(struct config, interval_ns),
	  .min = 100 * NSEC_PER_MSEC, .max = 60.0 * NSEC_PER_SEC,
	  .initial = "1s", .help = "between two full measurements" },
	{ .name = "mode", .type = VALUE_CHOICE, MEMBER(struct config, mode), CHOICES(mode_choices), .initial = "enforce",
	  .help = "the ceiling over all policies" },
	{ .name = "startup_grace", .type = VALUE_DURATION, MEMBER(struct config, startup_grace_ns), .max = 600.0 * NSEC_PER_SEC,
	  .initial = "2s",
	  .help = "no act before the agent is this old" },
	{ .name = "http", .type = VALUE_SECTION, .section = &http_section, .help = "the HTTP side" },
	{ .name = "budget", .type = VALUE_SECTION, .section = &budget_section, .help = "what the agent may cost" },
	{ .name = "collectors", .type = VALUE_SECTION, .section = &collectors_section, .help = "what is measured" },
	{ .name = "inputs", .type = VALUE_SECTION, .section = &inputs_section, .help = "what others may send" },
	{ .name = "log", .type = VALUE_SECTION, .section = &log_section, .help = "the agent's own log" },
	{ .name = "mask", .type = VALUE_SECTION, .section = &mask_section, .help = "secrets that are hidden" },
	{ .name = "protect", .type = VALUE_SECTION, .section = &protect_section, .help = "what is never touched" },
	{ .name = "systemd_bus", .type = VALUE_STRING, MEMBER(struct config, systemd_bus), .initial = "",
	  .help = "D-Bus address of systemd, such as unix:path=/run/dbus/system_bus_socket; \"\": the system bus" },
	{ .name = "publisher_user", .type = VALUE_STRING, MEMBER(struct config, publisher_user), .min = 1, .initial = "nodemend",
	  .help = "whom the publisher runs as; nobody where that user does not exist" },
	{ .name = "top_processes", .type = VALUE_COUNT, MEMBER(struct config, max_processes_shown), .max = 1000, .initial = "20",
	  .help = "how many processes have series of their own" },
	{ .name = "policies", .type = VALUE_CUSTOM, .read = config_read_policies,
	  .help = "what to watch for and what to do; replaces the shipped ones" },
};
const struct section config_section = SECTION("the configuration", "", config_settings);
