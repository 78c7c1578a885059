/* SPDX-License-Identifier: Apache-2.0 */
/* See syscall_rows.h. The layout is that of signals/syscall.h; who writes what beside us: bpf/syscall_rows.bpf.h. */
#include "collect/syscall_rows.h"
#include "core/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "syscall.skel.h"

enum {
	QUIET_TICKS = 2,               /* a tick may fall into the moment between a cgroup's last call and its end */
	QUIET_TICKS_UNSURE = 60,       /* where the table of cgroups is cut, one that is not in it may live */
};
/* Programs run with preemption off for less than a microsecond. What one that saw the old owner still adds is long in by then. */
#define GRACE_NS NSEC_PER_SEC

struct sum { uint64_t count, errors, ns; };

struct owner {
	uint64_t cgroup_id;            /* 0: free. Stays while its place is being given up */
	uint64_t given_up_ns;          /* 0: in use */
	uint32_t quiet_ticks;
	bool changed;
};

struct syscall_rows {
	struct syscall_bpf *skel;
	struct syscall_bpf__bss *bss;  /* the kernel's, mapped */
	size_t bss_size;
	uint32_t cpus, cgroups;
	struct syscall_counters *one;  /* of one CPU, as read */
	struct syscall_row *now, *seen; /* [SYSCALL_ROWS], over all CPUs; 32 bits wrap alike in both */
	uint32_t (*times_now)[HISTOGRAM_BUCKETS], (*times_seen)[HISTOGRAM_BUCKETS]; /* [SYSCALL_TIMED] */
	struct sum *total;             /* [SYSCALL_ROWS], since its place has this owner; of row i < SYSCALL_IDS: the rest of id i */
	struct sum node[SYSCALL_IDS];
	uint64_t (*times)[HISTOGRAM_BUCKETS];
	struct owner owners[SYSCALL_CGROUPS];
	struct syscall_losses losses;
};

int syscall_rows_size(struct syscall_bpf *skel)
{
	int cpus = libbpf_num_possible_cpus();

	return cpus < 0 ? cpus : bpf_map__set_max_entries(skel->maps.counters, (uint32_t)cpus);
}

void syscall_rows_free(struct syscall_rows *rows)
{
	if (!rows)
		return;
	if (rows->bss)
		munmap(rows->bss, rows->bss_size);
	pages_free(rows->one);
	pages_free(rows->now);
	pages_free(rows->seen);
	pages_free(rows->times_now);
	pages_free(rows->times_seen);
	pages_free(rows->total);
	pages_free(rows->times);
	free(rows);
}

/* The pools are full, and row i of cgroup 0 is i. */
static int fill_pools(struct syscall_rows *rows)
{
	uint32_t zero = 0, each[SYSCALL_IDS];

	for (uint32_t id = 0; id < SYSCALL_IDS; id++)
		each[id] = id;
	if (bpf_map_update_elem(bpf_map__fd(rows->skel->maps.cgroup_rows), &zero, each, BPF_ANY))
		return -errno;
	rows->bss->numbers[0] = SYSCALL_NUMBER_OTHER;
	for (uint32_t row = SYSCALL_IDS; row < SYSCALL_ROWS; row++)
		rows->bss->free_row_each[rows->bss->free_rows.given++] = (uint16_t)row;
	for (uint32_t index = 1; index < SYSCALL_CGROUPS; index++)
		rows->bss->free_cgroup_each[rows->bss->free_cgroups.given++] = (uint16_t)index;
	return 0;
}

