/* SPDX-License-Identifier: Apache-2.0 */
/* See policy_table.h: tables only. */
#include "core/policy_table.h"

#define PERCENT_RANGE .min = 0, .max = 100
#define HOUR_NS (3600.0 * NSEC_PER_SEC)
#define DAY_NS (24 * HOUR_NS)
#define THRESHOLD(name_, unit_, above_, measure_, help_, ...) \
	{ .name = (name_), .type = VALUE_THRESHOLD, .unit = (unit_), .above = (above_), .tag = (measure_), .help = (help_), \
	  MEMBER(struct condition, threshold), __VA_ARGS__ }
#define FOR_SETTING { .name = "for", .type = VALUE_DURATION, MEMBER(struct condition, for_ns), .max = DAY_NS, .initial = "0s", \
	.help = "how long it must hold, in every sample, before it counts; a gap starts it anew" }
#define OF_SETTING { .name = "of", .type = VALUE_SAMPLES, MEMBER(struct condition, of), \
	.help = "instead of for: in at least so many of the last samples, one an interval; a missing sample is none of them" }

static const char *const mode_choices[] = { [MODE_OBSERVE] = "observe", [MODE_SHADOW] = "shadow", [MODE_ENFORCE] = "enforce" };
static const char *const severity_choices[] = {
	[SEVERITY_WARNING] = "warning", [SEVERITY_CRITICAL] = "critical", [SEVERITY_EMERGENCY] = "emergency",
};
static const char *const resource_choices[] = { [PSI_CPU] = "cpu", [PSI_MEMORY] = "memory", [PSI_IO] = "io" };
static const char *const window_choices[] = { "10s", "60s", "300s", "interval", "2s" };
static const uint32_t window_seconds[] = { 10, 60, 300, 0, TRIGGER_WINDOW_S };
static const char *const by_choices[] = { "process", "cgroup" };
static const char *const unit_state_choices[] = {
	[UNIT_ACTIVE] = "active", [UNIT_RELOADING] = "reloading", [UNIT_INACTIVE] = "inactive", [UNIT_FAILED] = "failed",
	[UNIT_ACTIVATING] = "activating", [UNIT_DEACTIVATING] = "deactivating", [UNIT_MISSING] = "missing",
};
static const char *const capacity_choices[] = {
	[CAPACITY_FILESYSTEM] = "filesystem", [CAPACITY_INODES] = "inodes", [CAPACITY_MEMORY] = "memory", [CAPACITY_SWAP] = "swap",
	[CAPACITY_PIDS] = "pids", [CAPACITY_FILES] = "files", [CAPACITY_CONNTRACK] = "conntrack", [CAPACITY_CGROUP_MEMORY] = "cgroup_memory",
	[CAPACITY_CGROUP_PIDS] = "cgroup_pids", [CAPACITY_PROCESS_FILES] = "process_files",
};
static const char *const leak_choices[] = { [LEAK_MEMORY] = "memory", [LEAK_FILES] = "files", [LEAK_THREADS] = "threads" };
static const char *const anomaly_scope_choices[] = { "node", "cgroup" };
static const char *const means_choices[] = {
	[PROBE_MEANS_SERVICE_DOWN] = "service_down", [PROBE_MEANS_SERVICE_HUNG] = "service_hung", [PROBE_MEANS_DEPENDENCY_DOWN] = "dependency_down",
};
static const char *const true_choice[] = { [1] = "true" };
static const char *const active_choice[] = { [1] = "active" };

/* --- conditions -------------------------------------------------------------------------------------------------------- */

static const struct setting filesystem_settings[] = {
	{ .name = "mountpoint", .type = VALUE_STRING, MEMBER(struct condition, mountpoint), .initial = "",
	  .help = "glob on the mount point; `*` does not cross a `/`, but alone means every filesystem, as does leaving it out" },
	THRESHOLD("used_percent", VALUE_PERCENT, true, MEASURE_USED_PERCENT, "used, of what the unprivileged can use, as df says",
		  PERCENT_RANGE),
	THRESHOLD("inodes_used_percent", VALUE_PERCENT, true, MEASURE_INODES_USED_PERCENT, "inodes used", PERCENT_RANGE),
	THRESHOLD("avail_bytes", VALUE_BYTES, false, MEASURE_AVAILABLE_BYTES, "bytes that an unprivileged user can still write"),
	THRESHOLD("avail_percent", VALUE_PERCENT, false, MEASURE_AVAILABLE_PERCENT, "the same as a share", PERCENT_RANGE),
	THRESHOLD("full_within", VALUE_DURATION, false, MEASURE_FULL_WITHIN, "the forecast says that it will be full by then",
		  .min = NSEC_PER_SEC, .max = 30 * DAY_NS),
	FOR_SETTING,
	OF_SETTING,
};

