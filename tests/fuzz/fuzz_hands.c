/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anything at all as a request to the hands, whole or written over a sound one piece by piece. Only what looks and never what acts
 * is asked for, so that no input can do harm; the answer is always well-formed, and never claims to have done something.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "decide/hands.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LOOK_FOR_NS = 20 * 1000 * 1000, SECOND = 1000 * 1000 * 1000 };

static struct remedy_request request;
static struct remedy_result result;

static void require(int holds)
{
	if (!holds)
		abort();
}

static void sound_request(void)
{
	memset(&request, 0, sizeof(request));
	memcpy(request.action_id, "a-1", 4);
	memcpy(request.systemd_bus, "unix:path=/nonexistent", 23);
	request.target.type = TARGET_NODE;
	request.candidate_count = 2;
	request.candidates[0] = (struct cause){ .rank = 1, .pid = 1, .start_ns = 1, .comm = "systemd", .share_permille = 900 };
	request.candidates[1] = (struct cause){ .rank = 2, .pid = 2, .start_ns = 1, .comm = "kthreadd", .cgroup = "/a", .cgroup_id = 7, .share_permille = 90 };
	effect_clear(&request.expect);
}

static void sound_args(enum remedy_id remedy)
{
	struct clean_files_args *clean = &request.args.clean_files;
	if (remedy == REMEDY_CLEAN_FILES) {
		memcpy(clean->root, "/proc/self/fdinfo", 18);
		memcpy(clean->match[0], "*.log", 6);
		clean->match_count = 1;
		clean->max_bytes = 1 << 20;
		clean->max_files = 10;
		clean->max_depth = 2;
	}
	struct truncate_open_args *truncate = &request.args.truncate_open;
	if (remedy == REMEDY_TRUNCATE_OPEN) {
		memcpy(truncate->match[0], "*.log", 6);
		truncate->match_count = truncate->max_files = 1;
		truncate->min_size = 4096;
	}
	struct stale_files_args *const stale[] = { &request.args.vacuum_journal, &request.args.prune_coredumps, &request.args.prune_packages };
	static const enum remedy_id stale_ids[] = { REMEDY_VACUUM_JOURNAL, REMEDY_PRUNE_COREDUMPS, REMEDY_PRUNE_PACKAGES };
	for (size_t i = 0; i < sizeof(stale_ids) / sizeof(stale_ids[0]); i++)
		if (remedy == stale_ids[i])
			stale[i]->max_bytes = stale[i]->max_files = 10;
	if (remedy == REMEDY_ROTATE_LOGS)
		memcpy(request.args.rotate_logs.config, "/nonexistent/logrotate.conf", 28);
	if (remedy == REMEDY_RELEASE_BALLAST) {
		memcpy(request.args.release_ballast.path, "/nonexistent/ballast", 21);
		request.args.release_ballast.size = 1 << 20;
		request.args.release_ballast.remake_below = 70;
	}
	if (remedy == REMEDY_RAISE_CONNTRACK || remedy == REMEDY_RAISE_NEIGHBOURS)
		request.args.raise_limit = (struct raise_limit_args){ .times = 2, .memory_percent = 5, .full_percent = 100, .for_ns = NSEC_PER_SEC };
	if (remedy == REMEDY_RESTART_INTERFACE) {
		request.args.restart_interface = (struct restart_interface_args){ .watch_ns = NSEC_PER_SEC, .down_ns = NSEC_PER_SEC };
		request.target.type = TARGET_INTERFACE;
		memcpy(request.target.name, "lo", 3); /* refused before it is watched */
	}
	if (remedy == REMEDY_RESTART_UNIT || remedy == REMEDY_START_UNIT || remedy == REMEDY_RELOAD_UNIT || remedy == REMEDY_RESET_FAILED)
		memcpy(request.args.unit.unit, "a.service", 10);
	if (remedy == REMEDY_TERMINATE)
		request.args.terminate.term_wait_ns = 1;
	if (remedy == REMEDY_NOTIFY)
		memcpy(request.args.notify.to, "oncall", 7);
	if (remedy == REMEDY_MANUAL_TASK)
		memcpy(request.args.manual_task.title, "look", 5);
	if (remedy == REMEDY_HOOK) {
		request.args.hook.word_count = 1;
		memcpy(request.args.hook.command[0], "/bin/true", 10);
		memcpy(request.args.hook.user, "nobody", 7);
		request.args.hook.timeout_ns = NSEC_PER_SEC;
		request.args.hook.memory_bytes = 64 << 20;
		request.args.hook.tasks = 1;
	}
	if (remedy == REMEDY_PRUNE_IMAGES)
		request.args.prune_images = (struct prune_images_args){ .socket = "/nonexistent", .max_bytes = 1, .max_count = 1 };
	if (remedy == REMEDY_RESTART_CONTAINER || remedy == REMEDY_KILL_CONTAINER)
		request.args.kill_container = (struct container_args){ .socket = "/nonexistent", .grace_ns = 1 };
	if (remedy == REMEDY_LIMIT_CPU)
		request.args.limit_cpu = (struct limit_cpu_args){ .percent = 50, .for_ns = NSEC_PER_SEC };
	if (remedy == REMEDY_RENICE)
		request.args.renice = (struct renice_args){ .nice = 10, .for_ns = NSEC_PER_SEC };
	if (remedy == REMEDY_CPU_WEIGHT)
		request.args.cpu_weight = (struct cpu_weight_args){ .weight = 10, .for_ns = NSEC_PER_SEC };
	if (remedy == REMEDY_ISOLATE)
		request.args.isolate = (struct isolate_args){ .cpus = "1", .for_ns = NSEC_PER_SEC };
	if (remedy == REMEDY_LIMIT_MEMORY)
		request.args.limit_memory = (struct limit_memory_args){ .at_least_percent = 80, .stall_percent = 30, .watch_ns = NSEC_PER_SEC, .for_ns = NSEC_PER_SEC };
	if (remedy == REMEDY_THROTTLE_WRITER)
		request.args.throttle_writer = (struct throttle_writer_args){ .bytes_per_second = 1 << 20, .path = "/", .for_ns = NSEC_PER_SEC };
	if (remedy == REMEDY_STOP_WRITER)
		request.args.stop_writer = (struct stop_writer_args){ .for_ns = NSEC_PER_SEC };
	if (remedy == REMEDY_RECLAIM)
		request.args.reclaim = (struct reclaim_args){ .step_bytes = 1 << 20, .max_bytes = 1 << 24, .step_timeout_ns = SECOND };
	if (remedy == REMEDY_KILL_FORK_BOMB)
		request.args.kill_fork_bomb = (struct kill_fork_bomb_args){ .max_processes = 8, .min_born = 2, .born_within_ns = SECOND };
	if (remedy == REMEDY_REAP)
		request.args.reap = (struct reap_args){ .min_zombies = 1, .end_parent = true };
	if (remedy == REMEDY_RAISE_LIMITS)
		request.args.raise_limits = (struct raise_limits_args){ .act = true, .percent = 200, .most = 100, .for_ns = SECOND };
	if (remedy == REMEDY_DROP_CACHES)
		request.args.drop_caches = (struct drop_caches_args){ .what = 3, .min_cached_percent = 1, .max_available_percent = 100 };
	if (remedy == REMEDY_COMPACT)
		request.args.compact = (struct compact_args){ .order = 9 };
	if (remedy == REMEDY_ADD_SWAPFILE) {
		memcpy(request.args.add_swapfile.path, "/proc/swap", 11);
		request.args.add_swapfile.size_bytes = 1 << 20;
		request.args.add_swapfile.for_ns = SECOND;
	}
	if (remedy == REMEDY_ADD_ZRAM)
		request.args.add_zram = (struct add_zram_args){ .size_bytes = 1 << 20, .for_ns = SECOND };
}

