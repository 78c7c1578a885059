/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of containers and pods out of trees as the runtimes write them, broken ones and hostile ones; and the collector around it,
 * with its real worker: rows, new names, what nobody knows, a state that hangs.
 */
#include "collect_bench.h"

#include "collect/identity_wire.h"

#include <poll.h>
#include <sys/fanotify.h>

extern const struct collector collector_identity;

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SANDBOX "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define UID "3a1f4c1e-8c7b-4d62-9d5a-6f6d1c0b2a3e"
#define OTHER_UID "99999999-8c7b-4d62-9d5a-6f6d1c0b2a3e"
#define HASH "8b1f0c6f5a0f4a5b9e2d3c4b5a69788f"
#define TASK "/io.containerd.runtime.v2.task/k8s.io/"
#define SPEC(annotations) "{\"ociVersion\":\"1.0.2\",\"process\":{\"args\":[\"sh\"]},\"annotations\":{" annotations "}}"
#define CONTAINERD_POD(uid) \
	"\"io.kubernetes.cri.sandbox-id\":\"" SANDBOX "\",\"io.kubernetes.cri.sandbox-name\":\"web-7d9f-x2x\"," \
	"\"io.kubernetes.cri.sandbox-namespace\":\"shop\",\"io.kubernetes.cri.sandbox-uid\":\"" uid "\""
#define CONTAINERD_NAME "\"io.kubernetes.cri.container-type\":\"container\",\"io.kubernetes.cri.container-name\":\"app\""
#define KUBERNETES(name, uid) \
	"\"io.kubernetes.container.name\":\"" name "\",\"io.kubernetes.pod.name\":\"web-7d9f-x2x\"," \
	"\"io.kubernetes.pod.namespace\":\"shop\",\"io.kubernetes.pod.uid\":\"" uid "\""
#define CRIO(name, type) SPEC("\"io.kubernetes.cri-o.ContainerType\":\"" type "\"," KUBERNETES(name, UID))

/* --- one container ------------------------------------------------------------------------------------------------------ */

static int find_as(struct bench *bench, enum runtime runtime, const char *pod_uid, struct cgroup_identity *ret)
{
	struct identity_lists lists = { 0 };
	struct identity_question question = { .id = 7, .runtime = runtime, .container_id = ID };
	int root_fd = open(bench->root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	snprintf(question.pod_uid, sizeof(question.pod_uid), "%s", pod_uid);
	assert_true(root_fd >= 0);
	int error = identity_find(root_fd, &lists, &question, ret);
	identity_lists_free(&lists);
	close(root_fd);
	return error;
}

static void expect(const struct cgroup_identity *row, enum runtime runtime, const char *namespace, const char *pod, const char *container)
{
	assert_int_equal(row->id, 7);
	assert_int_equal(row->runtime, runtime);
	assert_string_equal(row->namespace, namespace);
	assert_string_equal(row->pod, pod);
	assert_string_equal(row->container, container);
}

static void expect_unknown(struct bench *bench, enum runtime runtime, const char *pod_uid)
{
	struct cgroup_identity row;
	assert_int_equal(find_as(bench, runtime, pod_uid, &row), -ENOENT);
	expect(&row, runtime, "", "", "");
	assert_false(row.sandbox);
}

static void containerd_under_every_distribution(void **given)
{
	static const char *const places[] = { "run/containerd", "run/k3s/containerd", "run/k0s/containerd", "var/snap/microk8s/common/run/containerd" };
	struct bench *bench = *given;
	struct cgroup_identity row;
	char path[190], whole[300];

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s" TASK ID "/config.json", places[i]);
		bench_say(bench, path, SPEC(CONTAINERD_NAME "," CONTAINERD_POD(UID)));
		assert_int_equal(find_as(bench, RUNTIME_CONTAINERD, UID, &row), 0);
		expect(&row, RUNTIME_CONTAINERD, "shop", "web-7d9f-x2x", "app");
		assert_string_equal(row.pod_uid, UID);
		assert_false(row.sandbox);
		/* The path of the cgroupfs driver does not tell the runtime; the file does. */
		assert_int_equal(find_as(bench, RUNTIME_UNKNOWN, UID, &row), 0);
		expect(&row, RUNTIME_CONTAINERD, "shop", "web-7d9f-x2x", "app");
		snprintf(whole, sizeof(whole), "%s/%s", bench->root, path);
		assert_int_equal(unlink(whole), 0);
	}
}

