#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A filesystem fills: the writer is named, old logs go before the bystander notices, and what was freed is the truth.
Everything that must not be touched stands in the way of the clean-up: open, mapped, locked, hard-linked, young and newest
files, symlinks and a bind mount that lead outside.
"""

import os
import stat
import subprocess
import time
from pathlib import Path

import harness
from harness import MiB, wait_for

KEEP_NEWEST = 2
HOUR = 3600


def policy(mount, root, mode):
    return f"""
interval: 1s
mode: enforce
collectors: {{unit: false}}
policies:
  - name: data-fills
    when:
      filesystem: {{mountpoint: "{mount}", used_percent: {{above: 60, clear: 55}}, for: 500ms}}
    mode: {mode}
    do:
      - clean-files: {{root: "{root}", match: ["*.log.*"], min_age: 1s, keep_newest: {KEEP_NEWEST}, max_bytes: 2GiB, max_depth: 4}}
        expect: {{freed: 64MiB, within: 10s}}
    limits: {{cooldown: 10m, per_target: 3/1h, per_node: 10/1d}}
"""


def put(path, mib, age_hours, owner=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(4096) + b"x" * (int(mib * MiB) - 4096) if mib else b"")
    set_age(path, age_hours)
    os.chown(path, owner, owner)


def set_age(path, age_hours):
    when = time.time() - age_hours * HOUR
    os.utime(path, (when, when), follow_symlinks=False)


class LogTree:
    """Old logs under <mount>/app/logs, and in `doomed` those of them that the rules allow to go."""

    def __init__(self, bench, mount):
        self.mount, self.root, self.outside = mount, mount / "app/logs", mount / "outside"
        self.doomed, self.held = [], []
        self.outside.mkdir()
        self.root.mkdir(parents=True)
        self._rotated()
        self._in_use()
        self._linked()
        self._young()
        self._strange()
        self._leading_out(bench)
        self._hold(bench)
        # min_age also looks at the change time, which cannot be set back: let the newest of them be old enough.
        newest = max(path.lstat().st_ctime for path in self.doomed)
        wait_for("the logs to be old enough", lambda: time.time() > newest + 1.5, 10)

    def _rotated(self):
        """Three services' logs, each folder its owner's; the newest two of each stay."""
        for folder, owner in (("web", 1001), ("db", 1002), ("job", 0)):
            for i in range(1, 8):
                path = self.root / folder / f"{folder}.log.{i}"
                put(path, 11 if i > KEEP_NEWEST else 0.5, age_hours=i, owner=owner)
                if i > KEEP_NEWEST:
                    self.doomed.append(path)
            put(self.root / folder / f"{folder}.log", 0.1, age_hours=0, owner=owner)
            put(self.root / folder / f"{folder}.txt", 0.1, age_hours=50, owner=owner)
            os.chown(self.root / folder, owner, owner)

    def _newest(self, folder):
        for i in range(KEEP_NEWEST):
            put(self.root / folder / f"newest.log.{i}", 0.1, age_hours=1)
        path = self.root / folder / "old.log.9"
        put(path, 4, age_hours=9)
        self.doomed.append(path)

    def _in_use(self):
        self._newest("held")
        for how in ("read", "write", "mmap", "flock"):
            path = self.root / "held" / f"{how}.log.5"
            put(path, 3, age_hours=5)
            self.held.append(f"{how}:{path}")

    def _linked(self):
        self._newest("linked")
        put(self.root / "linked/twin.log.5", 3, age_hours=5)
        os.link(self.root / "linked/twin.log.5", self.outside / "twin")

    def _young(self):
        """More of them than keep_newest protects, all dated ahead: no age can be old enough."""
        for i in range(KEEP_NEWEST + 2):
            put(self.root / "young" / f"young.log.{i}", 1, age_hours=-2)
        put(self.root / "young/old.log.9", 4, age_hours=9)
        self.doomed.append(self.root / "young/old.log.9")

    def _strange(self):
        """Names that would harm a terminal, a log or a shell; and what only looks like a file."""
        self._newest("strange")
        for name in ("a\nb\x1b[2J.log.7", "$(touch pwned).log.7", "-rf .log.7"):
            put(self.root / "strange" / name, 1, age_hours=7)
            self.doomed.append(self.root / "strange" / name)
        bad = os.fsencode(self.root / "strange") + b"/\xff\xfe.log.7"
        Path(os.fsdecode(bad)).write_bytes(b"x" * MiB)
        set_age(Path(os.fsdecode(bad)), 7)
        self.doomed.append(Path(os.fsdecode(bad)))
        os.mkfifo(self.root / "strange/pipe.log.7")
        (self.root / "strange/folder.log.7").mkdir()
        put(self.root / "strange/empty.log.7", 0, age_hours=7)

    def _leading_out(self, bench):
        put(self.outside / "sentinel.log.1", 2, age_hours=20)
        put(self.outside / "deep/sentinel.log.2", 2, age_hours=20)
        put(self.mount / "app/above.log.1", 1, age_hours=20)
        self._newest("out")
        os.symlink(self.outside / "sentinel.log.1", self.root / "out/link.log.1")
        os.symlink(self.outside, self.root / "out/folder")
        os.symlink("../../../outside/deep", self.root / "out/deep.log.3")
        (self.root / "out/bound").mkdir()
        subprocess.run(["mount", "--bind", self.outside, self.root / "out/bound"], check=True)
        bench.stack.callback(subprocess.run, ["umount", self.root / "out/bound"], check=False)

    def _hold(self, bench):
        bench.program("holder", *self.held)

    def bytes_of(self, paths):
        return sum(path.lstat().st_blocks * 512 for path in paths)

    def digest(self):
        """Everything below the mount but what the writer and the bystander make: path -> what it is."""
        rows = {}
        for folder, folders, files in os.walk(os.fsencode(self.mount)):
            for name in folders + files:
                path = os.path.join(folder, name)
                info = os.lstat(path)
                if b"/live" in path or name == b"lost+found":
                    continue
                rows[path] = (stat.S_IFMT(info.st_mode), info.st_ino, info.st_size if not stat.S_ISDIR(info.st_mode) else 0, info.st_uid,
                              info.st_nlink if not stat.S_ISDIR(info.st_mode) else 0, info.st_mtime_ns if not stat.S_ISDIR(info.st_mode) else 0)
        return rows


def check_untouched(bench, tree, before, may_go):
    after = tree.digest()
    gone = {path for path in before if path not in after}
    wrong = sorted(gone - {os.fsencode(path) for path in may_go})
    bench.ok("nothing went that must stay", not wrong, f"gone: {wrong}")
    changed = sorted(path for path in after if path in before and after[path] != before[path])
    bench.ok("what stays is unchanged", not changed, f"changed: {changed[:5]}")
    new = sorted(set(after) - set(before))
    bench.ok("nothing new is left behind", not new, f"new: {new[:5]}")
    return gone


def fill(bench, tree):
    """Starts the bystander and, once it lives, the writer, each in a cgroup of its own."""
    live = tree.mount / "live"
    live.mkdir()
    folder, _ = bench.cgroup("bystander")
    bystander = bench.program("append_sync", live / "bystander.dat", cgroup=folder)
    folder, path = bench.cgroup("writer")
    writer = bench.program("writer", live / "flood.dat", "--rate", 50_000_000, "--total", 350_000_000, cgroup=folder)
    return bystander, writer, path


def check_cause(bench, incident, writer, cgroup_path):
    causes = incident["causes"]
    first = causes[0] if causes else {}
    bench.equal("the writer's pid comes first", first.get("pid"), writer.pid)
    bench.equal("with its name", first.get("comm"), "writer")
    bench.equal("and its cgroup", first.get("cgroup"), cgroup_path)
    bench.ok("and a share above 0.9", first.get("share", 0) > 0.9, f"share {first.get('share')}")


def check_named_in_time(bench, agent, stream, writer, mount):
    """From the first finding (the incident's own opening) to the writer's name being out."""
    def named():
        for when, incident in stream.of("incident"):
            causes = incident.get("causes") or [{}]
            if incident["resource"].get("mountpoint") == str(mount) and causes[0].get("pid") == writer.pid:
                return when, incident
        return None
    when, incident = wait_for("the writer to be named", named, 20)
    late = when - harness.parse_time(incident["opened"])
    bench.ok("named within 2 s of the first finding", late <= 2.0, f"{late:.2f} s")
    bench.note(f"named {late * 1000:.0f} ms after the incident opened")
    return incident


def enforced(bench):
    """Files go before the bystander sees ENOSPC, and only those that may."""
    tree = LogTree(bench, bench.loop_filesystem(512))
    agent = bench.agent(policy(tree.mount, tree.root, "enforce"))
    stream = agent.stream()
    before, blocks = tree.digest(), {path: path.lstat().st_blocks * 512 for path in tree.doomed}
    bystander, writer, cgroup_path = fill(bench, tree)

    incident = check_named_in_time(bench, agent, stream, writer, tree.mount)
    check_cause(bench, incident, writer, cgroup_path)
    bench.equal("its kind", incident["kind"], "disk_exhaustion")
    action = wait_for("the clean-up to end", lambda: next((a for a in agent.actions(remedy="clean-files") if a["outcome"]), None), 40)
    wait_for("the writer to have written all", lambda: not writer.alive(), 40)

    bench.ok("fixed", action["outcome"] == "fixed", f"{action['outcome']} {action['started']} {action['ended']} {action['steps']}")
    bench.equal("mode", action["mode"], "enforce")
    gone = check_untouched(bench, tree, before, tree.doomed)
    left = [path for path in tree.doomed if os.fsencode(path) not in gone]
    bench.ok("all that may go went", not left, f"left: {left}")
    freed, truth = action["observed"].get("freed_bytes", 0), sum(blocks[Path(os.fsdecode(path))] for path in gone if Path(os.fsdecode(path)) in blocks)
    bench.ok("freed bytes within 1 % of the blocks of what went", abs(freed - truth) <= truth / 100, f"said {freed}, was {truth}")
    bench.ok("there is a plan", action["plan"], "none")
    bench.ok("the expectation was kept", freed >= action["expected"].get("freed_bytes", 1 << 62), f"{action['expected']} {action['observed']}")

    written, enospc, errors, longest = map(int, bystander.stop())
    bench.ok("the bystander never saw ENOSPC", enospc == 0 and errors == 0, f"{enospc} times, {errors} other errors")
    bench.ok("the bystander kept on writing", written > MiB, f"{written} bytes")
    bench.note(f"bystander: longest record {longest} ms; writer: {' '.join(writer.line('done') or [])}")

    check_told(bench, agent, action)
    os.unlink(tree.mount / "live/flood.dat")
    wait_for("the incident to close", lambda: agent.incidents(id=incident["id"], state="resolved"), 30)
    bench.ok("the incident closes when the space is back", True)


def check_told(bench, agent, action):
    records = [record for record in agent.journal() if record.get("id") == action["id"]]
    bench.equal("intent before and result after in the journal", [record["outcome"] for record in records], [None, "fixed"])
    code, out, err = agent.cli("why", action["incident"])
    bench.ok("why names the writer and the remedy", code == 0 and "writer" in out and "clean-files" in out, f"{code}: {out} {err}")
    bench.ok("no raw control characters reach the terminal", "\x1b[2J" not in out, repr(out))
    code, out, err = harness.run_cli("journal", "verify", "--state-dir", agent.state_dir)
    bench.equal("journal verify", code, 0)


def quiet(bench):
    """Nobody else writes: the freed bytes are exactly what statvfs shows."""
    mount = bench.loop_filesystem(512)
    tree = LogTree(bench, mount)
    (mount / "live").mkdir()
    with open(mount / "live/ballast", "wb") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, 180 * MiB)
    os.sync()
    before, free = tree.digest(), os.statvfs(mount)
    agent = bench.agent(policy(mount, tree.root, "enforce"))
    action = wait_for("the clean-up to end", lambda: next((a for a in agent.actions(remedy="clean-files") if a["outcome"]), None), 40)
    os.sync()
    after = os.statvfs(mount)
    truth, freed = (after.f_bfree - free.f_bfree) * free.f_frsize, action["observed"].get("freed_bytes", 0)
    bench.ok("freed bytes within 1 % of statvfs", truth > 0 and abs(freed - truth) <= truth / 100, f"said {freed}, statvfs {truth}")
    bench.note(f"said {freed}, statvfs {truth}")
    bench.equal("outcome", action["outcome"], "fixed")
    check_untouched(bench, tree, before, tree.doomed)


def shadow(bench):
    """The same story told, and not one file gone."""
    tree = LogTree(bench, bench.loop_filesystem(512))
    agent = bench.agent(policy(tree.mount, tree.root, "shadow"))
    stream = agent.stream()
    before = tree.digest()
    bystander, writer, cgroup_path = fill(bench, tree)
    incident = check_named_in_time(bench, agent, stream, writer, tree.mount)
    check_cause(bench, incident, writer, cgroup_path)
    action = wait_for("the shadow's plan", lambda: next((a for a in agent.actions(remedy="clean-files") if a["plan"]), None), 40)
    writer.stop()
    bench.equal("mode", action["mode"], "shadow")
    promised, possible = action["expected"].get("freed_bytes", 0), tree.bytes_of(tree.doomed)
    bench.ok("the plan promises what could be freed", abs(promised - possible) <= possible / 100, f"promised {promised}, possible {possible}")
    bench.ok("nothing is said to be freed", not (action["observed"] or {}).get("freed_bytes"), action["observed"])
    check_untouched(bench, tree, before, [])
    bystander.stop()


def ballast_policy(mount, name, mode):
    return f"""
  - name: {name}
    when:
      filesystem: {{mountpoint: "{mount}", used_percent: {{above: 70, clear: 69}}, for: 500ms}}
    mode: {mode}
    do:
      - release-ballast: {{path: "{mount}/{name}", size: 16MiB, remake_below: 60}}
        expect: {{freed: 16MiB, within: 10s}}
"""


def ballast(bench):
    """Made ahead where a policy may act, given back when the filesystem fills; in shadow not even made."""
    mount = bench.loop_filesystem(128)
    held, only_told = mount / "held", mount / "told"
    agent = bench.agent("interval: 1s\npolicies:" + ballast_policy(mount, "held", "enforce") + ballast_policy(mount, "told", "shadow"))
    wait_for("the ballast to be made", lambda: held.exists() and held.stat().st_blocks * 512 >= 16 * MiB, 20)
    with open(mount / "filler", "wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, 70 * MiB)
    action = wait_for("it to be given back", lambda: next((a for a in agent.actions(remedy="release-ballast") if a["mode"] == "enforce" and a["outcome"]), None), 30)
    bench.ok("fixed", action["outcome"] == "fixed", f"{action['outcome']} {action['steps']}")
    bench.equal("what came back", action["observed"].get("freed_bytes"), 16 * MiB)
    bench.equal("what is left of it says what it is", held.stat().st_blocks * 512, 4096)
    bench.ok("in shadow none is made", not only_told.exists())


if __name__ == "__main__":
    raise SystemExit(harness.main(enforced, quiet, shadow, ballast))
