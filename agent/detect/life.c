/* SPDX-License-Identifier: Apache-2.0 */
/* See life.h. */
#include "detect/life.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/condition_type.h"

struct trace { /* what one looked like when it last moved */
	uint64_t cgroup_id, start_ns;
	int32_t pid;
	union usage used;
	uint64_t moved_ns, held_since_ns, main_switches, main_cpu_ns;
	uint64_t backlog, backlog_since_ns, seen_ns;
};

struct life_watch {
	struct trace traces[MAX_LIVES];
};

struct life_watch *life_watch_new(void)
{
	return calloc(1, sizeof(struct life_watch));
}

void life_watch_free(struct life_watch *watch)
{
	free(watch);
}

bool life_matches(const struct condition *condition, const struct life *life)
{
	/* A condition with a comm speaks of processes, one without of whole cgroups. */
	return !condition->comm[0] == (life->cgroup_id != 0) && glob_matches(condition->comm, life->comm, 0) &&
	       glob_matches_path(condition->cgroup, life->cgroup) && glob_matches(condition->unit, life->unit, 0);
}

bool life_is_hung(const struct life *life, uint64_t for_ns)
{
	bool waited_for = life->probe_failing || (life->backlog && life->backlog_ns >= for_ns);
	return life->held_ns >= for_ns || (life->still_ns >= for_ns && waited_for);
}

/* --- whom ---------------------------------------------------------------------------------------------------------------- */

static const struct process *main_process(const struct snapshot *snap, const struct cgroup *cgroup)
{
	const struct process *oldest = NULL;
	for (uint32_t i = 0; i < snap->units.count; i++)
		if (snap->units.each[i].main_pid > 0 && cgroup->unit[0] && strcmp(snap->units.each[i].name, cgroup->unit) == 0) {
			const struct process *named = snapshot_process(snap, snap->units.each[i].main_pid);
			if (named && named->cgroup_id == cgroup->id)
				return named;
		}
	for (uint32_t i = 0; i < snap->processes.count; i++) {
		const struct process *process = &snap->processes.each[i];
		if (process->cgroup_id == cgroup->id && process->state != 'Z' && (!oldest || process->start_ns < oldest->start_ns))
			oldest = process;
	}
	return oldest;
}

static bool has_group(const struct life_section *section, uint64_t cgroup_id)
{
	for (uint32_t i = 0; i < section->count; i++)
		if (section->each[i].cgroup_id == cgroup_id)
			return true;
	return false;
}

static bool has_process(const struct life_section *section, const struct process *process)
{
	for (uint32_t i = 0; i < section->count; i++)
		if (!section->each[i].cgroup_id && section->each[i].pid == process->pid && section->each[i].start_ns == process->start_ns)
			return true;
	return false;
}

static bool has_room(struct life_section *section)
{
	if (section->count < MAX_LIVES)
		return true;
	section->cut++;
	return false;
}

static struct life *add_row(struct life_section *section, uint64_t cgroup_id, const struct process *process)
{
	struct life *life = &section->each[section->count++];
	*life = (struct life){ .cgroup_id = cgroup_id, .pid = process->pid, .start_ns = process->start_ns };
	memcpy(life->comm, process->comm, sizeof(life->comm));
	return life;
}

static void add_groups(const struct condition *condition, const struct snapshot *snap, struct life_section *section)
{
	for (uint32_t i = 0; i < snap->cgroups.count; i++) {
		const struct cgroup *cgroup = &snap->cgroups.each[i];
		if (!cgroup->processes || !glob_matches_path(condition->cgroup, cgroup->path) || !glob_matches(condition->unit, cgroup->unit, 0))
			continue;
		/* Another condition may speak of it, too. Room first: to find the main process is a walk over all. */
		if (has_group(section, cgroup->id) || !has_room(section))
			continue;
		const struct process *process = main_process(snap, cgroup);
		if (!process)
			continue;
		struct life *life = add_row(section, cgroup->id, process);
		memcpy(life->unit, cgroup->unit, sizeof(life->unit));
		memcpy(life->cgroup, cgroup->path, sizeof(life->cgroup));
	}
}

static void add_processes(const struct condition *condition, const struct snapshot *snap, struct life_section *section)
{
	for (uint32_t i = 0; i < snap->processes.count; i++) {
		const struct process *process = &snap->processes.each[i];
		if (process->state == 'Z' || !process_matches(condition, snap, process) || has_process(section, process) || !has_room(section))
			continue;
		struct life *life = add_row(section, 0, process);
		const struct cgroup *cgroup = snapshot_cgroup(snap, process->cgroup_id);
		if (!cgroup)
			continue;
		memcpy(life->cgroup, cgroup->path, sizeof(life->cgroup));
	}
}