static void a_sandbox_is_no_container(void **given)
{
	struct bench *bench = *given;
	struct cgroup_identity row;

	bench_say(bench, "run/containerd" TASK ID "/config.json",
		  SPEC("\"io.kubernetes.cri.container-type\":\"sandbox\"," CONTAINERD_POD(UID)));
	assert_int_equal(find_as(bench, RUNTIME_CONTAINERD, UID, &row), 0);
	expect(&row, RUNTIME_CONTAINERD, "shop", "web-7d9f-x2x", "");
	assert_true(row.sandbox);

	bench_say(bench, "run/containers/storage/overlay-containers/" ID "/userdata/config.json", CRIO("POD", "sandbox"));
	assert_int_equal(find_as(bench, RUNTIME_CRIO, UID, &row), 0);
	expect(&row, RUNTIME_CRIO, "shop", "web-7d9f-x2x", "");
	assert_true(row.sandbox);

	bench_say(bench, "var/lib/docker/containers/" ID "/config.v2.json",
		  "{\"Name\":\"/k8s_POD_x\",\"Config\":{\"Labels\":{\"io.kubernetes.docker.type\":\"podsandbox\"," KUBERNETES("POD", UID) "}}}");
	assert_int_equal(find_as(bench, RUNTIME_DOCKER, UID, &row), 0);
	expect(&row, RUNTIME_DOCKER, "shop", "web-7d9f-x2x", "");
	assert_true(row.sandbox);
}

/* containerd before 1.5 says only which sandbox it is. */
static void the_pod_from_its_sandbox(void **given)
{
	struct bench *bench = *given;
	struct cgroup_identity row;

	bench_say(bench, "run/containerd" TASK ID "/config.json", SPEC(CONTAINERD_NAME ",\"io.kubernetes.cri.sandbox-id\":\"" SANDBOX "\""));
	bench_say(bench, "run/containerd" TASK SANDBOX "/config.json",
		  SPEC("\"io.kubernetes.cri.container-type\":\"sandbox\"," CONTAINERD_POD(UID)));
	assert_int_equal(find_as(bench, RUNTIME_CONTAINERD, UID, &row), 0);
	expect(&row, RUNTIME_CONTAINERD, "shop", "web-7d9f-x2x", "app");
	assert_false(row.sandbox);
}

static void crio_and_docker_of_kubernetes(void **given)
{
	struct bench *bench = *given;
	struct cgroup_identity row;

	bench_say(bench, "run/containers/storage/overlay-containers/" ID "/userdata/config.json", CRIO("app", "container"));
	assert_int_equal(find_as(bench, RUNTIME_UNKNOWN, UID, &row), 0);
	expect(&row, RUNTIME_CRIO, "shop", "web-7d9f-x2x", "app");

	bench_say(bench, "var/lib/docker/containers/" ID "/config.v2.json",
		  "{\"Name\":\"/k8s_app_web\",\"Config\":{\"Labels\":{\"io.kubernetes.docker.type\":\"container\"," KUBERNETES("app", UID) "}}}");
	assert_int_equal(find_as(bench, RUNTIME_DOCKER, UID, &row), 0);
	expect(&row, RUNTIME_DOCKER, "shop", "web-7d9f-x2x", "app");
}

