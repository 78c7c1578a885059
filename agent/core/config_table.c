/* SPDX-License-Identifier: Apache-2.0 */
/* See config_table.h: tables only. */
#include "core/config_table.h"
#include "core/output_table.h"

static const char *const mode_choices[] = { [MODE_OBSERVE] = "observe", [MODE_SHADOW] = "shadow", [MODE_ENFORCE] = "enforce" };

static const struct setting http_settings[] = {
	{ .name = "listen", .type = VALUE_ADDRESS, MEMBER(struct config, listen), .initial = "127.0.0.1:9847",
	  .help = "where metrics are served, read-only; \"\" serves nothing" },
	{ .name = "tls", .type = VALUE_CUSTOM, .read = config_read_http_tls, .section = &http_tls_section, .help = "serve over TLS" },
	{ .name = "auth", .type = VALUE_CUSTOM, .read = config_read_http_auth, .section = &http_auth_section,
	  .help = "whom to answer" },
};
const struct section http_section = SECTION("http", "The HTTP side.", http_settings);

static const struct setting budget_settings[] = {
	{ .name = "cpu_percent", .type = VALUE_PERCENT, MEMBER(struct config, budget_cpu_percent), .min = 0.001, .max = 100, .initial = "1.0",
	  .help = "of the node: all processors together, 1 is 2 % of one processor where there are two; over it collectors look less deep" },
	{ .name = "memory", .type = VALUE_BYTES, MEMBER(struct config, budget_memory_bytes), .min = 16 << 20, .max = 4294967296.0,
	  .initial = "64MiB",
	  .help = "resident in agent and publisher, and BPF maps; over it nothing looks deeper than usual" },
	{ .name = "measure_every", .type = VALUE_DURATION, MEMBER(struct config, measure_every_ns), .min = NSEC_PER_SEC, .max = 600.0 * NSEC_PER_SEC,
	  .initial = "10s", .help = "how often the cost of the BPF programs is measured, for a tenth of a second" },
	{ .name = "deep_for", .type = VALUE_DURATION, MEMBER(struct config, deep_for_ns), .max = 3600.0 * NSEC_PER_SEC, .initial = "60s",
	  .help = "how long collectors look deeper after pressure or a finding; 0s: never" },
};
const struct section budget_section = SECTION("budget", "What the agent itself may cost.", budget_settings);

static const struct setting usage_record_settings[] = {
	{ .name = "cpu", .type = VALUE_DURATION, MEMBER(struct config, slice_cpu_ns), .min = 10 * NSEC_PER_MSEC, .max = 86400.0 * NSEC_PER_SEC,
	  .initial = "10s", .help = "of processor time" },
	{ .name = "io", .type = VALUE_BYTES, MEMBER(struct config, slice_io_bytes), .min = 1 << 20, .max = 1099511627776.0,
	  .initial = "256MiB", .help = "read from storage and written towards it" },
	{ .name = "memory", .type = VALUE_BYTES, MEMBER(struct config, slice_rss_bytes), .min = 1 << 20, .max = 1099511627776.0,
	  .initial = "256MiB", .help = "of growth of its largest resident memory" },
};
const struct section usage_record_section = SECTION("usage_record",
	"How much more a process must have used for another record of it while it lives.", usage_record_settings);

#define COLLECTOR(id_, name_, help_) \
	{ .name = (name_), .type = VALUE_BOOL, MEMBER(struct config, collectors[id_]), .initial = "true", .help = (help_) }
