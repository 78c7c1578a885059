/* SPDX-License-Identifier: Apache-2.0 */
/* What real paths of cgroups say, of every runtime and driver, on v1, v2 and in between; and what made-up ones do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "identity.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define UID "3a1f4c1e-8c7b-4d62-9d5a-6f6d1c0b2a3e"
#define UID_ "3a1f4c1e_8c7b_4d62_9d5a_6f6d1c0b2a3e"
#define HASH "8b1f0c6f5a0f4a5b9e2d3c4b5a69788f"
#define BURSTABLE "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod"
#define KIND "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod"
#define USER "/user.slice/user-1000.slice/user@1000.service"

/* What is not written here must be empty; `user` is 0 for nobody and a number else, root's being -1. */
struct expected {
	const char *path, *unit, *slice, *session, *id, *name, *pod;
	int user;
	enum runtime runtime;
	enum qos qos;
	bool claimed;
};

/* clang-format off */
static const struct expected table[] = {
	/* systemd's own */
	{ .path = "/" },
	{ .path = "/init.scope", .unit = "init.scope" },
	{ .path = "/system.slice", .unit = "system.slice", .slice = "system.slice" },
	{ .path = "/system.slice/nginx.service", .unit = "nginx.service", .slice = "system.slice" },
	{ .path = "/system.slice/foo.service/supervisor", .unit = "foo.service", .slice = "system.slice" },
	{ .path = "/system.slice/system-getty.slice/getty@tty1.service", .unit = "getty@tty1.service", .slice = "system-getty.slice" },
	{ .path = "/system.slice/system-serial\\x2dgetty.slice/serial-getty@ttyS0.service",
	  .unit = "serial-getty@ttyS0.service", .slice = "system-serial\\x2dgetty.slice" },
	{ .path = "/system.slice/foo\\x2dbar@a\\x2db.service", .unit = "foo\\x2dbar@a\\x2db.service", .slice = "system.slice" },
	{ .path = "/system.slice/var-lib-my\\x2dvolume.mount", .unit = "system.slice", .slice = "system.slice" },
	{ .path = "/system.slice/postgresql.service/sshd.service", .unit = "postgresql.service", .slice = "system.slice" },
	/* users */
	{ .path = "/user.slice/user-1000.slice/session-3.scope", .unit = "session-3.scope", .slice = "user-1000.slice", .user = 1000, .session = "3" },
	{ .path = "/user.slice/user-0.slice/session-c1.scope", .unit = "session-c1.scope", .slice = "user-0.slice", .user = -1, .session = "c1" },
	{ .path = USER "/app.slice", .unit = "user@1000.service", .slice = "user-1000.slice", .user = 1000, .claimed = true },
	{ .path = USER "/app.slice/app-org.gnome.Terminal.slice/vte-spawn-1f0c6f5a.scope", .unit = "vte-spawn-1f0c6f5a.scope",
	  .slice = "user-1000.slice", .user = 1000, .claimed = true },
	{ .path = USER "/app.slice/app-gnome-firefox\\x2desr-4711.scope", .unit = "app-gnome-firefox\\x2desr-4711.scope",
	  .slice = "user-1000.slice", .user = 1000, .claimed = true },
	{ .path = USER "/session.slice/dbus.service", .unit = "dbus.service", .slice = "user-1000.slice", .user = 1000, .claimed = true },
	{ .path = USER "/init.scope", .unit = "init.scope", .slice = "user-1000.slice", .user = 1000, .claimed = true },
	{ .path = "/user.slice/user-x.slice/session-3.scope", .unit = "session-3.scope", .slice = "user-x.slice" },
	/* Docker: systemd's driver and cgroupfs, and what is in a container */
	{ .path = "/system.slice/docker-" ID ".scope", .unit = "docker-" ID ".scope", .slice = "system.slice", .id = ID, .runtime = RUNTIME_DOCKER },
	{ .path = "/system.slice/docker-" ID ".scope/system.slice/nginx.service", .unit = "docker-" ID ".scope", .slice = "system.slice",
	  .id = ID, .runtime = RUNTIME_DOCKER },
	{ .path = "/docker/" ID, .id = ID, .runtime = RUNTIME_DOCKER },
	{ .path = "/docker/" ID "/init.scope", .id = ID, .runtime = RUNTIME_DOCKER },
	{ .path = "/docker/" ID "/docker/" OTHER, .id = ID, .runtime = RUNTIME_DOCKER },          /* Docker in Docker: the outer one */
	{ .path = "/system.slice/docker.service", .unit = "docker.service", .slice = "system.slice" },
	{ .path = "/actions_job/" ID, .id = ID },                                                 /* a parent of somebody's own */
	{ .path = "/docker/buildkit/tu4xh7oyyaxbwwb2v1k5xbvrk" },
	/* Podman, both drivers; --cgroups=split as Quadlet has it; rootless */
	{ .path = "/machine.slice/libpod-" ID ".scope", .unit = "libpod-" ID ".scope", .slice = "machine.slice", .id = ID, .runtime = RUNTIME_PODMAN },
	{ .path = "/machine.slice/libpod-" ID ".scope/container", .unit = "libpod-" ID ".scope", .slice = "machine.slice", .id = ID,
	  .runtime = RUNTIME_PODMAN },
	{ .path = "/machine.slice/libpod-conmon-" ID ".scope", .unit = "libpod-conmon-" ID ".scope", .slice = "machine.slice" },
	{ .path = "/machine.slice/machine-libpod_pod_" OTHER ".slice/libpod-" ID ".scope", .unit = "libpod-" ID ".scope",
	  .slice = "machine-libpod_pod_" OTHER ".slice", .id = ID, .runtime = RUNTIME_PODMAN },
	{ .path = "/libpod_parent/libpod-" ID, .id = ID, .runtime = RUNTIME_PODMAN },
	{ .path = "/libpod_parent/conmon" },
	{ .path = "/libpod_parent/" OTHER "/libpod-" ID, .id = ID, .runtime = RUNTIME_PODMAN },
	{ .path = "/libpod_parent/" OTHER },
	{ .path = "/system.slice/web.service/libpod-payload-" ID, .unit = "web.service", .slice = "system.slice", .id = ID, .runtime = RUNTIME_PODMAN },
	{ .path = "/system.slice/web.service/runtime", .unit = "web.service", .slice = "system.slice" },
	{ .path = USER "/user.slice/libpod-" ID ".scope/container", .unit = "libpod-" ID ".scope", .slice = "user-1000.slice", .user = 1000, .id = ID,
	  .runtime = RUNTIME_PODMAN, .claimed = true },
	/* Kubernetes with systemd's driver */
	{ .path = BURSTABLE UID_ ".slice", .unit = "kubepods-burstable-pod" UID_ ".slice", .slice = "kubepods-burstable-pod" UID_ ".slice", .pod = UID,
	  .qos = QOS_BURSTABLE },
	{ .path = BURSTABLE UID_ ".slice/cri-containerd-" ID ".scope", .unit = "cri-containerd-" ID ".scope",
	  .slice = "kubepods-burstable-pod" UID_ ".slice", .id = ID, .pod = UID, .runtime = RUNTIME_CONTAINERD, .qos = QOS_BURSTABLE },
	{ .path = BURSTABLE UID_ ".slice/cri-containerd-" ID ".scope/system.slice/cri-containerd-" OTHER ".scope", .unit = "cri-containerd-" ID ".scope",
	  .slice = "kubepods-burstable-pod" UID_ ".slice", .id = ID, .pod = UID, .runtime = RUNTIME_CONTAINERD, .qos = QOS_BURSTABLE },
	{ .path = "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_ ".slice/crio-" ID ".scope", .unit = "crio-" ID ".scope",
	  .slice = "kubepods-besteffort-pod" UID_ ".slice", .id = ID, .pod = UID, .runtime = RUNTIME_CRIO, .qos = QOS_BEST_EFFORT },
	{ .path = "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_ ".slice/crio-" ID ".scope/container",
	  .unit = "crio-" ID ".scope", .slice = "kubepods-besteffort-pod" UID_ ".slice", .id = ID, .pod = UID, .runtime = RUNTIME_CRIO,
	  .qos = QOS_BEST_EFFORT },
	{ .path = "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_ ".slice/crio-conmon-" ID ".scope",
	  .unit = "crio-conmon-" ID ".scope", .slice = "kubepods-besteffort-pod" UID_ ".slice", .pod = UID, .qos = QOS_BEST_EFFORT },
	{ .path = "/system.slice/crio-conmon-" ID ".scope", .unit = "crio-conmon-" ID ".scope", .slice = "system.slice" },
	{ .path = "/kubepods.slice/kubepods-pod" UID_ ".slice/docker-" ID ".scope", .unit = "docker-" ID ".scope",
	  .slice = "kubepods-pod" UID_ ".slice", .id = ID, .pod = UID, .runtime = RUNTIME_DOCKER, .qos = QOS_GUARANTEED },
	{ .path = BURSTABLE HASH ".slice/cri-containerd-" ID ".scope", .unit = "cri-containerd-" ID ".scope",       /* a static pod */
	  .slice = "kubepods-burstable-pod" HASH ".slice", .id = ID, .pod = HASH, .runtime = RUNTIME_CONTAINERD, .qos = QOS_BURSTABLE },
	/* kubelet says systemd and containerd cgroupfs: the slice's name ends up in a group's */
	{ .path = "/system.slice/containerd.service/kubepods-burstable-pod" UID_ ".slice:cri-containerd:" ID, .unit = "containerd.service",
	  .slice = "system.slice", .id = ID, .pod = UID, .runtime = RUNTIME_CONTAINERD, .qos = QOS_BURSTABLE },
	/* Kubernetes with cgroupfs, v1 and v2 alike: the runtime is not in the path */
	{ .path = "/kubepods/burstable/pod" UID "/" ID, .id = ID, .pod = UID, .qos = QOS_BURSTABLE },
	{ .path = "/kubepods/besteffort/pod" UID "/" ID, .id = ID, .pod = UID, .qos = QOS_BEST_EFFORT },
	{ .path = "/kubepods/pod" UID "/" ID, .id = ID, .pod = UID, .qos = QOS_GUARANTEED },
	{ .path = "/kubepods/burstable/pod" HASH "/" ID, .id = ID, .pod = HASH, .qos = QOS_BURSTABLE },
	{ .path = "/kubepods/burstable/pod" UID "/crio-" ID, .id = ID, .pod = UID, .runtime = RUNTIME_CRIO, .qos = QOS_BURSTABLE },
	{ .path = "/kubepods/burstable/pod" UID "/crio-conmon-" ID, .pod = UID, .qos = QOS_BURSTABLE },
	{ .path = "/kubepods/burstable/pod" UID, .pod = UID, .qos = QOS_BURSTABLE },
	{ .path = "/kubepods/burstable" },
	{ .path = "/kubelet/kubepods/burstable/pod" UID "/" ID, .id = ID, .pod = UID, .qos = QOS_BURSTABLE },
	{ .path = "/../../kubepods/burstable/pod" UID "/" ID, .id = ID, .pod = UID, .qos = QOS_BURSTABLE },    /* from in a cgroup namespace */
	/* kind: from inside, and from its host, where the node is one container */
	{ .path = KIND UID_ ".slice/cri-containerd-" ID ".scope", .unit = "cri-containerd-" ID ".scope",
	  .slice = "kubelet-kubepods-besteffort-pod" UID_ ".slice", .id = ID, .pod = UID, .runtime = RUNTIME_CONTAINERD, .qos = QOS_BEST_EFFORT },
	{ .path = "/docker/" ID KIND UID_ ".slice/cri-containerd-" OTHER ".scope", .id = ID, .runtime = RUNTIME_DOCKER },
	{ .path = "/system.slice/docker-" ID ".scope" KIND UID_ ".slice/cri-containerd-" OTHER ".scope", .unit = "docker-" ID ".scope",
	  .slice = "system.slice", .id = ID, .runtime = RUNTIME_DOCKER },
	/* containerd without Kubernetes */
	{ .path = "/system.slice/nerdctl-" ID ".scope", .unit = "nerdctl-" ID ".scope", .slice = "system.slice", .id = ID, .runtime = RUNTIME_CONTAINERD },
	{ .path = "/default/" ID, .id = ID },
	{ .path = "/k8s.io/" ID, .id = ID },
	{ .path = "/ecs/4a1f4c1e8c7b4d629d5a6f6d1c0b2a3e/" ID, .id = ID },
	/* LXC */
	{ .path = "/lxc.payload.web", .id = "web", .name = "web", .runtime = RUNTIME_LXC },
	{ .path = "/lxc.payload.web/system.slice/app.service", .id = "web", .name = "web", .runtime = RUNTIME_LXC },
	{ .path = "/lxc.monitor.web" },
	{ .path = "/lxc/web/init.scope", .id = "web", .name = "web", .runtime = RUNTIME_LXC },
	{ .path = "/lxc/101/ns", .id = "101", .name = "101", .runtime = RUNTIME_LXC },
	/* systemd-nspawn; machined's names are also those of virtual machines */
	{ .path = "/machine.slice/systemd-nspawn@web.service/payload/system.slice/app.service", .unit = "systemd-nspawn@web.service",
	  .slice = "machine.slice", .id = "web", .name = "web", .runtime = RUNTIME_NSPAWN },
	{ .path = "/machine.slice/systemd-nspawn@my\\x2dweb.service", .unit = "systemd-nspawn@my\\x2dweb.service", .slice = "machine.slice",
	  .id = "my-web", .name = "my-web", .runtime = RUNTIME_NSPAWN },
	{ .path = "/machine.slice/systemd-nspawn@web.service/supervisor", .unit = "systemd-nspawn@web.service", .slice = "machine.slice" },
	{ .path = "/machine.slice/machine-my\\x2dweb.scope/payload/init.scope", .unit = "machine-my\\x2dweb.scope", .slice = "machine.slice",
	  .id = "my-web", .name = "my-web", .runtime = RUNTIME_NSPAWN },
	{ .path = "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator", .unit = "machine-qemu\\x2d1\\x2dvm.scope", .slice = "machine.slice" },
	{ .path = "/machine.slice/machine-x.scope", .unit = "machine-x.scope", .slice = "machine.slice" },
	{ .path = "/machine.slice/systemd-nspawn@a\\x2fb.service", .unit = "systemd-nspawn@a\\x2fb.service", .slice = "machine.slice" },
	{ .path = "/machine.slice/systemd-nspawn@a\\x2.service", .unit = "systemd-nspawn@a\\x2.service", .slice = "machine.slice" },
	{ .path = "/payload/system.slice/app.service", .unit = "app.service", .slice = "system.slice" },
	/* Nomad and Garden */
	{ .path = "/nomad.slice/share.slice/" UID ".redis.scope", .unit = UID ".redis.scope", .slice = "share.slice", .id = UID, .name = "redis",
	  .runtime = RUNTIME_NOMAD },
	{ .path = "/nomad.slice/" UID ".my.task.scope", .unit = UID ".my.task.scope", .slice = "nomad.slice", .id = UID, .name = "my.task",
	  .runtime = RUNTIME_NOMAD },
	{ .path = "/nomad/share/" UID ".redis", .id = UID, .name = "redis", .runtime = RUNTIME_NOMAD },
	{ .path = "/nomad.slice/share.slice/docker-" ID ".scope", .unit = "docker-" ID ".scope", .slice = "share.slice", .id = ID,
	  .runtime = RUNTIME_DOCKER },
	{ .path = "/garden/e2c8b1b3-6d3b-4b53-7d39-2ab2", .id = "e2c8b1b3-6d3b-4b53-7d39-2ab2", .runtime = RUNTIME_GARDEN },
	/* what only looks like it */
	{ .path = "/docker/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef" },
	{ .path = "/docker/x" ID },
	{ .path = "/docker/" ID "0" },
	{ .path = "/.service/.slice" },
	{ .path = "/pod" UID "/" ID, .id = ID },
	{ .path = "/kubepods/burstable/pod3a1f4c1e-8c7b-4d62-9d5a-6f6d1c0b2aZZ" },
	{ .path = "/kubepods/pod" UID "0" },
	{ .path = "/kubepods.slice/kubepods-burstable-pod" UID_ "x.slice", .unit = "kubepods-burstable-pod" UID_ "x.slice",
	  .slice = "kubepods-burstable-pod" UID_ "x.slice" },
	{ .path = "/mykubepods-pod" UID_ ".slice", .unit = "mykubepods-pod" UID_ ".slice", .slice = "mykubepods-pod" UID_ ".slice" },
	{ .path = "/system.slice/a.service/nomad/" UID ".redis", .unit = "a.service", .slice = "system.slice" },
	{ .path = "/lxc.payload." },
	{ .path = "//" },
	{ .path = "" },
};
/* clang-format on */

