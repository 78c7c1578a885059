/* SPDX-License-Identifier: Apache-2.0 */
/* The process that a remedy for single processes is for: the first cause that is still what was measured and that nothing protects. */
#ifndef NODEMEND_REMEDIES_CULPRIT_H
#define NODEMEND_REMEDIES_CULPRIT_H

#include "remedies/victim.h"

/* 1 and held in `ret`; 0: nobody, and the result says why. Whom it passed over, and why, is in the plan or among the steps. */
int culprit_hold(const struct remedy_request *request, int proc_fd, struct remedy_result *result, struct victim *ret);
/* 1: it may be touched still: it lives, and nothing protects it by now; 0: refused, and said why. */
int culprit_is_fair(const struct remedy_request *request, int proc_fd, const struct victim *victim, struct remedy_result *result);
/* The cgroup that is the target, or the first cause's. 1; 0: nobody's, and the result says so. */
int culprit_group(const struct remedy_request *request, struct remedy_result *result, uint64_t *ret_id, const char **ret_path);

#endif
