/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of keep/ share: a directory of their own, and records whose every member is set from a seed. */
#ifndef NODEMEND_TESTS_KEEP_FIXTURE_H
#define NODEMEND_TESTS_KEEP_FIXTURE_H

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "include/state.h"

struct place {
	char path[64];
	int fd;
};

static inline int place_make(void **state)
{
	struct place *place = calloc(1, sizeof(*place));
	strcpy(place->path, "/tmp/nodemend-keep-XXXXXX");
	if (!mkdtemp(place->path))
		return -1;
	place->fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = place;
	return place->fd < 0 ? -1 : 0;
}

static inline void place_empty(int dir_fd)
{
	DIR *directory = fdopendir(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *entry;
	while (directory && (entry = readdir(directory)))
		(void)unlinkat(dir_fd, entry->d_name, 0);
	if (directory)
		closedir(directory);
}

static inline int place_remove(void **state)
{
	struct place *place = *state;
	place_empty(place->fd);
	close(place->fd);
	rmdir(place->path);
	free(place);
	return 0;
}

static inline uint32_t draw(uint64_t *seed, uint32_t below) /* xorshift: the same records at every run */
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (uint32_t)((*seed >> 16) % below);
}

static inline uint64_t draw_u64(uint64_t *seed)
{
	uint64_t high = draw(seed, UINT32_MAX);
	return high << 32 | draw(seed, UINT32_MAX);
}

