#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# wire: it measures nothing of the node
"""Every command against a running agent: what it says, as text and as JSON, and its exit code."""

import json
import os
import re
import time
from pathlib import Path

import harness
from harness import wait_for

COMMANDS = ["run", "check", "doctor", "status", "incidents", "why", "remedies", "apply", "pause", "resume", "reload", "journal", "undo", "outlook", "forecast"]
CONFIG = """
interval: 1s
mode: enforce
collectors: {unit: false}
policies:
  - name: always
    when:
      memory: {used_percent: {above: 0.01, clear: 0.001}}
    mode: observe
"""


def json_line(bench, name, answer, wanted=0):
    code, out, err = answer
    try:
        document = json.loads(out)
    except ValueError:
        document = None
    bench.ok(f"{name} --json: one line", code == wanted and document is not None and out.count("\n") == 1, f"exit {code}: {out[:300]} {err[:300]}")
    return document or {}


def help_and_version(bench):
    code, out, err = harness.run_cli("--version")
    bench.ok("--version", code == 0 and re.match(r"nodemend \d+\.\d+\.\d+", out) and not err, f"{code} {out}{err}")
    code, out, err = harness.run_cli("--help")
    bench.ok("--help lists every command", code == 0 and all(re.search(rf"^\s+(nodemend )?{name}\b", out, re.M) for name in COMMANDS) and not err, f"{code} {out}{err}")
    for name in COMMANDS:
        code, out, err = harness.run_cli(name, "--help")
        bench.ok(f"{name} --help", code == 0 and name in out and not err, f"{code} {out}{err}")
    bench.equal("no command at all", harness.run_cli()[0], 2)


def looking(bench):
    agent = bench.agent(CONFIG)
    incident = wait_for("the incident", agent.incidents, 20)[0]
    code, out, err = agent.cli("status")
    bench.ok("status", code == 0 and all(re.search(word, out, re.I) for word in ("cpu", "memory", "disk", "network", "enforce")), f"{code} {out}{err}")
    bench.ok("status is plain when piped", "\x1b" not in out, repr(out))
    document = json_line(bench, "status", agent.cli("status", "--json"))
    bench.ok("status --json: nothing but facts", document, document)
    code, out, _ = agent.cli("incidents")
    bench.ok("incidents", code == 0 and "memory_exhaustion" in out and incident["id"][:6] in out, out)
    document = json_line(bench, "incidents", agent.cli("incidents", "--json"))
    bench.ok("incidents --json", [i["id"] for i in document.get("incidents", [])] == [incident["id"]], document)
    code, out, _ = agent.cli("why", incident["id"])
    bench.ok("why", code == 0 and "memory" in out and "always" in out, out)
    json_line(bench, "why", agent.cli("why", incident["id"], "--json"))
    bench.equal("why, an unknown id", agent.cli("why", "zzzz-none")[0], 1)
    code, out, _ = agent.cli("remedies")
    bench.ok("remedies", code == 0 and all(name in out for name in ("clean-files", "restart-unit", "terminate")), out)
    json_line(bench, "remedies", agent.cli("remedies", "--json"))
    code, out, err = agent.cli("remedies", "show", "clean-files")
    bench.ok("remedies show", code == 0 and "clean-files" in out, f"{code} {out}{err}")
    bench.equal("remedies show, an unknown one", agent.cli("remedies", "show", "nothing")[0] in (1, 2), True)
    code, out, err = agent.cli("doctor")
    bench.ok("doctor", code == 0 and all(word in out for word in ("syscall", "BTF", "PSI", "clean-files")), f"{code} {out}{err}")
    json_line(bench, "doctor", agent.cli("doctor", "--json"))
    code, out, err = harness.run_cli("doctor", "--run-dir", f"{bench.dir}/none", "--state-dir", f"{bench.dir}/none")
    bench.ok("doctor without an agent", code in (0, 1) and "syscall" in out, f"{code} {out}{err}")
    code, out, err = harness.run_cli("check", agent.config)
    bench.ok("check", code == 0 and re.search(r"ok, 1 polic", out), f"{code} {out}{err}")
    json_line(bench, "check", harness.run_cli("check", agent.config, "--json"))


