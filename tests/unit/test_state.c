/* SPDX-License-Identifier: Apache-2.0 */
/* The state file: what was saved is loaded, over reboots, damage, kills at any moment and full disks. */
#include "tests/unit/keep_fixture.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "keep/state.h"

#define DAY_NS (24 * 3600 * (int64_t)NSEC_PER_SEC)
#define WALL_NS 1763892000000000000

static struct saved_state from, to; /* 600 KiB each */

static void draw_act(uint64_t *seed, struct act *act)
{
	*act = (struct act){ .boot_ns = (int64_t)draw(seed, 1000000), .wall_ns = draw_time(seed), .outcome = draw(seed, OUTCOME_COUNT), .step = draw(seed, 8) };
	draw_id(seed, act->action_id);
	DRAW_TEXT(seed, act->policy);
	DRAW_TEXT(seed, act->remedy);
	DRAW_TEXT(seed, act->target_key);
}

static void draw_machine(uint64_t *seed, struct machine *machine)
{
	*machine = (struct machine){ .state = draw(seed, ENGINE_STATE_COUNT), .step = draw(seed, 8), .tried = draw(seed, 256), .failed_rounds = draw(seed, 9),
		.since_boot_ns = (int64_t)draw_u64(seed) >> 4, .hold_until_boot_ns = (int64_t)draw_u64(seed) >> 4 };
	DRAW_TEXT(seed, machine->policy);
	DRAW_TEXT(seed, machine->target_key);
	if (draw(seed, 2))
		draw_id(seed, machine->incident);
}

static void draw_foreign(uint64_t *seed, struct foreign_kill *kill)
{
	*kill = (struct foreign_kill){ .pid = (int32_t)draw(seed, 99999), .start_ns = draw_u64(seed), .cgroup_id = draw_u64(seed), .boot_ns = (int64_t)draw(seed, 1000000),
		.wall_ns = draw_time(seed), .killer = draw(seed, KILLER_COUNT), .of_node = draw(seed, 2) };
	DRAW_TEXT(seed, kill->comm);
}

static void draw_lesson(uint64_t *seed, struct lesson *lesson)
{
	*lesson = (struct lesson){ .kind = draw(seed, KIND_COUNT), .worked = draw(seed, 99), .failed = draw(seed, 99), .failed_in_a_row = draw(seed, 9),
		.boot_ns = (int64_t)draw(seed, 1000000), .wall_ns = draw_time(seed) };
	DRAW_TEXT(seed, lesson->cause);
	DRAW_TEXT(seed, lesson->remedy);
}

static void draw_state(uint64_t *seed, uint32_t acts, uint32_t machines, uint32_t incidents)
{
	memset(&from, 0, sizeof(from));
	strcpy(from.boot_id, "b1c2-boot");
	from.saved_boot_ns = 2000000;
	from.saved_wall_ns = WALL_NS;
	from.next_incident = draw_u64(seed);
	from.next_action = draw_u64(seed);
	from.pause = (struct pause){ .paused = true, .until_boot_ns = 3000000, .until_wall_ns = WALL_NS, .since_wall_ns = WALL_NS };
	DRAW_TEXT(seed, from.pause.reason);
	from.act_count = acts;
	from.machine_count = machines;
	from.incident_count = incidents;
	for (uint32_t i = 0; i < acts; i++)
		draw_act(seed, &from.acts[i]);
	for (uint32_t i = 0; i < machines; i++)
		draw_machine(seed, &from.machines[i]);
	for (uint32_t i = 0; i < incidents; i++)
		draw_incident(seed, &from.incidents[i]);
	from.foreign_count = acts < MAX_FOREIGN ? acts : MAX_FOREIGN;
	from.lesson_count = acts < MAX_LESSONS ? acts : MAX_LESSONS;
	for (uint32_t i = 0; i < from.foreign_count; i++)
		draw_foreign(seed, &from.foreign[i]);
	for (uint32_t i = 0; i < from.lesson_count; i++)
		draw_lesson(seed, &from.lessons[i]);
}

static struct state_file *opened(int dir_fd)
{
	struct state_file *file;
	assert_int_equal(state_open(dir_fd, &file), 0);
	return file;
}

static int load(int dir_fd, const char *boot_id, int64_t boot_ns, int64_t wall_ns, char why[WHY_LEN])
{
	struct state_file *file = opened(dir_fd);
	memset(&to, 0x5a, sizeof(to));
	int error = state_load(file, boot_id, boot_ns, wall_ns, &to, why, WHY_LEN);
	state_close(file);
	return error;
}

