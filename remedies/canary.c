/* SPDX-License-Identifier: Apache-2.0 */
/* See canary.h. */
#include "remedies/canary.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "remedies/act.h"
#include "remedies/group.h"
#include "remedies/victim.h"

/* Long for one process, and short for whoever waits for the lane that is being asked. */
#define CANARY_NS NSEC_PER_SEC
#define LOOK_NS (10 * NSEC_PER_MSEC)
enum { CANARY_FILES = 2, CANARY_FILE_SIZE = 128 * 1024, SINGS_S = 10 };

static enum canary say(enum canary canary, char why[WHY_LEN], const char *format, ...) __attribute__((format(printf, 3, 4)));
static enum canary say(enum canary canary, char why[WHY_LEN], const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(why, WHY_LEN, format, arguments);
	va_end(arguments);
	return canary;
}

/* --- a bird ------------------------------------------------------------------------------------------------------------- */

enum song { SINGS, DEAF, BUSY };

/* It holds nothing of ours, ends with us, and by itself after a while: what else it might keep is ten seconds of one processor. */
static _Noreturn void sing(enum song song)
{
	sigset_t none;
	sigemptyset(&none);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_NAME, "nm-canary");
	(void)close_range(0, ~0U, 0);
	(void)signal(SIGTERM, song == DEAF ? SIG_IGN : SIG_DFL);
	(void)signal(SIGALRM, SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)alarm(SINGS_S);
	for (;;)
		if (song != BUSY)
			(void)pause();
}

/* SIGTERM must not come before it is deaf to it: the pipe closes when it sings. */
static pid_t let_out(enum song song)
{
	int gate[2];
	char byte;
	if (pipe2(gate, O_CLOEXEC) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0)
		sing(song);
	int error = -errno;
	close(gate[1]);
	while (pid > 0 && read(gate[0], &byte, 1) < 0 && errno == EINTR)
		;
	close(gate[0]);
	return pid < 0 ? error : pid;
}

