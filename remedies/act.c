/* SPDX-License-Identifier: Apache-2.0 */
/* See act.h; and the trail of plan lines and steps that remedy.h promises. Nothing here allocates. */
#include "remedies/act.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/clock.h"

static bool kill_switch_pulled(const char *path)
{
	struct stat found;
	if (!path[0])
		return false;
	if (fstatat(AT_FDCWD, path, &found, AT_SYMLINK_NOFOLLOW) == 0)
		return true;
	return errno != ENOENT && errno != ENOTDIR; /* who cannot tell stops */
}

const char *act_halted(const struct remedy_request *request)
{
	if ((request->verb == REMEDY_VERB_APPLY || request->verb == REMEDY_VERB_PREPARE) && kill_switch_pulled(request->kill_switch))
		return "kill-switch"; /* looking goes on: it changes nothing */
	return clock_boot_ns() >= request->deadline_boot_ns ? "deadline" : NULL;
}

void act_refuse(struct remedy_result *result, const char *refused_by, const char *format, ...)
{
	va_list args;
	result->outcome = OUTCOME_REFUSED;
	snprintf(result->refused_by, sizeof(result->refused_by), "%s", refused_by);
	va_start(args, format);
	vsnprintf(result->why, sizeof(result->why), format, args);
	va_end(args);
}

void act_fail(struct remedy_result *result, const char *format, ...)
{
	va_list args;
	result->outcome = OUTCOME_FAILED;
	va_start(args, format);
	vsnprintf(result->why, sizeof(result->why), format, args);
	va_end(args);
}

/* Absolute, and nothing in it that a look at it would not show: no empty, "." or ".." parts, no slash at the end. */
bool request_path_is_plain(const char *path)
{
	if (path[0] != '/')
		return false;
	if (!path[1])
		return true;
	for (const char *part = path; *part; part += strcspn(part, "/")) {
		part++;
		size_t length = strcspn(part, "/");
		if (length == 0 || (length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.'))
			return false;
	}
	return true;
}

const char *act_shown(char *buffer, size_t size, const char *text)
{
	static const char digits[] = "0123456789abcdef";
	size_t used = 0;
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		bool plain = c >= 0x20 && c < 0x7f && c != '\\';
		if (used + (plain ? 1 : 4) >= size)
			break;
		if (plain) {
			buffer[used++] = (char)c;
			continue;
		}
		buffer[used++] = '\\';
		buffer[used++] = 'x';
		buffer[used++] = digits[c >> 4];
		buffer[used++] = digits[c & 15];
	}
	buffer[used] = '\0';
	return buffer;
}

int act_wait(int fd, short events, uint64_t until_boot_ns)
{
	for (;;) {
		uint64_t now = clock_boot_ns();
		uint64_t left = until_boot_ns > now ? until_boot_ns - now : 0;
		struct timespec timeout = { .tv_sec = (time_t)(left / NSEC_PER_SEC), .tv_nsec = (long)(left % NSEC_PER_SEC) };
		struct pollfd waiting = { .fd = fd, .events = events };
		int ready = ppoll(&waiting, 1, &timeout, NULL);
		if (ready >= 0)
			return ready > 0;
		if (errno != EINTR)
			return -errno;
	}
}

struct action_step *result_step(struct remedy_result *result, const char *name)
{
	/* The last place is the last step's: what happened at the end matters more than what happened before it. */
	uint32_t at = result->step_count < MAX_ACTION_STEPS ? result->step_count++ : MAX_ACTION_STEPS - 1;
	struct action_step *step = &result->steps[at];
	memset(step, 0, sizeof(*step));
	snprintf(step->name, sizeof(step->name), "%s", name);
	step->started_wall_ns = clock_wall_ns();
	return step;
}

void step_end(struct action_step *step, bool ok, const char *format, ...)
{
	va_list args;
	step->ok = ok;
	step->ended_wall_ns = clock_wall_ns();
	va_start(args, format);
	vsnprintf(step->detail, sizeof(step->detail), format, args);
	va_end(args);
}

void result_plan(struct remedy_result *result, const char *format, ...)
{
	va_list args;
	if (result->plan_count >= MAX_PLAN_LINES) {
		result->plan_cut++;
		return;
	}
	va_start(args, format);
	vsnprintf(result->plan[result->plan_count++], PLAN_LINE_LEN, format, args);
	va_end(args);
}