/* Pieces of: where (two bytes, from the front or from the arguments), how long, the bytes. */
static void overwrite(const uint8_t *data, size_t size)
{
	while (size > 4) {
		size_t at = (size_t)(data[0] << 8 | data[1]) % sizeof(request), length = data[2];
		if (data[3] & 1)
			at = (offsetof(struct remedy_request, target) + at % 1024) % sizeof(request);
		data += 4;
		size -= 4;
		length = length < size ? length : size;
		length = length < sizeof(request) - at ? length : sizeof(request) - at;
		memcpy((char *)&request + at, data, length);
		data += length;
		size -= length;
	}
}

static int ends(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static void check_result(enum remedy_verb verb)
{
	require(result.verb == verb && (unsigned)result.outcome < OUTCOME_COUNT);
	require(result.outcome == OUTCOME_NONE || result.outcome == OUTCOME_REFUSED || result.outcome == OUTCOME_FAILED);
	require(result.plan_count <= MAX_PLAN_LINES && result.step_count <= MAX_ACTION_STEPS);
	require(ends(result.why, sizeof(result.why)) && ends(result.refused_by, sizeof(result.refused_by)) && ends(result.action_id, sizeof(result.action_id)));
	require((result.outcome == OUTCOME_REFUSED) == (result.refused_by[0] != '\0'));
	require(result.observed.freed_bytes == UNKNOWN && result.observed.freed_files == UNKNOWN && result.observed.exited == UNKNOWN);
	for (uint32_t i = 0; i < result.plan_count; i++) {
		require(ends(result.plan[i], sizeof(result.plan[i])));
		for (const char *at = result.plan[i]; *at; at++)
			require(*at >= 0x20 && *at < 0x7f);
	}
	for (uint32_t i = 0; i < result.step_count; i++)
		require(ends(result.steps[i].name, NAME_LEN) && ends(result.steps[i].detail, EVIDENCE_LEN));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	enum remedy_id remedy = (enum remedy_id)(data[0] % REMEDY_COUNT);
	enum remedy_verb verb = data[0] & 0x80 ? REMEDY_VERB_CHECK : REMEDY_VERB_PLAN;
	bool whole = data[0] & 0x40;
	sound_request();
	sound_args(remedy);
	request.remedy = remedy;
	if (whole)
		memcpy(&request, data + 1, size - 1 < sizeof(request) ? size - 1 : sizeof(request));
	else
		overwrite(data + 1, size - 1);
	request.verb = verb;
	if (request.remedy == REMEDY_HOOK)
		request.args.hook.dry_run = false; /* else its plan is a program of the input's choice */
	request.deadline_boot_ns = clock_boot_ns() + LOOK_FOR_NS;
	hands_run(&request, &result);
	check_result(verb);
	return 0;
}
