#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Real containers get their names: of Podman, as it made it, and in a cgroup as kubelet would have made it, with kubelet's names of logs beside;
of Docker, by its own name and by kubelet's labels; of containerd, a pod's sandbox and a container in it. Their state lies in a tree of the
test's own, which is the agent's host_root.
"""

import shutil

import harness
from harness import wait_for
from runtimes import Containerd, Docker, Podman, Systemd

POD_UID = "3a1f4c1e-8c7b-4d62-9d5a-6f6d1c0b2a3e"
POD_CGROUP = f"/kubepods/burstable/pod{POD_UID}"


def config(host_root):
    return f"""
interval: 1s
host_root: {host_root}
top_processes: 100
collectors: {{unit: false}}
policies:
  - name: spins
    when:
      process: {{cgroup: "/test-nodemend-*/kubepods/*/pod*/libpod-*", cpu_percent: {{above: 10, clear: 5}}}}
    mode: observe
"""


def info(agent, container_id):
    found = [sample["labels"] for sample in agent.feed().samples("nodemend_cgroup_info", container_id=container_id)]
    return found[0] if found else {}


def told_by_podman(bench, podman, agent):
    container_id = podman.container("web")
    labels = wait_for("the container's name", lambda: info(agent, container_id).get("container") and info(agent, container_id), 30)
    bench.equal("the name is Podman's", labels["container"], "web")
    bench.equal("and the runtime", labels["runtime"], "podman")
    bench.equal("and the cgroup", labels["cgroup"], f"{podman.parent}/libpod-{container_id}")
    bench.ok("nobody made up a pod", not {"pod", "namespace", "pod_uid", "qos"} & set(labels), labels)
    families = agent.feed().samples("nodemend_cgroup_cpu_seconds_total", cgroup=labels["cgroup"])
    bench.equal("families by cgroup carry it", [sample["labels"].get("container") for sample in families], ["web"])


def told_by_kubelet(bench, podman, agent):
    """A cgroup with a pod's uid: which pod that is, kubelet's folder of its logs says. The incident then has it, too."""
    (podman.root / f"var/log/pods/shop_web-7d9f-x2x_{POD_UID}/app").mkdir(parents=True)
    container_id = podman.container("k8s_app", POD_CGROUP)
    labels = wait_for("the pod's name", lambda: info(agent, container_id).get("pod") and info(agent, container_id), 30)
    bench.equal("namespace and pod", (labels["namespace"], labels["pod"]), ("shop", "web-7d9f-x2x"))
    bench.equal("uid and class", (labels["pod_uid"], labels["qos"]), (POD_UID, "Burstable"))
    (podman.told / "go").touch()
    incident = wait_for("the incident", lambda: agent.incidents(kind="cpu_exhaustion"), 30)[0]
    cause = (incident["causes"] or [{}])[0]
    bench.equal("the cause has the pod", (cause.get("namespace"), cause.get("pod")), ("shop", "web-7d9f-x2x"))
    bench.equal("and the container", (cause.get("container"), cause.get("container_id")), ("k8s_app", container_id))
    _, said, _ = agent.cli("why", incident["id"])
    bench.ok("why says it", "pod web-7d9f-x2x" in said and "namespace shop" in said, said[-800:])


def named(agent, container_id, label):
    return wait_for(f"the {label} of {container_id[:12]}", lambda: info(agent, container_id).get(label) and info(agent, container_id), 30)


def can_run(bench, *tools):
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        bench.skip("real containers", f"{missing[0]} is not installed (scripts/deps.sh test)")
    return not missing


def podman(bench):
    if not can_run(bench, "podman", "runc", "busybox"):
        return
    runtime = Podman(bench)
    agent = bench.agent(config(runtime.root))
    told_by_podman(bench, runtime, agent)
    told_by_kubelet(bench, runtime, agent)
    status = {sample["labels"]["collector"]: sample["value"] for sample in agent.feed().samples("nodemend_collector_up")}
    bench.equal("the collector is up", status.get("identity"), 1)


def docker(bench):
    if not can_run(bench, "runc", "busybox"):
        return
    runtime = Docker(bench)
    if not runtime.possible:
        bench.skip("containers of Docker", "docker.io and containerd cannot be fetched")
        return
    agent = bench.agent(config(runtime.root))
    own = runtime.container("web")
    labels = {"io.kubernetes.container.name": "app", "io.kubernetes.pod.name": "web-7d9f-x2x", "io.kubernetes.pod.namespace": "shop",
              "io.kubernetes.pod.uid": POD_UID, "io.kubernetes.docker.type": "container"}
    words = [f"{key}={value}" for key, value in labels.items()]
    of_pod = runtime.container("k8s_app_web", POD_CGROUP, words)
    liar = runtime.container("liar", labels=words)
    seen = named(agent, own, "container")
    bench.equal("the name is Docker's", (seen["container"], seen["runtime"], seen["cgroup"]), ("web", "docker", f"{runtime.parent}/{own}"))
    bench.ok("nobody made up a pod", not {"pod", "namespace", "pod_uid", "qos"} & set(seen), seen)
    seen = named(agent, of_pod, "pod")
    bench.equal("kubelet's labels count in a pod's group", tuple(seen.get(key) for key in ("namespace", "pod", "container", "pod_uid", "qos", "runtime")),
                ("shop", "web-7d9f-x2x", "app", POD_UID, "Burstable", "docker"))
    seen = named(agent, liar, "container")
    bench.ok("and nowhere else", "pod" not in seen and "namespace" not in seen, seen)


def of_cri(kind, container=None):
    """What containerd's CRI plugin writes into an OCI configuration."""
    words = {"container-type": kind, "sandbox-id": "a" * 64, "sandbox-name": "web-7d9f-x2x", "sandbox-namespace": "shop", "sandbox-uid": POD_UID}
    if container:
        words.update({"container-name": container, "image-name": "busybox"})
    return {f"io.kubernetes.cri.{key}": value for key, value in words.items()}


