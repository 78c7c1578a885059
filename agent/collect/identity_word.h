/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a cgroup's path, for the files that read them: units (identity_path.c), containers, pods. */
#ifndef NODEMEND_COLLECT_IDENTITY_WORD_H
#define NODEMEND_COLLECT_IDENTITY_WORD_H

#include "collect/procfs.h"
#include "identity.h"

#include <string.h>

/* Where in the path a word stands. */
struct path_place {
	struct span top, parent;              /* the first word of the path, and the one before; empty at the top */
	struct span word;
	struct span rest;                     /* what follows */
	bool kubepods;                        /* below kubelet's group under the cgroupfs driver */
};

static inline size_t word_length(const struct span *word)
{
	return (size_t)(word->end - word->at);
}

static inline bool word_begins(const struct span *word, const char *prefix)
{
	struct span copy = *word;
	return span_starts(&copy, prefix);
}

/* With something before it. */
static inline bool word_ends(const struct span *word, const char *suffix)
{
	size_t length = strlen(suffix);
	return word_length(word) > length && memcmp(word->end - length, suffix, length) == 0;
}

/* `begin`VALUE`end`; false where VALUE is empty. */
static inline bool word_between(const struct span *word, const char *begin, const char *end, struct span *ret)
{
	if (!word_begins(word, begin) || !word_ends(word, end) || word_length(word) <= strlen(begin) + strlen(end))
		return false;
	*ret = (struct span){ word->at + strlen(begin), word->end - strlen(end) };
	return true;
}

/* 0-9 and a-f. */
static inline bool is_lower_hex(char letter)
{
	return (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'f');
}

/* False: the path has ended. */
bool path_word(struct span *rest, struct span *ret);

/* Whether the word at `place` is a container; then runtime, id and, where the path has it, name are written. */
bool container_of_word(const struct path_place *place, struct path_identity *ret);
/* Writes pod_uid and qos where the word is a pod's. */
void pod_of_word(const struct path_place *place, struct path_identity *ret);

#endif
