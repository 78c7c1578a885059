/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread that sleeps in a system call waits for, as far as the call's name says it. */
#ifndef NODEMEND_COLLECT_CALL_CLASS_H
#define NODEMEND_COLLECT_CALL_CLASS_H

#include "signals/sched.h"
#include "wire.h"

/* By number, of both tables of this architecture. */
void call_classes_fill(uint8_t ret[SYSCALL_ABI_COUNT][SYSCALL_NR_MAX]);

#endif
