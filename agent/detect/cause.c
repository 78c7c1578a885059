/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who drives a resource: which ranking a kind of incident has, in what order its rows stand, and how many of them explain it. Additive
 * resources are ranked by contribution to the change, not by size: the process that grows is the cause, the large one that stands still
 * is not.
 */
#include "detect/cause.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "detect/anomaly_cause.h"
#include "detect/condition.h"

/* --- rows -------------------------------------------------------------------------------------------------------------- */

struct cause *ranking_place(struct ranking *ranking, double amount, double weight)
{
	ranking->total += amount;
	uint32_t at = ranking->count;
	while (at > 0 && ranking->rows[at - 1].weight < weight)
		at--;
	if (at == ranking->room)
		return NULL;

	uint32_t last = ranking->count < ranking->room ? ranking->count++ : ranking->room - 1;
	memmove(&ranking->causes[at + 1], &ranking->causes[at], (last - at) * sizeof(struct cause));
	memmove(&ranking->rows[at + 1], &ranking->rows[at], (last - at) * sizeof(ranking->rows[0]));
	ranking->rows[at].weight = weight;
	ranking->rows[at].amount = amount;
	ranking->causes[at] = (struct cause){ 0 };
	return &ranking->causes[at];
}

void ranking_name_group(const struct snapshot *snap, uint64_t cgroup_id, struct cause *cause)
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

void ranking_name_process(const struct snapshot *snap, const struct process *process, struct cause *cause)
{
	cause->pid = process->pid;
	cause->start_ns = process->start_ns;
	cause->rss_bytes = process->rss_bytes;
	cause->oom_score_adj = process->oom_score_adj;
	memcpy(cause->comm, process->comm, sizeof(cause->comm));
	cause->comm[sizeof(cause->comm) - 1] = '\0';
	ranking_name_group(snap, process->cgroup_id, cause);
}

bool ranking_asks_for(const struct ranking *ranking, const struct process *process)
{
	const struct target *target = &ranking->finding->target;
	if (target->type == TARGET_PROCESS)
		return process->pid == target->pid && process->start_ns == target->start_ns;
	return ranking_asks_for_group(ranking, process->cgroup_id);
}

bool ranking_asks_for_group(const struct ranking *ranking, uint64_t cgroup_id)
{
	const struct target *target = &ranking->finding->target;
	return target->type == TARGET_PROCESS ? false : target->type != TARGET_CGROUP || cgroup_id == target->cgroup_id;
}

double ranking_surprise(double share_before, double share_now)
{
	double middle = (share_before + share_now) / 2, divergence = 0;
	if (share_before > 0)
		divergence += share_before * log(share_before / middle);
	if (share_now > 0)
		divergence += share_now * log(share_now / middle);
	return divergence > 0 ? divergence / M_LN2 : 0;
}

double ranking_precedence(const struct ranking *ranking, uint64_t risen_ns)
{
	uint64_t onset = ranking->finding->since_boot_ns;
	return onset && risen_ns > onset + ranking->snap->interval_ns ? 0.5 : 1;
}

/* --- units and peers --------------------------------------------------------------------------------------------------- */

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
		if (strcmp(unit->name, ranking->finding->target.name) != 0)
			continue;
		struct cause *cause = ranking_place(ranking, 1, 1);
		const struct process *process = main_process(snap, unit);
		if (process)
			ranking_name_process(snap, process, cause);
		snprintf(cause->unit, sizeof(cause->unit), "%s", unit->name);
		snprintf(cause->evidence, sizeof(cause->evidence), "%s%s%s%s%s", unit->sub_state, unit->result[0] ? ", result " : "", unit->result,
			 unit->probe == PROBE_FAILING ? ", probe fails: " : "", unit->probe == PROBE_FAILING ? unit->probe_why : "");
		return;
	}
}

/* "10.0.0.5:5432", "[fd00::1]:443": as the peer's row would be written. */
static void peer_name(const struct peer_key *key, char ret[PATH_LEN])
{
	char address[INET6_ADDRSTRLEN] = "";
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	bool four = memcmp(key->address, mapped, sizeof(mapped)) == 0;
	(void)inet_ntop(four ? AF_INET : AF_INET6, key->address + (four ? 12 : 0), address, sizeof(address));
	snprintf(ret, PATH_LEN, four ? "%s:%u" : "[%s]:%u", address, key->port);
}

