/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removes images that no container uses, oldest first, and before them, where the policy says so, containers that have ended: all through
 * the engine's own interface and never by force. What it brought is what statvfs shows on the filesystem of the engine's root.
 */
#include "remedies/prune.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/value.h"
#include "remedies/act.h"
#include "remedies/registry.h"

/* An engine may free in the background, and so may its filesystem: as for clean-files, with a longer end. */
#define SETTLE_NS (15 * NSEC_PER_SEC)
#define SETTLE_STILL_NS (NSEC_PER_SEC)
#define SETTLE_LOOK_NS (20 * NSEC_PER_MSEC)
enum { MAX_COUNT = 1000, SHOWN_LEN = 128 };

/* --- planning ------------------------------------------------------------------------------------------------------------ */

static uint64_t hours(uint64_t ns)
{
	return ns / NSEC_PER_SEC / 3600;
}

static void say_plan(struct prune *prune)
{
	struct remedy_result *result = prune->result;
	char shown[SHOWN_LEN];
	uint64_t own = 0;
	bool known = true;
	for (uint32_t i = 0; i < prune->container_count; i++) {
		const struct engine_container *row = &prune->containers.each[prune->container[i].row];
		act_shown(shown, sizeof(shown), row->name[0] ? row->name : row->id);
		result_plan(result, "remove container %s, which ended %" PRIu64 " h ago", shown, hours(prune->container[i].age_ns));
		known = false; /* what it wrote is not told */
	}
	for (uint32_t i = 0; i < prune->image_count; i++) {
		const struct engine_image *row = &prune->images.each[prune->image[i].row];
		act_shown(shown, sizeof(shown), row->name_count ? row->names[0] : row->id);
		result_plan(result, "remove image %s (%" PRIu64 " bytes at most), here for %" PRIu64 " h", shown, row->bytes,
			    hours(prune->image[i].age_ns));
		known &= row->own_bytes != UNKNOWN;
		own += known ? row->own_bytes : 0;
	}
	if (known)
		result->expected.freed_bytes = own;
}

static int look(struct prune *prune)
{
	char stayed[EVIDENCE_LEN];
	struct action_step *step = result_step(prune->result, "look");
	int error = prune_choose(prune, clock_wall_ns());
	prune_stayed(prune, stayed, sizeof(stayed));
	if (error < 0)
		step_end(step, false, "%s", prune->engine.why[0] ? prune->engine.why : strerror(-error));
	else
		step_end(step, true, "%s %.20s: %" PRIu32 " images, %" PRIu32 " containers; %" PRIu32 " and %" PRIu32 " may go; stay: %.80s", engine_names[prune->engine.kind],
			 prune->engine.version, prune->images.count, prune->containers.count, prune->image_count, prune->container_count, stayed[0] ? stayed : "none");
	return error;
}

/* --- removing ------------------------------------------------------------------------------------------------------------ */

/* f_bfree: f_bavail stands still while the reserve of root fills up again. */
static uint64_t free_bytes(const struct prune *prune)
{
	struct statvfs now;
	return fstatvfs(prune->root_fd, &now) < 0 ? UNKNOWN : (uint64_t)now.f_bfree * now.f_frsize;
}

static uint64_t gained(const struct prune *prune, uint64_t before)
{
	uint64_t now = free_bytes(prune);
	return now != UNKNOWN && before != UNKNOWN && now > before ? now - before : 0;
}

/* Whether there is a reason to go no further, which is then in `stopped`. */
static bool is_over(struct prune *prune)
{
	uint64_t wanted = prune->request->expect.freed_bytes;
	prune->enough |= wanted != UNKNOWN && prune->removed && gained(prune, prune->free_before) >= wanted;
	prune->stopped = prune->stopped ? prune->stopped : act_halted(prune->request);
	return prune->enough || prune->stopped;
}

