/* SPDX-License-Identifier: Apache-2.0 */
/* See process_table.h. */
#include "collect/process_table.h"

#include "collect/group_table.h"
#include "collect/held.h"
#include "collect/process_states.h"

#include <stdlib.h>
#include <string.h>

#include "core/pages.h"

enum {
	BUCKETS = 16384,
	NONE = -1,
	RSS_SAMPLES = 8,                /* 2 s apart: the base of the growth is 14 to 16 s old */
	TASK_IDLE_BITS = 0x402,         /* UNINTERRUPTIBLE | NOLOAD: a kernel thread that waits for work */
	TASK_D_BIT = 0x2, TASK_REPORT_BITS = 0x7f, TASK_NOLOAD_BIT = 0x400,
};
#define RSS_SAMPLE_NS (2 * NSEC_PER_SEC)
/* Who grows at this moment, and who has stopped: half a second is the shortest that noise of a few pages does not fill. */
#define RSS_LATELY_NS (500 * NSEC_PER_MSEC)

/* One process, from the first walk that met it to the first that does not. */
struct entry {
	struct process row;             /* row.pid 0: free */
	union usage before;             /* as of the walk before */
	uint64_t cpu_full_ns, written_full_bytes; /* as of the last full tick */
	uint64_t rss_bytes[RSS_SAMPLES];
	uint32_t rss_first, rss_count;
	uint64_t rss_lately_bytes[2];   /* the older one is the base: half a second old, or a second, or since the last full tick */
	uint32_t walk;                  /* the last that met it */
	bool has_leader, ended, was_ended, is_new;
	int32_t next;
};

struct process_table {
	uint64_t boot_ns, last_ns, sampled_ns, sampled_lately_ns, cut, walk_cut;
	uint32_t walk;
	bool sample, sample_lately, first, told_of_ends;
	int32_t free;
	uint32_t used, count, threads, blocked;
	int32_t buckets[BUCKETS];
	uint32_t order[MAX_PROCESSES];
	struct group_table groups;
	struct held held;
	struct entry entries[MAX_PROCESSES];
};

struct process_table *process_table_new(bool told_of_ends)
{
	struct process_table *table = pages_new(1, sizeof(*table));

	if (!table)
		return NULL;
	memset(table->buckets, 0xff, sizeof(table->buckets));
	table->free = NONE;
	table->first = true;
	table->told_of_ends = told_of_ends;
	held_init(&table->held);
	return table;
}

void process_table_free(struct process_table *table)
{
	pages_free(table);
}

uint64_t process_table_cut(const struct process_table *table)
{
	return table->cut;
}

uint32_t process_table_forgotten(const struct process_table *table)
{
	return table->groups.forgotten_count;
}

uint64_t process_table_forgotten_id(const struct process_table *table, uint32_t index)
{
	return table->groups.forgotten[index].id;
}

void process_table_take_last(struct process_table *table, uint32_t index, const struct cgroup_lives *last)
{
	group_take_last(&table->groups, index, last);
}

void process_table_take_ended(struct process_table *table, uint64_t cgroup_id, const struct cgroup_lives *lives)
{
	group_take_ended(&table->groups, cgroup_id, lives, table->first);
}

/* --- entries ---------------------------------------------------------------------------------------------------------- */

static uint32_t bucket_of(int32_t pid, uint64_t start_ns)
{
	return (uint32_t)((((uint64_t)(uint32_t)pid << 40 ^ start_ns) * 0x9E3779B97F4A7C15ULL) >> 50); /* 14 bits: BUCKETS */
}

static struct entry *find_entry(struct process_table *table, int32_t pid, uint64_t start_ns)
{
	for (int32_t i = table->buckets[bucket_of(pid, start_ns)]; i != NONE; i = table->entries[i].next)
		if (table->entries[i].row.pid == pid && table->entries[i].row.start_ns == start_ns)
			return &table->entries[i];
	return NULL;
}

static struct entry *add_entry(struct process_table *table, int32_t pid, uint64_t start_ns)
{
	int32_t index = table->free, *head = &table->buckets[bucket_of(pid, start_ns)];

