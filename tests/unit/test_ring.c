/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of snapshots: nobody but its writer can write, and no reader ever takes a torn snapshot for a whole one. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "publisher.h"
#include "tests/unit/full_snapshot.h"

enum { READS = 2000 };

static int open_ring(void **state)
{
	struct ring_writer *writer = calloc(1, sizeof(*writer));
	*state = writer;
	return ring_create(writer);
}

static int close_ring(void **state)
{
	ring_destroy(*state);
	free(*state);
	return 0;
}

static void reads_what_was_published(void **state)
{
	struct ring_writer *writer = *state;
	struct snapshot *from = empty_snapshot(), *to = empty_snapshot();
	const struct ring *ring;
	uint64_t seq = 0;

	assert_int_equal(ring_open(writer->fd, &ring), 0);
	assert_int_equal(ring_read(ring, to, &seq), 0);
	for (uint64_t i = 1; i <= 2 * RING_SLOTS + 1; i++) {
		fill_snapshot(from, i, FULL_SNAPSHOT_BOOT_NS + i, 5, 300);
		ring_publish(writer, from);
		assert_int_equal(ring_read(ring, to, &seq), 1);
		assert_int_equal(seq, i);
		assert_int_equal(to->boot_ns, FULL_SNAPSHOT_BOOT_NS + i);
		assert_int_equal(to->processes.count, 300);
		assert_memory_equal(&to->processes.each[299], &from->processes.each[299], sizeof(from->processes.each[0]));
		assert_int_equal(to->processes.lives.exits[EXIT_OK], 17);
		assert_int_equal(ring_read(ring, to, &seq), 0);
	}
	munmap((void *)(uintptr_t)ring, sizeof(*ring));
	munmap(from, sizeof(*from));
	munmap(to, sizeof(*to));
}

static void cannot_be_written_by_others(void **state)
{
	struct ring_writer *writer = *state;
	const struct ring *ring;

	assert_int_equal(mmap(NULL, sizeof(struct ring), PROT_READ | PROT_WRITE, MAP_SHARED, writer->fd, 0), MAP_FAILED);
	assert_int_equal(errno, EPERM);
	assert_int_equal(write(writer->fd, "x", 1), -1);
	assert_int_equal(ftruncate(writer->fd, 0), -1);
	assert_int_equal(fcntl(writer->fd, F_ADD_SEALS, F_SEAL_WRITE), -1);

	assert_int_equal(ring_open(writer->fd, &ring), 0);
	assert_int_equal(mprotect((void *)(uintptr_t)ring, sizeof(*ring), PROT_READ | PROT_WRITE), -1);
	munmap((void *)(uintptr_t)ring, sizeof(*ring));

	/* Opening it anew through /proc gives no more. */
	char path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", writer->fd);
	int again = open(path, O_RDWR | O_CLOEXEC);
	if (again >= 0) {
		assert_int_equal(mmap(NULL, sizeof(struct ring), PROT_READ | PROT_WRITE, MAP_SHARED, again, 0), MAP_FAILED);
		close(again);
	}
}

static void a_child_does_not_inherit_the_mapping(void **state)
{
	struct ring_writer *writer = *state;
	pid_t pid = fork();
	if (pid == 0) {
		unsigned char resident;
		/* ENOMEM: nothing is mapped there. */
		_exit(mincore(writer->ring, 1, &resident) < 0 && errno == ENOMEM ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void refuses_what_is_not_a_ring(void **state)
{
	const struct ring *ring;
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ring_open(fd, &ring), -EPROTO); /* another size */
	assert_int_equal(ftruncate(fd, sizeof(struct ring)), 0);
	assert_int_equal(ring_open(fd, &ring), -EPERM);  /* could shrink under the reader */
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(ring_open(fd, &ring), -EPROTO); /* another build's */
	close(fd);
}

/* All that is in a snapshot follows from its seq: a mixture of two shows. */
static void stamp(struct snapshot *snap, uint64_t seq)
{
	snap->seq = seq;
	snap->boot_ns = seq * 3;
	snap->filesystems.count = 1 + seq % MAX_FILESYSTEMS;
	for (uint32_t i = 0; i < snap->filesystems.count; i++)
		snap->filesystems.each[i].size = seq + i;
	snap->processes.count = 1 + seq % 1000;
	for (uint32_t i = 0; i < snap->processes.count; i++)
		snap->processes.each[i].cpu_ns = seq + i;
	snap->processes.core_dumps = seq;
}

static bool is_whole(const struct snapshot *snap)
{
	uint64_t seq = snap->seq;
	if (snap->boot_ns != seq * 3 || snap->processes.core_dumps != seq || snap->filesystems.count != 1 + seq % MAX_FILESYSTEMS ||
	    snap->processes.count != 1 + seq % 1000)
		return false;
	for (uint32_t i = 0; i < snap->filesystems.count; i++)
		if (snap->filesystems.each[i].size != seq + i)
			return false;
	for (uint32_t i = 0; i < snap->processes.count; i++)
		if (snap->processes.each[i].cpu_ns != seq + i)
			return false;
	return true;
}

/* The reader is the child here, since only this process may write. */
static int read_at_full_speed(int fd)
{
	struct snapshot *to = empty_snapshot();
	const struct ring *ring;
	uint64_t seq = 0, last = 0;
	if (to == MAP_FAILED || ring_open(fd, &ring) < 0)
		return 2;

	for (int good = 0; good < READS;) {
		int result = ring_read(ring, to, &seq);
		if (result != 1)
			continue;
		if (!is_whole(to) || seq != to->seq || seq <= last)
			return 1;
		last = seq;
		good++;
	}
	return 0;
}

static void no_reader_sees_a_torn_snapshot(void **state)
{
	struct ring_writer *writer = *state;
	struct snapshot *from = empty_snapshot();
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(read_at_full_speed(writer->fd));
	}

	int status;
	uint64_t seq = 0;
	while (waitpid(pid, &status, WNOHANG) == 0) {
		stamp(from, ++seq);
		ring_publish(writer, from);
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	munmap(from, sizeof(*from));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_ring, close_ring)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reads_what_was_published),
		TEST(cannot_be_written_by_others),
		TEST(a_child_does_not_inherit_the_mapping),
		cmocka_unit_test(refuses_what_is_not_a_ring),
		TEST(no_reader_sees_a_torn_snapshot),
	};
	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
