/* SPDX-License-Identifier: Apache-2.0 */
/* See process_procfs.h. Five small files a process, each by one read into one buffer; what vanishes meanwhile is left out. */
#include "collect/process_procfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect/process_table.h"

enum { PF_KTHREAD_BIT = 0x00200000, STAT_FIELDS = 24, BUFFER = 4096 };

/* Numbers of the fields behind the comm, as proc(5) counts them. */
enum { FIELD_STATE = 3, FIELD_PPID = 4, FIELD_FLAGS = 9, FIELD_MAJFLT = 12, FIELD_UTIME = 14, FIELD_STIME = 15, FIELD_THREADS = 20,
	FIELD_START = 22, FIELD_RSS = 24 };

const char *process_procfs_cgroup_root(int sys_fd)
{
	static const char *const roots[][2] = {
		{ "fs/cgroup/cgroup.controllers", "fs/cgroup" }, { "fs/cgroup/unified/cgroup.controllers", "fs/cgroup/unified" },
	};

	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++)
		if (!faccessat(sys_fd, roots[i][0], F_OK, 0))
			return roots[i][1];
	return NULL;
}

static bool read_file(int dir_fd, const char *name, char buffer[BUFFER])
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	ssize_t size = read(fd, buffer, BUFFER - 1);
	close(fd);
	if (size < 0)
		return false;
	buffer[size] = '\0';
	return true;
}

static uint64_t number_after(const char *text, const char *label)
{
	const char *found = strstr(text, label);
	return found ? strtoull(found + strlen(label), NULL, 10) : 0;
}

/* The reverse of the letters of the state. */
static uint32_t state_bits(char letter)
{
	static const char letters[] = "RSDTtXZP";
	const char *found = letter ? strchr(letters, letter) : NULL;

	if (letter == 'I')
		return 0x402;
	return found && found != letters ? 1U << (found - letters - 1) : 0;
}

static uint64_t ticks_ns(uint64_t ticks)
{
	return ticks * (NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* "pid (comm) S ppid …"; the comm is hostile and may hold spaces and brackets: it ends at the last one. */
static bool parse_stat(char *text, struct process_record *record)
{
	char *open = strchr(text, '('), *close = strrchr(text, ')');
	uint64_t fields[STAT_FIELDS + 1] = { 0 };
	char *next;

	if (!open || !close || close < open || strlen(close) < 4)
		return false;
	snprintf(record->comm, sizeof(record->comm), "%.*s", (int)(close - open - 1), open + 1);
	record->thread.state = state_bits(close[2]);
	next = close + 3;
	for (int i = FIELD_PPID; i <= STAT_FIELDS; i++)
		fields[i] = strtoull(next, &next, 10);

	record->ppid = (int32_t)fields[FIELD_PPID];
	record->kernel_thread = fields[FIELD_FLAGS] & PF_KTHREAD_BIT ? 1 : 0;
	record->ended = close[2] == 'Z' || close[2] == 'X';
	record->threads = (uint32_t)fields[FIELD_THREADS];
	record->thread.used.cpu_ns = ticks_ns(fields[FIELD_UTIME] + fields[FIELD_STIME]);
	record->thread.start_ns = ticks_ns(fields[FIELD_START]);
	record->thread.used.major_faults = fields[FIELD_MAJFLT];
	record->thread.rss_bytes = fields[FIELD_RSS] * (uint64_t)sysconf(_SC_PAGESIZE);
	return true;
}

/* "Uid: real effective …"; switches are those of the leader alone. */
static void parse_status(const char *text, struct process_record *record)
{
	const char *uid = strstr(text, "\nUid:");

	if (uid) {
		char *real_end;
		(void)strtoul(uid + 5, &real_end, 10);
		record->uid = (uint32_t)strtoul(real_end, NULL, 10);
	}
	record->thread.swap_bytes = number_after(text, "\nVmSwap:") * 1024;
	record->thread.used.voluntary_switches = number_after(text, "\nvoluntary_ctxt_switches:");
	record->thread.used.involuntary_switches = number_after(text, "\nnonvoluntary_ctxt_switches:");
}

/* The line of the unified hierarchy: "0::/path". The directory's inode number is the cgroup's id. */
static uint64_t cgroup_id(int sys_fd, const char *root, const char *text)
{
	const char *line = !strncmp(text, "0::", 3) ? text : strstr(text, "\n0::");
	char path[BUFFER + 64];
	struct stat status;

	if (!line || !root)
		return 0;
	line = strchr(line, '/');
	if (!line)
		return 0;
	snprintf(path, sizeof(path), "%s%.*s", root, (int)strcspn(line, "\n"), line);
	return fstatat(sys_fd, path, &status, 0) ? 0 : status.st_ino;
}

static void take(int dir_fd, int32_t pid, int sys_fd, const char *cgroup_root, struct process_table *table)
{
	struct process_record record = {
		.thread = { .kind = THREAD_LEADER, .pid = pid }, .files = FILES_UNKNOWN, .files_max = UNKNOWN,
	};
	char buffer[BUFFER];

	if (!read_file(dir_fd, "stat", buffer) || !parse_stat(buffer, &record))
		return;
	if (read_file(dir_fd, "status", buffer))
		parse_status(buffer, &record);
	if (read_file(dir_fd, "io", buffer)) {
		record.thread.used.read_bytes = number_after(buffer, "\nread_bytes:");
		record.thread.used.written_bytes = number_after(buffer, "\nwrite_bytes:");
	}
	if (read_file(dir_fd, "oom_score_adj", buffer))
		record.oom_score_adj = (int16_t)strtol(buffer, NULL, 10);
	if (read_file(dir_fd, "cgroup", buffer))
		record.cgroup_id = cgroup_id(sys_fd, cgroup_root, buffer);
	process_table_take_process(table, &record);
}

int process_procfs_walk(int proc_fd, int sys_fd, const char *cgroup_root, struct process_table *table)
{
	int fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *each;

	if (!dir) {
		int error = -errno;
		if (fd >= 0)
			close(fd);
		return error;
	}
	while ((each = readdir(dir))) {
		if (each->d_name[0] < '1' || each->d_name[0] > '9')
			continue;
		int dir_fd = openat(proc_fd, each->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir_fd < 0)
			continue;
		take(dir_fd, (int32_t)strtol(each->d_name, NULL, 10), sys_fd, cgroup_root, table);
		close(dir_fd);
	}
	closedir(dir);
	return 0;
}

void process_procfs_limits(int proc_fd, struct process_section *section)
{
	char buffer[BUFFER], *next;

	section->pid_max = read_file(proc_fd, "sys/kernel/pid_max", buffer) ? strtoull(buffer, NULL, 10) : UNKNOWN;
	section->threads_max = read_file(proc_fd, "sys/kernel/threads-max", buffer) ? strtoull(buffer, NULL, 10) : UNKNOWN;
	section->files_allocated = section->files_max = UNKNOWN;
	if (!read_file(proc_fd, "sys/fs/file-nr", buffer))
		return;
	section->files_allocated = strtoull(buffer, &next, 10);
	(void)strtoull(next, &next, 10); /* free ones: always 0 since v2.6 */
	section->files_max = strtoull(next, NULL, 10);
}
