/* SPDX-License-Identifier: Apache-2.0 */
/* The journal: a chain that shows each kind of tampering, repairs after a crash, and room on a full disk. */
#include "tests/unit/keep_fixture.h"

#include <errno.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "keep/chain.h"
#include "keep/journal.h"
#include "keep/state.h"

static struct action action; /* 9 KiB: not for the stack of every test */

static void append(struct journal *journal, unsigned number, enum outcome outcome)
{
	plain_action(&action, number, outcome);
	assert_int_equal(journal_append(journal, &action), 0);
}

static struct journal *begin(int dir_fd)
{
	struct journal *journal;
	bool moved = true;
	assert_int_equal(journal_open(dir_fd, &journal, &moved), 0);
	assert_false(moved);
	return journal;
}

/* `count` acts, an intent and a result each. */
static void write_acts(int dir_fd, unsigned count)
{
	struct journal *journal = begin(dir_fd);
	for (unsigned i = 0; i < count; i++) {
		append(journal, i, OUTCOME_NONE);
		append(journal, i, OUTCOME_FIXED);
	}
	journal_close(journal);
}

static char *slurp(int dir_fd, const char *name, size_t *ret_size)
{
	int fd = openat(dir_fd, name, O_RDONLY);
	struct stat status;
	assert_true(fd >= 0 && fstat(fd, &status) == 0);
	char *text = calloc(1, (size_t)status.st_size + 1);
	assert_int_equal(read(fd, text, (size_t)status.st_size), status.st_size);
	close(fd);
	*ret_size = (size_t)status.st_size;
	return text;
}

static void put(int dir_fd, const char *name, const char *text, size_t size)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, text, size), size);
	close(fd);
}

static void whole_chain_verifies(void **state)
{
	struct place *place = *state;
	struct journal_report report;
	write_acts(place->fd, 10);
	write_acts(place->fd, 0); /* reopened and closed: nothing changes */
	assert_int_equal(journal_verify(place->fd, &report), 0);
	assert_int_equal(report.lines, 20);
	assert_int_equal(report.intents, 10);
	assert_int_equal(report.results, 10);
	assert_int_equal(report.dangling, 0);
	assert_false(report.anchored);

	struct stat status;
	assert_int_equal(fstatat(place->fd, JOURNAL_FILE, &status, 0), 0);
	assert_int_equal(status.st_mode & 0777, 0640);
}

static void empty_is_whole(void **state)
{
	struct place *place = *state;
	struct journal_report report;
	assert_int_equal(journal_verify(place->fd, &report), 0);
	assert_int_equal(report.lines, 0);
	assert_string_equal(report.head, CHAIN_BEGIN);
}

/* Any one byte, anywhere but in the last line, whose only witness would be the anchor. */
static void changed_byte_is_found(void **state)
{
	struct place *place = *state;
	struct journal_report report;
	size_t size;
	write_acts(place->fd, 5);
	char *text = slurp(place->fd, JOURNAL_FILE, &size);
	size_t last = size - 1;
	while (last > 0 && text[last - 1] != '\n')
		last--;
	for (size_t at = 0; at < last; at += 13) {
		text[at] ^= 1;
		put(place->fd, JOURNAL_FILE, text, size);
		assert_int_equal(journal_verify(place->fd, &report), 1);
		assert_true(report.bad_line > 0 && report.why[0]);
		text[at] ^= 1;
	}
	put(place->fd, JOURNAL_FILE, text, size);
	assert_int_equal(journal_verify(place->fd, &report), 0);
	free(text);
}

/* The lines [from, to) of `count` lines, moved or left out; returns the line that verify blames. */
static uint64_t blamed_without(int dir_fd, const char *const *lines, const size_t *order, size_t count)
{
	struct journal_report report;
	int fd = openat(dir_fd, JOURNAL_FILE, O_WRONLY | O_TRUNC);
	for (size_t i = 0; i < count; i++)
		assert_true(dprintf(fd, "%s\n", lines[order[i]]) > 0);
	close(fd);
	return journal_verify(dir_fd, &report) == 1 ? report.bad_line : 0;
}