/* However far it came. */
static void bury(pid_t pid)
{
	if (pid <= 0)
		return;
	(void)kill(pid, SIGKILL); /* ours, and not yet waited for: the number is its own */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* --- a process ---------------------------------------------------------------------------------------------------------- */

static enum canary end_it(int proc_fd, pid_t pid, int signal, char why[WHY_LEN])
{
	struct victim victim;
	int error = victim_hold(proc_fd, pid, &victim);
	if (error < 0)
		return say(CANARY_FAILED, why, "a process of our own cannot be held: %s", strerror(-error));
	error = signal == SIGKILL ? victim_kill(&victim) : victim_signal(&victim, signal);
	int gone = error < 0 ? 0 : victim_wait(&victim, clock_boot_ns() + CANARY_NS);
	victim_close(&victim);
	if (error < 0)
		return say(CANARY_FAILED, why, "a process of our own cannot be signalled: %s", strerror(-error));
	return gone > 0 ? CANARY_PROVEN : say(CANARY_FAILED, why, "a process of our own did not end by signal %d", signal);
}

enum canary canary_process(char why[WHY_LEN])
{
	static const struct { enum song song; int signal; } birds[] = { { SINGS, SIGTERM }, { DEAF, SIGKILL } };
	enum canary canary = CANARY_PROVEN;
	int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return say(CANARY_FAILED, why, "no procfs: %s", strerror(errno));
	for (size_t i = 0; i < sizeof(birds) / sizeof(birds[0]) && canary == CANARY_PROVEN; i++) {
		pid_t pid = let_out(birds[i].song);
		canary = pid < 0 ? say(CANARY_UNTRIED, why, "no process of our own to try it on: %s", strerror(-pid)) :
				   end_it(proc_fd, pid, birds[i].signal, why);
		bury(pid);
	}
	close(proc_fd);
	return canary;
}

/* --- a cage ------------------------------------------------------------------------------------------------------------- */

/* A cgroup at the top of a hierarchy: below our own no controller can be had, since it has members. */
struct cage {
	char directory[PATH_LEN];  /* absolute; "" = none */
	char path[64];             /* below the mount */
	uint64_t id;
};

/* Of hands that were killed in the middle. One that has members is not removed, whoever's it is. */
static void sweep_cages(const char *mount)
{
	static const char prefix[] = "nodemend-canary-";
	DIR *directory = opendir(mount);
	for (struct dirent *entry; directory && (entry = readdir(directory));) {
		long pid = strncmp(entry->d_name, prefix, sizeof(prefix) - 1) == 0 ? strtol(entry->d_name + sizeof(prefix) - 1, NULL, 10) : 0;
		if (pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH)
			(void)unlinkat(dirfd(directory), entry->d_name, AT_REMOVEDIR);
	}
	if (directory)
		closedir(directory);
}

static int make_cage(struct cage *cage, const char *mount)
{
	static uint32_t cages; /* a name of its own for each, so that what they used is not taken for one's */
	struct stat made;
	sweep_cages(mount);
	snprintf(cage->path, sizeof(cage->path), "/nodemend-canary-%d-%" PRIu32, (int)getpid(), ++cages);
	int length = snprintf(cage->directory, sizeof(cage->directory), "%s%s", mount, cage->path);
	if (length >= (int)sizeof(cage->directory) || (mkdir(cage->directory, 0700) < 0 && errno != EEXIST) || stat(cage->directory, &made) < 0) {
		int error = length >= (int)sizeof(cage->directory) ? -ENAMETOOLONG : -errno;
		cage->directory[0] = '\0';
		return error;
	}
	cage->id = made.st_ino;
	return 0;
}

static int put_into(const struct cage *cage, pid_t pid)
{
	char file[PATH_LEN + 16], text[16];
	snprintf(file, sizeof(file), "%s/cgroup.procs", cage->directory);
	int fd = open(file, O_WRONLY | O_CLOEXEC), length = snprintf(text, sizeof(text), "%d", (int)pid);
	int error = fd < 0 || write(fd, text, (size_t)length) != length ? -errno : 0;
	if (fd >= 0)
		close(fd);
	return error;
}

/* A member that has ended is out of it a moment after it was waited for. */
static void remove_cage(const struct cage *cage)
{
	for (uint64_t until = clock_boot_ns() + CANARY_NS; cage->directory[0] && rmdir(cage->directory) < 0 && errno == EBUSY && clock_boot_ns() < until;)
		(void)nanosleep(&(struct timespec){ .tv_nsec = LOOK_NS }, NULL);
}

static const char *unified(void)
{
	static const char *const places[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	struct statfs kind;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (statfs(places[i], &kind) == 0 && kind.f_type == CGROUP2_SUPER_MAGIC)
			return places[i];
	return NULL;
}

/* --- a group ------------------------------------------------------------------------------------------------------------ */

static enum canary end_cage(const struct cage *cage, char why[WHY_LEN])
{
	struct group group;
	int error = group_open(cage->id, cage->path, &group);
	if (error < 0)
		return say(CANARY_FAILED, why, "a cgroup of our own cannot be opened: %s", strerror(-error));
	uint64_t until = clock_boot_ns() + CANARY_NS;
	error = group_kill(&group);
	if (error == -ENOENT || error == -EOPNOTSUPP)
		error = group_freeze_and_kill(&group, until);
	int empty = error < 0 ? 0 : group_wait_empty(&group, until);
	group_close(&group);
	if (error < 0)
		return say(CANARY_FAILED, why, "a cgroup of our own cannot be killed: %s", strerror(-error));
	return empty > 0 ? CANARY_PROVEN : say(CANARY_FAILED, why, "a cgroup of our own was killed and is not empty");
}

enum canary canary_group(char why[WHY_LEN])
{
	struct cage cage = { .directory = "" };
	const char *mount = unified();
	int error = mount ? make_cage(&cage, mount) : -ENODEV;
	if (error < 0)
		return say(error == -ENODEV ? CANARY_FAILED : CANARY_UNTRIED, why, "no cgroup of our own in the v2 hierarchy: %s", strerror(-error));
	pid_t first = let_out(DEAF), second = let_out(DEAF);
	error = first < 0 ? first : second < 0 ? second : put_into(&cage, first);
	if (error == 0)
		error = put_into(&cage, second);
	enum canary canary = error ? say(CANARY_UNTRIED, why, "nobody can be put into a cgroup of our own: %s", strerror(-error)) : end_cage(&cage, why);
	bury(first);
	bury(second);
	remove_cage(&cage);
	return canary;
}

/* --- a throttle --------------------------------------------------------------------------------------------------------- */

static bool held_in_time(const struct canary_throttle *throttle, const struct knob *knob)
{
	char directory[PATH_LEN];
	snprintf(directory, sizeof(directory), "%s", knob->file);
	*strrchr(directory, '/') = '\0';
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool held = false;
	for (uint64_t until = clock_boot_ns() + CANARY_NS; fd >= 0 && !held && clock_boot_ns() < until;) {
		(void)nanosleep(&(struct timespec){ .tv_nsec = LOOK_NS }, NULL);
		held = throttle->is_held(fd);
	}
	if (fd >= 0)
		close(fd);
	return held;
}

static enum canary turn(const struct canary_throttle *throttle, const struct remedy_request *request, const struct cage *cage, char why[WHY_LEN])
{
	struct knob knob;
	bool v2;
	int error = group_control(cage->id, cage->path, &throttle->control, &knob, &v2);
	if (error < 0)
		return say(CANARY_FAILED, why, "a cgroup of our own has no %s control: %s", throttle->control.controller, strerror(-error));
	struct remedy_request own = *request;
	struct remedy_result steps = { .verb = REMEDY_VERB_APPLY };
	struct lease_report report;
	snprintf(own.action_id, sizeof(own.action_id), "canary-%s-%d", throttle->control.controller, (int)getpid());
	error = lease_take(&own, &knob, v2 ? throttle->v2 : throttle->v1, 2 * CANARY_NS, &steps);
	if (error < 0)
		return say(CANARY_FAILED, why, "%s of a cgroup of our own cannot be set: %s", strrchr(knob.file, '/') + 1, strerror(-error));
	bool held = held_in_time(throttle, &knob);
	error = leases_return(own.lease_book, LEASES_OF_ACTION, own.action_id, clock_boot_ns(), NULL, NULL, &report);
	if (error < 0 || report.failed)
		return say(CANARY_FAILED, why, "%s of a cgroup of our own cannot be turned back: %s", strrchr(knob.file, '/') + 1,
			   error < 0 ? strerror(-error) : "the kernel would not");
	return held ? CANARY_PROVEN : say(CANARY_FAILED, why, "a cgroup of our own was limited and is not held back");
}

enum canary canary_throttle(const struct canary_throttle *throttle, const struct remedy_request *request, char why[WHY_LEN])
{
	struct cage cage = { .directory = "" }, old = { .directory = "" };
	char mount[PATH_LEN];
	const char *v2 = unified();
	if (!request->lease_book[0])
		return say(CANARY_UNTRIED, why, "there is no book of leases to try it with");
	int error = v2 ? make_cage(&cage, v2) : -ENODEV;
	/* Where the controller is v1's, a member is in a cgroup of each hierarchy. */
	snprintf(mount, sizeof(mount), "/sys/fs/cgroup/%s", throttle->control.controller);
	if (throttle->control.v1 && access(mount, F_OK) == 0)
		(void)make_cage(&old, mount);
	if (error < 0)
		cage = old;
	pid_t pid = cage.directory[0] ? let_out(BUSY) : -ENODEV;
	error = pid < 0 ? pid : put_into(&cage, pid);
	if (error == 0 && old.directory[0])
		error = put_into(&old, pid);
	enum canary canary = error ? say(CANARY_UNTRIED, why, "no cgroup of our own to try it on: %s", strerror(-error)) : turn(throttle, request, &cage, why);
	bury(pid);
	remove_cage(&old);
	remove_cage(&cage);
	return canary;
}

/* --- files -------------------------------------------------------------------------------------------------------------- */

static const char *const file_names[CANARY_FILES] = { "canary-1", "canary-2" };

static int make_files(int dir_fd)
{
	char block[4096] = "canary";
	int error = 0;
	for (int i = 0; i < CANARY_FILES && error == 0; i++) {
		int fd = openat(dir_fd, file_names[i], O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
		for (size_t written = 0; fd >= 0 && written < CANARY_FILE_SIZE && error == 0; written += sizeof(block))
			error = write(fd, block, sizeof(block)) == (ssize_t)sizeof(block) ? 0 : errno ? -errno : -ENOSPC;
		/* What is only promised on the disk brings nothing when it goes. */
		if (fd < 0 || (error == 0 && fdatasync(fd) < 0))
			error = -errno;
		if (fd >= 0)
			close(fd);
	}
	return error;
}

static bool all_gone(int dir_fd)
{
	struct stat found;
	for (int i = 0; i < CANARY_FILES; i++)
		if (fstatat(dir_fd, file_names[i], &found, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
			return false;
	return true;
}

static enum canary clean(const struct remedy_request *request, const char *root, int dir_fd, int (*apply)(const struct remedy_request *, struct remedy_result *),
			 char why[WHY_LEN])
{
	struct remedy_request own = *request;
	struct remedy_result result = { .verb = REMEDY_VERB_APPLY };
	int error = make_files(dir_fd);
	if (error < 0)
		return say(CANARY_UNTRIED, why, "no files of our own to try it on: %s", strerror(-error));
	effect_clear(&own.expect);
	effect_clear(&result.expected);
	effect_clear(&result.observed);
	own.verb = REMEDY_VERB_APPLY;
	own.target = (struct target){ .type = TARGET_NODE };
	own.args.clean_files = (struct clean_files_args){ .match_count = 1, .match = { "canary-*" }, .max_bytes = UNKNOWN, .max_files = CANARY_FILES, .max_depth = 1 };
	snprintf(own.args.clean_files.root, sizeof(own.args.clean_files.root), "%s", root);
	own.deadline_boot_ns = clock_boot_ns() + CANARY_NS;
	error = apply(&own, &result);
	if (all_gone(dir_fd))
		return CANARY_PROVEN;
	if (result.outcome == OUTCOME_REFUSED)
		return say(CANARY_UNTRIED, why, "no place to try it in: %.100s: %.40s", root, result.why);
	return say(CANARY_FAILED, why, "files of our own stayed: %.100s", error < 0 ? strerror(-error) : result.why);
}

enum canary canary_files(const struct remedy_request *request, int (*apply)(const struct remedy_request *, struct remedy_result *), char why[WHY_LEN])
{
	char root[PATH_LEN + 16];
	if (!request->scratch[0] || snprintf(root, sizeof(root), "%s/canary", request->scratch) >= PATH_LEN)
		return say(CANARY_UNTRIED, why, "there is no directory of our own to try it in");
	int fd = mkdir(root, 0700) == 0 || errno == EEXIST ? open(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (fd < 0)
		return say(CANARY_UNTRIED, why, "no directory of our own to try it in: %s", strerror(errno));
	enum canary canary = clean(request, root, fd, apply, why);
	for (int i = 0; i < CANARY_FILES; i++)
		(void)unlinkat(fd, file_names[i], 0); /* what stayed */
	close(fd);
	(void)rmdir(root);
	return canary;
}

/* --- the answer --------------------------------------------------------------------------------------------------------- */

void canary_judge(enum canary canary, const char *why, struct remedy_result *result)
{
	if (canary == CANARY_PROVEN)
		return;
	if (canary == CANARY_FAILED)
		result->armed = false;
	snprintf(result->why, sizeof(result->why), "%s%.140s", canary == CANARY_UNTRIED ? "not tried: " : "", why);
}
