/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One program at each switch of a CPU, for everything that is asked there. It takes no time stamp and needs no hook at wake-ups:
 * the scheduler has just read its clock, and keeps in sched_info since when a task is queued and how long it waited before. So
 * waits are the very ones of /proc/PID/schedstat. The idle task is no task here, neither as the one that leaves nor as the next.
 */
#include "asleep.bpf.h"
#include "burst.bpf.h"
#include "threads.bpf.h"
#include "walk.bpf.h"

/* False where tracing programs have no task storage (before v5.12): then only what sched_info alone can tell. */
const volatile bool keeps_threads = true;

/* Preallocated for the reason ended_threads is. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct preemption_key);
	__type(value, struct preemption_value);
} preemptions SEC(".maps");
counts_refused(preemptions);

/* A row a cgroup that is looked at deeply, made by the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_DEEP_ROWS);
	__type(key, __u64);
	__type(value, struct histogram);
} deep_waits SEC(".maps");
counts_refused(deep_waits);

/* histogram_bucket() of short times, from the agent, which is most of them where switches are many: a load instead of 20 instructions. */
enum { SHORT_NS = 8192 };
const volatile __u8 short_buckets[SHORT_NS] = {};

/* Only under the lock of this CPU's run queue, so plain additions lose nothing. */
static __always_inline void observe(struct histogram *histogram, __u64 ns)
{
	__u64 bucket = ns < SHORT_NS ? short_buckets[ns] : histogram_bucket_of(ns);

	if (bucket < HISTOGRAM_BUCKETS)
		histogram->buckets[bucket]++;
	histogram->sum_ns += ns;
}

/*
 * What is not asked at every switch is in global functions, which the verifier looks at once and for itself: inlined, their ways multiply with
 * each other's, and on_switch took 20 700 instructions of looking and 120 ms to load.
 */
__noinline int observe_deeply(__u64 cgroup_id, __u64 wait_ns)
{
	struct histogram *histogram = keeps_threads ? bpf_map_lookup_elem(&deep_waits, &cgroup_id) : NULL; /* without, there is no such map */
	__u64 bucket = histogram_bucket_of(wait_ns);

	if (!histogram || bucket >= HISTOGRAM_BUCKETS)
		return 0;
	bump(histogram->buckets[bucket], 1); /* several CPUs, one row */
	bump(histogram->sum_ns, wait_ns);
	return 0;
}

/*
 * Who wakes another and has to give way to it mostly does so again and again: the pair seen last on a CPU is kept there, and its row, which takes a
 * hash and two atomic additions, 30 ns, gets the sum when another pair comes, when the CPU falls idle, and at the end of a window of 10 ms.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct preemption_open);
} open_pairs SEC(".maps");

__noinline int close_pair(void)
{
	__u32 zero = 0;
	struct preemption_open *open = keeps_threads ? bpf_map_lookup_elem(&open_pairs, &zero) : NULL;
	struct sched_counts *sums = get_counts();

	if (!open || !sums || !keeps_threads)
		return 0;
	struct preemption_key key = open->pair;
	struct preemption_value more = open->value, *row = bpf_map_lookup_elem(&preemptions, &key);

	open->value = (struct preemption_value){};
	sums->preemptions += more.count;
	sums->preempted_ns += more.wait_ns;
	if (!row) {
		if (!bpf_map_update_elem(&preemptions, &key, &more, BPF_NOEXIST))
			return 0;
		row = bpf_map_lookup_elem(&preemptions, &key); /* another CPU was first */
	}
	if (!row) {
		refuse(preemptions);
		bump(sums->lost_pairs, more.count);
		return 0;
	}
	bump(row->count, more.count);
	bump(row->wait_ns, more.wait_ns);
	return 0;
}

static __always_inline void count_preemption(__u64 victim, __u64 aggressor, __u64 wait_ns)
{
	__u32 zero = 0;
	struct preemption_open *open = bpf_map_lookup_elem(&open_pairs, &zero);

	if (!open)
		return;
	if (open->pair.victim != victim || open->pair.aggressor != aggressor) {
		if (open->value.count)
			close_pair();
		open->pair = (struct preemption_key){ .victim = victim, .aggressor = aggressor };
	}
	open->value.count++;
	open->value.wait_ns += wait_ns;
}

static __always_inline void close_pair_if_any(void)
{
	__u32 zero = 0;
	const struct preemption_open *open = bpf_map_lookup_elem(&open_pairs, &zero);

	if (open && open->value.count)
		close_pair();
}

/* The end of the interval that is open. A walk that reads meanwhile sees since_ns change and reads again. */
static __always_inline void charge(struct thread *thread, __u32 blame, __u64 ns)
{
	if (blame < BLAME_COUNT)
		thread->ns[blame] += ns;
}

static __always_inline __u64 since(__u64 now, __u64 then)
{
	if (now >= then)
		return now - then;
	lose_clock();
	return 0;
}