static const struct setting memory_settings[] = {
	THRESHOLD("used_percent", VALUE_PERCENT, true, MEASURE_USED_PERCENT, "of MemTotal, what is not MemAvailable", PERCENT_RANGE),
	THRESHOLD("available_percent", VALUE_PERCENT, false, MEASURE_AVAILABLE_PERCENT, "MemAvailable, of MemTotal", PERCENT_RANGE),
	THRESHOLD("available_bytes", VALUE_BYTES, false, MEASURE_AVAILABLE_BYTES, "MemAvailable"),
	THRESHOLD("swap_used_percent", VALUE_PERCENT, true, MEASURE_SWAP_USED_PERCENT, "unknown, and so never true, on a node without swap",
		  PERCENT_RANGE),
	FOR_SETTING,
	OF_SETTING,
};

static const struct setting cpu_settings[] = {
	THRESHOLD("used_percent", VALUE_PERCENT, true, MEASURE_USED_PERCENT, "of all online processors; idle and iowait are not use",
		  PERCENT_RANGE),
	FOR_SETTING,
	OF_SETTING,
};

static const struct setting psi_settings[] = {
	{ .name = "resource", .type = VALUE_CHOICE, .required = true, MEMBER(struct condition, psi_resource), CHOICES(resource_choices),
	  .help = "whose pressure stall information" },
	THRESHOLD("some", VALUE_PERCENT, true, MEASURE_PSI_SOME, "share of the window in which at least one task waited", PERCENT_RANGE),
	THRESHOLD("full", VALUE_PERCENT, true, MEASURE_PSI_FULL, "share of the window in which all tasks waited", PERCENT_RANGE),
	{ .name = "window", .type = VALUE_CHOICE, MEMBER(struct condition, psi_window_s), CHOICES(window_choices),
	  .choice_values = window_seconds,
	  .initial = "10s", .help = "the kernel's averages, or the agent's last interval; 2s: told by the kernel itself, as soon as it is so" },
	{ .name = "cgroup", .type = VALUE_STRING, MEMBER(struct condition, cgroup), .initial = "",
	  .help = "of cgroups (v2) instead of the node: glob on the path, which also takes all cgroups below it; window 10s or 2s" },
	FOR_SETTING,
	OF_SETTING,
};

static const struct setting process_settings[] = {
	{ .name = "comm", .type = VALUE_STRING, MEMBER(struct condition, comm), .initial = "",
	  .help = "glob on the command name (15 bytes, as the kernel cuts it)" },
	{ .name = "cgroup", .type = VALUE_STRING, MEMBER(struct condition, cgroup), .initial = "",
	  .help = "glob on the cgroup's path below the hierarchy's mount; also takes all cgroups below it" },
	{ .name = "unit", .type = VALUE_STRING, MEMBER(struct condition, unit), .initial = "",
	  .help = "glob on the name of the systemd unit" },
	{ .name = "by", .type = VALUE_CHOICE, MEMBER(struct condition, by_group), CHOICES(by_choices), .initial = "process",
	  .help = "one number a process, or one a cgroup (the sum of its members)" },
	THRESHOLD("memory", VALUE_BYTES, true, MEASURE_RSS_BYTES, "resident memory; by cgroup, what the controller says where less"),
	THRESHOLD("rss_bytes", VALUE_BYTES, true, MEASURE_RSS_BYTES, "another name for memory"),
	THRESHOLD("cpu_percent", VALUE_PERCENT, true, MEASURE_CPU_PERCENT, "100 is one processor busy", .max = 51200),
	THRESHOLD("growth_bytes", VALUE_BYTES, true, MEASURE_GROWTH_BYTES, "resident memory against about 15 s ago"),
	THRESHOLD("zombies", VALUE_COUNT, true, MEASURE_ZOMBIES, "its children that have ended and that it does not wait for; one target a parent",
		  .max = 1000000),
	THRESHOLD("running", VALUE_COUNT, false, MEASURE_COUNT_BELOW, "how many run that match: for what must be there",
		  .min = 1, .max = 100000),
	FOR_SETTING,
	OF_SETTING,
};

static const struct setting capacity_settings[] = {
	{ .name = "resource", .type = VALUE_CHOICES, .required = true, MEMBER(struct condition, resources), CHOICES(capacity_choices),
	  .help = "which; a list where they make the same kind of incident" },
	{ .name = "name", .type = VALUE_STRING, MEMBER(struct condition, capacity), .initial = "",
	  .help = "glob on the mount point, the cgroup's path or the process' name; also takes what is below it" },
	THRESHOLD("full_within", VALUE_DURATION, false, MEASURE_FULL_WITHIN,
		  "the forecast says that it will be used up by then; no forecast is no", .min = NSEC_PER_SEC, .max = 30 * DAY_NS),
	THRESHOLD("used_percent", VALUE_PERCENT, true, MEASURE_USED_PERCENT, "used, of the capacity", PERCENT_RANGE),
	FOR_SETTING,
};

