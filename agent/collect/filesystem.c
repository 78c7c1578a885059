/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How full the filesystems are. statvfs may hang for ever (a dead NFS server, a stuck FUSE daemon), so workers call it: the
 * quick one is asked for all mounts at every full tick and answers within microseconds; the mount at which it does not is
 * set aside with that very worker, and the others get a new one. A mount set aside is asked on its own, and after two
 * seconds without an answer its worker is killed and the mount left alone for a while.
 */
#include "collect/mount.h"
#include "collector.h"
#include "core/clock.h"
#include "core/pages.h"
#include "core/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define QUICK_WAIT_NS (20 * NSEC_PER_MSEC)   /* the most a tick waits for answers; thirty local mounts take 0.2 ms */
#define SET_ASIDE_NS (250 * NSEC_PER_MSEC)   /* longer than a busy scheduler, shorter than anybody's interval */
#define GIVE_UP_NS (2 * NSEC_PER_SEC)
#define SLOW_FOR_NS (60 * NSEC_PER_SEC)      /* a mount that took long once is asked on its own for so long */
#define BACKOFF_FIRST_NS (4 * NSEC_PER_SEC)
#define BACKOFF_MOST_NS (60 * NSEC_PER_SEC)

struct question {
	uint32_t mount_id;
	char mountpoint[PATH_LEN];
};

struct batch {
	uint64_t seq;
	uint32_t count;
	struct question each[MAX_FILESYSTEMS];
};

struct answer { /* one a question, in their order */
	uint64_t seq, took_ns;
	uint32_t place;
	int32_t error;       /* -errno; -ESTALE: another mount stands there */
	uint64_t size, free, avail, files, files_free;
	bool read_only;
};

struct asker {
	struct worker worker;
	struct batch asked;
	uint32_t answered;
	uint64_t sent_ns;    /* boot time of the tick that asked */
};

struct watch { /* beside each row of the section */
	uint64_t stuck_since_ns, slow_until_ns, next_ask_ns, backoff_ns;
	int lost_fd;         /* pidfd of a killed worker that still hangs at this mount; -1: none */
};

struct filesystem_state {
	const struct config *config;
	int mountinfo_fd;
	bool pollable;       /* a real mountinfo says when it changed; a copy in a test is read at every tick */
	bool known;
	uint64_t seq, kills;
	struct asker quick, patient;
	uint32_t watch_count, turn, table_cut;
	struct watch watches[MAX_FILESYSTEMS];
	struct mount_list mounts;
	struct filesystem_section next;
	struct watch next_watches[MAX_FILESYSTEMS];
	char buffer[PROCFS_BUFFER];
};

/* --- in the worker ------------------------------------------------------------------------------------------------------ */

/* Kernels before 5.8 do not say which mount a path led to: believe the path. */
static bool is_mount(int fd, uint32_t mount_id)
{
	struct statx found;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &found) < 0 || !(found.stx_mask & STATX_MNT_ID))
		return true;
	return found.stx_mnt_id == mount_id;
}

