/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the outlook remembers, as bytes: a head with what it was and when, the series, the cgroups. The machine's own layout, since it is for
 * this machine: sizes and version must be the same, and the digest right, or all of it is dropped. A lost history costs days, a wrong
 * one an alarm.
 */
#include <errno.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

#include "detect/outlook_state.h"

size_t outlook_state_size(void)
{
	return sizeof(struct state_head) + MAX_OUTLOOK * sizeof(struct remembered) + MAX_SIZED * sizeof(struct sized);
}

void outlook_state_digest(const struct state_head *given, const void *behind, size_t size, uint8_t ret[SHA256_DIGEST_SIZE])
{
	struct state_head head;
	struct sha256_ctx context;
	memcpy(&head, given, sizeof(head));
	memset(head.digest, 0, sizeof(head.digest));
	sha256_init(&context);
	sha256_update(&context, sizeof(head), (const uint8_t *)&head);
	sha256_update(&context, size, behind);
	sha256_digest(&context, SHA256_DIGEST_SIZE, ret);
}

static bool worth_keeping(const struct followed *followed)
{
	return followed->kept.key && followed->kept.rings.minute;
}

size_t outlook_save(const struct outlook *outlook, const struct snapshot *snap, void *buffer, size_t room)
{
	struct state_head *head = buffer;
	char *at = (char *)buffer + sizeof(*head);
	if (room < outlook_state_size())
		return 0;
	memset(head, 0, sizeof(*head));
	memcpy(head->magic, OUTLOOK_MAGIC, sizeof(head->magic));
	head->version = STATE_VERSION;
	head->series_size = sizeof(struct remembered);
	head->sized_size = sizeof(struct sized);
	head->offset_ns = outlook->offset_ns;
	head->wall_ns = snap->wall_ns;
	head->boot_ns = snap->boot_ns;
	memcpy(head->boot_id, snap->boot_id, sizeof(head->boot_id));

	for (uint32_t i = 0; i < MAX_OUTLOOK; i++)
		if (worth_keeping(&outlook->each[i])) {
			memcpy(at, &outlook->each[i].kept, sizeof(struct remembered));
			at += sizeof(struct remembered);
			head->series_count++;
		}
	const struct sized *sized;
	for (uint32_t i = 0; (sized = sizer_next(outlook->sizer, &i));) {
		memcpy(at, sized, sizeof(*sized));
		at += sizeof(*sized);
		head->sized_count++;
	}
	head->size = (uint32_t)(at - (char *)buffer);

	uint8_t result[SHA256_DIGEST_SIZE];
	outlook_state_digest(head, head + 1, head->size - sizeof(*head), result);
	memcpy(head->digest, result, sizeof(result));
	return head->size;
}

/* NULL, or why it is not taken. */
static const char *problem_of(const struct state_head *given, const void *data, size_t size)
{
	if (size < sizeof(*given))
		return "it is cut short";
	if (memcmp(given->magic, OUTLOOK_MAGIC, sizeof(given->magic)) != 0)
		return "it does not begin as one";
	if (given->version != STATE_VERSION || given->series_size != sizeof(struct remembered) || given->sized_size != sizeof(struct sized))
		return "it is of another version";
	if (given->series_count > MAX_OUTLOOK || given->sized_count > MAX_SIZED || given->size != size ||
	    size != sizeof(*given) + (size_t)given->series_count * sizeof(struct remembered) + (size_t)given->sized_count * sizeof(struct sized))
		return "its size is not what it says";

	uint8_t result[SHA256_DIGEST_SIZE];
	outlook_state_digest(given, (const char *)data + sizeof(*given), size - sizeof(*given), result);
	return memcmp(result, given->digest, sizeof(result)) == 0 ? NULL : "its digest does not match";
}

/* Where the clock of the rings stands now. Within one boot by boot time; over a boot by wall time, which must not have gone back. */
static int64_t offset_now(const struct state_head *head, const struct snapshot *snap, const char **ret_remark)
{
	*ret_remark = NULL;
	if (strncmp(head->boot_id, snap->boot_id, sizeof(head->boot_id)) == 0 && snap->boot_ns >= head->boot_ns)
		return head->offset_ns;
	int64_t gap_ns = snap->wall_ns - head->wall_ns;
	if (gap_ns < 0) {
		*ret_remark = "the clock stands before the time it was kept: the gap is not known and taken as none";
		gap_ns = 0;
	}
	return head->offset_ns + (int64_t)head->boot_ns + gap_ns - (int64_t)snap->boot_ns;
}

/* From the first of 1970 and for a century: what is beyond was never written by us. */
static bool is_in_range(int64_t ns)
{
	return ns > 0 && ns < 100LL * 366 * 86400 * (int64_t)NSEC_PER_SEC;
}

static bool has_sane_times(const struct state_head *head, const struct snapshot *snap)
{
	const char *remark;
	if (!is_in_range(head->wall_ns) || head->boot_ns > INT64_MAX || !is_in_range((int64_t)head->boot_ns + 1) || !is_in_range(snap->wall_ns))
		return false;
	/* The clock of the rings, then and now. */
	int64_t then_ns;
	if (__builtin_add_overflow(head->offset_ns, (int64_t)head->boot_ns, &then_ns) || !is_in_range(then_ns))
		return false;
	return is_in_range(offset_now(head, snap, &remark) + (int64_t)snap->boot_ns);
}

static void restore_series(struct outlook *outlook, const char *at, uint32_t count, uint32_t now_minute)
{
	uint32_t next = 0;
	for (uint32_t i = 0; i < count; i++, at += sizeof(struct remembered)) {
		struct followed *followed = &outlook->each[next];
		memcpy(&followed->kept, at, sizeof(followed->kept));
		if (!followed->kept.key || !followed->kept.full || !rings_possible(&followed->kept.rings, now_minute)) {
			memset(followed, 0, sizeof(*followed));
			continue;
		}
		followed->fast_left_ns = UNKNOWN;
		followed->restored = followed->stale = true;
		next++;
	}
}

void outlook_count_damaged(struct outlook *outlook)
{
	outlook->state_dropped++;
}

int outlook_restore(struct outlook *outlook, const struct snapshot *snap, const void *data, size_t size, char *why, size_t why_size)
{
	struct state_head head;
	memset(&head, 0, sizeof(head));
	memcpy(&head, data, size < sizeof(head) ? size : sizeof(head));
	const char *problem = problem_of(&head, data, size), *remark = NULL;
	if (!problem && !has_sane_times(&head, snap))
		problem = "its times are impossible";
	if (problem) {
		snprintf(why, why_size, "%s", problem);
		outlook_count_damaged(outlook);
		return -EBADMSG;
	}

	outlook->offset_ns = offset_now(&head, snap, &remark);
	outlook->begun = true;
	outlook->restored_ns = snap->boot_ns;
	snprintf(why, why_size, "%s", remark ? remark : "");
	int64_t now_ns = (int64_t)snap->boot_ns + outlook->offset_ns;
	uint32_t now_minute = now_ns > 0 ? (uint32_t)((uint64_t)now_ns / (60 * NSEC_PER_SEC)) + 1 : 1;
	const char *at = (const char *)data + sizeof(head);
	restore_series(outlook, at, head.series_count, now_minute);
	at += (size_t)head.series_count * sizeof(struct remembered);
	for (uint32_t i = 0; i < head.sized_count; i++, at += sizeof(struct sized)) {
		struct sized sized;
		memcpy(&sized, at, sizeof(sized));
		(void)sizer_restore(outlook->sizer, &sized); /* one that is impossible is left out */
	}
	return 0;
}