static void removed_and_swapped_lines_are_found(void **state)
{
	struct place *place = *state;
	size_t size;
	write_acts(place->fd, 3);
	char *text = slurp(place->fd, JOURNAL_FILE, &size), *rest = text;
	const char *lines[6];
	for (size_t i = 0; i < 6; i++)
		lines[i] = strsep(&rest, "\n");

	assert_int_equal(blamed_without(place->fd, lines, (size_t[]){ 0, 1, 2, 3, 4, 5 }, 6), 0);
	assert_int_equal(blamed_without(place->fd, lines, (size_t[]){ 0, 1, 3, 4, 5 }, 5), 3);
	assert_int_equal(blamed_without(place->fd, lines, (size_t[]){ 1, 2, 3, 4, 5 }, 5), 1); /* the first of all */
	assert_int_equal(blamed_without(place->fd, lines, (size_t[]){ 0, 2, 1, 3, 4, 5 }, 6), 2);
	assert_int_equal(blamed_without(place->fd, lines, (size_t[]){ 0, 1, 1, 2, 3, 4, 5 }, 7), 3);
	free(text);
}

/* Without an anchor a shorter chain is a chain; the state's journal_head is the anchor. */
static void cut_end_shows_by_the_anchor(void **state)
{
	struct place *place = *state;
	struct journal_report report;
	static struct saved_state saved;
	struct state_file *file;
	struct journal *journal = begin(place->fd);
	append(journal, 1, OUTCOME_NONE);
	append(journal, 1, OUTCOME_FIXED);
	strcpy(saved.boot_id, "boot");
	assert_int_equal(state_open(place->fd, &file), 0);
	state_anchor(file, journal_head(journal));
	assert_int_equal(state_save(file, &saved), 0);
	state_close(file);
	append(journal, 2, OUTCOME_NONE); /* later than the state: not missed */
	journal_close(journal);
	assert_int_equal(journal_verify(place->fd, &report), 0);
	assert_true(report.anchored);

	size_t size;
	char *text = slurp(place->fd, JOURNAL_FILE, &size);
	put(place->fd, JOURNAL_FILE, text, (size_t)(strchr(text, '\n') - text) + 1);
	assert_int_equal(journal_verify(place->fd, &report), 1);
	assert_int_equal(report.bad_line, 2);
	assert_non_null(strstr(report.why, "cut off"));
	unlinkat(place->fd, JOURNAL_FILE, 0);
	assert_int_equal(journal_verify(place->fd, &report), 1); /* all of it gone */
	free(text);
}

static void torn_line_is_cut(void **state)
{
	struct place *place = *state;
	struct journal_report report;
	size_t size, whole;
	write_acts(place->fd, 3);
	char *text = slurp(place->fd, JOURNAL_FILE, &whole);
	free(text);
	write_acts(place->fd, 0);
	struct journal *journal = begin(place->fd);
	append(journal, 9, OUTCOME_NONE);
	journal_close(journal);
	text = slurp(place->fd, JOURNAL_FILE, &size);

	for (size_t length = whole + 1; length < size; length += 29) {
		put(place->fd, JOURNAL_FILE, text, length);
		assert_int_equal(journal_verify(place->fd, &report), 0);
		assert_true(report.torn);
		journal = begin(place->fd);
		append(journal, 10, OUTCOME_NONE);
		journal_close(journal);
		assert_int_equal(journal_verify(place->fd, &report), 0);
		assert_int_equal(report.lines, 7);
		assert_false(report.torn);
	}
	/* Blocks that a power cut left unwritten: NULs, even with a newline behind. */
	memset(text + whole, 0, size - whole);
	text[size - 1] = '\n';
	put(place->fd, JOURNAL_FILE, text, size);
	write_acts(place->fd, 0);
	assert_int_equal(journal_verify(place->fd, &report), 0);
	assert_int_equal(report.lines, 6);
	free(text);
}

static void broken_chain_is_set_aside(void **state)
{
	struct place *place = *state;
	struct journal_report report;
	struct journal *journal;
	size_t size;
	bool moved = false;
	for (int round = 1; round <= MAX_ASIDE + 2; round++) {
		write_acts(place->fd, 3);
		char *text = slurp(place->fd, JOURNAL_FILE, &size);
		text[40] ^= 1;
		put(place->fd, JOURNAL_FILE, text, size);
		free(text);
		assert_int_equal(journal_open(place->fd, &journal, &moved), 0);
		assert_true(moved);
		append(journal, 1, OUTCOME_NONE);
		journal_close(journal);
		assert_int_equal(journal_verify(place->fd, &report), 0);
		assert_int_equal(report.lines, 1);
		assert_int_equal(report.aside, round < MAX_ASIDE ? round : MAX_ASIDE); /* kept, but not without end */
	}
}

static void one_writer_at_a_time(void **state)
{
	struct place *place = *state;
	struct journal *first = begin(place->fd), *second;
	bool moved;
	assert_int_equal(journal_open(place->fd, &second, &moved), -EBUSY);
	journal_close(first);
	journal_close(begin(place->fd));
}