/* Plain text, or with quotes, control codes and characters of several bytes. */
static inline void draw_text(uint64_t *seed, char *to, size_t size)
{
	static const char *const pieces[] = { "a", "Z", "9", "/", "\"", "\\", "\n", "\x01", "\x1b", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", " ", "%s" };
	size_t length = 0, wanted = draw(seed, (uint32_t)size);
	for (;;) {
		const char *piece = pieces[draw(seed, sizeof(pieces) / sizeof(pieces[0]))];
		if (length + strlen(piece) > wanted)
			break;
		memcpy(to + length, piece, strlen(piece));
		length += strlen(piece);
	}
	to[length] = '\0';
}

#define DRAW_TEXT(seed, member) draw_text(seed, member, sizeof(member))

static inline void draw_id(uint64_t *seed, char *to)
{
	snprintf(to, ID_LEN, "a%x-%u", draw(seed, UINT32_MAX), draw(seed, 100000));
}

static inline int64_t draw_time(uint64_t *seed) /* what a document keeps: whole milliseconds, 2001 to 2065 */
{
	return (1000000000000 + (int64_t)(draw_u64(seed) % 2000000000000)) * 1000000;
}

static inline uint64_t draw_amount(uint64_t *seed)
{
	return draw(seed, 4) ? draw_u64(seed) >> (14 + draw(seed, 40)) : UNKNOWN;
}

static inline void draw_target(uint64_t *seed, struct target *to)
{
	*to = (struct target){ .type = draw(seed, TARGET_TYPE_COUNT) };
	DRAW_TEXT(seed, to->name);
	if (to->type == TARGET_FILESYSTEM) {
		DRAW_TEXT(seed, to->device);
		to->dev = draw(seed, UINT32_MAX);
	}
	if (to->type == TARGET_PROCESS) {
		to->pid = (int32_t)draw(seed, 4194304);
		to->start_ns = draw_u64(seed);
	}
	if (to->type == TARGET_PROCESS || to->type == TARGET_CGROUP)
		to->cgroup_id = draw_u64(seed);
}

static inline void draw_effect(uint64_t *seed, struct effect *to)
{
	to->freed_bytes = draw_amount(seed);
	to->freed_files = draw_amount(seed);
	to->exited = draw_amount(seed);
	to->unit_active = draw(seed, 3) ? draw(seed, 2) : UNKNOWN;
	to->use_percent = draw_amount(seed);
	to->available_bytes = draw_amount(seed);
	to->cleared = draw(seed, 3) ? draw(seed, 2) : UNKNOWN;
	to->within_ns = draw(seed, 4) ? draw_u64(seed) >> 16 : UNKNOWN;
}

static inline void draw_selection(uint64_t *seed, struct selection *to)
{
	to->count = draw(seed, MAX_CAUSES + 1);
	for (uint32_t i = 0; i < to->count; i++) {
		struct candidate *candidate = &to->each[i];
		candidate->pid = (int32_t)draw(seed, 4194304);
		candidate->share_permille = draw(seed, 1001);
		candidate->score = draw(seed, 6001);
		DRAW_TEXT(seed, candidate->comm);
		DRAW_TEXT(seed, candidate->cgroup);
		DRAW_TEXT(seed, candidate->why);
	}
	if (!to->count)
		return;
	to->margin_permille = draw(seed, 1001);
	DRAW_TEXT(seed, to->otherwise);
}

static inline void draw_action(uint64_t *seed, struct action *to)
{
	*to = (struct action){ .mode = draw(seed, MODE_COUNT), .dry_run = draw(seed, 2), .outcome = draw(seed, OUTCOME_COUNT) };
	draw_id(seed, to->id);
	if (draw(seed, 2))
		draw_id(seed, to->incident);
	DRAW_TEXT(seed, to->policy);
	DRAW_TEXT(seed, to->remedy);
	draw_target(seed, &to->target);
	to->plan_count = draw(seed, MAX_PLAN_LINES + 1);
	to->plan_cut = draw(seed, 3);
	for (uint32_t i = 0; i < to->plan_count; i++)
		DRAW_TEXT(seed, to->plan[i]);
	draw_selection(seed, &to->choice);
	draw_effect(seed, &to->expected);
	draw_effect(seed, &to->observed);
	to->started_wall_ns = draw_time(seed);
	to->ended_wall_ns = draw(seed, 2) ? draw_time(seed) : 0;
	to->started_boot_ns = draw_u64(seed);
	DRAW_TEXT(seed, to->refused_by);
	to->step_count = draw(seed, MAX_ACTION_STEPS + 1);
	for (uint32_t i = 0; i < to->step_count; i++) {
		struct action_step *step = &to->steps[i];
		DRAW_TEXT(seed, step->name);
		DRAW_TEXT(seed, step->detail);
		step->started_wall_ns = draw_time(seed);
		step->ended_wall_ns = draw_time(seed);
		step->ok = draw(seed, 2);
	}
}

static inline void draw_cause(uint64_t *seed, uint32_t rank, struct cause *to)
{
	*to = (struct cause){ .rank = rank, .pid = (int32_t)draw(seed, 4194304), .start_ns = draw_u64(seed), .cgroup_id = draw_u64(seed),
		.rss_bytes = draw_u64(seed) >> 20, .oom_score_adj = (int16_t)((int)draw(seed, 2001) - 1000), .share_permille = draw(seed, 1001),
		.explains = draw(seed, 2), .self_inflicted = draw(seed, 2) };
	DRAW_TEXT(seed, to->comm);
	DRAW_TEXT(seed, to->cgroup);
	DRAW_TEXT(seed, to->unit);
	DRAW_TEXT(seed, to->container);
	DRAW_TEXT(seed, to->container_id);
	DRAW_TEXT(seed, to->namespace);
	DRAW_TEXT(seed, to->pod);
	DRAW_TEXT(seed, to->evidence);
}

static inline void draw_incident(uint64_t *seed, struct incident *to)
{
	*to = (struct incident){ .kind = draw(seed, KIND_COUNT), .severity = draw(seed, SEVERITY_COUNT), .state = draw(seed, INCIDENT_STATE_COUNT) };
	draw_id(seed, to->id);
	DRAW_TEXT(seed, to->policy);
	to->opened_wall_ns = draw_time(seed);
	to->resolved_wall_ns = draw(seed, 2) ? draw_time(seed) : 0;
	to->opened_boot_ns = draw_u64(seed) >> 2;
	draw_target(seed, &to->resource);
	DRAW_TEXT(seed, to->signal.metric);
	to->signal.value = draw(seed, 1000000) / 64.0;
	to->signal.threshold = -(double)draw(seed, 1000000) / 64.0;
	to->signal.exhausted_in_ns = draw(seed, 2) ? draw_u64(seed) >> 16 : UNKNOWN;
	to->signal.confidence_permille = draw(seed, 1001);
	to->cause_count = draw(seed, MAX_CAUSES + 1);
	for (uint32_t i = 0; i < to->cause_count; i++)
		draw_cause(seed, i + 1, &to->causes[i]);
	to->victim_count = draw(seed, MAX_VICTIMS + 1);
	for (uint32_t i = 0; i < to->victim_count; i++)
		draw_cause(seed, i + 1, &to->victims[i]);
	to->change_count = draw(seed, MAX_INCIDENT_CHANGES + 1);
	for (uint32_t i = 0; i < to->change_count; i++) {
		to->changes[i].wall_ns = draw_time(seed);
		DRAW_TEXT(seed, to->changes[i].what);
	}
	to->before.step_ns = draw(seed, 60) * UINT64_C(1000000000);
	to->before.count = draw(seed, MAX_BEFORE + 1);
	for (uint32_t i = 0; i < to->before.count; i++)
		to->before.values[i] = draw(seed, 1000000) / 64.0; /* exact in text */
	if (draw(seed, 2))
		draw_id(seed, to->parent);
	to->reopened = draw(seed, 9);
	to->flaps = draw(seed, 4);
	to->flapping = draw(seed, 2);
	to->phase_boot_ns = draw_u64(seed) >> 2;
	to->action_count = draw(seed, MAX_INCIDENT_ACTIONS + 1);
	for (uint32_t i = 0; i < to->action_count; i++)
		draw_id(seed, to->actions[i]);
	to->history_count = draw(seed, MAX_INCIDENT_HISTORY + 1);
	to->history_cut = draw(seed, 5);
	for (uint32_t i = 0; i < to->history_count; i++) {
		to->history[i] = (struct history_entry){ .wall_ns = draw_time(seed), .state = draw(seed, INCIDENT_STATE_COUNT) };
		DRAW_TEXT(seed, to->history[i].why);
	}
}

/* An intent, or the result of it; enough for what is tested of the journal. */
static inline void plain_action(struct action *to, unsigned number, enum outcome outcome)
{
	*to = (struct action){ .mode = MODE_ENFORCE, .target = { .type = TARGET_FILESYSTEM, .name = "/data" }, .outcome = outcome,
		.started_wall_ns = 1763892000000000000, .ended_wall_ns = outcome ? 1763892001000000000 : 0 };
	snprintf(to->id, sizeof(to->id), "a6923-%u", number);
	strcpy(to->remedy, "clean-files");
	effect_clear(&to->expected);
	effect_clear(&to->observed);
}

#endif