def containerd(bench):
    if not can_run(bench, "runc", "busybox"):
        return
    runtime = Containerd(bench)
    if not runtime.possible:
        bench.skip("containers of containerd", "containerd cannot be fetched")
        return
    agent = bench.agent(config(runtime.root))
    sandbox = runtime.container("a" * 64, POD_CGROUP, of_cri("sandbox"))
    app = runtime.container("b" * 64, POD_CGROUP, of_cri("container", "app"))
    seen = named(agent, app, "pod")
    bench.equal("the pod's container", tuple(seen.get(key) for key in ("namespace", "pod", "container", "pod_uid", "qos", "runtime", "type")),
                ("shop", "web-7d9f-x2x", "app", POD_UID, "Burstable", "containerd", "container"))
    seen = named(agent, sandbox, "pod")
    bench.equal("its sandbox has no container's name", (seen.get("type"), seen.get("container"), seen.get("pod")), ("sandbox", None, "web-7d9f-x2x"))
    families = agent.feed().samples("nodemend_cgroup_cpu_seconds_total", cgroup=f"{runtime.parent}{POD_CGROUP}/{app}")
    bench.equal("families by cgroup carry it", [sample["labels"].get("pod") for sample in families], ["web-7d9f-x2x"])


def systemd_driver(bench):
    """Scopes of a real systemd, from a real runc: a pod of containerd's, one of CRI-O's, a container of Docker's and one of nobody's."""
    if not can_run(bench, "runc", "busybox", "systemd-nspawn", "mmdebstrap"):
        return
    runtime = Systemd(bench)
    agent = bench.agent(config(runtime.root))
    pod = "kubepods-burstable-pod" + POD_UID.replace("-", "_") + ".slice"
    crio = {"io.container.manager": "cri-o", "io.kubernetes.cri-o.ContainerType": "container", "io.kubernetes.pod.name": "db-0", "io.kubernetes.pod.namespace": "shop",
            "io.kubernetes.pod.uid": POD_UID, "io.kubernetes.container.name": "postgres"}
    # Ids of their own: the agent of a test beside this one sees these containers, too.
    first = runtime.container(pod, "cri-containerd", "1" * 64, f"containerd/io.containerd.runtime.v2.task/k8s.io/{'1' * 64}", of_cri("container", "app"))
    second = runtime.container(pod, "crio", "2" * 64, f"containers/storage/overlay-containers/{'2' * 64}/userdata", crio)
    third = runtime.container("system.slice", "docker", "3" * 64, f"other/{'3' * 64}", {})
    fourth = runtime.container("machine.slice", "libpod", "4" * 64, f"other/{'4' * 64}", {})
    seen = named(agent, first, "pod")
    bench.equal("containerd's", tuple(seen.get(key) for key in ("namespace", "pod", "container", "pod_uid", "qos", "runtime", "unit", "slice")),
                ("shop", "web-7d9f-x2x", "app", POD_UID, "Burstable", "containerd", f"cri-containerd-{first}.scope", pod))
    seen = named(agent, second, "pod")
    bench.equal("CRI-O's", tuple(seen.get(key) for key in ("namespace", "pod", "container", "pod_uid", "qos", "runtime", "unit", "slice")),
                ("shop", "db-0", "postgres", POD_UID, "Burstable", "cri-o", f"crio-{second}.scope", pod))
    for name, container_id, slice_name in (("docker", third, "system.slice"), ("podman", fourth, "machine.slice")):
        seen = named(agent, container_id, "runtime")
        bench.equal(f"{name}'s, of which nobody tells more", tuple(seen.get(key) for key in ("runtime", "slice", "container", "pod")), (name, slice_name, None, None))


if __name__ == "__main__":
    raise SystemExit(harness.main(docker, podman, systemd_driver, containerd, together=2))
