/* SPDX-License-Identifier: Apache-2.0 */
/* The hands: one worker process a lane, forked at start, that run remedies and know nothing of policies. */
#ifndef NODEMEND_DECIDE_HANDS_H
#define NODEMEND_DECIDE_HANDS_H

#include "core/worker.h"
#include "remedy.h"

/* Fills in the worker for a lane; its messages are struct remedy_request in, struct remedy_result out. */
void hands_init(struct worker *worker, enum lane lane);
/* Runs a request in this process: what the worker does, and what tests and `apply` call. `result` is overwritten. */
void hands_run(const struct remedy_request *request, struct remedy_result *result);

#endif
