/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How many files a process has open: the bits that are set in its table of descriptors, which is what /proc/PID/fd lists. */
#ifndef NODEMEND_OPEN_FILES_BPF_H
#define NODEMEND_OPEN_FILES_BPF_H

#include "core.bpf.h"

/* Words are fetched four at a time, a call of a helper each: 256 descriptors, which is what most tables have. 512 times reach 131 072. */
enum { FILES_WORDS = 4, FETCHES_AT_ONCE = 16, FILES_FETCHES = 512, WORD_BITS = 64 };

static __always_inline __u32 bits_in(__u64 word)
{
	word -= word >> 1 & 0x5555555555555555ULL;
	word = (word & 0x3333333333333333ULL) + (word >> 2 & 0x3333333333333333ULL);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return (__u32)(word * 0x0101010101010101ULL >> 56);
}

/* From this fetch on; in two loops, of 16 and 32 turns, as the verifier walks every turn and 512 in one took it 25 ms. */
__noinline __u32 count_fetches(__u64 open_, __u32 fetch, __u32 end)
{
	const __u64 *open = (const void *)open_;
	__u32 count = 0;

	for (int turn = 0; turn < FETCHES_AT_ONCE && fetch < end; turn++, fetch++) {
		__u64 some[FILES_WORDS];

		if (bpf_probe_read_kernel(some, sizeof(some), open + (__u64)fetch * FILES_WORDS))
			return FILES_UNKNOWN;
		for (int i = 0; i < FILES_WORDS; i++)
			count += bits_in(some[i]);
	}
	return count;
}

/*
 * A global function: the verifier looks at it once and for itself, where inlined each length of the loop would be another way on through
 * the whole program (more than a million steps). Such functions take numbers only, on all our kernels.
 */
__noinline __u32 count_files(__u64 files_)
{
	const struct files_struct *files = (const void *)files_;
	const struct fdtable *table = files ? BPF_CORE_READ(files, fdt) : NULL;
	const unsigned long *open = BPF_CORE_READ(table, open_fds);
	__u32 words = BPF_CORE_READ(table, max_fds) / WORD_BITS, whole = words / FILES_WORDS, count = 0;

	if (!table || whole > FILES_FETCHES)
		return FILES_UNKNOWN;
	for (__u32 fetch = 0; fetch < FILES_FETCHES && fetch < whole; fetch += FETCHES_AT_ONCE) {
		__u32 more = count_fetches((__u64)open, fetch, whole);

		if (more == FILES_UNKNOWN)
			return FILES_UNKNOWN;
		count += more;
	}
	/* The first table of a process has one word; all later ones are of powers of two. */
	for (__u32 i = 0; i < FILES_WORDS - 1; i++) {
		__u64 one;

		if (whole * FILES_WORDS + i >= words)
			break;
		if (bpf_probe_read_kernel(&one, sizeof(one), open + whole * FILES_WORDS + i))
			return FILES_UNKNOWN;
		count += bits_in(one);
	}
	return count;
}

#endif