static void save(int dir_fd)
{
	struct state_file *file = opened(dir_fd);
	assert_int_equal(state_save(file, &from), 0);
	state_close(file);
}

static bool all_zero(const void *data, size_t size)
{
	const char *at = data;
	for (size_t i = 0; i < size; i++)
		if (at[i])
			return false;
	return true;
}

static void first_start_has_none(void **state)
{
	struct place *place = *state;
	char why[WHY_LEN];
	assert_int_equal(load(place->fd, "b", 1, 1, why), -ENOENT);
	assert_true(all_zero(&to, sizeof(to)));
	assert_string_equal(why, "");
}

static void saved_is_loaded(void **state)
{
	struct place *place = *state;
	char why[WHY_LEN];
	uint64_t seed = 11;
	for (uint32_t round = 0; round < 8; round++) {
		draw_state(&seed, round * 16, round * 8, round * 2);
		save(place->fd);
		assert_int_equal(load(place->fd, "b1c2-boot", 3000000, WALL_NS, why), 0);
		assert_string_equal(why, "");
		assert_memory_equal(&from, &to, sizeof(from));
	}
}

static void full_house_fits(void **state)
{
	struct place *place = *state;
	char why[WHY_LEN];
	uint64_t seed = 12;
	draw_state(&seed, MAX_ACTS, MAX_MACHINES, MAX_OPEN_INCIDENTS);
	save(place->fd);
	assert_int_equal(load(place->fd, "b1c2-boot", 3000000, WALL_NS, why), 0);
	assert_int_equal(to.act_count, MAX_ACTS);
	assert_int_equal(to.machine_count, MAX_MACHINES);
	assert_int_equal(to.incident_count, MAX_OPEN_INCIDENTS);
	assert_memory_equal(from.acts, to.acts, sizeof(from.acts));
}

/* Every byte escaped to six: the ledger stays, the evidence of incidents goes. */
static void hostile_house_keeps_its_ledger(void **state)
{
	struct place *place = *state;
	char why[WHY_LEN];
	uint64_t seed = 13;
	draw_state(&seed, MAX_ACTS, 0, MAX_OPEN_INCIDENTS);
	for (uint32_t i = 0; i < MAX_OPEN_INCIDENTS; i++) {
		struct incident *incident = &from.incidents[i];
		incident->cause_count = MAX_CAUSES;
		for (uint32_t j = 0; j < MAX_CAUSES; j++) {
			memset(incident->causes[j].cgroup, 1, PATH_LEN - 1);
			memset(incident->causes[j].evidence, 1, EVIDENCE_LEN - 1);
		}
		incident->history_count = MAX_INCIDENT_HISTORY;
		for (uint32_t j = 0; j < MAX_INCIDENT_HISTORY; j++)
			memset(incident->history[j].why, 1, WHY_LEN - 1);
	}
	save(place->fd);
	assert_int_equal(load(place->fd, "b1c2-boot", 3000000, WALL_NS, why), 0);
	assert_memory_equal(from.acts, to.acts, sizeof(from.acts));
	assert_int_equal(to.incident_count, MAX_OPEN_INCIDENTS);
	assert_string_equal(to.incidents[7].id, from.incidents[7].id);
	assert_int_equal(to.incidents[7].cause_count, 0);
}

/* A cooldown counts by its key: a comm of invalid UTF-8 must not slip out of it by a restart. */
static void keys_keep_their_bytes(void **state)
{
	struct place *place = *state;
	char why[WHY_LEN];
	uint64_t seed = 14;
	draw_state(&seed, 1, 1, 0);
	strcpy(from.acts[0].target_key, "process:\xff\xfe\x9b");
	strcpy(from.machines[0].target_key, "process:\xc3");
	save(place->fd);
	assert_int_equal(load(place->fd, "b1c2-boot", 3000000, WALL_NS, why), 0);
	assert_string_equal(to.acts[0].target_key, from.acts[0].target_key);
	assert_string_equal(to.machines[0].target_key, from.machines[0].target_key);
}

