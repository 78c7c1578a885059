/* SPDX-License-Identifier: Apache-2.0 */
/* A pod as the API server describes it, and whether it may be evicted at all. Pure: a document in, a verdict out. */
#ifndef NODEMEND_REMEDIES_POD_H
#define NODEMEND_REMEDIES_POD_H

#include <stdbool.h>
#include <stddef.h>

enum { KUBE_UID_LEN = 64, POD_OWNER_LEN = 96 };

struct pod {
	char uid[KUBE_UID_LEN];
	char owner[POD_OWNER_LEN];     /* "ReplicaSet/web-5d8" */
	bool ending;                   /* it has a deletionTimestamp */
};

/* NULL and the pod; else what refuses it (as refused_by), with the sentence in `why`. `own_pod`: the name of the pod that we run in, or "". */
const char *pod_refused_by(const char *document, const char *node, const char *own_pod, struct pod *ret, char *why, size_t why_size);

#endif
