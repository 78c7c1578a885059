/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each system call that the hands make fails in turn, in each way that it may: the act is refused or failed with its reason, or it is done; what
 * it says of itself is true, nothing else is touched, no descriptor is left open. The calls below stand before libc's own, so that the objects
 * that are shipped are what is tried. NODEMEND_FAULTS=all tries every place; without it an eighth, another one for each error.
 */
#include "clean_fixture.h"
#include "victim_fixture.h"

#include <dirent.h>
#include <dlfcn.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "lease.h"

/* --- the calls ----------------------------------------------------------------------------------------------------------- */

static const int errors[] = { EINTR, ENOMEM, EPERM, ENOSPC, EROFS, ESRCH, 0 /* what is read comes in bytes */ };
enum { ERROR_COUNT = sizeof(errors) / sizeof(errors[0]) };

static struct {
	bool armed, shortened;
	uint32_t at, seen;
	int error;
	uint32_t kills;      /* SIGKILLs that were really sent */
} faults;

static long (*real)(long number, ...);

static bool fails(void)
{
	if (!faults.armed || ++faults.seen != faults.at)
		return false;
	errno = faults.error;
	faults.shortened = !faults.error;
	return faults.error != 0;
}

static size_t so_much(size_t size)
{
	bool shortened = faults.armed && faults.shortened && size > 1;
	faults.shortened = false;
	return shortened ? 1 : size;
}

long syscall(long number, ...);
long syscall(long number, ...)
{
	long arguments[6];
	va_list list;
	va_start(list, number);
	for (int i = 0; i < 6; i++)
		arguments[i] = va_arg(list, long);
	va_end(list);
	if (fails()) {
		/* The kernel says so of one that has ended: then it has. */
		if (number == SYS_pidfd_send_signal && faults.error == ESRCH)
			faults.kills += real(number, arguments[0], (long)SIGKILL, 0L, 0L) == 0;
		errno = faults.error;
		return -1;
	}
	long result = real(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
	faults.kills += number == SYS_pidfd_send_signal && result == 0 && arguments[1] == SIGKILL;
	return result;
}

int open(const char *path, int flags, ...)
{
	va_list list;
	va_start(list, flags);
	int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, int) : 0;
	va_end(list);
	return fails() ? -1 : (int)real(SYS_openat, AT_FDCWD, path, flags, mode);
}

int openat(int dir_fd, const char *path, int flags, ...)
{
	va_list list;
	va_start(list, flags);
	int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, int) : 0;
	va_end(list);
	return fails() ? -1 : (int)real(SYS_openat, dir_fd, path, flags, mode);
}

int fcntl(int fd, int command, ...)
{
	va_list list;
	va_start(list, command);
	long argument = va_arg(list, long);
	va_end(list);
	return fails() ? -1 : (int)real(SYS_fcntl, fd, command, argument);
}

ssize_t read(int fd, void *data, size_t size)
{
	return fails() ? -1 : real(SYS_read, fd, data, so_much(size));
}

ssize_t write(int fd, const void *data, size_t size)
{
	return fails() ? -1 : real(SYS_write, fd, data, size);
}

ssize_t pread(int fd, void *data, size_t size, off_t at)
{
	return fails() ? -1 : real(SYS_pread64, fd, data, so_much(size), at);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
	return fails() ? -1 : real(SYS_pwrite64, fd, data, size, at);
}

int unlinkat(int dir_fd, const char *path, int flags)
{
	return fails() ? -1 : (int)real(SYS_unlinkat, dir_fd, path, flags);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned int flags)
{
	return fails() ? -1 : (int)real(SYS_renameat2, from_fd, from, to_fd, to, flags);
}

int flock(int fd, int operation)
{
	return fails() ? -1 : (int)real(SYS_flock, fd, operation);
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	return fails() ? -1 : (int)real(SYS_poll, fds, count, timeout);
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	struct timespec left = timeout ? *timeout : (struct timespec){ 0 };
	return fails() ? -1 : (int)real(SYS_ppoll, fds, count, timeout ? &left : NULL, mask, 8L);
}

/* --- the runs ------------------------------------------------------------------------------------------------------------ */

static struct remedy_result result;
static const char *scene;

static uint32_t open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	uint32_t count = 0;
	while (directory && readdir(directory))
		count++;
	closedir(directory);
	return count;
}