static void reboot_moves_the_past_below_zero(void **state)
{
	struct place *place = *state;
	char why[WHY_LEN];
	uint64_t seed = 15;
	const int64_t second = (int64_t)NSEC_PER_SEC;
	draw_state(&seed, 3, 1, 1);
	from.saved_boot_ns = 1000 * second;
	from.saved_wall_ns = WALL_NS;
	from.acts[0].boot_ns = -40 * DAY_NS;
	from.acts[1].boot_ns = 400 * second; /* ten minutes before the save */
	from.acts[2].boot_ns = 1000 * second;
	from.machines[0].since_boot_ns = 900 * second;
	from.machines[0].hold_until_boot_ns = 1600 * second; /* ten more minutes */
	from.incidents[0].opened_boot_ns = 100 * NSEC_PER_SEC;
	from.pause.until_boot_ns = 2000 * second;
	save(place->fd);

	/* Five minutes later by the wall, one minute into the new boot. */
	assert_int_equal(load(place->fd, "other", 60 * second, WALL_NS + 300 * second, why), 0);
	assert_string_equal(to.boot_id, "other");
	assert_int_equal(to.act_count, 2); /* older than 31 days: dropped */
	assert_int_equal(to.acts[0].boot_ns, (60 - 900) * second);
	assert_int_equal(to.acts[1].boot_ns, (60 - 300) * second);
	assert_int_equal(to.machines[0].since_boot_ns, (60 - 400) * second);
	assert_int_equal(to.machines[0].hold_until_boot_ns, (60 + 300) * second);
	assert_int_equal(to.pause.until_boot_ns, (60 + 700) * second);
	assert_int_equal(to.incidents[0].opened_boot_ns, 0);

	/* A wall clock that was set back, and a reboot: no time has passed, cooldowns hold. */
	assert_int_equal(load(place->fd, "third", 60 * second, WALL_NS - DAY_NS, why), 0);
	assert_int_equal(to.acts[to.act_count - 1].boot_ns, 60 * second);
	assert_int_equal(to.machines[0].hold_until_boot_ns, (60 + 600) * second);
	/* The same boot: nothing moves, whatever the wall says. */
	assert_int_equal(load(place->fd, "b1c2-boot", 1000 * second, WALL_NS + 50 * DAY_NS, why), 0);
	assert_int_equal(to.acts[0].boot_ns, 400 * second);
}

static void forever_stays_forever(void **state)
{
	struct place *place = *state;
	char why[WHY_LEN];
	uint64_t seed = 16;
	draw_state(&seed, 0, 1, 0);
	from.pause.until_boot_ns = 0;
	from.machines[0].hold_until_boot_ns = 0;
	save(place->fd);
	assert_int_equal(load(place->fd, "other", 5000000, WALL_NS + DAY_NS, why), 0);
	assert_int_equal(to.pause.until_boot_ns, 0);
	assert_int_equal(to.machines[0].hold_until_boot_ns, 0);

	from.pause.until_boot_ns = from.saved_boot_ns + 1000; /* expires at the new boot's very zero: not "for ever" */
	save(place->fd);
	assert_int_equal(load(place->fd, "other", -1000, WALL_NS, why), 0);
	assert_int_not_equal(to.pause.until_boot_ns, 0);
}

static void damage(int dir_fd, const char *name, off_t at, const char *bytes, size_t size)
{
	int fd = openat(dir_fd, name, O_WRONLY);
	assert_int_equal(pwrite(fd, bytes, size, at), size);
	close(fd);
}

static void older_slot_counts_when_the_newer_is_broken(void **state)
{
	struct place *place = *state;
	char why[WHY_LEN];
	uint64_t seed = 17;
	draw_state(&seed, 2, 2, 1);
	from.next_action = 100;
	save(place->fd); /* a */
	from.next_action = 101;
	save(place->fd); /* b */
	assert_int_equal(load(place->fd, "b1c2-boot", 3000000, WALL_NS, why), 0);
	assert_int_equal(to.next_action, 101);

	damage(place->fd, "state.json.b", 300, "\xff", 1);
	assert_int_equal(load(place->fd, "b1c2-boot", 3000000, WALL_NS, why), 0);
	assert_int_equal(to.next_action, 100);
	assert_non_null(strstr(why, "state.json.b"));

	from.next_action = 102;
	save(place->fd); /* over the broken one, never over the good one */
	damage(place->fd, "state.json.b", 300, "\xff", 1);
	assert_int_equal(load(place->fd, "b1c2-boot", 3000000, WALL_NS, why), 0);
	assert_int_equal(to.next_action, 100);
}

