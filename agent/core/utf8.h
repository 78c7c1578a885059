/* SPDX-License-Identifier: Apache-2.0 */
/* Whether bytes that strangers chose are text. */
#ifndef NODEMEND_CORE_UTF8_H
#define NODEMEND_CORE_UTF8_H

#include <stddef.h>

/* How many bytes the well-formed UTF-8 character at `at` has (RFC 3629: no surrogates, nothing overlong); 0 = it is none. Reads to the closing NUL at most. */
size_t utf8_length(const unsigned char *at);

#endif
