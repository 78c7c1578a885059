/* SPDX-License-Identifier: Apache-2.0 */
/* See command.h. The program is started, listened to until it ends or its time does, and then all that it started is ended. */
#include "remedies/command.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/program.h"
#include "remedies/act.h"
#include "remedies/command_child.h"
#include "remedies/command_group.h"

enum {
	MAX_OWN_CHILDREN = 64, /* of the caller, from before */
	MAX_ENVIRONMENT = 16,
	CHUNK = 16 * 1024,
	LAST_CHUNKS = 8,       /* two pipes' worth, so that one who still prints does not keep us */
	CHILDREN_LEN = 4096,
};
#define TERM_NS NSEC_PER_SEC
#define STRAYS_NS (2 * NSEC_PER_SEC)

struct stream {
	int fd;                /* -1: ended */
	char *kept;
	size_t size, used;
};

struct run {
	const struct command *command;
	struct command_end *end;
	struct command_group group;
	pid_t pid, own[MAX_OWN_CHILDREN];
	uint32_t own_count, reaped; /* reaped: of those who were found by descent */
	bool blind;            /* the kernel has no list of children */
	int pidfd, program, input, status;
	struct stream output, complaint;
	int child_output, child_complaint, child_status;
	bool was_subreaper;
};

static void say(const struct command *command, const char *what, int error)
{
	if (command->complaint && command->complaint_size)
		snprintf(command->complaint, command->complaint_size, "%s%s%s", what, error ? ": " : "", error ? strerror(-error) : "");
}

/* --- those who are ours by descent ------------------------------------------------------------------------------------------- */

/* Calls `visit` for each child of this thread; -errno where the kernel has no list of them. */
static int each_child(void (*visit)(struct run *run, pid_t pid, uint32_t *count), struct run *run, uint32_t *count)
{
	char text[CHILDREN_LEN];
	int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t got;
	pid_t pid = 0;
	while ((got = read(fd, text, sizeof(text))) > 0) {
		for (ssize_t i = 0; i < got; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				pid = pid * 10 + (text[i] - '0');
			} else if (pid) {
				visit(run, pid, count);
				pid = 0;
			}
		}
	}
	close(fd);
	return got < 0 ? -errno : 0;
}

static void note_own(struct run *run, pid_t pid, uint32_t *count)
{
	if (*count < MAX_OWN_CHILDREN)
		run->own[*count] = pid;
	++*count;
}

/* Not yet reaped, and ours to reap: its number is nobody else's. */
static void end_stray(struct run *run, pid_t pid, uint32_t *count)
{
	for (uint32_t i = 0; i < run->own_count; i++)
		if (run->own[i] == pid)
			return;
	(void)kill(pid, SIGKILL);
	++*count;
	run->reaped += waitpid(pid, NULL, WNOHANG) == pid;
}

/* The end of one hands us its children. 0; -EBUSY: there is always another, or one that does not die. */
static int end_strays(struct run *run)
{
	uint64_t until = clock_boot_ns() + STRAYS_NS;
	for (;;) {
		uint32_t count = 0;
		int error = each_child(end_stray, run, &count);
		if (error || !count)
			return error;
		if (clock_boot_ns() >= until)
			return -EBUSY;
		(void)poll(NULL, 0, 1);
	}
}

/* --- what it prints -------------------------------------------------------------------------------------------------------------- */

/* False: the pipe is empty at this moment, or has ended. */
static bool take(struct run *run, struct stream *stream)
{
	char chunk[CHUNK];
	ssize_t got = read(stream->fd, chunk, sizeof(chunk));
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0) {
		close(stream->fd);
		stream->fd = -1;
		return false;
	}
	size_t room = stream->kept && stream->size ? stream->size - 1 - stream->used : 0;
	size_t kept = (size_t)got < room ? (size_t)got : room;
	if (kept)
		memcpy(stream->kept + stream->used, chunk, kept);
	stream->used += kept;
	run->end->dropped_bytes += (size_t)got - kept;
	return true;
}

static void take_last(struct run *run, struct stream *stream)
{
	for (int i = 0; i < LAST_CHUNKS && stream->fd >= 0 && take(run, stream); i++)
		;
	if (stream->kept && stream->size)
		stream->kept[stream->used] = '\0';
}

/* Whether it could become the command: the end of the pipe is the exec's. 0 or its -errno. */
static int hear_status(struct run *run)
{
	int error = 0;
	ssize_t got = read(run->status, &error, sizeof(error));
	if (got < 0)
		return 0;
	close(run->status);
	run->status = -1;
	return got == sizeof(error) ? error : 0;
}