static void never_through_a_link(void **state)
{
	struct place *place = *state;
	struct journal *journal;
	struct journal_report report;
	bool moved;
	assert_int_equal(symlinkat("/etc/hostname", place->fd, JOURNAL_FILE), 0);
	assert_int_equal(journal_open(place->fd, &journal, &moved), -ELOOP);
	assert_int_equal(journal_verify(place->fd, &report), -ELOOP);
	unlinkat(place->fd, JOURNAL_FILE, 0);
	assert_int_equal(mkfifoat(place->fd, JOURNAL_FILE, 0600), 0);
	assert_int_equal(journal_open(place->fd, &journal, &moved), -EINVAL);
}

/* The scribe was killed between the write and its answer: the record is sent again, and is there once. */
static void sent_again_is_written_once(void **state)
{
	struct place *place = *state;
	struct journal_report report;
	struct journal *journal = begin(place->fd);
	append(journal, 1, OUTCOME_NONE);
	append(journal, 1, OUTCOME_FIXED);
	journal_close(journal);
	journal = begin(place->fd);
	append(journal, 1, OUTCOME_FIXED);
	append(journal, 2, OUTCOME_NONE);
	journal_close(journal);
	assert_int_equal(journal_verify(place->fd, &report), 0);
	assert_int_equal(report.lines, 3);
}

static void fat_action(unsigned number)
{
	plain_action(&action, number, OUTCOME_FIXED);
	action.plan_count = MAX_PLAN_LINES;
	for (uint32_t i = 0; i < MAX_PLAN_LINES; i++)
		memset(action.plan[i], '\x01', PLAN_LINE_LEN - 1); /* six bytes each when escaped */
	action.step_count = MAX_ACTION_STEPS;
	for (uint32_t i = 0; i < MAX_ACTION_STEPS; i++)
		memset(action.steps[i].detail, '\x02', EVIDENCE_LEN - 1);
}

static void count_action(const struct action *one, void *context)
{
	++*(unsigned *)context;
}

static void rotation_keeps_the_chain(void **state)
{
	struct place *place = *state;
	struct journal_report report;
	struct journal *journal = begin(place->fd);
	struct stat status;
	unsigned wrote = 0, read = 0;
	while (fstatat(place->fd, JOURNAL_OLD, &status, 0) < 0) {
		fat_action(wrote++);
		assert_int_equal(journal_append(journal, &action), 0);
	}
	append(journal, wrote++, OUTCOME_NONE);
	journal_close(journal);
	assert_true(status.st_size >= JOURNAL_ROTATE && status.st_size < JOURNAL_ROTATE + JOURNAL_LINE_MAX);
	assert_int_equal(journal_verify(place->fd, &report), 0);
	assert_int_equal(report.lines, wrote);
	assert_int_equal(journal_read(place->fd, count_action, &read), 0);
	assert_int_equal(read, wrote);

	/* A crash between the two renames: only the old one is there, and the chain goes on from it. */
	unlinkat(place->fd, JOURNAL_FILE, 0);
	write_acts(place->fd, 1);
	assert_int_equal(journal_verify(place->fd, &report), 0);
	assert_int_equal(report.lines, wrote + 1);

	unlinkat(place->fd, JOURNAL_OLD, 0);
	assert_int_equal(journal_verify(place->fd, &report), 1);
	assert_int_equal(report.bad_line, 1);
}

struct seen { unsigned count; char ids[8][ID_LEN]; };

static void see(const struct action *one, void *context)
{
	struct seen *seen = context;
	assert_true(seen->count < 8);
	strcpy(seen->ids[seen->count++], one->id);
}

static void dangling_intents_are_listed(void **state)
{
	struct place *place = *state;
	struct journal_report report;
	struct seen seen = { 0 };
	struct journal *journal = begin(place->fd);
	append(journal, 1, OUTCOME_NONE);
	append(journal, 2, OUTCOME_NONE);
	append(journal, 3, OUTCOME_REFUSED); /* refused before there was an intent: nothing dangles */
	append(journal, 1, OUTCOME_FIXED);
	append(journal, 4, OUTCOME_NONE);
	journal_close(journal);
	assert_int_equal(journal_dangling(place->fd, see, &seen), 0);
	assert_int_equal(seen.count, 2);
	assert_string_equal(seen.ids[0], "a6923-2");
	assert_string_equal(seen.ids[1], "a6923-4");
	assert_int_equal(journal_verify(place->fd, &report), 0);
	assert_int_equal(report.dangling, 2);
}

