/* SPDX-License-Identifier: Apache-2.0 */
/* The identity collector's worker: a batch of questions in, a batch of answers out, and nothing kept between two. */
#include "collect/identity_files.h"
#include "collect/identity_wire.h"
#include "core/worker.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static bool is_sound(const struct identity_batch *batch)
{
	if (batch->count > IDENTITY_BATCH || !memchr(batch->root, '\0', sizeof(batch->root)))
		return false;
	for (uint32_t i = 0; i < batch->count; i++)
		if (!memchr(batch->each[i].container_id, '\0', CONTAINER_ID_LEN) || strchr(batch->each[i].container_id, '/') ||
		    !memchr(batch->each[i].pod_uid, '\0', POD_UID_LEN))
			return false;
	return true;
}

static void answer(const struct identity_batch *batch, struct identity_answer *ret)
{
	struct identity_lists lists = { 0 };
	int root_fd = node_open(batch->root);

	*ret = (struct identity_answer){ .count = batch->count };
	for (uint32_t i = 0; i < batch->count; i++) {
		ret->each[i].id = batch->each[i].id;
		ret->error[i] = root_fd < 0 ? root_fd : identity_find(root_fd, &lists, &batch->each[i], &ret->each[i]);
	}
	identity_lists_free(&lists);
	if (root_fd >= 0)
		close(root_fd);
}

int identity_serve(int fd)
{
	struct identity_batch batch;
	struct identity_answer said;

	for (;;) {
		int got = worker_read(fd, &batch, sizeof(batch));
		if (got <= 0)
			return got < 0;
		if (!is_sound(&batch))
			return 1;
		answer(&batch, &said);
		if (worker_write(fd, &said, sizeof(said)) <= 0)
			return 1;
	}
}
