/* SPDX-License-Identifier: Apache-2.0 */
/* See logs_join.h. */
#include "collect/logs_join.h"

#include <string.h>

void log_join_flush(struct log_join *join, const struct log_sink *sink)
{
	if (!join->pending)
		return;
	join->pending = false;
	sink->take(sink->context, &join->record);
}

bool log_join_is_due(const struct log_join *join, uint64_t now_ns)
{
	return join->pending && now_ns >= join->touched_ns + LOG_JOIN_WAIT_NS;
}

static void append(struct log_join *join, const char *text, size_t length)
{
	size_t room = sizeof(join->buffer) - join->record.length;
	size_t part = length < room ? length : room;

	memcpy(join->buffer + join->record.length, text, part);
	join->record.length += part;
	join->record.cut |= part < length;
}

static void begin(struct log_join *join, const struct log_record *record)
{
	join->record = *record;
	join->record.text = join->buffer;
	join->record.length = 0;
	join->pending = true;
	append(join, record->text, record->length);
}

bool log_join_take(struct log_join *join, const struct log_record *record, uint64_t now_ns, const struct log_sink *sink, bool *ret_begins)
{
	*ret_begins = false;
	if (!join->continues) {
		sink->take(sink->context, record);
		return true;
	}
	join->touched_ns = now_ns;
	/* Another unit's line ends this one's: an entry that two writers made in turns is two entries. */
	bool same = join->pending && strcmp(join->record.unit, record->unit) == 0;
	if (same && regex_match(join->continues, record->text, record->length) == REGEX_YES) {
		append(join, "\n", 1);
		append(join, record->text, record->length);
		join->record.cut |= record->cut;
		if (!join->record.cut)
			return false;
		log_join_flush(join, sink); /* full: held on to, one that never ends would never be told */
		return true;
	}
	log_join_flush(join, sink);
	begin(join, record);
	*ret_begins = true;
	return false;
}
