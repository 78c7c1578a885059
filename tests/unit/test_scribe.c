/* SPDX-License-Identifier: Apache-2.0 */
/* The scribe: what was queued is on disk once and in order, whatever happens to the child; nothing the agent calls waits for it. */
#include "tests/unit/keep_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keep/journal.h"
#include "keep/scribe.h"
#include "keep/scribe_serve.h"
#include "keep/shelf.h"

static struct action action;
static struct saved_state saved;

static struct scribe *started(const struct place *place)
{
	struct scribe *scribe;
	char why[256] = "untouched";
	assert_int_equal(scribe_start(place->path, "boot", &scribe, &saved, why, sizeof(why)), 0);
	assert_string_equal(why, "");
	return scribe;
}

static uint64_t queue(struct scribe *scribe, unsigned number)
{
	uint64_t ticket;
	plain_action(&action, number, OUTCOME_NONE);
	assert_int_equal(scribe_action(scribe, &action, &ticket), 0);
	return ticket;
}

/* As the agent's loop does. */
static void turn(struct scribe *scribe)
{
	struct pollfd wait = { .fd = scribe_fd(scribe), .events = POLLIN };
	assert_true(poll(&wait, 1, 20000) == 1);
	scribe_dispatch(scribe);
}

static void wait_for(struct scribe *scribe, uint64_t ticket)
{
	while (scribe_done_through(scribe) < ticket)
		turn(scribe);
}

static pid_t child_of_mine(void)
{
	char path[64];
	int pid = 0, next;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		continue; /* as the agent's loop does */
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", getpid(), getpid());
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	while (fscanf(file, "%d", &next) == 1)
		pid = next; /* the youngest */
	fclose(file);
	assert_true(pid > 0);
	return pid;
}

struct order { unsigned count; bool ascending; };

static void in_order(const struct action *one, void *context)
{
	struct order *order = context;
	char expected[ID_LEN];
	snprintf(expected, sizeof(expected), "a6923-%u", ++order->count);
	order->ascending = order->ascending && strcmp(one->id, expected) == 0;
}

static void assert_records(const struct place *place, unsigned count)
{
	struct order order = { .ascending = true };
	struct journal_report report;
	assert_int_equal(journal_verify(place->fd, &report), 0);
	assert_int_equal(journal_read(place->fd, in_order, &order), 0);
	assert_int_equal(order.count, count);
	assert_true(order.ascending);
}

static void done_means_on_disk(void **state)
{
	struct place *place = *state;
	struct scribe *scribe = started(place);
	for (unsigned i = 1; i <= 20; i++) {
		uint64_t ticket = queue(scribe, i);
		assert_int_equal(ticket, i);
		wait_for(scribe, ticket);
		assert_records(place, i);
	}
	assert_int_equal(scribe_last_error(scribe), 0);
	scribe_stop(scribe);
}

static void state_comes_back(void **state)
{
	struct place *place = *state;
	struct journal_report report;
	struct scribe *scribe = started(place);
	queue(scribe, 1);
	strcpy(saved.boot_id, "boot");
	saved.next_action = 77;
	saved.act_count = 1;
	strcpy(saved.acts[0].action_id, "a6923-1");
	assert_int_equal(scribe_state(scribe, &saved), 0);
	scribe_stop(scribe);
	assert_int_equal(journal_verify(place->fd, &report), 0);
	assert_true(report.anchored);

	memset(&saved, 0, sizeof(saved));
	scribe_stop(started(place));
	assert_int_equal(saved.next_action, 77);
	assert_string_equal(saved.acts[0].action_id, "a6923-1");
}

static void newest_state_wins(void **state)
{
	struct place *place = *state;
	struct scribe *scribe = started(place);
	pid_t child = child_of_mine();
	kill(child, SIGSTOP);
	strcpy(saved.boot_id, "boot");
	for (unsigned i = 1; i <= 10; i++) {
		saved.next_action = i;
		scribe_state(scribe, &saved); /* the first is with the child, the others replace each other */
	}
	kill(child, SIGCONT);
	scribe_stop(scribe);
	scribe_stop(started(place));
	assert_int_equal(saved.next_action, 10);
}

