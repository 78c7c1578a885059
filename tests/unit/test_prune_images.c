/* SPDX-License-Identifier: Apache-2.0 */
/* prune-images against an engine that behaves as each test wants, with its images as files on a filesystem of the test's own: what goes, in which
 * order, what stays, and that the bytes told are those of statvfs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "core/clock.h"
#include "decide/hands.h"
#include "fake_engine.h"
#include "remedies/engine.h"

enum { IMAGES = 6, CONTAINERS = 6, LAYER = 1 << 20 };

/* What the engine has; a test changes it, before or in the middle. */
struct image {
	char id[65], parent[65];
	const char *names;           /* as JSON: "\"a:1\"" */
	bool there;
	int status;                  /* of its removal; 0 = it is removed */
};
struct holder {
	char id[65], image[65];
	const char *name, *named, *state, *labels, *policy, *finished;
	bool there;
};

static struct fake_engine fake;
static struct image images[IMAGES];
static struct holder holders[CONTAINERS];
static char root[64];
static struct remedy_request request;
static struct remedy_result result;
static int lists, used_at_list;      /* from this list of containers on, image 0 is in use */
static const char *switch_pulled_at; /* the kill switch is pulled when this is removed */
static bool broken_container, keep_bytes;

static void make_id(char id[65], char letter)
{
	memset(id, letter, 64);
	id[64] = '\0';
}

static void layer(char buffer[128], const struct image *image)
{
	snprintf(buffer, 128, "%s/layer-%.4s", root, image->id);
}

static void record(char buffer[256], const struct image *image)
{
	snprintf(buffer, 256, "%s/image/vfs/imagedb/content/sha256/%.64s", root, image->id);
}

static void write_file(const char *path, size_t size)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(posix_fallocate(fd, 0, (off_t)size), 0);
	close(fd);
}

/* Its record, and with it its age: the first made is the oldest. */
static struct image *add_image(int at, char letter, const char *names)
{
	char path[256];
	struct image *image = &images[at];
	*image = (struct image){ .names = names, .there = true };
	make_id(image->id, letter);
	record(path, image);
	write_file(path, 1);
	layer(path, image);
	write_file(path, LAYER);
	usleep(2000); /* a change time of its own, at the resolution of a tick */
	return image;
}

static struct holder *add_container(int at, char letter, const char *name, char image, const char *state)
{
	struct holder *holder = &holders[at];
	*holder = (struct holder){ .name = name, .named = "", .state = state, .labels = "{}", .policy = "no", .finished = "2020-01-01T00:00:00Z", .there = true };
	make_id(holder->id, letter);
	make_id(holder->image, image);
	return holder;
}

/* --- the engine ---------------------------------------------------------------------------------------------------------- */

static void tell_images(char *body, size_t room)
{
	const char *comma = "";
	fake_add(body, room, "[");
	for (int i = 0; i < IMAGES; i++) {
		if (!images[i].there)
			continue;
		fake_add(body, room, "%s{\"Id\":\"sha256:%s\",\"ParentId\":\"%s\",\"RepoTags\":[%s],\"RepoDigests\":[],\"Size\":%d,\"SharedSize\":0}", comma, images[i].id,
			 images[i].parent, images[i].names, LAYER);
		comma = ",";
	}
	fake_add(body, room, "]");
}

static void tell_containers(char *body, size_t room)
{
	const char *comma = "";
	fake_add(body, room, "[");
	for (int i = 0; i < CONTAINERS; i++) {
		if (!holders[i].there)
			continue;
		fake_add(body, room, "%s{\"Id\":\"%s\",\"Names\":[\"/%s\"],\"Image\":\"%s\",\"ImageID\":\"sha256:%s\",\"State\":\"%s\",\"Labels\":%s}", comma, holders[i].id,
			 holders[i].name, holders[i].named, holders[i].image, holders[i].state, holders[i].labels);
		comma = ",";
	}
	if (++lists >= used_at_list && used_at_list)
		fake_add(body, room, "%s{\"Id\":\"%064d\",\"Names\":[\"/new\"],\"ImageID\":\"%s\",\"State\":\"running\"}", comma, 1, images[0].id);
	if (broken_container)
		fake_add(body, room, "%s{\"Id\":\"%064d\",\"ImageID\":\"what\"}", comma[0] ? "," : "", 2);
	fake_add(body, room, "]");
}

