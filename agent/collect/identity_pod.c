/* SPDX-License-Identifier: Apache-2.0 */
/* A pod by kubelet's names: "kubepods-burstable-pod<uid>.slice" of the systemd driver, "kubepods/burstable/pod<uid>" of cgroupfs. */
#include "collect/identity_word.h"

enum { UUID_DIGITS = 36, STATIC_DIGITS = 32 }; /* a pod from a file or URL has a hash of its configuration */

static const struct {
	const char *word;
	enum qos qos;
} classes[] = { { "besteffort", QOS_BEST_EFFORT }, { "burstable", QOS_BURSTABLE } };

/* In the systemd driver's names '-' is the border between slices, so kubelet writes '_' for it. */
static bool set_uid(const struct span *uid, char *ret)
{
	size_t length = word_length(uid);
	if (length != UUID_DIGITS && length != STATIC_DIGITS)
		return false;
	for (size_t i = 0; i < length; i++) {
		bool border = length == UUID_DIGITS && (i == 8 || i == 13 || i == 18 || i == 23);
		if (border ? uid->at[i] != '-' && uid->at[i] != '_' : !is_lower_hex(uid->at[i]))
			return false;
	}
	for (size_t i = 0; i < length; i++)
		ret[i] = uid->at[i] == '_' ? '-' : uid->at[i];
	ret[length] = '\0';
	return true;
}

/* A root of kubelet's own puts its name in front, as in kind: "kubelet-kubepods-…". */
static bool skip_to_kubepods(struct span *word)
{
	static const char root[] = "kubepods-";
	const char *found = memmem(word->at, word_length(word), root, sizeof(root) - 1);
	if (!found || (found > word->at && found[-1] != '-'))
		return false;
	word->at = found + sizeof(root) - 1;
	return true;
}

/* The slice by itself, or in the three parts of "kubepods-…pod<uid>.slice:cri-containerd:<id>". */
static void pod_of_slice(struct span word, struct path_identity *ret)
{
	enum qos qos = QOS_GUARANTEED;
	const char *colon = memchr(word.at, ':', word_length(&word));
	struct span uid;

	if (colon)
		word.end = colon;
	if (!word_ends(&word, ".slice") || !skip_to_kubepods(&word))
		return;
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (span_starts(&word, classes[i].word)) {
			qos = classes[i].qos;
			if (!span_starts(&word, "-"))
				return;
		}
	if (word_between(&word, "pod", ".slice", &uid) && set_uid(&uid, ret->pod_uid))
		ret->qos = qos;
}

void pod_of_word(const struct path_place *place, struct path_identity *ret)
{
	struct span uid = place->word;

	pod_of_slice(place->word, ret);
	if (!place->kubepods || !span_starts(&uid, "pod") || !set_uid(&uid, ret->pod_uid))
		return;
	ret->qos = span_is(&place->parent, "kubepods") ? QOS_GUARANTEED : QOS_UNKNOWN;
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (span_is(&place->parent, classes[i].word))
			ret->qos = classes[i].qos;
}