static const struct setting collector_settings[] = {
	COLLECTOR(COLLECTOR_CPU, "cpu", "processor times and load"),
	COLLECTOR(COLLECTOR_MEMORY, "memory", "/proc/meminfo and /proc/vmstat"),
	COLLECTOR(COLLECTOR_PSI, "psi", "pressure stall information"),
	COLLECTOR(COLLECTOR_FILESYSTEM, "filesystem", "space and inodes of mounted filesystems, and when they will be full"),
	COLLECTOR(COLLECTOR_LOG, "log", "the lines of the kernel, the journal and files that policies ask for"),
	COLLECTOR(COLLECTOR_DISK, "disk", "block devices"),
	COLLECTOR(COLLECTOR_INTERFACE, "interface", "network interfaces"),
	COLLECTOR(COLLECTOR_SYSCALL, "syscall", "system calls: counts, errors, latency (BPF)"),
	COLLECTOR(COLLECTOR_TASK, "task", "processes that start and end, with what their whole life cost (BPF)"),
	COLLECTOR(COLLECTOR_TCP, "tcp", "TCP connections: peers, failures, latency, retransmits, resets, listen backlog (BPF)"),
	COLLECTOR(COLLECTOR_SOCKET, "socket", "bytes through TCP and UDP sockets by process and cgroup (BPF)"),
	COLLECTOR(COLLECTOR_DROP, "drop", "packets dropped, by the kernel's reason (BPF)"),
	COLLECTOR(COLLECTOR_DNS, "dns", "DNS requests with latency and result (BPF)"),
	COLLECTOR(COLLECTOR_OOM, "oom", "OOM kills: the victim, who asked, whose limit it was (BPF)"),
	COLLECTOR(COLLECTOR_FSWRITE, "fswrite", "who fills which filesystem, and which files grow (BPF)"),
	COLLECTOR(COLLECTOR_BLOCK, "block", "requests of block devices: latency, depth, errors, and whose they are (BPF)"),
	COLLECTOR(COLLECTOR_FSOP, "fsop", "latency of fsync and of filesystem operations (BPF)"),
	COLLECTOR(COLLECTOR_DELETED, "deleted", "space of files that are deleted and still open, every ten seconds (BPF)"),
	COLLECTOR(COLLECTOR_PROCESS, "process", "all processes"),
	COLLECTOR(COLLECTOR_CGROUP, "cgroup", "names and limits of cgroups"),
	COLLECTOR(COLLECTOR_IDENTITY, "identity", "names of containers and pods, from the runtimes' state"),
	COLLECTOR(COLLECTOR_KILL, "kill", "fatal signals: who ends whom (BPF)"),
	COLLECTOR(COLLECTOR_RECLAIM, "reclaim", "stalls to find memory: direct reclaim, a cgroup's own limit, compaction (BPF)"),
	COLLECTOR(COLLECTOR_PAGECACHE, "pagecache", "what is asked of the page cache, and what it did not have (BPF)"),
	COLLECTOR(COLLECTOR_SCHED, "sched", "where the time of threads goes, waits for a CPU, who preempted whom (BPF)"),
	COLLECTOR(COLLECTOR_IRQ, "irq", "time in soft interrupts and in device handlers (BPF)"),
	COLLECTOR(COLLECTOR_UNIT, "unit", "the systemd units that policies name, and their probes"),
	COLLECTOR(COLLECTOR_HOST, "host", "what else node_exporter serves, under its names"),
	COLLECTOR(COLLECTOR_CHANGE, "change", "what was changed on the node: binaries, packages, services, files below /etc, the clock"),
};
const struct section collectors_section = SECTION("collectors",
	"What is measured; false switches one off, and with it every condition that reads it.", collector_settings);

static const struct setting textfile_settings[] = {
	{ .name = "directory", .type = VALUE_PATH, MEMBER(struct config, textfile_directory), .initial = TEXTFILE_DEFAULT,
	  .help = "whose files are taken, where it exists; \"\": none" },
};
const struct section textfile_section = SECTION("textfile",
	"Files *.prom in the Prometheus text format whose series are served with the agent's own.", textfile_settings);
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
	{ .name = "containers", PROTECTED(containers, container_count), .help = "globs on the names of containers and of their images" },
};
const struct section protect_section = SECTION("protect",
	"What no remedy may touch, beside the built-in list; the lists of all files are added up.", protect_settings);