static struct image *image_of(const char *target)
{
	char names[256];
	for (int i = 0; i < IMAGES; i++) {
		const struct image *image = &images[i];
		snprintf(names, sizeof(names), "%s", image->names ? image->names : "");
		char *rest = NULL;
		for (char *name = strtok_r(names, "\",", &rest); name; name = strtok_r(NULL, "\",", &rest))
			if (image->there && strncmp(target, name, strlen(name)) == 0 && strchr("?/", target[strlen(name)]))
				return &images[i];
		if (image->there && image->id[0] && strncmp(target, image->id, 64) == 0)
			return &images[i];
	}
	return NULL;
}

static int remove_image(const char *target, char *body, size_t room)
{
	char path[256];
	struct image *image = image_of(target);
	if (!image)
		return 404;
	if (image->status) {
		fake_add(body, room, "{\"message\":\"conflict: no\\u0007w\"}");
		return image->status;
	}
	if (switch_pulled_at && strncmp(target, switch_pulled_at, strlen(switch_pulled_at)) == 0)
		write_file(request.kill_switch, 1);
	/* The last name takes the image along; the others only themselves. */
	const char *second = strchr(image->names, ',');
	if (second) {
		image->names = second + 1;
		return 200;
	}
	image->there = false;
	record(path, image);
	unlink(path);
	layer(path, image);
	if (!keep_bytes)
		unlink(path);
	fake_add(body, room, "[{\"Deleted\":\"%s\"}]", image->id);
	return 200;
}

static struct holder *holder_of(const char *target)
{
	for (int i = 0; i < CONTAINERS; i++)
		if (holders[i].there && strncmp(target, holders[i].id, 64) == 0)
			return &holders[i];
	return NULL;
}

static int about_container(const char *method, const char *target, char *body, size_t room)
{
	struct holder *holder = holder_of(target);
	if (!holder)
		return 404;
	if (strcmp(method, "DELETE") == 0) {
		holder->there = false;
		return 204;
	}
	fake_add(body, room, "{\"Id\":\"%s\",\"Name\":\"/%s\",\"State\":{\"Status\":\"%s\",\"Running\":%s,\"FinishedAt\":\"%s\"},\"Config\":{\"Labels\":%s},"
		 "\"HostConfig\":{\"RestartPolicy\":{\"Name\":\"%s\"}}}", holder->id, holder->name, holder->state, strcmp(holder->state, "running") == 0 ? "true" : "false",
		 holder->finished, holder->labels, holder->policy);
	return 200;
}

static int answer(const char *method, const char *target, char *body, size_t room)
{
	if (strcmp(target, "/_ping") == 0)
		fake_add(body, room, "OK");
	else if (strcmp(target, "/info") == 0)
		fake_add(body, room, "{\"DockerRootDir\":\"%s\",\"Driver\":\"vfs\"}", root);
	else if (strncmp(target, "/images/json", 12) == 0)
		tell_images(body, room);
	else if (strncmp(target, "/containers/json", 16) == 0)
		tell_containers(body, room);
	else if (strncmp(target, "/containers/", 12) == 0)
		return about_container(method, target + 12, body, room);
	else if (strncmp(target, "/images/", 8) == 0 && strcmp(method, "DELETE") == 0)
		return remove_image(target + 8, body, room);
	else if (strncmp(target, "/images/", 8) == 0 && image_of(target + 8))
		fake_add(body, room, "{\"Metadata\":{\"LastTagTime\":\"0001-01-01T00:00:00Z\"}}");
	else
		return 404;
	return 200;
}

/* --- fixture ------------------------------------------------------------------------------------------------------------- */

static int setup(void **state)
{
	memset(images, 0, sizeof(images));
	memset(holders, 0, sizeof(holders));
	fake.acts = 0;
	lists = used_at_list = 0;
	switch_pulled_at = NULL;
	broken_container = keep_bytes = false;
	memset(&request, 0, sizeof(request));
	request.verb = REMEDY_VERB_APPLY;
	request.remedy = REMEDY_PRUNE_IMAGES;
	request.target.type = TARGET_NODE;
	request.deadline_boot_ns = clock_boot_ns() + 30 * NSEC_PER_SEC;
	effect_clear(&request.expect);
	struct prune_images_args *args = &request.args.prune_images;
	memcpy(args->socket, fake.socket, sizeof(fake.socket));
	args->max_bytes = UINT64_MAX;
	args->max_count = 100;
	snprintf(request.kill_switch, sizeof(request.kill_switch), "%s/stop", root);
	return 0;
}

