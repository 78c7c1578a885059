#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Real Docker, Podman and containerd, each with its storage on a filesystem of the test's own: it fills, the oldest unused image goes, and the bytes told are
those of statvfs; what is in use, kept, or not needed any more stays. Then the container that spins is restarted, and ended, through its engine.
"""

import os
from pathlib import Path

import harness
from harness import MiB, wait_for
from runtimes import Containerd, Docker, Podman
from test_identity import can_run


def config(kind, socket, where):
    return f"""
interval: 1s
startup_grace: 0s
collectors: {{unit: false}}
top_processes: 100
policies:
  - name: fills
    mode: enforce
    when: {{filesystem: {{mountpoint: {where}, used_percent: {{above: 60, clear: 55}}}}}}
    do:
      - prune-images: {{runtime: {kind}, socket: {socket}, keep: ["*keep*"], min_age: 0s}}
        expect: {{freed: 10MiB, within: 30s}}
    limits: {{cooldown: 10m}}
"""


def free(where):
    now = os.statvfs(where)
    return now.f_bfree * now.f_frsize


def images(runtime):
    return {name.removeprefix("localhost/") for name in runtime.run("images", "--format", "{{.Repository}}:{{.Tag}}").split()}


def prunes(bench, agent, where, before, names, wanted):
    """`before`: free bytes, when all images were there; `names` says which are."""
    action = wait_for("the act", lambda: [a for a in agent.actions(remedy="prune-images") if a["outcome"]], 60)[0]
    bench.equal("it is fixed", action["outcome"], "fixed") or bench.note(action)
    gained = free(where) - before
    told = action["observed"]["freed_bytes"]
    bench.ok("the bytes told are those of statvfs", abs(told - gained) <= gained / 100 and told >= 10 * MiB, f"told {told}, statvfs {gained}")
    bench.note(f"told {told}, statvfs {gained}")
    bench.equal("the oldest went, and no more than was needed", names(), wanted)
    bench.ok("the plan says how much at most", "at most" in str(action["plan"]), action["plan"])


def apply(bench, agent, remedy, target, *arguments):
    code, said, error = agent.cli("apply", remedy, target, "--yes", "--json", *(f"--arg={argument}" for argument in arguments))
    return bench.ok(f"{remedy} says that it is fixed", code == 0 and '"outcome":"fixed"' in said, f"{code} {said} {error}")


def restarts_and_ends(bench, runtime, agent, kind, socket, container_id):
    cgroup = wait_for("its cgroup", lambda: [s["labels"]["cgroup"] for s in agent.feed().samples("nodemend_cgroup_info", container_id=container_id)], 30)[0]
    first = runtime.inspect("web", ".State.Pid")
    apply(bench, agent, "restart-container", f"cgroup:{cgroup}", f"socket={socket}", "grace=0s")
    second = runtime.inspect("web", ".State.Pid")
    bench.ok("it is another process", second not in (first, "0"), f"{first} {second}")
    wait_for("its new cgroup", lambda: agent.cli("apply", "kill-container", f"cgroup:{cgroup}", "--dry-run", f"--arg=socket={socket}")[0] == 0, 30, step=0.3)
    apply(bench, agent, "kill-container", f"cgroup:{cgroup}", f"socket={socket}", "grace=0s")
    bench.equal("it has ended, and stays", runtime.inspect("web", ".State.Status"), "exited")
    apply(bench, agent, "prune-images", "node", f"runtime={kind}", f"socket={socket}", "min_age=0s", "what=both", "keep=*keep*")
    bench.equal("what it used went with it", images(runtime), {"keep:1"})


def with_engine(bench, kind, make, socket_of):
    where = bench.loop_filesystem(64)
    runtime = make(bench, where / "s")
    if not getattr(runtime, "possible", True):
        bench.skip(f"containers of {kind}", "it cannot be fetched")
        return
    socket = socket_of(runtime)
    container_id = runtime.container("web")
    for name, mib in (("first:1", 15), ("keep:1", 1), ("second:1", 15)):
        runtime.import_image(name, mib)
    os.sync()
    before = free(where)
    agent = bench.agent(config(kind, socket, where))
    prunes(bench, agent, where, before, lambda: images(runtime), {"busybox:latest", "keep:1", "second:1"})
    restarts_and_ends(bench, runtime, agent, kind, socket, container_id)
    if kind == "podman":
        a_pods_sandbox_is_left_alone(bench, runtime, agent, socket)


def a_pods_sandbox_is_left_alone(bench, runtime, agent, socket):
    """Podman's infra container, which holds the namespaces of the pod."""
    settings = Path(bench.dir, "containers.conf")
    settings.write_text('[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]\n')
    runtime.run("pod", "create", "--name", "pod", "--network", "none", "--cgroup-parent", f"{runtime.parent}/libpod_parent", "--infra-image", "localhost/keep:1",
                "--infra-command", "sleep 120", env={**os.environ, "CONTAINERS_CONF": str(settings)})
    runtime.run("pod", "start", "pod")
    infra = runtime.run("pod", "inspect", "--format", "{{.InfraContainerID}}", "pod")
    cgroup = wait_for("the pod's cgroup", lambda: [s["labels"]["cgroup"] for s in agent.feed().samples("nodemend_cgroup_info", container_id=infra)], 30)[0]
    for remedy in ("kill-container", "restart-container"):
        agent.cli("apply", remedy, f"cgroup:{cgroup}", "--yes", f"--arg=socket={socket}")
    refused = [action for remedy in ("kill-container", "restart-container") for action in agent.actions(remedy=remedy) if action["target"].get("cgroup") == cgroup]
    bench.equal("a pod's sandbox is left alone", [action["refused_by"] for action in refused], ["never-list"] * 2) or bench.note(refused)
    bench.equal("and runs", runtime.inspect(infra, ".State.Status"), "running")


def podman(bench):
    if can_run(bench, "podman", "runc", "busybox"):
        with_engine(bench, "podman", Podman, lambda runtime: runtime.serve())


def docker(bench):
    if can_run(bench, "runc", "busybox"):
        with_engine(bench, "docker", Docker, lambda runtime: runtime.socket)


def containerd(bench):
    """As kubelet has it, by CRI; pauses are what sandboxes are made of, and in no list of containers."""
    where = bench.loop_filesystem(64)
    runtime = Containerd(bench, where / "s", cri=True)
    if not runtime.possible:
        bench.skip("images of containerd", "it cannot be fetched")
        return
    for name, mib in (("registry.local/pause:1", 1), ("registry.local/first:1", 8), ("registry.local/keep:1", 1), ("registry.local/second:1", 8)):
        runtime.import_image(name, mib)
    os.sync()
    before = free(where)
    agent = bench.agent(config("containerd", runtime.socket, where))
    wanted = {"registry.local/pause:1", "registry.local/keep:1", "registry.local/second:1"}
    prunes(bench, agent, where, before, lambda: {name for name in runtime.run("images", "list", "--quiet").split() if name.endswith(":1")}, wanted)


if __name__ == "__main__":
    raise SystemExit(harness.main(docker, podman, containerd, together=3))
