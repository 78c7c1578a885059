/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who drives a resource. Additive resources are ranked by contribution to the change, not by size: the process that grows is
 * the cause, the large one that stands still is not. Each ranking is a table row: a weight for every process, and its sentence.
 */
#include "detect/detect.h"

#include <stdio.h>
#include <string.h>

#include "detect/anomaly_cause.h"
#include "detect/condition.h"

/* Under this much growth in the window memory is not filling up by anyone, it is full: then size is all the evidence there is. */
#define GROWTH_THAT_COUNTS (16ULL << 20)

struct ranking {
	const struct snapshot *snap;
	const struct target *target;
	const struct condition *condition;
	bool by_size;                 /* memory: no growth to speak of */
	uint64_t total;
	uint32_t count;
	uint64_t weights[MAX_CAUSES];
	struct cause *causes;
};

/* Keeps the best MAX_CAUSES in order; returns the row to fill, or NULL when the weight is too small. */
static struct cause *place(struct ranking *ranking, uint64_t weight)
{
	ranking->total += weight;
	if (!weight)
		return NULL;

	uint32_t at = ranking->count;
	while (at > 0 && ranking->weights[at - 1] < weight)
		at--;
	if (at == MAX_CAUSES)
		return NULL;

	uint32_t last = ranking->count < MAX_CAUSES ? ranking->count++ : MAX_CAUSES - 1;
	memmove(&ranking->causes[at + 1], &ranking->causes[at], (last - at) * sizeof(struct cause));
	memmove(&ranking->weights[at + 1], &ranking->weights[at], (last - at) * sizeof(uint64_t));
	ranking->weights[at] = weight;
	ranking->causes[at] = (struct cause){ 0 };
	return &ranking->causes[at];
}

static void name_group(const struct snapshot *snap, uint64_t cgroup_id, struct cause *cause)
{
	const struct cgroup *cgroup = snapshot_cgroup(snap, cgroup_id);
	cause->cgroup_id = cgroup_id;
	if (!cgroup)
		return;
	snprintf(cause->cgroup, sizeof(cause->cgroup), "%s", cgroup->path);
	snprintf(cause->unit, sizeof(cause->unit), "%s", cgroup->unit);
	snprintf(cause->container_id, sizeof(cause->container_id), "%s", cgroup->container);

	const struct cgroup_identity *identity = snapshot_identity(snap, cgroup_id);
	if (!identity)
		return;
	memcpy(cause->container, identity->container, sizeof(cause->container));
	memcpy(cause->namespace, identity->namespace, sizeof(cause->namespace));
	memcpy(cause->pod, identity->pod, sizeof(cause->pod));
}

static void name_process(const struct snapshot *snap, const struct process *process, struct cause *cause)
{
	cause->pid = process->pid;
	cause->start_ns = process->start_ns;
	cause->rss_bytes = process->rss_bytes;
	cause->oom_score_adj = process->oom_score_adj;
	memcpy(cause->comm, process->comm, sizeof(cause->comm));
	cause->comm[sizeof(cause->comm) - 1] = '\0';
	name_group(snap, process->cgroup_id, cause);
}

static double mib(uint64_t bytes)
{
	return (double)bytes / (1 << 20);
}

/* --- filesystems ------------------------------------------------------------------------------------------------------- */

static void rank_writers(struct ranking *ranking)
{
	const struct writer_section *writers = &ranking->snap->writers;
	for (uint32_t i = 0; i < writers->count; i++) {
		const struct writer *writer = &writers->each[i];
		if (writer->dev != ranking->target->dev)
			continue;
		struct cause *cause = place(ranking, writer->bytes_recent);
		if (!cause)
			continue;
		cause->pid = writer->pid;
		cause->start_ns = writer->start_ns;
		memcpy(cause->comm, writer->comm, sizeof(cause->comm));
		cause->comm[sizeof(cause->comm) - 1] = '\0';
		name_group(ranking->snap, writer->cgroup_id, cause);
		const struct process *process = snapshot_process(ranking->snap, writer->pid);
		bool lives = process && process->start_ns == writer->start_ns;
		snprintf(cause->evidence, sizeof(cause->evidence), "wrote %.1f MiB lately, %.1f MiB since it was first seen%s", mib(writer->bytes_recent),
			 mib(writer->bytes_total), lives ? "" : "; it has ended");
	}
}

/* --- memory and processor ---------------------------------------------------------------------------------------------- */

static bool belongs(const struct ranking *ranking, const struct process *process)
{
	const struct target *target = ranking->target;
	if (target->type == TARGET_PROCESS)
		return process->pid == target->pid && process->start_ns == target->start_ns;
	if (target->type == TARGET_CGROUP)
		return process->cgroup_id == target->cgroup_id;
	return true;
}

static uint64_t above_zero(int64_t bytes)
{
	return bytes > 0 ? (uint64_t)bytes : 0;
}

/*
 * What it added in the last 15 s, as far as it still adds: one that started a while ago, took its memory and stands still has grown
 * just as much as the leak beside it. The factor is the window over the moment, so that a steady grower keeps all of its growth.
 */
static uint64_t growth(const struct process *process)
{
	uint64_t lately = above_zero(process->rss_growing_bytes) * 16, window = above_zero(process->rss_growth_bytes);
	return lately < window ? lately : window;
}

