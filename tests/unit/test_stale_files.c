/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vacuum-journal, prune-coredumps and prune-packages: which names are meant, which stay, whose locks are heeded. In the places where a system has them,
 * which are the test's own filesystem here, bound there in a mount namespace that ends with the test.
 */
#include "disk_fixture.h"

#include "attack.h"

enum { USER_A = 12001, USER_B = 12002 };
#define BOOT "0123456789abcdef0123456789abcdef"
#define SEQ(n_) "@" BOOT "-000000000000000" #n_ "-000600000000000" #n_ ".journal"

static struct clean_fixture fixture;
static bool bound;

static struct stale_files_args *args(void)
{
	return fixture.request.remedy == REMEDY_VACUUM_JOURNAL ? &fixture.request.args.vacuum_journal :
	       fixture.request.remedy == REMEDY_PRUNE_COREDUMPS ? &fixture.request.args.prune_coredumps : &fixture.request.args.prune_packages;
}

static void begin(enum remedy_id remedy)
{
	disk_reset(&fixture, remedy);
	args()->max_bytes = 1ULL << 40;
	args()->max_files = 1000;
	snprintf(args()->root, PATH_LEN, "%s", fixture.root);
}

static int reset(void **state)
{
	bound = false;
	return 0;
}

/*
 * A /var and a /run in which all the places are there, in this mount namespace alone: nothing is made in the host's own. What else lies in /var is bound
 * there as it is.
 */
static void make_places(void)
{
	static const char *const own[] = { "crash", "cache/apt/archives", "cache/dnf", "lib", "tmp" }, *const hosts[] = { "lib", "tmp" };
	char var[PATH_LEN], path[PATH_LEN * 2], host[PATH_LEN];
	snprintf(var, sizeof(var), "%.60s/var", fixture.dir);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", var, own[i]);
		fixture_make_dirs(path, i == 0 ? 01777 : 0755);
	}
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", var, hosts[i]);
		snprintf(host, sizeof(host), "/var/%s", hosts[i]);
		assert_int_equal(mount(host, path, NULL, MS_BIND | MS_REC, NULL), 0);
	}
	assert_int_equal(mount(var, "/var", NULL, MS_BIND | MS_REC, NULL), 0);
	assert_int_equal(mount("run", "/run", "tmpfs", 0, "mode=755"), 0);
	fixture_make_dirs("/run/log/journal", 0755);
}

/* The test's own directory at one of the places. */
static void bind_at(const char *path)
{
	assert_int_equal(mount(fixture.root, path, NULL, MS_BIND, NULL), 0);
	bound = true;
	args()->root[0] = '\0';
}

static void unbind(const char *path)
{
	if (bound)
		assert_int_equal(umount2(path, MNT_DETACH), 0);
	bound = false;
}

/* --- vacuum-journal ------------------------------------------------------------------------------------------------------------- */

static void only_archived_journals_go_the_oldest_first(void **state)
{
	begin(REMEDY_VACUUM_JOURNAL);
	fixture_put(&fixture, "m/system.journal", 1024, 3 * OLD);          /* being written to, whatever its date */
	fixture_put(&fixture, "m/user-1000.journal", 1024, 3 * OLD);
	fixture_put(&fixture, "m/system@odd.journal", 64, 3 * OLD);
	fixture_put(&fixture, "m/system" SEQ(1), 1024, OLD + 30);
	fixture_put(&fixture, "m/system" SEQ(2), 1024, OLD + 20);
	fixture_put(&fixture, "m/system" SEQ(3), 1024, OLD + 10);
	fixture_put(&fixture, "m/user-1000" SEQ(4), 1024, 2 * OLD);
	fixture_put(&fixture, "m/system@0006000000000000-0123456789abcdef.journal~", 1024, OLD + 40);
	fixture_put(&fixture, "m/system" SEQ(5) ".gz", 64, 2 * OLD);
	args()->keep_newest = 1;
	uint64_t before = disk_free(&fixture);
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_FIXED);
	disk_says_truth(&fixture, before);
	assert_int_equal(fixture.result.observed.freed_files, 3);
	assert_true(fixture_has(&fixture, "m/system.journal") && fixture_has(&fixture, "m/user-1000.journal") && fixture_has(&fixture, "m/system@odd.journal"));
	assert_true(fixture_has(&fixture, "m/system" SEQ(3)) && fixture_has(&fixture, "m/user-1000" SEQ(4)) && fixture_has(&fixture, "m/system" SEQ(5) ".gz"));
	assert_false(fixture_has(&fixture, "m/system" SEQ(1)));
	assert_false(fixture_has(&fixture, "m/system" SEQ(2)));
	assert_false(fixture_has(&fixture, "m/system@0006000000000000-0123456789abcdef.journal~"));
}