	if (index != NONE)
		table->free = table->entries[index].next;
	else if (table->used < MAX_PROCESSES)
		index = (int32_t)table->used++;
	else
		return NULL;
	table->entries[index] = (struct entry){ .row.pid = pid, .row.start_ns = start_ns, .row.files = FILES_UNKNOWN, .is_new = true,
						  .next = *head };
	*head = index;
	return &table->entries[index];
}

static void drop_entry(struct process_table *table, struct entry *entry)
{
	int32_t index = (int32_t)(entry - table->entries), *link = &table->buckets[bucket_of(entry->row.pid, entry->row.start_ns)];

	while (*link != index)
		link = &table->entries[*link].next;
	*link = entry->next;
	*entry = (struct entry){ .next = table->free };
	table->free = index;
}

/* The sums of a walk start from nothing; what is compared with the walk before is kept beside them. */
static void start_sums(struct process_table *table, struct entry *entry)
{
	struct process *row = &entry->row;

	entry->walk = table->walk;
	entry->was_ended = entry->ended;
	entry->has_leader = false;
	row->threads = 0;
	row->rss_bytes = row->swap_bytes = 0;
	row->used = (union usage){ .each = { 0 } };
}

static struct entry *enter(struct process_table *table, const struct thread_record *record)
{
	struct entry *entry = find_entry(table, record->pid, record->start_ns);

	if (!entry)
		entry = add_entry(table, record->pid, record->start_ns);
	if (entry && entry->walk != table->walk)
		start_sums(table, entry);
	return entry;
}

/* --- taking ----------------------------------------------------------------------------------------------------------- */

void process_table_begin(struct process_table *table, uint64_t boot_ns, uint64_t interval_ns)
{
	table->boot_ns = boot_ns;
	table->walk++;
	table->threads = table->blocked = 0;
	table->walk_cut = 0;
	table->sample = !table->sampled_ns || boot_ns - table->sampled_ns >= RSS_SAMPLE_NS;
	if (table->sample)
		table->sampled_ns = boot_ns;
	table->sample_lately = !table->sampled_lately_ns || boot_ns - table->sampled_lately_ns >= RSS_LATELY_NS;
	if (table->sample_lately)
		table->sampled_lately_ns = boot_ns;
	held_begin(&table->held, boot_ns, interval_ns);
}

static struct entry *add_thread(struct process_table *table, const struct thread_record *record)
{
	struct entry *entry = enter(table, record);

	table->threads++;
	if (record->state & TASK_D_BIT && !(record->state & TASK_NOLOAD_BIT)) {
		table->blocked++;
		held_take(&table->held, record);
	}
	if (!entry)
		return NULL;
	struct process *row = &entry->row;
	row->threads++;
	for (int i = 0; i < USAGE_COUNT; i++)
		row->used.each[i] += record->used.each[i];
	row->rss_bytes = record->rss_bytes > row->rss_bytes ? record->rss_bytes : row->rss_bytes; /* all threads share one memory */
	row->swap_bytes = record->swap_bytes > row->swap_bytes ? record->swap_bytes : row->swap_bytes;
	return entry;
}

void process_table_take_thread(struct process_table *table, const struct thread_record *record)
{
	(void)add_thread(table, record); /* one without a row is counted with its leader */
}

/* The letters of /proc/PID/stat, by the highest bit that is reported. */
static char state_letter(uint32_t state, uint32_t exit_state)
{
	static const char letters[] = PROCESS_STATES;
	uint32_t bits = (state | exit_state) & TASK_REPORT_BITS;

	if ((state & TASK_IDLE_BITS) == TASK_IDLE_BITS)
		return 'I';
	return bits ? letters[32 - __builtin_clz(bits)] : 'R';
}

void process_table_take_process(struct process_table *table, const struct process_record *record)
{
	struct entry *entry = add_thread(table, &record->thread);

	if (!entry) {
		table->walk_cut++;
		table->cut++;
		return;
	}
	struct process *row = &entry->row;
	entry->has_leader = true;
	entry->ended = record->ended;
	row->ppid = record->ppid;
	row->cgroup_id = record->cgroup_id;
	row->uid = record->uid;
	row->state = state_letter(record->thread.state, record->thread.exit_state);
	row->kernel_thread = record->kernel_thread;
	row->oom_score_adj = record->oom_score_adj;
	row->files_max = record->files_max;
	if (record->files != FILES_UNKNOWN || record->ended)
		row->files = record->files;
	if (record->threads) {
		table->threads += record->threads - 1;
		row->threads += record->threads - 1;
	}
	memcpy(row->comm, record->comm, sizeof(row->comm));
	row->comm[COMM_LEN - 1] = '\0';
}