static void docker_and_podman_alone(void **given)
{
	struct bench *bench = *given;
	struct cgroup_identity row;

	bench_say(bench, "var/lib/docker/containers/" ID "/config.v2.json", "{\"ID\":\"" ID "\",\"Name\":\"/shop_web.1\",\"Config\":{\"Labels\":{}}}");
	assert_int_equal(find_as(bench, RUNTIME_DOCKER, "", &row), 0);
	expect(&row, RUNTIME_DOCKER, "", "", "shop_web.1");

	bench_say(bench, "run/containers/storage/overlay-containers/" ID "/userdata/config.json",
		  SPEC("\"io.container.manager\":\"libpod\",\"io.kubernetes.cri-o.ContainerType\":\"container\""));
	bench_say(bench, "var/lib/containers/storage/overlay-containers/containers.json",
		  "[{\"id\":\"" SANDBOX "\",\"names\":[\"other\"]},{\"id\":\"" ID "\",\"names\":[\"web\"],\"layer\":\"x\"}]");
	assert_int_equal(find_as(bench, RUNTIME_PODMAN, "", &row), 0);
	expect(&row, RUNTIME_PODMAN, "", "", "web");
}

/* Also for a pod whose runtime keeps its state where nobody knows; static pods have a hash for a uid. */
static void kubelets_logs_know_names_too(void **given)
{
	struct bench *bench = *given;
	struct cgroup_identity row;

	bench_say(bench, "var/log/pods/kube-system_etcd-node1_" HASH "/etcd/0.log", "");
	bench_say(bench, "var/log/pods/no-pod", "");
	bench_say(bench, "var/log/pods/a_b_c_" HASH, "");
	assert_int_equal(find_as(bench, RUNTIME_UNKNOWN, HASH, &row), 0);
	expect(&row, RUNTIME_UNKNOWN, "kube-system", "etcd-node1", ""); /* which container of the pod, nobody said */

	bench_say(bench, "var/log/containers/other_kube-system_x-" SANDBOX ".log", "");
	bench_say(bench, "var/log/containers/etcd-node1_kube-system_etcd-" ID ".log", "");
	assert_int_equal(find_as(bench, RUNTIME_UNKNOWN, HASH, &row), 0);
	expect(&row, RUNTIME_UNKNOWN, "kube-system", "etcd-node1", "etcd");

	expect_unknown(bench, RUNTIME_UNKNOWN, ""); /* kubelet logs only what it started */
}

/* --- what lies ---------------------------------------------------------------------------------------------------------- */

static void a_label_is_not_believed_against_the_path(void **given)
{
	struct bench *bench = *given;
	struct cgroup_identity row;
	static const char liar[] = "{\"Name\":\"/evil\",\"Config\":{\"Labels\":{\"io.kubernetes.docker.type\":\"container\"," KUBERNETES("app", OTHER_UID) "}}}";

	bench_say(bench, "var/lib/docker/containers/" ID "/config.v2.json", liar);
	assert_int_equal(find_as(bench, RUNTIME_DOCKER, "", &row), 0);
	expect(&row, RUNTIME_DOCKER, "", "", "app");
	assert_string_equal(row.pod_uid, "");
	assert_int_equal(find_as(bench, RUNTIME_DOCKER, UID, &row), 0);
	expect(&row, RUNTIME_DOCKER, "", "", "app");
	assert_string_equal(row.pod_uid, UID);

	bench_say(bench, "run/containerd" TASK ID "/config.json", SPEC(CONTAINERD_NAME "," CONTAINERD_POD(OTHER_UID)));
	assert_int_equal(find_as(bench, RUNTIME_CONTAINERD, UID, &row), 0);
	expect(&row, RUNTIME_CONTAINERD, "", "", "app");
}