static int count_aside(int dir_fd)
{
	return (int)(files_aside(dir_fd, "state.json.a") + files_aside(dir_fd, "state.json.b"));
}

static void broken_slots_are_set_aside(void **state)
{
	struct place *place = *state;
	char why[WHY_LEN];
	uint64_t seed = 18;
	draw_state(&seed, 2, 2, 1);
	save(place->fd);
	save(place->fd);
	damage(place->fd, "state.json.a", 72, "x", 1); /* a digit may be the one that is there */
	int fd = openat(place->fd, "state.json.b", O_WRONLY);
	assert_int_equal(ftruncate(fd, 200), 0);
	close(fd);
	assert_int_equal(load(place->fd, "b1c2-boot", 3000000, WALL_NS, why), -EBADMSG);
	assert_true(all_zero(&to, sizeof(to)));
	assert_true(why[0] != '\0');
	assert_int_equal(count_aside(place->fd), 2);

	save(place->fd);
	assert_int_equal(load(place->fd, "b1c2-boot", 3000000, WALL_NS, why), 0);
	assert_string_equal(why, "");
}

static void truncated_to_nothing_is_damage(void **state)
{
	struct place *place = *state;
	char why[WHY_LEN];
	draw_state(&(uint64_t){ 19 }, 1, 0, 0);
	save(place->fd);
	for (int i = 0; i < 2; i++) {
		int fd = openat(place->fd, i ? "state.json.a" : "state.json.b", O_WRONLY | O_TRUNC);
		close(fd);
	}
	assert_int_equal(load(place->fd, "b1c2-boot", 3000000, WALL_NS, why), -EBADMSG);
}

#define DOCUMENT(acts, machines, incidents) \
	"{\"schema\":\"nodemend.state/1\",\"boot_id\":\"b\",\"saved_boot_ns\":\"5\",\"next_incident\":\"1\",\"next_action\":\"1\"," \
	"\"pause\":{\"paused\":false},\"acts\":[" acts "],\"machines\":[" machines "],\"incidents\":[" incidents "]}"
#define ACT(id, boot_ns) "{\"action\":\"" id "\",\"policy\":\"p\",\"remedy\":\"r\",\"target_key\":\"k\",\"boot_ns\":\"" boot_ns "\"}"
#define MACHINE(state, more) "{\"policy\":\"p\",\"target_key\":\"k\",\"state\":\"" state "\",\"since_boot_ns\":\"0\"" more "}"

/* A document with a right hash may still say anything. */
static void documents_are_bounded(void **state)
{
	static const struct { const char *text; int verdict; } cases[] = {
		{ DOCUMENT("", "", ""), 0 },
		{ DOCUMENT(ACT("a", "9223372036854775807"), MACHINE("ok", ""), ""), 0 },
		{ DOCUMENT(ACT("a", "9223372036854775808"), "", ""), -EBADMSG },
		{ DOCUMENT(ACT("a", " 1"), "", ""), -EBADMSG },
		{ DOCUMENT(ACT("../a", "1"), "", ""), -EBADMSG },
		{ DOCUMENT("{\"action\":\"a\"}", "", ""), -EBADMSG },
		{ DOCUMENT("", MACHINE("dreaming", ""), ""), -EBADMSG },
		{ DOCUMENT("", MACHINE("ok", ",\"step\":-1"), ""), -EBADMSG },
		{ DOCUMENT("", MACHINE("ok", ",\"target_key_bytes\":\"00\""), ""), -EBADMSG },
		{ DOCUMENT("", "", "{}"), -EBADMSG },
		{ "{\"schema\":\"nodemend.state/2\"}", -EBADMSG },
		{ "", -EBADMSG },
	};
	char why[WHY_LEN], anchor[DIGEST_LEN];
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(state_parse(cases[i].text, strlen(cases[i].text), &to, anchor, why, sizeof(why)), cases[i].verdict);
		assert_int_equal(why[0] == '\0', cases[i].verdict == 0);
		if (cases[i].verdict == 0)
			state_translate(&to, "elsewhere", INT64_MIN, INT64_MIN); /* saturates, says the sanitizer */
	}
}

