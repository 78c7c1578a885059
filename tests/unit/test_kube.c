/* SPDX-License-Identifier: Apache-2.0 */
/* What crosses to nm-kube and back, when a question may be asked again, and which pods are left alone. The requests themselves: e2e/test_kube.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "decide/hands.h"
#include "kube/kube.h"
#include "remedies/kube.h"
#include "remedies/pod.h"

static void a_call_comes_through_as_it_was(void **state)
{
	const struct kube_call call = { .url = "https://[::1]:6443/x", .method = "POST", .content_type = "application/json", .body = "{\"a\":\"\\u0001\\\"\"}",
					.token = "t.o-k_en", .ca = "-----BEGIN\nx\n", .timeout_ms = 1234 };
	struct kube_call got;
	char *text = kube_call_write(&call);
	assert_int_equal(kube_call_read(text, &got), 0);
	assert_string_equal(got.url, call.url);
	assert_string_equal(got.method, "POST");
	assert_string_equal(got.body, call.body);
	assert_string_equal(got.token, call.token);
	assert_string_equal(got.ca, call.ca);
	assert_int_equal(got.timeout_ms, 1234);
	kube_call_free(&got);
	free(text);
}

static void a_call_that_is_none_is_refused(void **state)
{
	static const char *const bad[] = { "", "[]", "{}", "{\"url\":\"x\",\"method\":\"GET\",\"token\":\"t\",\"ca\":\"c\"}",
					   "{\"url\":\"x\",\"method\":\"GET\",\"token\":\"t\",\"timeout_ms\":5}",
					   "{\"url\":\"x\",\"method\":\"GET\",\"token\":\"t\",\"ca\":\"c\",\"timeout_ms\":0}",
					   "{\"url\":7,\"method\":\"GET\",\"token\":\"t\",\"ca\":\"c\",\"timeout_ms\":5}" };
	struct kube_call got;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(kube_call_read(bad[i], &got), -EINVAL);
}

static void an_answer_comes_through_as_it_was(void **state)
{
	const struct kube_answer answer = { .end = KUBE_UNKNOWN, .status = 0, .retry_after_s = 9, .error = "it \"hung\" up\n" };
	char text[KUBE_HEAD_MAX + 64];
	struct kube_answer got;
	kube_answer_write(&answer, text, KUBE_HEAD_MAX);
	strcat(text, "\n{\"kind\":\n\"Pod\"}");
	assert_int_equal(kube_answer_read(text, &got), 0);
	assert_int_equal(got.end, KUBE_UNKNOWN);
	assert_int_equal(got.retry_after_s, 9);
	assert_string_equal(got.error, answer.error);
	assert_string_equal(got.body, "{\"kind\":\n\"Pod\"}");
	char none[] = "{}\n", cut[] = "{\"end\":0,\"status\":200,\"retry_after\":0,\"error\":\"\"}", wild[] = "{\"end\":3,\"status\":200,\"retry_after\":0,\"error\":\"\"}\n";
	assert_int_equal(kube_answer_read(none, &got), -EINVAL);
	assert_int_equal(kube_answer_read(cut, &got), -EINVAL);
	assert_int_equal(kube_answer_read(wild, &got), -EINVAL);
}

/* An eviction is a deed: who does not know whether it was taken does not ask for it again. */
static void only_what_is_safe_is_asked_again(void **state)
{
	static const struct { const char *method; enum kube_end end; long status; bool again; } cases[] = {
		{ "GET", KUBE_UNREACHED, 0, true }, { "POST", KUBE_UNREACHED, 0, true }, { "GET", KUBE_UNKNOWN, 0, true }, { "POST", KUBE_UNKNOWN, 0, false },
		{ "GET", KUBE_ANSWERED, 503, true }, { "POST", KUBE_ANSWERED, 503, false }, { "GET", KUBE_ANSWERED, 429, true }, { "POST", KUBE_ANSWERED, 429, false },
		{ "PATCH", KUBE_UNKNOWN, 0, true }, { "GET", KUBE_ANSWERED, 200, false }, { "GET", KUBE_ANSWERED, 404, false }, { "GET", KUBE_ANSWERED, 401, false },
	};
	uint32_t wait, before = 0;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct kube_call call = { .method = (char *)cases[i].method };
		const struct kube_answer answer = { .end = cases[i].end, .status = cases[i].status };
		assert_int_equal(kube_may_repeat(&call, &answer, 1, &wait), cases[i].again);
		assert_false(kube_may_repeat(&call, &answer, 4, &wait)); /* not for ever */
	}
	const struct kube_call call = { .method = "GET" };
	struct kube_answer answer = { .end = KUBE_UNREACHED };
	for (uint32_t tries = 1; tries < 4; tries++) {
		assert_true(kube_may_repeat(&call, &answer, tries, &wait));
		assert_true(wait > before);
		before = wait;
	}
	answer.retry_after_s = 2;
	assert_true(kube_may_repeat(&call, &answer, 1, &wait));
	assert_int_equal(wait, 2000);
	answer.retry_after_s = 3000;
	assert_true(kube_may_repeat(&call, &answer, 1, &wait));
	assert_int_equal(wait, 5000);
}

