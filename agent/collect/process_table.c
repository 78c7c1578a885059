/* SPDX-License-Identifier: Apache-2.0 */
/* See process_table.h. */
#include "collect/process_table.h"

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
	uint64_t cpu_ns, written_bytes; /* as of the walk before */
	uint64_t cpu_full_ns, written_full_bytes; /* as of the last full tick */
	uint64_t rss_bytes[RSS_SAMPLES];
	uint32_t rss_first, rss_count;
	uint64_t rss_lately_bytes[2];   /* the older one is the base: half a second old, or a second, or since the last full tick */
	uint32_t walk;                  /* the last that met it */
	bool has_leader, ended, was_ended, is_new;
	int32_t next;
};

/* What a cgroup's row does not say: costs that came with members that ended. */
struct group {
	uint64_t id;
	uint64_t ended_cpu_ns, ended_written_bytes;               /* as last read; only grow */
	uint64_t ended_before_cpu_ns, ended_before_written_bytes; /* as of the walk before */
	int64_t pending_cpu_ns, pending_written_bytes; /* ended, less what was counted while they lived; below 0 an end is not told yet */
	uint64_t cpu_full_ns;
	uint64_t live_cpu_ns, live_written_bytes; /* of this walk */
};

struct process_table {
	uint64_t boot_ns, last_ns, sampled_ns, sampled_lately_ns, cut, walk_cut;
	uint32_t walk;
	bool sample, sample_lately, first, told_of_ends;
	int32_t free;
	uint32_t used, count, threads, blocked, group_count, forgotten_count;
	int32_t buckets[BUCKETS];
	uint32_t order[MAX_PROCESSES];
	struct group groups[MAX_CGROUPS]; /* by id */
	uint64_t forgotten[MAX_CGROUPS];
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

const uint64_t *process_table_forgotten(const struct process_table *table, uint32_t *ret_count)
{
	*ret_count = table->forgotten_count;
	return table->forgotten;
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
	table->entries[index] = (struct entry){ .row.pid = pid, .row.start_ns = start_ns, .is_new = true, .next = *head };
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
	row->cpu_ns = row->rss_bytes = row->swap_bytes = row->read_bytes = row->written_bytes = 0;
	row->major_faults = row->run_delay_ns = row->voluntary_switches = row->involuntary_switches = 0;
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

void process_table_begin(struct process_table *table, uint64_t boot_ns)
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
}

static struct entry *add_thread(struct process_table *table, const struct thread_record *record)
{
	struct entry *entry = enter(table, record);

	table->threads++;
	if (record->state & TASK_D_BIT && !(record->state & TASK_NOLOAD_BIT))
		table->blocked++;
	if (!entry)
		return NULL;
	struct process *row = &entry->row;
	row->threads++;
	row->cpu_ns += record->cpu_ns;
	row->rss_bytes = record->rss_bytes > row->rss_bytes ? record->rss_bytes : row->rss_bytes; /* all threads share one memory */
	row->swap_bytes = record->swap_bytes > row->swap_bytes ? record->swap_bytes : row->swap_bytes;
	row->read_bytes += record->read_bytes;
	row->written_bytes += record->written_bytes;
	row->major_faults += record->major_faults;
	row->run_delay_ns += record->run_delay_ns;
	row->voluntary_switches += record->voluntary_switches;
	row->involuntary_switches += record->involuntary_switches;
	return entry;
}

void process_table_take_thread(struct process_table *table, const struct thread_record *record)
{
	(void)add_thread(table, record); /* one without a row is counted with its leader */
}

/* The letters of /proc/PID/stat, by the highest bit that is reported. */
static char state_letter(uint32_t state, uint32_t exit_state)
{
	static const char letters[] = "RSDTtXZP";
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
	if (record->threads) {
		table->threads += record->threads - 1;
		row->threads += record->threads - 1;
	}
	memcpy(row->comm, record->comm, sizeof(row->comm));
	row->comm[COMM_LEN - 1] = '\0';
}

static int compare_group(const void *key, const void *group_)
{
	uint64_t id = *(const uint64_t *)key, other = ((const struct group *)group_)->id;
	return (id > other) - (id < other);
}

static struct group *find_group(struct process_table *table, uint64_t id)
{
	return bsearch(&id, table->groups, table->group_count, sizeof(table->groups[0]), compare_group);
}

static struct group *find_or_add_group(struct process_table *table, uint64_t id)
{
	struct group *group = find_group(table, id);
	uint32_t at = table->group_count;

