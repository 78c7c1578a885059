/* SPDX-License-Identifier: Apache-2.0 */
/* What is delivered: a body that an encoder made, and as what it is to be sent. */
#ifndef NODEMEND_PUSH_PARCEL_H
#define NODEMEND_PUSH_PARCEL_H

#include <stddef.h>
#include <stdint.h>

/* Larger ones are refused: an encoder splits, and a queue of 2 MiB must hold more than one. */
enum { PARCEL_MAX = 1 << 20 };

struct parcel {
	int64_t made_wall_ns;     /* of what is in it: the snapshot's, not the sending's */
	uint32_t type;            /* row of the family's table of parcel types */
	uint32_t items;           /* samples, records or alerts in it, for the counters */
	const void *body;
	size_t size;
};

#endif