/* --- what it does -------------------------------------------------------------------------------------------------------- */

static struct trace *find_trace(struct life_watch *watch, const struct life *life, uint64_t now_ns)
{
	struct trace *oldest = &watch->traces[0];
	for (uint32_t i = 0; i < MAX_LIVES; i++) {
		struct trace *trace = &watch->traces[i];
		if (trace->seen_ns && trace->cgroup_id == life->cgroup_id && trace->pid == life->pid && trace->start_ns == life->start_ns)
			return trace;
		if (trace->seen_ns < oldest->seen_ns)
			oldest = trace;
	}
	*oldest = (struct trace){ .cgroup_id = life->cgroup_id, .pid = life->pid, .start_ns = life->start_ns, .moved_ns = now_ns };
	return oldest;
}

static bool probe_fails(const struct snapshot *snap, const struct config *config, const char *unit)
{
	if (!unit[0])
		return false;
	for (uint32_t i = 0; i < snap->units.count; i++) {
		const struct unit_sample *row = &snap->units.each[i];
		if (!row->alone && strcmp(row->name, unit) == 0 && row->probe == PROBE_FAILING && snapshot_is_fresh(snap, row->measured_ns))
			return true;
	}
	for (uint32_t i = 0; i < config->policy_count; i++)
		for (uint32_t j = 0; j < config->policies[i].when_count; j++) {
			const struct predicate *leaf = &config->policies[i].when[j];
			char name[NAME_LEN];
			if (leaf->op != PREDICATE_LEAF || leaf->condition.kind != CONDITION_PROBE || strcmp(leaf->condition.unit, unit) != 0)
				continue;
			probe_name(&leaf->condition.probe, name);
			for (uint32_t k = 0; k < snap->units.count; k++)
				if (snap->units.each[k].alone && strcmp(snap->units.each[k].name, name) == 0 && snap->units.each[k].probe == PROBE_FAILING)
					return true;
		}
	return false;
}

static uint64_t backlog_of(const struct snapshot *snap, uint64_t cgroup_id)
{
	uint64_t backlog = 0;
	if (!snapshot_is_fresh(snap, snap->listeners.measured_ns))
		return 0;
	for (uint32_t i = 0; i < snap->listeners.count; i++)
		if (snap->listeners.each[i].cgroup_id == cgroup_id)
			backlog += snap->listeners.each[i].backlog;
	return backlog;
}

/* CLOCK_BOOTTIME goes on while the node sleeps: it did nothing in that time, and that is nobody's being hung. */
static void leave_out_gap(struct trace *trace, const struct snapshot *snap)
{
	uint64_t gap_ns = trace->seen_ns ? snap->boot_ns - trace->seen_ns : 0;
	if (gap_ns <= 3 * snap->interval_ns)
		return;
	trace->moved_ns += gap_ns;
	trace->held_since_ns += trace->held_since_ns ? gap_ns : 0;
	trace->backlog_since_ns += trace->backlog_since_ns ? gap_ns : 0;
}

static uint32_t permille(uint64_t part, uint64_t whole)
{
	return whole ? (uint32_t)(part * 1000 / whole) : 0;
}

static void follow_usage(struct trace *trace, const struct snapshot *snap, const union usage *used, struct life *life)
{
	if (memcmp(&trace->used, used, sizeof(*used)) != 0) {
		if (trace->seen_ns && used->cpu_ns >= trace->used.cpu_ns && used->run_delay_ns >= trace->used.run_delay_ns) {
			life->cpu_permille = permille(used->cpu_ns - trace->used.cpu_ns, snap->boot_ns - trace->seen_ns);
			life->wait_permille = permille(used->run_delay_ns - trace->used.run_delay_ns, snap->boot_ns - trace->seen_ns);
		}
		trace->used = *used;
		trace->moved_ns = snap->boot_ns;
	}
	life->still_ns = snap->boot_ns - trace->moved_ns;
}