	if (group || table->group_count == MAX_CGROUPS)
		return group;
	while (at && table->groups[at - 1].id > id)
		at--;
	memmove(&table->groups[at + 1], &table->groups[at], (table->group_count - at) * sizeof(table->groups[0]));
	table->groups[at] = (struct group){ .id = id };
	table->group_count++;
	return &table->groups[at];
}

void process_table_take_ended(struct process_table *table, uint64_t cgroup_id, const struct ended_cost *cost)
{
	struct group *group = find_or_add_group(table, cgroup_id);

	if (!group)
		return;
	group->ended_cpu_ns = cost->cpu_ns;
	group->ended_written_bytes = cost->written_bytes;
	if (table->first) { /* what ended before we looked is nobody's news */
		group->ended_before_cpu_ns = cost->cpu_ns;
		group->ended_before_written_bytes = cost->written_bytes;
	}
}

/* --- comparing -------------------------------------------------------------------------------------------------------- */

static uint64_t above(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

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

/*
 * A process already there at the first walk has its past for a base; one born since has nothing before it. `group` gets what is new,
 * so that a process that moves takes no past along. An end is told by the ended costs, with the whole life in it.
 */
static void advance_entry(struct process_table *table, struct entry *entry, struct group *group, bool full)
{
	struct process *row = &entry->row;
	bool old = entry->is_new && (table->first || entry->ended);
	uint64_t cpu = old ? 0 : above(row->cpu_ns, entry->cpu_ns);
	uint64_t written = old ? 0 : above(row->written_bytes, entry->written_bytes);

	if (old) {
		entry->cpu_full_ns = row->cpu_ns;
		entry->written_full_bytes = row->written_bytes;
	}
	row->cpu_recent_ns = decay_recent(row->cpu_recent_ns, table->last_ns ? table->boot_ns - table->last_ns : 0, cpu);
	if (full) {
		row->cpu_delta_ns = above(row->cpu_ns, entry->cpu_full_ns);
		row->written_delta_bytes = above(row->written_bytes, entry->written_full_bytes);
		entry->cpu_full_ns = row->cpu_ns;
		entry->written_full_bytes = row->written_bytes;
	}
	sample_rss(table, entry);
	if (group && entry->ended && table->told_of_ends && !row->kernel_thread) {
		if (!entry->was_ended && !entry->is_new) {
			group->pending_cpu_ns -= (int64_t)entry->cpu_ns;
			group->pending_written_bytes -= (int64_t)entry->written_bytes;
		}
	} else if (group) {
		group->live_cpu_ns += table->first && entry->is_new ? row->cpu_ns : cpu;
		group->live_written_bytes += written;
	}
	entry->cpu_ns = row->cpu_ns;
	entry->written_bytes = row->written_bytes;
	entry->is_new = false;
}

/* Gone without having been met as a zombie: its whole life comes, or came, with the ended costs. */
static void bury_entry(struct process_table *table, struct entry *entry)
{
	struct group *group = find_group(table, entry->row.cgroup_id);

	if (group && table->told_of_ends && !entry->ended && !entry->row.kernel_thread) {
		group->pending_cpu_ns -= (int64_t)entry->cpu_ns;
		group->pending_written_bytes -= (int64_t)entry->written_bytes;
	}
	drop_entry(table, entry);
}

/* --- the sections ----------------------------------------------------------------------------------------------------- */

static struct cgroup *find_row(struct cgroup_section *section, uint64_t id)
{
	uint32_t low = 0, high = section->count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (section->each[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < section->count && section->each[low].id == id ? &section->each[low] : NULL;
}

static void add_row(struct cgroup_section *section, uint64_t id)
{
	uint32_t at = section->count;

	if (find_row(section, id))
		return;
	if (section->count == MAX_CGROUPS) {
		section->cut++;
		return;
	}
	while (at && section->each[at - 1].id > id)
		at--;
	memmove(&section->each[at + 1], &section->each[at], (section->count - at) * sizeof(section->each[0]));
	section->each[at] = (struct cgroup){ .id = id, .memory_current = UNKNOWN, .memory_max = UNKNOWN, .memory_growth_bytes = INT64_MIN,
						 .refaults = UNKNOWN };
	section->count++;
}

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

static void open_groups(struct process_table *table, struct cgroup_section *section)
{
	uint64_t last = 0;

	section->cut = 0;
	for (uint32_t i = 0; i < table->count; i++) {
		uint64_t id = table->entries[table->order[i]].row.cgroup_id;

		if (id == last)
			continue;
		last = id;
		add_row(section, id);
		(void)find_or_add_group(table, id); /* as many as rows: cut with them */
	}
	for (uint32_t i = 0; i < table->group_count; i++) {
		table->groups[i].live_cpu_ns = table->groups[i].live_written_bytes = 0;
		if (table->groups[i].ended_cpu_ns > table->groups[i].ended_before_cpu_ns)
			add_row(section, table->groups[i].id);
	}
	for (uint32_t i = 0; i < section->count; i++) {
		section->each[i].processes = 0;
		section->each[i].rss_bytes = 0;
		section->each[i].rss_growth_bytes = 0;
	}
}

static void add_to_row(struct cgroup *row, const struct process *process)
{
	row->processes++;
	row->rss_bytes += process->rss_bytes;
	row->rss_growth_bytes += process->rss_growth_bytes;
}

static void fill_processes(struct process_table *table, struct snapshot *snap, bool full)
{
	struct process_section *section = &snap->processes;
	struct group *group = NULL;
	struct cgroup *cgroup = NULL;
	uint64_t last = 0;

	for (uint32_t i = 0; i < table->count; i++) {
		struct entry *entry = &table->entries[table->order[i]];

		if (!i || entry->row.cgroup_id != last) {
			last = entry->row.cgroup_id;
			group = find_group(table, last);
			cgroup = find_row(&snap->cgroups, last);
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

/* What ended counts as soon as it is more than had been counted of it while it lived. */
static uint64_t settle(int64_t *pending, uint64_t ended, uint64_t *before)
{
	*pending += (int64_t)above(ended, *before);
	*before = ended;
	if (*pending <= 0)
		return 0;
	uint64_t due = (uint64_t)*pending;
	*pending = 0;
	return due;
}

static void fill_groups(struct process_table *table, struct snapshot *snap, bool full)
{
	uint64_t elapsed = table->last_ns ? table->boot_ns - table->last_ns : 0;
	uint32_t kept = 0;

	table->forgotten_count = 0;

	for (uint32_t i = 0; i < table->group_count; i++) {
		struct group *group = &table->groups[i];
		struct cgroup *row = find_row(&snap->cgroups, group->id);

		if (!row) { /* its cgroup is gone, says who drops the rows */
			table->forgotten[table->forgotten_count++] = group->id;
			continue;
		}
		uint64_t cpu = group->live_cpu_ns + settle(&group->pending_cpu_ns, group->ended_cpu_ns, &group->ended_before_cpu_ns);
		uint64_t written = group->live_written_bytes +
			settle(&group->pending_written_bytes, group->ended_written_bytes, &group->ended_before_written_bytes);

		row->cpu_ns += cpu;
		if (table->first)
			group->cpu_full_ns = row->cpu_ns;
		row->cpu_recent_ns = decay_recent(row->cpu_recent_ns, elapsed, table->first ? 0 : cpu);
		row->written_recent_bytes = decay_recent(row->written_recent_bytes, elapsed, written);
		if (full) {
			row->cpu_delta_ns = row->cpu_ns - group->cpu_full_ns;
			group->cpu_full_ns = row->cpu_ns;
		}
		table->groups[kept++] = *group;
	}
	table->group_count = kept;
	snap->cgroups.measured_ns = table->boot_ns;
}

void process_table_end(struct process_table *table, struct snapshot *snap, bool full)
{
	sweep(table);
	open_groups(table, &snap->cgroups);
	fill_processes(table, snap, full);
	fill_groups(table, snap, full);
	table->last_ns = table->boot_ns;
	table->first = false;
}
