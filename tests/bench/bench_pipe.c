/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What watching the scheduler adds to a ping-pong of one byte between two processes over two pipes, all on one CPU, where each
 * exchange is two switches and two wake-ups: nothing, ours, and libbpf-tools' `runqlat`, in turn in one run, each the best of many
 * short ones. Rows: name, nanoseconds an exchange, added per cent; and the switch's program by the kernel's own count.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "collector.h"

extern const struct collector collector_sched;

enum { EXCHANGES = 2000, RUNS = 100, WINDOWS = 30, ROUNDS = 3, RUNQLAT_READY_MS = 3000 };

static int to_child[2], to_parent[2];

static double now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void answer_for_ever(void)
{
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(to_child[0], &byte, 1) == 1 && write(to_parent[1], &byte, 1) == 1)
		;
	_exit(0);
}

static double one_run(void)
{
	char byte = 'x';
	double start = now_ns();

	for (int i = 0; i < EXCHANGES; i++)
		if (write(to_child[1], &byte, 1) != 1 || read(to_parent[0], &byte, 1) != 1)
			return 1e9;
	return (now_ns() - start) / EXCHANGES;
}

static double best_ns(void)
{
	double best = 1e9;

	for (int run = 0; run < RUNS; run++) {
		double ns = one_run();
		if (ns < best)
			best = ns;
	}
	return best;
}

static void keep_best(double *best, double ns)
{
	if (ns > 0 && (*best <= 0 || ns < *best))
		*best = ns;
}

/* r0 = 0; exit */
static int load_empty(void)
{
	const struct bpf_insn body[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int id = libbpf_find_vmlinux_btf_id("sched_switch", BPF_TRACE_RAW_TP);
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_TRACE_RAW_TP, .attach_btf_id = (uint32_t)id);

	return id < 0 ? id : bpf_prog_load(BPF_PROG_TYPE_TRACING, "empty", "GPL", body, 2, &options);
}

static struct bpf_prog_info counted(int program)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);

	return bpf_obj_get_info_by_fd(program, &info, &size) ? (struct bpf_prog_info){ 0 } : info;
}

/* Nanoseconds a run as the kernel counts them while somebody holds the descriptor: the least of many windows. */
static double best_of_program(int program)
{
	int counting = bpf_enable_stats(BPF_STATS_RUN_TIME);
	double best = 0;

	for (int window = 0; counting >= 0 && window < WINDOWS; window++) {
		struct bpf_prog_info before = counted(program);
		(void)one_run();
		struct bpf_prog_info after = counted(program);
		if (after.run_cnt > before.run_cnt)
			keep_best(&best, (double)(after.run_time_ns - before.run_time_ns) / (double)(after.run_cnt - before.run_cnt));
	}
	close(counting);
	return best;
}

static double empty_switch_ns(void)
{
	int program = load_empty(), link = program < 0 ? -1 : bpf_raw_tracepoint_open(NULL, program);
	double ns = link < 0 ? -1 : best_of_program(program);

	close(link);
	close(program);
	return ns;
}

/* The one of the collector's programs that fires at switches is among our own descriptors. */
static int find_switch_program(void)
{
	for (int fd = 3; fd < 256; fd++) {
		struct bpf_prog_info info = counted(fd);
		if (!strncmp(info.name, "on_switch", strlen("on_switch")))
			return fd;
	}
	return -1;
}

struct ours { double full_ns, counts_ns, switch_full_ns, switch_counts_ns; uint64_t map_bytes; };

static void with_ours(struct config *config, struct ours *best)
{
	struct collector_env env = { .config = config, .proc_fd = open("/proc", O_PATH | O_DIRECTORY), .sys_fd = -1 };
	struct collector_status status = { 0 };
	void *state;
	int error = collector_sched.open(&env, &status, &state);

	close(env.proc_fd);
	if (error) {
		fprintf(stderr, "ours: %s\n", status.why);
		return;
	}
	keep_best(&best->full_ns, best_ns());
	keep_best(&best->switch_full_ns, best_of_program(find_switch_program()));
	if (!collector_sched.set_depth(state, DEPTH_COUNTS)) {
		keep_best(&best->counts_ns, best_ns());
		keep_best(&best->switch_counts_ns, best_of_program(find_switch_program()));
	}
	best->map_bytes = status.map_bytes;
	collector_sched.close(state);
}

static double with_runqlat(void)
{
	const struct timespec ready = { .tv_sec = RUNQLAT_READY_MS / 1000 };
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		int null = open("/dev/null", O_RDWR);
		dup2(null, 1);
		dup2(null, 2);
		execl("/usr/sbin/runqlat", "runqlat", "1000", "1", (char *)NULL);
		_exit(127);
	}
	nanosleep(&ready, NULL);
	double ns = waitpid(pid, NULL, WNOHANG) ? -1 : best_ns();
	if (ns > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return ns;
}

static void print_row(const char *name, double ns, double base)
{
	if (ns > 0)
		printf("%s\t%.0f\t%+.1f%%\n", name, ns, (ns / base - 1) * 100);
	else
		printf("%s\t-\t-\n", name);
}

int main(void)
{
	struct config *config = calloc(1, sizeof(*config));
	cpu_set_t one;
	double base = 0, peer = 0, empty = 0;
	struct ours ours = { 0 };

	if (!config || pipe2(to_child, O_CLOEXEC) || pipe2(to_parent, O_CLOEXEC))
		return 1;
	CPU_ZERO(&one);
	CPU_SET((int)sysconf(_SC_NPROCESSORS_ONLN) - 1, &one);
	(void)sched_setaffinity(0, sizeof(one), &one); /* an unpinned run only has more noise */
	pid_t child = fork();
	if (!child)
		answer_for_ever();
	if (child < 0)
		return 1;
	for (int round = 0; round < ROUNDS; round++) {
		keep_best(&base, best_ns());
		keep_best(&empty, empty_switch_ns());
		with_ours(config, &ours);
		if (!access("/usr/sbin/runqlat", X_OK))
			keep_best(&peer, with_runqlat());
	}
	printf("pipe ping-pong\t%.0f\t-\n", base);
	print_row("nodemend sched", ours.full_ns, base);
	print_row("nodemend sched, counts only", ours.counts_ns, base);
	print_row("runqlat", peer, base);
	printf("an empty program at the switch, by the kernel's count\t%.0f\t-\n", empty);
	printf("nodemend's\t%.0f\t-\n", ours.switch_full_ns);
	printf("nodemend's, counts only\t%.0f\t-\n", ours.switch_counts_ns);
	printf("kernel map memory, bytes\t%llu\t-\n", (unsigned long long)ours.map_bytes);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	free(config);
	return base > 0 && ours.full_ns > 0 ? 0 : 1;
}