static const struct setting leak_settings[] = {
	{ .name = "of", .type = VALUE_CHOICE, MEMBER(struct condition, leak), CHOICES(leak_choices), .initial = "memory",
	  .help = "what a process has ever more of" },
	{ .name = "comm", .type = VALUE_STRING, MEMBER(struct condition, comm), .initial = "",
	  .help = "glob on the command name (15 bytes, as the kernel cuts it)" },
	THRESHOLD("per_hour", VALUE_BYTES, true, MEASURE_LEAK_PER_HOUR,
		  "grows by more than this an hour, for an hour at least, and never gives back: bytes, or a number of files or threads"),
	FOR_SETTING,
};

static const struct setting unit_settings[] = {
	{ .name = "name", .type = VALUE_STRING, .required = true, MEMBER(struct condition, unit), .min = 1,
	  .help = "the unit's full name, such as nginx.service" },
	{ .name = "state", .type = VALUE_CHOICES, MEMBER(struct condition, unit_states), CHOICES(unit_state_choices),
	  .tag = MEASURE_UNIT_STATE,
	  .help = "true while the unit is in this state, or in one of a list" },
	{ .name = "probe", .type = VALUE_CUSTOM, .read = policy_read_probe, .tag = MEASURE_UNIT_PROBE,
	  .help = "true while the unit is active and its probe fails" },
	{ .name = "timeout", .type = VALUE_DURATION, MEMBER(struct condition, probe.timeout_ns),
	  .min = 10 * NSEC_PER_MSEC, .max = 60.0 * NSEC_PER_SEC,
	  .initial = "2s", .help = "how long a probe may take; never longer than every" },
	{ .name = "every", .type = VALUE_DURATION, MEMBER(struct condition, probe.every_ns), .min = 100 * NSEC_PER_MSEC, .max = HOUR_NS,
	  .initial = "5s", .help = "how often to probe" },
	{ .name = "failures", .type = VALUE_COUNT, MEMBER(struct condition, probe.failures), .min = 1, .max = 100, .initial = "3",
	  .help = "failures in a row until the unit counts as hung" },
	THRESHOLD("restarts", VALUE_COUNT, true, MEASURE_UNIT_RESTARTS, "how often it was started again within `within`: for what flaps",
		  .max = UNIT_STARTS_KEPT - 1),
	{ .name = "within", .type = VALUE_DURATION, MEMBER(struct condition, window_ns), .min = NSEC_PER_SEC, .max = DAY_NS, .initial = "10m",
	  .help = "the time for restarts" },
	FOR_SETTING,
};

static const struct setting log_settings[] = {
	{ .name = "source", .type = VALUE_STRING, .required = true, MEMBER(struct condition, log.source), .min = 1,
	  .help = "kernel, journal, or a glob on absolute paths; see docs/logs.md" },
	{ .name = "unit", .type = VALUE_STRING, MEMBER(struct condition, unit), .initial = "",
	  .help = "journal: glob on the unit that wrote it" },
	{ .name = "match", .type = VALUE_REGEX, MEMBER(struct condition, log.match), .min = 1, .tag = MEASURE_LOG_MATCHES,
	  .help = "PCRE2 on a line; its groups named device, filesystem, interface, unit or pid say what the incident is about" },
	{ .name = "pattern", .type = VALUE_CUSTOM, .read = policy_read_log_patterns, .tag = MEASURE_LOG_MATCHES,
	  .help = "one of the shipped patterns, or a list of them" },
	{ .name = "times", .type = VALUE_COUNT, MEMBER(struct condition, times), .min = 1, .max = LOG_TIMES_MAX, .initial = "1",
	  .help = "true when so many lines matched" },
	{ .name = "within", .type = VALUE_DURATION, MEMBER(struct condition, window_ns), .min = NSEC_PER_SEC, .max = DAY_NS, .initial = "1m",
	  .help = "in this time" },
	{ .name = "clear", .type = VALUE_REGEX, MEMBER(struct condition, log.clear), .initial = "",
	  .help = "a line that matches this says that it is over" },
	{ .name = "clear_after", .type = VALUE_DURATION, MEMBER(struct condition, log.clear_after_ns), .max = 30 * DAY_NS, .initial = "10m",
	  .help = "and so does this time without a match; 0s: only the line does" },
	{ .name = "multiline", .type = VALUE_REGEX, MEMBER(struct condition, log.multiline), .initial = "",
	  .help = "a line that matches this goes on with the one before, such as '^\\s|^Caused by:'" },
};

static const struct setting crash_settings[] = {
	{ .name = "comm", .type = VALUE_STRING, MEMBER(struct condition, comm), .initial = "", .help = "glob on the command name" },
	{ .name = "unit", .type = VALUE_STRING, MEMBER(struct condition, unit), .initial = "", .help = "glob on the systemd unit" },
	{ .name = "cgroup", .type = VALUE_STRING, MEMBER(struct condition, cgroup), .initial = "",
	  .help = "glob on the cgroup's path; also takes all below it" },
	{ .name = "signals", .type = VALUE_CUSTOM, .read = policy_read_signals,
	  .help = "a list of names; left out, with no exit_codes: SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS and SIGTRAP" },
	{ .name = "exit_codes", .type = VALUE_CUSTOM, .read = policy_read_exit_codes, .help = "a list of 1 to 255, or `any` for all of them" },
	{ .name = "times", .type = VALUE_COUNT, MEMBER(struct condition, times), .min = 1, .max = CRASHES_KEPT, .initial = "1",
	  .help = "true when so many ended so" },
	{ .name = "within", .type = VALUE_DURATION, MEMBER(struct condition, window_ns), .min = NSEC_PER_SEC, .max = HOUR_NS, .initial = "5m",
	  .help = "in this time; over when they no longer did" },
};