static int teardown(void **state)
{
	char path[256];
	for (int i = 0; i < IMAGES; i++) {
		record(path, &images[i]);
		unlink(path);
		layer(path, &images[i]);
		unlink(path);
	}
	unlink(request.kill_switch);
	return 0;
}

static void run(void)
{
	hands_run(&request, &result);
}

static void refused(const char *by)
{
	run();
	assert_int_equal(result.outcome, OUTCOME_REFUSED);
	assert_string_equal(result.refused_by, by);
	assert_int_equal(fake.acts, 0);
}

static const char *detail_of(const char *name)
{
	for (uint32_t i = 0; i < result.step_count; i++)
		if (strcmp(result.steps[i].name, name) == 0)
			return result.steps[i].detail;
	return "";
}

/* --- tests --------------------------------------------------------------------------------------------------------------- */

static void the_oldest_go_first_and_their_bytes_are_told(void **state)
{
	add_image(0, 'a', "\"old:1\"");
	add_image(1, 'b', "\"used:1\"");
	add_image(2, 'c', "\"new:1\"");
	add_container(0, '1', "web", 'b', "running");
	run();
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_int_equal(fake.acts, 2);
	assert_string_equal(fake.act[0], "DELETE /images/old:1?force=false");
	assert_string_equal(fake.act[1], "DELETE /images/new:1?force=false");
	assert_int_equal(result.expected.freed_bytes, 2 * LAYER);
	/* The record of each image is a block as well. */
	assert_in_range(result.observed.freed_bytes, 2 * LAYER, 2 * LAYER + 65536);
	assert_true(images[1].there);
}

static void looking_touches_nothing(void **state)
{
	add_image(0, 'a', "\"old:1\"");
	add_container(0, '1', "ended", 'a', "exited");
	request.args.prune_images.what = PRUNE_BOTH;
	request.verb = REMEDY_VERB_PLAN;
	run();
	assert_int_equal(result.outcome, OUTCOME_NONE);
	assert_int_equal(fake.acts, 0);
	assert_int_equal(result.plan_count, 2);
	assert_non_null(strstr(result.plan[0], "remove container ended"));
	assert_non_null(strstr(result.plan[1], "remove image old:1"));
}

static void what_is_kept_used_young_or_a_base_stays(void **state)
{
	struct prune_images_args *args = &request.args.prune_images;
	add_image(0, 'a', "\"registry.local/team/app:1\"");
	add_image(1, 'b', "\"base:1\"");
	add_image(2, 'c', "\"child:1\"");
	make_id(images[2].parent, 'b');
	add_image(3, 'd', "\"odd name\"");
	add_image(4, 'e', "\"by-name:latest\"");
	add_container(0, '1', "web", 'f', "created")->named = "by-name"; /* an id of another kind */
	add_container(1, '2', "other", 'c', "exited");
	snprintf(args->keep[args->keep_count++], NAME_LEN, "registry.local/*");
	run();
	assert_int_equal(result.outcome, OUTCOME_NO_EFFECT);
	assert_int_equal(fake.acts, 0);
	assert_non_null(strstr(detail_of("look"), "in use 2, kept 1, others built on it 1, odd names 1"));

	add_image(5, '9', "\"fresh:1\"");
	args->min_age_ns = 3600 * NSEC_PER_SEC;
	run();
	assert_int_equal(fake.acts, 0);
	assert_non_null(strstr(detail_of("look"), "too young 1"));
}

static void an_image_whose_arrival_nobody_knows_stays(void **state)
{
	char path[256];
	add_image(0, 'a', "\"old:1\"");
	record(path, &images[0]);
	unlink(path);
	run();
	assert_int_equal(fake.acts, 0);
	assert_non_null(strstr(detail_of("look"), "age unknown 1"));
}

static void a_protected_image_stays(void **state)
{
	add_image(0, 'a', "\"registry.local/db:1\"");
	snprintf(request.protect.containers[request.protect.container_count++], NAME_LEN, "*/db:*");
	run();
	assert_int_equal(fake.acts, 0);
	assert_non_null(strstr(detail_of("look"), "kept 1"));
}

