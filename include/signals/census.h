/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/* What the iterator over maps writes for each of the node's. */
#ifndef NODEMEND_SIGNALS_CENSUS_H
#define NODEMEND_SIGNALS_CENSUS_H

#ifndef __bpf__
#include <linux/types.h>
#endif

struct map_count {
	__u32 id, pad;
	__s64 entries;
};

#endif