static void names_that_cannot_be_are_none(void **given)
{
	static const char *const names[] = { "", "/", "a b", "a\\nb", "a\\u0000b", "..", "\\u001b[2J", "a\\\"b", "-a", "a/b", "\\u00e4" };
	struct bench *bench = *given;
	struct cgroup_identity row;
	char text[512], name[400];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(text, sizeof(text), "{\"Name\":\"/%s\"}", names[i]);
		bench_say(bench, "var/lib/docker/containers/" ID "/config.v2.json", text);
		assert_int_equal(find_as(bench, RUNTIME_DOCKER, "", &row), 0);
		/* JSON's \u0000 ends the text there, which leaves a sound name. */
		assert_string_equal(row.container, strstr(names[i], "u0000") ? "a" : "");
	}
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	snprintf(text, sizeof(text), "{\"Name\":\"/%s\"}", name);
	bench_say(bench, "var/lib/docker/containers/" ID "/config.v2.json", text);
	assert_int_equal(find_as(bench, RUNTIME_DOCKER, "", &row), 0);
	assert_string_equal(row.container, ""); /* cut short it would be another's */
}

static void broken_files_are_as_good_as_none(void **given)
{
	static const char *const texts[] = {
		"", "{", "null", "[]", "{}", "{\"ociVersion\":7}", "{\"ociVersion\":\"1.0.2\",\"annotations\":[[[", "\xff\xfe", "{\"Name\":7}",
		"[{\"id\":7,\"names\":{}},{\"id\":\"" ID "\",\"names\":\"x\"}",
	};
	struct bench *bench = *given;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		bench_say(bench, "run/containerd" TASK ID "/config.json", texts[i]);
		bench_say(bench, "run/containers/storage/vfs-containers/" ID "/userdata/config.json", texts[i]);
		bench_say(bench, "var/lib/docker/containers/" ID "/config.v2.json", texts[i]);
		bench_say(bench, "var/lib/containers/storage/vfs-containers/containers.json", texts[i]);
		expect_unknown(bench, RUNTIME_UNKNOWN, UID);
		expect_unknown(bench, RUNTIME_PODMAN, "");
	}
}

static void nested_and_huge_files_have_bounds(void **given)
{
	struct bench *bench = *given;
	size_t size = (1 << 20) + 1;
	char *text = malloc(size);
	assert_non_null(text);

	memset(text, '[', size - 1);
	bench_put(bench, "run/containerd" TASK ID "/config.json", text, size - 1);
	expect_unknown(bench, RUNTIME_CONTAINERD, UID);

	/* A sound one, but larger than any ever is. */
	static const char head[] = SPEC(CONTAINERD_NAME "," CONTAINERD_POD(UID));
	memset(text, ' ', size);
	memcpy(text, head, sizeof(head) - 1);
	bench_put(bench, "run/containerd" TASK ID "/config.json", text, size);
	expect_unknown(bench, RUNTIME_CONTAINERD, UID);
	free(text);
}

static void make_link(struct bench *bench, const char *target, const char *name)
{
	char path[300];
	snprintf(path, sizeof(path), "%s/%s", bench->root, name);
	assert_int_equal(symlink(target, path), 0);
}

static void links_stay_in_the_tree(void **given)
{
	struct bench *bench = *given;
	struct cgroup_identity row;
	char outside[300];

	/* As /var/run is: absolute, and meant as seen from the node. */
	bench_say(bench, "data/docker/containers/" ID "/config.v2.json", "{\"Name\":\"/inside\"}");
	bench_say(bench, "var/lib/x", "");
	make_link(bench, "/data/docker", "var/lib/docker");
	assert_int_equal(find_as(bench, RUNTIME_DOCKER, "", &row), 0);
	assert_string_equal(row.container, "inside");

	/* A loop, and a way out: this very tree, from outside of it. */
	bench_say(bench, "run/x", "");
	make_link(bench, "/run/containerd", "run/containerd");
	expect_unknown(bench, RUNTIME_CONTAINERD, UID);
	snprintf(outside, sizeof(outside), "%s/data", bench->root);
	make_link(bench, outside, "run/k3s");
	bench_say(bench, "data/containerd" TASK ID "/config.json", SPEC(CONTAINERD_NAME "," CONTAINERD_POD(UID)));
	expect_unknown(bench, RUNTIME_CONTAINERD, UID);
	bench_say(bench, "run/k0s/x", "");
	make_link(bench, "../../../../../../../../data/containerd", "run/k0s/containerd"); /* ".." ends at the root */
	assert_int_equal(find_as(bench, RUNTIME_CONTAINERD, UID, &row), 0);
}