static void so_much_of_the_journal_stays(void **state)
{
	begin(REMEDY_VACUUM_JOURNAL);
	fixture_put(&fixture, "m/system.journal", 1024, 3 * OLD); /* nothing but what it is keeps it here: none of the newest stay for that alone */
	fixture_put(&fixture, "m/system" SEQ(1), 1024, OLD + 30);
	fixture_put(&fixture, "m/system" SEQ(2), 1024, OLD + 20);
	fixture_put(&fixture, "m/system" SEQ(3), 1024, OLD + 10);
	args()->keep_bytes = 2560 * 1024; /* of four; a third one would go below it */
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_FIXED);
	assert_int_equal(fixture.result.observed.freed_files, 1);
	assert_false(fixture_has(&fixture, "m/system" SEQ(1)));
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_NO_EFFECT);
}

/* journalctl -f, or this agent's own reader, has every file open; a writer would be another matter. */
static void readers_are_no_hindrance_and_a_writer_is(void **state)
{
	char path[PATH_LEN * 2];
	begin(REMEDY_VACUUM_JOURNAL);
	fixture_put(&fixture, "m/system" SEQ(1), 64, OLD + 30);
	fixture_put(&fixture, "m/system" SEQ(2), 64, OLD + 20);
	int reader = open(fixture_path(&fixture, "m/system" SEQ(1), path), O_RDONLY | O_CLOEXEC);
	int writer = open(fixture_path(&fixture, "m/system" SEQ(2), path), O_RDWR | O_CLOEXEC);
	uint64_t before = disk_free(&fixture);
	fixture_run(&fixture);
	assert_false(fixture_has(&fixture, "m/system" SEQ(1)));
	assert_true(fixture_has(&fixture, "m/system" SEQ(2)));
	disk_is(&fixture, OUTCOME_NO_EFFECT);           /* the reader has the space still, and that is what is told */
	assert_int_equal(disk_free(&fixture), before);
	close(reader);
	close(writer);
}

static void the_journal_in_run_is_its_own_to_clean(void **state)
{
	begin(REMEDY_VACUUM_JOURNAL);
	fixture_put(&fixture, "m/system" SEQ(1), 1024, OLD);
	bind_at("/run/log/journal");
	fixture_run(&fixture);
	unbind("/run/log/journal");
	disk_is(&fixture, OUTCOME_FIXED);
	snprintf(args()->root, PATH_LEN, "/run/log");
	disk_refused(&fixture, "protected-root");
}

/* --- prune-coredumps ------------------------------------------------------------------------------------------------------------- */

static void the_newest_core_of_each_program_stays(void **state)
{
	begin(REMEDY_PRUNE_COREDUMPS);
	fixture_put(&fixture, "core.nginx.33." BOOT ".10.1700000000000000.zst", 256, OLD + 30);
	fixture_put(&fixture, "core.nginx.33." BOOT ".11.1700000001000000.zst", 256, OLD + 20);
	fixture_put(&fixture, "core.nginx.33." BOOT ".12.1700000002000000.zst", 256, OLD + 10);
	fixture_put(&fixture, "core.rare.0." BOOT ".13.1600000000000000", 256, 9 * OLD);
	fixture_put(&fixture, "core.py\\x2ethon.0." BOOT ".14.1600000000000000.lz4", 256, 9 * OLD);
	fixture_put(&fixture, "core.notes.txt", 64, 9 * OLD);
	fixture_put(&fixture, "core.a.b." BOOT ".14.1600000000000000.lz4", 64, 9 * OLD);
	args()->keep_newest = 1;
	uint64_t before = disk_free(&fixture);
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_FIXED);
	disk_says_truth(&fixture, before);
	assert_int_equal(fixture.result.observed.freed_files, 2);
	assert_true(fixture_has(&fixture, "core.nginx.33." BOOT ".12.1700000002000000.zst") && fixture_has(&fixture, "core.rare.0." BOOT ".13.1600000000000000"));
	assert_true(fixture_has(&fixture, "core.py\\x2ethon.0." BOOT ".14.1600000000000000.lz4") && fixture_has(&fixture, "core.notes.txt"));
	assert_true(fixture_has(&fixture, "core.a.b." BOOT ".14.1600000000000000.lz4"));
}