static void limits_hold(void **state)
{
	struct prune_images_args *args = &request.args.prune_images;
	add_image(0, 'a', "\"a:1\"");
	add_image(1, 'b', "\"b:1\"");
	add_image(2, 'c', "\"c:1\"");
	args->max_count = 1;
	run();
	assert_int_equal(fake.acts, 1);
	args->max_count = 100;
	args->max_bytes = LAYER + LAYER / 2;
	run();
	assert_int_equal(fake.acts, 2);
	assert_string_equal(fake.act[1], "DELETE /images/b:1?force=false");
	assert_true(images[2].there);
}

static void it_stops_when_it_is_enough(void **state)
{
	add_image(0, 'a', "\"a:1\"");
	add_image(1, 'b', "\"b:1\"");
	add_image(2, 'c', "\"c:1\"");
	request.expect.freed_bytes = LAYER + LAYER / 2;
	run();
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_int_equal(fake.acts, 2);
	assert_true(images[2].there);
	assert_non_null(strstr(detail_of("images"), "that was enough"));
}

static void less_than_promised_is_not_fixed(void **state)
{
	add_image(0, 'a', "\"a:1\"");
	request.expect.freed_bytes = 8 * LAYER;
	run();
	assert_int_equal(result.outcome, OUTCOME_IMPROVED);
}

/* An engine that says "deleted" and frees nothing, as with layers that are shared. */
static void what_the_engine_says_is_not_what_was_freed(void **state)
{
	char path[256];
	add_image(0, 'a', "\"a:1\"");
	keep_bytes = true;
	run();
	assert_int_equal(fake.acts, 1);
	assert_true(result.observed.freed_bytes < LAYER / 2);
	assert_int_not_equal(result.outcome, OUTCOME_FIXED);
	layer(path, &images[0]);
	unlink(path);
}

static void one_that_came_into_use_meanwhile_stays(void **state)
{
	add_image(0, 'a', "\"a:1\"");
	used_at_list = 2; /* after the look, before the act */
	run();
	assert_int_equal(fake.acts, 0);
	assert_int_equal(result.outcome, OUTCOME_NO_EFFECT);
}

static void the_engine_has_the_last_word(void **state)
{
	add_image(0, 'a', "\"a:1\"");
	images[0].status = 409;
	run();
	assert_int_equal(result.outcome, OUTCOME_NO_EFFECT);
	images[0].status = 500;
	run();
	assert_int_equal(result.outcome, OUTCOME_FAILED);
	assert_non_null(strstr(result.why, "conflict: no\\x07w"));
	assert_int_equal(fake.acts, 2);
}

static void every_name_of_an_image_goes(void **state)
{
	add_image(0, 'a', "\"one:1\",\"two:1\"");
	add_image(1, 'b', "\"<none>:<none>\"");
	run();
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_int_equal(fake.acts, 3);
	assert_string_equal(fake.act[1], "DELETE /images/two:1?force=false");
	assert_non_null(strstr(fake.act[2], "DELETE /images/bbbb"));
}

static void the_kill_switch_is_read_before_each(void **state)
{
	add_image(0, 'a', "\"a:1\"");
	add_image(1, 'b', "\"b:1\"");
	switch_pulled_at = "a:1";
	run();
	assert_int_equal(fake.acts, 1);
	assert_true(images[1].there);
	assert_int_equal(result.outcome, OUTCOME_IMPROVED);
	fake.acts = 0;
	refused("kill-switch");
}

static void what_is_in_use_must_be_known(void **state)
{
	add_image(0, 'a', "\"a:1\"");
	broken_container = true;
	refused("unknown-use");
}

static void nothing_is_to_gain_on_another_filesystem(void **state)
{
	add_image(0, 'a', "\"a:1\"");
	request.target.type = TARGET_FILESYSTEM;
	snprintf(request.target.name, PATH_LEN, "/elsewhere");
	request.target.dev = 7;
	refused("other-filesystem");
	struct stat found;
	assert_int_equal(stat(root, &found), 0);
	request.target.dev = (uint32_t)(major(found.st_dev) << 20 | minor(found.st_dev));
	run();
	assert_int_equal(result.outcome, OUTCOME_FIXED);
}

static void nobody_serves_there(void **state)
{
	snprintf(request.args.prune_images.socket, PATH_LEN, "%s/none", root);
	refused("no-runtime");
}