static void what_is_no_file_is_not_waited_for(void **given)
{
	struct bench *bench = *given;
	char path[300];

	bench_say(bench, "var/lib/docker/containers/" ID "/x", "");
	snprintf(path, sizeof(path), "%s/var/lib/docker/containers/" ID "/config.v2.json", bench->root);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_unknown(bench, RUNTIME_DOCKER, "");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	expect_unknown(bench, RUNTIME_DOCKER, "");
}

/* --- the collector ------------------------------------------------------------------------------------------------------ */

static void open_here(struct bench *bench)
{
	snprintf(bench->config->host_root, sizeof(bench->config->host_root), "%s", bench->root);
	assert_int_equal(bench_open(bench, &collector_identity), 0);
}

static struct cgroup *add_cgroup(struct bench *bench, uint64_t id, const char *path)
{
	struct cgroup_section *cgroups = &bench->snap->cgroups;
	struct path_identity said;
	struct cgroup *row = &cgroups->each[cgroups->count++];

	identity_of_path(path, &said);
	*row = (struct cgroup){ .id = id };
	snprintf(row->path, sizeof(row->path), "%s", path);
	snprintf(row->container, sizeof(row->container), "%s", said.container_id);
	return row;
}

static void tick(struct bench *bench, uint64_t after_ns)
{
	assert_int_equal(bench_tick(bench, after_ns, true), 0);
}

/* Ticks until the container of a row has this name; the worker answers when it has the time. */
static const struct cgroup_identity *await_name(struct bench *bench, uint64_t id, const char *name)
{
	for (int i = 0; i < 2000; i++) {
		const struct cgroup_identity *row = snapshot_identity(bench->snap, id);
		if (row && strcmp(row->container, name) == 0)
			return row;
		poll(NULL, 0, 5);
		tick(bench, NSEC_PER_SEC / 10);
	}
	fail_msg("nobody told the name %s", name);
	return NULL;
}

static void rows_from_the_first_tick_and_names_soon(void **given)
{
	struct bench *bench = *given;

	bench_say(bench, "run/containerd" TASK ID "/config.json", SPEC(CONTAINERD_NAME "," CONTAINERD_POD(UID)));
	open_here(bench);
	add_cgroup(bench, 3, "/system.slice/a.service");
	add_cgroup(bench, 5, "/lxc.payload.web");
	add_cgroup(bench, 9, "/kubepods/burstable/pod" UID "/" ID);
	tick(bench, 0);
	assert_int_equal(bench->snap->identities.count, 2);
	assert_null(snapshot_identity(bench->snap, 3));
	assert_string_equal(snapshot_identity(bench->snap, 5)->container, "web");
	assert_int_equal(snapshot_identity(bench->snap, 5)->runtime, RUNTIME_LXC);
	assert_string_equal(snapshot_identity(bench->snap, 9)->pod_uid, UID);

	const struct cgroup_identity *row = await_name(bench, 9, "app");
	assert_string_equal(row->pod, "web-7d9f-x2x");
	assert_string_equal(row->namespace, "shop");
	assert_int_equal(row->runtime, RUNTIME_CONTAINERD);
	assert_int_equal(bench->status.state, COLLECTOR_UP);

	/* Rows follow the cgroups: one between the others, then one gone. */
	bench->snap->cgroups.count = 0;
	add_cgroup(bench, 5, "/lxc.payload.web");
	add_cgroup(bench, 7, "/lxc.payload.db");
	add_cgroup(bench, 9, "/kubepods/burstable/pod" UID "/" ID);
	tick(bench, NSEC_PER_SEC);
	assert_int_equal(bench->snap->identities.count, 3);
	assert_string_equal(snapshot_identity(bench->snap, 7)->container, "db");
	assert_string_equal(snapshot_identity(bench->snap, 9)->container, "app");
	bench->snap->cgroups.count = 1;
	tick(bench, NSEC_PER_SEC);
	assert_int_equal(bench->snap->identities.count, 1);
	assert_null(snapshot_identity(bench->snap, 9));
}

