#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# wire: it measures nothing of the node
"""Bad input of every kind: a clear sentence, the right exit code, and nothing lost."""

import os
import re
import subprocess
from pathlib import Path

import harness
from harness import wait_for

QUIET = "collectors: {unit: false}\npolicies: []\n"
HEAD = "policies:\n  - name: a\n    when:\n      "
FS = 'filesystem: {mountpoint: /data, used_percent: {above: 90}}\n'
CLEAN = HEAD + FS + "    do:\n      - clean-files: %s\n        expect: {freed: 1MiB, within: 5s}\n"

# What is wrong, the text, the line it must be found at (0: anywhere), and words its sentence must hold.
FAULTS = [
    ("unknown key", "intervall: 1s\n", 1, "interval"),
    ("unknown key inside", "budget:\n  cpu_percnt: 1\n", 2, "cpu_percent"),
    ("unknown collector", "collectors: {sycall: true}\n", 1, "syscall"),
    ("unit missing", "interval: 5\n", 1, "5s|unit|duration"),
    ("not a duration", "interval: soon\n", 1, "duration|time"),
    ("out of range", "interval: 1ms\n", 1, "100 ?ms"),
    ("bad mode", "mode: enforced\n", 1, "enforce"),
    ("a list where a mapping belongs", "budget: [1]\n", 1, "mapping"),
    ("a mapping where a word belongs", "mode: {a: b}\n", 1, "mode|mapping"),
    ("twice the same key", "mode: shadow\ninterval: 1s\nmode: shadow\n", 3, "line 1"),
    ("an alias", "a: &x 1\nb: *x\n", 1, "alias|anchor"),
    ("a tab for indentation", "budget:\n\tcpu_percent: 1\n", 2, "tab|character"),
    ("an open bracket", "policies: [\n", 0, "."),
    ("policy without a name", "policies:\n  - when:\n      " + FS, 2, "name"),
    ("policy without when", "policies:\n  - name: a\n", 2, "when"),
    ("two policies of one name", HEAD + FS + "  - name: a\n    when:\n      " + FS, 5, "a"),
    ("unknown condition", HEAD + "filesytem: {mountpoint: /}\n", 4, "filesystem"),
    ("no measure", HEAD + "memory: {for: 5s}\n", 4, "used_percent"),
    ("two measures", HEAD + "memory: {used_percent: {above: 90}, available_bytes: {below: 1GiB}}\n", 4, "one"),
    ("clear on the wrong side", HEAD + "memory: {used_percent: {above: 90, clear: 95}}\n", 4, "clear"),
    ("a percentage above 100", HEAD + "memory: {used_percent: {above: 190}}\n", 4, "100"),
    ("any process at all", HEAD + "process: {memory: {above: 1GiB}}\n", 4, "comm|selector"),
    ("unit without suffix", HEAD + "unit: {name: web, state: failed}\n", 4, "suffix|web.service"),
    ("state and probe", HEAD + 'unit: {name: w.service, state: failed, probe: {tcp: "127.0.0.1:1"}}\n', 4, "one"),
    ("a probe by name", HEAD + 'unit: {name: w.service, probe: {tcp: "example.org:80"}}\n', 4, "numeric|address"),
    ("unknown remedy", HEAD + FS + "    do:\n      - cleanfiles: {root: /srv/a}\n        expect: {freed: 1MiB, within: 5s}\n", 6, "clean-files"),
    ("no expectation", HEAD + FS + '    do:\n      - clean-files: {root: /srv/a, match: ["*.tmp"]}\n', 6, "expect"),
    ("no deadline", HEAD + FS + '    do:\n      - clean-files: {root: /srv/a, match: ["*.tmp"]}\n        expect: {freed: 1MiB}\n', 7, "within"),
    ("nothing to match", CLEAN % "{root: /srv/a, match: []}", 6, "match"),
    ("root is /", CLEAN % '{root: /, match: ["*.tmp"]}', 6, "/"),
    ("root is /etc", CLEAN % '{root: /etc, match: ["*.tmp"]}', 6, "/etc"),
    ("root below a database", CLEAN % '{root: /var/lib/postgresql/15, match: ["*.tmp"]}', 6, "postgresql"),
    ("root with dots", CLEAN % '{root: /srv/../etc, match: ["*.tmp"]}', 6, r"\.\."),
    ("root not absolute", CLEAN % '{root: srv/a, match: ["*.tmp"]}', 6, "absolute"),
    ("cooldown below within", CLEAN % '{root: /srv/a/b, match: ["*.tmp"]}' + "    limits: {cooldown: 1s}\n", 8, "cooldown"),
    ("per target above per node", CLEAN % '{root: /srv/a/b, match: ["*.tmp"]}' + "    limits: {per_target: 20/1h, per_node: 10/1h}\n", 8, "per_node"),
    ("a bad rate", CLEAN % '{root: /srv/a/b, match: ["*.tmp"]}' + "    limits: {per_target: often}\n", 8, "3/1h"),
    ("terminate on a filesystem", HEAD + FS + "    do:\n      - terminate: {scope: process}\n        expect: {exited: 1, within: 5s}\n", 6, "terminate"),
    ("notify: to nobody", HEAD + FS + "    do:\n      - notify: {to: oncall}\n", 6, "there is no output"),
    ("what this version does not know", HEAD + FS + "    limits: {fleet: 10%}\n", 5, "fleet"),
]


