/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who kills whom. A signal that would end its target by default is noted with its sender when it is generated, and told when the
 * target is about to die of one: handled, blocked or dropped, it never is. Both tracepoints stand under the target's siglock, so
 * notes of one target are neither torn nor taken twice.
 */
#include "party.bpf.h"
#include "signals/kill.h"

enum {
	SIG_KILL = 9,
	RESULT_DELIVERED = 0, RESULT_LOSE_INFO = 4, /* include/trace/events/signal.h */
	INFO_NONE = 0, INFO_PRIVILEGED = 1, /* SEND_SIG_NOINFO, SEND_SIG_PRIV stand for a pointer */
	CODE_TIMER = -2, CODE_MESSAGE = -3, CODE_ASYNC = -4, CODE_SIGIO = -5,
	UNKILLABLE_BIT = 0x40,
};
#define BIT_OF(signal) (1ULL << ((signal) - 1))
/* CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG, WINCH */
#define NEVER_FATAL (BIT_OF(17) | BIT_OF(18) | BIT_OF(19) | BIT_OF(20) | BIT_OF(21) | BIT_OF(22) | BIT_OF(23) | BIT_OF(28))

/* One entry a target that has such a signal coming, mostly for microseconds. Made under siglock with interrupts off, where
 * GFP_ATOMIC is allowed and the allocator sends no signals. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct fatal_life);
	__type(value, struct fatal_notes);
} fatal_notes SEC(".maps");
counts_refused(fatal_notes);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fatal_count[SIGNAL_NUMBERS]);
} fatal_counts SEC(".maps");

/* [0]: signals that could not be noted. Should they prove fatal, they are in no figure. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} notes_lost SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 128 * 1024); /* about 700 ends a tick */
} fatal_signals SEC(".maps");
counts_refused(fatal_signals);

static __always_inline struct fatal_life life_of(const struct task_struct *leader)
{
	return (struct fatal_life){ .start_ns = BPF_CORE_READ(leader, start_boottime), .pid = (__u64)BPF_CORE_READ(leader, pid) };
}

static __always_inline bool has_default_action(const struct task_struct *task, int signal)
{
	const void *action = (const void *)BPF_CORE_READ(task, sighand) + bpf_core_field_offset(struct sighand_struct, action) +
		(__u32)(signal - 1) * bpf_core_type_size(struct k_sigaction) + bpf_core_field_offset(struct k_sigaction, sa.sa_handler);
	__u64 handler = 1;

	bpf_probe_read_kernel(&handler, sizeof(handler), action);
	return !handler;
}

static __always_inline bool ends_by_default(int signal)
{
	return signal > 0 && signal < SIGNAL_NUMBERS && !(NEVER_FATAL & BIT_OF(signal));
}

/* A positive code is the kernel's: of a fault where the target is at work itself, else of a descriptor, a limit, a timer. */
static __always_inline __u32 origin_of(__u64 info, __s32 code, bool own)
{
	if (info == INFO_NONE)
		return FATAL_BY_TASK;
	if (info == INFO_PRIVILEGED)
		return FATAL_BY_KERNEL;
	if (code > 0)
		return own ? FATAL_BY_FAULT : FATAL_BY_KERNEL;
	return code <= CODE_TIMER && code >= CODE_SIGIO ? FATAL_BY_KERNEL : FATAL_BY_TASK;
}

static __always_inline void fill_note(struct fatal_note *note, int signal, const struct kernel_siginfo *info, const struct task_struct *target)
{
	const struct task_struct *sender = (void *)bpf_get_current_task();
	bool own = BPF_CORE_READ(sender, group_leader) == BPF_CORE_READ(target, group_leader);

	note->signal = (__u32)signal;
	note->sent_ns = bpf_ktime_get_boot_ns();
	note->code = (__u64)info > INFO_PRIVILEGED ? BPF_CORE_READ(info, si_code) : 0;
	note->origin = origin_of((__u64)info, note->code, own);
	if (note->origin != FATAL_BY_TASK)
		return;
	fill_party(&note->sender, sender);
	if (BPF_CORE_READ(sender, signal, tty))
		note->flags |= FATAL_FLAG_TERMINAL;
}