static const struct setting act_limit_settings[] = {
	{ .name = "per_node", .type = VALUE_RATE, MEMBER(struct config, acts_per_node), .min = 1, .max = 512, .initial = "100/1h",
	  .help = "acts of all policies together" },
	{ .name = "per_remedy", .type = VALUE_RATE, MEMBER(struct config, acts_per_remedy), .min = 1, .max = 512, .initial = "50/1h",
	  .help = "acts of any one remedy, by whichever policies" },
};
const struct section act_limits_section = SECTION("limits",
	"How often the node may act at all, beside each policy's own limits; kept over restarts and reboots.", act_limit_settings);

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
	{ .name = "usage_record", .type = VALUE_SECTION, .section = &usage_record_section, .help = "when a living process is told of" },
	{ .name = "collectors", .type = VALUE_SECTION, .section = &collectors_section, .help = "what is measured" },
	{ .name = "textfile", .type = VALUE_SECTION, .section = &textfile_section, .help = "series out of files" },
	{ .name = "inputs", .type = VALUE_SECTION, .section = &inputs_section, .help = "what others may send" },
	{ .name = "log", .type = VALUE_SECTION, .section = &log_section, .help = "the agent's own log" },
	{ .name = "mask", .type = VALUE_SECTION, .section = &mask_section, .help = "secrets that are hidden" },
	{ .name = "protect", .type = VALUE_SECTION, .section = &protect_section, .help = "what is never touched" },
	{ .name = "hold_down", .type = VALUE_DURATION, MEMBER(struct config, hold_down_ns), .max = 3600.0 * NSEC_PER_SEC, .initial = "5m",
	  .help = "an incident that comes back so soon is reopened under its own id; the third time in a row it is held open until it has been calm for so long" },
	{ .name = "host_root", .type = VALUE_PATH, MEMBER(struct config, host_root), .initial = "/",
	  .help = "where the node's files are seen from here, such as /host in a container: the runtimes' state is looked for below it" },
	{ .name = "slow_syscall", .type = VALUE_DURATION, MEMBER(struct config, slow_syscall_ns), .min = NSEC_PER_MSEC,
	  .max = 3600.0 * NSEC_PER_SEC, .initial = "1s",
	  .help = "a system call that works (and does not merely wait) longer than this gets a record of its own" },
	{ .name = "systemd_bus", .type = VALUE_STRING, MEMBER(struct config, systemd_bus), .initial = "",
	  .help = "D-Bus address of systemd, such as unix:path=/run/dbus/system_bus_socket; \"\": the system bus" },
	{ .name = "journal_directory", .type = VALUE_PATH, MEMBER(struct config, journal_directory), .initial = "",
	  .help = "where the journal is read, such as /host/var/log/journal in a container; \"\": the host's own" },
	{ .name = "publisher_user", .type = VALUE_STRING, MEMBER(struct config, publisher_user), .min = 1, .initial = "nodemend",
	  .help = "whom the publisher runs as; nobody where that user does not exist" },
	{ .name = "top_processes", .type = VALUE_COUNT, MEMBER(struct config, max_processes_shown), .max = 1000, .initial = "20",
	  .help = "how many processes have series of their own" },
	{ .name = "limits", .type = VALUE_SECTION, .section = &act_limits_section, .help = "how often the node may act" },
	{ .name = "policies", .type = VALUE_CUSTOM, .read = config_read_policies,
	  .help = "what to watch for and what to do; replaces the shipped ones" },
	{ .name = "outputs", .type = VALUE_CUSTOM, .read = config_read_outputs,
	  .help = "where to push to, up to 16; those of all files are added up" },
	{ .name = "routes", .type = VALUE_CUSTOM, .read = config_read_routes, .help = "which incidents go where, up to 32; likewise" },
	{ .name = "labels", .type = VALUE_CUSTOM, .read = config_read_labels,
	  .help = "a mapping: on everything that is pushed; `instance` (the node's name) and `job` (nodemend) unless it says otherwise" },
};
const struct section config_section = SECTION("the configuration", "", config_settings);
