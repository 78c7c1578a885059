/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each shipped pattern against lines as the kernel and the services write them: the format strings are named in log_pattern.c, the values are
 * those of real logs. And against lines that look alike and are no trouble.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/log_pattern.h"
#include "core/regex.h"

static const struct {
	const char *pattern, *line;
	const char *group, *value; /* what a named group must hold; NULL: none */
} lines[] = {
	{ "conntrack-full", "nf_conntrack: nf_conntrack: table full, dropping packet", NULL, NULL },
	{ "cpu-throttled", "mce: CPU3: Package temperature above threshold, cpu clock throttled (total events = 1)", NULL, NULL },
	{ "cpu-throttled", "CPU3: Core temperature/speed above threshold, cpu clock is throttled (total events = 1)", NULL, NULL },
	{ "disk-failed", "md/raid1:md0: Disk failure on sdb1, disabling device.", "device", "sdb1" },
	{ "filesystem-error", "EXT4-fs error (device sda1): ext4_lookup:1855: inode #262146: comm ls: deleted inode referenced: 262152", "filesystem", "sda1" },
	{ "filesystem-error", "EXT4-fs error (device dm-0): ext4_journal_check_start:83: comm kworker/u8:2: Detected aborted journal", "filesystem", "dm-0" },
	{ "filesystem-error", "Aborting journal on device sda1-8.", "filesystem", "sda1" },
	{ "filesystem-error", "XFS (vdb): log I/O error (0x2) detected at xlog_ioend_work+0x6f/0x80 [xfs] (fs/xfs/xfs_log.c:1377).  Shutting down filesystem.",
	  "filesystem", "vdb" },
	{ "filesystem-error", "XFS (dm-3): Metadata CRC error detected at xfs_agf_read_verify+0xce/0xf0 [xfs], xfs_agf block 0x1 ", "filesystem", "dm-3" },
	{ "filesystem-error", "XFS (vdb): metadata I/O error in \"xfs_trans_read_buf_map+0x1f5\" at daddr 0x2 len 1 error 5", "filesystem", "vdb" },
	{ "filesystem-error", "BTRFS error (device loop1): bdev /dev/loop1 errs: wr 1, rd 0, flush 0, corrupt 0, gen 0", "filesystem", "loop1" },
	{ "filesystem-error", "BTRFS critical (device sda3 state EA): corrupt leaf: root=5 block=30621696 slot=4", "filesystem", "sda3" },
	{ "filesystem-error", "FAT-fs (sdc1): error, fat_get_cluster: invalid cluster chain (i_pos 0)", "filesystem", "sdc1" },
	{ "filesystem-readonly", "EXT4-fs (sda1): Remounting filesystem read-only", "filesystem", "sda1" },
	{ "filesystem-readonly", "BTRFS info (device sda3 state E): forced readonly", "filesystem", "sda3" },
	{ "filesystem-readonly", "BTRFS info (device sda3): forced readonly", "filesystem", "sda3" },
	{ "filesystem-readonly", "FAT-fs (sdc1): Filesystem has been set read-only", "filesystem", "sdc1" },
	{ "hung-task", "INFO: task jbd2/sda1-8:233 blocked for more than 120 seconds.", "pid", "233" },
	{ "hung-task", "INFO: task kworker/u8:3:4711 blocked for more than 122 seconds.", "pid", "4711" },
	{ "io-error", "I/O error, dev sda, sector 2048 op 0x1:(WRITE) flags 0x800 phys_seg 1 prio class 2", "device", "sda" },
	{ "io-error", "blk_update_request: I/O error, dev sdb, sector 1953525160 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 0", "device", "sdb" },
	{ "io-error", "critical medium error, dev nvme0n1, sector 1024 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2", "device", "nvme0n1" },
	{ "io-error", "Buffer I/O error on dev dm-1, logical block 12, lost async page write", "device", "dm-1" },
	{ "io-error", "nvme nvme0: controller is down; will reset: CSTS=0xffffffff, PCI_STATUS=0x10", "device", "nvme0" },
	{ "io-error", "nvme nvme1: I/O tag 42 (702a) opcode 0x1 (Write) QID 3 timeout, aborting req_op:WRITE(1) size:4096", "device", "nvme1" },
	{ "io-error", "ata1.00: exception Emask 0x0 SAct 0x0 SErr 0x0 action 0x6 frozen", NULL, NULL },
	{ "kernel-oops", "kernel BUG at mm/slub.c:448!", NULL, NULL },
	{ "kernel-oops", "BUG: unable to handle page fault for address: ffffc90000fb8000", NULL, NULL },
	{ "kernel-oops", "Oops: 0002 [#1] PREEMPT SMP NOPTI", NULL, NULL },
	{ "lockup", "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [stress:4242]", NULL, NULL },
	{ "lockup", "CPU2: Watchdog detected hard LOCKUP on cpu 5", NULL, NULL },
	{ "lockup", "NMI watchdog: Watchdog detected hard LOCKUP on cpu 0", NULL, NULL },
	{ "lockup", "rcu: INFO: rcu_preempt self-detected stall on CPU", NULL, NULL },
	{ "lockup", "rcu: INFO: rcu_sched detected stalls on CPUs/tasks:", NULL, NULL },
	{ "lockup", "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-... } 21 jiffies s: 1 root: 0x2/.", NULL, NULL },
	{ "lockup", "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 34s!", NULL, NULL },
	{ "memory-corrected", "EDAC MC0: 1 CE memory read error on CPU_SrcID#0_MC#0_Chan#1_DIMM#0 (channel:1 slot:0 page:0x5 offset:0x0 grain:32 syndrome:0x0)", NULL,
	  NULL },
	{ "memory-uncorrected", "EDAC MC1: 1 UE memory read error on CPU_SrcID#1_MC#0_Chan#0_DIMM#0 (channel:0 slot:0 page:0x5 offset:0x0 grain:32)", NULL, NULL },
	{ "memory-uncorrected", "Memory failure: 0x12345: recovery action for dirty LRU page: Recovered", NULL, NULL },
	{ "memory-uncorrected", "mce: [Hardware Error]: CPU 0: Machine Check: 0 Bank 8: 8c00004000010090", NULL, NULL },
	{ "memory-uncorrected", "mce: [Hardware Error]: Machine check events logged", NULL, NULL },
	{ "memory-uncorrected", "{1}[Hardware Error]: Hardware error from APEI Generic Hardware Error Source: 0", NULL, NULL },
	{ "neighbour-full", "neighbour: arp_cache: neighbor table overflow!", NULL, NULL },
	{ "neighbour-full", "neighbour: ndisc_cache: neighbour table overflow!", NULL, NULL },
	{ "nic-reset", "e1000 0000:00:03.0 eth0: NETDEV WATCHDOG: CPU: 1: transmit queue 0 timed out 5376 ms", "interface", "eth0" },
	{ "nic-reset", "NETDEV WATCHDOG: enp3s0 (igb): transmit queue 2 timed out", "interface", "enp3s0" },
	{ "nic-reset", "e1000e 0000:00:1f.6 eno1: Reset adapter unexpectedly", "interface", "eno1" },
	{ "nic-reset", "ixgbe 0000:01:00.0 ens1f0: initiating reset due to tx timeout", "interface", "ens1f0" },
	{ "nic-reset", "e1000e 0000:00:19.0 eth0: Detected Hardware Unit Hang:", "interface", "eth0" },
	{ "oom-kill", "Out of memory: Killed process 4242 (postgres) total-vm:1048576kB, anon-rss:524288kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0",
	  "comm", "postgres" },
	{ "oom-kill", "Memory cgroup out of memory: Killed process 77 (a (b) c) total-vm:1kB, anon-rss:1kB", "victim", "77" },
	{ "oom-kill", "Out of memory (oom_kill_allocating_task): Kill process 9 (x) score 0 or sacrifice child", "victim", "9" },
	{ "segfault", "python3[4242]: segfault at 0 ip 00007f3c5e0 sp 00007ffd error 4 in libc.so.6[7f3c+155000] likely on CPU 1 (core 1, socket 0)", "victim", "4242" },
	{ "segfault", "traps: app[77] general protection fault ip:401136 sp:7ffd error:0 in app[401000+1000]", "comm", "app" },
	{ "segfault", "traps: app[77] trap invalid opcode ip:401136 sp:7ffd error:0 in app[401000+1000]", "victim", "77" },
	{ "segfault", "app[123]: unhandled exception: DABT (lower EL), ESR 0x0000000092000006, level 2 translation fault in app[400000+1000]", "victim", "123" },
	{ "syn-flood", "TCP: request_sock_TCP: Possible SYN flooding on port 0.0.0.0:80. Sending cookies.", NULL, NULL },
	{ "tcp-memory", "TCP: out of memory -- consider tuning tcp_mem", NULL, NULL },
	{ "tcp-memory", "TCP: too many orphaned sockets", NULL, NULL },
	{ "watchdog", "watchdog: watchdog0: watchdog did not stop!", NULL, NULL },
	{ "watchdog", "softdog: Initiating system reboot", NULL, NULL },
	{ "authentication-failure", "Failed password for invalid user admin from 203.0.113.9 port 52144 ssh2", NULL, NULL },
	{ "authentication-failure", "error: maximum authentication attempts exceeded for root from 203.0.113.9 port 52144 ssh2 [preauth]", NULL, NULL },
	{ "authentication-failure", "pam_unix(sudo:auth): authentication failure; logname=bob uid=1000 euid=0 tty=/dev/pts/0 ruser=bob rhost=  user=bob", NULL, NULL },
	{ "database-connection", "psycopg2.OperationalError: connection to server at \"10.0.0.5\", port 5432 failed: Connection refused", NULL, NULL },
	{ "database-connection", "could not connect to server: Connection refused", NULL, NULL },
	{ "database-connection", "FATAL:  sorry, too many clients already", NULL, NULL },
	{ "database-connection", "SQLSTATE[HY000] [2002] Connection refused", NULL, NULL },
	{ "database-connection", "ERROR 2003 (HY000): Can't connect to MySQL server on 'db:3306' (111)", NULL, NULL },
	{ "database-connection", "com.mysql.cj.jdbc.exceptions.CommunicationsException: Communications link failure", NULL, NULL },
	{ "database-connection", "HikariPool-1 - Connection is not available, request timed out after 30001ms.", NULL, NULL },
	{ "database-connection", "Error: connect ECONNREFUSED 127.0.0.1:5432", NULL, NULL },
	{ "database-connection", "MongoServerSelectionError: connect ECONNREFUSED 10.0.0.7:27017", NULL, NULL },
	{ "java-out-of-memory", "Exception in thread \"main\" java.lang.OutOfMemoryError: Java heap space", NULL, NULL },
};