/* The newest of a signal is the one that is still pending; one too many takes the last place. */
static __always_inline void keep_note(struct fatal_notes *notes, const struct fatal_note *note)
{
	for (int i = 0; i < SIGNALS_NOTED; i++) {
		if (i < SIGNALS_NOTED - 1 && notes->each[i].signal && notes->each[i].signal != note->signal)
			continue;
		notes->each[i] = *note;
		return;
	}
}

static __always_inline void lose_note(void)
{
	__u32 zero = 0;
	__u64 *lost = bpf_map_lookup_elem(&notes_lost, &zero);

	refuse(fatal_notes);
	if (lost)
		bump(*lost, 1);
}

SEC("tp_btf/signal_generate")
int BPF_PROG(on_generate, int signal, struct kernel_siginfo *info, struct task_struct *target, int group, int result)
{
	if (!ends_by_default(signal) || (result != RESULT_DELIVERED && result != RESULT_LOSE_INFO))
		return 0;
	if (signal != SIG_KILL && !has_default_action(target, signal))
		return 0;

	const struct task_struct *leader = BPF_CORE_READ(target, group_leader);
	struct fatal_life life = life_of(leader);
	struct fatal_note note = {};
	fill_note(&note, signal, info, target);

	struct fatal_notes *known = bpf_map_lookup_elem(&fatal_notes, &life);
	if (known) {
		keep_note(known, &note);
		return 0;
	}
	struct fatal_notes fresh = { .each[0] = note, .pid = task_pid_seen(leader) };
	if (bpf_map_update_elem(&fatal_notes, &life, &fresh, BPF_NOEXIST))
		lose_note();
	return 0;
}

/*
 * The signal that this task dies of; 0: it does not. Of a group that is exiting already every thread gets SIGKILL, and the group's
 * code says the cause. SIGKILL without that is an exec of another thread.
 */
static __always_inline __u32 fatal_signal_of(int signal, const struct signal_struct *group)
{
	__u32 flags = BPF_CORE_READ(group, flags);

	if (flags & SIGNAL_GROUP_EXIT_BIT)
		return BPF_CORE_READ(group, group_exit_code) & 0x7f;
	if (signal == SIG_KILL || flags & UNKILLABLE_BIT)
		return 0;
	return (__u32)signal;
}

static __always_inline void tell(struct fatal_count *count, __u32 signal, const struct fatal_notes *notes, const struct task_struct *task)
{
	struct fatal_record *record = bpf_ringbuf_reserve(&fatal_signals, sizeof(*record), 0);

	if (!record) {
		refuse(fatal_signals);
		bump(count->lost, 1);
		return;
	}
	__builtin_memset(record, 0, sizeof(*record));
	record->at_ns = bpf_ktime_get_boot_ns();
	record->signal = signal;
	fill_party(&record->target, task);
	for (int i = 0; i < SIGNALS_NOTED; i++) {
		const struct fatal_note *note = &notes->each[i];

		if (note->signal != signal)
			continue;
		record->sent_ns = note->sent_ns;
		record->sender = note->sender;
		record->code = note->code;
		record->origin = note->origin;
		record->flags = note->flags;
		break;
	}
	/* Set right after the OOM killer has sent its SIGKILL. */
	if (signal == SIG_KILL && record->origin == FATAL_BY_KERNEL && BPF_CORE_READ(task, signal, oom_mm))
		record->flags |= FATAL_FLAG_OOM;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

SEC("tp_btf/signal_deliver")
int BPF_PROG(on_deliver, int signal, struct kernel_siginfo *info, struct k_sigaction *action)
{
	if (action->sa.sa_handler || !ends_by_default(signal))
		return 0;

	const struct task_struct *task = (void *)bpf_get_current_task();
	__u32 fatal = fatal_signal_of(signal, BPF_CORE_READ(task, signal)), zero = 0;
	if (!fatal || fatal >= SIGNAL_NUMBERS)
		return 0;

	struct fatal_life life = life_of(BPF_CORE_READ(task, group_leader));
	struct fatal_notes *notes = bpf_map_lookup_elem(&fatal_notes, &life);
	struct fatal_count *counts = bpf_map_lookup_elem(&fatal_counts, &zero);
	/* The first thread of a group takes the notes; for the others it has been told. */
	if (!notes || !counts)
		return 0;
	bump(counts[fatal].ended, 1);
	tell(&counts[fatal], fatal, notes, task);
	bpf_map_delete_elem(&fatal_notes, &life);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