/* docs/journal.md, "By hand": exactly these commands. */
static void verifies_by_hand(void **state)
{
	struct place *place = *state;
	char command[512];
	uint64_t seed = 3;
	struct journal *journal = begin(place->fd);
	for (int i = 0; i < 20; i++) {
		draw_action(&seed, &action);
		assert_int_equal(journal_append(journal, &action), 0);
	}
	journal_close(journal);
	if (system("jq --version >/dev/null 2>&1 && sha256sum --version >/dev/null 2>&1") != 0) {
		print_message("SKIP verifies_by_hand: jq or sha256sum is not installed\n");
		skip();
	}
	snprintf(command, sizeof(command),
		 "cd %s && jq -r .prev journal.jsonl | tail -n +2 > prevs.txt && "
		 "head -n -1 journal.jsonl | while IFS= read -r line; do printf %%s \"$line\" | sha256sum | cut -d' ' -f1; done > sums.txt && "
		 "test $(wc -l < sums.txt) = 19 && cmp prevs.txt sums.txt", place->path);
	assert_int_equal(system(command), 0);
}

/* --- a full disk --------------------------------------------------------------------------------------------------------- */

struct full_disk { char mount[96]; bool mounted; };

static bool mount_small(struct place *place, struct full_disk *disk)
{
	char command[512];
	snprintf(disk->mount, sizeof(disk->mount), "%s/mnt", place->path);
	snprintf(command, sizeof(command), "mkdir %s && truncate -s 16M %s/img && mkfs.ext4 -q -m 0 %s/img >/dev/null 2>&1 && mount -o loop %s/img %s 2>/dev/null",
		 disk->mount, place->path, place->path, place->path, disk->mount);
	disk->mounted = geteuid() == 0 && system(command) == 0;
	return disk->mounted;
}

static void unmount(struct place *place, struct full_disk *disk)
{
	(void)umount2(disk->mount, MNT_DETACH);
	rmdir(disk->mount);
	unlinkat(place->fd, "img", 0);
}

/* Every block, to the last. */
static void fill(int dir_fd)
{
	static const char block[4096];
	int fd = openat(dir_fd, "hog", O_WRONLY | O_CREAT, 0600);
	ssize_t wrote;
	do
		while ((wrote = write(fd, block, sizeof(block))) > 0)
			continue;
	while (fsync(fd) == 0 && (wrote = write(fd, block, 1)) > 0);
	close(fd);
	struct statvfs left;
	assert_int_equal(fstatvfs(dir_fd, &left), 0);
	assert_true(left.f_bavail < 4);
}

static void full_disk_takes_records(void **state)
{
	struct place *place = *state;
	struct full_disk disk;
	if (!mount_small(place, &disk)) {
		print_message("SKIP full_disk_takes_records: needs root, mkfs.ext4 and a loop device\n");
		unmount(place, &disk);
		skip();
	}
	int dir_fd = open(disk.mount, O_RDONLY | O_DIRECTORY);
	struct journal *journal = begin(dir_fd);
	struct state_file *file;
	static struct saved_state saved;
	assert_int_equal(state_open(dir_fd, &file), 0);
	append(journal, 0, OUTCOME_NONE);
	fill(dir_fd);

	int errors = 0;
	for (unsigned i = 1; i <= 200; i++) {
		plain_action(&action, i, OUTCOME_FIXED);
		errors += journal_append(journal, &action) < 0;
		saved.next_action = i;
		errors += state_save(file, &saved) < 0;
	}
	journal_close(journal);
	state_close(file);
	close(dir_fd);

	/* Durable: read again after the filesystem was unmounted. */
	assert_int_equal(umount(disk.mount), 0);
	char command[256];
	snprintf(command, sizeof(command), "mount -o loop,ro %s/img %s", place->path, disk.mount);
	assert_int_equal(system(command), 0);
	dir_fd = open(disk.mount, O_RDONLY | O_DIRECTORY);
	struct journal_report report;
	int verdict = journal_verify(dir_fd, &report);
	close(dir_fd);
	unmount(place, &disk);
	assert_int_equal(errors, 0);
	assert_int_equal(verdict, 0);
	assert_int_equal(report.lines, 201);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, place_make, place_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(whole_chain_verifies), IN_PLACE(empty_is_whole), IN_PLACE(changed_byte_is_found), IN_PLACE(removed_and_swapped_lines_are_found),
		IN_PLACE(cut_end_shows_by_the_anchor), IN_PLACE(torn_line_is_cut), IN_PLACE(broken_chain_is_set_aside), IN_PLACE(one_writer_at_a_time),
		IN_PLACE(never_through_a_link), IN_PLACE(sent_again_is_written_once), IN_PLACE(rotation_keeps_the_chain),
		IN_PLACE(dangling_intents_are_listed), IN_PLACE(verifies_by_hand), IN_PLACE(full_disk_takes_records),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