static const struct setting hung_settings[] = {
	{ .name = "comm", .type = VALUE_STRING, MEMBER(struct condition, comm), .initial = "", .help = "glob on the command name" },
	{ .name = "unit", .type = VALUE_STRING, MEMBER(struct condition, unit), .initial = "", .help = "glob on the systemd unit" },
	{ .name = "cgroup", .type = VALUE_STRING, MEMBER(struct condition, cgroup), .initial = "",
	  .help = "glob on the cgroup's path; also takes all below it" },
	{ .name = "for", .type = VALUE_DURATION, MEMBER(struct condition, window_ns), .min = NSEC_PER_SEC, .max = HOUR_NS, .initial = "30s",
	  .help = "how long without a sign of life" },
};

static const struct setting probe_condition_settings[] = {
	{ .name = "tcp", .type = VALUE_ADDRESS, MEMBER(struct condition, probe.address), .min = 1, .tag = MEASURE_PROBE, .help = "a connection is accepted" },
	{ .name = "http", .type = VALUE_URL, MEMBER(struct condition, probe.address), .min = 1, .tag = MEASURE_PROBE, .help = "GET is answered" },
	{ .name = "command", .type = VALUE_CUSTOM, .read = policy_read_condition_command, .tag = MEASURE_PROBE,
	  .help = "[/path, argument…] ends with 0; no shell; the file must belong to root and be writable by nobody else" },
	{ .name = "status", .type = VALUE_CUSTOM, .read = policy_read_status,
	  .help = "http: 200, or 200-299, is an answer; left out: 200-399" },
	{ .name = "body", .type = VALUE_REGEX, MEMBER(struct condition, probe.body), .initial = "",
	  .help = "http: what must stand in the first 16 KiB of the answer" },
	{ .name = "means", .type = VALUE_CHOICE, MEMBER(struct condition, probe_means), CHOICES(means_choices), .initial = "service_down",
	  .help = "which kind of incident it is when it fails" },
	{ .name = "unit", .type = VALUE_STRING, MEMBER(struct condition, unit), .initial = "",
	  .help = "whose service it is, by the full name; left out: the incident is about the address, or the command" },
	{ .name = "timeout", .type = VALUE_DURATION, MEMBER(struct condition, probe.timeout_ns), .min = 10 * NSEC_PER_MSEC, .max = 60.0 * NSEC_PER_SEC,
	  .initial = "2s", .help = "how long it may take; never longer than every" },
	{ .name = "every", .type = VALUE_DURATION, MEMBER(struct condition, probe.every_ns), .min = 100 * NSEC_PER_MSEC, .max = HOUR_NS,
	  .initial = "5s", .help = "how often to probe" },
	{ .name = "failures", .type = VALUE_COUNT, MEMBER(struct condition, probe.failures), .min = 1, .max = 100, .initial = "3",
	  .help = "failures in a row until it counts as failing" },
	FOR_SETTING,
	OF_SETTING,
};

#define GROUP_SELECTORS \
	{ .name = "cgroup", .type = VALUE_STRING, MEMBER(struct condition, cgroup), .initial = "", \
	  .help = "glob on the cgroup's path; also takes all cgroups below it" }, \
	{ .name = "unit", .type = VALUE_STRING, MEMBER(struct condition, unit), .initial = "", .help = "glob on the name of the systemd unit" }

static const struct setting cgroup_settings[] = {
	GROUP_SELECTORS,
	THRESHOLD("memory_used_percent", VALUE_PERCENT, true, MEASURE_MEMORY_LIMIT_PERCENT,
		  "of its own memory limit, without the page cache that can simply be dropped; a cgroup without a limit is no target", PERCENT_RANGE),
	THRESHOLD("pids_used_percent", VALUE_PERCENT, true, MEASURE_PIDS_LIMIT_PERCENT, "tasks, of its own pids limit", PERCENT_RANGE),
	FOR_SETTING,
	OF_SETTING,
};

static const struct setting pids_settings[] = {
	THRESHOLD("used_percent", VALUE_PERCENT, true, MEASURE_USED_PERCENT, "threads of the node, of pid_max or threads-max, whichever is less",
		  PERCENT_RANGE),
	FOR_SETTING,
	OF_SETTING,
};

