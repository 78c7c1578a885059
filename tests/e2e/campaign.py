# SPDX-License-Identifier: Apache-2.0
"""Injected faults: tenants of which one misbehaves, the others are noise, and one is large in everything and steady. The agent's own feed
is asked what is wrong and who causes it; the answer is judged beside "the largest consumer now", measured from /proc at the same moment.

Everything is drawn from a seed: which tenant, by which tool under which name, how much. Everything is bounded: at most one processor's worth,
1 GiB, loop mounts, a network namespace and cgroups of the test's own.

What detects is the test's own configuration, since a machine that others use is never calm: conditions of the node carry a second one on the
tenants' group, without which somebody else's build would count as a fault. Who is blamed is not in the configuration: causes are ranked over
the whole node.
"""

import contextlib
import json
import os
import random
import re
import shutil
import subprocess
import time
from pathlib import Path

import harness
from harness import MiB, Program, cgroup2, parse_time, wait_for

TENANTS = 6
NAMES = ("indexer", "reporter", "importer", "mailer", "thumbs", "ledger", "billing", "gateway", "search", "cachefill")
SETTLE = 3       # seconds that the ranking has after an incident has opened
LONGEST = 16     # seconds in which it must open
QUIET = 12       # seconds of a trial in which nothing is done


class Kind:
    """One kind of fault. `tools`: functions of (ground, amount from 0 to 1, folder) that give an argv; `policy`: what detects it."""

    def __init__(self, name, incident, additive, use, policy, *tools, limit=0):
        self.name, self.incident, self.additive, self.use, self.policy, self.tools, self.limit = name, incident, additive, use, policy, tools, limit


def between(low, high, amount):
    return round(low + (high - low) * amount)


def unruly(mode, low, high, where=None):
    def argv(ground, amount, folder):
        place = {None: folder, "fill": ground.fill, "inodes": ground.inodes, "address": ground.address}[where]
        return ["unruly", mode, 60, between(low, high, amount), place]
    return argv


def stress(*words):
    """stress-ng under another name; "{}" is replaced by the amount between the two numbers that follow it."""
    def argv(ground, amount, folder):
        out, rest = ["stress-ng", "--keep-name", "--timeout", "60s", "--temp-path", folder, "--no-rand-seed"], list(words)
        while rest:
            word = rest.pop(0)
            out.append(str(between(rest.pop(0), rest.pop(0), amount)) if word == "{}" else word)
        return out
    return argv


def fio(*words):
    def argv(ground, amount, folder):
        out, rest = ["fio", "--name=job", f"--directory={folder}", "--runtime=60", "--time_based", "--thread", "--output=/dev/null"], list(words)
        while rest:
            word = rest.pop(0)
            out.append(word.format(between(rest.pop(0), rest.pop(0), amount)) if "{}" in word else word)
        return out
    return argv


# Of the tenants that may misbehave, "w0" to "w5"; the steady one is not among them, or its size alone would be an alarm.
BUSY = 'all: [{{cpu: {{used_percent: {{above: 20}}}}}}, {{process: {{cgroup: "{parent}/w*", by: cgroup, cpu_percent: {{above: 7}}, for: 2s}}}}]'
GROWS = ('all: [{{memory: {{used_percent: {{above: 1}}}}}}, '
         '{{process: {{cgroup: "{parent}/w*", by: cgroup, growth_bytes: {{above: 50MiB}}}}}}]')
WAITS = "psi: {{resource: io, some: {{above: {io}, clear: {io_clear}}}, window: interval, for: 2s}}"

