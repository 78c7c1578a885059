#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Services of a real systemd: one that crashes, one that hangs, one that always dies. The agent restarts them through
D-Bus, once from outside of the container and once from inside, and knows when to stop and call a human. One that is only slow, that
starts by itself, or that takes its time is left alone.
"""

import json
import re
import shutil
import signal
import socketserver
import subprocess
import threading
import time
from pathlib import Path

import harness
from container import Container
from harness import wait_for

TRIES = 3


def service(description, start):
    """Each start leaves a line behind, so that a test can count them without trusting anybody."""
    return f"""[Unit]
Description={description}
[Service]
Restart=no
ExecStartPre=/bin/sh -c 'mkdir -p /run-counts; echo x >> /run-counts/%n'
ExecStart={start}
"""


def units(port):
    return {
        "crashes.service": service("dies when it is hit", "/bin/sleep infinity"),
        "hangs.service": service("answers until it hangs", f"/opt/programs/hang_server {port}"),
        "dies.service": service("always dies", "/bin/sh -c 'sleep 0.2; exit 7'"),
        "innocent.service": service("nobody's business", "/bin/sleep infinity"),
    }


def more_units():
    """For the acts by hand, each its own corner."""
    idle = "/bin/sleep infinity"
    return {
        "slow.service": service("answers late", idle),
        "deaf.service": service("does not stop when asked to", "/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'"),
        "base.service": service("carries another", idle),
        "hanger.service": service("hangs on it", idle).replace("[Service]", "PartOf=base.service\nAfter=base.service\n[Service]"),
        "again.service": service("starts again by itself", idle).replace("Restart=no", "Restart=always\nRestartSec=60"),
        "starts.service": service("takes long to start", "/bin/sleep 8").replace("[Service]", "[Service]\nType=oneshot\nRemainAfterExit=yes"),
        "reloads.service": service("reads its configuration again", idle) + "ExecReload=/bin/true\n",
        "down.service": service("is to run", idle),
        "fails.service": service("fails", "/bin/false"),
    }


class Late(socketserver.ThreadingTCPServer):
    """Answers HTTP, a while after it was asked."""
    allow_reuse_address = daemon_threads = True

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(2048)
            time.sleep(1.2)
            self.request.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()


def slow_policy(port):
    return f"""
  - name: slow
    when:
      unit: {{name: slow.service, probe: {{http: "http://127.0.0.1:{port}/"}}, timeout: 500ms, every: 500ms, failures: 3}}
    mode: enforce
    do:
      - restart-unit: {{unit: slow.service, patience: 5s}}
        expect: {{unit: active, within: 10s}}
    limits: {{cooldown: 30s, per_target: 10/1h, per_node: 50/1h}}
"""


def policies(port, bus):
    def policy(name, condition, limits):
        return f"""
  - name: {name}
    when:
      unit: {{name: {name}.service, {condition}}}
    mode: enforce
    do:
      - restart-unit: {{unit: {name}.service, job_timeout: 5s}}
        expect: {{unit: active, within: 5s}}
    limits: {limits}