#define HOLDS(condition_) \
	do { \
		if (!(condition_)) \
			fail_msg("%s: call %u failed by %s: %s does not hold; outcome %s, refused by '%s': %s", scene, faults.at, \
				 faults.error ? strerror(faults.error) : "a short read", #condition_, outcome_names[result.outcome], result.refused_by, result.why); \
	} while (0)

/* Prepares, acts under the fault, and judges, for each place and each error. */
static void with_every_fault(const char *name, void (*prepare)(void), void (*act)(void), void (*judge)(void))
{
	bool all = getenv("NODEMEND_FAULTS") && strcmp(getenv("NODEMEND_FAULTS"), "all") == 0;
	uint32_t hit = 0;
	scene = name;
	for (int error = 0; error < ERROR_COUNT; error++) {
		for (uint32_t at = 1;; at++) {
			faults.at = at;
			faults.error = errors[error];
			faults.seen = faults.kills = 0;
			faults.shortened = false;
			if (!all && (at + (uint32_t)error) % 8)
				continue;
			prepare();
			uint32_t before = open_descriptors();
			faults.armed = true;
			act();
			faults.armed = false;
			HOLDS(open_descriptors() == before);
			judge();
			if (faults.seen < at)
				break;
			hit++;
		}
	}
	assert_true(hit > 5);
}

static void judge_words(void)
{
	HOLDS(result.outcome != OUTCOME_NONE);
	HOLDS((result.outcome == OUTCOME_REFUSED) == (result.refused_by[0] != '\0'));
	if (result.outcome == OUTCOME_REFUSED || result.outcome == OUTCOME_FAILED || result.outcome == OUTCOME_NO_EFFECT)
		HOLDS(result.why[0]);
}

/* --- a process is ended -------------------------------------------------------------------------------------------------- */

static pid_t victim, bystander;
static struct remedy_request request;

static void prepare_victim(void)
{
	victim = victim_start(OBEDIENT);
	victim_request(&request, 0);
	request.candidates[0] = victim_cause(victim);
	request.candidate_count = 1;
}

static void run_request(void)
{
	hands_run(&request, &result);
}

static void judge_victim(void)
{
	judge_words();
	HOLDS(victim_is_alive(bystander));
	bool killed = faults.kills > 0;
	if (result.outcome == OUTCOME_FIXED || result.outcome == OUTCOME_IMPROVED)
		HOLDS(killed && result.observed.exited == 1);
	if (result.outcome == OUTCOME_REFUSED || result.outcome == OUTCOME_NO_EFFECT)
		HOLDS(!killed);
	if (killed)
		HOLDS(waitpid(victim, NULL, 0) == victim);
	else
		victim_reap(victim);
}

static void ending_a_process_says_what_it_did(void **state)
{
	(void)state;
	bystander = victim_start(OBEDIENT);
	with_every_fault("terminate", prepare_victim, run_request, judge_victim);
	victim_reap(bystander);
}

/* --- files are deleted --------------------------------------------------------------------------------------------------- */

static struct clean_fixture fixture;
static const char *const old_names[] = { "a.log", "b.log", "sub/c.log" };
enum { OLD_NAMES = sizeof(old_names) / sizeof(old_names[0]) };

static void prepare_files(void)
{
	fixture_reset(&fixture);
	for (int i = 0; i < OLD_NAMES; i++)
		fixture_put(&fixture, old_names[i], 8, OLD);
	fixture_put(&fixture, "keep.txt", 8, OLD);
	request = fixture.request;
}

/* Under its own name, or moved aside by an act that could neither go on nor back. */
static uint32_t count_files(const char *below)
{
	char path[PATH_LEN * 2];
	uint32_t count = 0;
	DIR *directory = opendir(fixture_path(&fixture, below, path));
	for (struct dirent *entry; directory && (entry = readdir(directory));)
		count += entry->d_type == DT_REG;
	if (directory)
		closedir(directory);
	return count;
}

static void judge_files(void)
{
	char path[PATH_LEN * 2];
	struct stat kept;
	uint32_t gone = OLD_NAMES + 1 - count_files(".") - count_files("sub");
	judge_words();
	HOLDS(stat(fixture_path(&fixture, "keep.txt", path), &kept) == 0 && kept.st_size == 8 * 1024);
	HOLDS(setfsuid((uid_t)-1) == 0 && setfsgid((gid_t)-1) == 0);
	if (result.outcome == OUTCOME_REFUSED || result.outcome == OUTCOME_NO_EFFECT)
		HOLDS(gone == 0);
	if (result.outcome == OUTCOME_FIXED || result.outcome == OUTCOME_IMPROVED)
		HOLDS(gone > 0 && result.observed.freed_files == gone);
	/* The next act, on a kernel that does as it is told, ends what this one left. */
	hands_run(&request, &result);
	HOLDS(count_files(".") == 1 && count_files("sub") == 0);
}

static void deleting_files_says_what_it_did(void **state)
{
	(void)state;
	snprintf(fixture.dir, sizeof(fixture.dir), "/var/tmp/nodemend-faults-XXXXXX");
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !mkdtemp(fixture.dir))
		skip();
	assert_int_equal(mount("none", fixture.dir, "tmpfs", 0, "size=16m,mode=755"), 0);
	with_every_fault("clean-files", prepare_files, run_request, judge_files);
	fixture_unmount(&fixture);
}

