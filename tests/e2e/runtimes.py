# SPDX-License-Identifier: Apache-2.0
"""Real container runtimes, each with its folders, sockets and cgroups below the test's own: nothing of the host's is asked or changed. The image is
a busybox; what this kind of machine refuses (raised limits, networks) is left out.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import debian
import harness
from container import Container, release, remove_tree
from harness import wait_for

# Idle until the test says so: who has a name by then has it in the incident, too.
SPIN = "until [ -e /told/go ]; do sleep 0.1; done; exec timeout 120 sh -c 'while :; do :; done'"


class Runtime:
    """What they have in common. `root` is the agent's host_root."""

    def __init__(self, bench):
        self.bench = bench
        self.root = Path(bench.dir, "host")
        self.told = Path(bench.dir, "told")
        self.parent = f"/test-nodemend-{os.getpid()}"
        self.told.mkdir()
        self.root.mkdir()
        bench.stack.callback(self._remove_cgroups)
        self.tree = Path(bench.dir, "image")
        (self.tree / "bin").mkdir(parents=True)
        (self.tree / "told").mkdir()
        shutil.copy(shutil.which("busybox"), self.tree / "bin/busybox")
        for name in ("sh", "sleep", "timeout"):
            (self.tree / "bin" / name).symlink_to("busybox")

    def run(self, *words, **options):
        done = subprocess.run([*map(str, self.argv), *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False, **options)
        if done.returncode:
            raise harness.Failed(f"{self.argv[0]} {words[0]}: {done.stderr.decode(errors='replace')[-400:]}")
        return done.stdout.decode().strip()

    def _import_busybox(self):
        self.import_image("busybox")

    def import_image(self, name, mib=0):
        """The busybox under this name, with so much of random bytes: nothing of it is shared or squeezed."""
        filler = self.tree / "filler"
        filler.write_bytes(os.urandom(mib << 20))
        packed = subprocess.run(["tar", "-C", self.tree, "-c", "."], stdout=subprocess.PIPE, check=True).stdout
        filler.unlink()
        self.run("import", "-", name, input=packed)

    def inspect(self, name, what):
        """One value of a container, by Go's template."""
        return self.run("inspect", "--format", "{{" + what + "}}", name)

    def _daemon(self, argv, socket, env=None):
        """Starts it; it and what it started is gone when the test is over."""
        log = Path(self.bench.dir, "daemon.log")
        with open(log, "wb") as out:
            self.process = subprocess.Popen(list(map(str, argv)), stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)
        self.bench.stack.callback(self._end_daemon)
        wait_for(f"{argv[0]}'s socket", lambda: socket.exists() or self.process.poll() is not None, 30)
        if self.process.poll() is not None:
            raise harness.Failed(f"{argv[0]}: {log.read_text(errors='replace')[-400:]}")

    def _end_daemon(self):
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        if self.process.poll() is None:
            for pid in [self.process.pid, *harness.children_of(self.process.pid)]:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()

    def _remove_cgroups(self):
        """In every hierarchy: each controller of v1 has one of its own."""
        for line in open("/proc/self/mountinfo"):
            fields = line.split()
            if fields[fields.index("-") + 1] in ("cgroup", "cgroup2"):
                remove_tree(fields[4] + self.parent)


class Podman(Runtime):
    def __init__(self, bench, storage=None):
        super().__init__(bench)
        storage = storage or self.root / "var/lib/containers/storage"
        state = Path(bench.dir, "r")  # Podman takes no more than 50 characters
        self.argv = ["podman", "--root", storage, "--runroot", state, "--tmpdir", Path(bench.dir, "libpod"), "--runtime", "runc",
                     "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file"]
        bench.stack.callback(self._remove_containers)
        self._import_busybox()

    def container(self, name, parent=""):
        """Starts one; its id."""
        return self.run("run", "--detach", "--name", name, "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000",
                        "--volume", f"{self.told}:/told:ro", "--cgroup-parent", self.parent + parent, "busybox", "/bin/sh", "-c", SPIN)

    def serve(self):
        """Its API; the socket."""
        socket = Path(self.bench.dir, "podman.sock")
        self._daemon([*self.argv, "system", "service", "--time=0", f"unix://{socket}"], socket)
        return socket

    def _remove_containers(self):
        subprocess.run([*map(str, self.argv), "rm", "--all", "--force", "--time", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def path_with(*packages):
    """PATH with the programs of these packages of the host's own release, unpacked and not installed; None where one cannot be had."""
    trees = [debian.unpacked(release(), package) for package in packages]
    if not all(trees):
        return None
    return os.pathsep.join([str(tree / folder) for tree in trees for folder in ("usr/bin", "usr/sbin")] + [os.environ["PATH"]])


class Docker(Runtime):
    """dockerd with a containerd of its own, without network."""

    def __init__(self, bench, storage=None):
        super().__init__(bench)
        path = path_with("docker.io", "containerd")
        self.possible = path is not None
        if not self.possible:
            return
        self.socket = socket = Path(bench.dir, "docker.sock")
        env = {**os.environ, "PATH": path}
        self.argv = [shutil.which("docker", path=path), "--host", f"unix://{socket}"]
        bench.stack.callback(remove_mounts, self.root)
        self._daemon([shutil.which("dockerd", path=path), "--data-root", storage or self.root / "var/lib/docker", "--exec-root", Path(bench.dir, "x"), "--pidfile",
                      Path(bench.dir, "docker.pid"), "--host", f"unix://{socket}", "--bridge", "none", "--iptables=false", "--ip-forward=false",
                      "--ip-masq=false", "--storage-driver", "vfs", "--exec-opt", "native.cgroupdriver=cgroupfs", "--userland-proxy=false"], socket, env)
        bench.stack.callback(self._remove_containers)
        self._import_busybox()

    def container(self, name, parent="", labels=()):
        return self.run("run", "--detach", "--name", name, "--network", "none", "--ulimit", "nofile=1024:1024", *(f"--label={label}" for label in labels),
                        "--cgroup-parent", self.parent + parent, "busybox", "/bin/sh", "-c", SPIN)

    def _remove_containers(self):
        subprocess.run([*map(str, self.argv), "rm", "--force", *self.run("ps", "--all", "--quiet").split()], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)


class Containerd(Runtime):
    """containerd, told by ctr what its CRI plugin would be told by kubelet: the same annotations in the same OCI configuration."""

    def __init__(self, bench, storage=None, cri=False):
        super().__init__(bench)
        path = path_with("containerd")
        self.possible = path is not None
        if not self.possible:
            return
        self.socket = socket = Path(bench.dir, "cd.sock")
        settings = Path(bench.dir, "containerd.toml")
        plugin = "io.containerd.grpc.v1.cri"
        settings.write_text(f'version = 2\nroot = "{storage or Path(bench.dir, "lib")}"\nstate = "{self.root}/run/containerd"\n'
                            f'disabled_plugins = [{"" if cri else chr(34) + plugin + chr(34)}]\n[grpc]\naddress = "{socket}"\n'
                            f'[plugins."{plugin}".containerd]\nsnapshotter = "native"\n[plugins."{plugin}".cni]\nconf_dir = "{bench.dir}/cni"\n')
        self.argv = [shutil.which("ctr", path=path), "--address", socket, "--namespace", "k8s.io"]
        self.started = []
        self._daemon([shutil.which("containerd", path=path), "--config", settings], socket, {**os.environ, "PATH": path})
        bench.stack.callback(self._remove_containers)

    def import_image(self, name, mib=0):
        """As Docker saves one: with random bytes as its only layer."""
        home = Path(self.bench.dir, "saved")
        home.mkdir()
        Path(self.bench.dir, "filler").write_bytes(os.urandom(mib << 20))
        subprocess.run(["tar", "-C", self.bench.dir, "-cf", home / "layer.tar", "filler"], check=True)
        layer = hashlib.sha256((home / "layer.tar").read_bytes()).hexdigest()
        (home / "config.json").write_text(json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]}}))
        (home / "manifest.json").write_text(json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]))
        subprocess.run(["tar", "-C", home, "-cf", f"{home}.tar", "manifest.json", "config.json", "layer.tar"], check=True)
        self.run("images", "import", "--snapshotter", "native", f"{home}.tar")
        shutil.rmtree(home)

    def container(self, container_id, parent, annotations):
        spec = Path(self.bench.dir, f"{container_id[:12]}.json")
        spec.write_text(json.dumps(oci_spec(self.bench, self.tree, f"{self.parent}{parent}/{container_id}", annotations)))
        self.started.append(container_id)
        self.run("run", "--detach", "--config", spec, container_id)
        return container_id

    def _remove_containers(self):
        for container_id in self.started:
            for words in (("task", "kill", "--signal", "SIGKILL"), ("task", "delete", "--force"), ("container", "rm")):
                subprocess.run([*map(str, self.argv), *words, container_id], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=False)


