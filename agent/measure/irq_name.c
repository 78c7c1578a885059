/* SPDX-License-Identifier: Apache-2.0 */
/* Softirqs, as /proc/softirqs has them. */
#include "snapshot.h"

const char *const softirq_names[SOFTIRQ_VECTORS] = {
	"HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU",
};
