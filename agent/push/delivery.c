/* SPDX-License-Identifier: Apache-2.0 */
/* See delivery.h: all outlets in one loop over libcurl's sockets, and what an answer means for a parcel. */
#include "push/delivery.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include "core/clock.h"
#include "core/log.h"
#include "push/backoff.h"
#include "push/keys.h"
#include "push/outlet.h"

#define SAY_AGAIN_NS (60 * NSEC_PER_SEC)
#define REFUSAL_WAIT_NS (10 * NSEC_PER_SEC) /* longest between two parcels to one that refuses them */

struct delivery {
	int epoll_fd, spool_dir_fd;
	struct keys *keys;
	struct output_page *page;
	CURLM *multi;
	uint64_t timer_ns;        /* when libcurl wants to be called; UINT64_MAX: not by itself */
	uint32_t count;
	struct outlet *outlets[MAX_OUTLETS];
};

/* --- libcurl's loop ---------------------------------------------------------------------------------------------------- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *socket_context)
{
	const struct delivery *delivery = context;
	struct epoll_event event = { .data.fd = fd };
	if (what == CURL_POLL_REMOVE) {
		(void)epoll_ctl(delivery->epoll_fd, EPOLL_CTL_DEL, fd, NULL); /* closed already: gone already */
		return 0;
	}
	event.events = (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);
	if (epoll_ctl(delivery->epoll_fd, EPOLL_CTL_MOD, fd, &event) < 0 && epoll_ctl(delivery->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return -1;
	return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *context)
{
	struct delivery *delivery = context;
	delivery->timer_ns = timeout_ms < 0 ? UINT64_MAX : clock_boot_ns() + (uint64_t)timeout_ms * NSEC_PER_MSEC;
	return 0;
}

/* --- what is said ------------------------------------------------------------------------------------------------------ */

/* The first line of a hostile answer. One that repeats what only we should know is not shown. */
static void first_line(const struct outlet *outlet, char *buffer, size_t size)
{
	const struct output *output = outlet->output;
	size_t length = outlet->answer.length ? strcspn(outlet->answer.data, "\r\n") : 0;
	snprintf(buffer, size, "%.*s", (int)(length < size ? length : size - 1), outlet->answer.length ? outlet->answer.data : "");
	const char *const paths[] = { output->bearer_token_file, output->password_file, output->url_file, output->routing_key_file };
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]) + output->header_file_count; i++) {
		const char *path = i < 4 ? paths[i] : output->header_files[i - 4].value;
		const char *secret = *path ? delivery_secret(outlet->delivery, path) : NULL;
		if (secret && *secret && strstr(buffer, secret))
			snprintf(buffer, size, "(an answer that repeats a secret)");
	}
}

static void say_refusal(struct outlet *outlet, long status, uint64_t now_ns)
{
	char line[256];
	if (outlet->said_refusal_ns && now_ns < outlet->said_refusal_ns + SAY_AGAIN_NS)
		return;
	outlet->said_refusal_ns = now_ns;
	first_line(outlet, line, sizeof(line));
	log_warning("output %s: refused with status %ld, what was sent is dropped: %s", outlet->name, status, line);
}

static void say_failure(const struct outlet *outlet, const char *why)
{
	if (outlet->failures == 1)
		log_warning("output %s: cannot be delivered, trying again: %s", outlet->name, why);
}

/* --- outcomes ---------------------------------------------------------------------------------------------------------- */

static uint32_t any_number(void)
{
	uint32_t number = 0;
	(void)!getrandom(&number, sizeof(number), GRND_NONBLOCK); /* 0 early in a boot: then without jitter */
	return number;
}

static void failed(struct outlet *outlet, enum failure failure, const char *why, uint64_t asked_ns, uint64_t now_ns)
{
	outlet->failures++;
	count_up(&outlet->counters->failed[failure], 1);
	outlet->retry_at_ns = now_ns + backoff_ns(outlet->failures, any_number(), asked_ns);
	say_failure(outlet, why);
	outlet_spill(outlet);
	outlet_show(outlet);
}

