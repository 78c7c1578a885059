# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: an agent of their own with its own folders and port, real faults beside it, and an
orderly end. A test is a function that takes a Bench; each thing it finds is one line `ok NAME` or `not ok NAME: why`.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("NODEMEND_BUILD", ROOT / "build"))
BINARY = BUILD / "nodemend"
PROGRAMS = BUILD / "tests" / "programs"
# Under /var/tmp rather than /tmp: some tests fill hundreds of megabytes, and /tmp may be memory.
SCRATCH = os.environ.get("NODEMEND_TEST_DIR", "/var/tmp")
CACHE = Path(os.environ.get("NODEMEND_TEST_CACHE", BUILD / "cache"))

MiB = 1 << 20
GiB = 1 << 30


class Failed(Exception):
    """The rest of this test makes no sense without what just went wrong."""


def boot_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def wait_for(what, predicate, seconds=20, step=0.02):
    """Returns the first true answer of `predicate`; raises Failed when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Failed(f"waited {seconds} s for {what}")
        time.sleep(step)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cgroup2():
    """The mount point of the v2 hierarchy, also where it stands beside v1; None without one."""
    for line in open("/proc/self/mountinfo"):
        fields = line.split()
        if fields[fields.index("-") + 1] == "cgroup2":
            return Path(fields[4])
    return None


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return False
    return state not in "ZX"


def own_memory(pid):
    """Bytes that a process holds in memory beside what it maps from files: how much of a library is mapped is the page cache's affair."""
    return 1024 * sum(int(kib) for kib in re.findall(r"Rss(?:Anon|Shmem):\s+(\d+)", Path(f"/proc/{pid}/status").read_text()))


def children_of(pid):
    """All live descendants, by pid."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError):
                fields = Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()
                if fields[0] not in "ZX":
                    parents[int(entry)] = int(fields[1])
    found, grew = {pid}, True
    while grew:
        more = {child for child, parent in parents.items() if parent in found} - found
        found |= more
        grew = bool(more)
    return sorted(found - {pid})


def bpf_ids(kind="prog"):
    """The ids of every BPF program (or map, or link) in the kernel, with their names."""
    out = subprocess.run(["/usr/sbin/bpftool", "-j", kind, "show"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
    return {row["id"]: row.get("name", "?") for row in json.loads(out or b"[]")}


def parse_time(text):
    """Seconds since 1970 of an ISO 8601 time in UTC."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) - time.timezone + float("0." + (fraction or "0"))