void process_table_take_still(struct process_table *table, const struct still_record *record)
{
	struct entry *entry = find_entry(table, record->pid, record->start_ns);

	table->threads++;
	if (!entry) { /* no row was left for it */
		table->walk_cut++;
		table->cut++;
		return;
	}
	entry->walk = table->walk;
	entry->was_ended = entry->ended;
	entry->has_leader = true;
	entry->row.threads = 1;
	entry->row.ppid = record->ppid;
	entry->row.cgroup_id = record->cgroup_id;
	entry->row.state = state_letter(record->state, 0);
}

/* --- comparing -------------------------------------------------------------------------------------------------------- */

static void sample_rss(struct process_table *table, struct entry *entry)
{
	uint64_t *samples = entry->rss_bytes, rss = entry->row.rss_bytes;
	bool young = table->boot_ns < entry->row.start_ns + RSS_SAMPLES * RSS_SAMPLE_NS;

	if (table->sample || !entry->rss_count) {
		samples[(entry->rss_first + entry->rss_count) % RSS_SAMPLES] = rss;
		if (entry->rss_count < RSS_SAMPLES)
			entry->rss_count++;
		else
			entry->rss_first = (entry->rss_first + 1) % RSS_SAMPLES;
	}
	entry->row.rss_growth_bytes = (int64_t)rss - (young ? 0 : (int64_t)samples[entry->rss_first]);

	uint64_t *lately = entry->rss_lately_bytes;
	if (entry->is_new)
		lately[0] = lately[1] = young && !table->first ? 0 : rss;
	entry->row.rss_growing_bytes = (int64_t)rss - (int64_t)lately[0];
	if (table->sample_lately) {
		lately[0] = lately[1];
		lately[1] = rss;
	}
}

/* A thread that is released while the walk goes on is in neither place for a moment; what was counted stays counted. */
static void never_fall(struct entry *entry)
{
	for (int i = 0; i < USAGE_COUNT; i++)
		if (entry->row.used.each[i] < entry->before.each[i])
			entry->row.used.each[i] = entry->before.each[i];
}

static void add_to_group(const struct process_table *table, const struct entry *entry, struct group *group)
{
	const union usage *now = &entry->row.used;
	bool old = entry->is_new && entry->ended && !table->first;

	if (entry->ended && table->told_of_ends && !entry->row.kernel_thread) {
		if (!entry->was_ended && !entry->is_new)
			group_expect(group, &entry->before);
		return;
	}
	for (int i = 0; i < USAGE_COUNT && !old; i++)
		group->live.each[i] += now->each[i] - entry->before.each[i];
}

/*
 * A process already there at the first walk has its past for a base; one born since has nothing before it. `group` gets what is new,
 * so that a process that moves takes no past along. An end is told by the ended costs, with the whole life in it.
 */
static void advance_entry(struct process_table *table, struct entry *entry, struct group *group, bool full)
{
	struct process *row = &entry->row;
	bool old = entry->is_new && (table->first || entry->ended);

	never_fall(entry);
	uint64_t cpu = old ? 0 : row->cpu_ns - entry->before.cpu_ns;
	if (old) {
		entry->cpu_full_ns = row->cpu_ns;
		entry->written_full_bytes = row->written_bytes;
	}
	row->cpu_recent_ns = decay_recent(row->cpu_recent_ns, table->last_ns ? table->boot_ns - table->last_ns : 0, cpu);
	if (full) {
		row->cpu_delta_ns = row->cpu_ns - entry->cpu_full_ns;
		row->written_delta_bytes = row->written_bytes - entry->written_full_bytes;
		entry->cpu_full_ns = row->cpu_ns;
		entry->written_full_bytes = row->written_bytes;
	}
	sample_rss(table, entry);
	if (group)
		add_to_group(table, entry, group);
	entry->before = row->used;
	entry->is_new = false;
}

