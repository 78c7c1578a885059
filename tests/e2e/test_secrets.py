#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# wire: it measures nothing of the node
"""A process whose name, command line and cgroup hold secrets becomes the cause of an incident and the target of a remedy; then
everything that leaves the agent is searched for them. And the log: each line against its schema, its level by reload.
"""

import fcntl
import json
import subprocess

import jsonschema

import harness
from harness import wait_for

NAMED, ARGUED, GROUPED, OWN = "hunt3rXq", "Zw8argument", "Kp4cgroupX", "EMP-4711"
CONFIG = """
interval: 1s
mode: {mode}
collectors: {{unit: false}}
top_processes: 1000
log: {{format: {format}, level: {level}}}
mask: {{keys: ["*_dsn"], patterns: ["EMP-[0-9]+"]}}
policies:
  - name: grower
    when:
      process: {{cgroup: "{cgroup}", memory: {{above: 100MiB}}}}
    mode: enforce
    do:
      - terminate: {{scope: process, term_wait: 1s}}
        expect: {{exited: 1, within: 5s}}
    limits: {{cooldown: 6s, per_target: 20/1h, per_node: 20/1h}}
"""
# pass=… is 15 bytes at most: what a process may call itself.
HOLDER = """
import ctypes, sys, time
ctypes.CDLL(None).prctl(15, sys.argv[1].encode(), 0, 0, 0)
held = bytearray(200 << 20)
for i in range(0, len(held), 4096): held[i] = 1
print("ready", flush=True)
time.sleep(600)
"""


def holder(bench, folder, name, ready=True):
    argv = ["/usr/bin/python3", "-c", HOLDER, name, "--password", ARGUED, f"--token={ARGUED}"]
    return harness.Program(bench, argv, cgroup=folder, ready=ready)


def nothing_leaves(bench):
    folder, path = bench.cgroup(f"token={GROUPED}")
    agent = bench.agent(CONFIG.format(mode="shadow", cgroup=path, format="auto", level="debug"))
    held = [holder(bench, folder, f"pass={NAMED}"), holder(bench, folder, OWN)]
    stream = agent.stream()
    wait_for("the incident", lambda: agent.incidents(policy="grower"), 20)
    wait_for("the plan", lambda: agent.actions(remedy="terminate"), 20)
    agent.config.write_text(CONFIG.format(mode="enforce", cgroup=path, format="auto", level="debug"))
    # While an act is under way it is put off, and said so.
    bench.ok("reload", wait_for("the reload", lambda: agent.cli("reload")[0] == 0, 30))

    def feed_is_back():
        try:
            return agent.get_json("/v1/metrics")["seq"]
        except (OSError, ValueError):
            return None
    wait_for("the publisher", feed_is_back, 20)
    agent.next_feed(2)
    everything = {}

    def look(when):
        for where in ("/metrics", "/v1/metrics", "/v1/incidents?limit=256", "/v1/actions?limit=512", "/v1/report?since=1h"):
            everything[f"{when}{where}"] = agent.get(where)[2].decode(errors="replace")
        openmetrics = {"Accept": "application/openmetrics-text; version=1.0.0"}
        everything[f"{when}OpenMetrics"] = agent.get("/metrics", openmetrics)[2].decode()
        everything[f"{when}metrics.json"] = (agent.run_dir / "metrics.json").read_text()
        ids = [row["id"] for row in agent.incidents()]
        for words in (["status"], ["status", "--json"], ["incidents", "--all"], ["incidents", "--json"], ["doctor"], ["remedies"], *(["why", i] for i in ids),
                      *(["why", i, "--json"] for i in ids)):
            everything[when + " ".join(words)] = "".join(map(str, agent.cli(*words)[1:]))
    look("before ")
    bench.ok("the processes are told of", "pass=***" in everything["before /metrics"] and 'comm="***"' in everything["before /metrics"])
    bench.ok("and the cgroup", "token=***" in everything["before /v1/incidents?limit=256"], everything["before /v1/incidents?limit=256"][:600])
    dry = agent.cli("apply", "terminate", f"pid:{held[0].pid}", "--dry-run")
    everything["apply"] = "".join(map(str, dry[1:]))
    wait_for("both to be ended", lambda: not any(program.alive() for program in held), 40)
    wait_for("the record", lambda: [row for row in agent.actions(remedy="terminate") if row["outcome"] == "fixed"], 20)
    agent.next_feed(2)
    look("after ")
    bench.ok("the cause is told of", "pass=***" in everything["after /v1/incidents?limit=256"], everything["after /v1/incidents?limit=256"][:800])
    bench.equal("the agent ends well", agent.stop(), 0)
    everything["log"] = agent.log.read_text()
    for file in agent.state_dir.rglob("*"):
        if file.is_file():
            everything[f"state: {file.name}"] = file.read_text(errors="replace")
    bench.ok("the journal has the acts", "terminate" in everything.get("state: journal.jsonl", ""))
    everything["stream"] = json.dumps([document for _, _, document in stream.events])
    bench.ok("the stream was read", stream.of("incident"))
    found = [f"{secret} in {where}: {text[max(0, text.index(secret) - 80):][:160]}" for where, text in everything.items()
             for secret in (NAMED, ARGUED, GROUPED, OWN) if secret in text]
    bench.note(f"{len(everything)} outputs, {sum(map(len, everything.values())) >> 10} KiB searched")
    bench.ok("no secret is anywhere", not found, found)


