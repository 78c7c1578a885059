#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# alone: it takes the time of the kernel's triggers
"""What there is a fixed number of, used up for real: tasks of a cgroup, descriptors of a process, places in a backlog, a link; pressure as the
kernel tells it; and services that refuse, reset, fall silent, fail to resolve or become slow."""

import os
import resource
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import harness
from harness import MiB, cgroup2, remove_cgroup, wait_for


def incident_of(agent, seconds=20, **wanted):
    return wait_for(f"the incident {wanted}", lambda: agent.incidents(**wanted), seconds)[0]


def is_resolved(agent, incident, seconds=20):
    return wait_for(f"{incident['id']} to close", lambda: agent.incidents(id=incident["id"], state="resolved"), seconds)[0]


def as_bad_as(agent, incident, severity, seconds=20):
    return wait_for(f"{incident['id']} to be {severity}", lambda: agent.incidents(id=incident["id"], severity=severity), seconds)[0]


def told(incident, word):
    return any(word in entry["why"] for entry in incident["history"])


# --- limits ---------------------------------------------------------------------------------------------------------------------


LIMITS = """
interval: 200ms
collectors: {unit: false}
policies:
  - name: tasks
    when: {cgroup: {cgroup: "PATH", pids_used_percent: {warning: 50, critical: 90, clear_by: 10}, for: 400ms}}
  - name: memory
    when: {cgroup: {cgroup: "PATH", memory_used_percent: {warning: 60, critical: 85, clear_by: 10}, for: 400ms}}
  - name: descriptors
    when: {files: {cgroup: "PATH", process_used_percent: {warning: 50, critical: 90, clear_by: 10}, for: 400ms}}
  - name: backlog
    when: {listener: {cgroup: "PATH", backlog_percent: {above: 90, clear: 50}, of: 3/5}}
"""


def folder_of(bench, path, controller, limit):
    """The same path where the controller is: it may be in a v1 hierarchy beside v2."""
    v2 = Path(str(cgroup2()) + path)
    if (v2 / limit).exists():
        return v2
    for line in open("/proc/self/mountinfo"):
        fields = line.split()
        at = fields.index("-")
        if fields[at + 1] == "cgroup" and controller in fields[at + 3].split(","):
            folder = Path(fields[4])
            for name in path.strip("/").split("/"):
                folder = folder / name
                if not folder.exists():
                    folder.mkdir()
                    bench.stack.callback(remove_cgroup, folder)
            return folder
    return None


def enter(*folders):
    for folder in folders:
        Path(folder, "cgroup.procs").write_text("0")