/* Near misses, by whom they must not be taken for trouble of any kind that is of the same source. */
static const struct {
	bool kernel;
	const char *line;
} innocent[] = {
	{ true, "EXT4-fs (sda1): mounted filesystem 230ee16a-102a-48f0-a817-fae4a324d96f r/w with ordered data mode. Quota mode: none." },
	{ true, "EXT4-fs (sda1): re-mounted 230ee16a-102a-48f0-a817-fae4a324d96f ro." },
	{ true, "BTRFS info (device loop1): turning on async discard" },
	{ true, "BTRFS info (device loop1): last unmount of filesystem 230ee16a-102a-48f0-a817-fae4a324d96f" },
	{ true, "XFS (vdb): Ending clean mount" },
	{ true, "XFS (vdb): Unmounting Filesystem" },
	{ true, "I/O error, dev fd0, sector 0 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2" },
	{ true, "I/O error, dev sr0, sector 0 op 0x0:(READ) flags 0x80700 phys_seg 1 prio class 2" },
	{ true, "sd 0:0:0:0: [sda] Attached SCSI disk" },
	{ true, "nvme nvme0: 2/0/0 default/read/poll queues" },
	{ true, "EDAC MC0: Giving out device to module skx_edac controller Skylake Socket#0 IMC#0" },
	{ true, "EDAC MC: Ver: 3.0.0" },
	{ true, "mce: CPU0: Thermal monitoring enabled (TM1)" },
	{ true, "mce: CPU0: Package temperature/speed normal" },
	{ true, "MCE: In-kernel MCE decoding enabled." },
	{ true, "e1000e 0000:00:1f.6 eno1: NIC Link is Up 1000 Mbps Full Duplex, Flow Control: None" },
	{ true, "nf_conntrack: default automatic helper assignment has been turned off for security reasons" },
	{ true, "watchdog: Delayed init of the lockup detector failed: -19" },
	{ true, "NMI watchdog: Enabled. Permanently consumes one hw-PMU counter." },
	{ true, "systemd[1]: Starting Out of memory: Killed process watcher" },
	{ true, "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,task_memcg=/x,task=stress,pid=1,uid=0" },
	{ true, "oom_reaper: reaped process 4242 (postgres), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB" },
	{ true, "rcu: Hierarchical RCU implementation." },
	{ true, "TCP: Hash tables configured (established 16384 bind 16384)" },
	{ true, "process 'app' launched '/dev/fd/3' with NULL argv: empty string added" },
	{ true, "md/raid1:md0: active with 2 out of 2 mirrors" },
	{ false, "Accepted password for bob from 203.0.113.9 port 52144 ssh2" },
	{ false, "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9  user=root" },
	{ false, "pam_unix(sudo:session): session opened for user root(uid=0) by bob(uid=1000)" },
	{ false, "connection to server established" },
	{ false, "connect ECONNREFUSED 127.0.0.1:8080" },
	{ false, "FATAL:  database \"x\" does not exist" },
	{ false, "OutOfMemoryError handler installed" },
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct regex *compile(uint32_t row)
{
	char why[128] = "";
	struct regex *regex = regex_new(log_patterns[row].regex, why, sizeof(why));
	if (!regex)
		fail_msg("%s: %s", log_patterns[row].regex, why);
	return regex;
}

static void test_every_line_is_found_by_its_own_and_only_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		bool found = false;
		for (uint32_t row = 0; row < log_pattern_count; row++) {
			bool own = strcmp(log_patterns[row].name, lines[i].pattern) == 0;
			struct regex *regex = compile(row);
			char value[96];
			if (log_patterns[row].kernel == log_pattern_find(lines[i].pattern)->kernel &&
			    regex_match(regex, lines[i].line, strlen(lines[i].line)) == REGEX_YES) {
				if (!own)
					fail_msg("%s is taken for %s", lines[i].line, log_patterns[row].name);
				if (lines[i].group && !found) {
					assert_true(regex_group(regex, lines[i].group, lines[i].line, value, sizeof(value)));
					assert_string_equal(value, lines[i].value);
				}
				found = true;
			}
			regex_free(regex);
		}
		if (!found)
			fail_msg("%s is not found by %s", lines[i].line, lines[i].pattern);
	}
}

