/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cannot be delivered yet, on disk: a folder of segment files, each a run of records with length and CRC32, read in the order in which
 * they were written. Bounded: when it is full its oldest segment goes. A kill -9 loses nothing of it: a torn tail is cut when it is opened,
 * and `cursor` says what has been delivered. It is not synced, so the last seconds before a power failure may be missing.
 */
#ifndef NODEMEND_PUSH_SPOOL_H
#define NODEMEND_PUSH_SPOOL_H

#include <stdbool.h>

#include "push/parcel.h"

struct spool;

/* What was lost, for whoever counts; taken and set to zero by spool_take_losses(). */
struct spool_losses {
	uint64_t full_items;      /* in segments that had to go for newer ones */
	uint64_t corrupt_records; /* stretches that held no whole record; how many items were in them nobody knows */
};

/* `name` is a folder below dir_fd, made if need be. 0 or -errno. */
int spool_open(int dir_fd, const char *name, uint64_t limit_bytes, struct spool **ret);
void spool_close(struct spool *spool); /* NULL is fine; what is in it stays */
/* 0; or -errno and nothing of it is there (-ENOSPC: the disk is full; -EMSGSIZE: larger than the whole spool may be). */
int spool_append(struct spool *spool, const struct parcel *parcel);
/* The oldest: 1; 0: there is none; -errno: the disk does not give it. The body is good until the next peek. */
int spool_peek(struct spool *spool, struct parcel *ret);
/* The one that was peeked at has been delivered; nothing where it had to go in the meantime. */
void spool_pop(struct spool *spool);
bool spool_is_empty(const struct spool *spool);
uint64_t spool_bytes(const struct spool *spool);
void spool_take_losses(struct spool *spool, struct spool_losses *ret);

#endif