def in_group(bench, folders, act):
    """A process of the test's own in these cgroups: `act` gets a pipe and does one thing for each byte that it reads from it."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(write_end)
            enter(*folders)
            act(read_end)
        finally:
            os._exit(0)
    os.close(read_end)

    def end():
        os.close(write_end)
        os.waitpid(pid, 0)
    bench.stack.callback(end)
    return pid, lambda: os.write(write_end, b".")


def tasks_and_descriptors_and_backlog(bench):
    folder, path = bench.cgroup("full")
    pids = folder_of(bench, path, "pids", "pids.max")
    memory = folder_of(bench, path, "memory", "memory.max")
    if memory:
        limit = memory / "memory.max"
        (limit if limit.exists() else memory / "memory.limit_in_bytes").write_text(str(100 * MiB))
    agent = bench.agent(LIMITS.replace("PATH", path))

    if pids is None:
        print("SKIP tasks of a cgroup: no pids controller")
    else:
        (pids / "pids.max").write_text("20")

        def grow(commands):
            stop = threading.Event()
            for count in (10, 8, -1):
                os.read(commands, 1)
                if count < 0:
                    stop.set()
                for _ in range(max(count, 0)):
                    threading.Thread(target=stop.wait, daemon=True).start()
            os.read(commands, 1)
        _, more = in_group(bench, [folder, pids], grow)
        more()
        incident = incident_of(agent, kind="pid_exhaustion")
        bench.equal("half of the tasks: a warning", (incident["severity"], incident["resource"]["type"]), ("warning", "cgroup"))
        bench.equal("about the cgroup", incident["resource"].get("cgroup"), path)
        more()
        worse = as_bad_as(agent, incident, "critical")
        bench.ok("which says that it worsened", told(worse, "worse"), worse["history"])
        more()
        bench.ok("and is over with the tasks", is_resolved(agent, incident), "")

    if memory is None:
        print("SKIP memory of a cgroup: no memory controller")
    else:
        def take(commands):
            cache = Path(bench.dir, "cached")
            cache.write_bytes(bytes(40 * MiB))  # page cache fills the limit, too, and is nothing to tell of
            held = []
            while os.read(commands, 1) and len(held) < 2:
                held.append(bytearray((65, 25)[len(held)] * MiB))
                held[-1][::4096] = b"x" * (len(held[-1]) // 4096)
            held.clear()
            os.read(commands, 1)
        _, more = in_group(bench, [folder, memory], take)
        quiet = agent.next_feed(2)
        bench.ok("page cache alone is nothing to tell of", quiet and not agent.incidents(kind="memory_exhaustion"), agent.incidents())
        more()
        incident = incident_of(agent, kind="memory_exhaustion")
        bench.equal("two thirds of its limit: a warning about the cgroup", (incident["severity"], incident["resource"].get("cgroup")), ("warning", path))
        more()
        bench.ok("nearly all: critical", told(as_bad_as(agent, incident, "critical"), "worse"))
        more()
        bench.ok("and over when it is given back", is_resolved(agent, incident), "")

    def open_files(commands):
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
        held = []
        while os.read(commands, 1):
            held += [os.open("/dev/null", os.O_RDONLY) for _ in range(120 if not held else 70)] if len(held) < 190 else []
            if len(held) == 190 and os.read(commands, 1):
                while len(held) > 110:
                    os.close(held.pop())
                os.read(commands, 1)
                while held:
                    os.close(held.pop())
                return os.read(commands, 1)
    pid, more = in_group(bench, [folder], open_files)
    more()
    incident = incident_of(agent, kind="fd_exhaustion")
    bench.equal("more than half of the descriptors: a warning about the process", (incident["severity"], incident["resource"].get("pid")), ("warning", pid))
    more()
    bench.ok("nearly all: critical", told(as_bad_as(agent, incident, "critical"), "worse"))
    more()
    bench.ok("some closed: it eases", told(as_bad_as(agent, incident, "warning"), "eases"))
    more()
    bench.ok("all closed: over", is_resolved(agent, incident), "")

    def listen(commands):
        server = socket.socket()
        server.bind(("127.0.0.1", port))
        server.listen(4)
        os.read(commands, 1)
        server.setblocking(False)
        while True:
            try:
                server.accept()
            except BlockingIOError:
                break
        os.read(commands, 1)
    port = harness.free_port()
    _, accept = in_group(bench, [folder], listen)
    clients = []

    def connect():
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", port))
        clients.append(client)
    wait_for("the listener", lambda: socket.create_connection(("127.0.0.1", port)).close() is None if port_open(port) else False, 10)
    for _ in range(8):
        connect()
    incident = incident_of(agent, kind="network_saturation")
    bench.ok("a full backlog is told, with its port", str(port) in incident["resource"].get("name", ""), incident["resource"])
    bench.ok("and how many wait", told(incident, "wait to be accepted"), incident["history"])
    for client in clients:
        client.close()
    accept()
    bench.ok("accepted: over", is_resolved(agent, incident), "")
    bench.ok("nothing was done", not agent.actions(), agent.actions())


def port_open(port):
    needle = f":{port:04X} "
    return any(needle in line and " 0A " in line for line in open("/proc/net/tcp"))


# --- pressure -------------------------------------------------------------------------------------------------------------------


def pressure_without_waiting_for_the_interval(bench):
    """The interval is longer than the test: only the kernel's own word can be heard in time."""
    folder, path = bench.cgroup("wait")
    agent = bench.agent(f"""
interval: 60s
collectors: {{unit: false}}
policies:
  - name: of-the-node
    when: {{psi: {{resource: cpu, some: {{above: 50, clear: 20}}, window: 2s}}}}
  - name: of-a-cgroup
    when: {{psi: {{resource: cpu, some: {{above: 60, clear: 20}}, window: 2s, cgroup: {path}}}}}
""")
    triggers = agent.cli("doctor", "--json")[1]
    bench.ok("doctor lists both", triggers.count('"percent"') >= 2 and path in triggers, triggers[-1500:])
    if '"watched":false' in triggers:
        print("SKIP pressure by the kernel's word: this kernel refuses the triggers")
        return
    bench.program("spinner", "--threads", 4 * os.cpu_count(), "--seconds", 60, cgroup=folder)
    node = incident_of(agent, 25, kind="cpu_exhaustion")
    bench.ok("told before the interval is over", told(node, "the kernel said so itself"), node["history"])
    wait_for("both", lambda: {i["resource"]["type"] for i in agent.incidents(kind="cpu_exhaustion")} == {"node", "cgroup"}, 20)
    bench.ok("of the node, and of the cgroup", True)