static void test_every_row_has_a_line(void **state)
{
	(void)state;
	for (uint32_t row = 0; row < log_pattern_count; row++) {
		struct regex *regex = compile(row);
		bool has = false;
		for (size_t i = 0; i < COUNT(lines); i++)
			has |= strcmp(lines[i].pattern, log_patterns[row].name) == 0 && regex_match(regex, lines[i].line, strlen(lines[i].line)) == REGEX_YES;
		if (!has)
			fail_msg("no line for %s: %s", log_patterns[row].name, log_patterns[row].regex);
		regex_free(regex);
	}
}

static void test_what_looks_alike_is_left_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(innocent); i++)
		for (uint32_t row = 0; row < log_pattern_count; row++) {
			struct regex *regex = compile(row);
			if (log_patterns[row].kernel == innocent[i].kernel && regex_match(regex, innocent[i].line, strlen(innocent[i].line)) != REGEX_NO)
				fail_msg("%s is taken for %s", innocent[i].line, log_patterns[row].name);
			regex_free(regex);
		}
}

/* The longest line that is looked at, of what makes a pattern go back and forth most: it must decide, not give up. */
static void test_no_row_gives_up_on_a_long_line(void **state)
{
	static const char *const seeds[] = { "a", " ", "INFO: task ", "Out of memory: ", "x[1", "eth0: ", "0", "(", ":" };
	char line[4096];
	(void)state;
	for (size_t seed = 0; seed < COUNT(seeds); seed++) {
		for (size_t i = 0; i < sizeof(line); i++)
			line[i] = seeds[seed][i % strlen(seeds[seed])];
		for (uint32_t row = 0; row < log_pattern_count; row++) {
			struct regex *regex = compile(row);
			if (regex_match(regex, line, sizeof(line)) == REGEX_GAVE_UP)
				fail_msg("%s gives up on a line of '%s'", log_patterns[row].regex, seeds[seed]);
			regex_free(regex);
		}
	}
}

static void test_a_pattern_without_end_ends(void **state)
{
	char line[4097], why[64];
	struct regex *regex = regex_new("^(a+)+$", why, sizeof(why));
	(void)state;
	assert_non_null(regex);
	memset(line, 'a', sizeof(line));
	line[4096] = 'b';
	assert_int_equal(regex_match(regex, line, sizeof(line)), REGEX_GAVE_UP);
	regex_free(regex);
	assert_null(regex_new("a(b", why, sizeof(why)));
	assert_string_equal(why, "at character 4: missing closing parenthesis");
	assert_null(regex_new("(*UTF)a", why, sizeof(why))); /* a log may hold anything, and must not be refused for it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_line_is_found_by_its_own_and_only_it),
		cmocka_unit_test(test_every_row_has_a_line),
		cmocka_unit_test(test_what_looks_alike_is_left_alone),
		cmocka_unit_test(test_no_row_gives_up_on_a_long_line),
		cmocka_unit_test(test_a_pattern_without_end_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