KINDS = (
    Kind("CPU hog", "cpu_exhaustion", True, "cpu", BUSY, unruly("spin", 25, 60), stress("--cpu", "1", "--cpu-load", "{}", 25, 60)),
    Kind("CPU by many threads", "cpu_exhaustion", True, "cpu", BUSY, unruly("threads", 25, 60), stress("--matrix", "1", "--matrix-size", "64")),
    Kind("fork storm", "cpu_exhaustion", True, "cpu", BUSY, unruly("forks", 400, 1500), stress("--fork", "1")),
    Kind("context-switch storm", "cpu_exhaustion", False, "cpu", BUSY, unruly("switches", 30, 60), stress("--switch", "1")),
    Kind("lock convoy", "cpu_exhaustion", False, "cpu", BUSY, unruly("convoy", 50, 100), stress("--mutex", "1", "--mutex-procs", "8")),
    Kind("memory leak", "memory_exhaustion", True, "memory", GROWS, unruly("leak", 15, 60),
         stress("--vm", "1", "--vm-bytes", "{}", 268435456, 805306368, "--vm-keep", "--vm-populate")),
    Kind("leak at its own limit", "memory_exhaustion", False, "memory",
         "psi: {{resource: memory, some: {{above: 1, clear: 0.5}}, window: interval}}", unruly("squeeze", 160, 160), limit=160 * MiB),
    Kind("page cache thrash", "io_saturation", False, "io", WAITS, unruly("thrash", 2000, 8000),
         fio("--rw=randread", "--bs=64k", "--size=256m", "--invalidate=1", "--direct=1", "--rate_iops={}", 2000, 8000)),
    Kind("disk write flood", "io_saturation", False, "io", WAITS, unruly("flood", 200, 600),
         fio("--rw=write", "--bs=1m", "--size=128m", "--fdatasync=1", "--rate={}m", 200, 600)),
    Kind("small synchronous writes", "io_saturation", False, "io", WAITS, unruly("sync", 1000, 4000),
         fio("--rw=randwrite", "--bs=4k", "--size=16m", "--fsync=1", "--rate_iops={}", 1000, 4000)),
    Kind("disk filling", "disk_exhaustion", True, "io", 'filesystem: {{mountpoint: "{fill}", used_percent: {{above: 60}}}}', unruly("fill", 20, 60, "fill")),
    Kind("inode leak", "disk_exhaustion", True, "io", 'filesystem: {{mountpoint: "{inodes}", inodes_used_percent: {{above: 25}}}}',
         unruly("inodes", 600, 2000, "inodes")),
    Kind("descriptor leak", "fd_exhaustion", True, "files", "files: {{process_used_percent: {{above: 60}}}}", unruly("files", 400, 1200)),
    Kind("process leak", "pid_exhaustion", True, "tasks", "pids: {{used_percent: {{above: {pids}}}}}", unruly("pids", 400, 1200)),
    Kind("network flood", "network_saturation", True, "net", 'interface: {{name: "{link}", bytes_per_second: {{above: 12MiB}}, for: 2s}}',
         unruly("send", 30, 90, "address")),
)


def psi_io():
    line = Path("/proc/pressure/io").read_text().split("\n")[0]
    return float(re.search(r"avg10=([\d.]+)", line)[1])


def threads_of_node():
    return int(Path("/proc/loadavg").read_text().split()[3].split("/")[1])


