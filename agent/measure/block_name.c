/* SPDX-License-Identifier: Apache-2.0 */
/* What the kinds of block requests, of their errors and of what is known of their owners are called outside. */
#include "snapshot.h"

const char *const block_op_names[BLOCK_OP_COUNT] = {
	[BLOCK_OP_READ] = "read",
	[BLOCK_OP_WRITE] = "write",
	[BLOCK_OP_DISCARD] = "discard",
	[BLOCK_OP_FLUSH] = "flush",
	[BLOCK_OP_OTHER] = "other",
};

const char *const block_error_names[BLOCK_ERROR_COUNT] = {
	[BLOCK_ERROR_EOPNOTSUPP] = "EOPNOTSUPP",
	[BLOCK_ERROR_ETIMEDOUT] = "ETIMEDOUT",
	[BLOCK_ERROR_ENOSPC] = "ENOSPC",
	[BLOCK_ERROR_ENOLINK] = "ENOLINK",
	[BLOCK_ERROR_EREMOTEIO] = "EREMOTEIO",
	[BLOCK_ERROR_EBADE] = "EBADE",
	[BLOCK_ERROR_ENODATA] = "ENODATA",
	[BLOCK_ERROR_EILSEQ] = "EILSEQ",
	[BLOCK_ERROR_ENOMEM] = "ENOMEM",
	[BLOCK_ERROR_EIO] = "EIO",
	[BLOCK_ERROR_EAGAIN] = "EAGAIN",
	[BLOCK_ERROR_OTHER] = "other",
};

const char *const block_source_names[BLOCK_SOURCE_COUNT] = {
	[BLOCK_SOURCE_BIO] = "bio",
	[BLOCK_SOURCE_WRITEBACK] = "writeback",
	[BLOCK_SOURCE_DIRTIER] = "dirtier",
	[BLOCK_SOURCE_SUBMITTER] = "submitter",
	[BLOCK_SOURCE_NOBODY] = "nobody",
};