/* 0: it went, and is counted. What went by another's hand, or is in use by now, is none of ours. */
static void count(struct prune *prune, int error, uint64_t free_before, uint64_t own_bytes)
{
	if (error == 0) {
		prune->removed++;
		prune->own_bytes = own_bytes == UNKNOWN || prune->own_bytes == UNKNOWN ? UNKNOWN : prune->own_bytes + own_bytes;
		prune->around_bytes += gained(prune, free_before);
	} else if (error == -EBUSY) {
		prune->stayed[STAY_USED]++;
	} else if (error != -ENOENT && error != -ECANCELED) {
		prune->errors++;
		prune->stopped = error == -ETIME ? "deadline" : prune->stopped;
	}
}

static void remove_containers(struct prune *prune)
{
	if (!prune->container_count)
		return;
	struct action_step *step = result_step(prune->result, "containers");
	uint64_t errors = prune->errors, removed = prune->removed;
	for (uint32_t i = 0; i < prune->container_count && !is_over(prune); i++) {
		const char *id = prune->containers.each[prune->container[i].row].id;
		uint64_t before = free_bytes(prune);
		int error = prune_container_again(prune, id);
		count(prune, error ? error : engine_remove_container(&prune->engine, id), before, UNKNOWN);
	}
	step_end(step, prune->errors == errors && !prune->stopped, "%" PRIu64 " of %" PRIu32 " removed%s%.120s", prune->removed - removed, prune->container_count,
		 prune->errors > errors ? "; " : "", prune->errors > errors ? prune->engine.why : "");
}

/* Each of its names, and with the last one the image; one without names, and containerd's, by its id. Then it must be gone. */
static int remove_image(struct prune *prune, const struct engine_image *image)
{
	int error = 0;
	uint32_t names = prune->engine.kind == ENGINE_CONTAINERD ? 0 : image->name_count;
	for (uint32_t i = 0; i < names && error == 0; i++) {
		prune->stopped = i ? act_halted(prune->request) : NULL;
		error = prune->stopped ? -ECANCELED : engine_remove_image(&prune->engine, image->names[i]);
		error = error == -ENOENT ? 0 : error;
	}
	if (names == 0)
		error = engine_remove_image(&prune->engine, image->id);
	if (error < 0)
		return error;
	int64_t tagged;
	int there = engine_look_image(&prune->engine, image->id, &tagged);
	if (there < 0)
		prune->stopped = "the engine does not say what became of the last one";
	return there > 0 ? -EBUSY : there;
}

static void remove_images(struct prune *prune)
{
	struct action_step *step = result_step(prune->result, "images");
	uint64_t errors = prune->errors, removed = prune->removed;
	for (uint32_t i = 0; i < prune->image_count && !is_over(prune); i++) {
		const struct engine_image *image = &prune->images.each[prune->image[i].row];
		uint64_t before = free_bytes(prune);
		int error = prune_image_again(prune, image);
		count(prune, error ? error : remove_image(prune, image), before, image->own_bytes);
	}
	step_end(step, prune->errors == errors && !prune->stopped, "%" PRIu64 " of %" PRIu32 " removed%s%s%.120s", prune->removed - removed, prune->image_count,
		 prune->enough ? "; that was enough" : "", prune->errors > errors ? "; " : "", prune->errors > errors ? prune->engine.why : "");
}

/* --- the truth of the bytes ---------------------------------------------------------------------------------------------- */

/* Until all is there that was those images' alone, or nothing more comes. There is no event to wait for. */
static uint64_t settle(const struct prune *prune, uint64_t *ret_waited_ns)
{
	uint64_t begun = clock_boot_ns(), grew = begun, most = gained(prune, prune->free_before), now = begun;
	while (most < prune->own_bytes && now - begun < SETTLE_NS && now - grew < SETTLE_STILL_NS && now < prune->request->deadline_boot_ns) {
		nanosleep(&(struct timespec){ .tv_nsec = SETTLE_LOOK_NS }, NULL);
		uint64_t seen = gained(prune, prune->free_before);
		now = clock_boot_ns();
		if (seen > most) {
			most = seen;
			grew = now;
		}
	}
	*ret_waited_ns = now - begun;
	return most;
}

