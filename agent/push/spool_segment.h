/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file of the spool: eight bytes of magic, then records: a head (sync word, CRC32 of all that follows it, sizes, time), and the body.
 * A reader that finds no whole record looks for the next sync word whose CRC holds. In the byte order of the host: it never leaves it.
 */
#ifndef NODEMEND_PUSH_SPOOL_SEGMENT_H
#define NODEMEND_PUSH_SPOOL_SEGMENT_H

#include <stdbool.h>

#include "push/parcel.h"

enum { SEGMENT_HEAD = 8 };

uint64_t segment_record_size(const struct parcel *parcel);
int segment_begin(int fd);                                                 /* 0 or -errno */
/* At `size`, the file's end; where it fails the file is as it was. */
int segment_append(int fd, uint64_t size, const struct parcel *parcel);
/* Its size and items by the heads alone; a torn tail is cut off. 0; -EINVAL: no segment. */
int segment_measure(int fd, uint64_t *ret_size, uint64_t *ret_items, bool *ret_torn);
/* The record at *at, or the next whole one behind it (then *at is moved there). `body` has PARCEL_MAX. 1, 0: none up to `size`, -errno. */
int segment_read(int fd, uint64_t *at, uint64_t size, uint8_t *body, struct parcel *ret);

#endif
