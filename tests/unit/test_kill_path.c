/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must not happen between the request and the signal, where memory is short: no allocation, no new process, no look at what a process can make
 * slow to read (cmdline, environ, maps, smaps). And a cgroup that was frozen is let go on every way out.
 */
#include "victim_fixture.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <sys/syscall.h>

#include "remedies/freeze.h"
#include "remedies/group.h"

/* --- what is counted: these stand before libc's, for libc's own calls as well ----------------------------------------------------- */

static bool counting;
static uint32_t allocations, births, opened, slow_reads;
static char slow_read[64];

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define ALLOCATIONS_ARE_COUNTED false
#else
#define ALLOCATIONS_ARE_COUNTED true
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *was, size_t size);

void *malloc(size_t size)
{
	allocations += counting;
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	allocations += counting;
	return __libc_calloc(count, size);
}

void *realloc(void *was, size_t size)
{
	allocations += counting;
	return __libc_realloc(was, size);
}
#endif

static void note_name(const char *name)
{
	static const char *const slow[] = { "cmdline", "environ", "maps", "smaps", "smaps_rollup", "pagemap", "numa_maps" };
	const char *last = strrchr(name, '/');
	last = last ? last + 1 : name;
	opened += counting;
	for (size_t i = 0; counting && i < sizeof(slow) / sizeof(slow[0]); i++)
		if (strcmp(last, slow[i]) == 0) {
			slow_reads++;
			snprintf(slow_read, sizeof(slow_read), "%.60s", name);
		}
}

static mode_t mode_of(int flags, va_list more)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
}

#define OPENS(name_) \
	int name_(const char *path, int flags, ...) \
	{ \
		va_list more; \
		va_start(more, flags); \
		mode_t mode = mode_of(flags, more); \
		va_end(more); \
		note_name(path); \
		return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode); \
	}
#define OPENS_AT(name_) \
	int name_(int at, const char *path, int flags, ...) \
	{ \
		va_list more; \
		va_start(more, flags); \
		mode_t mode = mode_of(flags, more); \
		va_end(more); \
		note_name(path); \
		return (int)syscall(SYS_openat, at, path, flags, mode); \
	}
OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)

pid_t fork(void)
{
	static pid_t (*real)(void);
	if (!real)
		real = (pid_t (*)(void))dlsym(RTLD_NEXT, "fork");
	births += counting;
	return real();
}

/* --- the path --------------------------------------------------------------------------------------------------------------------- */

static struct remedy_request request;
static struct remedy_result result;

static void run_counted(void)
{
	allocations = births = opened = slow_reads = 0;
	counting = true;
	hands_run(&request, &result);
	counting = false;
	if (slow_reads)
		fail_msg("read %s", slow_read);
	assert_int_equal(births, 0);
	assert_int_equal(allocations, 0);
	assert_true(opened > 0); /* the counting works at all */
}

/* This file's own account would be worth nothing if it did not see what is done. */
static void what_is_forbidden_would_be_seen(void **state)
{
	(void)state;
	allocations = births = slow_reads = 0;
	counting = true;
	FILE *file = fopen("/proc/self/limits", "re"); /* allocates its buffer */
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	pid_t child = fork();
	counting = false;
	if (child == 0)
		_exit(0);
	fclose(file);
	close(fd);
	waitpid(child, NULL, 0);
	assert_int_equal(slow_reads, 1);
	assert_int_equal(births, 1);
	if (ALLOCATIONS_ARE_COUNTED)
		assert_true(allocations > 0);
}

static void ending_a_process_allocates_nothing(void **state)
{
	(void)state;
	pid_t bystander = victim_start(OBEDIENT), pid = victim_start(STUBBORN);
	victim_request(&request, 0);
	snprintf(request.protect.comms[0], NAME_LEN, "nobody-is-called-so");
	request.protect.comm_count = 1;
	request.candidate_count = 2;
	request.candidates[0] = victim_cause(bystander);
	request.candidates[0].start_ns += NSEC_PER_SEC; /* another process by now: the one that is passed over is looked at, too */
	request.candidates[1] = victim_cause(pid);
	run_counted();
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_true(victim_is_alive(bystander));
	victim_reap(bystander);
}

/* --- a cgroup --------------------------------------------------------------------------------------------------------------------- */

enum { TOO_MANY_GROUPS = 300 }; /* more than the hands look at */
static char dir[PATH_LEN], book[PATH_LEN];
static const char *path;
static uint64_t id;

static int procs_of(void)
{
	char name[PATH_LEN + 32];
	snprintf(name, sizeof(name), "%s/cgroup.procs", dir);
	return open(name, O_WRONLY | O_CLOEXEC);
}

static int make_cgroup(void **state)
{
	struct stat found;
	const char *mount = access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
	snprintf(dir, sizeof(dir), "%s/nm.path-%d", mount, (int)getpid());
	snprintf(book, sizeof(book), "/tmp/nodemend-path-%d", (int)getpid());
	*state = NULL;
	if (mkdir(dir, 0755) < 0 || stat(dir, &found) < 0)
		return 0; /* each test says that it is skipped */
	path = dir + strlen(mount);
	id = found.st_ino;
	*state = dir;
	return 0;
}