/* What has passed since the thread left a CPU before: off it, and then on this one. */
static __always_inline void charge_parts(struct thread *thread, const volatile struct parts *parts, struct sched_histograms *kept)
{
	__u32 blame = thread->blame;
	bool waited = blame == BLAME_RUNQUEUE || blame == BLAME_THROTTLED;
	__u64 off_ns = parts->off_ns, part_ns = parts->wait_ns, wait_ns = waited ? off_ns : part_ns;

	thread->ns[WHOLE_SLICES] += parts->on_ns;
	if (blame == BLAME_ON_CPU)
		return;
	charge(thread, blame, off_ns - part_ns);
	charge(thread, BLAME_RUNQUEUE, part_ns);
	if (blame == BLAME_RUNQUEUE && thread->mark)
		count_preemption(thread->cgroup_id, thread->mark, off_ns);
	if (kept) {
		observe(&kept->off, off_ns);
		observe(&kept->wait, wait_ns);
	}
	if (looks_deep())
		observe_deeply(thread->cgroup_id, wait_ns);
}

/* Of the one that leaves, which is still the current one. Global: at its end, or when it was moved. */
__noinline int settle_current(void)
{
	if (!keeps_threads)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = bpf_task_storage_get(&threads, task, NULL, 0);

	if (thread)
		settle(thread, task);
	return 0;
}

/* What is at the end of pointers. Asked once and first: for each load of a pointer through a trusted one, and on each way there, the
 * verifier searches all types of the kernel by name (type_is_trusted and its kin), 0.4 ms and more. */
struct place {
	__u64 cgroup_id;
	const struct cfs_rq *queue;
	__u64 taken_by;              /* the cgroup that the CPU goes to, where it was taken away */
};

static __always_inline void leave_cpu(struct thread *thread, struct task_struct *task, const struct place *place, __u64 now, __u32 state,
				      struct sched_histograms *kept)
{
	__u64 begin = thread->since_ns, cgroup_id = place->cgroup_id;
	volatile struct parts *parts = get_parts(PARTS_OF_SWITCH);

	thread->since_ns = 0;
	barrier();
	if (begin && parts) {
		take_apart(parts, thread, begin, thread->blame, thread->mark, task, now, true);
		charge_parts(thread, parts, kept);
	}
	if (state & TASK_DEAD_BIT) {
		settle_current();
		thread->blame = BLAME_COUNT;
		return;
	}
	if (cgroup_id != thread->cgroup_id || wants_settling(thread, task) || (!state && task_state_of(task))) {
		settle_current();
		thread->cgroup_id = cgroup_id;
	}
	if (!state) {
		thread->blame = queue_is_throttled(place->queue) ? BLAME_THROTTLED : BLAME_RUNQUEUE;
		thread->mark = place->taken_by && !yields(task) ? place->taken_by : 0;
	} else {
		thread->blame = blame_of_sleep(task, thread, state, now);
		thread->mark = task->sched_info.run_delay;
	}
	barrier();
	thread->since_ns = now;
}

/* state: 0 where the one that leaves stays runnable. */
static __always_inline void on_any_switch(struct task_struct *prev, struct task_struct *next, __u32 state)
{
	bool was_busy = prev->pid != 0, is_busy = next->pid != 0;
	struct place place = {
		.cgroup_id = cgroup_id_of(prev), .queue = prev->se.cfs_rq, .taken_by = state || !is_busy ? 0 : cgroup_id_of(next),
	};
	__u64 now = place.queue->rq->clock;
	__u32 zero = 0;

	barrier_var(place.cgroup_id);
	barrier_var(place.queue);
	barrier_var(place.taken_by);
	barrier_var(now);
	struct sched_histograms *kept = keeps_histograms() ? bpf_map_lookup_elem(&histograms, &zero) : NULL;
	struct burst *burst = bpf_map_lookup_elem(&bursts, &zero);

	bool rests = !is_busy || (burst && now >= burst->end_ns);
	if (burst)
		advance_windows(burst, now, was_busy, is_busy);
	if (was_busy && kept) {
		__u64 arrival = prev->sched_info.last_arrival;

		if (arrival && now > arrival)
			observe(&kept->slice, now - arrival);
	}
	if (!keeps_threads) {
		if (is_busy && kept && next->sched_info.last_queued)
			observe(&kept->wait, since(now, next->sched_info.last_queued));
		return;
	}

	struct thread *leaving = was_busy ? bpf_task_storage_get(&threads, prev, NULL, 0) : NULL;
	if (leaving)
		leave_cpu(leaving, prev, &place, now, state, kept);
	if (rests)
		close_pair_if_any();
}

/* v5.18, fa2c3254d7cf: prev_state became an argument, since a waker may have changed it by now. The agent loads the one that fits. */
SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next, unsigned int prev_state)
{
	on_any_switch(prev, next, preempt ? 0 : prev_state);
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch_before, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	on_any_switch(prev, next, preempt ? 0 : task_state(prev));
	return 0;
}

/* Storage is made here, in the parent's time, and never in a switch: to allocate with a run queue's lock held may wake kswapd. */
SEC("tp_btf/task_newtask")
int BPF_PROG(on_new_task, struct task_struct *task)
{
	struct thread *thread = bpf_task_storage_get(&threads, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!thread) {
		refuse(threads);
		lose(lost_threads);
		return 0;
	}
	thread->cgroup_id = task_cgroup_id(task);
	thread->blame = BLAME_RUNQUEUE;
	begin_counts(thread, task);
	thread->since_ns = SINCE_BIRTH;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
