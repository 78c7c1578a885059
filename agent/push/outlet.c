/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits for one address. While all goes well parcels only pass through memory; with the first failure what is in memory goes to the
 * disk, and what comes then goes behind it. The order of the parcels is: head, spool, queue.
 */
#include "push/outlet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"

void count_up(_Atomic uint64_t *counter, uint64_t by)
{
	atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

void outlet_drop(struct outlet *outlet, enum drop why, uint64_t items)
{
	count_up(&outlet->counters->dropped[why], items);
}

void outlet_show(struct outlet *outlet)
{
	uint64_t head = outlet->head_from == HEAD_MEMORY ? outlet->head.size : 0;
	atomic_store_explicit(&outlet->counters->queue_bytes, outlet->queue_bytes + head, memory_order_relaxed);
	if (!outlet->spool)
		return;
	struct spool_losses losses;
	spool_take_losses(outlet->spool, &losses);
	outlet_drop(outlet, DROP_SPOOL_FULL, losses.full_items);
	outlet_drop(outlet, DROP_SPOOL_CORRUPT, losses.corrupt_records);
	atomic_store_explicit(&outlet->counters->spool_bytes, spool_bytes(outlet->spool), memory_order_relaxed);
}

/* --- memory ------------------------------------------------------------------------------------------------------------ */

static struct queued *queue_pop(struct outlet *outlet)
{
	struct queued *queued = outlet->first;
	outlet->first = queued->next;
	if (!outlet->first)
		outlet->last = NULL;
	outlet->queue_bytes -= queued->parcel.size;
	return queued;
}

static int queue_push(struct outlet *outlet, const struct parcel *parcel)
{
	struct queued *queued = malloc(sizeof(*queued) + parcel->size);
	if (!queued) {
		outlet_drop(outlet, DROP_QUEUE_FULL, parcel->items);
		return -ENOMEM;
	}
	while (outlet->first && outlet->queue_bytes + parcel->size > QUEUE_MAX) {
		struct queued *oldest = queue_pop(outlet);
		outlet_drop(outlet, DROP_QUEUE_FULL, oldest->parcel.items);
		free(oldest);
	}
	queued->next = NULL;
	queued->parcel = *parcel;
	queued->parcel.body = queued->body;
	memcpy(queued->body, parcel->body, parcel->size);
	if (outlet->last)
		outlet->last->next = queued;
	else
		outlet->first = queued;
	outlet->last = queued;
	outlet->queue_bytes += parcel->size;
	return 0;
}

/* --- disk -------------------------------------------------------------------------------------------------------------- */

static int to_disk(struct outlet *outlet, const struct parcel *parcel)
{
	if (!outlet->spool)
		return -ENOENT;
	int error = spool_append(outlet->spool, parcel);
	if (error < 0) {
		count_up(&outlet->counters->spool_errors, 1);
		if (!outlet->disk_trouble)
			log_warning("output %s: the spool cannot be written, going on in memory: %s", outlet->name, strerror(-error));
	} else if (outlet->disk_trouble) {
		log_info("output %s: the spool can be written again", outlet->name);
	}
	outlet->disk_trouble = error < 0;
	return error;
}

void outlet_spill(struct outlet *outlet)
{
	if (outlet->in_flight)
		return;
	if (outlet->head_from == HEAD_MEMORY) {
		/* Only where nothing is on disk: the head is the oldest of all. */
		if (!outlet->spool || !spool_is_empty(outlet->spool) || to_disk(outlet, &outlet->head) < 0)
			return;
		free(outlet->head_memory);
		outlet->head_memory = NULL;
		outlet->head_from = HEAD_NONE;
		outlet->is_changed = false;
	}
	while (outlet->first && to_disk(outlet, &outlet->first->parcel) == 0)
		free(queue_pop(outlet));
}

/* --- in and out -------------------------------------------------------------------------------------------------------- */

int outlet_put(struct outlet *outlet, const struct parcel *parcel)
{
	if (parcel->size > PARCEL_MAX) {
		outlet_drop(outlet, DROP_TOO_LARGE, parcel->items);
		return -EMSGSIZE;
	}
	bool troubled = outlet->failures || (outlet->spool && !spool_is_empty(outlet->spool)) || outlet->queue_bytes > QUEUE_MAX / 2;
	int error = -ENOENT;
	if (troubled)
		outlet_spill(outlet);
	if (troubled && !outlet->first && outlet->head_from != HEAD_MEMORY)
		error = to_disk(outlet, parcel);
	if (error < 0)
		error = queue_push(outlet, parcel);
	outlet_show(outlet);
	return error;
}

bool outlet_is_idle(const struct outlet *outlet)
{
	return outlet->head_from == HEAD_NONE && !outlet->first && (!outlet->spool || spool_is_empty(outlet->spool));
}

static bool pick(struct outlet *outlet)
{
	if (outlet->head_from != HEAD_NONE)
		return true;
	int found = outlet->spool ? spool_peek(outlet->spool, &outlet->head) : 0;
	if (found < 0) {
		/* Not read again and again: the disk gets the time of a failure to think it over. */
		count_up(&outlet->counters->spool_errors, 1);
		outlet->failures++;
		return false;
	}
	if (found > 0) {
		outlet->head_from = HEAD_SPOOL;
	} else if (outlet->first) {
		outlet->head_memory = queue_pop(outlet);
		outlet->head = outlet->head_memory->parcel;
		outlet->head_from = HEAD_MEMORY;
	}
	return outlet->head_from != HEAD_NONE;
}

void outlet_take_off(struct outlet *outlet)
{
	if (outlet->head_from == HEAD_SPOOL)
		spool_pop(outlet->spool);
	free(outlet->head_memory);
	outlet->head_memory = NULL;
	outlet->head_from = HEAD_NONE;
	outlet->is_changed = false;
	outlet_show(outlet);
}

bool outlet_next(struct outlet *outlet, int64_t wall_ns)
{
	while (pick(outlet)) {
		const struct parcel *head = &outlet->head;
		if (head->type >= outlet->family->type_count) { /* of another version */
			outlet_drop(outlet, DROP_SPOOL_CORRUPT, head->items);
		} else if (outlet->family->types[head->type].ages && wall_ns > head->made_wall_ns &&
			   (uint64_t)(wall_ns - head->made_wall_ns) > outlet->output->max_age_ns) {
			outlet_drop(outlet, DROP_AGE, head->items);
		} else {
			return true;
		}
		outlet_take_off(outlet);
	}
	return false;
}
