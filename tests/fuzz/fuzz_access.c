/* SPDX-License-Identifier: Apache-2.0 */
/* An Authorization header: whatever it is, only the right ones are let in. */
#include <stdlib.h>
#include <string.h>

#include "publish/access.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct access *access;
	static uint64_t now_ns;
	static const struct publisher_access rules = {
		.user_count = 1,
		.token = "a token that nobody guesses",
		.users = { { .name = "ann", .hash = "$2b$04$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234" } },
	};
	if (!access && !(access = access_open(&rules)))
		abort();

	char *header = malloc(size + 1);
	memcpy(header, data, size);
	header[size] = 0;
	if (access_check(access, header, "/metrics", now_ns += UINT64_C(1) << 40) == ACCESS_GRANTED && !strstr(header, "nobody guesses"))
		abort();
	free(header);
	return 0;
}
