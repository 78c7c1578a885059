/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See log_pattern.h. Each kernel pattern follows the format string of the source that is named above it (v5.10 to v6.18), and only the
 * kernel's own lines are held against it: what a program writes to /dev/kmsg cannot forge one. tests/unit/test_log_pattern.c has a line for
 * each row, and lines that must not match.
 */
#include "core/log_pattern.h"

#include <string.h>

#define KERNEL(name_, regex_, help_) { .name = (name_), .regex = (regex_), .help = (help_), .kernel = true }
#define SERVICE(name_, regex_, help_) { .name = (name_), .regex = (regex_), .help = (help_) }

const struct log_pattern log_patterns[] = {
	/* net/netfilter/nf_conntrack_core.c: "nf_conntrack: table full, dropping packet" */
	KERNEL("conntrack-full", "nf_conntrack: table full, dropping packet", "no room for another tracked connection: packets are dropped"),

	/* arch/x86/kernel/cpu/mce/therm_throt.c: "CPU%d: %s temperature above threshold, cpu clock %s (total events = %lu)" */
	KERNEL("cpu-throttled", "^(?:mce: )?CPU\\d+: \\S+ temperature(?:/speed)? above threshold, cpu clock (?:is )?throttled",
	       "a processor is too hot and slowed down"),

	/* drivers/md/raid1.c, raid10.c, raid5.c: "md/raid1:%s: Disk failure on %pg, disabling device." */
	KERNEL("disk-failed", "^md/raid\\d*:[^:]+: Disk failure on (?<device>[^, ]+), disabling device", "a RAID has thrown a disk out"),

	/* fs/ext4/super.c, __ext4_error(): "EXT4-fs error (device %s): %s:%d: comm %s: %pV"; ext4_handle_error() */
	KERNEL("filesystem-error", "^EXT4-fs error \\(device (?<filesystem>[^)]+)\\)", "a filesystem found itself damaged, or could not read or write"),
	/* fs/jbd2/journal.c, __jbd2_journal_abort_hard(): "Aborting journal on device %s." */
	KERNEL("filesystem-error", "^(?:JBD2: )?Aborting journal on device (?<filesystem>[^ ]+?)(?:-\\d+)?\\.$", NULL),
	/* fs/xfs/xfs_fsops.c, xfs_do_force_shutdown(): "%s (0x%x) detected at %pS (%s:%d).  Shutting down filesystem." */
	KERNEL("filesystem-error", "^XFS \\((?<filesystem>[^)]+)\\): .*Shutting down filesystem", NULL),
	/* fs/xfs/xfs_error.c, xfs_buf.c: "Metadata %s detected at %pS", "metadata I/O error in \"%pS\" at daddr" */
	KERNEL("filesystem-error", "^XFS \\((?<filesystem>[^)]+)\\): (?:Metadata (?:corruption|CRC error) detected|metadata I/O error)", NULL),
	/* fs/btrfs/messages.c: "BTRFS error (device %s): %pV"; before v6.1 without the state */
	KERNEL("filesystem-error", "^BTRFS (?:error|critical) \\(device (?<filesystem>[^ )]+)", NULL),
	/* fs/fat/misc.c, __fat_fs_error(): "error, %pV" behind "FAT-fs (%s): " */
	KERNEL("filesystem-error", "^FAT-fs \\((?<filesystem>[^)]+)\\): error,", NULL),

	/* fs/ext4/super.c, ext4_handle_error(): "Remounting filesystem read-only" */
	KERNEL("filesystem-readonly", "^EXT4-fs \\((?<filesystem>[^)]+)\\): Remounting filesystem read-only",
	       "a filesystem has made itself read-only to save what it has"),
	/* fs/btrfs/fs.c, btrfs_handle_fs_error(): "forced readonly" */
	KERNEL("filesystem-readonly", "^BTRFS info \\(device (?<filesystem>[^ )]+)[^)]*\\): forced readonly", NULL),
	/* fs/fat/misc.c: "Filesystem has been set read-only" */
	KERNEL("filesystem-readonly", "^FAT-fs \\((?<filesystem>[^)]+)\\): Filesystem has been set read-only", NULL),

	/* kernel/hung_task.c, check_hung_task(): "INFO: task %s:%d blocked for more than %ld seconds." */
	KERNEL("hung-task", "^INFO: task (?<comm>.+):(?<pid>\\d+) (?:<\\S+> )?blocked (?:in I/O wait )?for more than \\d+ seconds",
	       "a task sleeps uninterruptibly for longer than kernel.hung_task_timeout_secs"),

	/* block/blk-mq.c, blk_print_req_error(): "%s error, dev %s, sector %llu op 0x%x:(%s)"; before v5.16 behind its name. Drives for
	 * which an error only means that nothing is in them are left out. */
	KERNEL("io-error", "(?:I/O|critical (?:medium|target|nexus)|timeout|protection|recoverable transport|device) error, dev (?!fd\\d|sr\\d)(?<device>[^, ]+), sector",
	       "a block device could not read or write"),
	/* fs/buffer.c, buffer_io_error(): "Buffer I/O error on dev %pg, logical block %llu%s" */
	KERNEL("io-error", "^Buffer I/O error on dev (?!fd\\d|sr\\d)(?<device>[^, ]+), logical block", NULL),
	/* drivers/nvme/host/pci.c: "controller is down; will reset: CSTS=0x%x", "I/O tag %d (%x) opcode %#x (%s) QID %d timeout, …" */
	KERNEL("io-error", "^nvme (?<device>nvme\\d+): (?:controller is down; will reset|I/O (?:tag )?\\d+ .*timeout, (?:aborting|reset|disable))", NULL),
	/* drivers/ata/libata-eh.c, ata_eh_link_report(): "exception Emask 0x%x SAct 0x%x SErr 0x%x action 0x%x" */
	KERNEL("io-error", "^ata\\d+(?:\\.\\d+)?: exception Emask 0x[0-9a-f]+ .* frozen", NULL),

	/* lib/bug.c: "kernel BUG at %s:%u!"; arch/x86/kernel/dumpstack.c: "%s: %04lx [#%d]"; arch/x86/mm/fault.c; kernel/panic.c */
	KERNEL("kernel-oops", "^(?:kernel BUG at |Oops: |BUG: unable to handle |BUG: kernel NULL pointer dereference|Internal error: )",
	       "the kernel has met a fault of its own; the task that met it was ended"),

	/* kernel/watchdog.c, watchdog_timer_fn(): "BUG: soft lockup - CPU#%d stuck for %us! [%s:%d]" */
	KERNEL("lockup", "^(?:watchdog: )?BUG: soft lockup - CPU#\\d+ stuck for \\d+s!", "a processor does nothing else any more, or nothing at all"),
	/* kernel/watchdog.c, watchdog_hardlockup_check(): "CPU%u: Watchdog detected hard LOCKUP on cpu %u"; before v6.5 without the first */
	KERNEL("lockup", "Watchdog detected hard LOCKUP on cpu \\d+", NULL),
	/* kernel/rcu/tree_stall.h: "INFO: %s self-detected stall on CPU", "INFO: %s detected stalls on CPUs/tasks:" */
	KERNEL("lockup", "^(?:rcu: )?INFO: \\S+ (?:self-detected stall on CPU|detected (?:expedited )?stalls on CPUs/tasks)", NULL),
	/* kernel/workqueue.c, wq_watchdog_timer_fn(): "BUG: workqueue lockup - pool" */
	KERNEL("lockup", "^BUG: workqueue lockup - pool", NULL),

	/* drivers/edac/edac_mc.c, edac_ce_error(): "%d CE %s%son %s (%s page:0x%lx …" behind "EDAC MC%d: " */
	KERNEL("memory-corrected", "^EDAC \\S+: \\d+ CE ", "memory returned a wrong bit, which was put right"),

	/* drivers/edac/edac_mc.c, edac_ue_error(): "%d UE …" */
	KERNEL("memory-uncorrected", "^EDAC \\S+: \\d+ UE ", "memory or a processor returned what could not be put right"),
	/* mm/memory-failure.c: "%#lx: recovery action for %s: %s", prefix "Memory failure: " */
	KERNEL("memory-uncorrected", "^Memory failure: 0x[0-9a-f]+: ", NULL),
	/* arch/x86/kernel/cpu/mce/core.c: HW_ERR "CPU %d: Machine Check%s: %Lx Bank %d: %016Lx", HW_ERR "Machine check events logged" */
	KERNEL("memory-uncorrected", "^(?:mce: )?\\[Hardware Error\\]: (?:CPU \\d+: Machine Check|Machine check events logged)", NULL),
	/* drivers/acpi/apei/ghes.c: HW_ERR "Hardware error from APEI Generic Hardware Error Source: %d" */
	KERNEL("memory-uncorrected", "\\[Hardware Error\\]: Hardware error from APEI", NULL),

	/* net/core/neighbour.c, neigh_alloc(): "%s: neighbor table overflow!" */
	KERNEL("neighbour-full", "neighbou?r table overflow!", "no room for another address of a neighbour: gc_thresh3 is too low"),

	/* net/sched/sch_generic.c, dev_watchdog(): "NETDEV WATCHDOG: CPU: %d: transmit queue %u timed out %u ms" behind driver, bus and name */
	KERNEL("nic-reset", "(?<interface>[^ :]+): NETDEV WATCHDOG: CPU: \\d+: transmit queue \\d+ timed out", "a network interface hung and was reset"),
	/* …and before v6.6: "NETDEV WATCHDOG: %s (%s): transmit queue %u timed out" */
	KERNEL("nic-reset", "^NETDEV WATCHDOG: (?<interface>\\S+) \\([^)]*\\): transmit queue \\d+ timed out", NULL),
	/* drivers/net/ethernet/intel: e1000e "Reset adapter unexpectedly", igb and ixgbe "Reset adapter", "initiating reset due to tx timeout" */
	KERNEL("nic-reset", "(?<interface>[^ :]+): (?:Reset adapter|initiating reset due to tx timeout|Detected Tx Unit Hang|Detected Hardware Unit Hang)", NULL),

	/* mm/oom_kill.c, __oom_kill_process(): "%s: Killed process %d (%s) total-vm:%lukB, anon-rss:…"; "Kill process" before v5.0 */
	KERNEL("oom-kill", "^(?:Out of memory|Memory cgroup out of memory)[^:]*: Kill(?:ed)? process (?<victim>\\d+) \\((?<comm>.+?)\\)",
	       "the kernel ended a process because memory, or a cgroup's share of it, was out"),

	/* arch/x86/mm/fault.c, show_signal_msg(): "%s%s[%d]: segfault at %lx ip %px sp %px error %lx" */
	KERNEL("segfault", "^(?<comm>.{1,15})\\[(?<victim>\\d+)\\]: segfault at [0-9a-f]+ ip ", "a program read or wrote where it has no memory, or ran into nowhere"),
	/* arch/x86/kernel/traps.c: "traps: %s[%d] %s ip:%lx sp:%lx error:%lx" */
	KERNEL("segfault", "^traps: (?<comm>.{1,15})\\[(?<victim>\\d+)\\] (?:general protection fault|trap )", NULL),
	/* arch/arm64/kernel/traps.c, arm64_show_signal(): "%s[%d]: unhandled exception: " */
	KERNEL("segfault", "^(?<comm>.{1,15})\\[(?<victim>\\d+)\\]: unhandled exception: ", NULL),

	/* net/ipv4/tcp_input.c, tcp_syn_flood_action(): "%s: Possible SYN flooding on port %s. %s." */
	KERNEL("syn-flood", "Possible SYN flooding on port ", "a listener's queue is full of half-open connections"),

	/* net/ipv4/tcp.c, tcp_check_oom(): "out of memory -- consider tuning tcp_mem", "too many orphaned sockets" */
	KERNEL("tcp-memory", "^TCP: (?:out of memory -- consider tuning tcp_mem|too many orphaned sockets)", "TCP has used up the memory it may have"),

	/* drivers/watchdog/watchdog_dev.c: "watchdog%d: watchdog did not stop!"; softdog.c: "Initiating system reboot" */
	KERNEL("watchdog", "^watchdog: watchdog\\d+: watchdog did not stop!", "a watchdog was left running, and will reset the node"),
	KERNEL("watchdog", "^softdog: Initiating ", NULL),

	/* OpenSSH auth.c, auth_log(): "%s %s%s%s for %s%.100s from %.200s port %d ssh2"; each try with a password is one line */
	SERVICE("authentication-failure", "^Failed (?:password|keyboard-interactive/pam|none) for ", "somebody could not prove who he is"),
	SERVICE("authentication-failure", "maximum authentication attempts exceeded for ", NULL),
	/* Linux-PAM pam_unix/support.c: "authentication failure; logname=%s uid=%d euid=%d tty=%s ruser=%s rhost=%s"; sshd says its own line, too */
	SERVICE("authentication-failure", "^pam_\\w+\\((?!sshd)[^)]*\\): authentication failure;", NULL),

	/* libpq fe-connect.c; its wording before v14; PostgreSQL's and MySQL's own refusals */
	SERVICE("database-connection", "connection to server (?:at|on) .* failed: |could not connect to server: ", "a service cannot reach its database, or is refused by it"),
	SERVICE("database-connection", "FATAL: +(?:sorry, too many clients already|remaining connection slots are reserved|too many connections for)", NULL),
	SERVICE("database-connection", "Can't connect to (?:local )?(?:MySQL|MariaDB) server|SQLSTATE\\[HY000\\] \\[(?:1040|2002|2003|2006)\\]|Communications link failure", NULL),
	/* HikariCP HikariPool.java; the drivers of MongoDB and Redis; node-postgres and its kin */
	SERVICE("database-connection", "HikariPool-\\d+ - Connection is not available|MongoServerSelectionError|MongoNetworkError|Could not connect to Redis at ", NULL),
	SERVICE("database-connection", "ECONNREFUSED [0-9A-Za-z.:\\[\\]-]+:(?:1433|1521|3306|5432|6379|27017)\\b", NULL),

	/* OpenJDK javaClasses and debug.cpp: "java.lang.OutOfMemoryError: %s" */
	SERVICE("java-out-of-memory", "java\\.lang\\.OutOfMemoryError", "a Java virtual machine has used up its heap, its threads or its metaspace"),
};
const uint32_t log_pattern_count = sizeof(log_patterns) / sizeof(log_patterns[0]);

const struct log_pattern *log_pattern_find(const char *name)
{
	for (uint32_t i = 0; i < log_pattern_count; i++)
		if (strcmp(log_patterns[i].name, name) == 0)
			return &log_patterns[i];
	return NULL;
}

void log_patterns_print_reference(FILE *out)
{
	fprintf(out, "| pattern | of | what it means |\n|---|---|---|\n");
	for (uint32_t i = 0; i < log_pattern_count; i++)
		if (log_patterns[i].help)
			fprintf(out, "| `%s` | %s | %s |\n", log_patterns[i].name, log_patterns[i].kernel ? "the kernel" : "services", log_patterns[i].help);
}
