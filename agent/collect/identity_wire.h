/* SPDX-License-Identifier: Apache-2.0 */
/* What the identity collector asks its worker, and what it hears. */
#ifndef NODEMEND_COLLECT_IDENTITY_WIRE_H
#define NODEMEND_COLLECT_IDENTITY_WIRE_H

#include "snapshot.h"

enum { IDENTITY_BATCH = 32 };     /* answers of a batch are 16 KiB, and a node's 500 containers are known within as many ticks as 16 */

struct identity_question {
	uint64_t id;                  /* the cgroup's */
	enum runtime runtime;         /* as the path says */
	char container_id[CONTAINER_ID_LEN], pod_uid[POD_UID_LEN];
};

struct identity_batch {
	char root[PATH_LEN];
	uint32_t count;
	struct identity_question each[IDENTITY_BATCH];
};

/* One a question, in their order; error -ENOENT: no runtime's state knows it, the rest of the row is then empty. */
struct identity_answer {
	uint32_t count;
	int32_t error[IDENTITY_BATCH];
	struct cgroup_identity each[IDENTITY_BATCH];
};

/* The names of one container, from the node's files below `root_fd`. Pure but for the files; for tests, too. */
struct cJSON;
struct identity_lists { /* containers.json, read once a batch and freed by identity_lists_free() */
	bool read[8];
	struct cJSON *each[8];
};
int identity_find(int root_fd, struct identity_lists *lists, const struct identity_question *question, struct cgroup_identity *ret);
void identity_lists_free(struct identity_lists *lists);

/* worker.h's serve(). */
int identity_serve(int fd);

#endif
