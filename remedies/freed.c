/* SPDX-License-Identifier: Apache-2.0 */
/* See freed.h. */
#include "remedies/freed.h"

#include <inttypes.h>
#include <sys/statvfs.h>
#include <time.h>

#include "core/clock.h"

/* ext4 and xfs give blocks back after the unlink has returned, xfs from a worker of its own. */
#define SETTLE_NS (5 * NSEC_PER_SEC)
#define SETTLE_STILL_NS (NSEC_PER_SEC)        /* no more came for so long: no more will */
#define SETTLE_ENDED_NS (250 * NSEC_PER_MSEC) /* the same after another program, which has ended: nothing is known to be missing */
#define SETTLE_LOOK_NS (20 * NSEC_PER_MSEC)
enum { AGREE_PERMILLE = 10 };

/* f_bfree: f_bavail stands still while the reserve of root fills up again. */
static uint64_t free_bytes(int fd)
{
	struct statvfs now;
	return fstatvfs(fd, &now) < 0 ? UNKNOWN : (uint64_t)now.f_bfree * now.f_frsize;
}

void freed_begin(struct freed *freed, int fd, const struct remedy_request *request)
{
	*freed = (struct freed){ .request = request, .fd = fd, .before = free_bytes(fd) };
}

void freed_before_deed(struct freed *freed)
{
	freed->deed_free = free_bytes(freed->fd);
	freed->deed_ns = clock_boot_ns();
	if (!freed->last_ns || freed->deed_free == UNKNOWN || freed->last_free == UNKNOWN)
		return;
	freed->outside_ns += freed->deed_ns - freed->last_ns;
	freed->outside_taken += (int64_t)(freed->last_free - freed->deed_free);
}

void freed_after_deed(struct freed *freed, uint64_t bytes)
{
	freed->last_free = free_bytes(freed->fd);
	freed->last_ns = clock_boot_ns();
	freed->inside_ns += freed->last_ns - freed->deed_ns;
	if (freed->deed_free != UNKNOWN && freed->last_free != UNKNOWN && freed->last_free > freed->deed_free)
		freed->inside_bytes += freed->last_free - freed->deed_free;
	freed->bytes += bytes;
}

static bool agrees(const struct freed *freed, uint64_t shown)
{
	return freed->bytes != UNKNOWN && shown >= freed->bytes - freed->bytes / 1000 * AGREE_PERMILLE;
}

static uint64_t gained(const struct freed *freed)
{
	uint64_t now = free_bytes(freed->fd);
	return now != UNKNOWN && freed->before != UNKNOWN && now > freed->before ? now - freed->before : 0;
}

/* Until statvfs shows as much as was given up, or nothing more comes. There is no event to wait for. */
static uint64_t settle(const struct freed *freed)
{
	uint64_t begun = clock_boot_ns(), grew = begun, most = gained(freed), still = freed->bytes == UNKNOWN ? SETTLE_ENDED_NS : SETTLE_STILL_NS;
	while (!agrees(freed, most)) {
		uint64_t now = clock_boot_ns();
		if (now - begun >= SETTLE_NS || now - grew >= still || now >= freed->request->deadline_boot_ns)
			break;
		nanosleep(&(struct timespec){ .tv_nsec = SETTLE_LOOK_NS }, NULL);
		uint64_t seen = gained(freed);
		if (seen > most) {
			most = seen;
			grew = now;
		}
	}
	return most;
}

/*
 * What statvfs showed around the deeds, and what others took in just that time: at the pace at which they took it between them.
 * That pace is a guess, so it may explain a twentieth and no more.
 */
static uint64_t shown_around(const struct freed *freed)
{
	double taken = freed->outside_ns && freed->outside_taken > 0 ? (double)freed->outside_taken / (double)freed->outside_ns : 0;
	uint64_t guess = (uint64_t)(taken * (double)freed->inside_ns), most = freed->bytes == UNKNOWN ? 0 : freed->bytes / 20;
	return freed->inside_bytes + (guess < most ? guess : most);
}

/*
 * Two witnesses, since others write and delete meanwhile: statvfs around each single deed, too short a time for much else to
 * happen, and statvfs over the whole, which also sees what comes back late. The larger one counts, and never more than the blocks
 * of what was given up; within 1 % of those, the blocks are the exact number. Shared extents and snapshots show in neither.
 */
uint64_t freed_tell(const struct freed *freed, struct remedy_result *result)
{
	struct action_step *step = result_step(result, "statvfs");
	uint64_t begun = clock_boot_ns(), around = shown_around(freed);
	uint64_t whole = agrees(freed, around) ? gained(freed) : settle(freed);
	uint64_t shown = whole > around ? whole : around, waited_ms = (clock_boot_ns() - begun) / NSEC_PER_MSEC;
	if (freed->bytes == UNKNOWN) {
		step_end(step, shown > 0, "shown over the whole %" PRIu64 ", around it %" PRIu64 ", after %" PRIu64 " ms", whole, around, waited_ms);
		return shown;
	}
	bool agreed = agrees(freed, shown);
	step_end(step, agreed, "blocks given up %" PRIu64 "; shown around each deed %" PRIu64 ", with what others took meanwhile %" PRIu64 ", over the whole %" PRIu64
		 ", after %" PRIu64 " ms", freed->bytes, freed->inside_bytes, around, whole, waited_ms);
	return agreed ? freed->bytes : shown;
}

static bool is_kept(uint64_t promised, uint64_t seen)
{
	return promised == UNKNOWN || (seen != UNKNOWN && seen >= promised);
}

enum outcome freed_outcome(const struct remedy_request *request, const struct remedy_result *result)
{
	const struct effect *expect = &request->expect, *observed = &result->observed;
	bool promised = expect->freed_bytes != UNKNOWN || expect->freed_files != UNKNOWN;
	const struct effect *measure_by = promised ? expect : &result->expected;
	bool files_alone = expect->freed_bytes == UNKNOWN && expect->freed_files != UNKNOWN && observed->freed_files && observed->freed_files != UNKNOWN;
	if (!files_alone && (!observed->freed_bytes || observed->freed_bytes == UNKNOWN))
		return OUTCOME_NO_EFFECT;
	bool kept = is_kept(measure_by->freed_bytes, observed->freed_bytes) && is_kept(measure_by->freed_files, observed->freed_files);
	return kept ? OUTCOME_FIXED : OUTCOME_IMPROVED;
}
