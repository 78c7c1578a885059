/* SPDX-License-Identifier: Apache-2.0 */
/* nm-publisher: how the agent starts its publisher; of no use by hand. */
#include <stdio.h>

#include "core/heap.h"
#include "publisher.h"

int main(int argc, char **argv)
{
	heap_keep_small();
	int code = publisher_start(argc, argv);
	if (code < 0) {
		fprintf(stderr, "nm-publisher: the agent starts this itself\n");
		return 2;
	}
	return code;
}