static void a_program_without_room_among_the_kinds_keeps_its_cores(void **state)
{
	char name[160];
	begin(REMEDY_PRUNE_COREDUMPS);
	for (int i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "core.p%d.0." BOOT ".14.1600000000000000.lz4", i);
		fixture_put(&fixture, name, 4, OLD);
	}
	args()->keep_newest = 1;
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_NO_EFFECT);
	assert_non_null(strstr(disk_detail(&fixture, "look"), "512 newest"));
	assert_non_null(strstr(disk_detail(&fixture, "look"), "88 not looked at"));
}

/* Everybody may make files in /var/crash: each goes with the powers of its owner, and of him alone. */
static void crashes_of_everybody_go_as_their_owners(void **state)
{
	char path[PATH_LEN * 2];
	begin(REMEDY_PRUNE_COREDUMPS);
	assert_int_equal(chmod(fixture.root, 01777), 0);
	static const struct { const char *name; uid_t uid; int age; } files[] = {
		{ "_usr_bin_a.12001.crash", USER_A, OLD }, { "_usr_bin_a.12002.crash", USER_B, OLD + 10 }, { "_usr_sbin_b.0.crash", 0, OLD }, { "_usr_sbin_b.12001.crash", USER_A, OLD + 10 },
	};
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		fixture_put(&fixture, files[i].name, 64, files[i].age);
		assert_int_equal(chown(fixture_path(&fixture, files[i].name, path), files[i].uid, files[i].uid), 0);
	}
	disk_refused(&fixture, "writable-root"); /* under another name it is anybody's directory */
	args()->keep_newest = 1;
	bind_at("/var/crash");
	snprintf(args()->root, PATH_LEN, "/var/crash");
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_FIXED);
	assert_int_equal(fixture.result.observed.freed_files, 2);
	/* Where its owner may not delete it, neither may we: it is his power that is used. */
	fixture_put(&fixture, "_usr_bin_a.12003.crash", 64, 2 * OLD);
	assert_int_equal(chown(fixture_path(&fixture, "_usr_bin_a.12003.crash", path), USER_B, USER_B), 0);
	assert_int_equal(chmod(fixture.root, 01755), 0);
	fixture_run(&fixture);
	unbind("/var/crash");
	disk_is(&fixture, OUTCOME_FAILED);
	assert_true(fixture_has(&fixture, "_usr_bin_a.12003.crash"));
	assert_false(fixture_has(&fixture, "_usr_bin_a.12002.crash"));
	assert_false(fixture_has(&fixture, "_usr_sbin_b.12001.crash"));
	assert_true(fixture_has(&fixture, "_usr_bin_a.12001.crash") && fixture_has(&fixture, "_usr_sbin_b.0.crash"));
}

