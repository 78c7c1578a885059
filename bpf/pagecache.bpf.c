/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Hits and misses of the page cache: what reads and faults asked for (tracepoints since v6.12, before at the entry of the functions) against
 * the pages that came into the cache for them.
 */
#include "functions.bpf.h"
#include "signals/pagecache.h"

enum { FMT_MASK = 0170000, FMT_REGULAR = 0100000, RWSEM_FLAGS = 7 };

/* Made on demand: reads and faults have interrupts on, and one that finds no memory is counted. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2048);
	__type(key, __u64);
	__type(value, struct pagecache_use);
} cache_users SEC(".maps");
counts_refused(cache_users);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64[PAGECACHE_COUNTS]);
} cache_counts SEC(".maps");

#define LOOKED_AT (~0ULL)

/* The last request of a CPU: see on_get_pages and on_fault_at. */
struct asked {
	__u64 task, mapping, index, last;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct asked);
} requests SEC(".maps");

static __always_inline void count(enum pagecache_count what, __u64 by)
{
	__u32 zero = 0;
	__u64 *counts = bpf_map_lookup_elem(&cache_counts, &zero);

	if (counts)
		bump(counts[what], by);
}

/* The helper is a quarter of the price of reading the way there. */
static __always_inline struct pagecache_use *use_of_current(void)
{
	__u64 id = bpf_get_current_cgroup_id();
	struct pagecache_use none = {}, *use = bpf_map_lookup_elem(&cache_users, &id);

	if (!use) {
		bpf_map_update_elem(&cache_users, &id, &none, BPF_NOEXIST);
		use = bpf_map_lookup_elem(&cache_users, &id);
	}
	if (!use) {
		refuse(cache_users);
		count(PAGECACHE_LOST, 1);
	}
	return use;
}

static __always_inline void access_pages(struct address_space *mapping, __u64 pages)
{
	struct pagecache_use *use;

	if (!mapping || (mapping->host->i_mode & FMT_MASK) != FMT_REGULAR)
		return;
	use = use_of_current();
	if (use)
		bump(use->accessed_bytes, pages << page_shift);
	else
		count(PAGECACHE_ACCESSED, pages << page_shift);
}

/*
 * A read asks for pages [index, last], gets as many folios as fit into a batch, and asks for the rest of the same: only its first
 * request counts. One that goes on elsewhere after a switch of CPU counts its rest twice.
 */
SEC("tp_btf/mm_filemap_get_pages")
int BPF_PROG(on_get_pages, struct address_space *mapping, unsigned long index, unsigned long last)
{
	__u32 zero = 0;
	struct asked *before = bpf_map_lookup_elem(&requests, &zero);
	struct asked now = { .task = bpf_get_current_task(), .mapping = (__u64)mapping, .index = index, .last = last };

	if (!before)
		return 0;
	bool goes_on = before->task == now.task && before->mapping == now.mapping && before->last == now.last && now.index > before->index;
	*before = now;
	if (!goes_on && last >= index)
		access_pages(mapping, last - index + 1);
	return 0;
}

SEC("tp_btf/mm_filemap_fault")
int BPF_PROG(on_fault, struct address_space *mapping, unsigned long index)
{
	access_pages(mapping, 1);
	return 0;
}

/* One page was asked for; its neighbours were mapped along. */
SEC("tp_btf/mm_filemap_map_pages")
int BPF_PROG(on_map_pages, struct address_space *mapping)
{
	access_pages(mapping, 1);
	return 0;
}

/* --- the functions, for kernels without those tracepoints --------------------------------------------------------------- */

static __always_inline void on_read(const struct kiocb *request, const struct iov_iter *data)
{
	struct address_space *mapping = request->ki_filp->f_mapping;
	__u64 size = mapping->host->i_size, from = request->ki_pos, count = BPF_CORE_READ(data, count);

	if (!functions_on || from >= size || !count)
		return;
	if (count > size - from)
		count = size - from;
	access_pages(mapping, ((from + count - 1) >> page_shift) - (from >> page_shift) + 1);
}

SEC("fentry/filemap_read")
int BPF_PROG(on_filemap_read, struct kiocb *request, struct iov_iter *data)
{
	on_read(request, data);
	return 0;
}

/* Its name before v5.12, 87fa0f3eb267: mm/filemap: rename generic_file_buffered_read to filemap_read */
SEC("fentry/generic_file_buffered_read")
int BPF_PROG(on_buffered_read, struct kiocb *request, struct iov_iter *data)
{
	on_read(request, data);
	return 0;
}

/* A read fault first looks for its page and the neighbours (map_pages), and then asks for it (fault) when it was not there: one request. */
static __always_inline void on_fault_at(const struct vm_fault *fault, bool looks)
{
	__u32 zero = 0;
	struct asked *before = bpf_map_lookup_elem(&requests, &zero);
	struct file *file = fault->vma->vm_file;
	struct asked now = { .task = bpf_get_current_task(), .mapping = (__u64)file, .index = fault->pgoff, .last = LOOKED_AT };

	if (!functions_on || !before || !file)
		return;
	bool goes_on = !looks && before->task == now.task && before->mapping == now.mapping && before->index == now.index && before->last == LOOKED_AT;
	*before = now;
	if (!looks)
		before->last = 0;
	if (!goes_on)
		access_pages(file->f_mapping, 1);
}

SEC("fentry/filemap_fault")
int BPF_PROG(on_filemap_fault, struct vm_fault *fault)
{
	on_fault_at(fault, false);
	return 0;
}

SEC("fentry/filemap_map_pages")
int BPF_PROG(on_filemap_map_pages, struct vm_fault *fault)
{
	on_fault_at(fault, true);
	return 0;
}

/* v5.16, 7b774aab7941: struct folio; its mapping stands where the page's does */
struct folio___mapped {
	struct address_space *mapping;
} __attribute__((preserve_access_index));

static __always_inline const struct inode *host_of(const void *folio)
{
	const struct folio___mapped *now = folio;
	struct address_space *mapping = NULL;

	if (bpf_core_field_exists(now->mapping))
		bpf_core_read(&mapping, sizeof(mapping), &now->mapping);
	else
		mapping = BPF_CORE_READ((const struct page *)folio, mapping);
	return mapping ? BPF_CORE_READ(mapping, host) : NULL;
}

/* A write holds its inode alone, while it adds the pages that it makes; reads, faults and readahead never do. */
static __always_inline bool is_written_by_current(const struct inode *host)
{
	__u64 owner = 0;

	if (bpf_core_field_exists(host->i_rwsem.owner.counter)) /* not with PREEMPT_RT */
		owner = (__u64)BPF_CORE_READ(host, i_rwsem.owner.counter);
	return (owner & ~(__u64)RWSEM_FLAGS) == bpf_get_current_task() && !(owner & 1);
}

SEC("tp_btf/mm_filemap_add_to_page_cache")
int BPF_PROG(on_add, void *folio)
{
	const struct inode *host = host_of(folio);
	struct pagecache_use *use;
	__u64 bytes;

	if (!host || (BPF_CORE_READ(host, i_mode) & FMT_MASK) != FMT_REGULAR || is_written_by_current(host))
		return 0;
	bytes = folio_bytes(folio);
	use = use_of_current();
	if (use)
		bump(use->filled_bytes, bytes);
	else
		count(PAGECACHE_FILLED, bytes);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