class Program:
    """One fault program or bystander, in a cgroup of its own if given."""

    def __init__(self, bench, argv, cgroup=None, ready=True):
        def enter():
            if cgroup:
                Path(cgroup, "cgroup.procs").write_text("0")

        self.process = subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, preexec_fn=enter, bufsize=0)
        self.pid = self.process.pid
        self.lines = []       # (boot time in ns when it was read, text)
        self.ended_ns = None  # boot time of its death, as its parent saw it
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        bench.stack.callback(self.kill)
        if ready:
            wait_for(f"{argv[0]} to be ready", lambda: self.line("ready") or self.ended_ns)
            if not self.line("ready"):
                raise Failed(f"{argv[0]} ended before it was ready")

    def _read(self):
        waiter = threading.Thread(target=self._wait, daemon=True)
        waiter.start()
        for raw in self.process.stdout:
            self.lines.append((boot_ns(), raw.decode(errors="replace").split()))

    def _wait(self):
        with contextlib.suppress(ChildProcessError):  # kill() may have been first to reap it
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        self.ended_ns = boot_ns()

    def line(self, word):
        """The fields after `word` of its first line that begins so."""
        return next((fields[1:] or [True] for _, fields in list(self.lines) if fields and fields[0] == word), None)

    def alive(self):
        return self.ended_ns is None

    def stop(self, seconds=10):
        """SIGTERM, and the fields of its closing line `done …`."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(seconds)
        self.reader.join(seconds)
        return self.line("done")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.reader.join(5)


class Stream:
    """Server-sent events of /v1/stream, each with the wall time it came."""

    def __init__(self, port):
        self.events = []
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.connection.request("GET", "/v1/stream")
        self.response = self.connection.getresponse()
        self.status = self.response.status
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        event, data = "message", []
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            while True:
                line = self.response.readline()
                if not line:
                    return
                line = line.decode(errors="replace").rstrip("\r\n")
                if line.startswith("event:"):
                    event = line[6:].strip()
                elif line.startswith("data:"):
                    data.append(line[5:].strip())
                elif not line and data:
                    self.events.append((time.time(), event, json.loads("\n".join(data))))
                    event, data = "message", []

    def of(self, kind):
        return [(when, document) for when, event, document in list(self.events) if event == kind]

    def close(self):
        with contextlib.suppress(OSError, AttributeError):
            self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.connection.close()
        self.thread.join(5)


class Lines:
    """The stream as lines of JSON, each as it came."""

    def __init__(self, bench, port):
        self.read = []
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.connection.request("GET", "/v1/stream", headers={"Accept": "application/x-ndjson"})
        self.response = self.connection.getresponse()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        bench.stack.callback(self.close)

    def _read(self):
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            while line := self.response.readline():
                self.read.append(json.loads(line))

    def close(self):
        with contextlib.suppress(OSError, AttributeError):
            self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.connection.close()
        self.thread.join(5)


class Feed:
    """The JSON feed, looked up by name and labels."""

    def __init__(self, document):
        self.document = document
        self.metrics = {metric["name"]: metric for metric in document["metrics"]}

    def samples(self, name, **labels):
        rows = self.metrics.get(name, {}).get("samples", [])
        return [row for row in rows if all(row.get("labels", {}).get(key) == value for key, value in labels.items())]

    def total(self, name, **labels):
        return sum(row.get("value", row.get("count", 0)) for row in self.samples(name, **labels))


class Agent:
    """A running `nodemend run` with folders of its own."""

    def __init__(self, bench, config, *, name="agent", mode=None, wrap=(), ready=True, listen=None, run_dir=None, state_dir=None):
        self.bench = bench
        self.home = Path(bench.dir, name)
        self.home.mkdir(exist_ok=True)
        self.config = self.home / "nodemend.yaml"
        self.config.write_text(config)
        self.run_dir = Path(run_dir or self.home / "run")
        self.state_dir = Path(state_dir or self.home / "state")
        for folder in (self.run_dir, self.state_dir):
            folder.mkdir(exist_ok=True)
        self.port = free_port()
        self.mode, self.wrap = mode, list(wrap)
        self.listen = f"127.0.0.1:{self.port}" if listen is None else listen
        self.log = self.home / "log"
        self.process = None
        bench.agents.append(self)
        bench.stack.callback(self.kill)
        self.start(ready)

    def start(self, ready=True):
        argv = self.wrap + [str(BINARY), "run", "--config", str(self.config), "--run-dir", str(self.run_dir),
                            "--state-dir", str(self.state_dir), "--listen", self.listen]
        argv += ["--mode", self.mode] if self.mode else []
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.started = time.monotonic()
        if ready:
            self.wait_ready()

    @property
    def pid(self):
        return self.process.pid

    def wait_ready(self, seconds=30):
        def first_feed():
            if self.process.poll() is not None:
                raise Failed(f"the agent ended with {self.process.returncode}: {self.log_tail()}")
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                return self.get_json("/v1/metrics")["seq"] >= 1
            return False
        wait_for("the agent's first feed", first_feed, seconds)

    def log_tail(self, lines=12):
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def get(self, path, headers=None, method="GET", timeout=10):
        """(status, headers, body)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, headers=headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def get_json(self, path):
        status, _, body = self.get(path)
        if status != 200:
            raise ValueError(f"{path}: {status}")
        return json.loads(body)

    def feed(self):
        return Feed(self.get_json("/v1/metrics"))

    def next_feed(self, ticks=1, seconds=15):
        """A feed whose tick began after this call: everything done before is in it."""
        now = self.get_json("/v1/metrics")["seq"]
        return wait_for("the next feed", lambda: (lambda f: f.document["seq"] > now + ticks and f)(self.feed()), seconds)

    def incidents(self, **wanted):
        rows = self.get_json("/v1/incidents?limit=256")["incidents"]
        return [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]

    def actions(self, **wanted):
        rows = self.get_json("/v1/actions?limit=512")["actions"]
        return [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]

    def stream(self):
        stream = Stream(self.port)
        self.bench.stack.callback(stream.close)
        return stream

    def cli(self, *words, env=None):
        """(exit code, stdout, stderr) of a command against this agent."""
        return run_cli(*words, "--run-dir", str(self.run_dir), env=env)

    def journal(self):
        """Every record of the journal, oldest first."""
        rows = []
        for name in ("journal.jsonl.1", "journal.jsonl"):
            with contextlib.suppress(OSError):
                rows += [json.loads(line) for line in (self.state_dir / name).read_bytes().split(b"\n") if line.strip(b"\0")]
        return rows

    def publisher_pid(self):
        """The process that holds the listening socket; None while there is none."""
        inode = None
        for line in open("/proc/net/tcp").readlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == self.port:
                inode = fields[9]
        if inode is None:
            return None
        for pid in children_of(self.pid):
            with contextlib.suppress(OSError):
                for fd in os.listdir(f"/proc/{pid}/fd"):
                    if os.readlink(f"/proc/{pid}/fd/{fd}") == f"socket:[{inode}]":
                        return pid
        return None

    def stop(self, seconds=15):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self):
        """SIGKILL, with all that should have gone with it."""
        if self.process is None:
            return
        family = [self.pid] + children_of(self.pid) if self.process.poll() is None else []
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in family[1:]:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def run_cli(*words, env=None, timeout=60):
    done = subprocess.run([str(BINARY), *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout, env={**os.environ, **(env or {})}, check=False)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


class Bench:
    """One test's own folder, what it started and must end, and what it found."""

    def __init__(self, name):
        self.name = name
        self.stack = contextlib.ExitStack()
        self.dir = tempfile.mkdtemp(prefix=f"nodemend-{name}-", dir=SCRATCH)
        os.chmod(self.dir, 0o755)
        self.stack.callback(shutil.rmtree, self.dir, ignore_errors=True)
        self.agents = []
        self.failed = 0

    def ok(self, name, condition, why=""):
        if condition:
            print(f"ok {self.name}: {name}", flush=True)
        else:
            self.failed += 1
            why = " ".join(str(why).split())
            print(f"not ok {self.name}: {name}: {why[:1500] or 'it is not so'}", flush=True)
        return bool(condition)

    def equal(self, name, got, wanted):
        return self.ok(name, got == wanted, f"got {got!r}, wanted {wanted!r}")

    def need(self, name, condition, why=""):
        """Like ok(), and without it there is no going on."""
        if not self.ok(name, condition, why):
            raise Failed(f"{name} was needed")

    def skip(self, name, why):
        print(f"SKIP {self.name}: {name}: {why}", flush=True)

    def note(self, text):
        print(f"# {text}", flush=True)

    def agent(self, config, **options):
        return Agent(self, config, **options)

    def program(self, name, *args, **options):
        return Program(self, [PROGRAMS / name, *args], **options)

    def cgroup(self, *names):
        """A v2 cgroup of this test's own, removed at the end. (its folder, its path as the agent says it)"""
        path = f"/test-nodemend-{os.getpid()}"
        for name in ("",) + names:
            path += "/" + name if name else ""
            folder = Path(str(cgroup2()) + path)
            if not folder.exists():
                folder.mkdir()
                self.stack.callback(remove_cgroup, folder)
        return folder, path

    def loop_filesystem(self, mib, *mkfs):
        """A new ext4 of this size on a loop device, mounted in the test's own mount namespace."""
        image, where = Path(self.dir, f"image-{mib}"), Path(self.dir, f"mount-{mib}")
        with open(image, "wb") as f:
            f.truncate(mib * MiB)
        where.mkdir()
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", *mkfs, image], check=True)
        subprocess.run(["mount", "-o", "loop", image, where], check=True)
        self.stack.callback(subprocess.run, ["umount", "-l", where], check=False)
        return where

    def close(self):
        for agent in self.agents:
            if self.failed and agent.log.exists():
                print(f"# the agent's log, {agent.log.parent.name}:")
                for line in agent.log.read_text(errors="replace").splitlines()[-60:]:
                    print(f"#   {line}")
        self.stack.close()


def remove_cgroup(folder):
    """Ends what is still in it, then takes it away."""
    for _ in range(100):
        with contextlib.suppress(OSError):
            for pid in Path(folder, "cgroup.procs").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
        try:
            folder.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.05)