# --- the network ----------------------------------------------------------------------------------------------------------------


def run(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


class Repeat:
    """Calls `act` every so many seconds until the end."""

    def __init__(self, bench, every, act):
        self.over = threading.Event()

        def loop():
            while not self.over.wait(every):
                act()
        self.thread = threading.Thread(target=loop, daemon=True)
        self.thread.start()
        bench.stack.callback(self.stop)

    def stop(self):
        self.over.set()
        self.thread.join(10)


def a_link_that_is_full(bench):
    """veth says 10 Gbit/s, which a test need not reach: its thresholds are fractions of a percent."""
    name, peer = f"nmx{os.getpid() % 100000}a", f"nmx{os.getpid() % 100000}b"
    agent = bench.agent(f"""
interval: 200ms
collectors: {{unit: false}}
policies:
  - name: link
    when: {{interface: {{name: {name}, used_percent: {{warning: 0.02, critical: 0.08, clear_by: 0.01}}, for: 400ms}}}}
""")
    run("ip", "link", "add", name, "type", "veth", "peer", "name", peer)
    bench.stack.callback(subprocess.run, ["ip", "link", "del", name], check=False, stderr=subprocess.DEVNULL)
    for device in (name, peer):
        run("ip", "link", "set", device, "up")
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sender.bind((name, 0))
    frame = b"\xff" * 6 + b"\x02" * 6 + struct.pack("!H", 0x88b5) + bytes(1400)  # an ethertype for experiments: nobody listens
    sender.setblocking(False)
    goal = [500_000]  # bytes a second: 0.04 % of the link
    began, sent = time.monotonic(), [0]

    def catch_up():
        """As much as is due by now, however late the machine lets us come."""
        nonlocal began
        due = (time.monotonic() - began) * goal[0] / len(frame)
        while sent[0] < due:
            try:
                sender.send(frame)
            except BlockingIOError:
                return
            sent[0] += 1
    flood = Repeat(bench, 0.01, catch_up)
    incident = incident_of(agent, kind="network_saturation")
    bench.equal("the link is named", (incident["resource"]["type"], incident["resource"].get("interface")), ("interface", name))
    began, sent[0], goal[0] = time.monotonic(), 0, 10_000_000
    bench.ok("it worsens with the load", told(as_bad_as(agent, incident, "critical"), "worse"))
    flood.stop()
    bench.ok("and closes without it", is_resolved(agent, incident), "")


def attempt(address, seconds=0.3):
    with socket.socket() as client:
        client.settimeout(seconds)
        try:
            client.connect(address)
            return client.recv(1)
        except OSError:
            return None


class Server:
    """Accepts and at once ends each connection: in order, or by a reset."""

    def __init__(self, bench, address, resets=False):
        self.socket = socket.create_server(address, backlog=64)
        self.resets = resets
        threading.Thread(target=self.serve, daemon=True).start()
        bench.stack.callback(self.socket.close)

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            if self.resets:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                connection.send(b".")
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)
            connection.close()


DEPENDENCIES = """
interval: 200ms
collectors: {unit: false}
policies:
  - name: fails
    when: {dependency: {peer: "127.0.0.*", fails_percent: {warning: 25, critical: 75, clear_by: 10}, for: 400ms}}
  - name: silent
    when: {dependency: {peer: "198.18.77.*", fails_percent: {above: 50, clear: 25}, for: 400ms}}
  - name: resets
    when: {dependency: {peer: "127.0.0.*", resets_percent: {above: 50, clear: 25}, for: 400ms}}
  - name: name-server
    when: {dependency: {peer: "dns:127.0.0.77", fails_percent: {above: 50, clear: 25}, for: 400ms}}
  - name: slow
    when: {dependency: {peer: "dns:127.0.0.78", slower_than_usual: {above: 3x, clear: 1.5x}, for: 400ms}}
"""


