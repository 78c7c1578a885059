/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Swap that is there for a time: a file, or a device of compressed memory (zram). Both are knobs of the book of leases with two settings, "off" (it
 * is not there) and "on"; what is there and does not carry our label is "foreign" and never touched.
 */
#ifndef NODEMEND_REMEDIES_SWAP_H
#define NODEMEND_REMEDIES_SWAP_H

#include "lease.h"

#define SWAP_LEAST_BYTES (1ULL << 20)
#define SWAP_MOST_BYTES (1ULL << 40)
enum { SWAP_MOST_PRIORITY = 32767 };

/* "MIB:PRIORITY", for the key of a knob. */
void swap_key(char ret[LEASE_KEY_LEN], uint64_t bytes, uint32_t priority);
/* 1: the kernel swaps to it, and `ret_used` bytes are there; 0: it does not; -errno. */
int swap_in_use(const char *path, uint64_t *ret_used);
/* 0; -EBUSY: what is there would not fit into the memory that is available. */
int swap_may_end(uint64_t used_bytes);

/* As a knob's: -ESTALE: the directory or the device is another one now, or gone. Ending it waits for what is there to be read back, and gives up, to be
 * tried again, after a moment or where memory is short. */
int swapfile_read(const struct knob *knob, char *ret, size_t size);
int swapfile_write(const struct knob *knob, const char *value);
int zram_read(const struct knob *knob, char *ret, size_t size);
int zram_write(const struct knob *knob, const char *value);
/* A new device, still empty. 0 and its number; -errno. */
int zram_add(uint32_t *ret);
int zram_remove(uint32_t number);

#endif