/* Whose connections go there: they are who depends on it, and one of them may be why it does not answer. */
static void rank_dependents(struct ranking *ranking)
{
	const struct peer_section *peers = &ranking->snap->peers;
	for (uint32_t i = 0; i < peers->count; i++) {
		const struct peer *peer = &peers->each[i];
		char name[PATH_LEN];
		peer_name(&peer->key, name);
		if (peer->key.direction != TCP_OUT || strcmp(name, ranking->finding->target.name) != 0)
			continue;
		uint64_t failed = 0;
		for (uint32_t end = 0; end < TCP_END_COUNT; end++)
			failed += peer->counts.failures[end];
		struct cause *cause = ranking_place(ranking, (double)peer->recent + 1, (double)peer->recent + 1);
		if (!cause)
			continue;
		ranking_name_group(ranking->snap, peer->key.cgroup_id, cause);
		snprintf(cause->evidence, sizeof(cause->evidence), "depends on it: %llu connections, %llu that failed",
			 (unsigned long long)peer->counts.connections, (unsigned long long)failed);
	}
}

/* --- by kind ----------------------------------------------------------------------------------------------------------- */

/* Changes below `least` are what a quiet node does anyway: a twentieth of a core, a MiB a second, some descriptors. */
static const struct additive additives[] = {
	{ USE_CPU, USE_CPU, USE_COUNT, "used", "cores", 1e9, 5e7 },
	{ USE_DISK, USE_READ, USE_WRITTEN, "kept disks busy for", "seconds a second", 1e9, 1e7 },
	{ USE_TASKS, USE_TASKS, USE_COUNT, "has", "threads", 1, 8 },
	{ USE_FORKS, USE_TASKS, USE_COUNT, "made", "processes a second", 1, 8 },
	{ USE_FILES, USE_FILES, USE_COUNT, "has", "open files", 1, 8 },
	{ USE_NETWORK, USE_NETWORK, USE_COUNT, "sent and received", "MiB a second", 1 << 20, 1 << 18 },
	{ USE_MEMORY, USE_MEMORY, USE_COUNT, "holds", "MiB", 1 << 20, 16 << 20 },
	{ USE_SWITCHES, USE_SWITCHES, USE_COUNT, "made", "context switches a second", 1, 2000 },
	{ USE_READ, USE_READ, USE_WRITTEN, "moved", "MiB a second", 1 << 20, 1 << 20 },
	{ USE_WRITTEN, USE_WRITTEN, USE_COUNT, "wrote", "MiB a second", 1 << 20, 1 << 20 },
	{ USE_CALLS, USE_CPU, USE_COUNT, "opened or made", "files a second", 1, 50 },
};

static const struct additive *additive_of(enum use use)
{
	for (size_t i = 0; i < sizeof(additives) / sizeof(additives[0]); i++)
		if (additives[i].of_group == use)
			return &additives[i];
	return NULL;
}

/* In turn, until one of them has changed by as much as counts; USE_COUNT ends the list. */
static const enum use ways[KIND_COUNT][4] = {
	[KIND_CPU_EXHAUSTION] = { USE_CPU, USE_SWITCHES, USE_COUNT },
	[KIND_IO_SATURATION] = { USE_DISK, USE_READ, USE_WRITTEN, USE_COUNT },
	[KIND_PID_EXHAUSTION] = { USE_TASKS, USE_FORKS, USE_COUNT },
	[KIND_FD_EXHAUSTION] = { USE_FILES, USE_COUNT },
	[KIND_NETWORK_SATURATION] = { USE_NETWORK, USE_COUNT },
};

static void rank_ways(struct ranking *ranking, const enum use *each)
{
	for (const enum use *use = each; *use != USE_COUNT; use++)
		if (rank_by_change(ranking, additive_of(*use)))
			return;
	for (const enum use *use = each; *use != USE_COUNT && !ranking->count; use++)
		rank_by_size(ranking, additive_of(*use));
}

/* Which resource a metric that behaves unusually speaks of: the first of these that is a part of its name. */
static const struct {
	const char *part;
	enum use use;
} metric_uses[] = {
	{ "cpu", USE_CPU }, { "load", USE_CPU }, { "memory", USE_MEMORY }, { "resident", USE_MEMORY }, { "context", USE_SWITCHES },
	{ "sched", USE_CPU }, { "disk", USE_DISK }, { "block", USE_DISK }, { "io", USE_DISK }, { "net", USE_NETWORK }, { "tcp", USE_NETWORK },
	{ "udp", USE_NETWORK }, { "fork", USE_FORKS }, { "proc", USE_TASKS }, { "thread", USE_TASKS }, { "files", USE_FILES }, { "fd", USE_FILES },
};