/* --- pods ---------------------------------------------------------------------------------------------------------------------- */

#define POD(metadata_, spec_) \
	"{\"kind\":\"Pod\",\"metadata\":{\"name\":\"web-0\",\"namespace\":\"prod\",\"uid\":\"u1\"" metadata_ "},\"spec\":{\"nodeName\":\"n1\"" spec_ "}}"
#define OWNER(kind_) ",\"ownerReferences\":[{\"kind\":\"" kind_ "\",\"name\":\"o\",\"controller\":true}]"

static void which_pods_are_left_alone(void **state)
{
	static const struct { const char *document, *refused; } pods[] = {
		{ POD(OWNER("ReplicaSet"), ""), NULL },
		{ POD(OWNER("StatefulSet"), ",\"priority\":1000"), NULL },
		{ POD(OWNER("ReplicaSet") ",\"annotations\":{\"kubernetes.io/config.source\":\"api\"}", ""), NULL },
		{ POD(OWNER("DaemonSet"), ""), "never-list" },
		{ POD(OWNER("Node"), ""), "never-list" },
		{ POD(OWNER("ReplicaSet") ",\"annotations\":{\"kubernetes.io/config.mirror\":\"x\"}", ""), "never-list" },
		{ POD(OWNER("ReplicaSet") ",\"annotations\":{\"kubernetes.io/config.source\":\"file\"}", ""), "never-list" },
		{ POD(OWNER("ReplicaSet"), ",\"priorityClassName\":\"system-cluster-critical\""), "never-list" },
		{ POD(OWNER("ReplicaSet"), ",\"priorityClassName\":\"system-node-critical\""), "never-list" },
		{ POD(OWNER("ReplicaSet"), ",\"priority\":2000000000"), "never-list" },
		{ POD("", ""), "no-controller" },
		{ POD(",\"ownerReferences\":[{\"kind\":\"ReplicaSet\",\"name\":\"o\"}]", ""), "no-controller" },
		{ POD(OWNER("ReplicaSet") ",\"deletionTimestamp\":\"2026-11-26T10:00:00Z\"", ""), "already-ending" },
		{ "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"namespace\":\"kube-system\",\"uid\":\"u\"" OWNER("ReplicaSet") "},\"spec\":{\"nodeName\":\"n1\"}}", "never-list" },
		{ "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"namespace\":\"x\",\"uid\":\"u\"" OWNER("ReplicaSet") "},\"spec\":{\"nodeName\":\"n2\"}}", "other-node" },
		{ "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"namespace\":\"x\",\"uid\":\"u\"" OWNER("ReplicaSet") "},\"spec\":{}}", "other-node" },
		{ "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"namespace\":\"x\"" OWNER("ReplicaSet") "},\"spec\":{\"nodeName\":\"n1\"}}", "unknown-pod" },
		{ "{\"kind\":\"Node\",\"metadata\":{\"name\":\"a\",\"namespace\":\"x\",\"uid\":\"u\"},\"spec\":{}}", "unknown-pod" },
		{ "", "unknown-pod" },
		{ "[1]", "unknown-pod" },
	};
	struct pod pod;
	char why[160];
	for (size_t i = 0; i < sizeof(pods) / sizeof(pods[0]); i++) {
		const char *refused = pod_refused_by(pods[i].document, "n1", "", &pod, why, sizeof(why));
		if (!refused != !pods[i].refused || (refused && strcmp(refused, pods[i].refused) != 0))
			fail_msg("%s: %s (%s)", pods[i].document, refused ? refused : "may go", why);
		assert_int_equal(why[0] != '\0', refused != NULL);
	}
	assert_null(pod_refused_by(pods[0].document, "n1", "", &pod, why, sizeof(why)));
	assert_string_equal(pod.uid, "u1");
	assert_string_equal(pod.owner, "ReplicaSet/o");
	assert_string_equal(pod_refused_by(pods[0].document, "n1", "web-0", &pod, why, sizeof(why)), "never-list"); /* ourselves */
	assert_string_equal(pod_refused_by(pods[0].document, "", "", &pod, why, sizeof(why)), "other-node");
}

/* --- the remedy ------------------------------------------------------------------------------------------------------------------ */

static struct remedy_request request;
static struct remedy_result result;

static void asked(enum remedy_verb verb)
{
	memset(&request, 0, sizeof(request));
	request.verb = verb;
	request.remedy = REMEDY_EVICT_POD;
	request.deadline_boot_ns = clock_boot_ns() + 5 * NSEC_PER_SEC;
	effect_clear(&request.expect);
}