static void a_new_name_is_seen_and_one_that_comes_late(void **given)
{
	struct bench *bench = *given;
	static const char place[] = "var/lib/docker/containers/" ID "/config.v2.json";

	open_here(bench);
	add_cgroup(bench, 9, "/docker/" ID);
	for (int i = 0; i < 5; i++) {
		tick(bench, NSEC_PER_SEC);
		poll(NULL, 0, 5);
	}
	assert_string_equal(snapshot_identity(bench->snap, 9)->container, "");
	bench_say(bench, place, "{\"Name\":\"/first\"}");
	(void)await_name(bench, 9, "first");
	bench_say(bench, place, "{\"Name\":\"/second\"}");
	tick(bench, 61 * NSEC_PER_SEC);
	(void)await_name(bench, 9, "second");

	/* Gone from the runtime, the process lives on: its name was that. */
	char whole[300];
	snprintf(whole, sizeof(whole), "%s/%s", bench->root, place);
	assert_int_equal(unlink(whole), 0);
	for (int i = 0; i < 5; i++) {
		tick(bench, 61 * NSEC_PER_SEC);
		poll(NULL, 0, 5);
	}
	assert_string_equal(snapshot_identity(bench->snap, 9)->container, "second");
}

/* The runtime's state goes while the process lives; the folder of its logs, which says less, is still there. */
static void half_of_the_names_does_not_replace_the_whole(void **given)
{
	struct bench *bench = *given;
	char whole[300];

	bench_say(bench, "run/containerd" TASK ID "/config.json", SPEC(CONTAINERD_NAME "," CONTAINERD_POD(UID)));
	open_here(bench);
	add_cgroup(bench, 9, "/kubepods/burstable/pod" UID "/" ID);
	(void)await_name(bench, 9, "app");

	snprintf(whole, sizeof(whole), "%s/run/containerd" TASK ID "/config.json", bench->root);
	assert_int_equal(unlink(whole), 0);
	bench_say(bench, "var/log/pods/moved_web-2_" UID "/app/0.log", "");
	tick(bench, 61 * NSEC_PER_SEC);
	for (int i = 0; i < 2000 && strcmp(snapshot_identity(bench->snap, 9)->namespace, "moved") != 0; i++) {
		poll(NULL, 0, 5);
		tick(bench, NSEC_PER_SEC / 10);
	}
	const struct cgroup_identity *row = snapshot_identity(bench->snap, 9);
	assert_string_equal(row->namespace, "moved");
	assert_string_equal(row->container, "app");
	assert_int_equal(row->runtime, RUNTIME_CONTAINERD);
}

/* A user's own Podman could call a container by any id, another's too. */
static void what_a_user_claims_is_not_looked_up(void **given)
{
	struct bench *bench = *given;

	bench_say(bench, "var/lib/containers/storage/overlay-containers/containers.json", "[{\"id\":\"" ID "\",\"names\":[\"web\"]}]");
	open_here(bench);
	add_cgroup(bench, 8, "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope");
	add_cgroup(bench, 9, "/machine.slice/libpod-" ID ".scope");
	(void)await_name(bench, 9, "web");
	assert_string_equal(snapshot_identity(bench->snap, 8)->container, "");
	assert_int_equal(snapshot_identity(bench->snap, 8)->runtime, RUNTIME_PODMAN);

	/* Nor after a reload, which finds the rows of before. */
	collector_identity.close(bench->state);
	assert_int_equal(bench_open(bench, &collector_identity), 0);
	(void)await_name(bench, 9, "web");
	assert_string_equal(snapshot_identity(bench->snap, 8)->container, "");
}

