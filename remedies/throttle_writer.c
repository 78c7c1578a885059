/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets the cgroup that fills a filesystem, or keeps a disk busy, write so much a second to that disk and no more, for a time: io.max, or blkio's limit
 * in v1. v1 does not see what goes through the page cache, since it is the kernel that writes it later; whether it helps is therefore measured where
 * the bytes are made, and a limit that nobody feels is turned back.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/value.h"
#include "remedies/act.h"
#include "remedies/knob.h"
#include "remedies/registry.h"
#include "remedies/throttle.h"
#include "remedies/written.h"

#define LEAST_BYTES (64ULL << 10) /* below it even the journal of the filesystem, which all wait for, would be late */
#define MOST_BYTES (1ULL << 40)
enum { STAT_LEN = 4096, SLACK_PERCENT = 25 };

static uint64_t lasts(const union remedy_args *args)
{
	return args->throttle_writer.for_ns;
}

static int find_disk(const struct remedy_request *request, char ret[DISK_LEN])
{
	const struct target *target = &request->target;
	if (request->args.throttle_writer.path[0])
		return disk_of_path(request->args.throttle_writer.path, ret);
	if (target->type == TARGET_FILESYSTEM)
		return disk_of_filesystem(target->dev, target->device, ret);
	return target->type == TARGET_DISK ? disk_of_name(target->name, ret) : -EDESTADDRREQ;
}

/* What a line says when there is none: nothing is limited. */
static int aim(const struct throttle_view *view, struct knob *knob, char *why, size_t why_size)
{
	char disk[DISK_LEN];
	int error = find_disk(view->request, disk);
	if (error) {
		snprintf(why, why_size, "%s", error == -EDESTADDRREQ ? "nothing says which filesystem is meant: path names one" :
					      error == -ENODEV	     ? "the filesystem is not on a disk that writes can be held up at" :
								       strerror(-error));
		return error;
	}
	snprintf(knob->key, sizeof(knob->key), "%s", disk);
	snprintf(knob->absent, sizeof(knob->absent), view->v2 ? "%s rbps=max wbps=max riops=max wiops=max" : "%s 0", disk);
	return 0;
}

/* UNKNOWN: no limit. */
static uint64_t limit_of(const char *line, bool v2)
{
	const char *at = v2 ? strstr(line, " wbps=") : strchr(line, ' ');
	char *end;
	if (!at)
		return UNKNOWN;
	at += v2 ? strlen(" wbps=") : 1;
	uint64_t bytes = strtoull(at, &end, 10);
	return end == at || bytes == 0 ? UNKNOWN : bytes;
}

static int value(const struct throttle_view *view, char *ret, size_t size, char *why, size_t why_size)
{
	uint64_t bytes = view->request->args.throttle_writer.bytes_per_second;
	if (limit_of(view->now, view->v2) <= bytes) {
		snprintf(why, why_size, "its own limit is as tight: %.60s", view->now);
		return -EALREADY;
	}
	snprintf(ret, size, view->v2 ? "%s wbps=%" PRIu64 : "%s %" PRIu64, view->knob->key, bytes);
	return 0;
}

/* "8:0 rbytes=1 wbytes=2 …" of io.stat; "8:0 Write 2" of v1. 0 where there is no such line: nothing has gone there yet. */
static uint64_t bytes_in(const char *text, const char *disk, bool v2)
{
	char word[DISK_LEN + 8];
	snprintf(word, sizeof(word), v2 ? "%s " : "%s Write ", disk);
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *end = line + strcspn(line, "\n"), *at;
		if (strncmp(line, word, strlen(word)) != 0)
			continue;
		at = v2 ? strstr(line, " wbytes=") : line + strlen(word);
		return at && at < end ? strtoull(at + (v2 ? strlen(" wbytes=") : 0), NULL, 10) : 0;
	}
	return 0;
}

static int reached_disk(const struct throttle_view *view, uint64_t *ret)
{
	char text[STAT_LEN];
	int dir_fd = knob_directory(view->knob);
	if (dir_fd < 0)
		return dir_fd;
	int fd = openat(dir_fd, view->v2 ? "io.stat" : "blkio.throttle.io_service_bytes", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	int error = got < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	close(dir_fd);
	text[got < 0 ? 0 : got] = '\0';
	*ret = bytes_in(text, view->knob->key, view->v2);
	return error;
}

/* Both what it makes to be written and what of it the disk gets from it: one that has many short-lived writers shows in the second only, and one
 * that writes to the page cache in the first only. */
static int used(const struct throttle_view *view, uint64_t ret[THROTTLE_USES])
{
	int error = written_by_group(view->proc_fd, view->group, &ret[0]);
	return error ? error : reached_disk(view, &ret[1]);
}

/* The kernel gives out its limit in slices of a tenth of a second (blk-throttle.c), and a bio is let through whole. */
static uint64_t most(const struct throttle_view *view)
{
	return view->request->args.throttle_writer.bytes_per_second / 100 * (100 + SLACK_PERCENT);
}

static const struct throttle throttle = {
	.control = { .controller = "io", .v2 = "io.max", .v1_controller = "blkio", .v1 = "blkio.throttle.write_bps_device" },
	.for_ns = lasts,
	.aim = aim,
	.value = value,
	.used = used,
	.most = most,
	.watch_ns = NSEC_PER_SEC,
	.patient = true,
};

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	return throttle_run(&throttle, request, result);
}

static int check(const struct remedy_request *request, struct remedy_result *result)
{
	return throttle_check(&throttle, request, result);
}

#define ARGUMENT(member_) MEMBER(union remedy_args, throttle_writer.member_)

static const struct setting throttle_writer_settings[] = {
	{ .name = "bytes_per_second", .type = VALUE_BYTES, .required = true, ARGUMENT(bytes_per_second), .min = (double)LEAST_BYTES, .max = (double)MOST_BYTES,
	  .help = "so much may all of it together write to that disk" },
	{ .name = "path", .type = VALUE_PATH, ARGUMENT(path), .help = "on the filesystem whose disk is meant, where the incident is not about one" },
	THROTTLE_FOR(throttle_writer.for_ns, LONGEST_WAIT_S, "5m"),
};
static const struct section arguments = SECTION("throttle-writer", "Holds up the writes of the cgroup that fills a filesystem, for a time.", throttle_writer_settings);

static const char *problem_of(const union remedy_args *all)
{
	const struct throttle_writer_args *args = &all->throttle_writer;
	if (args->bytes_per_second < LEAST_BYTES || args->bytes_per_second > MOST_BYTES)
		return "bytes_per_second is out of its range";
	if (!ENDED(args->path) || (args->path[0] && !request_path_is_plain(args->path)))
		return "the path is not absolute and plain";
	return throttle_for_is_sound(args->for_ns, LONGEST_WAIT_S) ? NULL : "for is out of its range";
}

const struct remedy throttle_writer = {
	.name = "throttle-writer",
	.id = REMEDY_THROTTLE_WRITER,
	.lane = LANE_LEASE,
	.help = "Holds up the writes of the cgroup that fills a filesystem or keeps a disk busy, for a time.",
	.undo = "a lease: turned back when its time is over, by the agent, the next one, or `nodemend undo`; at once where it does not help",
	.reversible = true,
	.aim = AIM_CAUSE,
	.of_writers = true,
	.applies_to = APPLIES_TO_CGROUP,
	.effects = EFFECT_USE | EFFECT_WITHIN,
	.expect_example = "{use_percent: 50, within: 20s}",
	.arguments = &arguments,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
