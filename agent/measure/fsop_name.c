/* SPDX-License-Identifier: Apache-2.0 */
/* What the operations of filesystems are called outside. */
#include "snapshot.h"

const char *const fsop_names[FSOP_COUNT] = {
	[FSOP_FSYNC] = "fsync",
	[FSOP_FDATASYNC] = "fdatasync",
	[FSOP_SYNC_FILE_RANGE] = "sync_file_range",
	[FSOP_MSYNC] = "msync",
	[FSOP_DIRECT_READ] = "direct_read",
	[FSOP_DIRECT_WRITE] = "direct_write",
	[FSOP_UNLINK] = "unlink",
	[FSOP_TRUNCATE] = "truncate",
	[FSOP_FALLOCATE] = "fallocate",
	[FSOP_WRITEPAGES] = "writepages",
	[FSOP_LOOKUP] = "lookup",
	[FSOP_GETATTR] = "getattr",
};