static int measure(const struct question *question, struct answer *ret)
{
	struct statvfs found;

	int fd = open(question->mountpoint, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	int error = !is_mount(fd, question->mount_id) ? -ESTALE : fstatvfs(fd, &found) < 0 ? -errno : 0;
	close(fd);
	if (error)
		return error;

	ret->size = (uint64_t)found.f_blocks * found.f_frsize;
	ret->free = (uint64_t)found.f_bfree * found.f_frsize;
	ret->avail = (uint64_t)found.f_bavail * found.f_frsize;
	ret->files = found.f_files;
	ret->files_free = found.f_ffree;
	ret->read_only = found.f_flag & ST_RDONLY;
	return 0;
}

static size_t batch_size(uint32_t count)
{
	return offsetof(struct batch, each) + count * sizeof(struct question);
}

static int serve(int fd)
{
	struct batch batch;

	for (;;) {
		ssize_t got = recv(fd, &batch, sizeof(batch), MSG_TRUNC);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0;
		if (got < (ssize_t)batch_size(0) || batch.count > MAX_FILESYSTEMS || (size_t)got != batch_size(batch.count))
			return 1;
		for (uint32_t i = 0; i < batch.count; i++) {
			struct answer answer = { .seq = batch.seq, .place = i };
			uint64_t begun_ns = clock_boot_ns();
			answer.error = measure(&batch.each[i], &answer);
			answer.took_ns = clock_boot_ns() - begun_ns;
			if (worker_write(fd, &answer, sizeof(answer)) <= 0)
				return 1;
		}
	}
}

/* --- rows and what is known about asking for them ----------------------------------------------------------------------- */

static uint32_t find_row(const struct filesystem_section *section, const char *mountpoint, uint32_t mount_id)
{
	for (uint32_t i = 0; i < section->count; i++)
		if (section->each[i].mount_id == mount_id && strcmp(section->each[i].mountpoint, mountpoint) == 0)
			return i;
	return NO_INDEX;
}

static void make_row(const struct filesystem_section *old, const struct mount *mount, struct filesystem *ret)
{
	uint32_t before = find_row(old, mount->mountpoint, mount->mount_id);

	if (before != NO_INDEX && old->each[before].dev == mount->dev) {
		*ret = old->each[before];
	} else {
		*ret = (struct filesystem){ .exhausted_in_ns = UNKNOWN };
		for (uint32_t i = 0; i < old->count; i++) /* what was written to a device does not depend on where it is mounted */
			if (old->each[i].dev == mount->dev && old->each[i].dirtied_total > ret->dirtied_total)
				ret->dirtied_total = old->each[i].dirtied_total;
	}
	ret->dev = mount->dev;
	ret->mount_id = mount->mount_id;
	ret->read_only = mount->read_only;
	memcpy(ret->mountpoint, mount->mountpoint, sizeof(ret->mountpoint));
	memcpy(ret->device, mount->device, sizeof(ret->device));
	memcpy(ret->type, mount->type, sizeof(ret->type));
}

static void rebuild(struct filesystem_state *state, struct filesystem_section *section)
{
	struct filesystem_section *next = &state->next;

	next->count = state->mounts.count;
	for (uint32_t i = 0; i < next->count; i++) {
		const struct mount *mount = &state->mounts.each[i];
		uint32_t before = find_row(section, mount->mountpoint, mount->mount_id);
		make_row(section, mount, &next->each[i]);
		state->next_watches[i] = (struct watch){ .lost_fd = -1 };
		if (before < state->watch_count) {
			state->next_watches[i] = state->watches[before];
			state->watches[before].lost_fd = -1; /* moved */
		}
	}
	for (uint32_t i = 0; i < state->watch_count; i++)
		if (state->watches[i].lost_fd >= 0)
			close(state->watches[i].lost_fd);

	memcpy(state->watches, state->next_watches, next->count * sizeof(state->watches[0]));
	state->watch_count = next->count;
	memcpy(section->each, next->each, next->count * sizeof(next->each[0]));
	section->count = next->count;
	section->cut = state->mounts.cut;
}

static bool table_changed(const struct filesystem_state *state)
{
	struct pollfd mountinfo = { .fd = state->mountinfo_fd, .events = POLLPRI };
	return !state->known || !state->pollable || (poll(&mountinfo, 1, 0) > 0 && (mountinfo.revents & (POLLPRI | POLLERR)));
}

static int read_table(struct filesystem_state *state, struct filesystem_section *section, struct collector_status *status)
{
	if (!table_changed(state))
		return 0;
	state->known = false; /* until it was read whole: the change is told once only */

	ssize_t length = procfs_read(state->mountinfo_fd, state->buffer, sizeof(state->buffer));
	if (length < 0)
		return (int)length;
	int error = mount_select(state->buffer, (size_t)length, state->config, &state->mounts);
	if (error)
		return error;

	if (state->mounts.cut > state->table_cut)
		status->events_lost += state->mounts.cut - state->table_cut;
	state->table_cut = state->mounts.cut;
	rebuild(state, section);
	state->known = true;
	return 0;
}

/* --- asking ------------------------------------------------------------------------------------------------------------- */

static bool in_flight(const struct asker *asker)
{
	return asker->answered < asker->asked.count;
}

/* The row at which the worker is; NO_INDEX: none, or unmounted meanwhile. */
static uint32_t row_in_turn(const struct asker *asker, const struct filesystem_section *section)
{
	if (!in_flight(asker))
		return NO_INDEX;
	const struct question *question = &asker->asked.each[asker->answered];
	return find_row(section, question->mountpoint, question->mount_id);
}

static void stop_asking(struct asker *asker)
{
	worker_stop(&asker->worker);
	asker->asked.count = asker->answered = 0;
}

static void add_question(struct asker *asker, const struct filesystem *row)
{
	struct question *question = &asker->asked.each[asker->asked.count++];
	question->mount_id = row->mount_id;
	memcpy(question->mountpoint, row->mountpoint, sizeof(question->mountpoint));
}

static int send_questions(struct filesystem_state *state, struct asker *asker, uint64_t now_ns)
{
	int error = 0;

	if (asker->asked.count == 0)
		return 0;
	asker->asked.seq = ++state->seq;
	asker->sent_ns = now_ns;
	if (asker->worker.pid <= 0)
		error = worker_start(&asker->worker);
	if (!error)
		error = worker_send(&asker->worker, &asker->asked, batch_size(asker->asked.count), now_ns);
	if (error)
		stop_asking(asker);
	return error;
}

static void take_answer(struct filesystem_state *state, struct filesystem_section *section, const struct asker *asker,
			const struct answer *answer, uint64_t now_ns)
{
	const struct question *question = &asker->asked.each[answer->place];
	uint32_t index = find_row(section, question->mountpoint, question->mount_id);
	if (index >= state->watch_count)
		return;

	struct filesystem *row = &section->each[index];
	struct watch *watch = &state->watches[index];
	watch->stuck_since_ns = watch->backoff_ns = 0;
	row->stuck_ns = 0;
	if (answer->took_ns > QUICK_WAIT_NS)
		watch->slow_until_ns = now_ns + SLOW_FOR_NS;
	if (answer->error)
		return;

	row->measured_ns = asker->sent_ns; /* not earlier, and in most cases less than a millisecond later */
	row->size = answer->size;
	row->free = answer->free;
	row->avail = answer->avail;
	row->files = answer->files;
	row->files_free = answer->files_free;
	row->read_only = answer->read_only;
}

static void take_answers(struct filesystem_state *state, struct filesystem_section *section, struct asker *asker, uint64_t now_ns)
{
	struct answer answer;

	while (asker->worker.pid > 0) {
		int got = worker_receive(&asker->worker, &answer, sizeof(answer));
		if (got == 0)
			return;
		if (got < 0) {
			state->kills++;
			stop_asking(asker);
			return;
		}
		/* One that was set aside in the middle of its batch answers the rest of it to nobody. */
		if (answer.seq != asker->asked.seq || answer.place != asker->answered || !in_flight(asker))
			continue;
		take_answer(state, section, asker, &answer, now_ns);
		asker->answered++;
	}
}

static void wait_for(struct filesystem_state *state, struct filesystem_section *section, struct asker *asker, uint64_t now_ns,
		     uint64_t until_ns)
{
	take_answers(state, section, asker, now_ns);
	while (in_flight(asker)) {
		uint64_t clock_ns = clock_boot_ns();
		if (clock_ns >= until_ns)
			return;
		struct timespec left = { .tv_nsec = (long)(until_ns - clock_ns) }; /* well under a second */
		struct pollfd answers = { .fd = asker->worker.fd, .events = POLLIN };
		if (ppoll(&answers, 1, &left, NULL) < 0 && errno != EINTR)
			return;
		take_answers(state, section, asker, now_ns);
	}
}

/* --- what hangs --------------------------------------------------------------------------------------------------------- */

static bool is_aside(const struct watch *watch, uint64_t now_ns)
{
	return watch->stuck_since_ns || now_ns < watch->slow_until_ns;
}

/* A killed worker may stay in uninterruptible sleep: as long as it does, one more would only join it. */
static bool still_hangs(struct watch *watch)
{
	if (watch->lost_fd < 0)
		return false;
	struct pollfd ended = { .fd = watch->lost_fd, .events = POLLIN };
	if (poll(&ended, 1, 0) == 0)
		return true;
	close(watch->lost_fd);
	watch->lost_fd = -1;
	return false;
}

static void give_up(struct filesystem_state *state, struct filesystem_section *section, struct asker *asker, uint64_t now_ns)
{
	uint32_t index = row_in_turn(asker, section);

	state->kills++;
	asker->worker.restarts++;
	if (index < state->watch_count) {
		struct watch *watch = &state->watches[index];
		if (!watch->stuck_since_ns)
			watch->stuck_since_ns = asker->sent_ns;
		watch->backoff_ns = watch->backoff_ns ? watch->backoff_ns * 2 : BACKOFF_FIRST_NS;
		if (watch->backoff_ns > BACKOFF_MOST_NS)
			watch->backoff_ns = BACKOFF_MOST_NS;
		watch->next_ask_ns = now_ns + watch->backoff_ns;
		if (!still_hangs(watch))
			watch->lost_fd = fcntl(asker->worker.pidfd, F_DUPFD_CLOEXEC, 0);
	}
	stop_asking(asker);
}

static void set_aside(struct filesystem_state *state, struct filesystem_section *section, uint64_t now_ns)
{
	struct asker *quick = &state->quick, *patient = &state->patient;
	uint32_t index = row_in_turn(quick, section);

	if (in_flight(patient) || index >= state->watch_count) {
		give_up(state, section, quick, now_ns);
		return;
	}
	state->watches[index].stuck_since_ns = quick->sent_ns;
	quick->asked.count = quick->answered + 1;

	/* They change places, worker, questions and all; the names in ps are the same. */
	struct worker idle = patient->worker;
	patient->worker = quick->worker;
	quick->worker = idle;
	patient->asked = quick->asked;
	patient->answered = quick->answered;
	patient->sent_ns = quick->sent_ns;
	quick->asked.count = quick->answered = 0;
}

static void ask_patiently(struct filesystem_state *state, struct filesystem_section *section, uint64_t now_ns)
{
	if (in_flight(&state->patient))
		return;
	for (uint32_t i = 0; i < section->count; i++) {
		uint32_t index = (state->turn + i) % section->count;
		struct watch *watch = &state->watches[index];
		if (!is_aside(watch, now_ns) || now_ns < watch->next_ask_ns || still_hangs(watch))
			continue;
		state->turn = index + 1;
		state->patient.asked.count = state->patient.answered = 0;
		add_question(&state->patient, &section->each[index]);
		(void)send_questions(state, &state->patient, now_ns); /* no worker now: the next tick tries again, the row grows stale */
		return;
	}
	if (state->patient.worker.pid > 0)
		stop_asking(&state->patient); /* nothing hangs any more: one process less */
}

static int ask_quickly(struct filesystem_state *state, struct filesystem_section *section, uint64_t now_ns)
{
	if (in_flight(&state->quick))
		return 0;
	state->quick.asked.count = state->quick.answered = 0;
	for (uint32_t i = 0; i < section->count; i++)
		if (!is_aside(&state->watches[i], now_ns))
			add_question(&state->quick, &section->each[i]);
	return send_questions(state, &state->quick, now_ns);
}

/* --- the collector ------------------------------------------------------------------------------------------------------ */

static void tell_stuck(struct filesystem_state *state, struct filesystem_section *section, uint64_t now_ns, struct collector_status *status)
{
	uint32_t stuck = 0;
	const char *first = NULL;

	for (uint32_t i = 0; i < section->count; i++) {
		struct filesystem *row = &section->each[i];
		const struct watch *watch = &state->watches[i];
		row->exhausted_in_ns = UNKNOWN; /* forecast after collecting */
		row->exhausted_confidence_permille = 0;
		row->stuck_ns = watch->stuck_since_ns && now_ns > watch->stuck_since_ns ? now_ns - watch->stuck_since_ns : 0;
		if (!row->stuck_ns)
			continue;
		stuck++;
		first = first ? first : row->mountpoint;
	}
	status->state = stuck ? COLLECTOR_DEGRADED : COLLECTOR_UP;
	status->why[0] = '\0';
	if (stuck)
		snprintf(status->why, sizeof(status->why), "%u of %u do not answer statvfs: %.80s%s", stuck, section->count, first,
			 stuck > 1 ? ", ..." : "");
}

static int filesystem_collect(void *opaque, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct filesystem_state *state = opaque;
	struct filesystem_section *section = &snap->filesystems;
	uint64_t now_ns = snap->boot_ns;

	if (!full)
		return 0;
	int error = read_table(state, section, status);
	if (error)
		return error;

	uint64_t kills = state->kills;
	take_answers(state, section, &state->quick, now_ns);
	take_answers(state, section, &state->patient, now_ns);
	if (in_flight(&state->patient) && now_ns >= state->patient.sent_ns + GIVE_UP_NS)
		give_up(state, section, &state->patient, now_ns);
	if (in_flight(&state->quick) && now_ns >= state->quick.sent_ns + SET_ASIDE_NS)
		set_aside(state, section, now_ns);

	error = ask_quickly(state, section, now_ns);
	ask_patiently(state, section, now_ns);
	uint64_t until_ns = clock_boot_ns() + QUICK_WAIT_NS;
	wait_for(state, section, &state->quick, now_ns, until_ns);
	uint32_t aside = row_in_turn(&state->patient, section);
	if (aside < state->watch_count && !state->watches[aside].stuck_since_ns)
		wait_for(state, section, &state->patient, now_ns, until_ns); /* it was slow once: it may well be in time today */
	else
		take_answers(state, section, &state->patient, now_ns);

	status->events_lost += state->kills - kills;
	tell_stuck(state, section, now_ns, status);
	if (!error)
		section->measured_ns = now_ns;
	return error;
}

static void filesystem_close(void *opaque)
{
	struct filesystem_state *state = opaque;
	if (!state)
		return;
	worker_stop(&state->quick.worker);
	worker_stop(&state->patient.worker);
	for (uint32_t i = 0; i < state->watch_count; i++)
		if (state->watches[i].lost_fd >= 0)
			close(state->watches[i].lost_fd);
	if (state->mountinfo_fd >= 0)
		close(state->mountinfo_fd);
	pages_free(state);
}

static int filesystem_open(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct filesystem_state *state = pages_new(1, sizeof(*state));
	if (!state)
		return -ENOMEM;

	state->config = env->config;
	state->quick.worker = (struct worker){ .name = "statvfs", .serve = serve, .fd = -1 };
	state->patient.worker = state->quick.worker;
	snprintf(status->source, sizeof(status->source), "statvfs");

	state->mountinfo_fd = procfs_open(env->proc_fd, "self/mountinfo");
	if (state->mountinfo_fd < 0) {
		int error = state->mountinfo_fd;
		snprintf(status->why, sizeof(status->why), "/proc/self/mountinfo: %s", strerror(-error));
		filesystem_close(state);
		return error;
	}
	struct statfs kind;
	state->pollable = fstatfs(state->mountinfo_fd, &kind) == 0 && kind.f_type == PROC_SUPER_MAGIC;

	/* Forked now, while the agent is small; later ones only where something hangs. */
	int error = worker_start(&state->quick.worker);
	if (error) {
		snprintf(status->why, sizeof(status->why), "no worker for statvfs: %s", strerror(-error));
		filesystem_close(state);
		return error;
	}
	status->state = COLLECTOR_UP;
	*ret_state = state;
	return 0;
}

const struct collector collector_filesystem = {
	.name = "filesystem", .id = COLLECTOR_FILESYSTEM, .fast = false, .open = filesystem_open, .collect = filesystem_collect,
	.close = filesystem_close,
};