/* Others write meanwhile: the sum of what statvfs showed around each removal is the second witness, and the larger one counts. */
static void measure(struct prune *prune)
{
	struct action_step *step = result_step(prune->result, "statvfs");
	uint64_t waited, whole = settle(prune, &waited), around = prune->around_bytes, waited_ms = waited / NSEC_PER_MSEC;
	prune->result->observed.freed_bytes = whole > around ? whole : around;
	step_end(step, true, "free before %" PRIu64 "; gained around each removal %" PRIu64 ", over the whole %" PRIu64 ", settled after %" PRIu64 " ms", prune->free_before,
		 around, whole, waited_ms);
}

static void judge(struct prune *prune)
{
	struct remedy_result *result = prune->result;
	uint64_t wanted = prune->request->expect.freed_bytes, planned = result->expected.freed_bytes, freed = result->observed.freed_bytes;
	uint64_t promised = wanted != UNKNOWN ? wanted : planned != UNKNOWN ? planned : 1;
	const char *why = prune->stopped ? prune->stopped : prune->errors ? prune->engine.why : prune->removed ? "less was freed than was promised" : "nothing there may go";
	if (!prune->removed && prune->errors)
		act_fail(result, "%s", prune->engine.why);
	else if (!prune->removed && prune->stopped)
		act_refuse(result, prune->stopped, "stopped before anything was removed: %s", prune->stopped);
	else
		result->outcome = !prune->removed || !freed ? OUTCOME_NO_EFFECT : freed >= promised ? OUTCOME_FIXED : OUTCOME_IMPROVED;
	if (result->outcome == OUTCOME_NO_EFFECT || result->outcome == OUTCOME_IMPROVED)
		snprintf(result->why, sizeof(result->why), "%s", why);
}

/* --- the remedy ---------------------------------------------------------------------------------------------------------- */

static void act(struct prune *prune)
{
	prune->free_before = free_bytes(prune);
	remove_containers(prune);
	remove_images(prune);
	if (prune->removed)
		measure(prune);
	else
		prune->result->observed.freed_bytes = 0;
	judge(prune);
}

static int with_engine(struct prune *prune)
{
	const struct remedy_request *request = prune->request;
	const struct prune_images_args *args = prune->args;
	struct remedy_result *result = prune->result;
	int error = engine_open(&prune->engine, (enum engine_kind)args->runtime, args->socket, request->deadline_boot_ns);
	if (error == 0)
		error = engine_info(&prune->engine);
	if (error < 0) {
		act_refuse(result, "no-runtime", "%s", prune->engine.why);
		return 0;
	}
	const char *refused_by = prune_open_root(prune);
	if (refused_by) {
		act_refuse(result, refused_by, "%s", prune->engine.why);
		return 0;
	}
	error = look(prune);
	if (error == -EOVERFLOW) {
		act_refuse(result, "unknown-use", "%s", prune->engine.why);
		return 0;
	}
	if (error < 0) {
		snprintf(result->why, sizeof(result->why), "%s", prune->engine.why);
		return error;
	}
	say_plan(prune);
	if (request->verb == REMEDY_VERB_APPLY)
		act(prune);
	return 0;
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	struct prune *prune = calloc(1, sizeof(*prune));
	if (!prune)
		return -ENOMEM;
	prune->request = request;
	prune->args = &request->args.prune_images;
	prune->result = result;
	prune->root_fd = -1;
	int error = with_engine(prune);
	engine_close(&prune->engine);
	if (prune->root_fd >= 0)
		close(prune->root_fd);
	free(prune);
	return error;
}

/* --- arguments ----------------------------------------------------------------------------------------------------------- */

static const char *const what_choices[] = { [PRUNE_IMAGES] = "images", [PRUNE_BOTH] = "both" };
#define ARGUMENT(member_) MEMBER(union remedy_args, member_)