def configurations(bench):
    """`check` finds each fault where it stands, and `run` refuses to start with it."""
    path = Path(bench.dir, "bad.yaml")
    for name, text, line, words in FAULTS:
        path.write_text(text)
        code, out, err = harness.run_cli("check", path)
        places = re.findall(rf"^{re.escape(str(path))}:(\d+):(\d+): (.+)$", err, re.M)
        found = any((line in (0, int(at))) and re.search(words, what, re.I) for at, _, what in places)
        bench.ok(f"check: {name}", code == 2 and found, f"exit {code}, wanted line {line} with /{words}/, said: {err}{out}")
    path.write_text("intervall: 1s\nmodes: shadow\n" + HEAD + "memry: {}\n")
    _, _, err = harness.run_cli("check", path)
    bench.ok("all faults in one run", len(re.findall(r"^\S+:\d+:\d+: ", err, re.M)) >= 3, err)
    done = subprocess.run([str(harness.BINARY), "run", "--config", str(path), "--run-dir", bench.dir, "--state-dir", bench.dir, "--listen", ""],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    bench.ok("run refuses it with 2", done.returncode == 2 and b"bad.yaml:1:" in done.stderr, f"exit {done.returncode}: {done.stderr}")


def bytes_of_every_kind(bench):
    """Files that are no configuration at all."""
    path = Path(bench.dir, "odd.yaml")
    kinds = {
        "empty": (b"", 0), "only a comment": (b"# nothing\n", 0), "carriage returns": (b"mode: shadow\r\ninterval: 2s\r\n", 0),
        "JSON": (b'{"mode": "shadow", "interval": "2s"}', 0), "a byte order mark": (b"\xef\xbb\xbfmode: shadow\n", 0),
        "a NUL byte": (b"mode: sha\0dow\n", 2), "random bytes": (bytes(range(256)) * 40, 2), "not UTF-8": (b"node: \xff\xfe\n", 2),
        "two megabytes": (b"#" * (2 << 20), 2), "ten thousand brackets": (b"[" * 10000, 2), "a scalar": (b"hello\n", 2),
        "a list": (b"- a\n- b\n", 2),
    }
    for name, (data, wanted) in kinds.items():
        path.write_bytes(data)
        code, out, err = harness.run_cli("check", path)
        bench.ok(f"check: {name}", code == wanted and (code == 0 or str(path) in err), f"exit {code}, wanted {wanted}: {err}{out}")
    code, _, err = harness.run_cli("check", Path(bench.dir, "none.yaml"))
    bench.ok("check: no such file", code == 2 and "none.yaml" in err, f"exit {code}: {err}")
    code, _, err = harness.run_cli("check", bench.dir)
    bench.ok("check: a folder", code == 2 and bench.dir in err, f"exit {code}: {err}")


def reload_keeps_the_old(bench):
    """A reload that is wrong changes nothing and says why; one that is right takes effect."""
    agent = bench.agent(QUIET + "interval: 1s\n")
    agent.config.write_text("intervall: 2s\n")
    code, out, err = agent.cli("reload")
    bench.ok("a bad one is refused with 2", code == 2 and ":1:" in err + out, f"exit {code}: {out}{err}")
    agent.next_feed()
    bench.equal("the old one stays", agent.feed().document["interval_seconds"], 1)
    agent.config.write_text(QUIET + "interval: 500ms\n")
    code, out, err = agent.cli("reload")
    bench.equal("a good one is taken", code, 0)
    wait_for("the new interval", lambda: agent.feed().document["interval_seconds"] == 0.5, 15)
    bench.ok("and takes effect", True)


def open_incident_agent(bench):
    """An agent that has one incident open, ended; its state holds something that would be missed."""
    agent = bench.agent(QUIET.replace("[]", '\n  - name: always\n    when:\n      memory: {used_percent: {above: 0.01, clear: 0.001}}\n'))
    incident = wait_for("the incident", lambda: agent.incidents(), 20)[0]
    agent.cli("pause", "because")
    agent.next_feed(2)
    return agent, incident


def aside(agent, stem):
    return sorted(path.name for path in agent.state_dir.iterdir() if path.name.startswith(stem) and "corrupt" in path.name)


def state_directory(bench):
    """One broken slot costs nothing; two are moved aside, said, and the agent lives."""
    agent, incident = open_incident_agent(bench)
    agent.stop()
    slots = sorted(agent.state_dir.glob("state.json.[ab]"))
    bench.equal("two slots", len(slots), 2)
    newest = max(slots, key=lambda path: int(path.read_bytes().split(b"\n", 1)[0].split()[3] or 0))
    good = {path: path.read_bytes() for path in slots}

    for name, broken in (("truncated", lambda data: data[:100]), ("garbled", lambda data: data[:400] + b"\xff" * 64 + data[464:]),
                         ("emptied", lambda data: b"")):
        for path in slots:
            path.write_bytes(good[path])
        newest.write_bytes(broken(good[newest]))
        agent.start()
        bench.ok(f"one slot {name}: the incident is still known", agent.incidents(id=incident["id"]), agent.incidents())
        agent.stop()
        good = {path: path.read_bytes() for path in slots}
        newest = max(slots, key=lambda path: int(path.read_bytes().split(b"\n", 1)[0].split()[3] or 0))

    for path in slots:
        path.write_bytes(b"sha256 nonsense\n{")
    agent.log.write_bytes(b"")
    agent.start()
    bench.ok("both slots broken: the agent runs", agent.feed().document["seq"] >= 1)
    bench.ok("and moved them aside", len(aside(agent, "state.json")) >= 1, os.listdir(agent.state_dir))
    bench.ok("and said so", "state" in agent.log_tail(200), agent.log_tail())
    bench.equal("and still ends well", agent.stop(), 0)


def journal_file(bench):
    """A corrupt journal is moved aside, never overwritten; `verify` says which line."""
    agent, _ = open_incident_agent(bench)
    code, out, err = agent.cli("apply", "clean-files", bench.dir, "--match", "*.nothing", "--yes")
    agent.cli("resume")
    code, out, err = agent.cli("apply", "clean-files", str(Path(bench.dir)), "--match", "*.nothing", "--yes")
    journal = agent.state_dir / "journal.jsonl"
    wait_for("a record", lambda: b"\n" in journal.read_bytes().strip(b"\0"), 10)
    agent.stop()
    code, out, err = harness.run_cli("journal", "verify", "--state-dir", agent.state_dir)
    bench.equal("a whole journal verifies", code, 0)
    data = journal.read_bytes()
    journal.write_bytes(data.replace(b"clean-files", b"clean-filez", 1))
    code, out, err = harness.run_cli("journal", "verify", "--state-dir", agent.state_dir)
    bench.ok("a changed one does not, and the line is named", code == 1 and re.search(r"line \d+|:\d+", out + err), f"exit {code}: {out}{err}")
    changed = journal.read_bytes()
    agent.start()
    moved = aside(agent, "journal.jsonl")
    bench.ok("it is moved aside", len(moved) == 1, os.listdir(agent.state_dir))
    bench.ok("whole", moved and (agent.state_dir / moved[0]).read_bytes().startswith(changed.rstrip(b"\0")[:200]), "other bytes")
    bench.equal("and the agent ends well", agent.stop(), 0)
    code, out, err = harness.run_cli("journal", "verify", "--state-dir", agent.state_dir)
    bench.equal("the new one verifies", code, 0)
    code, _, err = harness.run_cli("journal", "verify", "--state-dir", Path(bench.dir, "nowhere"))
    bench.equal("no such folder is 2", code, 2)

    torn = journal.read_bytes().rstrip(b"\0") + b'{"schema":"nodemend.action/1","id":"ha'
    journal.write_bytes(torn)
    agent.start()
    bench.equal("a torn last line is no corruption", len(aside(agent, "journal.jsonl")), 1)
    agent.stop()


def directories(bench):
    """Folders that cannot be used: a sentence that names them, and 2; 4 where it is the right to write that is missing."""
    config = Path(bench.dir, "c.yaml")
    config.write_text(QUIET)
    file = Path(bench.dir, "file")
    file.write_text("")
    readonly = Path(bench.dir, "readonly")
    readonly.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", readonly], check=True)
    bench.stack.callback(subprocess.run, ["umount", "-l", readonly], check=False)
    good = Path(bench.dir, "good")
    good.mkdir()
    for name, run_dir, state_dir, wanted, exit_code in (
            ("run directory is a file", file, good, file, 2), ("run directory is read-only", readonly, good, readonly, 4),
            ("run directory cannot be made", Path("/proc/nope"), good, "/proc/nope", 2),
            ("state directory is a file", good, file, file, 2), ("state directory is read-only", good, readonly, readonly, 4)):
        done = subprocess.run([str(harness.BINARY), "run", "--config", str(config), "--run-dir", str(run_dir), "--state-dir", str(state_dir),
                               "--listen", ""], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
        bench.ok(name, done.returncode == exit_code and str(wanted).encode() in done.stderr, f"exit {done.returncode}: {done.stderr[-400:]}")
    agent = bench.agent(QUIET)
    done = subprocess.run([str(harness.BINARY), "run", "--config", str(config), "--run-dir", str(agent.run_dir), "--state-dir", str(good),
                           "--listen", ""], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    bench.ok("a second agent in one run directory is refused", done.returncode == 1 and b"another agent" in done.stderr, f"exit {done.returncode}: {done.stderr[-400:]}")
    bench.equal("and the first one lives", agent.cli("status")[0], 0)


def features_refused(bench):
    """A kernel that refuses BPF, or a user without rights: what is left goes on, and says what is missing."""
    agent = bench.agent(QUIET, wrap=["setpriv", "--bounding-set", "-bpf,-perfmon,-sys_admin"])
    feed = agent.next_feed()
    for name in ("syscall", "task", "fswrite"):
        rows = feed.samples("nodemend_collector_up", collector=name)
        bench.ok(f"{name} is down", rows and all(row["value"] == 0 for row in rows), rows)
    bench.ok("processes come from procfs", feed.samples("nodemend_collector_up", collector="process", source="procfs"),
             feed.samples("nodemend_collector_up", collector="process"))
    bench.ok("memory is still measured", feed.total("node_memory_MemTotal_bytes") > 0)
    bench.ok("absent, not zero", not feed.samples("nodemend_syscalls_total"), feed.samples("nodemend_syscalls_total")[:2])
    status, _, body = agent.get("/readyz")
    bench.ok("/readyz says which", status == 503 and b"syscall" in body, f"{status} {body[:300]}")
    code, out, err = agent.cli("doctor")
    bench.ok("doctor says why", code == 1 and re.search(r"syscall.*(permitted|denied|CAP|refused)", out, re.I), f"{code}: {out[:800]}{err}")
    said = [line for line in agent.log.read_text().splitlines() if "syscall" in line]
    bench.ok("each is said once", len(said) == 1, said)
    bench.equal("it ends well", agent.stop(), 0)
    agent = bench.agent(QUIET, name="few-files", wrap=["prlimit", "--nofile=24:24"], ready=False)
    wait_for("the agent to answer or to say why not", lambda: agent.process.poll() is not None or agent.cli("status")[0] == 0, 30)
    code = agent.process.poll()
    bench.ok("24 descriptors: runs, or says why not", code is None or (code in (1, 2) and agent.log.read_text().strip()), f"{code} {agent.log_tail()}")
    bench.ok("no signal ended it", code is None or code >= 0, code)


def no_agent(bench):
    """Commands without an agent: 3, and a sentence with the socket."""
    for words in (["status"], ["incidents"], ["why", "x"], ["remedies"], ["pause"], ["resume"], ["reload"]):
        code, out, err = harness.run_cli(*words, "--run-dir", bench.dir)
        bench.ok(f"{words[0]} without an agent", code == 3 and bench.dir in err, f"exit {code}: {out}{err}")
    agent = bench.agent(QUIET)
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(harness.BINARY), "pause", "--run-dir",
                           str(agent.run_dir)], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    bench.ok("a stranger may not pause", done.returncode == 4 and done.stderr, f"exit {done.returncode}: {done.stderr}")
    for words in (["nonsense"], ["status", "--nonsense"], ["why"], ["apply"], ["apply", "nonsense", "/x"], ["pause", "--for", "soon"]):
        code, _, err = harness.run_cli(*words)
        bench.ok(f"usage: {' '.join(words)}", code == 2 and err, f"exit {code}: {err}")


if __name__ == "__main__":
    raise SystemExit(harness.main(configurations, bytes_of_every_kind, reload_keeps_the_old, state_directory, journal_file, directories,
                                  features_refused, no_agent))