static void refused(struct outlet *outlet, long status, uint64_t now_ns)
{
	count_up(&outlet->counters->failed[FAILURE_STATUS], 1);
	outlet_drop(outlet, DROP_REFUSED, outlet->head.items);
	say_refusal(outlet, status, now_ns);
	outlet_take_off(outlet);
	uint64_t wait = backoff_ns(++outlet->refusals, any_number(), 0);
	outlet->retry_at_ns = now_ns + (wait < REFUSAL_WAIT_NS ? wait : REFUSAL_WAIT_NS);
	outlet->failures = 0;
	if (status == 401 || status == 403)
		keys_doubt(outlet->delivery->keys, now_ns);
}

static void taken(struct outlet *outlet, int64_t wall_ns)
{
	if (outlet->failures)
		log_info("output %s: delivers again, after %u failures", outlet->name, outlet->failures);
	outlet->failures = outlet->refusals = 0;
	outlet->retry_at_ns = 0;
	count_up(&outlet->counters->sent, outlet->head.items - outlet->rejected);
	if (outlet->rejected)
		outlet_drop(outlet, DROP_REFUSED, outlet->rejected);
	atomic_store_explicit(&outlet->counters->last_success_wall_ns, wall_ns, memory_order_relaxed);
	outlet_take_off(outlet);
}

void outlet_reject(struct outlet *outlet, uint64_t items)
{
	outlet->rejected = items < outlet->head.items ? items : outlet->head.items;
}

static enum verdict rule(long status)
{
	if (status >= 200 && status < 300)
		return VERDICT_TAKEN;
	return status == 408 || status == 429 || status >= 500 ? VERDICT_AGAIN : VERDICT_REFUSED;
}

static enum verdict judge(struct outlet *outlet, long status)
{
	struct text changed = { 0 };
	uint32_t type = outlet->head.type;
	enum verdict verdict = VERDICT_DEFAULT;
	outlet->rejected = 0;
	char *content_type = NULL;
	(void)curl_easy_getinfo(outlet->easy, CURLINFO_CONTENT_TYPE, &content_type);
	text_append(&outlet->answer, "", 1); /* its end, for those who read it as a string */
	if (outlet->answer.length)
		outlet->answer.length--;
	if (outlet->family->judge) {
		const struct answer answer = { .status = status, .body = outlet->answer.data ? outlet->answer.data : "", .size = outlet->answer.length,
					       .content_type = content_type, .written = outlet->written };
		verdict = outlet->family->judge(outlet->context, &outlet->head, &answer, &changed, &type);
	}
	if (verdict == VERDICT_CHANGED && !outlet->is_changed && !changed.failed && type < outlet->family->type_count) {
		text_free(&outlet->changed);
		outlet->changed = changed;
		outlet->is_changed = true;
		outlet->head.type = type;
		outlet->head.body = changed.data;
		outlet->head.size = changed.length;
		return VERDICT_CHANGED;
	}
	text_free(&changed);
	return verdict == VERDICT_DEFAULT || verdict == VERDICT_CHANGED ? rule(status) : verdict;
}

static void answered(struct outlet *outlet, CURLcode code, uint64_t now_ns, int64_t wall_ns)
{
	long status = 0;
	char why[CURL_ERROR_SIZE + 64];
	(void)curl_easy_getinfo(outlet->easy, CURLINFO_RESPONSE_CODE, &status);
	uint64_t took_ns = now_ns - outlet->started_ns;
	/* More of an answer than we take: what it says of the parcel stands in its status. */
	bool cut = code == CURLE_WRITE_ERROR && outlet->answer.length >= ANSWER_MAX;
	/* An SMTP server's no ends libcurl's transfer as a failure; what it means stands in its code. */
	bool said_no = outlet->family->prepare && status >= 400;
	if (code != CURLE_OK && !cut && !said_no) {
		snprintf(why, sizeof(why), "%s", outlet->error[0] ? outlet->error : curl_easy_strerror(code));
		transfer_end(outlet, outlet->delivery->multi);
		failed(outlet, transfer_failure(code), why, 0, now_ns);
		return;
	}

	count_up(&outlet->counters->latency_sum_ns, took_ns);
	count_up(&outlet->counters->latency[histogram_bucket(took_ns)], 1);
	enum verdict verdict = judge(outlet, status);
	transfer_end(outlet, outlet->delivery->multi);
	if (verdict == VERDICT_TAKEN) {
		taken(outlet, wall_ns);
	} else if (verdict == VERDICT_REFUSED) {
		refused(outlet, status, now_ns);
	} else if (verdict == VERDICT_AGAIN) {
		snprintf(why, sizeof(why), "the receiver answers with status %ld", status);
		failed(outlet, FAILURE_STATUS, why, retry_after_ns(outlet->retry_after, wall_ns), now_ns);
	}
}

