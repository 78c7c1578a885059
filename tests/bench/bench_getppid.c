/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What watching syscalls adds to a getppid: ours, an empty tp_btf enter and exit pair, and libbpf-tools' `syscount -L`. All in one
 * process on one CPU, each the best of many short runs taken in turn, since ratios travel and absolute times do not.
 * Rows: name, nanoseconds added, ratio to the empty pair.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "collector.h"

extern const struct collector collector_syscall;

enum { CALLS = 5000, RUNS = 12, ROUNDS = 60, PEER_ROUNDS = 3, PEER_RUNS = 100, SYSCOUNT_READY_MS = 5000 };

static double now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static double one_run(int calls)
{
	double start = now_ns();

	for (int call = 0; call < calls; call++)
		syscall(SYS_getppid);
	return (now_ns() - start) / calls;
}

static double best_ns_per_call(int runs)
{
	double best = 1e9;

	for (int run = 0; run < runs; run++) {
		double ns = one_run(CALLS);
		if (ns < best)
			best = ns;
	}
	return best;
}

/* r0 = 0; exit */
static int attach_empty(const char *tracepoint, int *ret_program)
{
	const struct bpf_insn body[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int id = libbpf_find_vmlinux_btf_id(tracepoint, BPF_TRACE_RAW_TP);
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_TRACE_RAW_TP, .attach_btf_id = (uint32_t)id);

	if (id < 0)
		return id;
	*ret_program = bpf_prog_load(BPF_PROG_TYPE_TRACING, "empty", "GPL", body, 2, &options);
	return *ret_program < 0 ? *ret_program : bpf_raw_tracepoint_open(NULL, *ret_program);
}

static double with_empty_pair(void)
{
	int enter_program = -1, exit_program = -1;
	int enter = attach_empty("sys_enter", &enter_program), exit_ = attach_empty("sys_exit", &exit_program);
	double ns = enter >= 0 && exit_ >= 0 ? best_ns_per_call(RUNS) : -1;

	close(enter);
	close(exit_);
	close(enter_program);
	close(exit_program);
	return ns;
}

/* Opened once and detached: what is measured is not the loading. */
static void *open_ours(bool fallocate)
{
	static struct config config;
	struct collector_env env = { .config = &config, .proc_fd = open("/proc", O_PATH | O_DIRECTORY), .sys_fd = -1 };
	struct collector_status status = { 0 };
	void *state = NULL;

	config.collectors[COLLECTOR_FSWRITE] = fallocate;
	if (collector_syscall.open(&env, &status, &state))
		fprintf(stderr, "ours: %s\n", status.why);
	else
		(void)collector_syscall.set_depth(state, DEPTH_OFF); /* only detaches */
	close(env.proc_fd);
	return state;
}

static double with_ours(void *state, enum depth depth)
{
	double ns = state && !collector_syscall.set_depth(state, depth) ? best_ns_per_call(RUNS) : -1;

	if (state)
		(void)collector_syscall.set_depth(state, DEPTH_OFF);
	return ns;
}

/* It is attached as soon as a call costs visibly more; its own start-up runs beside us. */
static double with_syscount(double base)
{
	const struct timespec moment = { .tv_nsec = 10000000 };
	pid_t pid = fork();
	bool ready = false;

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		int null = open("/dev/null", O_RDWR);
		dup2(null, 1);
		dup2(null, 2);
		/* It attaches through tracefs, which not every host has mounted: in a mount namespace of its own it has. */
		if (!unshare(CLONE_NEWNS) && !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
			(void)mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);
		execl("/usr/sbin/syscount", "syscount", "-L", "-d", "1000", (char *)NULL);
		_exit(127);
	}
	for (int waited = 0; waited < SYSCOUNT_READY_MS && !ready && !waitpid(pid, NULL, WNOHANG); waited += 10) {
		double best = 1e9;

		nanosleep(&moment, NULL);
		for (int run = 0; run < 5; run++) {
			double ns = one_run(2000);
			best = ns < best ? ns : best;
		}
		ready = best > base + 100;
	}
	double ns = ready ? best_ns_per_call(PEER_RUNS) : -1;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return ns;
}

static void keep_best(double *best, double ns)
{
	if (ns > 0 && (*best <= 0 || ns < *best))
		*best = ns;
}

static void print_row(const char *name, double ns, double base, double pair)
{
	if (ns > 0)
		printf("%s\t%.1f\t%.2f\n", name, ns - base, (ns - base) / (pair - base));
	else
		printf("%s\t-\t-\n", name);
}

int main(void)
{
	cpu_set_t one;
	double base = 0, pair = 0, ours[DEPTH_STEPS] = { 0 }, ours_fallocate = 0, peer = 0;

	CPU_ZERO(&one);
	CPU_SET((int)sysconf(_SC_NPROCESSORS_ONLN) - 1, &one);
	(void)sched_setaffinity(0, sizeof(one), &one); /* an unpinned run only has more noise */
	void *plain = open_ours(false), *fallocate = open_ours(true);
	for (int round = 0; round < ROUNDS; round++) {
		keep_best(&base, best_ns_per_call(RUNS));
		keep_best(&pair, with_empty_pair());
		for (enum depth depth = DEPTH_COUNTS; depth < DEPTH_STEPS; depth++)
			keep_best(&ours[depth], with_ours(plain, depth));
		keep_best(&ours_fallocate, with_ours(fallocate, DEPTH_HISTOGRAMS));
	}
	collector_syscall.close(plain);
	collector_syscall.close(fallocate);
	for (int round = 0; round < PEER_ROUNDS && !access("/usr/sbin/syscount", X_OK); round++)
		keep_best(&peer, with_syscount(base));
	printf("getppid\t%.1f\t-\n", base);
	print_row("empty tp_btf pair", pair, base, pair);
	print_row("nodemend syscall", ours[DEPTH_HISTOGRAMS], base, pair);
	print_row("nodemend syscall, counts", ours[DEPTH_COUNTS], base, pair);
	print_row("nodemend syscall, deep", ours[DEPTH_DEEP], base, pair);
	print_row("nodemend syscall + fallocate", ours_fallocate, base, pair);
	print_row("syscount -L", peer, base, pair);
	return base > 0 && pair > 0 && ours[DEPTH_HISTOGRAMS] > 0 ? 0 : 1;
}
