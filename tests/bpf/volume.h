/* SPDX-License-Identifier: Apache-2.0 */
/* A filesystem of a test's own, in an image on a loop device; and a cgroup of its own. */
#ifndef NODEMEND_TESTS_BPF_VOLUME_H
#define NODEMEND_TESTS_BPF_VOLUME_H

#include "harness.h"

#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

enum { MIB = 1 << 20 };

struct volume {
	struct harness *harness;
	char dir[64], image[72], name[32];  /* name: /dev/loopN */
	int loop;
	uint32_t dev;                       /* of the filesystem; of the loop device itself where there is none */
	uint32_t number;                    /* N */
	bool mounted;
};

static inline void volume_mkfs(const char *type, const char *image)
{
	char command[32];
	int status;

	snprintf(command, sizeof(command), "mkfs.%s", type);
	pid_t pid = fork();
	if (!pid) {
		int null = open("/dev/null", O_RDWR);
		dup2(null, 1);
		dup2(null, 2);
		if (!strcmp(type, "ext4"))
			execlp(command, command, "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", image, (char *)NULL);
		else
			execlp(command, command, "-q", image, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static inline void volume_attach(struct volume *volume)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), image = open(volume->image, O_RDWR | O_CLOEXEC), number;

	assert_true(control >= 0 && image >= 0);
	do { /* another test may take the free one between the two calls */
		number = ioctl(control, LOOP_CTL_GET_FREE);
		assert_true(number >= 0);
		snprintf(volume->name, sizeof(volume->name), "/dev/loop%d", number);
		volume->loop = open(volume->name, O_RDWR | O_CLOEXEC);
	} while (volume->loop < 0 || (ioctl(volume->loop, LOOP_SET_FD, image) && errno == EBUSY && !close(volume->loop)));
	struct loop_info64 info = { .lo_flags = LO_FLAGS_AUTOCLEAR };
	assert_int_equal(ioctl(volume->loop, LOOP_SET_STATUS64, &info), 0);
	volume->number = (uint32_t)number;
	close(control);
	close(image);
}

/* `type` NULL: the device alone. The working directory is then the filesystem's root. */
static inline struct volume *volume_new(const char *type, size_t size)
{
	struct volume *volume = calloc(1, sizeof(*volume));
	struct stat status;

	strcpy(volume->dir, "/var/tmp/nodemend-test-XXXXXX");
	assert_non_null(mkdtemp(volume->dir));
	snprintf(volume->image, sizeof(volume->image), "%s.img", volume->dir);
	int fd = open(volume->image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && !ftruncate(fd, (off_t)size));
	close(fd);
	if (type)
		volume_mkfs(type, volume->image);
	volume_attach(volume);
	assert_int_equal(fstat(volume->loop, &status), 0);
	volume->dev = major(status.st_rdev) << 20 | minor(status.st_rdev);
	if (type) {
		assert_int_equal(mount(volume->name, volume->dir, type, 0, NULL), 0);
		volume->mounted = true;
		assert_int_equal(chdir(volume->dir), 0);
	}
	volume->harness = harness_new();
	return volume;
}

/* The super block's number as mountinfo has it; stat's is another on btrfs. */
static inline uint32_t volume_filesystem_dev(const struct volume *volume)
{
	char line[1024], point[512];
	unsigned int high, low;
	uint32_t dev = 0;
	FILE *file = fopen("/proc/self/mountinfo", "re");

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%*d %*d %u:%u %*s %511s", &high, &low, point) == 3 && !strcmp(point, volume->dir))
			dev = high << 20 | low;
	fclose(file);
	assert_true(dev);
	return dev;
}

static inline void volume_free(struct volume *volume)
{
	harness_free(volume->harness);
	assert_int_equal(chdir("/"), 0);
	if (volume->mounted)
		assert_int_equal(umount2(volume->dir, MNT_DETACH), 0);
	close(volume->loop);
	rmdir(volume->dir);
	unlink(volume->image);
	free(volume);
}

/* --- cgroups ---------------------------------------------------------------------------------------------------------- */

/* Its id, and its path in `path`. */
static inline uint64_t make_cgroup(char path[128], const char *name)
{
	struct stat status;

	snprintf(path, 128, "%s/test-disk-%d-%.40s", cgroup_root(), getpid(), name);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(stat(path, &status), 0);
	return status.st_ino;
}

static inline void enter_cgroup(const char *path)
{
	char file[160];

	snprintf(file, sizeof(file), "%.127s/cgroup.procs", path);
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(9);
	close(fd);
}

/* Runs `work` in a child in that cgroup (NULL: in ours) and waits for its end. */
static inline pid_t in_child(const char *cgroup, void (*work)(void *arg), void *arg)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (cgroup)
			enter_cgroup(cgroup);
		work(arg);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return pid;
}

#endif
