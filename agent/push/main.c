/* SPDX-License-Identifier: Apache-2.0 */
/* nm-sender: how the agent starts its sender; of no use by hand. */
#include <stdio.h>

#include "core/heap.h"
#include "sender.h"

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "nm-sender: the agent starts this itself\n");
		return 2;
	}
	heap_keep_small();
	return sender_run(argv[1], argv[2]);
}