/* 1: it has ended. 0: the time is over. -errno: it was not started. */
static int listen_to(struct run *run, uint64_t until)
{
	for (;;) {
		struct pollfd waiting[] = {
			{ .fd = run->pidfd, .events = POLLIN }, { .fd = run->status, .events = POLLIN },
			{ .fd = run->output.fd, .events = POLLIN }, { .fd = run->complaint.fd, .events = POLLIN },
		};
		uint64_t now = clock_boot_ns(), left = until > now ? until - now : 0;
		struct timespec timeout = { .tv_sec = (time_t)(left / NSEC_PER_SEC), .tv_nsec = (long)(left % NSEC_PER_SEC) };
		int ready = ppoll(waiting, sizeof(waiting) / sizeof(waiting[0]), &timeout, NULL);
		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready <= 0) {
			if (clock_boot_ns() >= until)
				return 0;
			continue;
		}
		int error = waiting[1].revents ? hear_status(run) : 0;
		if (error)
			return error;
		if (waiting[2].revents)
			(void)take(run, &run->output);
		if (waiting[3].revents)
			(void)take(run, &run->complaint);
		if (waiting[0].revents)
			return run->status >= 0 && (error = hear_status(run)) ? error : 1;
		if (clock_boot_ns() >= until)
			return 0; /* one who prints without end is always ready */
	}
}

/* --- starting ---------------------------------------------------------------------------------------------------------------------- */