static void hung_disk_hangs_nobody(void **state)
{
	struct place *place = *state;
	struct scribe *scribe = started(place);
	pid_t child = child_of_mine();
	uint64_t ticket = 0;
	kill(child, SIGSTOP);
	for (unsigned i = 1; i <= SCRIBE_QUEUE; i++)
		ticket = queue(scribe, i);
	plain_action(&action, 1000, OUTCOME_NONE);
	assert_int_equal(scribe_action(scribe, &action, &(uint64_t){ 0 }), -EAGAIN);
	assert_int_equal(scribe_lost(scribe), 1);
	assert_int_equal(scribe_done_through(scribe), 0);
	while (scribe_late(scribe) == 0)
		turn(scribe); /* its own timer wakes it */
	assert_int_equal(scribe_restarts(scribe), 0);
	kill(child, SIGCONT);
	wait_for(scribe, ticket);
	scribe_stop(scribe);
	assert_records(place, SCRIBE_QUEUE);
}

static void killed_child_writes_each_once(void **state)
{
	struct place *place = *state;
	struct scribe *scribe = started(place);
	uint64_t seed = 5, ticket = 0;
	unsigned number = 0;
	for (int round = 0; round < 8; round++) {
		for (uint32_t i = 1 + draw(&seed, 8); i > 0; i--)
			ticket = queue(scribe, ++number);
		for (uint32_t i = draw(&seed, 5); i > 0 && scribe_done_through(scribe) < ticket; i--)
			turn(scribe);
		kill(child_of_mine(), SIGKILL);
		wait_for(scribe, ticket - (scribe_done_through(scribe) < ticket ? draw(&seed, 3) : 0));
	}
	wait_for(scribe, ticket);
	assert_true(scribe_restarts(scribe) > 0);
	scribe_stop(scribe);
	assert_records(place, number);
}

static void second_agent_is_refused(void **state)
{
	struct place *place = *state;
	struct scribe *first = started(place), *second;
	char why[256];
	assert_int_equal(scribe_start(place->path, "boot", &second, &saved, why, sizeof(why)), -EBUSY);
	assert_non_null(strstr(why, "another agent"));
	wait_for(first, queue(first, 1)); /* and the first one goes on */
	scribe_stop(first);
}

static void bad_directories_are_refused(void **state)
{
	struct place *place = *state;
	struct scribe *scribe;
	char why[256], path[128];
	snprintf(path, sizeof(path), "%s/none/below", place->path);
	assert_int_equal(scribe_start(path, "boot", &scribe, &saved, why, sizeof(why)), -ENOENT);
	assert_true(why[0] != '\0');
	close(openat(place->fd, "file", O_CREAT | O_WRONLY, 0600));
	snprintf(path, sizeof(path), "%s/file", place->path);
	assert_int_equal(scribe_start(path, "boot", &scribe, &saved, why, sizeof(why)), -ENOTDIR);
	assert_int_equal(fchmod(place->fd, 0777), 0);
	assert_int_equal(scribe_start(place->path, "boot", &scribe, &saved, why, sizeof(why)), -EPERM);
	assert_non_null(strstr(why, "writable by everyone"));
}

static void corrupt_files_are_said_and_survived(void **state)
{
	struct place *place = *state;
	struct journal_report report;
	struct scribe *scribe = started(place);
	char why[256];
	queue(scribe, 1);
	queue(scribe, 2);
	scribe_state(scribe, &saved);
	scribe_stop(scribe);
	int fd = openat(place->fd, "journal.jsonl", O_WRONLY);
	assert_int_equal(pwrite(fd, "#", 1, 20), 1);
	close(fd);
	assert_int_equal(journal_verify(place->fd, &report), 1);

	assert_int_equal(scribe_start(place->path, "boot", &scribe, &saved, why, sizeof(why)), 0);
	wait_for(scribe, queue(scribe, 1));
	scribe_stop(scribe);
	assert_int_equal(journal_verify(place->fd, &report), 0); /* a new chain, anchored anew */
	assert_int_equal(report.aside, 1);
	assert_true(report.anchored);

	for (int i = 0; i < 2; i++) {
		fd = openat(place->fd, i ? "state.json.b" : "state.json.a", O_WRONLY);
		assert_int_equal(pwrite(fd, "#", 1, 90), 1);
		close(fd);
	}
	assert_int_equal(scribe_start(place->path, "boot", &scribe, &saved, why, sizeof(why)), 0);
	assert_non_null(strstr(why, "broken"));
	assert_int_equal(saved.act_count, 0);
	scribe_stop(scribe);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, place_make, place_remove)