static const struct setting files_settings[] = {
	THRESHOLD("used_percent", VALUE_PERCENT, true, MEASURE_USED_PERCENT, "open files of the node, of fs.file-max", PERCENT_RANGE),
	THRESHOLD("process_used_percent", VALUE_PERCENT, true, MEASURE_FILES_LIMIT_PERCENT,
		  "descriptors of one process, of its own RLIMIT_NOFILE: one target a process", PERCENT_RANGE),
	{ .name = "comm", .type = VALUE_STRING, MEMBER(struct condition, comm), .initial = "", .help = "glob on the command name; left out: any" },
	GROUP_SELECTORS,
	FOR_SETTING,
	OF_SETTING,
};

static const struct setting conntrack_settings[] = {
	THRESHOLD("used_percent", VALUE_PERCENT, true, MEASURE_USED_PERCENT, "entries, of nf_conntrack_max; unknown without the module", PERCENT_RANGE),
	FOR_SETTING,
	OF_SETTING,
};

static const struct setting neighbours_settings[] = {
	THRESHOLD("used_percent", VALUE_PERCENT, true, MEASURE_USED_PERCENT, "entries, of gc_thresh3, of IPv4 or IPv6, whichever is fuller",
		  PERCENT_RANGE),
	FOR_SETTING,
	OF_SETTING,
};

static const struct setting listener_settings[] = {
	{ .name = "port", .type = VALUE_COUNT, MEMBER(struct condition, port), .min = 1, .max = 65535, .help = "left out: any" },
	GROUP_SELECTORS,
	THRESHOLD("backlog_percent", VALUE_PERCENT, true, MEASURE_BACKLOG_PERCENT,
		  "connections that wait to be accepted, of the backlog: one target a port of a cgroup", .max = 200),
	FOR_SETTING,
	OF_SETTING,
};

static const struct setting interface_settings[] = {
	{ .name = "name", .type = VALUE_STRING, MEMBER(struct condition, name), .initial = "", .help = "glob on the interface's name; left out: any" },
	THRESHOLD("used_percent", VALUE_PERCENT, true, MEASURE_USED_PERCENT,
		  "of its speed, in the busier direction; unknown where the driver does not say a speed", PERCENT_RANGE),
	THRESHOLD("bytes_per_second", VALUE_BYTES, true, MEASURE_BYTES_PER_SECOND, "in the busier direction: for what has no speed of its own"),
	THRESHOLD("unanswered_bytes_per_second", VALUE_BYTES, true, MEASURE_UNANSWERED_BYTES,
		  "sent, where nothing at all was received; 0 where anything was: for a link that is up and dead"),
	FOR_SETTING,
	OF_SETTING,
};

static const struct setting dependency_settings[] = {
	{ .name = "peer", .type = VALUE_STRING, MEMBER(struct condition, name), .initial = "",
	  .help = "glob on ADDRESS:PORT of a service that this node connects to, or dns:ADDRESS of a name server; left out: any" },
	THRESHOLD("fails_percent", VALUE_PERCENT, true, MEASURE_FAILS_PERCENT,
		  "of its attempts in about the last half minute, refused, timed out or unreachable; of name servers SERVFAIL, REFUSED and no answer",
		  PERCENT_RANGE),
	THRESHOLD("resets_percent", VALUE_PERCENT, true, MEASURE_RESETS_PERCENT, "of its connections that ended, by a reset from there", PERCENT_RANGE),
	THRESHOLD("slower_than_usual", VALUE_TIMES, true, MEASURE_SLOWER_TIMES,
		  "so many times the median of its own history, in connecting, in round trips or in answering", .min = 1.1, .max = 10000),
	FOR_SETTING,
	OF_SETTING,
};

static const struct setting anomaly_settings[] = {
	{ .name = "scope", .type = VALUE_CHOICE, MEMBER(struct condition, by_group), CHOICES(anomaly_scope_choices), .initial = "node",
	  .help = "all that is watched of the node together, or of each cgroup by itself" },
	{ .name = "cgroup", .type = VALUE_STRING, MEMBER(struct condition, cgroup), .initial = "",
	  .help = "scope: cgroup: glob on the cgroup's path; also takes all cgroups below it" },
	THRESHOLD("alarms_per_day", VALUE_COUNT, false, MEASURE_ALARMS_PER_DAY,
		  "the budget: true for what the target's own past would give less often than so many times a day", .min = 1, .max = 24),
	FOR_SETTING,
};