int syscall_rows_new(struct syscall_bpf *skel, struct syscall_rows **ret)
{
	struct syscall_rows *rows = calloc(1, sizeof(*rows));
	long page = sysconf(_SC_PAGESIZE);
	int error = -ENOMEM;

	if (!rows)
		return error;
	rows->skel = skel;
	rows->cpus = bpf_map__max_entries(skel->maps.counters);
	rows->one = pages_new(1, sizeof(*rows->one));
	rows->now = pages_new(SYSCALL_ROWS, sizeof(*rows->now));
	rows->seen = pages_new(SYSCALL_ROWS, sizeof(*rows->seen));
	rows->times_now = pages_new(SYSCALL_TIMED, sizeof(*rows->times_now));
	rows->times_seen = pages_new(SYSCALL_TIMED, sizeof(*rows->times_seen));
	rows->total = pages_new(SYSCALL_ROWS, sizeof(*rows->total));
	rows->times = pages_new(SYSCALL_TIMED, sizeof(*rows->times));
	if (!rows->one || !rows->now || !rows->seen || !rows->times_now || !rows->times_seen || !rows->total || !rows->times)
		goto fail;

	rows->bss_size = (sizeof(*rows->bss) + (size_t)page - 1) / (size_t)page * (size_t)page;
	rows->bss = mmap(NULL, rows->bss_size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(skel->maps.bss), 0);
	if (rows->bss == MAP_FAILED) {
		rows->bss = NULL;
		error = -errno;
		goto fail;
	}
	error = fill_pools(rows);
	if (error)
		goto fail;
	*ret = rows;
	return 0;

fail:
	syscall_rows_free(rows);
	return error;
}

/* --- reading ---------------------------------------------------------------------------------------------------------- */

/* Rows are handed out in order, so beyond these none was ever used. */
static uint32_t rows_in_use(const struct syscall_rows *rows)
{
	uint64_t taken = __atomic_load_n(&rows->bss->free_rows.taken, __ATOMIC_ACQUIRE);
	return taken < SYSCALL_ROWS - SYSCALL_IDS ? SYSCALL_IDS + (uint32_t)taken : SYSCALL_ROWS;
}

static uint32_t ids_in_use(const struct syscall_rows *rows)
{
	uint64_t taken = __atomic_load_n(&rows->bss->ids_taken, __ATOMIC_ACQUIRE);
	return taken < SYSCALL_IDS - 1 ? 1 + (uint32_t)taken : SYSCALL_IDS;
}

static uint32_t timed(uint32_t ids)
{
	return ids < SYSCALL_TIMED ? ids : SYSCALL_TIMED;
}

static void add_cpu(struct syscall_rows *rows, uint32_t row_count, uint32_t id_count, struct syscall_losses *losses)
{
	const struct syscall_counters *one = rows->one;

	for (uint32_t i = 0; i < row_count; i++) {
		rows->now[i].count += one->rows[i].count;
		rows->now[i].errors += one->rows[i].errors;
		rows->now[i].sum_ns += one->rows[i].sum_ns;
	}
	for (uint32_t id = 0; id < timed(id_count); id++)
		for (uint32_t k = 0; k < HISTOGRAM_BUCKETS; k++)
			rows->times_now[id][k] += one->times[id].buckets[k];
	losses->starts += one->starts_lost;
	losses->errors_unnamed += one->errors_unnamed;
	losses->deep += one->deep_lost;
	losses->slow += one->slow;
	losses->slow_records += one->slow_lost;
}

static void take_row(struct syscall_rows *rows, uint32_t row)
{
	uint32_t owner = row < SYSCALL_IDS ? row : __atomic_load_n(&rows->bss->row_owners[row], __ATOMIC_ACQUIRE);
	struct syscall_row now = rows->now[row], seen = rows->seen[row];
	struct sum more = { .count = now.count - seen.count, .errors = now.errors - seen.errors, .ns = now.sum_ns - seen.sum_ns };

	rows->seen[row] = now;
	if (!more.count)
		return;
	struct sum *const sums[] = { &rows->total[row], &rows->node[owner % SYSCALL_IDS] };
	for (int i = 0; i < 2; i++) {
		sums[i]->count += more.count;
		sums[i]->errors += more.errors;
		sums[i]->ns += more.ns;
	}
	rows->owners[owner / SYSCALL_IDS].changed = true;
}

static void take_times(struct syscall_rows *rows, uint32_t id)
{
	for (uint32_t k = 0; k < HISTOGRAM_BUCKETS; k++) {
		rows->times[id][k] += rows->times_now[id][k] - rows->times_seen[id][k];
		rows->times_seen[id][k] = rows->times_now[id][k];
	}
}