/* In uninterruptible sleep, and it has not run since: by its own counters, or by those of its first thread where there are several. */
static void follow_main(struct trace *trace, const struct snapshot *snap, const struct process *process, struct life *life)
{
	uint64_t switches = process->voluntary_switches + process->involuntary_switches;
	bool same = process->state == 'D' && trace->main_switches == switches && trace->main_cpu_ns == process->cpu_ns;

	if (process->state != 'D')
		trace->held_since_ns = 0;
	else if (!same || !trace->held_since_ns)
		trace->held_since_ns = snap->boot_ns;
	trace->main_switches = switches;
	trace->main_cpu_ns = process->cpu_ns;
	life->held_ns = trace->held_since_ns ? snap->boot_ns - trace->held_since_ns : 0;
	for (uint32_t i = 0; i < snap->processes.held_count; i++) {
		const struct held_thread *held = &snap->processes.held[i];
		if (held->pid == process->pid && (held->tid == process->pid || !held->tid) && held->held_ns > life->held_ns)
			life->held_ns = held->held_ns;
	}
}

static void follow_backlog(struct trace *trace, const struct snapshot *snap, struct life *life)
{
	if (!life->backlog)
		trace->backlog_since_ns = 0;
	else if (!trace->backlog_since_ns || life->backlog < trace->backlog)
		trace->backlog_since_ns = snap->boot_ns;
	trace->backlog = life->backlog;
	life->backlog_ns = trace->backlog_since_ns ? snap->boot_ns - trace->backlog_since_ns : 0;
}

static void say(struct life *life, char state)
{
	char waits[80] = "", line[sizeof(life->line)], comm[sizeof(life->comm)];

	memcpy(comm, life->comm, sizeof(comm));
	if (life->probe_failing)
		snprintf(waits, sizeof(waits), " while its probe fails");
	else if (life->backlog)
		snprintf(waits, sizeof(waits), " while %llu connections wait to be accepted", (unsigned long long)life->backlog);

	if (life->held_ns >= NSEC_PER_SEC)
		snprintf(line, sizeof(line), "%s[%d] sleeps uninterruptibly and has not run for %llu s%s", comm, life->pid,
			 (unsigned long long)(life->held_ns / NSEC_PER_SEC), waits);
	else if (life->still_ns >= NSEC_PER_SEC)
		snprintf(line, sizeof(line), "%s[%d] has used no CPU, made no I/O and not been switched to for %llu s%s%s", comm, life->pid,
			 (unsigned long long)(life->still_ns / NSEC_PER_SEC), state == 'T' ? ", stopped by a signal," : "", waits);
	else
		snprintf(line, sizeof(line), "slow at most, not hung: %s[%d] goes on, with %u.%u %% of a processor and %u.%u %% waiting for one%s", comm,
			 life->pid, life->cpu_permille / 10, life->cpu_permille % 10, life->wait_permille / 10, life->wait_permille % 10, waits);
	memcpy(life->line, line, sizeof(line));
}

static void follow(struct life_watch *watch, const struct snapshot *snap, const struct config *config, struct life *life)
{
	const struct process *process = snapshot_process(snap, life->pid);
	const struct cgroup *cgroup = life->cgroup_id ? snapshot_cgroup(snap, life->cgroup_id) : NULL;
	struct trace *trace = find_trace(watch, life, snap->boot_ns);

	if (!process)
		return;
	leave_out_gap(trace, snap);
	life->probe_failing = probe_fails(snap, config, life->unit);
	life->backlog = backlog_of(snap, process->cgroup_id);
	follow_usage(trace, snap, cgroup ? &cgroup->used : &process->used, life);
	follow_main(trace, snap, process, life);
	follow_backlog(trace, snap, life);
	trace->seen_ns = snap->boot_ns;
	say(life, process->state);
}

void life_tick(struct life_watch *watch, struct snapshot *snap, const struct config *config)
{
	struct life_section *section = &snap->life;

	section->count = section->cut = 0;
	section->measured_ns = 0; /* no row of a table that is stale says that anybody is gone */
	if (!snapshot_is_fresh(snap, snap->processes.measured_ns))
		return;
	for (uint32_t i = 0; i < config->policy_count; i++)
		for (uint32_t j = 0; j < config->policies[i].when_count; j++) {
			const struct predicate *leaf = &config->policies[i].when[j];
			if (leaf->op != PREDICATE_LEAF || leaf->condition.kind != CONDITION_HUNG)
				continue;
			if (leaf->condition.comm[0])
				add_processes(&leaf->condition, snap, section);
			else
				add_groups(&leaf->condition, snap, section);
		}
	for (uint32_t i = 0; i < section->count; i++)
		follow(watch, snap, config, &section->each[i]);
	section->measured_ns = snap->boot_ns;
}
