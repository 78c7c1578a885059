/* SPDX-License-Identifier: Apache-2.0 */
/* Beside clean_fixture.h, for the remedies about disks that are not clean-files: a request about the test's own filesystem, and what it said. */
#ifndef NODEMEND_TESTS_DISK_FIXTURE_H
#define NODEMEND_TESTS_DISK_FIXTURE_H

#include "clean_fixture.h"

#include <sys/statvfs.h>
#include <sys/sysmacros.h>

/* An empty tree, and a request to apply `remedy` to its filesystem; arguments all zero. */
static inline void disk_reset(struct clean_fixture *fixture, enum remedy_id remedy)
{
	struct stat found;
	fixture_reset(fixture);
	assert_int_equal(stat(fixture->dir, &found), 0);
	struct remedy_request *request = &fixture->request;
	memset(&request->args, 0, sizeof(request->args));
	request->remedy = remedy;
	request->target.type = TARGET_FILESYSTEM;
	request->target.dev = major(found.st_dev) << 20 | minor(found.st_dev);
	snprintf(request->target.name, sizeof(request->target.name), "%s", fixture->dir);
	snprintf(request->lease_book, sizeof(request->lease_book), "%.60s/app/leases", fixture->dir);
}

static inline const char *disk_detail(const struct clean_fixture *fixture, const char *step)
{
	for (uint32_t i = 0; i < fixture->result.step_count; i++)
		if (strcmp(fixture->result.steps[i].name, step) == 0)
			return fixture->result.steps[i].detail;
	return "";
}

static inline void disk_refused(struct clean_fixture *fixture, const char *by)
{
	fixture_run(fixture);
	if (fixture->result.outcome != OUTCOME_REFUSED || strcmp(fixture->result.refused_by, by) != 0)
		fail_msg("refused by %s was expected: outcome %d, refused by '%s': %s", by, fixture->result.outcome, fixture->result.refused_by, fixture->result.why);
	assert_true(fixture->result.why[0]);
}

static inline void disk_is(const struct clean_fixture *fixture, enum outcome outcome)
{
	if (fixture->result.outcome != outcome)
		fail_msg("outcome %d was expected: %d, refused by '%s': %s", outcome, fixture->result.outcome, fixture->result.refused_by, fixture->result.why);
}

static inline uint64_t disk_free(const struct clean_fixture *fixture)
{
	struct statvfs now;
	int fd = open(fixture->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(syncfs(fd), 0);
	assert_int_equal(fstatvfs(fd, &now), 0);
	close(fd);
	return now.f_bfree * now.f_frsize;
}

/* What it said came back is what statvfs shows, to one percent. */
static inline void disk_says_truth(const struct clean_fixture *fixture, uint64_t before)
{
	uint64_t truth = disk_free(fixture) - before, said = fixture->result.observed.freed_bytes;
	if (said > truth + truth / 100 || said + truth / 100 < truth)
		fail_msg("%llu bytes came back, %llu were told", (unsigned long long)truth, (unsigned long long)said);
}

#endif