def processor_use():
    """Seconds of processor time of the whole node, so far."""
    fields = [int(f) for f in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    return (sum(fields[:3]) + sum(fields[5:8])) / os.sysconf("SC_CLK_TCK")


class Ground:
    """What the trials share: tenants, file systems, a network, and an agent that has known them for a while."""

    def __init__(self, bench, seed, warm=45):
        self.bench, self.draw = bench, random.Random(seed)
        self.steady = bench.cgroup("steady")[0]
        self.tenants = [bench.cgroup(f"w{i}") for i in range(TENANTS)]
        self.parent = self.tenants[0][1].rsplit("/", 1)[0]
        self.fill = bench.loop_filesystem(192)
        self.inodes = bench.loop_filesystem(96, "-N", "8192")
        self.folder = Path(bench.dir, "work")
        self.folder.mkdir()
        self._network()
        for tool in ("stress-ng", "fio"):
            if not shutil.which(tool):
                raise harness.Failed(f"{tool} is not installed: scripts/deps.sh test")
        steady = self.start(self.steady, "database", ["unruly", "steady", 36000, 50, self.folder], {"STEADY_ADDRESS": self.address})
        self.steady_pid = steady.pid
        for folder, path in self.tenants:  # each does a little, and not the same
            self.start(folder, "app", ["unruly", "spin", 36000, self.draw.randint(1, 4), self.folder])
        self.io = max(8.0, 1.5 * psi_io() + 5)
        self.pids = self._pids()
        self.agent, self.kinds, self.unknown = None, [], []
        self._start_agent()
        began = time.monotonic()
        wait_for("the baseline to be warm", lambda: time.monotonic() > began + warm, warm + 30, 0.5)

    def _network(self):
        self.link, self.address = f"nmt{os.getpid() % 100000}", "10.233.77.2"
        space = f"nodemend-test-{os.getpid()}"

        def ip(*words):
            subprocess.run(["ip", *words], check=True, stdout=subprocess.DEVNULL)
        ip("netns", "add", space)
        self.bench.stack.callback(subprocess.run, ["ip", "netns", "del", space], check=False)
        ip("link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", space)
        ip("addr", "add", "10.233.77.1/30", "dev", self.link)
        ip("link", "set", self.link, "up")
        ip("-n", space, "addr", "add", f"{self.address}/30", "dev", "eth0")
        ip("-n", space, "link", "set", "eth0", "up")

    @staticmethod
    def _pids():
        most = min(int(Path("/proc/sys/kernel/pid_max").read_text()), int(Path("/proc/sys/kernel/threads-max").read_text()))
        return round(100 * (threads_of_node() + 1500) / most, 3)

    def _policy(self, kind):
        when = kind.policy.format(parent=self.parent, fill=self.fill, inodes=self.inodes, link=self.link, io=round(self.io, 1),
                                  io_clear=round(self.io * 0.7, 1), pids=self.pids)
        return f"  - name: {re.sub('[^a-z]+', '-', kind.name.lower())}\n    mode: observe\n    when: {{{when}}}\n"

    def _start_agent(self):
        """With a policy for each kind whose condition this build has; the others are said."""
        head, rows = "interval: 1s\nhold_down: 0s\ncollectors: {unit: false, host: false}\npolicies:\n", []
        for kind in KINDS:
            row, path = self._policy(kind), Path(self.bench.dir, "one.yaml")
            path.write_text(head + row)
            code, out, err = harness.run_cli("check", path)
            if code == 0:
                self.kinds.append(kind)
                rows += [row] if row.split("when:")[1] not in "".join(rows) else []
            else:
                self.unknown.append((kind, (out + err).strip().split("\n")[0]))
        self.agent = self.bench.agent(head + "".join(rows))

    def start(self, cgroup, name, argv, env=None):
        """A program under another name: what it is called says nothing of what it does."""
        tool = argv[0]
        source = harness.PROGRAMS / tool if tool == "unruly" else Path(shutil.which(tool))
        copy = Path(self.bench.dir, "bin", tool, name)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not copy.exists():
            shutil.copy(source, copy)
        old = dict(os.environ)
        os.environ.update(env or {})
        try:
            return Program(self.bench, [copy, *argv[1:]], cgroup=cgroup, ready=False)
        finally:
            os.environ.clear()
            os.environ.update(old)

    def open_incidents(self):
        return [i for i in self.agent.incidents() if i["state"] != "resolved" and not concerns_others(self, i)]


# --- what somebody sees who looks at the largest ---------------------------------------------------------------------------

def uses_of(folder):
    """Of one cgroup, from /proc: sums that only grow, and what is held now."""
    sums = {"cpu": 0, "io": 0, "memory": 0, "files": 0, "tasks": 0}
    with contextlib.suppress(OSError):
        for pid in Path(folder, "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                sums["cpu"] += sum(int(f) for f in fields[11:15])
                sums["tasks"] += int(fields[17])
                sums["memory"] += int(fields[21]) * 4096
                sums["files"] += len(os.listdir(f"/proc/{pid}/fd"))
                moved = dict(re.findall(r"^(\w+): (\d+)", Path(f"/proc/{pid}/io").read_text(), re.M))
                sums["io"] += int(moved["read_bytes"]) + int(moved["write_bytes"])
    return sums


def largest(ground, use, seconds=1.0):
    """The path of the cgroup that uses most of it at this moment."""
    groups = {path: folder for folder, path in ground.tenants}
    groups[ground.parent + "/steady"] = ground.steady
    if use == "net":
        feed = ground.agent.feed()
        rows = [m for m in feed.metrics if "socket" in m and "bytes" in m and "cgroup" in m]
        sums = {path: sum(feed.total(row, cgroup=path) for row in rows) for path in groups}
        later = ground.agent.next_feed()
        sums = {path: sum(later.total(row, cgroup=path) for row in rows) - sums[path] for path in groups}
        return max(sums, key=sums.get)
    before = {path: uses_of(folder)[use] for path, folder in groups.items()}
    if use in ("cpu", "io"):
        time.sleep(seconds)  # a rate needs an interval, and nothing else says when it is over
        before = {path: uses_of(folder)[use] - before[path] for path, folder in groups.items()}
    return max(before, key=before.get)


# --- trials -----------------------------------------------------------------------------------------------------------------

def limited(ground, kind, pid, folder):
    """Puts the process under a memory limit of its own, by whichever hierarchy has the controller."""
    if not kind.limit:
        return None
    if "memory" in Path(cgroup2(), "cgroup.controllers").read_text().split():
        Path(folder, "memory.max").write_text(str(kind.limit))
        return lambda: Path(folder, "memory.max").write_text("max")
    own = Path("/sys/fs/cgroup/memory", f"test-nodemend-{os.getpid()}-{pid}")
    own.mkdir()
    (own / "memory.limit_in_bytes").write_text(str(kind.limit))
    (own / "cgroup.procs").write_text(str(pid))
    return lambda: harness.remove_cgroup(own)


def calm(ground, seconds=40):
    """Nothing is open, and what the last trial left has been forgotten; else what is open."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not ground.open_incidents():
            time.sleep(5)  # half-lives: what the last fault used must be out of the figures
            if not ground.open_incidents():
                return []
        time.sleep(0.5)
    return ground.open_incidents()


def empty(*folders):
    for folder in folders:
        for entry in Path(folder).iterdir():
            if entry.name not in ("lost+found", "steady"):
                with contextlib.suppress(OSError):
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def since(incidents, wall):
    return [i for i in incidents if parse_time(i["opened"]) >= wall - 1]


def concerns_others(ground, incident):
    """About a process or a group that is not of the campaign: true perhaps, and nothing that was done here."""
    resource = incident["resource"]
    if resource["type"] == "process":
        groups = [cause.get("cgroup", "") for cause in incident["causes"]]
        return not any(group.startswith(ground.parent) for group in groups)
    return resource["type"] == "cgroup" and not resource["cgroup"].startswith(ground.parent)


def quiet_trial(ground):
    wall, used, began = time.time(), processor_use(), time.monotonic()
    while time.monotonic() < began + QUIET:
        time.sleep(0.5)
    false = [i for i in since(ground.agent.incidents(), wall) if not concerns_others(ground, i)]
    return {"kind": "none", "false": [f"{i['kind']} of {json.dumps(i['resource'])}" for i in false], "others": (processor_use() - used) / QUIET}


def fault_trial(ground, kind):
    draw = ground.draw
    folder, path = draw.choice(ground.tenants)
    tool, name = draw.choice(kind.tools), draw.choice(NAMES)
    argv = tool(ground, draw.random(), ground.folder)
    wall, used, began = time.time(), processor_use(), time.monotonic()
    program = ground.start(folder, name, argv)
    lift = limited(ground, kind, program.pid, folder)
    row = {"kind": kind.name, "culprit": path, "argv": " ".join(str(a) for a in argv[:1] + argv[1:8] if not str(a).startswith("/")), "detected": False}
    try:
        found = None
        while time.monotonic() < began + LONGEST and not found:
            found = next((i for i in since(ground.agent.incidents(kind=kind.incident), wall)), None)
            time.sleep(0.25)
        classes = {i["kind"] for i in since(ground.agent.incidents(), wall)}
        row["right_class"] = kind.incident in classes or not classes
        row["any"] = bool(classes)
        if found:
            row["detected"], row["delay"] = True, parse_time(found["opened"]) - wall
            time.sleep(SETTLE)
            found = ground.agent.incidents(id=found["id"])[0]
            causes = [cause.get("cgroup", "") for cause in found["causes"]]
            row["causes"], row["evidence"] = causes, [f"{c.get('comm', '')} {c['share']:.2f} {c['evidence']}" for c in found["causes"]]
            ours = [cause for cause in causes if cause.startswith(ground.parent)]
            row["top1"], row["top3"] = ours[:1] == [path], path in ours[:3]
            row["node1"] = causes[:1] == [path]
            row["largest"] = largest(ground, kind.use)
        row["others"] = (processor_use() - used) / (time.monotonic() - began)
        row["alive"] = program.alive()
    finally:
        program.kill()
        for pid in Path(folder, "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError, ValueError):
                comm = Path(f"/proc/{pid}/comm").read_text().strip()
                if comm != "app":
                    os.kill(int(pid), 9)
        if lift:
            with contextlib.suppress(OSError):
                lift()
        empty(ground.fill, ground.inodes, ground.folder)
    return row


def run(ground, schedule, tell=lambda row: None):
    rows = []
    for kind in schedule:
        left = calm(ground)
        if left:
            row = {"kind": kind.name if kind else "none", "disturbed": [f"{i['kind']} of {json.dumps(i['resource'])}" for i in left]}
        else:
            row = fault_trial(ground, kind) if kind else quiet_trial(ground)
        rows.append(row)
        tell(row)
    return rows


# --- the table --------------------------------------------------------------------------------------------------------------

def share(rows, key):
    return sum(1 for row in rows if row.get(key)) / len(rows) if rows else 0


def percent(value):
    return f"{100 * value:.0f} %"


def summary(rows):
    """Sums over the judged trials: by kind of fault, by additive or not, and of the quiet ones."""
    judged = [row for row in rows if "disturbed" not in row]
    groups = {}
    for kind in KINDS:
        trials = [row for row in judged if row["kind"] == kind.name]
        if trials:
            groups[kind.name] = trials
    for name, additive in (("all additive", True), ("all others", False)):
        trials = [row for kind in KINDS if kind.additive == additive for row in groups.get(kind.name, [])]
        if trials:
            groups[name] = trials
    out = {}
    for name, trials in groups.items():
        seen = [row for row in trials if row["detected"]]
        delays = sorted(row["delay"] for row in seen)
        out[name] = {
            "trials": len(trials), "detected": share(trials, "detected"), "class": share(trials, "right_class"), "top1": share(seen, "top1"),
            "top3": share(seen, "top3"), "node1": share(seen, "node1"), "largest": sum(row["largest"] == row["culprit"] for row in seen) / len(seen) if seen else 0,
            "delay": delays[len(delays) // 2] if delays else float("nan"),
        }
    quiet = [row for row in judged if row["kind"] == "none"]
    return out, {"quiet": len(quiet), "false": sum(bool(row["false"]) for row in quiet), "disturbed": len(rows) - len(judged)}


def table(rows):
    groups, quiet = summary(rows)
    lines = ["| fault | trials | detected | right class | culprit first | among the first three | first of the whole node | the largest consumer now | seconds to detect |",
             "|---|---|---|---|---|---|---|---|---|"]
    for name, row in groups.items():
        lines.append(f"| {name} | {row['trials']} | {percent(row['detected'])} | {percent(row['class'])} | {percent(row['top1'])} | "
                     f"{percent(row['top3'])} | {percent(row['node1'])} | {percent(row['largest'])} | {row['delay']:.1f} |")
    lines.append("")
    lines.append("First and among the first three: of the cgroups of the campaign, since on a machine that others use, others are causes, too, and are named. "
                 "First of the whole node leaves them in. The largest consumer is of the campaign's cgroups.")
    lines.append(f"Quiet trials: {quiet['quiet']}, of which {quiet['false']} had an incident. Trials that could not be judged, since what others did on "
                 f"the machine was still an incident when they were to begin: {quiet['disturbed']}.")
    return "\n".join(lines)