/* --- a knob is turned ---------------------------------------------------------------------------------------------------- */

static char place[] = "/tmp/nodemend-faults-XXXXXX", group[PATH_LEN], control[PATH_LEN];
static const char original[] = "max 100000\n";
static struct knob knob;
static int taken;

static void put(const char *text)
{
	int fd = open(control, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static bool stands(const char *text)
{
	char now[64] = "";
	int fd = open(control, O_RDONLY);
	ssize_t got = read(fd, now, sizeof(now) - 1);
	close(fd);
	return got >= 0 && strcmp(now, text) == 0;
}

/* A cgroup that nobody knows yet: where the mark of a lease could not be taken off, it stays until its time is over, and nobody else may turn it. */
static void prepare_knob(void)
{
	struct stat found;
	(void)unlink(control);
	(void)rmdir(group);
	assert_int_equal(mkdir(group, 0700), 0);
	assert_int_equal(stat(group, &found), 0);
	knob = (struct knob){ .kind = KNOB_CGROUP, .directory_inode = found.st_ino };
	memcpy(knob.file, control, sizeof(knob.file));
	memset(&request, 0, sizeof(request));
	snprintf(request.lease_book, sizeof(request.lease_book), "%s/leases", place);
	snprintf(request.action_id, sizeof(request.action_id), "a-1");
	request.remedy = REMEDY_LIMIT_CPU;
	(void)unlink(request.lease_book);
	put(original);
}

/* Shorter than what stands there: what is read afterwards is in other words than what was written, as from a kernel. */
static void take_lease(void)
{
	memset(&result, 0, sizeof(result));
	taken = lease_take(&request, &knob, "20000", 600 * NSEC_PER_SEC, &result);
}

static void give_all_back(void)
{
	struct lease_report report;
	HOLDS(leases_return(request.lease_book, LEASES_ALL, NULL, clock_boot_ns(), NULL, NULL, &report) == 0);
	HOLDS(report.failed == 0 && report.held == 0 && report.foreign == 0);
	HOLDS(stands(original));
}

static void judge_taking(void)
{
	result.outcome = OUTCOME_NONE;
	if (taken < 0)
		HOLDS(stands(original)); /* an error is nothing turned */
	else
		HOLDS(stands("2000000000\n"));
	give_all_back();
}

static void prepare_taken(void)
{
	prepare_knob();
	take_lease();
	assert_int_equal(taken, 0);
}

static void return_lease(void)
{
	struct lease_report report;
	(void)leases_return(request.lease_book, LEASES_OF_ACTION, request.action_id, clock_boot_ns(), NULL, NULL, &report);
}

/* Whatever happened: as it was, or still written down; the next one turns it back. */
static void judge_returning(void)
{
	result.outcome = OUTCOME_NONE;
	HOLDS(stands(original) || stands("2000000000\n"));
	give_all_back();
}

static void a_lease_is_turned_and_written_down_or_neither(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(place));
	snprintf(group, sizeof(group), "%s/group", place);
	snprintf(control, sizeof(control), "%.200s/cpu.max", group);
	with_every_fault("taking a lease", prepare_knob, take_lease, judge_taking);
	with_every_fault("returning a lease", prepare_taken, return_lease, judge_returning);
	(void)unlink(control);
	(void)unlink(request.lease_book);
	(void)rmdir(group);
	(void)rmdir(place);
}

int main(void)
{
	real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ending_a_process_says_what_it_did),
		cmocka_unit_test(a_lease_is_turned_and_written_down_or_neither),
		cmocka_unit_test(deleting_files_says_what_it_did),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