"""
    return ("interval: 500ms\nmode: enforce\n" + (f'systemd_bus: "{bus}"\n' if bus else "") + "policies:"
            + policy("crashes", "state: failed", "{cooldown: 5s, per_target: 10/1h, per_node: 50/1h}")
            + policy("hangs", f'probe: {{http: "http://127.0.0.1:{port}/health"}}, timeout: 500ms, every: 500ms, failures: 3',
                     "{cooldown: 5s, per_target: 10/1h, per_node: 50/1h}")
            + policy("dies", "state: failed", f"{{cooldown: 5s, per_target: {TRIES}/1h, per_node: 50/1h}}"))


def mended(bench, agent, unit, kind, break_it, container):
    """Breaks the unit and waits until it is mended, proven and closed."""
    old = container.main_pid(unit)
    begun = time.monotonic()
    break_it()
    incident = wait_for(f"{unit}'s incident", lambda: next((i for i in agent.incidents() if i["resource"].get("unit") == unit
                                                            or i["resource"].get("name") == unit), None), 30)
    action = wait_for(f"{unit}'s restart", lambda: next((a for a in agent.actions(incident=incident["id"]) if a["outcome"]), None), 30)
    bench.note(f"{unit}: broken to mended {time.monotonic() - begun:.1f} s")
    bench.equal(f"{unit}: kind", incident["kind"], kind)
    bench.ok(f"{unit}: fixed", action["outcome"] == "fixed" and action["remedy"] == "restart-unit", f"{action['outcome']} {action['steps']}")
    bench.ok(f"{unit}: runs again, as another process", container.show(unit, "ActiveState") == "active" and container.main_pid(unit) not in (0, old),
             f"{container.show(unit, 'ActiveState')} {old} -> {container.main_pid(unit)}")
    bench.ok(f"{unit}: through D-Bus, its job awaited", any("job" in (s["name"] + s["detail"]).lower() for s in action["steps"]), action["steps"])
    wait_for(f"{unit}'s incident to close", lambda: agent.incidents(id=incident["id"], state="resolved"), 40)
    bench.ok(f"{unit}: its incident closes", True)


def given_up(bench, agent, container):
    """Tried as often as the policy says, then quarantined and said aloud."""
    container.run("systemctl", "start", "--no-block", "dies.service")
    incident = wait_for("the incident that needs a human", lambda: next((i for i in agent.incidents(state="needs_human")
                                                                         if "dies.service" in str(i["resource"])), None), 120)
    starts = container.starts("dies.service")
    acts = [a for a in agent.actions(remedy="restart-unit") if "dies.service" in str(a["target"]) and a["outcome"] not in (None, "refused")]
    bench.equal("dies.service: as many acts as the policy allows", len(acts), TRIES)
    bench.ok("dies.service: none of them is called fixed", all(a["outcome"] in ("no_effect", "failed") for a in acts), [a["outcome"] for a in acts])
    bench.equal("dies.service: as many starts, beside the first", starts, TRIES + 1)
    agent.next_feed(12)
    bench.equal("dies.service: and no more after that", container.starts("dies.service"), starts)
    code, out, err = agent.cli("status")
    bench.ok("status says so", re.search(r"dies\.service", out) and re.search(r"human|quarantin", out, re.I), f"{code}: {out}{err}")
    code, out, err = agent.cli("why", incident["id"])
    bench.ok("why says so", "dies.service" in out and re.search(r"human|quarantin", out, re.I), f"{code}: {out}{err}")
    _, _, body = agent.get("/metrics")
    rows = [line for line in body.decode().splitlines() if line.startswith("nodemend_incidents{") and 'state="needs_human"' in line]
    bench.ok("/metrics says so", any(float(line.rsplit(" ", 1)[1]) >= 1 for line in rows), rows)


def by_hand(agent, remedy, unit, *arguments):
    """The record of one act."""
    words = [word for argument in arguments for word in ("--arg", argument)]
    code, out, err = agent.cli("apply", remedy, unit, "--yes", "--json", *words)
    if not out.startswith("{"):
        raise harness.Failed(f"apply {remedy} {unit}: {code} {out}{err}")
    return json.loads(out)


def left_alone(bench, agent, container):
    """What is slow, or starts by itself, or is starting, is not restarted."""
    container.signal_main("again.service", signal.SIGKILL)
    wait_for("systemd to wait for RestartSec", lambda: container.show("again.service", "SubState") == "auto-restart", 10)
    bench.equal("one that starts again by itself is left to systemd", by_hand(agent, "restart-unit", "again.service")["refused_by"], "auto-restart")
    action = by_hand(agent, "start-unit", "starts.service", "job_timeout=1s")
    bench.ok("a start that takes long is not cut off", action["outcome"] == "no_effect" and container.show("starts.service", "ActiveState") == "activating", action)
    bench.equal("nor begun anew", by_hand(agent, "restart-unit", "starts.service")["refused_by"], "starting")
    action = wait_for("the slow one to be spared", lambda: next((a for a in agent.actions(remedy="restart-unit") if a["refused_by"] == "working"), None), 40)
    bench.ok("one that answers late is slow, and not stuck", "slow.service" in str(action["target"]) and container.starts("slow.service") == 1, action)


def other_acts(bench, agent, container):
    """Stopped within a time, with what hangs on it, started, reloaded, forgotten."""
    action = by_hand(agent, "restart-unit", "deaf.service", "stop_within=1s")
    bench.ok("one that does not stop is killed, and runs again", action["outcome"] == "fixed" and any(s["name"] == "kill" for s in action["steps"])
             and container.starts("deaf.service") == 2, action)
    bench.equal("not again at once", by_hand(agent, "restart-unit", "deaf.service", "back_off=5m")["refused_by"], "back-off")
    before = container.main_pid("hanger.service")
    action = by_hand(agent, "restart-unit", "base.service")
    bench.ok("what hangs on it is restarted with it", action["outcome"] == "fixed" and container.main_pid("hanger.service") not in (0, before)
             and any(s["name"] == "along" and s["ok"] for s in action["steps"]), action)
    action = by_hand(agent, "start-unit", "down.service")
    bench.ok("one that is down is started", action["outcome"] == "fixed" and container.show("down.service", "ActiveState") == "active", action)
    before = container.main_pid("reloads.service")
    action = by_hand(agent, "reload-unit", "reloads.service")
    bench.ok("a reload is seen, and is no restart", action["outcome"] == "fixed" and container.main_pid("reloads.service") == before, action)
    bench.equal("what cannot reload is not asked to", by_hand(agent, "reload-unit", "down.service")["refused_by"], "cannot-reload")
    action = by_hand(agent, "reset-failed", "fails.service")
    bench.ok("a failure is forgotten", action["outcome"] == "fixed" and container.show("fails.service", "ActiveState") == "inactive", action)
    bench.ok("starts.service came up in its own time, in one start", wait_for("it", lambda: container.show("starts.service", "ActiveState") == "active", 20)
             and container.starts("starts.service") == 1)


def outside(bench):
    """The agent is on the host and speaks to the container's systemd over its bus."""
    port, late = harness.free_port(), Late()
    container = Container(bench, units(port) | more_units())
    container.run("systemctl", "start", "crashes.service", "hangs.service", "innocent.service", "slow.service", "deaf.service", "base.service", "hanger.service",
                  "again.service", "reloads.service")
    container.run("systemctl", "start", "fails.service")
    innocent = container.main_pid("innocent.service")
    agent = bench.agent(policies(port, container.bus) + slow_policy(late.port), mode="enforce")
    left_alone(bench, agent, container)
    other_acts(bench, agent, container)
    mended(bench, agent, "crashes.service", "service_down", lambda: container.signal_main("crashes.service", signal.SIGKILL), container)
    mended(bench, agent, "hangs.service", "service_hung", lambda: container.signal_main("hangs.service", signal.SIGUSR1), container)
    given_up(bench, agent, container)
    bench.ok("the innocent unit was left alone", container.main_pid("innocent.service") == innocent != 0)
    bench.equal("the agent ends well", agent.stop(), 0)


