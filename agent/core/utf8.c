/* SPDX-License-Identifier: Apache-2.0 */
/* See utf8.h. */
#include "core/utf8.h"

size_t utf8_length(const unsigned char *at)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t more;

	if (at[0] >= 0xc2 && at[0] <= 0xdf) {
		more = 1;
	} else if ((at[0] & 0xf0) == 0xe0) {
		more = 2;
		low = at[0] == 0xe0 ? 0xa0 : low;
		high = at[0] == 0xed ? 0x9f : high;
	} else if (at[0] >= 0xf0 && at[0] <= 0xf4) {
		more = 3;
		low = at[0] == 0xf0 ? 0x90 : low;
		high = at[0] == 0xf4 ? 0x8f : high;
	} else {
		return 0;
	}

	for (size_t i = 1; i <= more; i++, low = 0x80, high = 0xbf)
		if (at[i] < low || at[i] > high) /* the closing NUL is below */
			return 0;
	return more + 1;
}
