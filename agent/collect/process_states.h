/* SPDX-License-Identifier: Apache-2.0 */
/* How many processes are in which state, and whose children nobody waits for: from the rows of the section, after a walk. */
#ifndef NODEMEND_COLLECT_PROCESS_STATES_H
#define NODEMEND_COLLECT_PROCESS_STATES_H

#include "snapshot.h"

void process_states_fill(struct process_section *section);

#endif
