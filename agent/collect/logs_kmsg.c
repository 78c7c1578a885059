/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's log, record by record. The kernel's ring is the bound: what it has overwritten shows as a gap in the numbers. */
#include "collect/logs_source.h"
#include "collect/procfs.h"
#include "core/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { RECORD_MAX = 8192 };          /* PRINTK_MESSAGE_MAX is 2048, four times that when it is escaped */

bool log_budget_is_spent(const struct log_budget *budget)
{
	return budget->cpu_until_ns && clock_thread_ns() >= budget->cpu_until_ns;
}

/* "6,339,5140900,-;text\n KEY=value\n": priority and facility, sequence, microseconds, flags, perhaps more; the text; its dictionary. */
bool kmsg_parse(const char *record, size_t size, struct kmsg_record *ret)
{
	struct span all = { record, record + size };
	const char *semicolon = memchr(record, ';', size);
	uint64_t numbers[3];

	if (!semicolon)
		return false;
	for (int i = 0; i < 3; i++) {
		const char *comma = memchr(all.at, ',', (size_t)(semicolon - all.at));
		struct span number = { all.at, comma ? comma : semicolon };
		if (!span_number(&number, &numbers[i]) || (!comma && i < 2))
			return false;
		all.at = comma ? comma + 1 : semicolon;
	}
	const char *end = memchr(semicolon + 1, '\n', (size_t)(all.end - semicolon - 1));
	*ret = (struct kmsg_record){
		.facility = (uint32_t)(numbers[0] >> 3), .level = numbers[0] & 7, .seq = numbers[1], .at_us = numbers[2], .text = semicolon + 1,
		.length = (size_t)((end ? end : all.end) - semicolon - 1),
	};
	return numbers[0] <= UINT32_MAX;
}

int kmsg_open(struct kmsg_reader *reader, const char *path, bool from_now_on, uint64_t next)
{
	*reader = (struct kmsg_reader){ .fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), .next = next, .begun = !from_now_on };
	if (reader->fd < 0)
		return -errno;
	(void)lseek(reader->fd, 0, from_now_on ? SEEK_END : SEEK_SET);
	return 0;
}

void kmsg_close(struct kmsg_reader *reader)
{
	if (reader->fd >= 0)
		close(reader->fd);
	reader->fd = -1;
}

/* Its stamps are of the scheduler's clock, which runs as CLOCK_MONOTONIC does but is not steered: seconds apart after months, so never later than now. */
static uint64_t boot_time_of(uint64_t at_us)
{
	uint64_t now_ns = clock_boot_ns(), asleep_ns = now_ns - clock_awake_ns(), at_ns = at_us * NSEC_PER_USEC + asleep_ns;
	return at_ns < now_ns ? at_ns : now_ns;
}

static void take(struct kmsg_reader *reader, const char *buffer, size_t size, const struct log_sink *sink, struct log_source_row *row)
{
	struct kmsg_record parsed;
	if (!kmsg_parse(buffer, size, &parsed))
		return;
	if (reader->begun && parsed.seq < reader->next)
		return; /* told before the restart */
	if (reader->begun && parsed.seq > reader->next)
		row->skipped_lines += parsed.seq - reader->next;
	reader->begun = true;
	reader->next = parsed.seq + 1;
	row->lines++;
	row->bytes += parsed.length;

	struct log_record record = { .text = parsed.text, .length = parsed.length, .at_ns = boot_time_of(parsed.at_us), .by_kernel = parsed.facility == 0 };
	record.cut = record.length > LOG_TEXT_MAX;
	row->cut += record.cut;
	record.length = record.cut ? LOG_TEXT_MAX : record.length;
	sink->take(sink->context, &record);
}

bool kmsg_step(struct kmsg_reader *reader, const struct log_budget *budget, const struct log_sink *sink, struct log_source_row *row)
{
	char buffer[RECORD_MAX];
	uint32_t bytes = 0;

	while (bytes < budget->bytes && !log_budget_is_spent(budget)) {
		ssize_t got = read(reader->fd, buffer, sizeof(buffer));
		if (got < 0 && errno == EPIPE)
			continue; /* overwritten since; the next read is of the oldest that is left, and its number says how many were */
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		take(reader, buffer, (size_t)got, sink, row);
		bytes += (uint32_t)got;
	}
	return true;
}