def enter_own_mounts():
    """What a test mounts is seen by its agent and by nobody else, and goes when the test goes."""
    if os.environ.get("NODEMEND_OWN_MOUNTS") == str(os.getpid()):
        return
    os.environ["NODEMEND_OWN_MOUNTS"] = str(os.getpid())
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])


def run_one(test):
    """On a bench of its own; how many of its checks failed."""
    bench = Bench(test.__name__)
    try:
        test(bench)
    except Failed as error:
        bench.ok("runs to its end", False, error)
    except Exception:  # a test's own fault is a failure too, with its trace
        traceback.print_exc(file=sys.stdout)
        bench.ok("runs to its end", False, repr(sys.exc_info()[1]))
    finally:
        bench.close()
    return bench.failed


def fork_test(test, seconds):
    """(pid, the file that its lines go to)"""
    out = tempfile.TemporaryFile()
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid, out
    code = 1
    try:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
        signal.alarm(seconds)
        code = min(run_one(test), 1)
    except BaseException:
        traceback.print_exc(file=sys.stdout)
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(code)


def run_together(tests, most, seconds):
    """Each in a process of its own, `most` at once; the lines of one test stay together. How many failed."""
    waiting, running, failed = list(tests), {}, 0
    try:
        while waiting or running:
            while waiting and len(running) < most:
                test = waiting.pop(0)
                pid, out = fork_test(test, seconds)
                running[pid] = test, out
            pid, status = os.wait()
            test, out = running.pop(pid)
            out.seek(0)
            said = out.read().decode(errors="replace")
            print(said, end="", flush=True)
            failed += status != 0
            if status and "not ok" not in said:
                print(f"not ok {test.__name__}: ended with {status}", flush=True)
    finally:
        for pid in running:
            os.kill(pid, signal.SIGTERM)
        for pid in running:
            os.waitpid(pid, 0)
    return failed


def main(*tests, seconds=400, need_root=True, together=1):
    """Runs the tests, each on a bench of its own: one after the other, or so many together where all that each does is to wait for its own
    agent and peers. `seconds` bounds them all.
    """
    if need_root and os.geteuid() != 0:
        for test in tests:
            print(f"SKIP {test.__name__}: needs root")
        return 0
    if not BINARY.exists():
        print(f"not ok {Path(sys.argv[0]).stem}: {BINARY} is not built")
        return 1
    if need_root:
        enter_own_mounts()

    def out_of_time(signum, frame):
        raise Failed(f"ended by signal {signum}" if signum != signal.SIGALRM else f"not done after {seconds} s")

    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, out_of_time)
    signal.alarm(seconds)
    wanted = [re.compile(word) for word in sys.argv[1:]]
    chosen = [test for test in tests if not wanted or any(pattern.search(test.__name__) for pattern in wanted)]
    failed = run_together(chosen, together, seconds) if together > 1 else sum(run_one(test) for test in chosen)
    return 1 if failed else 0