static const struct setting prune_images_settings[] = {
	{ .name = "runtime", .type = VALUE_CHOICE, .required = true, ARGUMENT(prune_images.runtime), .choices = engine_names, .choice_count = ENGINE_KIND_COUNT,
	  .help = "whose images" },
	{ .name = "socket", .type = VALUE_PATH, ARGUMENT(prune_images.socket), .initial = "",
	  .help = "where it serves; left out: /run/docker.sock, /run/podman/podman.sock, /run/containerd/containerd.sock" },
	{ .name = "what", .type = VALUE_CHOICE, ARGUMENT(prune_images.what), CHOICES(what_choices), .initial = "images",
	  .help = "both: containers that have ended go first, with what they wrote" },
	{ .name = "keep", .type = VALUE_LIST, .offset = offsetof(union remedy_args, prune_images.keep), .size = NAME_LEN, .room = MAX_MATCH,
	  .count_offset = offsetof(union remedy_args, prune_images.keep_count), .help = "globs on names of images, such as registry.local/*, and of containers" },
	{ .name = "min_age", .type = VALUE_DURATION, ARGUMENT(prune_images.min_age_ns), .max = 3650 * 24 * 3600.0 * NSEC_PER_SEC,
	  .initial = "24h", .help = "images that came later, and containers that ended later, stay" },
	{ .name = "max_bytes", .type = VALUE_BYTES, ARGUMENT(prune_images.max_bytes), .min = 1, .initial = "10GiB",
	  .help = "images of no more than this in one act, with what they share" },
	{ .name = "max_count", .type = VALUE_COUNT, ARGUMENT(prune_images.max_count), .min = 1, .max = MAX_COUNT, .initial = "50",
	  .help = "so many images, and so many containers, in one act" },
};
static const struct section arguments = SECTION("prune-images", "Removes images that no container uses, oldest first.", prune_images_settings);

static const char containerds[] = "the containers of containerd are kubelet's to remove: leave it out";

static void vet(const union remedy_args *args, uint64_t given, argument_fault *fault, void *context)
{
	(void)given;
	if (args->prune_images.runtime == ENGINE_CONTAINERD && args->prune_images.what != PRUNE_IMAGES)
		fault(context, "what", "%s", containerds);
}

static const char *problem_of(const union remedy_args *all)
{
	const struct prune_images_args *args = &all->prune_images;
	if (args->runtime >= ENGINE_KIND_COUNT || (args->what != PRUNE_IMAGES && args->what != PRUNE_BOTH))
		return "the runtime, or what to prune, is unknown";
	if (args->runtime == ENGINE_CONTAINERD && args->what != PRUNE_IMAGES)
		return containerds;
	if (!ENDED(args->socket) || (args->socket[0] && !request_path_is_plain(args->socket)))
		return "socket is no plain absolute path";
	if (args->keep_count > MAX_MATCH)
		return "more to keep than there is room for";
	for (uint32_t i = 0; i < args->keep_count; i++)
		if (!ENDED(args->keep[i]))
			return "a pattern has no end";
	return !args->max_bytes || !args->max_count || args->max_count > MAX_COUNT ? "no limit on bytes or number, or one out of its range" : NULL;
}

const struct remedy prune_images = {
	.name = "prune-images",
	.id = REMEDY_PRUNE_IMAGES,
	.lane = LANE_SLOW,
	.help = "Removes images that no container uses, and by policy containers that have ended, through Docker, Podman or containerd.",
	.undo = "none: an image is pulled again where it is needed again; what an ended container wrote is gone",
	.destructive = true,
	.aim = AIM_FOUND,
	.applies_to = APPLIES_TO_PATH | APPLIES_TO_NODE,
	.effects = EFFECT_FREED | EFFECT_WITHIN,
	.expect_example = "{freed: 1GiB, within: 2m}",
	.arguments = &arguments,
	.vet = vet,
	.problem = problem_of,
	.check = engines_check,
	.plan = run,
	.apply = run,
};