static void shelf_is_replaced_as_a_whole(void **state)
{
	const struct place *place = *state;
	static char first[300000], second[100000], seen[SHELF_MAX + 1];
	struct scribe *scribe = started(place);
	memset(first, 'a', sizeof(first));
	memset(second, 'b', sizeof(second));
	assert_int_equal(scribe_shelf(scribe, "learned", first, sizeof(first)), 0);
	assert_int_equal(scribe_shelf(scribe, "learned", second, sizeof(second)), -EAGAIN); /* what is being read is not written over */
	assert_int_equal(scribe_shelf(scribe, "learned", seen, sizeof(seen)), -EAGAIN);
	while (scribe_shelf(scribe, "learned", second, sizeof(second)) == -EAGAIN) {
		ssize_t size = shelf_read(place->fd, "learned", seen, sizeof(seen));
		assert_true(size == -ENOENT || size == (ssize_t)sizeof(first));
		turn(scribe);
	}
	assert_int_equal(shelf_read(place->fd, "learned", seen, sizeof(seen)), sizeof(first));
	assert_memory_equal(seen, first, sizeof(first));
	scribe_stop(scribe); /* waits for it */
	assert_int_equal(shelf_read(place->fd, "learned", seen, sizeof(seen)), sizeof(second));
	assert_memory_equal(seen, second, sizeof(second));
	assert_int_equal(shelf_read(place->fd, "learned", seen, 10), -EFBIG);
	assert_int_equal(shelf_read(place->fd, "nothing", seen, sizeof(seen)), -ENOENT);
	assert_int_equal(symlinkat("/etc/passwd", place->fd, "link"), 0);
	assert_true(shelf_read(place->fd, "link", seen, sizeof(seen)) < 0);
	assert_int_equal(faccessat(place->fd, "learned.new", F_OK, 0), -1);
}

static void shelf_outlives_the_child(void **state)
{
	const struct place *place = *state;
	char seen[8];
	struct scribe *scribe = started(place);
	assert_int_equal(kill(child_of_mine(), SIGKILL), 0);
	assert_int_equal(scribe_shelf(scribe, "learned", "words", 5), 0);
	while (scribe_shelf(scribe, "learned", "again", 5) == -EAGAIN)
		turn(scribe);
	assert_true(scribe_restarts(scribe) >= 1);
	scribe_stop(scribe);
	assert_int_equal(shelf_read(place->fd, "learned", seen, sizeof(seen)), 5);
	assert_memory_equal(seen, "again", 5);
}

static void too_large_for_the_shelf_is_refused(void **state)
{
	const struct place *place = *state;
	static char large[SHELF_MAX + 1];
	struct scribe *scribe = started(place);
	assert_int_equal(scribe_shelf(scribe, "learned", large, sizeof(large)), -EFBIG);
	scribe_stop(scribe);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(done_means_on_disk), IN_PLACE(state_comes_back), IN_PLACE(newest_state_wins), IN_PLACE(hung_disk_hangs_nobody),
		IN_PLACE(killed_child_writes_each_once), IN_PLACE(second_agent_is_refused), IN_PLACE(bad_directories_are_refused),
		IN_PLACE(corrupt_files_are_said_and_survived), IN_PLACE(shelf_is_replaced_as_a_whole), IN_PLACE(shelf_outlives_the_child),
		IN_PLACE(too_large_for_the_shelf_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
