/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which system calls wait and which work. Waiting is time that depends on somebody else having something to say: its length tells
 * nothing of how well the node does, and it would swamp every percentile.
 */
#ifndef NODEMEND_COLLECT_SYSCALL_TRAIT_H
#define NODEMEND_COLLECT_SYSCALL_TRAIT_H

#include "snapshot.h"

/* enum syscall_trait of a number without SYSCALL_WAITED, by its name on this architecture. */
uint8_t syscall_traits_of(uint32_t number);

#endif
