/* SPDX-License-Identifier: Apache-2.0 */
/* See foretime.h. */
#include "detect/foretime.h"

#include <stdlib.h>

enum { MAX_PASTS = 512, RUN = 16 };
/* A row that was not asked for so long may be another's: its target is gone, or its policy. */
#define IDLE_NS (10 * NSEC_PER_SEC)
/* A tick that comes a little early is not left for the next. */
#define EARLY_NS (50 * NSEC_PER_MSEC)

struct past {
	uint64_t key;              /* 0: free */
	uint64_t noted_ns, step_ns;
	uint32_t total;
	float values[MAX_BEFORE];  /* a ring */
};

struct foretime_log {
	struct past each[MAX_PASTS];
};

struct foretime_log *foretime_new(void)
{
	return calloc(1, sizeof(struct foretime_log));
}

void foretime_free(struct foretime_log *log)
{
	free(log);
}

static uint64_t hash(const char *metric, const char *key)
{
	uint64_t hash = 0xcbf29ce484222325ULL;
	for (; *metric; metric++)
		hash = (hash ^ (unsigned char)*metric) * 0x100000001b3ULL;
	for (; *key; key++)
		hash = (hash ^ (unsigned char)*key) * 0x100000001b3ULL;
	return hash ? hash : 1;
}

static struct past *find(const struct foretime_log *log, uint64_t key)
{
	for (uint32_t i = 0; i < RUN; i++)
		if (log->each[(key + i) % MAX_PASTS].key == key)
			return (struct past *)&log->each[(key + i) % MAX_PASTS];
	return NULL;
}

static struct past *make(struct foretime_log *log, uint64_t key, uint64_t now_ns)
{
	for (uint32_t i = 0; i < RUN; i++) {
		struct past *past = &log->each[(key + i) % MAX_PASTS];
		if (past->key && past->noted_ns + IDLE_NS > now_ns)
			continue;
		past->key = key;
		past->noted_ns = 0;
		past->total = 0;
		return past;
	}
	return NULL;
}

void foretime_note(struct foretime_log *log, const char *metric, const char *key, uint64_t boot_ns, uint64_t interval_ns, double value)
{
	uint64_t number = hash(metric, key), step = interval_ns > NSEC_PER_SEC ? interval_ns : NSEC_PER_SEC;
	struct past *past = find(log, number);
	if (!past)
		past = make(log, number, boot_ns);
	if (!past || (past->total && boot_ns + EARLY_NS < past->noted_ns + step))
		return;
	if (past->total && boot_ns - past->noted_ns > 3 * step)
		past->total = 0;
	past->step_ns = step;
	past->noted_ns = boot_ns;
	past->values[past->total++ % MAX_BEFORE] = (float)value;
}

void foretime_read(const struct foretime_log *log, const char *metric, const char *key, struct foretime *ret)
{
	const struct past *past = log ? find(log, hash(metric, key)) : NULL;
	*ret = (struct foretime){ 0 };
	if (!past)
		return;
	ret->step_ns = past->step_ns;
	ret->count = past->total < MAX_BEFORE ? past->total : MAX_BEFORE;
	for (uint32_t i = 0; i < ret->count; i++)
		ret->values[i] = (double)past->values[(past->total - ret->count + i) % MAX_BEFORE];
}