def libraries(bench, binary):
    """The shared libraries of a program, gathered in one folder to be seen inside."""
    folder = Path(bench.dir, "lib")
    folder.mkdir()
    for line in subprocess.run(["ldd", binary], stdout=subprocess.PIPE, check=True).stdout.decode().splitlines():
        match = re.search(r"=> (/\S+)", line)
        if match and not re.match(r"lib(c|m|pthread|dl|rt)\.so", Path(match[1]).name):
            shutil.copy(match[1], folder)
    return folder


class Inside(harness.Agent):
    """The agent as a unit of the container, reached over the shared loopback and its folders."""

    def __init__(self, bench, container, config, port):
        self.bench, self.container, self.port, self.process = bench, container, port, None
        self.run_dir, self.state_dir = container.tree / "run/nodemend", container.tree / "var/lib/nodemend"
        self.log = Path(bench.dir, "inside.log")
        bench.agents.append(self)
        (container.tree / "etc/nodemend").mkdir()
        (container.tree / "etc/nodemend/nodemend.yaml").write_text(config)
        # A first boot enables what says [Install]: it may be running already, without this configuration.
        container.run("systemctl", "restart", "nodemend.service")
        try:
            wait_for("the agent inside", self._answers, 30)
        finally:
            self.keep_log()

    def keep_log(self):
        self.log.write_text(self.container.run("journalctl", "--no-pager", "-o", "cat", "-u", "nodemend.service")[1])

    def _answers(self):
        try:
            return self.get_json("/v1/metrics")["seq"] >= 1
        except (OSError, ValueError):
            return False

    def cli(self, *words, env=None):
        return (*self.container.run("/opt/nodemend", *words), "")


