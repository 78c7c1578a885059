/* SPDX-License-Identifier: Apache-2.0 */
/* Which images and containers prune-images may remove: what prune_choice.c decides and prune_images.c does. */
#ifndef NODEMEND_REMEDIES_PRUNE_H
#define NODEMEND_REMEDIES_PRUNE_H

#include "remedies/engine.h"

/* Why something is not removed. */
enum prune_stay {
	STAY_USED, STAY_KEPT, STAY_YOUNG, STAY_AGE, STAY_BASE, STAY_NAMES, STAY_SIZE, STAY_POD, STAY_RESTARTS, STAY_LIMIT, PRUNE_STAY_COUNT,
};

struct prune_row {
	uint32_t row;                /* of the list */
	uint64_t age_ns;
};

struct prune {
	const struct remedy_request *request;
	const struct prune_images_args *args;
	struct remedy_result *result;
	struct engine engine;
	int root_fd;                 /* O_PATH, the engine's root */
	struct engine_images images;
	struct engine_containers containers, again;
	uint32_t container_count, image_count;
	struct prune_row container[MAX_CONTAINERS], image[MAX_IMAGES]; /* that may go, oldest first */
	uint64_t stayed[PRUNE_STAY_COUNT];
	/* of the act: */
	uint64_t free_before, around_bytes, removed, errors;
	uint64_t own_bytes;          /* of what was removed; UNKNOWN where the engine does not say */
	bool enough;
	const char *stopped;
};

/* NULL, and the engine's root held; else what it is refused by, and the sentence in engine.why. */
const char *prune_open_root(struct prune *prune);
/* Fills in both lists of what may go. 0; -EOVERFLOW: what is in use cannot be told, so nothing may; -errno. */
int prune_choose(struct prune *prune, int64_t now_wall_ns);
/* "in use 3, too young 1" */
void prune_stayed(const struct prune *prune, char *buffer, size_t size);
/* Once more, right before the act. 0: it may go; -EBUSY: not any more; -errno. */
int prune_container_again(struct prune *prune, const char *container_id);
int prune_image_again(struct prune *prune, const struct engine_image *image);

#endif