/* A user swaps, in the sticky directory, his old crash and a link to what he may not delete. */
static bool swap_for_a_link(uint64_t count, void *context)
{
	int dir_fd = *(const int *)context;
	(void)unlinkat(dir_fd, "swap", 0);
	if (count % 2) {
		(void)!symlinkat("../outside/sentinel.crash", dir_fd, "swap");
	} else {
		int fd = openat(dir_fd, "swap", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
		(void)!write(fd, "x", 1);
		(void)futimens(fd, (struct timespec[2]){ { .tv_sec = 1000 }, { .tv_sec = 1000 } });
		close(fd);
	}
	(void)renameat(dir_fd, "swap", dir_fd, "v.1.crash");
	/* and lays a trap where a file is moved aside */
	(void)!linkat(dir_fd, "v.1.crash", dir_fd, ".nodemend-deleting-1", 0);
	(void)unlinkat(dir_fd, ".nodemend-deleting-1", 0);
	return true;
}

static void attackers_in_the_sticky_directory_get_nothing(void **state)
{
	char path[PATH_LEN * 2], outside[PATH_LEN];
	struct attack attack;
	begin(REMEDY_PRUNE_COREDUMPS);
	snprintf(outside, sizeof(outside), "%.60s/app/outside", fixture.dir);
	fixture_make_dirs(outside, 0755);
	fixture_put(&fixture, "../outside/sentinel.crash", 4, OLD);
	assert_int_equal(chmod(fixture.root, 01777), 0);
	fixture_put(&fixture, "of-b.2.crash", 4, 0); /* young, and B's: it stays */
	assert_int_equal(chown(fixture_path(&fixture, "of-b.2.crash", path), USER_B, USER_B), 0);
	args()->min_age_ns = 0;
	bind_at("/var/crash");
	snprintf(args()->root, PATH_LEN, "/var/crash");
	int dir_fd = open(fixture.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	attack_start(&attack, USER_A, swap_for_a_link, &dir_fd);
	while (!attack.shared->turns)
		usleep(1000);
	uint64_t rounds = attack_rounds(60), begun = clock_boot_ns(), freed = 0, broken;
	args()->keep_newest = 1; /* of each kin: of-b is alone in its own */
	for (uint64_t round = 0; round < rounds && clock_boot_ns() - begun < NSEC_PER_SEC; round++) {
		fixture_put(&fixture, "w.1.crash", 4, 0);
		fixture_put(&fixture, "w.0.crash", 4, OLD); /* whatever the attacker does with his, this one goes */
		assert_int_equal(chown(fixture_path(&fixture, "w.0.crash", path), USER_A, USER_A), 0);
		fixture.request.deadline_boot_ns = clock_boot_ns() + 10 * NSEC_PER_SEC;
		fixture_run(&fixture);
		freed += fixture.result.observed.freed_files != UNKNOWN ? fixture.result.observed.freed_files : 0;
		assert_true(fixture_has(&fixture, "../outside/sentinel.crash") && fixture_has(&fixture, "of-b.2.crash"));
	}
	assert_true(attack_stop(&attack, &broken) > 0);
	close(dir_fd);
	unbind("/var/crash");
	assert_true(freed > 0);
}

/* --- prune-packages -------------------------------------------------------------------------------------------------------------- */

static void put_packages(void)
{
	begin(REMEDY_PRUNE_PACKAGES);
	fixture_put(&fixture, "a_1.0_amd64.deb", 256, OLD);
	fixture_put(&fixture, "b_1.0_all.deb", 256, OLD);
	fixture_put(&fixture, "pkgcache.bin", 64, OLD);
	fixture_put(&fixture, "partial/c_1.0_all.deb", 64, OLD);
	fixture_put(&fixture, "lock", 0, OLD);
}

static void packages_go_and_nothing_else(void **state)
{
	put_packages();
	uint64_t before = disk_free(&fixture);
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_FIXED);
	disk_says_truth(&fixture, before);
	assert_int_equal(fixture.result.observed.freed_files, 2);
	assert_true(fixture_has(&fixture, "pkgcache.bin") && fixture_has(&fixture, "partial/c_1.0_all.deb") && fixture_has(&fixture, "lock"));
}

/* In another process, as apt: fcntl locks of one's own are no hindrance to oneself. */
static pid_t lock_elsewhere(const char *path)
{
	int gate[2];
	char byte;
	assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (fd < 0 || fcntl(fd, F_SETLK, &lock) < 0 || write(gate[1], "l", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(gate[1]);
	assert_int_equal(read(gate[0], &byte, 1), 1);
	close(gate[0]);
	return pid;
}

static void end_elsewhere(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void nothing_goes_while_the_manager_is_at_work(void **state)
{
	char path[PATH_LEN * 2];
	put_packages();
	pid_t apt = lock_elsewhere(fixture_path(&fixture, "lock", path));
	disk_refused(&fixture, "package-manager");
	fixture.request.verb = REMEDY_VERB_PLAN;
	disk_refused(&fixture, "package-manager");
	fixture.request.verb = REMEDY_VERB_APPLY;
	end_elsewhere(apt);
	if (access("/var/lib/dpkg", F_OK) == 0) {
		char dpkg[PATH_LEN];
		snprintf(dpkg, sizeof(dpkg), "%.60s/app/dpkg", fixture.dir);
		fixture_make_dirs(dpkg, 0755);
		assert_int_equal(mount(dpkg, "/var/lib/dpkg", NULL, MS_BIND, NULL), 0);
		static const char *const locks[] = { "/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock" };
		for (size_t i = 0; i < 2; i++) {
			apt = lock_elsewhere(locks[i]);
			disk_refused(&fixture, "package-manager");
			assert_non_null(strstr(fixture.result.why, locks[i]));
			end_elsewhere(apt);
		}
		assert_int_equal(umount2("/var/lib/dpkg", MNT_DETACH), 0);
	}
	assert_true(fixture_has(&fixture, "a_1.0_amd64.deb") && fixture_has(&fixture, "b_1.0_all.deb"));
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_FIXED);
}

/* The real apt's own `clean` of that layout finds the lock that we would hold, and our own act is nothing that it stumbles over. */
static void the_real_apt_cleans_there_afterwards(void **state)
{
	char archives[PATH_LEN + 32];
	put_packages();
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_FIXED);
	if (access("/usr/bin/apt-get", X_OK) < 0)
		skip();
	snprintf(archives, sizeof(archives), "Dir::Cache::archives=%.200s/", fixture.root);
	char path[PATH_LEN * 2];
	pid_t other = lock_elsewhere(fixture_path(&fixture, "lock", path));
	assert_int_not_equal(fixture_spawn((const char *const[]){ "apt-get", "-o", archives, "clean", NULL }), 0); /* it is the lock that apt heeds */
	end_elsewhere(other);
	fixture_put(&fixture, "d_1.0_all.deb", 64, OLD);
	assert_int_equal(fixture_spawn((const char *const[]){ "apt-get", "-o", archives, "clean", NULL }), 0);
	assert_false(fixture_has(&fixture, "d_1.0_all.deb"));
}

static void no_lock_is_made_in_anothers_directory(void **state)
{
	begin(REMEDY_PRUNE_PACKAGES);
	fixture_put(&fixture, "a_1.0_amd64.deb", 64, OLD);
	assert_int_equal(chown(fixture.root, USER_A, USER_A), 0);
	disk_refused(&fixture, "writable-root");
	assert_false(fixture_has(&fixture, "lock"));
}

static void dnf_says_by_a_number_that_it_is_at_work(void **state)
{
	char path[PATH_LEN * 2], number[32];
	begin(REMEDY_PRUNE_PACKAGES);
	fixture_put(&fixture, "updates-1/repomd.xml", 4, OLD);
	fixture_put(&fixture, "updates-1/packages/a-1.0.x86_64.rpm", 256, OLD);
	fixture_put(&fixture, "updates-1/repodata/primary.xml.gz", 64, OLD);
	bind_at("/var/cache/dnf");
	snprintf(args()->root, PATH_LEN, "/var/cache/dnf");
	int fd = open(fixture_path(&fixture, "metadata_lock.pid", path), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	snprintf(number, sizeof(number), "%d", (int)getpid());
	assert_int_equal(write(fd, number, strlen(number)), (ssize_t)strlen(number));
	disk_refused(&fixture, "package-manager");
	assert_int_equal(ftruncate(fd, 0), 0);
	close(fd);
	fixture_run(&fixture);
	unbind("/var/cache/dnf");
	disk_is(&fixture, OUTCOME_FIXED);
	assert_true(fixture_has(&fixture, "updates-1/repodata/primary.xml.gz"));
}

/* --- all three --------------------------------------------------------------------------------------------------------------------- */

static void what_makes_no_sense_is_refused(void **state)
{
	static const enum remedy_id all[] = { REMEDY_VACUUM_JOURNAL, REMEDY_PRUNE_COREDUMPS, REMEDY_PRUNE_PACKAGES };
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		begin(all[i]);
		args()->max_bytes = 0;
		disk_refused(&fixture, "invalid-request");
		begin(all[i]);
		args()->max_files = UINT32_MAX;
		disk_refused(&fixture, "invalid-request");
		begin(all[i]);
		args()->keep_newest = 65;
		disk_refused(&fixture, "invalid-request");
		begin(all[i]);
		memset(args()->root, '/', PATH_LEN);
		disk_refused(&fixture, "invalid-request");
		begin(all[i]);
		snprintf(args()->root, PATH_LEN, "/etc/x");
		disk_refused(&fixture, access("/etc/x", F_OK) == 0 ? "protected-root" : "no-such-root");
		begin(all[i]);
		fixture.request.verb = REMEDY_VERB_CHECK;
		fixture_run(&fixture);
		assert_true(fixture.result.armed);
	}
}

static int end(void **state)
{
	umount2("/run", MNT_DETACH);
	umount2("/var", MNT_DETACH);
	fixture_unmount(&fixture);
	return 0;
}

#define TEST(name_) cmocka_unit_test_setup(name_, reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_archived_journals_go_the_oldest_first), TEST(so_much_of_the_journal_stays), TEST(readers_are_no_hindrance_and_a_writer_is),
		TEST(the_journal_in_run_is_its_own_to_clean), TEST(the_newest_core_of_each_program_stays),
		TEST(a_program_without_room_among_the_kinds_keeps_its_cores), TEST(crashes_of_everybody_go_as_their_owners),
		TEST(attackers_in_the_sticky_directory_get_nothing), TEST(packages_go_and_nothing_else), TEST(nothing_goes_while_the_manager_is_at_work),
		TEST(the_real_apt_cleans_there_afterwards), TEST(no_lock_is_made_in_anothers_directory), TEST(dnf_says_by_a_number_that_it_is_at_work),
		TEST(what_makes_no_sense_is_refused),
	};
	if (fixture_mount(&fixture) < 0) {
		printf("SKIP vacuum-journal, prune-coredumps, prune-packages: not root, or no loop device to mount\n");
		return 0;
	}
	make_places();
	return cmocka_run_group_tests(tests, NULL, end);
}