/* Whose place each index is, as the programs handed them out; one that we are giving up keeps its name till then. */
static void name_owners(struct syscall_rows *rows)
{
	rows->cgroups = 0;
	for (uint32_t index = 1; index < SYSCALL_CGROUPS; index++) {
		struct owner *owner = &rows->owners[index];
		uint64_t id = __atomic_load_n(&rows->bss->owners[index], __ATOMIC_ACQUIRE);

		if (id && !owner->cgroup_id)
			owner->cgroup_id = id;
		rows->cgroups += owner->cgroup_id != 0;
		owner->quiet_ticks = owner->changed ? 0 : owner->quiet_ticks + 1;
		owner->changed = false;
	}
}

int syscall_rows_read(struct syscall_rows *rows, struct syscall_losses *ret_losses)
{
	struct syscall_losses losses = { 0 };
	/* Before the counters: what is handed out while they are read is seen the next time. */
	uint32_t row_count = rows_in_use(rows), id_count = ids_in_use(rows);

	memset(rows->now, 0, row_count * sizeof(*rows->now));
	memset(rows->times_now, 0, timed(id_count) * sizeof(*rows->times_now));
	for (uint32_t cpu = 0; cpu < rows->cpus; cpu++) {
		if (bpf_map_lookup_elem(bpf_map__fd(rows->skel->maps.counters), &cpu, rows->one))
			return -errno;
		add_cpu(rows, row_count, id_count, &losses);
	}
	for (uint32_t row = 0; row < row_count; row++)
		take_row(rows, row);
	for (uint32_t id = 0; id < timed(id_count); id++)
		take_times(rows, id);
	name_owners(rows);
	*ret_losses = losses;
	return 0;
}

/* --- the sections ------------------------------------------------------------------------------------------------------ */

uint8_t syscall_class_of(const struct syscall_bpf *skel, uint32_t number)
{
	return number & SYSCALL_WAITED || skel->rodata->traits[number % SYSCALL_WAITED] & SYSCALL_TRAIT_WAITS ? SYSCALL_WAITING : SYSCALL_WORKING;
}

static int compare_stat(const void *a_, const void *b_)
{
	const struct syscall_stat *a = a_, *b = b_;

	if (a->abi != b->abi)
		return a->abi - b->abi;
	return a->nr != b->nr ? a->nr - b->nr : a->class - b->class;
}

static int compare_row(const void *a_, const void *b_)
{
	const struct syscall_cgroup_row *a = a_, *b = b_;

	if (a->cgroup_id != b->cgroup_id)
		return a->cgroup_id > b->cgroup_id ? 1 : -1;
	if (a->abi != b->abi)
		return a->abi - b->abi;
	return a->nr != b->nr ? a->nr - b->nr : a->class - b->class;
}

static void fill_calls(const struct syscall_rows *rows, struct syscall_section *section)
{
	section->count = 0;
	for (uint32_t id = 0; id < ids_in_use(rows); id++) {
		uint32_t number = rows->bss->numbers[id];
		struct syscall_stat *stat = &section->each[section->count];

		if (!rows->node[id].count)
			continue;
		*stat = (struct syscall_stat){
			.nr = syscall_number_nr(number), .abi = syscall_number_abi(number), .class = syscall_class_of(rows->skel, number),
			.count = rows->node[id].count, .errors = rows->node[id].errors, .latency.sum_ns = rows->node[id].ns,
		};
		for (uint32_t k = 0; id < SYSCALL_TIMED && k < HISTOGRAM_BUCKETS; k++) {
			stat->latency.buckets[k] = rows->times[id][k];
			stat->timed += rows->times[id][k];
		}
		section->count++;
	}
	qsort(section->each, section->count, sizeof(section->each[0]), compare_stat);
}

static void fill_row(const struct syscall_rows *rows, uint32_t row, struct syscall_cgroup_section *section)
{
	uint32_t owner = row < SYSCALL_IDS ? row : rows->bss->row_owners[row];
	uint32_t number = rows->bss->numbers[owner % SYSCALL_IDS];
	const struct sum *total = &rows->total[row];

	if (total->count)
		section->each[section->count++] = (struct syscall_cgroup_row){
			.cgroup_id = rows->owners[owner / SYSCALL_IDS].cgroup_id, .nr = syscall_number_nr(number),
			.abi = syscall_number_abi(number), .class = syscall_class_of(rows->skel, number),
			.count = total->count, .errors = total->errors, .sum_ns = total->ns,
		};
}