static int make_input(const struct command *command)
{
	if (!command->input)
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	/* A file and not a pipe: nobody has to write while the command reads, and one that does not read holds up nobody. */
	int fd = memfd_create("nodemend-input", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	for (size_t done = 0; fd >= 0 && done < command->input_size;) {
		ssize_t wrote = write(fd, command->input + done, command->input_size - done);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0) {
			close(fd);
			return -1;
		}
		done += (size_t)wrote;
	}
	if (fd >= 0) {
		(void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
		(void)lseek(fd, 0, SEEK_SET);
	}
	return fd;
}

static int make_pipe(int *ret_ours, int *ret_theirs)
{
	int pair[2];
	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	(void)fcntl(pair[0], F_SETFL, O_NONBLOCK);
	*ret_ours = pair[0];
	*ret_theirs = pair[1];
	return 0;
}

static int make_streams(struct run *run)
{
	run->input = make_input(run->command);
	if (run->input < 0)
		return -errno;
	int error = make_pipe(&run->output.fd, &run->child_output);
	if (!error)
		error = make_pipe(&run->complaint.fd, &run->child_complaint);
	if (!error)
		error = make_pipe(&run->status, &run->child_status);
	return error;
}

static int make_environment(const struct command *command, char *ret[MAX_ENVIRONMENT])
{
	static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", language[] = "LANG=C.UTF-8", prefix[] = "NODEMEND_";
	uint32_t count = 0;
	ret[count++] = path;
	ret[count++] = language;
	for (const char *const *each = command->environment; each && *each; each++) {
		if (count == MAX_ENVIRONMENT - 1 || strncmp(*each, prefix, sizeof(prefix) - 1) != 0)
			return -EINVAL;
		ret[count++] = (char *)*each;
	}
	ret[count] = NULL;
	return 0;
}

/* Into its cgroup from the first instruction on (5.7); where a sandbox does not know the call, by its own hand. */
static pid_t fork_into(struct run *run, struct command_child *child)
{
	struct clone_args how = { .flags = CLONE_PIDFD, .pidfd = (uintptr_t)&run->pidfd, .exit_signal = SIGCHLD };
	if (run->group.group.fd >= 0) {
		how.flags |= CLONE_INTO_CGROUP;
		how.cgroup = (uint64_t)run->group.group.fd;
	}
	pid_t pid = (pid_t)syscall(SYS_clone3, &how, sizeof(how));
	if (pid >= 0)
		return pid;

	if (run->group.group.fd >= 0)
		child->group_procs = openat(run->group.group.fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	pid = fork();
	if (pid > 0)
		run->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pid != 0 && child->group_procs >= 0)
		close(child->group_procs);
	return pid;
}

static void close_theirs(struct run *run)
{
	int *const theirs[] = { &run->program, &run->input, &run->child_output, &run->child_complaint, &run->child_status };
	for (size_t i = 0; i < sizeof(theirs) / sizeof(theirs[0]); i++) {
		if (*theirs[i] >= 0)
			close(*theirs[i]);
		*theirs[i] = -1;
	}
}

static int start(struct run *run)
{
	const struct command *command = run->command;
	char *environment[MAX_ENVIRONMENT];
	int error = make_environment(command, environment);
	if (!error)
		error = make_streams(run);
	if (error)
		return error;

	uint64_t memory = command->memory_max ? command->memory_max : COMMAND_DEFAULT_MEMORY;
	if (command_group_make(memory, command->tasks_max ? command->tasks_max : COMMAND_DEFAULT_TASKS, &run->group) < 0 && run->blind)
		return -EOPNOTSUPP; /* nobody it starts could be found again */
	struct command_child child = {
		.command = command, .environment = environment, .program = run->program, .input = run->input, .output = run->child_output,
		.complaint = run->child_complaint, .status = run->child_status, .group_procs = -1, .parent = getpid(),
		.data_max = run->group.limits_memory ? 0 : memory,
	};
	pid_t pid = fork_into(run, &child);
	if (pid < 0)
		return -errno;
	if (pid == 0)
		command_become(&child);
	run->pid = pid;
	close_theirs(run);
	return run->pidfd < 0 ? -EMFILE : 0;
}

/* --- ending ------------------------------------------------------------------------------------------------------------------------- */

/* The main process is not reaped before: until then neither its number nor its group's is anybody else's. */
static void ask_to_end(struct run *run)
{
	run->end->timed_out = true;
	(void)kill(run->pid, SIGTERM);
	(void)kill(-run->pid, SIGTERM); /* ESRCH: it has not come to setsid() yet */
	(void)listen_to(run, clock_boot_ns() + TERM_NS);
}

static int end_all(struct run *run)
{
	struct command_end *end = run->end;
	int status = 0, error = 0;
	siginfo_t ended = { 0 };

	/* Left over is who outlived the command; where that was still there, the command is not counted itself. */
	bool lives = waitid(P_PID, (id_t)run->pid, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid != run->pid;
	uint32_t members = command_group_members(&run->group);
	bool grouped = run->group.group.fd >= 0;
	(void)kill(run->pid, SIGKILL);
	error = command_group_end(&run->group);
	/* One that sleeps in the kernel does not die before it wakes. */
	if (act_wait(run->pidfd, POLLIN, clock_boot_ns() + STRAYS_NS) != 1 || waitpid(run->pid, &status, WNOHANG) != run->pid)
		return -EBUSY;
	end->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	end->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	int descent = end_strays(run);
	end->left_over = grouped ? members - (lives && members ? 1 : 0) : run->reaped;
	return error ? error : run->blind ? 0 : descent;
}

static void close_run(struct run *run)
{
	int *const ours[] = { &run->pidfd, &run->status, &run->output.fd, &run->complaint.fd };
	close_theirs(run);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (*ours[i] >= 0)
			close(*ours[i]);
	(void)prctl(PR_SET_CHILD_SUBREAPER, run->was_subreaper, 0, 0, 0);
}

static int run_it(struct run *run)
{
	int error = start(run);
	if (!run->pid) {
		(void)command_group_end(&run->group);
		say(run->command, "it could not be started", error);
		return error;
	}
	int heard = error ? error : listen_to(run, run->command->deadline_boot_ns);
	if (heard == 0)
		ask_to_end(run);
	int ended = end_all(run);
	take_last(run, &run->output);
	take_last(run, &run->complaint);
	if (heard < 0) {
		say(run->command, "it could not be started", heard);
		return heard;
	}
	return ended ? -EBUSY : 0;
}

static void sweep_once(void)
{
	static bool swept;
	if (!swept)
		(void)command_groups_sweep();
	swept = true;
}

int command_run(const struct command *command, struct command_end *ret)
{
	int was_subreaper = 0;
	struct run run = { .command = command, .end = ret, .group = { .group = { .fd = -1 } }, .pidfd = -1, .program = -1, .input = -1, .status = -1,
			   .output = { -1, command->output, command->output_size, 0 },
			   .complaint = { -1, command->complaint, command->complaint_size, 0 },
			   .child_output = -1, .child_complaint = -1, .child_status = -1 };
	*ret = (struct command_end){ 0 };
	if (command->output && command->output_size)
		command->output[0] = '\0';
	say(command, "", 0);

	if (clock_boot_ns() >= command->deadline_boot_ns) {
		say(command, "its time is over before it begins", 0);
		return -ETIME;
	}
	int error = command->opened ? 0 : program_open(command->path, &run.program);
	if (command->opened)
		run.program = fcntl(*command->opened, F_DUPFD_CLOEXEC, 0);
	if (command->opened && run.program < 0)
		error = -errno;
	if (error) {
		say(command, error == -EACCES ? "the program must be an absolute path to an executable file that, with every directory on the way to it, belongs to "
					"root and can be written by nobody else" : command->path, error == -EACCES ? 0 : error);
		return error == -EACCES ? -EPERM : error;
	}
	sweep_once();
	uint32_t own = 0;
	run.blind = each_child(note_own, &run, &own) < 0;
	run.own_count = own < MAX_OWN_CHILDREN ? own : MAX_OWN_CHILDREN;
	(void)prctl(PR_GET_CHILD_SUBREAPER, &was_subreaper, 0, 0, 0);
	run.was_subreaper = was_subreaper != 0;
	if (own > MAX_OWN_CHILDREN || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
		close(run.program);
		say(command, "what it starts could not be told from what is here already", 0);
		return -EINVAL;
	}
	error = run_it(&run);
	close_run(&run);
	return error;
}

uint32_t command_sweep(void)
{
	return command_groups_sweep();
}
