/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log reader, a process of its own: a file may lie on a filesystem that hangs, and a pattern may be as bad as its limits allow. Ten
 * rounds a second at most, each with a bound on processor time, so that a flood costs a tenth of a processor and is passed over, counted.
 */
#include "collect/logs_match.h"
#include "collect/logs_source.h"
#include "collect/logs_state.h"
#include "collect/logs_wire.h"
#include "core/clock.h"
#include "core/pages.h"
#include "core/privilege.h"
#include "core/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUND_NS (100 * NSEC_PER_MSEC)
#define ROUND_CPU_NS (10 * NSEC_PER_MSEC)
#define FILES_NS (200 * NSEC_PER_MSEC)       /* between two looks at files: they have nothing that could be waited for on every filesystem */
#define BEAT_NS NSEC_PER_SEC
enum { ROUND_BYTES = 1 << 20 };

enum stream_kind { STREAM_KERNEL, STREAM_JOURNAL, STREAM_FILES };
struct stream {
	enum stream_kind kind;
	uint64_t id;
	bool up, more;
	uint64_t retry_ns;
	char multiline[LOG_REGEX_LEN];
	struct regex *continues;
	struct log_source_row row;
	union {
		struct kmsg_reader kmsg;
		struct journal_reader journal;
		struct log_files files;
	};
};

struct reader {
	int fd;
	uint32_t count, stream_count;        /* orders and streams */
	uint32_t now_reading;                /* stream, for the sink */
	uint64_t beat_ns, saved_ns;
	bool unsaved;
	int keep_error;
	struct log_order first;              /* what all have in common */
	struct stream streams[MAX_LOG_SOURCES];
	struct log_matcher matcher;
	struct log_saved saved, before;      /* what is kept; the one before, while a new one is made */
};

/* --- opening ------------------------------------------------------------------------------------------------------------ */

static uint64_t stream_id(const struct log_order *order)
{
	uint64_t hash = 0xcbf29ce484222325ULL; /* FNV-1a of source and multiline */
	const char *const texts[] = { order->query.source, order->query.multiline };
	for (int i = 0; i < 2; i++)
		for (const char *at = texts[i]; *at; at++)
			hash = (hash ^ (unsigned char)*at) * 0x100000001b3ULL + (uint64_t)i;
	return hash ? hash : 1;
}

static uint32_t stream_of(struct reader *reader, const struct log_order *order)
{
	uint64_t id = stream_id(order);
	char why[64];
	for (uint32_t i = 0; i < reader->stream_count; i++)
		if (reader->streams[i].id == id)
			return i;
	if (reader->stream_count == MAX_LOG_SOURCES)
		return NO_INDEX;
	struct stream *stream = &reader->streams[reader->stream_count];
	stream->id = id;
	stream->kind = strcmp(order->query.source, "kernel") == 0 ? STREAM_KERNEL : strcmp(order->query.source, "journal") == 0 ? STREAM_JOURNAL : STREAM_FILES;
	stream->continues = order->query.multiline[0] ? regex_new(order->query.multiline, why, sizeof(why)) : NULL;
	memcpy(stream->row.name, order->query.source, sizeof(stream->row.name));
	return reader->stream_count++;
}

/* 1: all orders are there. 0: the agent closed. */
static int take_orders(struct reader *reader)
{
	struct log_order order;
	do {
		int got = worker_read(reader->fd, &order, sizeof(order));
		if (got <= 0)
			return got;
		if (order.index != reader->count || order.count > MAX_LOG_RULES)
			return -EPROTO;
		if (reader->count++ == 0)
			reader->first = order;
		uint32_t stream = stream_of(reader, &order);
		if (stream != NO_INDEX)
			(void)log_matcher_add(&reader->matcher, &order, stream); /* what does not compile `check` has refused */
	} while (reader->count < order.count);
	return 1;
}

/* What reading needs: the kernel's log, and files of others. */
static void give_up_rights(void)
{
	static const int needed[] = { CAP_SYSLOG, CAP_DAC_READ_SEARCH };
	(void)privilege_keep(needed, sizeof(needed) / sizeof(needed[0]));
}

static int find_saved(const struct log_saved *saved, uint64_t id)
{
	for (int i = 0; i < MAX_LOG_SOURCES; i++)
		if (saved->streams[i].stream == id)
			return i;
	return -1;
}