const struct section condition_sections[CONDITION_KIND_COUNT] = {
	[CONDITION_FILESYSTEM] = SECTION("filesystem", "A mounted filesystem: one target a mount.", filesystem_settings),
	[CONDITION_MEMORY] = SECTION("memory", "The node's memory.", memory_settings),
	[CONDITION_CPU] = SECTION("cpu", "The node's processors.", cpu_settings),
	[CONDITION_PSI] = SECTION("psi", "Pressure: how long tasks waited for a resource.", psi_settings),
	[CONDITION_PROCESS] = SECTION("process", "Processes or cgroups; the selectors are and-ed and at least one is needed.",
		process_settings),
	[CONDITION_CGROUP] = SECTION("cgroup", "Cgroups against their own limits: one target a cgroup that has one.", cgroup_settings),
	[CONDITION_PIDS] = SECTION("pids", "The node's process ids.", pids_settings),
	[CONDITION_FILES] = SECTION("files", "Open files, of the node or of each process.", files_settings),
	[CONDITION_CONNTRACK] = SECTION("conntrack", "The table of tracked connections.", conntrack_settings),
	[CONDITION_NEIGHBOURS] = SECTION("neighbours", "The tables of neighbours (ARP, NDP).", neighbours_settings),
	[CONDITION_LISTENER] = SECTION("listener", "Listening TCP sockets and what waits to be accepted.", listener_settings),
	[CONDITION_INTERFACE] = SECTION("interface", "Network interfaces that are up: one target each.", interface_settings),
	[CONDITION_DEPENDENCY] = SECTION("dependency",
		"A service elsewhere that processes here talk to by TCP, or a name server. Too few requests to judge by are unknown.", dependency_settings),
	[CONDITION_CAPACITY] = SECTION("capacity", "Anything that can be used up, by its forecast: one target a filesystem, a cgroup, a process, or a resource of the node.",
		capacity_settings),
	[CONDITION_LEAK] = SECTION("leak", "Processes that grow for an hour and more without ever giving back.", leak_settings),
	[CONDITION_ANOMALY] = SECTION("anomaly", "What the node, or a cgroup, has not done before; see detection.md.", anomaly_settings),
	[CONDITION_UNIT] = SECTION("unit", "A systemd unit: its state, how often it starts, or a probe of the service behind it.", unit_settings),
	[CONDITION_LOG] = SECTION("log", "Lines of the kernel, the journal or files that match: so many in a time.", log_settings),
	[CONDITION_CRASH] = SECTION("crash", "Processes that end by a fatal signal or with an exit code, seen as it happens.", crash_settings),
	[CONDITION_HUNG] = SECTION("hung", "Processes that show no sign of life although something waits for them; see docs/liveness.md.", hung_settings),
	[CONDITION_PROBE] = SECTION("probe", "An address or a command that must answer in time.", probe_condition_settings),
};

static const struct setting probe_settings[] = {
	{ .name = "tcp", .type = VALUE_ADDRESS, MEMBER(struct probe, address), .min = 1, .tag = PROBE_TYPE_TCP,
	  .help = "a connection is accepted" },
	{ .name = "http", .type = VALUE_URL, MEMBER(struct probe, address), .min = 1, .tag = PROBE_TYPE_HTTP,
	  .help = "GET answers with 2xx or 3xx" },
	{ .name = "command", .type = VALUE_CUSTOM, .read = policy_read_command, .tag = PROBE_TYPE_COMMAND,
	  .help = "[/path, argument…] ends with 0; no shell; the file must belong to root and be writable by nobody else" },
};
const struct section probe_section = SECTION("probe", "Exactly one of:", probe_settings);

static const uint32_t active_values[] = { [1] = PROBE_TYPE_NONE };
static const struct setting ready_settings[] = {
	{ .name = "unit", .type = VALUE_CHOICE, MEMBER(struct probe, type), CHOICES(active_choice), .choice_values = active_values, .tag = PROBE_TYPE_NONE,
	  .help = "nothing is asked: active is ready" },
	{ .name = "tcp", .type = VALUE_ADDRESS, MEMBER(struct probe, address), .min = 1, .tag = PROBE_TYPE_TCP, .help = "a connection is accepted" },
	{ .name = "http", .type = VALUE_URL, MEMBER(struct probe, address), .min = 1, .tag = PROBE_TYPE_HTTP, .help = "GET answers with 2xx or 3xx" },
	{ .name = "command", .type = VALUE_CUSTOM, .read = policy_read_command, .tag = PROBE_TYPE_COMMAND,
	  .help = "[/path, argument…] ends with 0; no shell; the file must belong to root and be writable by nobody else" },
	{ .name = "timeout", .type = VALUE_DURATION, MEMBER(struct probe, timeout_ns), .min = 10 * NSEC_PER_MSEC, .max = 60.0 * NSEC_PER_SEC, .initial = "2s",
	  .help = "how long one answer may take; it is asked again every half second" },
};
const struct section ready_section = SECTION("ready", "One of the first four, and how long one answer may take.", ready_settings);