def services_that_fail(bench):
    folder, path = bench.cgroup("client")
    agent = bench.agent(DEPENDENCIES)
    refusing, resetting, well = (harness.free_port() for _ in range(3))
    Server(bench, ("127.0.0.1", well))
    Server(bench, ("127.0.0.1", resetting), resets=True)

    # A link whose other end never answers: what is sent there is lost.
    name = f"nmx{os.getpid() % 100000}c"
    run("ip", "link", "add", name, "type", "veth", "peer", "name", name + "b")
    bench.stack.callback(subprocess.run, ["ip", "link", "del", name], check=False, stderr=subprocess.DEVNULL)
    run("ip", "address", "add", "198.18.77.1/24", "dev", name)
    run("ip", "link", "set", name, "up")
    run("ip", "link", "set", name + "b", "up")
    run("ip", "neigh", "add", "198.18.77.2", "lladdr", "02:00:00:00:00:02", "dev", name)

    def ask_all(_):
        enter(folder)
        while True:
            for port in (refusing, resetting, well):
                attempt(("127.0.0.1", port))
            attempt(("198.18.77.2", 80), 0.05)
            time.sleep(0.02)
    pid = os.fork()
    if pid == 0:
        ask_all(None)
    bench.stack.callback(lambda: (os.kill(pid, 9), os.waitpid(pid, 0)))

    def about(peer):
        return wait_for(f"the incident about {peer}", lambda: [i for i in agent.incidents(kind="dependency_down") if peer in str(i["resource"])], 20)[0]
    refused = about(f"127.0.0.1:{refusing}")
    bench.equal("who refuses all is told", (refused["resource"]["type"], refused["severity"]), ("peer", "critical"))
    bench.ok("with who needs it", told(refused, path), refused["history"])
    bench.ok("who resets is told", told(about(f"127.0.0.1:{resetting}"), "resets"), agent.incidents())
    bench.ok("who is silent is told", about("198.18.77.2:80"))
    bench.ok("and who is well is not", not [i for i in agent.incidents() if f":{well}" in str(i["resource"])], agent.incidents())
    Server(bench, ("127.0.0.1", refusing))
    bench.ok("one that is back eases or closes", wait_for("it to ease", lambda: [i for i in agent.incidents(id=refused["id"]) if i["severity"] == "warning" or
                                                                                   i["state"] == "resolved"], 40))


def name_servers(bench):
    agent = bench.agent(DEPENDENCIES)
    delay = [0.0]

    def serve(address, code, wait):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((address, 53))
        bench.stack.callback(server.close)

        def loop():
            while True:
                try:
                    query, client = server.recvfrom(512)
                except OSError:
                    return
                time.sleep(wait[0])
                server.sendto(query[:2] + struct.pack("!H", 0x8180 | code) + query[4:], client)
        threading.Thread(target=loop, daemon=True).start()
    serve("127.0.0.77", 2, [0])
    serve("127.0.0.78", 0, delay)
    query = struct.pack("!6H", 1, 0x0100, 1, 0, 0, 0) + b"\x07example\x03org\x00" + struct.pack("!2H", 1, 1)

    def ask(address):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(1)
            try:
                client.sendto(os.urandom(2) + query[2:], (address, 53))
                client.recv(512)
            except OSError:
                pass
    for address in ("127.0.0.77", "127.0.0.78"):
        Repeat(bench, 0.03, lambda address=address: ask(address))
    failing = incident_of(agent, kind="dependency_down")
    bench.ok("SERVFAIL is a name server that fails", "dns:127.0.0.77" in str(failing["resource"]), failing)
    first = agent.next_feed(1).document["seq"]
    wait_for("its history", lambda: agent.feed().document["seq"] > first + 30, 90, 0.5)
    bench.ok("one that answers as usual is not told", not [i for i in agent.incidents() if "127.0.0.78" in str(i["resource"])], agent.incidents())
    delay[0] = 0.1
    slow = wait_for("the slow one", lambda: [i for i in agent.incidents(kind="dependency_down") if "dns:127.0.0.78" in str(i["resource"])], 60)[0]
    bench.ok("and slower than it was, is", slow["signal"]["value"] > 3, slow["signal"])


if __name__ == "__main__":
    raise SystemExit(harness.main(tasks_and_descriptors_and_backlog, pressure_without_waiting_for_the_interval, a_link_that_is_full, services_that_fail,
                                  name_servers))