static void more_than_there_is_room_for_are_counted(void **given)
{
	struct bench *bench = *given;

	open_here(bench);
	for (uint32_t i = 0; i < MAX_IDENTITIES + 5; i++)
		add_cgroup(bench, 10 + i, "/lxc.payload.web");
	tick(bench, 0);
	tick(bench, NSEC_PER_SEC);
	assert_int_equal(bench->snap->identities.count, MAX_IDENTITIES);
	assert_int_equal(bench->snap->identities.cut, 5);
	assert_int_equal(bench->status.events_lost, 5);
}

/* A watch that holds everybody who opens a file until it is told to let him: what a dead server of files does. */
static void a_state_that_hangs_holds_nobody_up(void **given)
{
	struct bench *bench = *given;
	char folder[300];
	int watch = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY);

	bench_say(bench, "var/lib/docker/containers/" ID "/config.v2.json", "{\"Name\":\"/web\"}");
	snprintf(folder, sizeof(folder), "%s/var/lib/docker/containers/" ID, bench->root);
	if (watch < 0 || fanotify_mark(watch, FAN_MARK_ADD, FAN_OPEN_PERM | FAN_EVENT_ON_CHILD, AT_FDCWD, folder) < 0) {
		print_message("[  SKIPPED ] fanotify cannot hold an open here: %s\n", strerror(errno));
		if (watch >= 0)
			close(watch);
		skip();
	}
	open_here(bench);
	add_cgroup(bench, 9, "/docker/" ID);
	tick(bench, 0);
	struct pollfd held = { .fd = watch, .events = POLLIN };
	assert_int_equal(poll(&held, 1, 10000), 1);
	tick(bench, 5 * NSEC_PER_SEC);
	assert_int_equal(bench->status.state, COLLECTOR_UP);
	tick(bench, 6 * NSEC_PER_SEC);
	assert_int_equal(bench->status.state, COLLECTOR_DEGRADED);
	assert_non_null(strstr(bench->status.why, "does not answer"));
	assert_int_equal(bench->snap->identities.measured_ns, bench->snap->boot_ns);

	close(watch); /* lets everybody go */
	(void)await_name(bench, 9, "web");
	assert_int_equal(bench->status.state, COLLECTOR_UP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(containerd_under_every_distribution),
		BENCH_TEST(a_sandbox_is_no_container),
		BENCH_TEST(the_pod_from_its_sandbox),
		BENCH_TEST(crio_and_docker_of_kubernetes),
		BENCH_TEST(docker_and_podman_alone),
		BENCH_TEST(kubelets_logs_know_names_too),
		BENCH_TEST(a_label_is_not_believed_against_the_path),
		BENCH_TEST(names_that_cannot_be_are_none),
		BENCH_TEST(broken_files_are_as_good_as_none),
		BENCH_TEST(nested_and_huge_files_have_bounds),
		BENCH_TEST(links_stay_in_the_tree),
		BENCH_TEST(what_is_no_file_is_not_waited_for),
		BENCH_TEST(rows_from_the_first_tick_and_names_soon),
		BENCH_TEST(a_new_name_is_seen_and_one_that_comes_late),
		BENCH_TEST(half_of_the_names_does_not_replace_the_whole),
		BENCH_TEST(what_a_user_claims_is_not_looked_up),
		BENCH_TEST(more_than_there_is_room_for_are_counted),
		BENCH_TEST(a_state_that_hangs_holds_nobody_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