def log_lines(agent):
    return [json.loads(line) for line in agent.log.read_text().splitlines()]


def json_lines(bench):
    """stderr is a file here: each line is an object of the schema, and a reload changes the level."""
    folder, path = bench.cgroup("plain")
    agent = bench.agent(CONFIG.format(mode="enforce", cgroup=path, format="auto", level="info"))
    program = holder(bench, folder, "plain", ready=False)  # it may be ended before it has said that it is
    wait_for("its end", lambda: not program.alive(), 40)
    wait_for("its record", lambda: [row for row in agent.actions(remedy="terminate") if row["outcome"] == "fixed"], 20)
    schema = jsonschema.Draft202012Validator(json.loads((harness.ROOT / "docs/schema/log.schema.json").read_text()))
    lines = wait_for("the line of the act", lambda: (lambda found: any(line.get("outcome") == "fixed" for line in found) and found)(log_lines(agent)), 10)
    faults = [f"{line}: {error.message}" for line in lines for error in schema.iter_errors(line)]
    bench.ok(f"{len(lines)} lines are of the schema", not faults, faults[:3])
    bench.ok("the schema refuses others", not schema.is_valid({"schema": "nodemend.log/1", "message": "x"}))
    act = next(line for line in lines if line.get("outcome") == "fixed")
    incident = agent.actions(remedy="terminate")[0]["incident"]
    bench.equal("an act has its fields", (act["incident"], act["policy"], act["remedy"], act["level"]), (incident, "grower", "terminate", "info"))
    bench.ok("an incident has its own", any(line.get("incident") == incident and "action" not in line for line in lines))

    agent.config.write_text(CONFIG.format(mode="enforce", cgroup=path, format="auto", level="error"))
    bench.equal("reload", agent.cli("reload")[0], 0)
    said = len(log_lines(agent))
    bench.equal("pause", agent.cli("pause", "quiet")[0], 0)
    bench.equal("at level error a pause is not told", [line["message"] for line in log_lines(agent)[said:] if "paused" in line["message"]], [])
    agent.config.write_text(CONFIG.format(mode="enforce", cgroup=path, format="text", level="info"))
    bench.equal("reload to text", agent.cli("reload")[0], 0)
    bench.equal("resume", agent.cli("resume")[0], 0)
    bench.ok("text from here on", wait_for("it", lambda: "\nnodemend: warning: resumed" in agent.log.read_text(), 10))


def full_pipe(bench):
    """Nobody reads the agent's stderr: it goes on, and says later what it could not."""
    agent = bench.agent(CONFIG.format(mode="enforce", cgroup="/none", format="json", level="info"))
    agent.stop()
    argv = [str(harness.BINARY), "run", "--config", str(agent.config), "--run-dir", str(agent.run_dir), "--state-dir", str(agent.state_dir),
            "--listen", agent.listen]
    agent.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    fcntl.fcntl(agent.process.stderr, fcntl.F_SETPIPE_SZ, 4096)
    agent.wait_ready()
    for i in range(15):  # together more than the pipe holds
        agent.cli("pause", f"{i} " + "x" * 150)
        agent.cli("resume")
    before = agent.feed().document["seq"]
    bench.ok("it ticks on", wait_for("a tick", lambda: agent.feed().document["seq"] > before + 1, 15))
    agent.process.send_signal(15)
    lines = agent.process.stderr.read().decode().splitlines()
    bench.equal("and ends", agent.process.wait(15), 0)
    faults = [line for line in lines if not line.startswith("{") or not line.endswith("}")]
    bench.ok("every line is whole", not faults, faults[:2])
    bench.note(f"{len(lines)} lines got through")


if __name__ == "__main__":
    raise SystemExit(harness.main(nothing_leaves, json_lines, full_pipe, together=3))
