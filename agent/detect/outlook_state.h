/* SPDX-License-Identifier: Apache-2.0 */
/* The head of the bytes that outlook_state.c keeps; behind it stand its series and its cgroups. For it, and for who tries to break it. */
#ifndef NODEMEND_DETECT_OUTLOOK_STATE_H
#define NODEMEND_DETECT_OUTLOOK_STATE_H

#include <nettle/sha2.h>

#include "detect/outlook_series.h"

#define OUTLOOK_MAGIC "NMOUTLK"
enum { STATE_VERSION = 1, BOOT_ID_LEN = 40 };

struct state_head {
	char magic[8];
	uint32_t version, size;      /* of all */
	uint32_t series_size, series_count, sized_size, sized_count;
	int64_t offset_ns, wall_ns;
	uint64_t boot_ns;
	char boot_id[BOOT_ID_LEN];
	uint8_t digest[SHA256_DIGEST_SIZE]; /* of all, with zeros here */
};

/* Of the head with zeros for the digest, and the `size` bytes behind it. */
void outlook_state_digest(const struct state_head *given, const void *behind, size_t size, uint8_t ret[SHA256_DIGEST_SIZE]);

#endif
