/* SPDX-License-Identifier: Apache-2.0 */
/* How capacity is used up, or is not: series of two weeks at one sample a minute, made by a shape and a seed. */
#ifndef NODEMEND_TESTS_SHAPES_H
#define NODEMEND_TESTS_SHAPES_H

#include <stdint.h>

enum { SHAPE_MINUTES = 17 * 1440, SHAPE_JUDGED = 14 * 1440, SHAPE_COUNT = 22 };
extern const char *const shape_names[SHAPE_COUNT];
/* Fills `ret` with shares of the capacity; returns how many minutes there are (it ends where it is full). */
uint32_t shape_make(uint32_t shape, uint64_t seed, float ret[SHAPE_MINUTES]);

#endif