static const struct setting predicate_settings[] = {
	{ .name = "all", .type = VALUE_CUSTOM,
	  .help = "a list of conditions: true when all are; unknown while one is unknown and none false" },
	{ .name = "any", .type = VALUE_CUSTOM, .help = "a list of conditions: true when one is" },
	{ .name = "filesystem", .type = VALUE_CUSTOM, .tag = CONDITION_FILESYSTEM },
	{ .name = "memory", .type = VALUE_CUSTOM, .tag = CONDITION_MEMORY },
	{ .name = "cpu", .type = VALUE_CUSTOM, .tag = CONDITION_CPU },
	{ .name = "psi", .type = VALUE_CUSTOM, .tag = CONDITION_PSI },
	{ .name = "process", .type = VALUE_CUSTOM, .tag = CONDITION_PROCESS },
	{ .name = "unit", .type = VALUE_CUSTOM, .tag = CONDITION_UNIT },
	{ .name = "cgroup", .type = VALUE_CUSTOM, .tag = CONDITION_CGROUP },
	{ .name = "pids", .type = VALUE_CUSTOM, .tag = CONDITION_PIDS },
	{ .name = "files", .type = VALUE_CUSTOM, .tag = CONDITION_FILES },
	{ .name = "conntrack", .type = VALUE_CUSTOM, .tag = CONDITION_CONNTRACK },
	{ .name = "neighbours", .type = VALUE_CUSTOM, .tag = CONDITION_NEIGHBOURS },
	{ .name = "listener", .type = VALUE_CUSTOM, .tag = CONDITION_LISTENER },
	{ .name = "interface", .type = VALUE_CUSTOM, .tag = CONDITION_INTERFACE },
	{ .name = "dependency", .type = VALUE_CUSTOM, .tag = CONDITION_DEPENDENCY },
	{ .name = "capacity", .type = VALUE_CUSTOM, .tag = CONDITION_CAPACITY },
	{ .name = "leak", .type = VALUE_CUSTOM, .tag = CONDITION_LEAK },
	{ .name = "anomaly", .type = VALUE_CUSTOM, .tag = CONDITION_ANOMALY },
	{ .name = "log", .type = VALUE_CUSTOM, .tag = CONDITION_LOG },
	{ .name = "crash", .type = VALUE_CUSTOM, .tag = CONDITION_CRASH },
	{ .name = "hung", .type = VALUE_CUSTOM, .tag = CONDITION_HUNG },
	{ .name = "probe", .type = VALUE_CUSTOM, .tag = CONDITION_PROBE },
};
const struct section predicate_section = SECTION("when", "One condition, or one list of them.", predicate_settings);

/* --- what a step brings ------------------------------------------------------------------------------------------------- */

static const struct setting expect_settings[] = {
	{ .name = "within", .type = VALUE_DURATION, .required = true, MEMBER(struct effect, within_ns),
	  .min = 100 * NSEC_PER_MSEC, .max = DAY_NS,
	  .tag = EFFECT_WITHIN, .help = "the time by which the effect must be seen" },
	{ .name = "freed", .type = VALUE_BYTES, MEMBER(struct effect, freed_bytes), .min = 1,
	  .tag = EFFECT_FREED,
	  .help = "at least so much: on the filesystem, or, of terminate, of resident memory" },
	{ .name = "files", .type = VALUE_COUNT, MEMBER(struct effect, freed_files), .min = 1, .max = 1000000,
	  .tag = EFFECT_FILES,
	  .help = "at least so many files" },
	{ .name = "exited", .type = VALUE_COUNT, MEMBER(struct effect, exited), .min = 1, .max = 100000, CHOICES(true_choice),
	  .tag = EFFECT_EXITED,
	  .help = "so many processes ended; true is 1" },
	{ .name = "unit", .type = VALUE_CHOICE, MEMBER(struct effect, unit_active), CHOICES(active_choice), .tag = EFFECT_UNIT,
	  .help = "the unit, or the container, is active and stays so" },
	{ .name = "use_percent", .type = VALUE_COUNT, MEMBER(struct effect, use_percent), .min = 1, .max = 99, .tag = EFFECT_USE,
	  .help = "the target uses at most so many percent of what it used before" },
	{ .name = "available", .type = VALUE_BYTES, MEMBER(struct effect, available_bytes), .min = 1, .tag = EFFECT_AVAILABLE,
	  .help = "at least so much more can be had: swap, or memory in large blocks" },
	{ .name = "clears", .type = VALUE_CHOICE, MEMBER(struct effect, cleared), CHOICES(true_choice), .tag = EFFECT_CLEARS,
	  .help = "the policy's own condition clears; a reversible act that did not bring that is turned back" },
};
const struct section expect_section = SECTION("expect", "What the act must bring; the next step runs only where it did not.",
	expect_settings);

static const struct setting step_settings[] = {
	{ .name = "expect", .type = VALUE_CUSTOM, .read = policy_read_expect, .help = "what it must bring, and by when" },
};
const struct section step_section = SECTION("do", "One remedy, and beside it what it must bring.", step_settings);

/* --- the policy itself ------------------------------------------------------------------------------------------------- */

static const struct setting limits_settings[] = {
	{ .name = "cooldown", .type = VALUE_DURATION, MEMBER(struct policy, limits.cooldown_ns),
	  .min = 100 * NSEC_PER_MSEC, .max = 30 * DAY_NS,
	  .initial = "10m", .help = "after an act on a target, no other on the same for so long; not shorter than any within" },
	{ .name = "per_target", .type = VALUE_RATE, MEMBER(struct policy, limits.per_target), .min = 1, .max = 512, .initial = "3/1h",
	  .help = "acts on one target; then it needs a human" },
	{ .name = "per_node", .type = VALUE_RATE, MEMBER(struct policy, limits.per_node), .min = 1, .max = 512, .initial = "10/1d",
	  .help = "acts of this policy on all targets" },
	{ .name = "fleet", .type = VALUE_LATER, .help = "budgets end at the node" },
};
const struct section limits_section = SECTION("limits", "How often it may act; kept over restarts and reboots.", limits_settings);

