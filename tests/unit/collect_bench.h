/* SPDX-License-Identifier: Apache-2.0 */
/* A collector on the bench: a tree of /proc and /sys that the test writes, a configuration, a snapshot, and ticks by hand. */
#ifndef NODEMEND_TEST_COLLECT_BENCH_H
#define NODEMEND_TEST_COLLECT_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector.h"

#define FIXTURES "tests/fixtures/"

struct bench {
	char root[64];
	struct collector_env env;
	struct config *config;
	struct snapshot *snap;
	struct collector_status status;
	const struct collector *collector;
	void *state;
};

static inline int bench_make(void **ret)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	assert_non_null(bench);
	strcpy(bench->root, "/tmp/nodemend-bench-XXXXXX");
	assert_non_null(mkdtemp(bench->root));

	char path[128];
	snprintf(path, sizeof(path), "%s/proc", bench->root);
	assert_int_equal(mkdir(path, 0755), 0);
	bench->env.proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/sys", bench->root);
	assert_int_equal(mkdir(path, 0755), 0);
	bench->env.sys_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	bench->config = calloc(1, sizeof(*bench->config));
	bench->config->interval_ns = NSEC_PER_SEC;
	bench->env.config = bench->config;
	bench->snap = calloc(1, sizeof(*bench->snap));
	bench->snap->interval_ns = NSEC_PER_SEC;
	bench->snap->boot_ns = 1000 * NSEC_PER_SEC;
	*ret = bench;
	return 0;
}

static inline int bench_remove_one(const char *path, const struct stat *found, int kind, struct FTW *ftw)
{
	return remove(path);
}

static inline int bench_drop(void **given)
{
	struct bench *bench = *given;
	if (bench->collector)
		bench->collector->close(bench->state);
	close(bench->env.proc_fd);
	close(bench->env.sys_fd);
	nftw(bench->root, bench_remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	free(bench->config);
	free(bench->snap);
	free(bench);
	return 0;
}

/* Replaces a file of the tree, in place: a collector that has it open sees the new text. */
static inline void bench_put(struct bench *bench, const char *name, const char *text, size_t size)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", bench->root, name);
	for (char *slash = path + strlen(bench->root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, size), size);
	close(fd);
}

static inline void bench_say(struct bench *bench, const char *name, const char *text)
{
	bench_put(bench, name, text, strlen(text));
}

static inline size_t bench_read(const char *path, char *ret, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	ssize_t got = read(fd, ret, size - 1);
	close(fd);
	assert_true(got >= 0);
	ret[got] = '\0';
	return (size_t)got;
}

static inline void bench_copy(struct bench *bench, const char *fixture, const char *name)
{
	static char text[65536];
	size_t size = bench_read(fixture, text, sizeof(text));
	bench_put(bench, name, text, size);
}

static inline int bench_open(struct bench *bench, const struct collector *collector)
{
	int error = collector->open(&bench->env, &bench->status, &bench->state);
	if (!error)
		bench->collector = collector;
	return error;
}

static inline int bench_tick(struct bench *bench, uint64_t after_ns, bool full)
{
	bench->snap->boot_ns += after_ns;
	if (full)
		bench->snap->seq++;
	return bench->collector->collect(bench->state, bench->snap, full, &bench->status);
}

#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_make, bench_drop)

#endif