static int open_stream(struct reader *reader, struct stream *stream)
{
	const struct log_saved *saved = &reader->saved;
	int before = find_saved(saved, stream->id);
	bool same_boot = strcmp(saved->boot_id, reader->first.boot_id) == 0;

	switch (stream->kind) {
	case STREAM_KERNEL: /* of a new boot all is new; of one that was never read, or had nothing new since it was first watched, only what comes */
		return kmsg_open(&stream->kmsg, reader->first.kmsg, before < 0 || !saved->boot_id[0] || (same_boot && !saved->kernel_next),
				 same_boot ? saved->kernel_next : 0);
	case STREAM_JOURNAL:
		return journald_open(&stream->journal, reader->first.journal_dir, before < 0 ? "" : saved->streams[before].cursor, stream->continues);
	default:
		return files_open(&stream->files, stream->row.name, stream->id, stream->continues, saved->places, saved->place_count, before >= 0,
				  same_boot);
	}
}

/* A journal that is not there yet may come; what cannot be read now may be readable later. */
static void open_streams(struct reader *reader, uint64_t now_ns)
{
	for (uint32_t i = 0; i < reader->stream_count; i++) {
		struct stream *stream = &reader->streams[i];
		if (stream->up || now_ns < stream->retry_ns)
			continue;
		int error = open_stream(reader, stream);
		stream->up = !error;
		stream->retry_ns = now_ns + 10 * NSEC_PER_SEC;
		snprintf(stream->row.why, sizeof(stream->row.why), "%s", error ? strerror(-error) : "");
	}
}

static void recall(struct reader *reader, uint64_t now_ns)
{
	struct log_matcher *matcher = &reader->matcher;
	struct log_saved *saved = &reader->saved;
	if (!reader->first.state_dir[0] || log_state_read(reader->first.state_dir, saved) < 0)
		return;
	if (strcmp(saved->boot_id, reader->first.boot_id) != 0)
		return; /* its times, and what is counted since the start, are of another boot; the places are not */
	for (uint32_t i = 0; i < reader->stream_count; i++) {
		int before = find_saved(saved, reader->streams[i].id);
		if (before >= 0)
			reader->streams[i].row = saved->streams[before].row;
	}
	for (uint32_t i = 0; i < matcher->count_count; i++)
		for (uint32_t j = 0; j < saved->count_count; j++)
			if (strcmp(matcher->counts[i].pattern, saved->counts[j].pattern) == 0 && strcmp(matcher->counts[i].source, saved->counts[j].source) == 0)
				matcher->counts[i].matches = saved->counts[j].matches;
	for (uint32_t i = 0; i < saved->track_count; i++) {
		matcher->tracks[i] = saved->tracks[i];
		matcher->tracks[i].changed = matcher->tracks[i].used = true;
		matcher->tracks[i].gone = false;
	}
	log_matcher_forget_others(matcher);
	log_matcher_pass(matcher, now_ns);
}

/* --- keeping ------------------------------------------------------------------------------------------------------------ */

static bool all_are_up(const struct reader *reader)
{
	bool up = true;
	for (uint32_t i = 0; i < reader->stream_count; i++)
		up &= reader->streams[i].up;
	return up;
}

/* How far one was read that cannot be read now: it goes on there when it can. */
static void carry_over(struct reader *reader, uint32_t index)
{
	const struct log_saved *before = &reader->before;
	struct log_saved *saved = &reader->saved;
	uint64_t id = reader->streams[index].id;
	int place = find_saved(before, id);

	if (place >= 0)
		memcpy(saved->streams[index].cursor, before->streams[place].cursor, LOG_CURSOR_LEN);
	else
		saved->streams[index].stream = 0; /* never watched: its first line will be the first that comes from then on */
	for (uint32_t i = 0; i < before->place_count && saved->place_count < LOG_PLACES_MAX; i++)
		if (before->places[i].stream == id)
			saved->places[saved->place_count++] = before->places[i];
}

