/* SPDX-License-Identifier: Apache-2.0 */
/* What an OTLP receiver answers: whatever it is, what is read from it is in bounds and fit for a line of our log. */
#include <stdlib.h>

#include "push/otlp_response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct otlp_partial partial;

	if (otlp_response_read(data, size, &partial) != 1)
		return 0;
	if (partial.rejected > INT64_MAX)
		abort();
	for (size_t i = 0; partial.words[i]; i++)
		if (i >= OTLP_WORDS_LEN || partial.words[i] < ' ' || partial.words[i] > '~')
			abort();
	return 0;
}
