/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* OOM kills as they are decided: the victim with its memory, who asked, and the cgroup whose limit it was, or the node's. */
#include "party.bpf.h"
#include "signals/oom.h"

enum {
	MAX_CGROUP_DEPTH = 16,
	/* The charge that failed may have been a whole huge page, and each CPU holds back a batch of 64 pages. */
	CHARGE_PAGES = 512 + 64,
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 32 * 1024); /* about 100 kills a tick */
} oom_kills SEC(".maps");
counts_refused(oom_kills);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct oom_losses);
} oom_losses SEC(".maps");

/* struct mem_cgroup begins with its css. */
static __always_inline const struct mem_cgroup *memcg_of(const struct task_struct *task)
{
	__u32 id = (__u32)bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
	const void *each = (const void *)BPF_CORE_READ(task, cgroups) + bpf_core_field_offset(struct css_set, subsys), *css = NULL;

	bpf_probe_read_kernel(&css, sizeof(css), each + id * sizeof(css));
	return css;
}

/* The deepest one above the task that is full: the tracepoint does not say, but only a full one asks for a victim inside. */
static __always_inline void find_limit(struct oom_record *record, const struct task_struct *task)
{
	const struct mem_cgroup *memcg;

	if (!bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id) || !bpf_core_type_exists(struct mem_cgroup))
		return;
	memcg = memcg_of(task);
	for (int depth = 0; depth < MAX_CGROUP_DEPTH && memcg; depth++) {
		__u64 limit = BPF_CORE_READ(memcg, memory.max), usage = BPF_CORE_READ(memcg, memory.usage.counter);

		if (BPF_CORE_READ(memcg, css.parent) && usage + CHARGE_PAGES >= limit) { /* the root has no limit */
			record->scope = OOM_SCOPE_CGROUP;
			record->limit_cgroup_id = BPF_CORE_READ(memcg, css.cgroup, kn, id);
			record->limit_bytes = limit << page_shift;
			record->usage_bytes = usage << page_shift;
			return;
		}
		memcg = (const void *)BPF_CORE_READ(memcg, css.parent);
	}
}

static __always_inline void describe_victim(struct oom_record *record, const struct task_struct *task)
{
	const struct mm_struct *mm = BPF_CORE_READ(task, mm);

	record->described = OOM_DESCRIBED;
	fill_party(&record->victim, task);
	record->oom_score_adj = BPF_CORE_READ(task, signal, oom_score_adj);
	if (!mm)
		return;
	record->virtual_bytes = BPF_CORE_READ(mm, total_vm) << page_shift;
	record->anon_bytes = mm_pages(mm, COUNTER_ANON) << page_shift;
	record->file_bytes = mm_pages(mm, COUNTER_FILE) << page_shift;
	record->shmem_bytes = mm_pages(mm, COUNTER_SHMEM) << page_shift;
	record->swap_bytes = mm_pages(mm, COUNTER_SWAP) << page_shift;
	record->page_table_bytes = BPF_CORE_READ(mm, pgtables_bytes.counter);
}

/* `victim`, or where the kernel does not hand it out its pid. */
static __always_inline void tell(const struct task_struct *victim, __s32 pid)
{
	const struct task_struct *asker = (void *)bpf_get_current_task();
	__u32 zero = 0;
	struct oom_losses *losses = bpf_map_lookup_elem(&oom_losses, &zero);
	struct oom_record record = { .at_ns = bpf_ktime_get_boot_ns() };

	if (!losses)
		return;
	fill_party(&record.asker, asker);
	if (victim)
		describe_victim(&record, victim);
	else
		record.victim.pid = pidns_inode ? 0 : pid;
	find_limit(&record, victim ? victim : asker);
	if (!bpf_ringbuf_output(&oom_kills, &record, sizeof(record), BPF_RB_NO_WAKEUP))
		return;
	refuse(oom_kills);
	bump(losses->of[record.scope == OOM_SCOPE_CGROUP ? OOM_SCOPE_CGROUP : OOM_SCOPE_NODE], 1);
}

SEC("tp_btf/mark_victim")
int BPF_PROG(on_victim, struct task_struct *task)
{
	tell(task, 0);
	return 0;
}

/* Where the tracepoint tells the pid alone, the function that it stands in has the task. */
SEC("fentry/mark_oom_victim")
int BPF_PROG(on_victim_marked, struct task_struct *task)
{
	tell(task, 0);
	return 0;
}

/* Before v6.9, 72ba14deb40a: mm: update mark_victim tracepoints fields */
SEC("tp_btf/mark_victim")
int BPF_PROG(on_victim_pid, int pid)
{
	tell(NULL, pid);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