class Systemd:
    """The systemd driver: a real runc, told as the runtimes tell it, asks a real systemd for its scopes. The bundles lie where the runtimes keep them."""

    def __init__(self, bench, units=()):
        self.bench = bench
        self.root = Path(bench.dir, "host")
        (self.root / "run").mkdir(parents=True)
        self.inside = Container(bench, dict(units), ["/usr/sbin/runc:/usr/sbin/runc", f"{shutil.which('busybox')}:/opt/busybox"],
                                [f"--bind={self.root / 'run'}:/run/host-run"])
        self._run("mkdir -p /image/bin && cp /opt/busybox /image/bin/busybox && ln -s busybox /image/bin/sh && ln -s busybox /image/bin/sleep")

    def _run(self, script):
        code, said = self.inside.run("unshare", "--mount", "sh", "-ec", script)
        if code:
            raise harness.Failed(f"in the container: {said[-600:]}")

    def container(self, slice_name, prefix, container_id, bundle, annotations):
        """`bundle` is below /run. runc of its own mount namespace sees v2 alone: the controllers of v1 are the host's, and read-only here."""
        home = self.root / "run" / bundle
        home.mkdir(parents=True)
        (home / "config.json").write_text(json.dumps(oci_spec(self.bench, "/image", f"{slice_name}:{prefix}:{container_id}", annotations)))
        self._run("[ ! -d /sys/fs/cgroup/unified ] || mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup\n"
                  f"runc --systemd-cgroup run --detach --bundle /run/host-run/{bundle} {container_id} </dev/null >/dev/null 2>/run/runc.log || (cat /run/runc.log; exit 1)")
        return container_id


def oci_spec(bench, tree, cgroup, annotations):
    """runc's own, with a busybox that waits."""
    home = Path(bench.dir, "spec")
    home.mkdir(exist_ok=True)
    (home / "config.json").unlink(missing_ok=True)
    subprocess.run(["runc", "spec"], cwd=home, check=True)
    spec = json.loads((home / "config.json").read_text())
    spec["process"].update(terminal=False, args=["/bin/sh", "-c", "while :; do sleep 1; done"])
    spec["process"].pop("rlimits", None)
    spec["root"] = {"path": str(tree), "readonly": True}
    spec["linux"]["cgroupsPath"] = cgroup
    spec["annotations"] = annotations
    return spec


def remove_mounts(folder):
    """What a runtime has mounted below its folder and a killed one left there."""
    mounted = [line.split()[4] for line in open("/proc/self/mountinfo")]
    for place in sorted((place for place in mounted if place.startswith(str(folder))), reverse=True):
        subprocess.run(["umount", "--lazy", place], check=False)
