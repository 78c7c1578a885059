#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Real containers of Podman get their names: one as Podman made it, and one in a cgroup as kubelet would have made it, with
kubelet's names of logs beside. Podman's storage lies in a tree of the test's own, which is the agent's host_root.
"""

import os
import shutil
import subprocess
from pathlib import Path

import harness
from container import remove_tree
from harness import wait_for

POD_UID = "3a1f4c1e-8c7b-4d62-9d5a-6f6d1c0b2a3e"
# Idle until the test says so: who has a name by then has it in the incident, too.
SPIN = "until [ -e /told/go ]; do sleep 0.1; done; exec timeout 120 sh -c 'while :; do :; done'"


class Podman:
    """Podman as it is, but for its folders, its cgroups and what this kind of machine refuses (runc, limits, no network)."""

    def __init__(self, bench):
        self.bench = bench
        self.root = Path(bench.dir, "host")
        self.told = Path(bench.dir, "told")
        self.told.mkdir()
        self.parent = f"/test-nodemend-{os.getpid()}"
        storage = self.root / "var/lib/containers/storage"
        state = Path(bench.dir, "r")  # Podman takes no more than 50 characters
        self.argv = ["podman", "--root", storage, "--runroot", state, "--tmpdir", Path(bench.dir, "libpod"), "--runtime", "runc",
                     "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file"]
        bench.stack.callback(self._remove_cgroups)
        bench.stack.callback(self._remove_containers)
        self._import_busybox()

    def run(self, *words, **options):
        done = subprocess.run([*map(str, self.argv), *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False, **options)
        if done.returncode:
            raise harness.Failed(f"podman {words[0]}: {done.stderr.decode(errors='replace')[-400:]}")
        return done.stdout.decode().strip()

    def container(self, name, parent=""):
        """Starts one; its id."""
        return self.run("run", "--detach", "--name", name, "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000",
                        "--volume", f"{self.told}:/told:ro", "--cgroup-parent", self.parent + parent, "busybox", "/bin/sh", "-c", SPIN)

    def _import_busybox(self):
        tree = Path(self.bench.dir, "image")
        (tree / "bin").mkdir(parents=True)
        shutil.copy(shutil.which("busybox"), tree / "bin/busybox")
        for name in ("sh", "sleep", "timeout"):
            (tree / "bin" / name).symlink_to("busybox")
        packed = subprocess.run(["tar", "-C", tree, "-c", "."], stdout=subprocess.PIPE, check=True).stdout
        self.run("import", "-", "busybox", input=packed)

    def _remove_containers(self):
        subprocess.run([*map(str, self.argv), "rm", "--all", "--force", "--time", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)

    def _remove_cgroups(self):
        """In every hierarchy: each controller of v1 has one of its own."""
        for line in open("/proc/self/mountinfo"):
            fields = line.split()
            if fields[fields.index("-") + 1] in ("cgroup", "cgroup2"):
                remove_tree(fields[4] + self.parent)


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
    container_id = podman.container("k8s_app", f"/kubepods/burstable/pod{POD_UID}")
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


def podman(bench):
    for tool in ("podman", "runc", "busybox"):
        if not shutil.which(tool):
            bench.skip("containers of Podman", f"{tool} is not installed")
            return
    runtime = Podman(bench)
    agent = bench.agent(config(runtime.root))
    told_by_podman(bench, runtime, agent)
    told_by_kubelet(bench, runtime, agent)
    status = {sample["labels"]["collector"]: sample["value"] for sample in agent.feed().samples("nodemend_collector_up")}
    bench.equal("the collector is up", status.get("identity"), 1)


if __name__ == "__main__":
    raise SystemExit(harness.main(podman))