static void rank_memory(struct ranking *ranking)
{
	const struct process_section *processes = &ranking->snap->processes;
	uint64_t grown = 0;
	for (uint32_t i = 0; i < processes->count; i++)
		grown += belongs(ranking, &processes->each[i]) ? growth(&processes->each[i]) : 0;
	ranking->by_size = grown < GROWTH_THAT_COUNTS;

	for (uint32_t i = 0; i < processes->count; i++) {
		const struct process *process = &processes->each[i];
		if (!belongs(ranking, process))
			continue;
		struct cause *cause = place(ranking, ranking->by_size ? process->rss_bytes : growth(process));
		if (!cause)
			continue;
		name_process(ranking->snap, process, cause);
		if (ranking->by_size)
			snprintf(cause->evidence, sizeof(cause->evidence), "holds %.1f MiB; nobody grew by much", mib(process->rss_bytes));
		else
			snprintf(cause->evidence, sizeof(cause->evidence), "grew by %.1f MiB to %.1f MiB", mib(above_zero(process->rss_growth_bytes)), mib(process->rss_bytes));
	}
}

static void rank_cpu(struct ranking *ranking)
{
	const struct process_section *processes = &ranking->snap->processes;
	for (uint32_t i = 0; i < processes->count; i++) {
		const struct process *process = &processes->each[i];
		if (!belongs(ranking, process))
			continue;
		struct cause *cause = place(ranking, process->cpu_recent_ns);
		if (!cause)
			continue;
		name_process(ranking->snap, process, cause);
		double cores = ranking->snap->elapsed_ns ? (double)process->cpu_delta_ns / (double)ranking->snap->elapsed_ns : 0;
		snprintf(cause->evidence, sizeof(cause->evidence), "used %.2f cores in the last interval, with %u threads", cores, process->threads);
	}
}

static void rank_io(struct ranking *ranking)
{
	const struct process_section *processes = &ranking->snap->processes;
	for (uint32_t i = 0; i < processes->count; i++) {
		const struct process *process = &processes->each[i];
		struct cause *cause = place(ranking, process->written_delta_bytes);
		if (!cause)
			continue;
		name_process(ranking->snap, process, cause);
		snprintf(cause->evidence, sizeof(cause->evidence), "wrote %.1f MiB in the last interval", mib(process->written_delta_bytes));
	}
}

/* --- units ------------------------------------------------------------------------------------------------------------- */

/* Only where its cgroup says the same: a systemd in a container counts pids of its own, and that number is another process here. */
static const struct process *main_process(const struct snapshot *snap, const struct unit_sample *unit)
{
	const struct process *process = unit->main_pid > 0 ? snapshot_process(snap, unit->main_pid) : NULL;
	const struct cgroup *cgroup = process ? snapshot_cgroup(snap, process->cgroup_id) : NULL;
	return cgroup && strcmp(cgroup->unit, unit->name) == 0 ? process : NULL;
}

static void rank_unit(struct ranking *ranking)
{
	const struct snapshot *snap = ranking->snap;
	for (uint32_t i = 0; i < snap->units.count; i++) {
		const struct unit_sample *unit = &snap->units.each[i];
		if (strcmp(unit->name, ranking->target->name) != 0)
			continue;
		struct cause *cause = place(ranking, 1);
		const struct process *process = main_process(snap, unit);
		if (process)
			name_process(snap, process, cause);
		snprintf(cause->unit, sizeof(cause->unit), "%s", unit->name);
		snprintf(cause->evidence, sizeof(cause->evidence), "%s%s%s%s%s", unit->sub_state, unit->result[0] ? ", result " : "", unit->result,
			 unit->probe == PROBE_FAILING ? ", probe fails: " : "", unit->probe == PROBE_FAILING ? unit->probe_why : "");
		return;
	}
}

uint32_t rank_causes(const struct snapshot *snap, const struct condition *condition, const struct finding *finding, struct cause ret[MAX_CAUSES])
{
	struct ranking ranking = { .snap = snap, .target = &finding->target, .condition = condition, .causes = ret };
	switch (finding->kind) {
	case KIND_DISK_EXHAUSTION:
		rank_writers(&ranking);
		break;
	case KIND_MEMORY_EXHAUSTION:
		rank_memory(&ranking);
		break;
	case KIND_CPU_EXHAUSTION:
		rank_cpu(&ranking);
		break;
	case KIND_IO_SATURATION:
		rank_io(&ranking);
		break;
	case KIND_SERVICE_DOWN:
	case KIND_SERVICE_HUNG:
		rank_unit(&ranking);
		break;
	case KIND_ANOMALY: /* their own shares, of the series that say so */
		return anomaly_causes(snap, &finding->target, ret);
	case KIND_PROCESS_CRASH: /* who is missing has no row to rank */
	case KIND_PID_EXHAUSTION:
	case KIND_FD_EXHAUSTION:
	case KIND_NETWORK_SATURATION:
	case KIND_OOM_KILL:
	case KIND_KERNEL_FAULT:
	case KIND_LOG_PATTERN:
	case KIND_DEPENDENCY_DOWN:
	case KIND_COUNT:
		break;
	}

	for (uint32_t i = 0; i < ranking.count; i++) {
		ret[i].rank = i + 1;
		ret[i].share_permille = (uint32_t)((double)ranking.weights[i] * 1000.0 / (double)ranking.total + 0.5);
	}
	return ranking.count;
}