static void rank_anomaly(struct ranking *ranking)
{
	for (size_t i = 0; i < sizeof(metric_uses) / sizeof(metric_uses[0]); i++) {
		if (!strstr(ranking->finding->signal.metric, metric_uses[i].part))
			continue;
		if (rank_by_change(ranking, additive_of(metric_uses[i].use)))
			return;
	}
	(void)rank_by_change(ranking, additive_of(USE_CPU));
}

static uint32_t dev_of_disk(const struct snapshot *snap, const char *name)
{
	for (uint32_t i = 0; i < snap->disks.count; i++)
		if (strcmp(snap->disks.each[i].name, name) == 0)
			return snap->disks.each[i].dev;
	return 0;
}

static bool asks_for_inodes(const struct ranking *ranking)
{
	return ranking->condition && ranking->condition->measure == MEASURE_INODES_USED_PERCENT;
}

static void rank_by_kind(struct ranking *ranking)
{
	const struct target *target = &ranking->finding->target;
	enum incident_kind kind = ranking->finding->kind;
	uint32_t dev = target->type == TARGET_DISK ? dev_of_disk(ranking->snap, target->name) : 0;
	switch (kind) {
	case KIND_DISK_EXHAUSTION:
		/* An empty file has an inode and no bytes: who works on files is asked. */
		if (!asks_for_inodes(ranking) || !rank_by_change(ranking, additive_of(USE_CALLS)))
			rank_writers(ranking);
		break;
	case KIND_OOM_KILL:
		if (rank_before_kill(ranking))
			break;
		rank_memory(ranking);
		break;
	case KIND_MEMORY_EXHAUSTION:
		rank_memory(ranking);
		break;
	case KIND_CPU_EXHAUSTION:
		if (!rank_self_inflicted_cpu(ranking))
			rank_ways(ranking, ways[kind]);
		break;
	case KIND_IO_SATURATION:
		if (!dev || !rank_disk_users(ranking, dev))
			rank_ways(ranking, ways[kind]);
		break;
	case KIND_PID_EXHAUSTION:
	case KIND_FD_EXHAUSTION:
	case KIND_NETWORK_SATURATION:
		rank_ways(ranking, ways[kind]);
		break;
	case KIND_SERVICE_DOWN:
	case KIND_SERVICE_HUNG:
		rank_unit(ranking);
		break;
	case KIND_KERNEL_FAULT:
		if (dev)
			(void)rank_disk_users(ranking, dev);
		break;
	case KIND_ANOMALY:
		rank_anomaly(ranking);
		break;
	case KIND_DEPENDENCY_DOWN:
		rank_dependents(ranking);
		break;
	case KIND_PROCESS_CRASH: /* who is missing has no row to rank */
	case KIND_LOG_PATTERN:
	case KIND_COUNT:
		break;
	}
}

/* The fewest, from the first on, that together make two thirds; where all rows do not, all of them are said to. */
static void mark_what_explains(struct ranking *ranking)
{
	double sum = 0;
	for (uint32_t i = 0; i < ranking->count && sum * 3 < ranking->total * 2; i++) {
		sum += ranking->rows[i].amount;
		ranking->causes[i].explains = true;
	}
}

uint32_t rank_causes(const struct snapshot *snap, const struct baseline *baseline, const struct condition *condition, const struct finding *finding,
		     struct cause ret[MAX_CAUSES])
{
	struct ranking ranking = {
		.snap = snap, .baseline = baseline, .condition = condition, .finding = finding, .room = MAX_CAUSES, .causes = ret,
	};
	/* The watch knows which of its series say so, and whose they are; where that is nobody's, the change is asked. */
	uint32_t of_series = finding->kind == KIND_ANOMALY ? anomaly_causes(snap, &finding->target, ret) : 0;
	if (of_series)
		return of_series;
	rank_by_kind(&ranking);
	mark_what_explains(&ranking);
	for (uint32_t i = 0; i < ranking.count; i++) {
		ret[i].rank = i + 1;
		ret[i].share_permille = (uint32_t)(ranking.rows[i].amount * 1000.0 / ranking.total + 0.5);
	}
	return ranking.count;
}