/* Gone without having been met as a zombie: its whole life comes, or came, with the ended costs. */
static void bury_entry(struct process_table *table, struct entry *entry)
{
	struct group *group = group_find(&table->groups, entry->row.cgroup_id);

	if (group && table->told_of_ends && !entry->ended && !entry->row.kernel_thread)
		group_expect(group, &entry->before);
	drop_entry(table, entry);
}

/* --- the sections ----------------------------------------------------------------------------------------------------- */

static int compare_pid(const void *a, const void *b, void *entries_)
{
	const struct entry *entries = entries_;
	int32_t left = entries[*(const uint32_t *)a].row.pid, right = entries[*(const uint32_t *)b].row.pid;
	return (left > right) - (left < right);
}

/* The living, by pid; the gone are buried on the way. */
static void sweep(struct process_table *table)
{
	table->count = 0;
	for (uint32_t i = 0; i < table->used; i++) {
		struct entry *entry = &table->entries[i];

		if (!entry->row.pid)
			continue;
		if (entry->walk != table->walk || !entry->has_leader)
			bury_entry(table, entry);
		else
			table->order[table->count++] = i;
	}
	qsort_r(table->order, table->count, sizeof(table->order[0]), compare_pid, table->entries);
}

static uint64_t cgroup_of(const void *table_, uint32_t index)
{
	const struct process_table *table = table_;
	return table->entries[table->order[index]].row.cgroup_id;
}

static void add_to_row(struct cgroup *row, const struct process *process)
{
	row->processes++;
	row->threads += process->threads;
	row->rss_bytes += process->rss_bytes;
	row->rss_growth_bytes += process->rss_growth_bytes;
	if (process->files != FILES_UNKNOWN)
		row->files = (row->files == UNKNOWN ? 0 : row->files) + process->files;
}

static void fill_processes(struct process_table *table, struct snapshot *snap, bool full)
{
	struct process_section *section = &snap->processes;
	struct group *group = NULL;
	struct cgroup *cgroup = NULL;
	uint64_t last = 0;

	for (uint32_t i = 0; i < snap->cgroups.count; i++)
		snap->cgroups.each[i].files = UNKNOWN;
	for (uint32_t i = 0; i < table->count; i++) {
		struct entry *entry = &table->entries[table->order[i]];

		if (!i || entry->row.cgroup_id != last) {
			last = entry->row.cgroup_id;
			group = group_find(&table->groups, last);
			cgroup = group_row(&snap->cgroups, last);
		}
		advance_entry(table, entry, group, full);
		entry->row.cgroup_index = cgroup ? (uint32_t)(cgroup - snap->cgroups.each) : NO_INDEX;
		if (cgroup)
			add_to_row(cgroup, &entry->row);
		section->each[i] = entry->row;
	}
	section->count = table->count;
	section->cut = (uint32_t)table->walk_cut;
	section->threads = table->threads;
	section->blocked = table->blocked;
	section->measured_ns = table->boot_ns;
}

/* Who is held, by name: the section's rows are those of this walk by now. */
static void fill_held(const struct process_table *table, struct snapshot *snap)
{
	held_begin_rows(&snap->processes);
	for (uint32_t i = 0; i < table->held.count; i++) {
		const struct held_one *one = &table->held.now[i];
		const struct process *process = snapshot_process(snap, one->pid);

		if (process && process->start_ns == one->start_ns)
			held_add_row(&snap->processes, process, one, table->boot_ns);
	}
}

void process_table_end(struct process_table *table, struct snapshot *snap, bool full)
{
	uint64_t elapsed = table->last_ns ? table->boot_ns - table->last_ns : 0;

	sweep(table);
	held_end(&table->held);
	group_open_rows(&table->groups, &snap->cgroups, table->count, cgroup_of, table);
	fill_processes(table, snap, full);
	group_fill_rows(&table->groups, &snap->cgroups, elapsed, table->first, full);
	snap->cgroups.measured_ns = table->boot_ns;
	fill_held(table, snap);
	process_states_fill(&snap->processes);
	table->last_ns = table->boot_ns;
	table->first = false;
}