static void ended_containers_go_with_their_images(void **state)
{
	add_image(0, 'a', "\"a:1\"");
	add_container(0, '1', "ended", 'a', "exited");
	run();
	assert_int_equal(fake.acts, 0); /* images alone: it is in use */
	request.args.prune_images.what = PRUNE_BOTH;
	run();
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_int_equal(fake.acts, 2);
	assert_non_null(strstr(fake.act[0], "DELETE /containers/1111"));
	assert_non_null(strstr(fake.act[0], "?force=false&v=false"));
	assert_string_equal(fake.act[1], "DELETE /images/a:1?force=false");
}

static void containers_that_may_live_again_stay(void **state)
{
	struct prune_images_args *args = &request.args.prune_images;
	args->what = PRUNE_BOTH;
	args->min_age_ns = 3600 * NSEC_PER_SEC;
	add_container(0, '1', "running", 'a', "running");
	add_container(1, '2', "policy", 'a', "exited")->policy = "unless-stopped";
	add_container(2, '3', "pod", 'a', "exited")->labels = "{\"io.kubernetes.pod.name\":\"x\"}";
	add_container(3, '4', "young", 'a', "exited")->finished = "2999-01-01T00:00:00Z";
	add_container(4, '5', "never-ended", 'a', "exited")->finished = "0001-01-01T00:00:00Z";
	add_container(5, '6', "keep-me", 'a', "exited");
	snprintf(args->keep[args->keep_count++], NAME_LEN, "keep-*");
	run();
	assert_int_equal(fake.acts, 0);
	assert_non_null(strstr(detail_of("look"), "kept 1, age unknown 2, a pod's 1, started again by policy 1"));
}

static void a_hostile_request_is_refused(void **state)
{
	struct prune_images_args *args = &request.args.prune_images, sound = *args;
	args->runtime = 7;
	refused("invalid-request");
	*args = sound;
	memset(args->socket, 'a', sizeof(args->socket));
	refused("invalid-request");
	*args = sound;
	snprintf(args->socket, sizeof(args->socket), "/run/../etc/x");
	refused("invalid-request");
	*args = sound;
	args->keep_count = MAX_MATCH + 1;
	refused("invalid-request");
	*args = sound;
	args->max_count = 0;
	refused("invalid-request");
	*args = sound;
	args->runtime = ENGINE_CONTAINERD; /* whose containers are kubelet's */
	args->what = PRUNE_BOTH;
	refused("invalid-request");
}

static int open_all(void **state)
{
	char path[256];
	fake.answer = answer;
	snprintf(root, sizeof(root), "/tmp/nodemend-prune-XXXXXX");
	/* In a mount namespace of its own, so that nobody else writes there. */
	if (!mkdtemp(root) || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", root, "tmpfs", 0, "size=64m") < 0)
		return -1;
	static const char *const parts[] = { "image", "vfs", "imagedb", "content", "sha256" };
	snprintf(path, sizeof(path), "%s", root);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		strcat(path, "/");
		strcat(path, parts[i]);
		if (mkdir(path, 0700) < 0)
			return -1;
	}
	return fake_start(&fake); /* a thread is where its maker is by then */
}

static int close_all(void **state)
{
	fake_stop(&fake);
	umount2(root, MNT_DETACH);
	rmdir(root);
	return 0;
}

int main(void)
{
#define TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_oldest_go_first_and_their_bytes_are_told),
		TEST(looking_touches_nothing),
		TEST(what_is_kept_used_young_or_a_base_stays),
		TEST(an_image_whose_arrival_nobody_knows_stays),
		TEST(a_protected_image_stays),
		TEST(limits_hold),
		TEST(it_stops_when_it_is_enough),
		TEST(less_than_promised_is_not_fixed),
		TEST(what_the_engine_says_is_not_what_was_freed),
		TEST(one_that_came_into_use_meanwhile_stays),
		TEST(the_engine_has_the_last_word),
		TEST(every_name_of_an_image_goes),
		TEST(the_kill_switch_is_read_before_each),
		TEST(what_is_in_use_must_be_known),
		TEST(nothing_is_to_gain_on_another_filesystem),
		TEST(nobody_serves_there),
		TEST(ended_containers_go_with_their_images),
		TEST(containers_that_may_live_again_stay),
		TEST(a_hostile_request_is_refused),
	};
	if (geteuid() != 0) {
		printf("SKIP prune-images: not root, and so no filesystem of its own\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, open_all, close_all);
}