static void save(struct reader *reader, uint64_t now_ns)
{
	struct log_saved *saved = &reader->saved;
	const struct log_matcher *matcher = &reader->matcher;

	reader->unsaved = false;
	reader->saved_ns = now_ns;
	if (!reader->first.state_dir[0])
		return;
	if (!all_are_up(reader))
		reader->before = *saved;
	if (strcmp(saved->boot_id, reader->first.boot_id) != 0)
		saved->kernel_next = 0; /* another boot's */
	memcpy(saved->boot_id, reader->first.boot_id, sizeof(saved->boot_id));
	saved->place_count = saved->track_count = 0;
	memset(saved->streams, 0, sizeof(saved->streams));
	for (uint32_t i = 0; i < reader->stream_count; i++) {
		const struct stream *stream = &reader->streams[i];
		saved->streams[i].stream = stream->id;
		saved->streams[i].row = stream->row;
		if (!stream->up)
			carry_over(reader, i);
		else if (stream->kind == STREAM_KERNEL)
			saved->kernel_next = stream->kmsg.next;
		else if (stream->kind == STREAM_JOURNAL)
			memcpy(saved->streams[i].cursor, stream->journal.place, LOG_CURSOR_LEN);
		else
			saved->place_count += files_places(&stream->files, saved->places + saved->place_count, LOG_PLACES_MAX - saved->place_count);
	}
	saved->count_count = matcher->count_count;
	memcpy(saved->counts, matcher->counts, matcher->count_count * sizeof(saved->counts[0]));
	for (uint32_t i = 0; i < MAX_LOG_ROWS; i++)
		if (matcher->tracks[i].used)
			saved->tracks[saved->track_count++] = matcher->tracks[i];
	/* A full disk: it goes on, and only a restart would find less than there was. */
	reader->keep_error = log_state_write(reader->first.state_dir, saved);
}

/* --- telling ------------------------------------------------------------------------------------------------------------ */