def changing(bench):
    agent = bench.agent(CONFIG)
    code, out, err = agent.cli("pause", "--for", "1h", "night", "shift")
    bench.ok("pause", code == 0, f"{code} {out}{err}")
    code, out, _ = agent.cli("status")
    bench.ok("status says paused and why", "paused" in out.lower() and "night" in out, out)
    bench.ok("status --json too", "paused" in agent.cli("status", "--json")[1], "")
    bench.equal("resume", agent.cli("resume")[0], 0)
    wait_for("status to say so", lambda: "night" not in agent.cli("status")[1], 10)
    agent.cli("pause", "--for", "1s")
    wait_for("a pause to end by itself", lambda: not re.search(r"\bpaused\b", agent.cli("status")[1].lower()), 15)
    bench.ok("a pause ends by itself", True)
    agent.config.write_text(CONFIG.replace("always", "renamed"))
    bench.equal("reload", agent.cli("reload")[0], 0)
    wait_for("the new policy to speak", lambda: any("renamed" in str(i) for i in agent.incidents()), 15)
    bench.ok("reload takes the new policies", True)
    agent.config.write_text(CONFIG.replace("interval: 1s", "interval: 2s"))
    agent.process.send_signal(1)
    wait_for("SIGHUP to do the same", lambda: agent.feed().document["interval_seconds"] == 2, 15)
    bench.ok("SIGHUP does the same", True)


def logs_in(folder):
    folder.mkdir(parents=True)
    names = []
    for i in range(6):
        path = folder / f"a.log.{i}"
        path.write_bytes(os.urandom(1 << 20))
        os.utime(path, (time.time() - (i + 2) * 3600,) * 2)
        names.append(path)
    (folder / "keep.txt").write_text("keep")
    return names


def applying(bench):
    """By hand, under the same guards and in the same journal."""
    agent = bench.agent(CONFIG)
    folder = Path(bench.dir, "srv/logs")
    files = logs_in(folder)
    time_to_age = max(path.stat().st_ctime for path in files) + 1.2
    wait_for("the files to be old enough", lambda: time.time() > time_to_age, 10)
    how = ["--match", "*.log.*", "--arg", "min_age=1s", "--arg", "keep_newest=2"]
    code, out, err = agent.cli("apply", "clean-files", folder, *how, "--dry-run")
    bench.ok("--dry-run says what it would do", code == 0 and "a.log.5" in out, f"{code} {out}{err}")
    bench.ok("and does nothing", all(path.exists() for path in files))
    document = json_line(bench, "apply", agent.cli("apply", "clean-files", folder, *how, "--yes", "--json"))
    gone = [path.name for path in files if not path.exists()]
    bench.equal("the old ones go, the newest stay", sorted(gone), [f"a.log.{i}" for i in range(2, 6)])
    bench.ok("keep.txt stays", (folder / "keep.txt").exists())
    action = document.get("action", document)
    bench.ok("its record", action.get("outcome") in ("fixed", "improved") and action["observed"]["freed_bytes"] == 4 << 20, action)
    bench.ok("it is in the journal", [r for r in agent.journal() if r["id"] == action.get("id")], agent.journal()[-2:])
    code, out, err = agent.cli("apply", "clean-files", folder, *how, "--yes")
    bench.equal("again: no effect is 1", code, 1)
    for root in ("/", "/etc", "/usr/lib", "/var/lib/dpkg"):
        code, out, err = agent.cli("apply", "clean-files", root, "--match", "*.nothing-like-this", "--yes")
        bench.ok(f"{root} is refused", code in (1, 2) and err + out, f"{code} {out}{err}")
    bench.ok("pid 1 is refused", agent.cli("apply", "terminate", "pid:1", "--yes")[0] == 1)
    bench.ok("the agent itself is refused", agent.cli("apply", "terminate", f"pid:{agent.pid}", "--yes")[0] == 1 and agent.process.poll() is None)
    victim = bench.program("spinner", "--seconds", 60)
    agent.next_feed()
    code, out, err = agent.cli("apply", "terminate", f"pid:{victim.pid}", "--yes")
    bench.ok("terminate pid:N", code == 0 and wait_for("its end", lambda: not victim.alive(), 10), f"{code} {out}{err}")
    agent.cli("pause", "hold")
    victim = bench.program("spinner", "--seconds", 60)
    agent.next_feed()
    code, out, err = agent.cli("apply", "terminate", f"pid:{victim.pid}", "--yes")
    bench.ok("a pause holds for hands too", code == 1 and victim.alive() and "pause" in (out + err), f"{code} {out}{err}")
    code, _, _ = harness.run_cli("journal", "verify", "--state-dir", agent.state_dir)
    bench.equal("journal verify", code, 0)
    json_line(bench, "journal verify", harness.run_cli("journal", "verify", "--json", "--state-dir", agent.state_dir))


if __name__ == "__main__":
    raise SystemExit(harness.main(help_and_version, looking, changing, applying))