static void same_text(const char *path, const char *what, const char *said, const char *expected)
{
	if (strcmp(said, expected ? expected : "") != 0)
		fail_msg("%s: %s is \"%s\" and not \"%s\"", path, what, said, expected ? expected : "");
}

static void same_number(const char *path, const char *what, uint32_t said, uint32_t expected)
{
	if (said != expected)
		fail_msg("%s: %s is %u and not %u", path, what, said, expected);
}

static void paths_of_the_field(void **given)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct expected *expected = &table[i];
		struct path_identity said;
		identity_of_path(expected->path, &said);

		same_text(expected->path, "the unit", said.unit, expected->unit);
		same_text(expected->path, "the slice", said.slice, expected->slice);
		same_text(expected->path, "the session", said.session, expected->session);
		same_text(expected->path, "the container's id", said.container_id, expected->id);
		same_text(expected->path, "the container's name", said.container, expected->name);
		same_text(expected->path, "the pod's uid", said.pod_uid, expected->pod);
		same_number(expected->path, "the user", said.user, expected->user == 0 ? NO_UID : expected->user < 0 ? 0 : (uint32_t)expected->user);
		same_number(expected->path, "the runtime", said.runtime, expected->runtime);
		same_number(expected->path, "the class", said.qos, expected->qos);
		same_number(expected->path, "the claim", said.claimed, expected->claimed);
	}
}

static void every_choice_has_a_name(void **given)
{
	for (int i = 0; i < RUNTIME_COUNT; i++)
		assert_int_equal(runtime_names[i][0] == '\0', i == RUNTIME_UNKNOWN);
	for (int i = 0; i < QOS_COUNT; i++)
		assert_int_equal(qos_names[i][0] == '\0', i == QOS_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(paths_of_the_field), cmocka_unit_test(every_choice_has_a_name) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
