/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a request is and whose: its operation, its error, and the cgroup it is done for. The cgroup in whose time a request is
 * issued is mostly another's: writeback runs in kernel threads, and whoever happens to run the queue issues what all have put there.
 */
#ifndef NODEMEND_BLOCK_OWNER_BPF_H
#define NODEMEND_BLOCK_OWNER_BPF_H

#include "core.bpf.h"
#include "files.bpf.h"
#include "signals/block.h"

/* Whether fswrite runs and shares its table of files. */
const volatile bool knows_files = false;

enum { REQUEST_OP_MASK = 0xff };

static __always_inline __u8 request_op(const struct request *rq)
{
	switch (rq->cmd_flags & REQUEST_OP_MASK) {
	case 0: return BLOCK_OP_READ;
	case 1: return BLOCK_OP_WRITE;
	case 2: return BLOCK_OP_FLUSH;
	case 3: case 5: return BLOCK_OP_DISCARD; /* discard, secure erase */
	default: return BLOCK_OP_OTHER;
	}
}

/*
 * Status codes of the block layer, or a negative errno on older kernels: the sign tells. Codes beyond EAGAIN were renumbered more
 * than once and are OTHER. BLOCK_ERROR_COUNT: none.
 */
static __always_inline __u32 block_error_of(int status)
{
	switch (status) {
	case 0: return BLOCK_ERROR_COUNT;
	case 1: case -95: return BLOCK_ERROR_EOPNOTSUPP;
	case 2: case -110: return BLOCK_ERROR_ETIMEDOUT;
	case 3: case -28: return BLOCK_ERROR_ENOSPC;
	case 4: case -67: return BLOCK_ERROR_ENOLINK;
	case 5: case -121: return BLOCK_ERROR_EREMOTEIO;
	case 6: case -52: return BLOCK_ERROR_EBADE;
	case 7: case -61: return BLOCK_ERROR_ENODATA;
	case 8: case -84: return BLOCK_ERROR_EILSEQ;
	case 9: case -12: return BLOCK_ERROR_ENOMEM;
	case 10: case -5: return BLOCK_ERROR_EIO;
	case 12: case -11: return BLOCK_ERROR_EAGAIN;
	default: return BLOCK_ERROR_OTHER;
	}
}

static __always_inline void own_by_current(struct block_request *request)
{
	const struct task_struct *task = (const void *)bpf_get_current_task();

	request->source = BLOCK_SOURCE_NOBODY;
	request->cgroup_id = 0;
	if (task_is_kernel_thread(task))
		return;
	request->source = BLOCK_SOURCE_SUBMITTER;
	request->cgroup_id = task_cgroup_id(task);
}

/* The file whose pages the bio writes; NULL for anonymous memory, swap, and a bio without pages. */
static __always_inline const struct inode *bio_inode(const struct bio *bio)
{
	const struct page *page = BPF_CORE_READ(bio, bi_io_vec, bv_page);

	if (!page)
		return NULL;
	page = page_head(page);
	__u64 mapping = (__u64)BPF_CORE_READ(page, mapping);
	/* The lowest two bits: anonymous, movable, or KSM. */
	return mapping && !(mapping & 3) ? BPF_CORE_READ((const struct address_space *)mapping, host) : NULL;
}

/*
 * Merges never join requests of different cgroups of the io controller, so the first bio speaks for all. Where that controller is not
 * on the unified hierarchy, or not switched on there, its cgroup is the root, which is nobody's name; then the file is asked.
 */
static __always_inline void own_by_bio(struct block_request *request, const struct bio *bio)
{
	__u64 cgroup_id;

	if (!bio)
		return;
	if (bpf_core_field_exists(bio->bi_blkg)) {
		const struct blkcg *blkcg = bio->bi_blkg->blkcg; /* NULL on the way reads as NULL */

		cgroup_id = blkcg ? css_cgroup_id(__builtin_preserve_access_index(&blkcg->css)) : 0;
		if (cgroup_id) {
			request->cgroup_id = cgroup_id;
			request->source = BLOCK_SOURCE_BIO;
			return;
		}
	}
	/* A reader waits for its own pages, and a direct write comes from memory that is no file's: the submitter stands. */
	if (request->op != BLOCK_OP_WRITE)
		return;
	const struct inode *inode = bio_inode(bio);
	if (!inode)
		return;
	if (bpf_core_field_exists(inode->i_wb)) {
		cgroup_id = css_cgroup_id(BPF_CORE_READ(inode, i_wb, memcg_css));
		if (cgroup_id) {
			request->cgroup_id = cgroup_id;
			request->source = BLOCK_SOURCE_WRITEBACK;
			return;
		}
	}
	if (!knows_files)
		return;
	struct file_key key = file_key_of(inode);
	const struct file_value *file = bpf_map_lookup_elem(&files, &key);
	if (file) {
		request->cgroup_id = file->cgroup_id;
		request->source = BLOCK_SOURCE_DIRTIER;
	}
}

#endif
