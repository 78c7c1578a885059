/* SPDX-License-Identifier: Apache-2.0 */
/* See meter.h. */
#include "collect/meter.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collect/bpf.h"

/* The least of some batches: an interrupt in the middle of one makes it dearer, nothing makes it cheaper. */
enum { BATCHES = 8, BATCH_RUNS = 500 };

struct meter {
	uint64_t empty_run_ns;
	int fd;                        /* while a window is open, else -1 */
	uint64_t began_ns, ended_ns;   /* of this window; of the last one, or 0 */
	uint32_t count;
	struct bpf_program_stat before[MAX_BPF_PROGRAMS]; /* the kernel's counts at the beginning of the window */
	struct program_section old;    /* as it was before this window: programs come and go, their totals go by name */
};

/* --- calibration ------------------------------------------------------------------------------------------------------ */

static int read_count(int program_fd, struct bpf_prog_info *ret)
{
	uint32_t size = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	return bpf_obj_get_info_by_fd(program_fd, ret, &size);
}

static uint64_t time_empty_run(int program_fd)
{
	uint64_t least = UINT64_MAX;
	char packet[64] = { 0 };

	for (int i = 0; i < BATCHES; i++) {
		struct bpf_test_run_opts options = { .sz = sizeof(options), .data_in = packet, .data_size_in = sizeof(packet), .repeat = BATCH_RUNS };
		struct bpf_prog_info before, after;

		if (read_count(program_fd, &before) || bpf_prog_test_run_opts(program_fd, &options) || read_count(program_fd, &after))
			continue;
		if (after.run_cnt <= before.run_cnt)
			continue;
		uint64_t each = (after.run_time_ns - before.run_time_ns) / (after.run_cnt - before.run_cnt);
		least = each < least ? each : least;
	}
	return least;
}

/* The kernel runs a program that returns at once, as it would run one of ours: what it then counts is the counting. */
static int calibrate(uint64_t *ret_ns)
{
	static const struct bpf_insn nothing[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_enable_stats(BPF_STATS_RUN_TIME), program_fd, error = 0;

	if (fd < 0)
		return -errno;
	program_fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "empty", "GPL", nothing, sizeof(nothing) / sizeof(nothing[0]), NULL);
	if (program_fd < 0)
		error = -errno;
	uint64_t empty_run_ns = error ? UINT64_MAX : time_empty_run(program_fd);
	if (!error && empty_run_ns == UINT64_MAX)
		error = -ENODATA;
	if (program_fd >= 0)
		close(program_fd);
	close(fd);
	if (!error)
		*ret_ns = empty_run_ns;
	return error;
}

int meter_new(struct meter **ret)
{
	struct meter *meter = calloc(1, sizeof(*meter));

	if (!meter)
		return -ENOMEM;
	meter->fd = -1;
	int error = calibrate(&meter->empty_run_ns);
	if (error) {
		free(meter);
		return error;
	}
	*ret = meter;
	return 0;
}

void meter_free(struct meter *meter)
{
	if (meter && meter->fd >= 0)
		close(meter->fd);
	free(meter);
}

uint64_t meter_empty_run_ns(const struct meter *meter)
{
	return meter->empty_run_ns;
}

/* --- windows ---------------------------------------------------------------------------------------------------------- */

int meter_begin(struct meter *meter, uint64_t now_ns)
{
	if (meter->fd >= 0)
		return -EBUSY;
	meter->fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (meter->fd < 0)
		return -errno;
	meter->began_ns = now_ns;
	meter->count = object_programs(meter->before, MAX_BPF_PROGRAMS);
	if (meter->count > MAX_BPF_PROGRAMS)
		meter->count = MAX_BPF_PROGRAMS;
	return 0;
}

bool meter_is_counting(const struct meter *meter)
{
	return meter && meter->fd >= 0;
}

static const struct bpf_program_stat *find_before(const struct meter *meter, uint32_t id)
{
	for (uint32_t i = 0; i < meter->count; i++)
		if (meter->before[i].id == id)
			return &meter->before[i];
	return NULL;
}

static const struct bpf_program_stat *find_old(const struct program_section *old, const char *name)
{
	for (uint32_t i = 0; i < old->count; i++)
		if (!strcmp(old->each[i].name, name))
			return &old->each[i];
	return NULL;
}

static uint64_t scale(uint64_t value, uint64_t to, uint64_t from)
{
	return from ? (uint64_t)((double)value * (double)to / (double)from) : 0;
}

/* From the kernel's counts to ours: the rate of this window, and totals that go on by it for all of `since_ns`. */
static void estimate(const struct meter *meter, struct bpf_program_stat *stat, uint64_t window_ns, uint64_t since_ns)
{
	/* One that was loaded in the middle of the window is counted from the next one on. */
	const struct bpf_program_stat *before = find_before(meter, stat->id), *old = find_old(&meter->old, stat->name);
	uint64_t runs = before ? stat->run_count - before->run_count : 0, ran_ns = before ? stat->run_ns - before->run_ns : 0;
	uint64_t counting_ns = runs * meter->empty_run_ns;

	ran_ns = ran_ns > counting_ns ? ran_ns - counting_ns : 0;
	stat->run_rate = scale(ran_ns, NSEC_PER_SEC, window_ns);
	stat->run_ns = (old ? old->run_ns : 0) + scale(ran_ns, since_ns, window_ns);
	stat->run_count = (old ? old->run_count : 0) + scale(runs, since_ns, window_ns);
}

int meter_end(struct meter *meter, uint64_t now_ns, struct program_section *section, uint64_t *rates, uint64_t *ret_own)
{
	if (meter->fd < 0)
		return -EINVAL;
	uint64_t window_ns = now_ns - meter->began_ns, since_ns = meter->ended_ns ? now_ns - meter->ended_ns : window_ns;

	memcpy(&meter->old, section, offsetof(struct program_section, each) + section->count * sizeof(section->each[0]));
	uint32_t count = object_programs(section->each, MAX_BPF_PROGRAMS);
	close(meter->fd);
	meter->fd = -1;
	meter->ended_ns = now_ns;

	section->count = count < MAX_BPF_PROGRAMS ? count : MAX_BPF_PROGRAMS;
	section->cut = count - section->count;
	memset(rates, 0, COST_ROWS * sizeof(*rates));
	*ret_own = 0;
	for (uint32_t i = 0; i < section->count; i++) {
		struct bpf_program_stat *stat = &section->each[i];

		estimate(meter, stat, window_ns, since_ns);
		if (!stat->runs_for_us)
			*(stat->collector < COST_ROWS ? &rates[stat->collector] : ret_own) += stat->run_rate;
	}
	return 0;
}
