/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared-memory ring of snapshots: one writer, any number of readers that cannot write. Each slot is a seqlock in the
 * C11 form of Boehm, "Can seqlocks get along with programming language memory models?" (MSPC 2012).
 */
#include "publisher.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

/* A copy takes microseconds and a slot comes round again after RING_SLOTS ticks: more tries than this means something is wrong. */
enum { READ_TRIES = 16 };

int ring_create(struct ring_writer *ret)
{
	int fd = memfd_create("nodemend-ring", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	if (fd < 0)
		return -errno;

	struct ring *ring = MAP_FAILED;
	if (ftruncate(fd, sizeof(*ring)) < 0)
		goto fail;
	ring = mmap(NULL, sizeof(*ring), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		goto fail;

	/* Children must not inherit the one writable mapping: the publisher may be a fork. */
	if (madvise(ring, sizeof(*ring), MADV_DONTFORK) < 0)
		goto fail;
	ring->size = sizeof(*ring);
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
		goto fail;

	*ret = (struct ring_writer){ .fd = fd, .ring = ring };
	return 0;

fail:;
	int error = -errno;
	if (ring != MAP_FAILED)
		munmap(ring, sizeof(*ring));
	close(fd);
	return error;
}

void ring_destroy(struct ring_writer *writer)
{
	if (!writer->ring)
		return;
	munmap(writer->ring, sizeof(*writer->ring));
	close(writer->fd);
	*writer = (struct ring_writer){ .fd = -1 };
}

void ring_publish(struct ring_writer *writer, const struct snapshot *snap)
{
	struct ring_slot *slot = &writer->ring->slots[snap->seq % RING_SLOTS];
	uint64_t version = atomic_load_explicit(&slot->version, memory_order_relaxed);

	atomic_store_explicit(&slot->version, version + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	snapshot_copy(&slot->snapshot, snap);
	atomic_store_explicit(&slot->version, version + 2, memory_order_release);
	atomic_store_explicit(&writer->ring->newest, snap->seq, memory_order_release);
}

int ring_open(int fd, const struct ring **ret)
{
	struct stat status;
	if (fstat(fd, &status) < 0)
		return -errno;
	if (status.st_size != (off_t)sizeof(struct ring))
		return -EPROTO;

	/* Shrinking under a reader would be a SIGBUS in it. */
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return -EPERM;

	struct ring *ring = mmap(NULL, sizeof(*ring), PROT_READ, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		return -errno;
	if (ring->size != sizeof(*ring)) {
		munmap(ring, sizeof(*ring));
		return -EPROTO;
	}
	*ret = ring;
	return 0;
}

static bool read_slot(const struct ring_slot *slot, struct snapshot *to)
{
	uint64_t before = atomic_load_explicit(&slot->version, memory_order_acquire);
	if (before & 1)
		return false;
	snapshot_copy(to, &slot->snapshot);
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&slot->version, memory_order_relaxed) == before;
}

int ring_read(const struct ring *ring, struct snapshot *to, uint64_t *seq)
{
	for (int i = 0; i < READ_TRIES; i++) {
		uint64_t newest = atomic_load_explicit(&ring->newest, memory_order_acquire);
		if (newest == 0 || newest == *seq)
			return 0;
		if (read_slot(&ring->slots[newest % RING_SLOTS], to)) {
			*seq = to->seq;
			return 1;
		}
	}
	return -EAGAIN;
}
