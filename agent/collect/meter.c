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

struct program_count {
	uint32_t id;
	uint64_t run_ns, run_count;
};

struct meter {
	uint64_t empty_run_ns;
	int fd;                        /* while a window is open, else -1 */
	uint64_t began_ns, ended_ns;   /* of this window; of the last one, or 0 */
	uint32_t count;
	struct program_count before[MAX_BPF_PROGRAMS]; /* at the beginning of the window */
	struct program_section old;    /* as it was before this window: programs come and go, their totals go by name */
};

static int read_count(int program_fd, struct program_count *ret)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);

	if (bpf_obj_get_info_by_fd(program_fd, &info, &size))
		return -errno;
	*ret = (struct program_count){ .id = info.id, .run_ns = info.run_time_ns, .run_count = info.run_cnt };
	return 0;
}

/* --- calibration ------------------------------------------------------------------------------------------------------ */

static uint64_t time_empty_run(int program_fd)
{
	uint64_t least = UINT64_MAX;
	char packet[64] = { 0 };

	for (int i = 0; i < BATCHES; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = sizeof(packet), .repeat = BATCH_RUNS);
		struct program_count before, after;

		if (read_count(program_fd, &before) || bpf_prog_test_run_opts(program_fd, &options) || read_count(program_fd, &after))
			continue;
		if (after.run_count <= before.run_count)
			continue;
		uint64_t each = (after.run_ns - before.run_ns) / (after.run_count - before.run_count);
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

struct walk {
	struct meter *meter;
	struct program_section *section;
	uint64_t window_ns, since_ns;        /* its length; from the end of the last one to the end of this */
	uint64_t *rates, own;
};

static void visit_programs(void (*visit)(struct walk *walk, struct bpf_object *object, uint32_t collector, struct bpf_program *program), struct walk *walk)
{
	for (uint32_t slot = 0; slot < MAX_OBJECTS; slot++) {
		uint32_t collector;
		struct bpf_object *object = object_at(slot, &collector);
		struct bpf_program *program;

		if (!object)
			continue;
		bpf_object__for_each_program(program, object)
			if (bpf_program__fd(program) >= 0)
				visit(walk, object, collector, program);
	}
}

static void note_before(struct walk *walk, struct bpf_object *object, uint32_t collector, struct bpf_program *program)
{
	struct meter *meter = walk->meter;

	(void)object;
	(void)collector;
	if (meter->count < MAX_BPF_PROGRAMS && !read_count(bpf_program__fd(program), &meter->before[meter->count]))
		meter->count++;
}

int meter_begin(struct meter *meter, uint64_t now_ns)
{
	struct walk walk = { .meter = meter };

	if (meter->fd >= 0)
		return -EBUSY;
	meter->fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (meter->fd < 0)
		return -errno;
	meter->count = 0;
	meter->began_ns = now_ns;
	visit_programs(note_before, &walk);
	return 0;
}

bool meter_is_counting(const struct meter *meter)
{
	return meter && meter->fd >= 0;
}

static bool is_iterator(const struct bpf_program *program)
{
	return bpf_program__get_type(program) == BPF_PROG_TYPE_TRACING && bpf_program__get_expected_attach_type(program) == BPF_TRACE_ITER;
}

static const struct program_count *find_before(const struct meter *meter, uint32_t id)
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

static void count_program(struct walk *walk, struct bpf_object *object, uint32_t collector, struct bpf_program *program)
{
	struct program_section *section = walk->section;
	struct program_count after = { 0 };
	if (section->count == MAX_BPF_PROGRAMS) {
		section->cut++;
		return;
	}
	struct bpf_program_stat *stat = &section->each[section->count++];
	*stat = (struct bpf_program_stat){ .collector = collector };
	snprintf(stat->name, sizeof(stat->name), "%.20s/%.40s", bpf_object__name(object), bpf_program__name(program));
	const struct bpf_program_stat *old = find_old(&walk->meter->old, stat->name);
	if (old) {
		stat->run_ns = old->run_ns;
		stat->run_count = old->run_count;
	}

	/* One that was loaded in the middle of the window is counted from the next one on. */
	const struct program_count *before = read_count(bpf_program__fd(program), &after) ? NULL : find_before(walk->meter, after.id);
	if (!before)
		return;
	uint64_t runs = after.run_count - before->run_count, ran_ns = after.run_ns - before->run_ns;
	uint64_t counting_ns = runs * walk->meter->empty_run_ns;
	ran_ns = ran_ns > counting_ns ? ran_ns - counting_ns : 0;
	stat->run_rate = scale(ran_ns, NSEC_PER_SEC, walk->window_ns);
	stat->run_ns += scale(ran_ns, walk->since_ns, walk->window_ns);
	stat->run_count += scale(runs, walk->since_ns, walk->window_ns);
	if (is_iterator(program))
		return;
	if (collector < COST_ROWS)
		walk->rates[collector] += stat->run_rate;
	else
		walk->own += stat->run_rate;
}

int meter_end(struct meter *meter, uint64_t now_ns, struct program_section *section, uint64_t *rates, uint64_t *ret_own)
{
	struct walk walk = { .meter = meter, .section = section, .rates = rates };

	if (meter->fd < 0)
		return -EINVAL;
	walk.window_ns = now_ns - meter->began_ns;
	walk.since_ns = meter->ended_ns ? now_ns - meter->ended_ns : walk.window_ns;
	memcpy(&meter->old, section, offsetof(struct program_section, each) + section->count * sizeof(section->each[0]));
	section->count = section->cut = 0;
	memset(rates, 0, COST_ROWS * sizeof(*rates));
	visit_programs(count_program, &walk);
	close(meter->fd);
	meter->fd = -1;
	meter->ended_ns = now_ns;
	*ret_own = walk.own;
	return 0;
}
