# SPDX-License-Identifier: Apache-2.0
"""A real systemd as PID 1 of a container: the host's own Debian release by mmdebstrap, booted by systemd-nspawn. Made once
and kept beside the build, so that only the first run downloads; each container writes into a layer of its own above it.
"""

import fcntl
import os
import signal
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import harness
from harness import wait_for

PACKAGES = "systemd,systemd-sysv,dbus,procps"


def release():
    for line in open("/etc/os-release"):
        if line.startswith("VERSION_CODENAME="):
            return line.split("=", 1)[1].strip().strip('"')
    raise harness.Failed("/etc/os-release names no release")


def tarball():
    """The container's file system; built when it is not there yet."""
    path = harness.CACHE / f"systemd-{release()}.tar"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_suffix(f".{os.getpid()}.tar")
    done = subprocess.run(["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", release(), made],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False)
    if done.returncode:
        made.unlink(missing_ok=True)
        raise harness.Failed(f"mmdebstrap: {done.stdout.decode(errors='replace')[-600:]}")
    made.rename(path)
    return path


def unpacked_tree():
    """Unpacked once: that takes some ten seconds, and a layer above it none."""
    tree = harness.CACHE / f"systemd-{release()}"
    archive = tarball()
    with open(harness.CACHE / "systemd.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.exists():
            new = tree.with_suffix(".new")
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            subprocess.run(["tar", "-xf", archive, "-C", new], check=True)
            new.rename(tree)
    return tree


def layer(bench, where):
    """A tree of one's own at `where`; a copy where the kernel or the file system has no overlays."""
    upper, work = Path(bench.dir, "layer"), Path(bench.dir, "layer-work")
    for folder in (where, upper, work):
        folder.mkdir()
    options = f"lowerdir={unpacked_tree()},upperdir={upper},workdir={work}"
    if subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, where], capture_output=True, check=False).returncode:
        subprocess.run(["tar", "-xf", tarball(), "-C", where], check=True)
    else:
        bench.stack.callback(subprocess.run, ["umount", "--lazy", where], check=False)


def v1_systemd():
    """The named hierarchy that systemd uses where v1 and v2 stand side by side; None on a pure v2 host."""
    for line in open("/proc/self/mountinfo"):
        if "name=systemd" in line.split(" - ")[1]:
            return Path(line.split()[4])
    return None


class Container:
    """Booted when made; its units are given as {name: text}."""

    def __init__(self, bench, units, binds=(), options=()):
        self.bench = bench
        self.tree = Path(bench.dir, "tree")
        layer(bench, self.tree)
        (self.tree / "etc/machine-id").unlink(missing_ok=True)
        for name, text in units.items():
            (self.tree / "etc/systemd/system" / name).write_text(text)
        self.log = open(Path(bench.dir, "boot.log"), "wb")
        argv = ["systemd-nspawn", "--quiet", "-D", str(self.tree), "--register=no", "--keep-unit", "--boot", "--console=pipe",
                f"--bind-ro={harness.PROGRAMS}:/opt/programs", *(f"--bind-ro={bind}" for bind in binds), *options]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, preexec_fn=self._cgroups(),
                                        start_new_session=True)
        bench.stack.callback(self.stop)
        self.leader = wait_for("the container's systemd", self._leader, 60)
        self.bus = f"unix:path=/proc/{self.leader}/root/run/dbus/system_bus_socket"
        wait_for("systemd to have started", lambda: self.state() in ("running", "degraded"), 90)

    def _cgroups(self):
        """nspawn makes its groups below its own: give it one that is the test's to take away, in each hierarchy."""
        folders = [self.bench.cgroup("container")[0]]
        if v1_systemd():
            folder = v1_systemd() / f"test-nodemend-{os.getpid()}"
            folder.mkdir(exist_ok=True)
            self.bench.stack.callback(remove_tree, folder)
            folders.append(folder)
        self.bench.stack.callback(remove_tree, folders[0])

        def enter():
            for folder in folders:
                Path(folder, "cgroup.procs").write_text("0")
        return enter

    def _leader(self):
        if self.process.poll() is not None:
            raise harness.Failed(f"systemd-nspawn: {Path(self.log.name).read_text(errors='replace')[-600:]}")
        for pid in harness.children_of(self.process.pid):
            with suppress(OSError, StopIteration):
                nspid = next(line for line in open(f"/proc/{pid}/status") if line.startswith("NSpid:")).split()
                if len(nspid) > 2 and nspid[-1] == "1" and Path(f"/proc/{pid}/root/run/dbus/system_bus_socket").exists():
                    return pid
        return None

    def busctl(self, *words):
        return subprocess.run(["busctl", f"--address={self.bus}", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=30, check=False).stdout.decode().strip()

    def state(self):
        return self.busctl("get-property", "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
                           "SystemState").removeprefix("s ").strip('"')

    def run(self, *argv):
        """(exit code, output) of a command inside."""
        done = subprocess.run(["nsenter", "--target", str(self.leader), "--all", "--", *argv], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
        return done.returncode, done.stdout.decode(errors="replace").strip()

    def show(self, unit, what):
        return self.run("systemctl", "show", "--value", "-p", what, unit)[1]

    def main_pid(self, unit):
        """As the container sees it."""
        return int(self.show(unit, "MainPID") or 0)

    def signal_main(self, unit, number):
        self.run("systemctl", "kill", "--kill-who=main", f"--signal={signal.Signals(number).name}", unit)

    def starts(self, unit):
        """How often it was started, by its own count: each start appends a line."""
        path = self.tree / "run-counts" / unit
        return len(path.read_text().splitlines()) if path.exists() else 0

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()  # nspawn asks the container's PID 1 for an orderly halt
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
        if self.process.poll() is None:
            for pid in harness.children_of(self.process.pid):
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            self.process.kill()
            self.process.wait()
        self.log.close()


def remove_tree(folder):
    """A cgroup and all below it, the deepest first."""
    for path, _, _ in os.walk(folder, topdown=False):
        harness.remove_cgroup(Path(path))
