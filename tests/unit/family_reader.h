/* SPDX-License-Identifier: Apache-2.0 */
/* Reads Prometheus' protobuf exposition as a server does, for the tests of what is written so. */
#ifndef NODEMEND_TESTS_FAMILY_READER_H
#define NODEMEND_TESTS_FAMILY_READER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "exposition.pb-c.h"
#include "publish/text.h"

/* Reads `size` bytes of one family after the other, as a reader does, with the generated code's unpacking as the judge of form. */
static inline Exposition__MetricFamily *next_family(const struct text *page, size_t *at)
{
	uint64_t size = 0;
	uint8_t byte;

	if (*at == page->length)
		return NULL;
	for (unsigned int shift = 0;; shift += 7) {
		byte = (uint8_t)page->data[(*at)++];
		size |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			break;
	}
	assert_true(size <= page->length - *at);
	Exposition__MetricFamily *family = exposition__metric_family__unpack(NULL, size, (const uint8_t *)page->data + *at);
	assert_non_null(family);
	*at += size;
	return family;
}

#endif
