/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A state directory with any journal: verifying never crashes; after an opening, which repairs or sets aside, one more record
 * fits and is read back, and what was whole stays whole.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "keep/chain.h"
#include "keep/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* In memory where there is such a place; empty after each input, gone at the end. */
static char path[] = "/dev/shm/nodemend-fuzz-XXXXXX";
static int dir_fd;

static void require(int holds)
{
	if (!holds)
		abort();
}

static void remove_directory(void)
{
	rmdir(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	log_set_level(0); /* it would say each damage */
	require(mkdtemp(path) != NULL);
	dir_fd = open(path, O_RDONLY | O_DIRECTORY);
	require(dir_fd >= 0);
	return atexit(remove_directory);
}

static void empty_directory(void)
{
	DIR *directory = fdopendir(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY));
	struct dirent *entry;
	require(directory != NULL);
	while ((entry = readdir(directory)))
		(void)unlinkat(dir_fd, entry->d_name, 0);
	closedir(directory);
}

static void see(const struct action *action, void *context)
{
	require(memchr(action->id, 0, sizeof(action->id)) && action->plan_count <= MAX_PLAN_LINES && action->step_count <= MAX_ACTION_STEPS &&
		action->outcome < OUTCOME_COUNT && action->target.type < TARGET_TYPE_COUNT);
	++*(unsigned *)context;
}

static unsigned count_records(void)
{
	unsigned count = 0;
	require(journal_read(dir_fd, see, &count) == 0 && journal_dangling(dir_fd, see, &(unsigned){ 0 }) == 0);
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct action action;
	struct journal_report report;
	struct journal *journal;
	bool moved;
	int fd = openat(dir_fd, JOURNAL_FILE, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	require(write(fd, data, size) == (ssize_t)size);
	close(fd);

	int verdict = journal_verify(dir_fd, &report);
	unsigned before = count_records();
	require(verdict == 0 || (verdict == 1 && report.bad_line && report.why[0]));
	require(verdict == 1 || report.lines == before || report.torn);

	require(journal_open(dir_fd, &journal, &moved) == 0);
	action = (struct action){ .id = "a-fuzz", .remedy = "clean-files", .outcome = OUTCOME_FAILED };
	require(journal_append(journal, &action) == 0);
	journal_close(journal);
	if (verdict == 0)
		require(!moved && journal_verify(dir_fd, &report) == 0);
	require(count_records() >= 1);
	empty_directory();
	return 0;
}