static int remove_cgroup(void **state)
{
	if (!*state)
		return 0;
	char name[PATH_LEN + 32];
	snprintf(name, sizeof(name), "%s/cgroup.kill", dir);
	int fd = open(name, O_WRONLY | O_CLOEXEC); /* whom a failed test left behind */
	(void)!write(fd, "1", 1);
	close(fd);
	for (int i = 0; i < TOO_MANY_GROUPS; i++) {
		snprintf(name, sizeof(name), "%s/%d", dir, i);
		(void)rmdir(name);
	}
	for (int i = 0; rmdir(dir) < 0 && errno == EBUSY && i < 2000; i++) {
		(void)waitpid(-1, NULL, WNOHANG);
		usleep(1000);
	}
	(void)unlink(book);
	return access(dir, F_OK) == 0;
}

static void need_cgroup(void **state)
{
	if (!*state)
		skip(); /* no v2 hierarchy that may be written */
}

static char frozen(void)
{
	char name[PATH_LEN + 32], text = '?';
	snprintf(name, sizeof(name), "%s/cgroup.freeze", dir);
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, &text, 1), 1);
	close(fd);
	return text;
}

static void ending_a_cgroup_allocates_nothing(void **state)
{
	need_cgroup(state);
	int procs = procs_of();
	pid_t pids[2] = { victim_start_in(STUBBORN, procs), victim_start_in(OBEDIENT, procs) };
	victim_request(&request, 0);
	request.remedy = REMEDY_KILL_CGROUP;
	request.args.kill_cgroup.term_wait_ns = 0;
	request.target = (struct target){ .type = TARGET_CGROUP, .cgroup_id = id };
	snprintf(request.target.name, PATH_LEN, "%s", path);
	run_counted();
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_int_equal(result.observed.exited, 2);
	for (int i = 0; i < 2; i++)
		waitpid(pids[i], NULL, 0);
	close(procs);
}

static void freeze_with(const char *lease_book, struct group *held)
{
	victim_request(&request, 0);
	memset(&result, 0, sizeof(result));
	snprintf(request.action_id, sizeof(request.action_id), "a-frozen");
	snprintf(request.lease_book, sizeof(request.lease_book), "%s", lease_book);
	assert_int_equal(group_open(id, path, held), 0);
}

/* Whether it is written down while it is frozen is seen from within: a member that is being killed sees nothing, so a book that cannot be written is
 * the proof. */
static void nothing_is_frozen_that_is_not_written_down(void **state)
{
	need_cgroup(state);
	struct group held;
	int procs = procs_of();
	pid_t pid = victim_start_in(OBEDIENT, procs);
	freeze_with("/proc/nodemend/no/such/book", &held);
	assert_true(freeze_and_kill(&request, &held, id, clock_boot_ns() + NSEC_PER_SEC, &result) < 0);
	assert_int_equal(frozen(), '0');
	assert_true(victim_is_alive(pid));
	group_close(&held);
	victim_reap(pid);
	close(procs);
}

static void killed_while_frozen_and_let_go(void **state)
{
	need_cgroup(state);
	struct group held;
	struct stat written;
	int procs = procs_of();
	pid_t pid = victim_start_in(STUBBORN, procs);
	freeze_with(book, &held);
	assert_int_equal(freeze_and_kill(&request, &held, id, clock_boot_ns() + 5 * NSEC_PER_SEC, &result), 0);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(frozen(), '0');
	assert_true(stat(book, &written) == 0 && written.st_size == 0); /* it was written down, and is over */
	group_close(&held);
	close(procs);
}

/* An error in the midst of it, once everything stands still: who is in it cannot be told to the end. */
static void an_error_while_frozen_lets_go(void **state)
{
	need_cgroup(state);
	char name[PATH_LEN + 32];
	const char *books[] = { "", book };
	for (int i = 0; i < TOO_MANY_GROUPS; i++) {
		snprintf(name, sizeof(name), "%s/%d", dir, i);
		assert_int_equal(mkdir(name, 0755), 0);
	}
	for (size_t i = 0; i < sizeof(books) / sizeof(books[0]); i++) {
		struct group held;
		freeze_with(books[i], &held);
		assert_int_equal(freeze_and_kill(&request, &held, id, clock_boot_ns() + 5 * NSEC_PER_SEC, &result), -EOVERFLOW);
		assert_int_equal(frozen(), '0');
		group_close(&held);
	}
}

#define GROUP_TEST(name_) cmocka_unit_test_setup_teardown(name_, make_cgroup, remove_cgroup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_forbidden_would_be_seen), cmocka_unit_test(ending_a_process_allocates_nothing),
		GROUP_TEST(ending_a_cgroup_allocates_nothing), GROUP_TEST(nothing_is_frozen_that_is_not_written_down),
		GROUP_TEST(killed_while_frozen_and_let_go), GROUP_TEST(an_error_while_frozen_lets_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