static void take_answers(struct delivery *delivery)
{
	int left;
	for (CURLMsg *message; (message = curl_multi_info_read(delivery->multi, &left));) {
		struct outlet *outlet = NULL;
		if (message->msg != CURLMSG_DONE || curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&outlet) != CURLE_OK || !outlet)
			continue;
		answered(outlet, message->data.result, clock_boot_ns(), clock_wall_ns());
	}
}

/* --- the loop's side --------------------------------------------------------------------------------------------------- */

void delivery_event(struct delivery *delivery, int fd, uint32_t epoll_events)
{
	int running, what = 0;
	what |= epoll_events & EPOLLIN ? CURL_CSELECT_IN : 0;
	what |= epoll_events & EPOLLOUT ? CURL_CSELECT_OUT : 0;
	what |= epoll_events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0;
	(void)curl_multi_socket_action(delivery->multi, fd, what, &running); /* what went wrong comes as an answer */
	take_answers(delivery);
}

static void start(struct outlet *outlet, uint64_t now_ns, int64_t wall_ns)
{
	if (outlet->in_flight || now_ns < outlet->retry_at_ns)
		return;
	if (!outlet_next(outlet, wall_ns)) {
		if (outlet->failures && !outlet_is_idle(outlet))
			outlet->retry_at_ns = now_ns + backoff_ns(outlet->failures, any_number(), 0);
		return;
	}
	outlet->started_ns = now_ns;
	int error = transfer_begin(outlet, outlet->delivery->multi);
	if (error < 0) {
		char why[CURL_ERROR_SIZE];
		snprintf(why, sizeof(why), "%s", outlet->error[0] ? outlet->error : strerror(-error));
		keys_doubt(outlet->delivery->keys, now_ns);
		failed(outlet, FAILURE_SECRET, why, 0, now_ns);
	}
}

uint64_t delivery_turn(struct delivery *delivery, uint64_t now_ns, int64_t wall_ns)
{
	int running;
	if (now_ns >= delivery->timer_ns) {
		delivery->timer_ns = UINT64_MAX;
		(void)curl_multi_socket_action(delivery->multi, CURL_SOCKET_TIMEOUT, 0, &running);
		take_answers(delivery);
	}
	for (uint32_t i = 0; i < delivery->count; i++)
		start(delivery->outlets[i], now_ns, wall_ns);

	uint64_t next = delivery->timer_ns;
	for (uint32_t i = 0; i < delivery->count; i++) {
		const struct outlet *outlet = delivery->outlets[i];
		if (!outlet->in_flight && !outlet_is_idle(outlet) && outlet->retry_at_ns < next)
			next = outlet->retry_at_ns;
	}
	return next;
}

const char *delivery_secret(struct delivery *delivery, const char *path)
{
	return keys_get(delivery->keys, path);
}

/* --- opening ----------------------------------------------------------------------------------------------------------- */