/* 0; -EAGAIN: the agent is slow, and hears it later; -EPIPE: it has gone. */
static int tell(const struct reader *reader, const struct log_report *report)
{
	if (send(reader->fd, report, sizeof(*report), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? -EAGAIN : -EPIPE;
}

static int tell_rows(struct reader *reader)
{
	struct log_matcher *matcher = &reader->matcher;
	int error = 0;
	for (uint32_t i = 0; i < MAX_LOG_ROWS && !error; i++) {
		struct log_track *track = &matcher->tracks[i];
		if (!track->changed && !track->gone)
			continue;
		struct log_report report = { .word = track->gone ? LOG_WORD_GONE : LOG_WORD_ROW, .index = i, .row = track->row };
		error = tell(reader, &report);
		if (!error)
			track->changed = track->gone = false;
	}
	return error;
}

static int tell_counts(struct reader *reader)
{
	struct log_matcher *matcher = &reader->matcher;
	int error = 0;
	for (uint32_t i = 0; i < matcher->count_count && !error; i++) {
		struct log_report report = { .word = LOG_WORD_COUNT, .index = i, .count = matcher->counts[i] };
		if (!matcher->count_changed[i])
			continue;
		error = tell(reader, &report);
		matcher->count_changed[i] = error != 0;
	}
	for (uint32_t i = 0; i < reader->stream_count && !error; i++) {
		struct log_report report = { .word = LOG_WORD_SOURCE, .index = i, .source = reader->streams[i].row };
		if (reader->keep_error && !report.source.why[0])
			snprintf(report.source.why, sizeof(report.source.why), "how far was read cannot be kept: %s", strerror(-reader->keep_error));
		error = tell(reader, &report);
	}
	return error;
}

/* Counts and sources with the beat only; rows at once. The beat comes last: it says that what was before it is all. */
static int tell_all(struct reader *reader, uint64_t now_ns)
{
	int error = tell_rows(reader);
	if (error || now_ns < reader->beat_ns + BEAT_NS)
		return error;
	error = tell_counts(reader);
	if (error)
		return error;
	struct log_report beat = { .word = LOG_WORD_BEAT, .index = reader->stream_count, .rows_cut = reader->matcher.cut };
	error = tell(reader, &beat);
	if (!error)
		reader->beat_ns = now_ns;
	return error;
}

/* --- the round ---------------------------------------------------------------------------------------------------------- */

static void take_record(void *context, const struct log_record *record)
{
	struct reader *reader = context;
	log_matcher_take(&reader->matcher, reader->now_reading, reader->streams[reader->now_reading].row.name, record);
}

static bool step_stream(struct reader *reader, struct stream *stream, const struct log_budget *budget, uint64_t now_ns)
{
	const struct log_sink sink = { .take = take_record, .context = reader };
	uint64_t read = stream->row.bytes + stream->row.skipped_bytes + stream->row.skipped_lines, gave_up = reader->matcher.gave_up;
	bool more = false;

	if (stream->kind == STREAM_KERNEL)
		more = kmsg_step(&stream->kmsg, budget, &sink, &stream->row);
	else if (stream->kind == STREAM_JOURNAL)
		more = journald_step(&stream->journal, budget, now_ns, &sink, &stream->row);
	else
		more = files_step(&stream->files, budget, now_ns, &sink, &stream->row);
	stream->row.gave_up += reader->matcher.gave_up - gave_up;
	reader->unsaved |= read != stream->row.bytes + stream->row.skipped_bytes + stream->row.skipped_lines;
	return more;
}

/* Each has its own part of the time, so that one that floods does not starve the others. Returns whether there is more at once. */
static bool step_streams(struct reader *reader, uint64_t now_ns)
{
	bool more = false;
	for (uint32_t i = 0; i < reader->stream_count; i++) {
		struct stream *stream = &reader->streams[i];
		struct log_budget budget = { .cpu_until_ns = clock_thread_ns() + ROUND_CPU_NS / reader->stream_count, .bytes = ROUND_BYTES };
		if (!stream->up)
			continue;
		reader->now_reading = i;
		stream->more = step_stream(reader, stream, &budget, now_ns);
		more |= stream->more;
	}
	return more;
}

static int fill_poll(const struct reader *reader, struct pollfd *polled, bool more)
{
	int count = 1;
	polled[0] = (struct pollfd){ .fd = reader->fd, .events = POLLIN };
	for (uint32_t i = 0; i < reader->stream_count && !more; i++) {
		const struct stream *stream = &reader->streams[i];
		if (!stream->up)
			continue;
		if (stream->kind == STREAM_KERNEL)
			polled[count++] = (struct pollfd){ .fd = stream->kmsg.fd, .events = POLLIN };
		else if (stream->kind == STREAM_JOURNAL) {
			polled[count].fd = journald_poll(&stream->journal, &polled[count].events);
			polled[count++].revents = 0;
		}
	}
	return count;
}

/* Until something is new, but not sooner than a round after the last began; -EPIPE: the agent has gone. */
static int wait_for_news(struct reader *reader, bool more, uint64_t began_ns)
{
	struct pollfd polled[1 + MAX_LOG_SOURCES];
	uint64_t now_ns = clock_boot_ns(), round_ns = began_ns + ROUND_NS;
	bool files = false;

	/* First the pause, in which only the agent's end is heard. */
	int left_ms = now_ns < round_ns ? (int)((round_ns - now_ns) / NSEC_PER_MSEC) + 1 : 0;
	(void)fill_poll(reader, polled, true);
	if (poll(polled, 1, left_ms) > 0 && polled[0].revents)
		return -EPIPE;
	if (more)
		return 0;
	for (uint32_t i = 0; i < reader->stream_count; i++)
		files |= reader->streams[i].kind == STREAM_FILES || reader->streams[i].continues;
	int count = fill_poll(reader, polled, false);
	if (poll(polled, (nfds_t)count, (int)((files ? FILES_NS - ROUND_NS : BEAT_NS - ROUND_NS) / NSEC_PER_MSEC)) > 0 && polled[0].revents)
		return -EPIPE;
	return 0;
}

static int turn(struct reader *reader)
{
	uint64_t now_ns = clock_boot_ns();
	open_streams(reader, now_ns);
	bool more = step_streams(reader, now_ns);
	log_matcher_pass(&reader->matcher, clock_boot_ns());
	/*
	 * What is told is kept first: who is ended in between must not tell it twice. By the clock of after the reading: who is ended because that
	 * took long must not be followed by one that begins at the same place.
	 */
	uint64_t read_ns = clock_boot_ns();
	if (log_matcher_has_news(&reader->matcher) || (reader->unsaved && read_ns >= reader->saved_ns + BEAT_NS))
		save(reader, read_ns);
	int error = tell_all(reader, now_ns);
	if (error == -EPIPE)
		return error;
	return wait_for_news(reader, more, now_ns);
}

static void close_streams(struct reader *reader)
{
	for (uint32_t i = 0; i < reader->stream_count; i++) {
		struct stream *stream = &reader->streams[i];
		if (stream->up && stream->kind == STREAM_KERNEL)
			kmsg_close(&stream->kmsg);
		else if (stream->up && stream->kind == STREAM_JOURNAL)
			journald_close(&stream->journal);
		else if (stream->up)
			files_close(&stream->files);
		regex_free(stream->continues);
	}
}

int logs_serve(int fd)
{
	struct reader *reader = pages_new(1, sizeof(*reader));
	if (!reader)
		return 1;
	reader->fd = fd;
	privilege_be_ordinary(); /* no log is worth an application's processor, and the reader is easily replaced */
	int got = take_orders(reader);
	if (got > 0) {
		give_up_rights();
		recall(reader, clock_boot_ns());
		while (!turn(reader))
			continue;
		save(reader, clock_boot_ns());
		close_streams(reader);
	}
	log_matcher_free_rules(&reader->matcher);
	pages_free(reader);
	return got < 0;
}
