/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Time spent in soft interrupts and in the handlers of devices. A handler that interrupts a soft interrupt stands on top of it on the
 * same CPU: what it takes is taken off the time below. Handlers of one line that several devices share run one after the other.
 */
#include "depth.bpf.h"
#include "signals/irq.h"

/* What one CPU is in the middle of. */
struct nesting {
	__u64 softirq_ns, handler_ns;    /* when it began; 0: not in one that we saw begin */
	__u64 taken_ns;                  /* by handlers, ever */
	__u64 taken_before_ns;           /* the same at the begin of the soft interrupt */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nesting);
} nestings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct softirq_costs);
} softirqs SEC(".maps");

/* Preallocated: rows are made in a handler. Lines are few, and none of those that never fire is in it. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, MAX_IRQS);
	__type(key, __u32);
	__type(value, struct irq_cost);
} irqs SEC(".maps");
counts_refused(irqs);

static __always_inline struct nesting *nesting_here(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&nestings, &zero);
}

static __always_inline struct softirq_costs *softirqs_here(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&softirqs, &zero);
}

/* Soft interrupts do not nest on a CPU, and handlers run with interrupts off: each slot has one writer at a time. */
static __always_inline void add(struct irq_cost *cost, __u64 ns)
{
	cost->count++;
	cost->ns += ns;
}

static __always_inline struct irq_cost *row_of(__u32 irq)
{
	struct irq_cost none = {}, *cost = bpf_map_lookup_elem(&irqs, &irq);

	if (cost)
		return cost;
	bpf_map_update_elem(&irqs, &irq, &none, BPF_NOEXIST);
	cost = bpf_map_lookup_elem(&irqs, &irq);
	if (!cost)
		refuse(irqs);
	return cost;
}

SEC("tp_btf/softirq_entry")
int BPF_PROG(on_softirq_entry, unsigned int vector)
{
	struct nesting *nesting = nesting_here();

	if (!nesting)
		return 0;
	nesting->taken_before_ns = nesting->taken_ns;
	nesting->softirq_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/softirq_exit")
int BPF_PROG(on_softirq_exit, unsigned int vector)
{
	struct nesting *nesting = nesting_here();
	struct softirq_costs *costs = softirqs_here();

	if (!nesting || !costs || !nesting->softirq_ns || vector >= SOFTIRQ_VECTORS)
		return 0;
	__u64 ns = bpf_ktime_get_ns() - nesting->softirq_ns, taken = nesting->taken_ns - nesting->taken_before_ns;
	nesting->softirq_ns = 0;
	add(&costs->each[vector], ns > taken ? ns - taken : 0);
	return 0;
}

SEC("tp_btf/irq_handler_entry")
int BPF_PROG(on_handler_entry, int irq, struct irqaction *action)
{
	struct nesting *nesting = nesting_here();

	if (nesting)
		nesting->handler_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/irq_handler_exit")
int BPF_PROG(on_handler_exit, int irq, struct irqaction *action, int result)
{
	struct nesting *nesting = nesting_here();

	if (!nesting || !nesting->handler_ns)
		return 0;
	__u64 ns = bpf_ktime_get_ns() - nesting->handler_ns;
	nesting->handler_ns = 0;
	nesting->taken_ns += ns;

	struct irq_cost *cost = row_of((__u32)irq);
	struct softirq_costs *costs = softirqs_here();
	if (cost)
		add(cost, ns);
	else if (costs)
		bump(costs->lost_irqs, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