int delivery_open(int epoll_fd, int spool_dir_fd, struct keys *keys, struct output_page *page, struct delivery **ret)
{
	struct delivery *delivery = calloc(1, sizeof(*delivery));
	if (!delivery)
		return -ENOMEM;
	delivery->epoll_fd = epoll_fd;
	delivery->spool_dir_fd = spool_dir_fd;
	delivery->keys = keys;
	delivery->page = page;
	delivery->timer_ns = UINT64_MAX;
	delivery->multi = curl_multi_init();
	if (!delivery->multi) {
		free(delivery);
		return -ENOMEM;
	}
	curl_multi_setopt(delivery->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(delivery->multi, CURLMOPT_SOCKETDATA, delivery);
	curl_multi_setopt(delivery->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(delivery->multi, CURLMOPT_TIMERDATA, delivery);
	atomic_store_explicit(&page->count, 0, memory_order_relaxed);
	*ret = delivery;
	return 0;
}

/* The same outlet of the sender before goes on counting; another's counts are not its own. */
static struct outlet_counters *counters_for(struct delivery *delivery, const char *output, uint32_t url)
{
	struct outlet_counters *counters = &delivery->page->outlets[delivery->count];
	char endpoint[sizeof(counters->endpoint)];
	snprintf(endpoint, sizeof(endpoint), "%u", url);
	if (strcmp(counters->output, output) != 0 || strcmp(counters->endpoint, endpoint) != 0) {
		memset(counters, 0, sizeof(*counters));
		snprintf(counters->output, sizeof(counters->output), "%s", output);
		memcpy(counters->endpoint, endpoint, sizeof(endpoint));
	}
	return counters;
}

static void open_spool(struct outlet *outlet)
{
	struct delivery *delivery = outlet->delivery;
	if (delivery->spool_dir_fd < 0 || !outlet->output->spool_bytes)
		return;
	int error = spool_open(delivery->spool_dir_fd, outlet->name, outlet->output->spool_bytes, &outlet->spool);
	if (error < 0) {
		count_up(&outlet->counters->spool_errors, 1);
		log_warning("output %s: its spool cannot be opened, what cannot be delivered is kept in memory only: %s", outlet->name, strerror(-error));
	}
}

int delivery_add(struct delivery *delivery, const struct outputs *outputs, uint32_t output, uint32_t url, const struct outlet_family *family,
		 void *context, struct outlet **ret)
{
	if (delivery->count == MAX_OUTLETS)
		return -ENOSPC;
	struct outlet *outlet = calloc(1, sizeof(*outlet));
	if (!outlet)
		return -ENOMEM;
	outlet->easy = curl_easy_init();
	if (!outlet->easy) {
		free(outlet);
		return -ENOMEM;
	}
	outlet->delivery = delivery;
	outlet->output = &outputs->each[output];
	outlet->family = family;
	outlet->context = context;
	snprintf(outlet->url, sizeof(outlet->url), "%s", outlet->output->urls[url]);
	/* A dot, which no output's name has: a-1 may be another output. */
	snprintf(outlet->name, sizeof(outlet->name), url ? "%s.%u" : "%s", outlet->output->name, url);
	outlet->counters = counters_for(delivery, outlet->output->name, url);
	open_spool(outlet);
	outlet_show(outlet);
	delivery->outlets[delivery->count++] = outlet;
	atomic_store_explicit(&delivery->page->count, delivery->count, memory_order_release);
	*ret = outlet;
	return 0;
}

void delivery_save(struct delivery *delivery)
{
	for (uint32_t i = 0; i < delivery->count; i++) {
		struct outlet *outlet = delivery->outlets[i];
		outlet->in_flight = false; /* whatever its answer would have been */
		outlet_spill(outlet);
		outlet_show(outlet);
	}
}

static void free_outlet(struct outlet *outlet)
{
	curl_multi_remove_handle(outlet->delivery->multi, outlet->easy); /* one that is not in it: nothing */
	transfer_end(outlet, NULL);
	curl_easy_cleanup(outlet->easy);
	spool_close(outlet->spool);
	free(outlet->head_memory);
	for (struct queued *queued = outlet->first; queued;) {
		struct queued *next = queued->next;
		free(queued);
		queued = next;
	}
	text_free(&outlet->changed);
	text_free(&outlet->filled);
	text_free(&outlet->answer);
	free(outlet);
}

void delivery_close(struct delivery *delivery)
{
	if (!delivery)
		return;
	delivery_save(delivery);
	for (uint32_t i = 0; i < delivery->count; i++)
		free_outlet(delivery->outlets[i]);
	curl_multi_cleanup(delivery->multi);
	free(delivery);
}
