/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/* Time in interrupts: soft ones by vector, those of devices by number. What interrupts another is not counted in the other. */
#ifndef NODEMEND_SIGNALS_IRQ_H
#define NODEMEND_SIGNALS_IRQ_H

#ifndef __bpf__
#include <linux/types.h>
#endif

enum { SOFTIRQ_VECTORS = 10, MAX_IRQS = 256 }; /* HI … RCU: ten since v2.6.33 */

struct irq_cost {
	__u64 count, ns;
};

/* Of one CPU. */
struct softirq_costs {
	struct irq_cost each[SOFTIRQ_VECTORS];
	__u64 lost_irqs;             /* handlers that ran without room for their row */
};
enum { SOFTIRQ_COSTS = sizeof(struct softirq_costs) / sizeof(__u64) };

#ifndef __bpf__
#include <stdint.h>

enum { IRQ_NAME_LEN = 64 };

struct irq {
	uint32_t irq;
	char name[IRQ_NAME_LEN];     /* of its handlers, by commas, as the kernel lists them; "" = none any more */
	struct irq_cost cost;        /* since the agent started */
};

struct irq_section {
	uint64_t measured_ns;
	struct irq_cost softirqs[SOFTIRQ_VECTORS]; /* since the agent started */
	uint32_t count, cut;
	struct irq each[MAX_IRQS];   /* by number, ascending; those that fired */
};

extern const char *const softirq_names[SOFTIRQ_VECTORS]; /* as /proc/softirqs has them */
#endif

#endif