/* A cgroup that came back while its place was being given up has two: one row for both. */
static void merge_equal(struct syscall_cgroup_section *section)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < section->count; i++) {
		struct syscall_cgroup_row *last = kept ? &section->each[kept - 1] : NULL, *row = &section->each[i];

		if (last && !compare_row(last, row)) {
			last->count += row->count;
			last->errors += row->errors;
			last->sum_ns += row->sum_ns;
		} else
			section->each[kept++] = *row;
	}
	section->count = kept;
}

void syscall_rows_fill(const struct syscall_rows *rows, struct syscall_section *calls, struct syscall_cgroup_section *cgroups)
{
	uint32_t row_count = rows_in_use(rows);

	fill_calls(rows, calls);
	cgroups->count = 0;
	for (uint32_t row = 0; row < row_count; row++)
		fill_row(rows, row, cgroups);
	qsort(cgroups->each, cgroups->count, sizeof(cgroups->each[0]), compare_row);
	merge_equal(cgroups);
}

uint32_t syscall_rows_cgroups(const struct syscall_rows *rows)
{
	return rows->cgroups;
}

/* --- places that come back ---------------------------------------------------------------------------------------------- */

static bool has_ended(const struct snapshot *snap, const struct owner *owner)
{
	if (!snapshot_is_fresh(snap, snap->cgroups.measured_ns) || snapshot_cgroup(snap, owner->cgroup_id))
		return false;
	return owner->quiet_ticks >= (snap->cgroups.cut ? QUIET_TICKS_UNSURE : QUIET_TICKS);
}

/* From now on no program finds the index: a task of this cgroup, should there be one after all, gets a new one. */
static void give_up(struct syscall_rows *rows, uint32_t index, uint64_t now_ns)
{
	struct owner *owner = &rows->owners[index];

	(void)bpf_map_delete_elem(bpf_map__fd(rows->skel->maps.cgroup_indexes), &owner->cgroup_id); /* not there: nothing to hide */
	__atomic_store_n(&rows->bss->owners[index], 0, __ATOMIC_RELEASE);
	owner->given_up_ns = now_ns;
}

static void fold_row(struct syscall_rows *rows, uint32_t row)
{
	struct sum *from = &rows->total[row], *rest = &rows->total[rows->bss->row_owners[row] % SYSCALL_IDS];
	uint64_t given = rows->bss->free_rows.given;

	rest->count += from->count;
	rest->errors += from->errors;
	rest->ns += from->ns;
	*from = (struct sum){ 0 };
	rows->bss->row_owners[row] = 0;
	rows->bss->free_row_each[given % SYSCALL_ROWS] = (uint16_t)row;
	__atomic_store_n(&rows->bss->free_rows.given, given + 1, __ATOMIC_RELEASE);
}

/* The way to the rows is closed before they are given to others. */
static void take_back(struct syscall_rows *rows, uint32_t index)
{
	const uint32_t none[SYSCALL_IDS] = { 0 };
	uint64_t given = rows->bss->free_cgroups.given;

	if (bpf_map_update_elem(bpf_map__fd(rows->skel->maps.cgroup_rows), &index, none, BPF_ANY))
		return; /* the next tick tries again */
	for (uint32_t row = SYSCALL_IDS; row < rows_in_use(rows); row++)
		if (rows->bss->row_owners[row] / SYSCALL_IDS == index)
			fold_row(rows, row);
	rows->owners[index] = (struct owner){ 0 };
	rows->bss->free_cgroup_each[given % SYSCALL_CGROUPS] = (uint16_t)index;
	__atomic_store_n(&rows->bss->free_cgroups.given, given + 1, __ATOMIC_RELEASE);
}

void syscall_rows_retire(struct syscall_rows *rows, const struct snapshot *snap)
{
	for (uint32_t index = 1; index < SYSCALL_CGROUPS; index++) {
		struct owner *owner = &rows->owners[index];

		if (!owner->cgroup_id)
			continue;
		if (!owner->given_up_ns) {
			if (has_ended(snap, owner))
				give_up(rows, index, snap->boot_ns);
		} else if (snap->boot_ns - owner->given_up_ns >= GRACE_NS)
			take_back(rows, index);
	}
}
