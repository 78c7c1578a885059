/* SPDX-License-Identifier: Apache-2.0 */
/* The fswrite collector against bytes the test puts on an ext4 of its own, in each of the ways there are. */
#include "harness.h"

#include <linux/loop.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

enum { MIB = 1 << 20, SIZE = 5 * MIB, IMAGE = 64 * MIB, WRITERS_IN_KERNEL = 4096 };

struct volume {
	struct harness *harness;
	char dir[64], image[64];
	int loop;
	uint32_t dev;
};

static void make_image(struct volume *volume)
{
	char command[] = "mkfs.ext4";
	pid_t pid;
	int fd = open(volume->image, O_RDWR | O_CREAT | O_CLOEXEC, 0600), status;

	assert_true(fd >= 0 && !ftruncate(fd, IMAGE));
	close(fd);
	pid = fork();
	if (!pid) {
		int null = open("/dev/null", O_RDWR);
		dup2(null, 1);
		dup2(null, 2);
		execlp(command, command, "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", volume->image, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void attach_loop(struct volume *volume, char name[32])
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), image = open(volume->image, O_RDWR | O_CLOEXEC), number;

	assert_true(control >= 0 && image >= 0);
	do { /* another test may take the free one between the two calls */
		number = ioctl(control, LOOP_CTL_GET_FREE);
		assert_true(number >= 0);
		snprintf(name, 32, "/dev/loop%d", number);
		volume->loop = open(name, O_RDWR | O_CLOEXEC);
	} while (volume->loop < 0 || (ioctl(volume->loop, LOOP_SET_FD, image) && errno == EBUSY && !close(volume->loop)));
	struct loop_info64 info = { .lo_flags = LO_FLAGS_AUTOCLEAR };
	assert_int_equal(ioctl(volume->loop, LOOP_SET_STATUS64, &info), 0);
	close(control);
	close(image);
}

static int setup(void **state)
{
	struct volume *volume = calloc(1, sizeof(*volume));
	char name[32];
	struct stat status;

	strcpy(volume->dir, "/var/tmp/nodemend-test-XXXXXX");
	assert_non_null(mkdtemp(volume->dir));
	snprintf(volume->image, sizeof(volume->image), "%s.img", volume->dir);
	make_image(volume);
	attach_loop(volume, name);
	assert_int_equal(mount(name, volume->dir, "ext4", 0, NULL), 0);
	assert_int_equal(chdir(volume->dir), 0);
	assert_int_equal(stat(".", &status), 0);
	volume->dev = major(status.st_dev) << 20 | minor(status.st_dev);

	volume->harness = harness_new();
	volume->harness->snap.filesystems.count = 1;
	volume->harness->snap.filesystems.each[0].dev = volume->dev;
	*state = volume;
	return 0;
}

static int teardown(void **state)
{
	struct volume *volume = *state;

	harness_free(volume->harness);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(umount2(volume->dir, MNT_DETACH), 0);
	close(volume->loop);
	rmdir(volume->dir);
	unlink(volume->image);
	free(volume);
	return 0;
}

static const struct writer *find(const struct volume *volume, pid_t pid)
{
	const struct writer_section *section = &volume->harness->snap.writers;

	for (uint32_t i = 0; i < section->count; i++)
		if (section->each[i].pid == pid && section->each[i].dev == volume->dev)
			return &section->each[i];
	return NULL;
}

static uint64_t total_of(const struct volume *volume, pid_t pid)
{
	const struct writer *writer = find(volume, pid);
	return writer ? writer->bytes_total : 0;
}

static void write_pages(int fd)
{
	char *bytes = malloc(SIZE);

	memset(bytes, 1, SIZE);
	assert_int_equal(write(fd, bytes, SIZE), SIZE);
	free(bytes);
}

static void write_mapped(int fd)
{
	assert_int_equal(ftruncate(fd, SIZE), 0);
	char *bytes = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(bytes != MAP_FAILED);
	memset(bytes, 1, SIZE);
	munmap(bytes, SIZE);
}

static void write_fallocate(int fd)
{
	assert_int_equal(fallocate(fd, 0, 0, SIZE), 0);
}

static void write_direct(int fd)
{
	void *bytes = aligned_alloc(4096, SIZE);

	assert_non_null(bytes);
	memset(bytes, 1, SIZE);
	assert_int_equal(fcntl(fd, F_SETFL, O_DIRECT), 0);
	assert_int_equal(write(fd, bytes, SIZE), SIZE);
	free(bytes);
}

/* A directory's block and an inode's may come with it: a few pages of slack, never less than what was written. */
static void expect_attributed(struct volume *volume, void (*how)(int fd))
{
	struct harness *harness = volume->harness;

	harness_tick(harness, &collector_fswrite);
	uint64_t before = total_of(volume, getpid()), total = harness->snap.filesystems.each[0].dirtied_total;
	int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
	how(fd);
	close(fd);
	harness_tick(harness, &collector_fswrite);

	const struct writer *writer = find(volume, getpid());
	assert_non_null(writer);
	assert_in_range(writer->bytes_total - before, SIZE, SIZE + SIZE / 100);
	assert_in_range(writer->bytes_delta, SIZE, SIZE + SIZE / 100);
	assert_true(writer->bytes_recent >= SIZE);
	assert_string_equal(writer->comm, "test_fswrite");
	assert_true(harness->snap.filesystems.each[0].dirtied_total - total >= SIZE);
	assert_int_equal(harness->status[COLLECTOR_FSWRITE].events_lost, 0);
}

static void every_way_is_attributed(struct volume *volume)
{
	void (*const ways[])(int fd) = { write_pages, write_mapped, write_fallocate, write_direct };

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		expect_attributed(volume, ways[i]);
	/* Ranked first on its own filesystem. */
	const struct writer_section *section = &volume->harness->snap.writers;
	for (uint32_t i = 1; i < section->count; i++)
		assert_true(section->each[i - 1].bytes_recent >= section->each[i].bytes_recent);
}

static void alone_every_write_is_attributed(void **state)
{
	struct volume *volume = *state;

	harness_open(volume->harness, &collector_fswrite);
	every_way_is_attributed(volume);
	harness_close(volume->harness, &collector_fswrite);
}

static void beside_syscall_every_write_is_attributed(void **state)
{
	struct volume *volume = *state;

	volume->harness->config.collectors[COLLECTOR_FSWRITE] = true;
	harness_open(volume->harness, &collector_syscall);
	harness_open(volume->harness, &collector_fswrite);
	every_way_is_attributed(volume);
	harness_close(volume->harness, &collector_syscall); /* in either order */
	harness_close(volume->harness, &collector_fswrite);
}

static pid_t write_in_child(size_t size)
{
	pid_t pid = fork();

	if (!pid) {
		int fd = open("child", O_RDWR | O_CREAT | O_TRUNC, 0600);
		char *bytes = calloc(1, size);
		_exit(write(fd, bytes, size) == (ssize_t)size ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return pid;
}

/* Named though it was dead before anybody looked; its row in the kernel is given up, its bytes are not forgotten. */
static void the_dead_are_named_and_pruned(void **state)
{
	struct volume *volume = *state;

	harness_open(volume->harness, &collector_fswrite);
	pid_t pid = write_in_child(SIZE);
	harness_tick(volume->harness, &collector_fswrite);
	assert_in_range(total_of(volume, pid), SIZE, SIZE + SIZE / 100);
	harness_tick(volume->harness, &collector_fswrite);
	assert_in_range(total_of(volume, pid), SIZE, SIZE + SIZE / 100);

	pid_t next = write_in_child(SIZE);
	harness_tick(volume->harness, &collector_fswrite);
	assert_in_range(total_of(volume, next), SIZE, SIZE + SIZE / 100);
	assert_in_range(total_of(volume, pid), SIZE, SIZE + SIZE / 100);
	harness_close(volume->harness, &collector_fswrite);
}

/* More writers in one tick than there are rows: the rest has no name, which is counted, and is still in the total. */
static void what_has_no_room_is_counted(void **state)
{
	struct volume *volume = *state;
	struct harness *harness = volume->harness;
	enum { EACH = 4096, WRITERS = WRITERS_IN_KERNEL + 200 };

	harness_open(harness, &collector_fswrite);
	harness_tick(harness, &collector_fswrite);
	uint64_t total = harness->snap.filesystems.each[0].dirtied_total;
	for (int i = 0; i < WRITERS; i++)
		(void)write_in_child(EACH);
	harness_tick(harness, &collector_fswrite);
	assert_true(harness->status[COLLECTOR_FSWRITE].events_lost >= 200);
	assert_true(harness->snap.filesystems.each[0].dirtied_total - total >= (uint64_t)WRITERS * EACH);
	assert_int_equal(harness->snap.writers.count, MAX_WRITERS);

	/* All of them are dead: two ticks later there is room again. */
	harness_tick(harness, &collector_fswrite);
	pid_t pid = write_in_child(SIZE);
	harness_tick(harness, &collector_fswrite);
	assert_in_range(total_of(volume, pid), SIZE, SIZE + SIZE / 100);
	harness_close(harness, &collector_fswrite);
}

/* Stepped down to off it costs nothing and says nothing; back on, its totals go on from where they stood. */
static void off_it_is_silent_and_then_goes_on(void **state)
{
	struct volume *volume = *state;
	struct harness *harness = volume->harness;
	const struct filesystem *filesystem = &harness->snap.filesystems.each[0];

	harness_open(harness, &collector_fswrite);
	pid_t first = write_in_child(SIZE);
	harness_tick(harness, &collector_fswrite);
	uint64_t total = filesystem->dirtied_total, stamp = harness->snap.writers.measured_ns;
	assert_in_range(total_of(volume, first), SIZE, SIZE + SIZE / 100);

	assert_int_equal(collector_fswrite.set_depth(harness->state[COLLECTOR_FSWRITE], DEPTH_OFF), 0);
	pid_t unseen = write_in_child(SIZE);
	harness_tick(harness, &collector_fswrite);
	assert_int_equal(harness->snap.writers.measured_ns, stamp);
	assert_int_equal(filesystem->dirtied_total, total);
	assert_null(find(volume, unseen));

	assert_int_equal(collector_fswrite.set_depth(harness->state[COLLECTOR_FSWRITE], DEPTH_COUNTS), 0);
	assert_int_equal(collector_fswrite.set_depth(harness->state[COLLECTOR_FSWRITE], DEPTH_DEEP), 0);
	pid_t second = write_in_child(SIZE);
	harness_tick(harness, &collector_fswrite);
	assert_int_equal(harness->snap.writers.measured_ns, harness->snap.boot_ns);
	assert_in_range(total_of(volume, second), SIZE, SIZE + SIZE / 100); /* attached once, counted once */
	assert_in_range(filesystem->dirtied_total - total, SIZE, SIZE + SIZE / 10);
	harness_close(harness, &collector_fswrite);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(alone_every_write_is_attributed, setup, teardown),
		cmocka_unit_test_setup_teardown(beside_syscall_every_write_is_attributed, setup, teardown),
		cmocka_unit_test_setup_teardown(the_dead_are_named_and_pruned, setup, teardown),
		cmocka_unit_test_setup_teardown(what_has_no_room_is_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(off_it_is_silent_and_then_goes_on, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