static void act_of_the_future_holds_no_cooldown_for_ever(void **state)
{
	memset(&to, 0, sizeof(to));
	strcpy(to.boot_id, "b");
	to.act_count = 1;
	to.acts[0].boot_ns = INT64_MAX;
	state_translate(&to, "b", 1000, WALL_NS);
	assert_int_equal(to.acts[0].boot_ns, 1000);
}

/* The child counts next_action up and says each save on the pipe once it has returned. */
static _Noreturn void save_for_ever(int dir_fd, int pipe_fd)
{
	struct state_file *file;
	char why[WHY_LEN];
	if (state_open(dir_fd, &file) < 0)
		_exit(1);
	if (state_load(file, "b1c2-boot", 3000000, WALL_NS, &from, why, sizeof(why)) < 0)
		_exit(2);
	for (;;) {
		from.next_action++;
		if (state_save(file, &from) < 0)
			_exit(3);
		if (write(pipe_fd, &from.next_action, sizeof(from.next_action)) < 0)
			_exit(4);
	}
}

static void kill_at_any_moment_loses_nothing_saved(void **state)
{
	struct place *place = *state;
	char why[WHY_LEN];
	uint64_t seed = 20, told = 1;
	draw_state(&seed, 8, 4, 2);
	from.next_action = 1;
	save(place->fd);
	for (int round = 0; round < 200; round++) {
		int ends[2];
		assert_int_equal(pipe(ends), 0);
		pid_t child = fork();
		if (child == 0)
			save_for_ever(place->fd, ends[1]);
		close(ends[1]);
		for (uint32_t i = draw(&seed, 4); i > 0; i--)
			assert_int_equal(read(ends[0], &told, sizeof(told)), sizeof(told));
		for (uint32_t spin = draw(&seed, 2000); spin > 0; spin--)
			sched_yield(); /* a moment anywhere inside a save */
		kill(child, SIGKILL);
		int status;
		waitpid(child, &status, 0);
		assert_true(WIFSIGNALED(status));
		while (read(ends[0], &told, sizeof(told)) == sizeof(told))
			continue;
		close(ends[0]);
		assert_int_equal(load(place->fd, "b1c2-boot", 3000000, WALL_NS, why), 0);
		assert_true(to.next_action >= told);
		assert_memory_equal(to.acts, from.acts, sizeof(from.acts[0]));
	}
}

static void no_room_is_said(void **state)
{
	struct place *place = *state;
	struct state_file *file;
	struct rlimit before, small = { 1 << 18, RLIM_INFINITY };
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	small.rlim_max = before.rlim_max;
	setrlimit(RLIMIT_FSIZE, &small); /* a file may not grow to a slot: as good as a full disk */
	int error = state_open(place->fd, &file);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(error, -EFBIG);
	assert_int_equal(faccessat(place->fd, "state.json.a", F_OK, 0), -1); /* no half slot is left */
	state_close(opened(place->fd));
}

static void saving_never_allocates(void **state)
{
	struct place *place = *state;
	struct stat before, after;
	struct state_file *file = opened(place->fd);
	uint64_t seed = 21;
	fstatat(place->fd, "state.json.a", &before, 0);
	draw_state(&seed, MAX_ACTS, MAX_MACHINES, 20);
	for (int i = 0; i < 4; i++)
		assert_int_equal(state_save(file, &from), 0);
	fstatat(place->fd, "state.json.a", &after, 0);
	assert_int_equal(before.st_size, STATE_SLOT_SIZE);
	assert_true(before.st_blocks >= STATE_SLOT_SIZE / 512);
	assert_int_equal(before.st_blocks, after.st_blocks);
	assert_int_equal(after.st_size, STATE_SLOT_SIZE);
	state_close(file);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, place_make, place_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(first_start_has_none), IN_PLACE(saved_is_loaded), IN_PLACE(full_house_fits), IN_PLACE(hostile_house_keeps_its_ledger),
		IN_PLACE(keys_keep_their_bytes), IN_PLACE(reboot_moves_the_past_below_zero), IN_PLACE(forever_stays_forever),
		IN_PLACE(older_slot_counts_when_the_newer_is_broken), IN_PLACE(broken_slots_are_set_aside), IN_PLACE(truncated_to_nothing_is_damage),
		cmocka_unit_test(documents_are_bounded), cmocka_unit_test(act_of_the_future_holds_no_cooldown_for_ever),
		IN_PLACE(kill_at_any_moment_loses_nothing_saved), IN_PLACE(no_room_is_said), IN_PLACE(saving_never_allocates),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
