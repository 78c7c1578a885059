#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Real deaths, real hangs, real slowness, and addresses that do not answer."""

import http.server
import os
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import harness
from harness import wait_for

DIES = "import os, signal, sys; os.kill(os.getpid(), getattr(signal, sys.argv[1])) if sys.argv[1].startswith('SIG') else os._exit(int(sys.argv[1]))"


def die(how, cgroup):
    """A process of a name of its own that ends as it is told; its pid, and the wall time just before its end."""
    def enter():
        Path(cgroup, "cgroup.procs").write_text("0")
    child = subprocess.Popen(["/usr/bin/python3", "-c", DIES, how], preexec_fn=enter, stderr=subprocess.DEVNULL)
    child.wait()
    return child.pid, time.time()


def crash(bench):
    """A death by a fault is an incident at once: who, by what, whose; others' deaths are not."""
    (cgroup, path), (other, other_path) = bench.cgroup("crash"), bench.cgroup("other")
    agent = bench.agent(f"""interval: 5s
policies:
  - name: faults
    mode: observe
    when:
      crash: {{cgroup: "{path}"}}
  - name: codes
    mode: observe
    when:
      crash: {{cgroup: "{other_path}", exit_codes: [7], times: 3, within: 1m}}
""")
    agent.next_feed(0, 20)
    pid, died = die("SIGSEGV", cgroup)
    incident = wait_for("the incident", lambda: next(iter(agent.incidents(kind="process_crash")), None))
    took = harness.parse_time(incident["opened"]) - died
    bench.note(f"from death to incident: {took * 1000:.1f} ms, with ticks 5 s apart")
    bench.ok("long before the next tick", took < 2.5, took)
    told = str(incident["history"])
    bench.ok("named: comm, pid, signal, cgroup", f"python3[{pid}] ended by SIGSEGV" in told and path in told, told)
    bench.equal("about its cgroup", (incident["resource"]["type"], incident["resource"]["cgroup"]), ("cgroup", path))
    die("SIGTERM", cgroup)
    die("7", cgroup)
    for _ in range(2):
        die("7", other)
    die("8", other)
    die("SIGSEGV", other)
    agent.next_feed(1, 30)
    bench.equal("nothing else is one", len(agent.incidents(kind="process_crash")), 1)
    die("7", other)
    second = wait_for("the third", lambda: next(iter(agent.incidents(kind="process_crash", policy="codes") or
                                                     [i for i in agent.incidents(kind="process_crash") if i["id"] != incident["id"]]), None))
    bench.ok("three of that code are", "exit code 7" in str(second["history"]) and second["signal"]["value"] == 3, second)


class Answers(http.server.BaseHTTPRequestHandler):
    status, body = 200, b"all is well\n"

    def do_GET(self):
        with suppress(OSError):  # a probe goes away as soon as it knows
            self.send_response(self.status)
            self.end_headers()
            self.wfile.write(self.body)

    def log_message(self, *_):
        pass


def probes(bench):
    """An address that must answer: by TCP, by HTTP's status, by what it says, by a command; the kind is what the policy says."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    bench.stack.callback(server.shutdown)
    port, dead = server.server_address[1], harness.free_port()
    flag = Path(bench.dir, "fine")
    flag.touch()

    def probe(name, words, means):
        return f"  - name: {name}\n    mode: observe\n    when:\n      probe: {{{words}, every: 200ms, timeout: 200ms, failures: 2, means: {means}}}\n"

    agent = bench.agent("interval: 500ms\npolicies:\n"
                        + probe("body", f'http: "http://127.0.0.1:{port}/x", body: "all is (well|fine)"', "service_hung")
                        + probe("status", f'http: "http://127.0.0.1:{port}/x", status: 200-204', "service_down")
                        + probe("dead", f'tcp: "127.0.0.1:{dead}"', "dependency_down")
                        + probe("command", f'command: [/usr/bin/test, -e, "{flag}"]', "service_down"))
    incident = wait_for("the one that nobody answers", lambda: next(iter(agent.incidents(kind="dependency_down")), None))
    bench.equal("about the address", incident["resource"], {"type": "peer", "peer": f"127.0.0.1:{dead}"})
    bench.ok("and why", "refused" in str(incident["history"]).lower(), incident["history"])
    agent.next_feed(3)
    bench.equal("the others answer", len(agent.incidents(state="open")), 1)
    Answers.body = b"all is lost\n"
    wait_for("what it says", lambda: agent.incidents(kind="service_hung", state="open"))
    bench.equal("its status is still good", agent.incidents(kind="service_down", state="open"), [])
    Answers.status = 503
    wait_for("its status", lambda: agent.incidents(kind="service_down", state="open"))
    flag.unlink()
    wait_for("the command", lambda: [i for i in agent.incidents(kind="service_down", state="open") if i["resource"].get("peer") == "/usr/bin/test"])
    Answers.status, Answers.body = 200, b"all is fine\n"
    flag.touch()
    wait_for("all but the dead one to end", lambda: [i["kind"] for i in agent.incidents(state="open")] == ["dependency_down"])
    bench.ok("what answers again is over", True)


SERVES = """
import socket, sys, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(64)
print("ready", s.getsockname()[1], flush=True)
mode = sys.argv[1]
while True:
    if mode == "hung":
        s.settimeout(None)
        time.sleep(10000)
    peer, _ = s.accept()
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        pass
    peer.close()
"""


def hung(bench):
    """Two servers whose queues grow: one does nothing at all, the other works as fast as it can. Only the first is hung."""
    (stuck, stuck_path), (slow, slow_path) = bench.cgroup("stuck"), bench.cgroup("slow")
    agent = bench.agent(f"""interval: 500ms
policies:
  - name: hung
    mode: observe
    when:
      hung: {{cgroup: "{stuck_path}", for: 3s}}
  - name: slow
    mode: observe
    when:
      hung: {{cgroup: "{slow_path}", for: 3s}}
""")
    programs = {mode: harness.Program(bench, ["/usr/bin/python3", "-c", SERVES, mode], cgroup=group) for mode, group in (("hung", stuck), ("slow", slow))}
    agent.next_feed(10)
    bench.equal("one that nobody waits for is idle, not hung", agent.incidents(), [])
    waiting = []
    for program in programs.values():
        for _ in range(20):
            waiting.append(socket.create_connection(("127.0.0.1", int(program.line("ready")[0]))))
    incident = wait_for("the hung one", lambda: next(iter(agent.incidents(kind="service_hung")), None), 30)
    bench.ok("about its cgroup", incident["resource"]["cgroup"] == stuck_path, incident["resource"])
    bench.ok("and why", "no CPU" in str(incident["history"]) and "wait to be accepted" in str(incident["history"]), incident["history"])
    agent.next_feed(4)
    bench.equal("the slow one never is", len(agent.incidents()), 1)
    programs["hung"].kill()
    wait_for("its end", lambda: agent.incidents(id=incident["id"], state="resolved"))
    for connection in waiting:
        connection.close()


if __name__ == "__main__":
    raise SystemExit(harness.main(crash, probes, hung))