_Static_assert(offsetof(struct policy, blocked_by.window_from_min) - offsetof(struct policy, blocked_by.has_window) ==
	       offsetof(struct day_window, from_min), "a window is stored as struct day_window");
_Static_assert(offsetof(struct policy, blocked_by.window_to_min) - offsetof(struct policy, blocked_by.has_window) ==
	       offsetof(struct day_window, to_min), "a window is stored as struct day_window");

static const char *const order_choices[] = { [STEPS_WRITTEN] = "written", [STEPS_LEARNED] = "learned" };

static const struct setting blocked_by_settings[] = {
	{ .name = "file", .type = VALUE_PATH, MEMBER(struct policy, blocked_by.file), .min = 1,
	  .help = "while this file exists, the policy does not act" },
	{ .name = "window", .type = VALUE_WINDOW, MEMBER(struct policy, blocked_by.has_window),
	  .help = "nor between these times of day (local; the end excluded)" },
	{ .name = "alert", .type = VALUE_STRING, MEMBER(struct policy, blocked_by.alert), .min = 1,
	  .help = "nor while an incident of this kind, or one of this policy, is open" },
	{ .name = "unit", .type = VALUE_STRING, MEMBER(struct policy, blocked_by.unit), .min = 1,
	  .help = "nor while this unit, by its full name, is in one of `unit_state`; while systemd does not say, nothing is done" },
	{ .name = "unit_state", .type = VALUE_CHOICES, MEMBER(struct policy, blocked_by.unit_states), CHOICES(unit_state_choices),
	  .help = "of `unit`, one or a list; left out: active, activating or reloading" },
	{ .name = "package_manager", .type = VALUE_BOOL, MEMBER(struct policy, blocked_by.package_manager), .initial = "false",
	  .help = "nor while dpkg, apt, rpm, dnf or pacman holds its lock" },
	{ .name = "logged_in", .type = VALUE_BOOL, MEMBER(struct policy, blocked_by.logged_in), .initial = "false",
	  .help = "nor while a person is logged in on the node, by logind or utmp; where neither is there, nothing is done" },
};
const struct section blocked_by_section = SECTION("blocked_by", "When not to act.", blocked_by_settings);

#define PREFERENCE(member_, count_) \
	.type = VALUE_LIST, .offset = offsetof(struct policy, victims.member_), .size = NAME_LEN, .room = MAX_PREFERENCES, \
	.count_offset = offsetof(struct policy, victims.count_)
static const struct setting victim_settings[] = {
	{ .name = "prefer", PREFERENCE(prefer, prefer_count), .help = "globs on a command, a unit or, with a / first, a cgroup and all below it: counts four times" },
	{ .name = "avoid", PREFERENCE(avoid, avoid_count), .help = "likewise: counts an eighth" },
};
const struct section victims_section = SECTION("victims",
	"Whom to act on rather, and whom rather not, among those who cause it: weights beside the evidence. `protect:` is for those who never may.",
	victim_settings);

static const struct setting policy_settings[] = {
	{ .name = "name", .type = VALUE_STRING, .required = true, MEMBER(struct policy, name), .min = 1,
	  .help = "unique; a to z, 0 to 9 and -" },
	{ .name = "when", .type = VALUE_CUSTOM, .required = true, .read = policy_read_when,
	  .help = "the condition; its first leaf names the kind of incident and the target" },
	{ .name = "mode", .type = VALUE_CHOICE, MEMBER(struct policy, mode), CHOICES(mode_choices), .initial = "shadow",
	  .help = "observe: tell; shadow: also say what would be done; enforce: do it, where the node's mode allows" },
	{ .name = "severity", .type = VALUE_CHOICE, MEMBER(struct policy, severity), CHOICES(severity_choices), .initial = "critical",
	  .help = "of its incidents" },
	{ .name = "do", .type = VALUE_CUSTOM, .read = policy_read_do, .help = "remedies, in this order; none: the policy only tells" },
	{ .name = "limits", .type = VALUE_SECTION, .section = &limits_section, .help = "how often it may act" },
	{ .name = "blocked_by", .type = VALUE_SECTION, .section = &blocked_by_section, .help = "when not to act" },
	{ .name = "victims", .type = VALUE_SECTION, .section = &victims_section, .help = "whom to act on rather, and whom rather not" },
	{ .name = "order", .type = VALUE_CHOICE, MEMBER(struct policy, order), CHOICES(order_choices), .initial = "written",
	  .help = "learned: of neighbours in `do` that are as destructive as each other, what has worked here comes first" },
};
const struct section policy_section = SECTION("policy", "One entry of `policies`.", policy_settings);