static void without_a_cluster_it_is_not_armed(void **state)
{
	unsetenv(KUBE_HOST_VARIABLE);
	asked(REMEDY_VERB_CHECK);
	hands_run(&request, &result);
	assert_false(result.armed);
	assert_non_null(strstr(result.why, KUBE_HOST_VARIABLE));
	setenv(KUBE_HOST_VARIABLE, "127.0.0.1", 1);
	setenv(KUBE_FOLDER_VARIABLE, "/nonexistent", 1);
	hands_run(&request, &result);
	assert_false(result.armed);
	assert_non_null(strstr(result.why, "/nonexistent"));
	setenv(KUBE_HOST_VARIABLE, "evil/../host@", 1);
	hands_run(&request, &result);
	assert_false(result.armed);
	unsetenv(KUBE_HOST_VARIABLE);
}

static void without_a_pod_nobody_is_evicted(void **state)
{
	asked(REMEDY_VERB_APPLY);
	request.candidate_count = 2;
	request.candidates[0] = (struct cause){ .rank = 1, .pid = 7, .comm = "dd" };
	request.candidates[1] = (struct cause){ .rank = 2, .pod = "../../nodes", .namespace = "x" };
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_REFUSED);
	assert_string_equal(result.refused_by, "no-candidate");
}

static void a_strangers_request_is_refused(void **state)
{
	static const char *const names[][2] = { { "prod", "" }, { "", "web-0" }, { "prod", "a/b" }, { "..", "web-0" }, { "prod", "WEB" }, { "prod", "a b" } };
	for (size_t i = 0; i <= sizeof(names) / sizeof(names[0]); i++) {
		asked(REMEDY_VERB_APPLY);
		struct evict_pod_args *args = &request.args.evict_pod;
		if (i < sizeof(names) / sizeof(names[0])) {
			snprintf(args->namespace, sizeof(args->namespace), "%s", names[i][0]);
			snprintf(args->pod, sizeof(args->pod), "%s", names[i][1]);
		} else {
			memset(args->pod, 'x', sizeof(args->pod));
		}
		hands_run(&request, &result);
		assert_int_equal(result.outcome, OUTCOME_REFUSED);
		assert_string_equal(result.refused_by, "invalid-request");
	}
}

static void a_cordon_is_asked_for_in_its_ranges_only(void **state)
{
	static const struct { uint64_t for_ns; uint32_t most_others; bool fits; } asked_for[] = {
		{ NSEC_PER_SEC, 0, true }, { 24 * 3600 * NSEC_PER_SEC, 6, true }, { NSEC_PER_SEC - 1, 0, false }, { 24 * 3600 * NSEC_PER_SEC + 1, 0, false },
		{ NSEC_PER_SEC, 7, false },
	};
	for (size_t i = 0; i < sizeof(asked_for) / sizeof(asked_for[0]); i++) {
		asked(REMEDY_VERB_APPLY);
		request.remedy = REMEDY_CORDON;
		request.args.cordon.for_ns = asked_for[i].for_ns;
		request.args.cordon.most_others = asked_for[i].most_others;
		hands_run(&request, &result);
		assert_int_equal(result.outcome, asked_for[i].fits ? OUTCOME_FAILED : OUTCOME_REFUSED); /* there is no cluster here */
		assert_string_equal(result.refused_by, asked_for[i].fits ? "" : "invalid-request");
	}
}

/* What cannot be asked is said to have failed, and is tried again: nobody may take it for given back. */
static void a_lease_that_cannot_be_seen_is_not_told_as_returned(void **state)
{
	for (int i = 0; i < 2; i++) {
		asked(i ? REMEDY_VERB_SWEEP : REMEDY_VERB_REVERT);
		request.remedy = REMEDY_CORDON;
		hands_run(&request, &result);
		assert_int_equal(result.outcome, OUTCOME_FAILED);
		assert_int_equal(result.leases.failed, 1);
		assert_int_equal(result.leases.returned, 0);
		assert_true(result.leases.next_boot_ns > clock_boot_ns() && result.leases.next_boot_ns < clock_boot_ns() + 60 * NSEC_PER_SEC);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_comes_through_as_it_was),
		cmocka_unit_test(a_call_that_is_none_is_refused),
		cmocka_unit_test(an_answer_comes_through_as_it_was),
		cmocka_unit_test(only_what_is_safe_is_asked_again),
		cmocka_unit_test(which_pods_are_left_alone),
		cmocka_unit_test(without_a_cluster_it_is_not_armed),
		cmocka_unit_test(without_a_pod_nobody_is_evicted),
		cmocka_unit_test(a_strangers_request_is_refused),
		cmocka_unit_test(a_cordon_is_asked_for_in_its_ranges_only),
		cmocka_unit_test(a_lease_that_cannot_be_seen_is_not_told_as_returned),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