def unit_of_the_agent(port):
    """The one that ships, on the places of this container."""
    shipped = (harness.ROOT / "deploy/systemd/nodemend.service").read_text()
    lines = ["ExecStart=/opt/nodemend run --listen 127.0.0.1:%d" % port if line.startswith("ExecStart=") else
             "ExecReload=/opt/nodemend reload" if line.startswith("ExecReload=") else line for line in shipped.splitlines()]
    return "\n".join(lines).replace("[Service]\n", "[Service]\nEnvironment=LD_LIBRARY_PATH=/opt/lib\n") + "\n"


def journal_entries(container):
    return [json.loads(line) for line in container.run("journalctl", "--no-pager", "-o", "json", "-u", "nodemend.service")[1].splitlines()
            if line.startswith("{")]


def journal_has_fields(bench, container, agent):
    """Lines of the agent are entries with fields to search by, from its publisher, too; a journald that starts anew loses none."""
    action = next(row for row in agent.actions(remedy="restart-unit") if row["outcome"] == "fixed")
    rows = journal_entries(container)
    own = [row for row in rows if row.get("NODEMEND_ACTION") == action["id"] and row.get("NODEMEND_OUTCOME") == "fixed"]
    bench.need("the act is in the journal", own, [row.get("MESSAGE") for row in rows][-20:])
    got = tuple(own[0].get(name) for name in ("PRIORITY", "SYSLOG_IDENTIFIER", "NODEMEND_INCIDENT", "NODEMEND_REMEDY", "NODEMEND_POLICY", "_TRANSPORT"))
    bench.equal("with its fields", got, ("6", "nodemend", action["incident"], "restart-unit", action["policy"], "journal"))
    bench.ok("the publisher speaks so, too", [row for row in rows if row.get("NODEMEND_PROCESS") == "nm-publisher" and row["_TRANSPORT"] == "journal"])
    found = container.run("journalctl", "--no-pager", "-o", "cat", f"NODEMEND_INCIDENT={action['incident']}")[1]
    bench.ok("journalctl finds an incident by its id", action["incident"] in found and "mending" in found, found[:300])
    container.run("systemctl", "restart", "systemd-journald.service")
    container.run("env", "LD_LIBRARY_PATH=/opt/lib", "/opt/nodemend", "pause", "after journald")
    container.run("env", "LD_LIBRARY_PATH=/opt/lib", "/opt/nodemend", "resume")
    bench.ok("journald may start anew", wait_for("the line", lambda: [row for row in journal_entries(container) if "after journald" in row["MESSAGE"]
                                                                      and row.get("_TRANSPORT") == "journal"], 20))


def inside(bench):
    """The agent is a unit of the same systemd, over the system bus, with the container's own view of processes."""
    port, agent_port = harness.free_port(), harness.free_port()
    binds = [f"{harness.BINARY}:/opt/nodemend", f"{libraries(bench, harness.BINARY)}:/opt/lib"]
    container = Container(bench, {**units(port), "nodemend.service": unit_of_the_agent(agent_port)}, binds,
                          ["--capability=all", "--system-call-filter=bpf perf_event_open"])
    container.run("systemctl", "start", "crashes.service", "hangs.service")
    agent = Inside(bench, container, policies(port, ""), agent_port)
    up = [row["labels"].get("source") for row in agent.feed().samples("nodemend_collector_up", collector="syscall")]
    bench.note(f"inside, the syscall collector runs on {up}")
    try:
        mended(bench, agent, "crashes.service", "service_down", lambda: container.signal_main("crashes.service", signal.SIGKILL), container)
        mended(bench, agent, "hangs.service", "service_hung", lambda: container.signal_main("hangs.service", signal.SIGUSR1), container)
    finally:
        agent.keep_log()
    journal_has_fields(bench, container, agent)
    container.run("systemctl", "stop", "nodemend.service")
    bench.equal("the unit ends well", container.show("nodemend.service", "Result"), "success")


if __name__ == "__main__":
    raise SystemExit(harness.main(outside, inside))
