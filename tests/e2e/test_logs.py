#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Lines of the real kernel log and of real files under logrotate: found, told once, over restarts of agent and reader; a flood is passed
over and counted; a pattern made to run for ever does not."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import harness
from container import Container
from harness import wait_for


def log_policy(name, **words):
    inner = ", ".join(f"{key}: {value}" for key, value in words.items())
    return f"  - name: {name}\n    mode: observe\n    when:\n      log: {{{inner}}}\n"


def config(*policies):
    return "interval: 500ms\npolicies:\n" + "".join(policies)


def matches(agent, pattern):
    return agent.feed().total("nodemend_log_matches_total", pattern=pattern)


def reader_ready(agent):
    """It has opened what it reads: what is written from now on is new to it."""
    wait_for("the log reader", lambda: agent.feed().samples("nodemend_log_lines_total"))


def reader_pid(agent):
    return next(pid for pid in harness.children_of(agent.pid) if Path(f"/proc/{pid}/comm").read_text().strip() == "nm-logs")


def write_kmsg(text):
    with open("/dev/kmsg", "w") as kmsg:
        kmsg.write(text + "\n")


def kernel(bench):
    """A line of /dev/kmsg is an incident, named by what it names, and over by the line that says so."""
    tag = f"nmtest{os.getpid()}"
    agent = bench.agent(config(log_policy("marked", source="kernel", match=f"'{tag}: trouble on (?<device>\\w+) password=(\\S+)'",
                                          clear=f"'{tag}: (?<device>\\w+) is well'", times=2, within="1m"),
                               log_policy("forged", source="kernel", pattern="oom-kill")))
    reader_ready(agent)
    write_kmsg(f"{tag}: trouble on sdx password=verysecret")
    wait_for("the first match", lambda: matches(agent, "marked") == 1)
    bench.equal("one of two is none", agent.incidents(kind="kernel_fault"), [])
    write_kmsg(f"{tag}: trouble on sdx password=verysecret")
    incident = wait_for("the incident", lambda: next(iter(agent.incidents(kind="kernel_fault")), None))
    bench.equal("about the device that the line names", (incident["resource"]["type"], incident["resource"]["device"]), ("disk", "sdx"))
    told = str(incident["history"])
    bench.ok("with the line, masked", f"{tag}: trouble on sdx password=***" in told and "verysecret" not in told, told)
    bench.equal("its signal", (incident["signal"]["metric"], incident["signal"]["value"], incident["signal"]["threshold"]), ("log_matches", 2, 2))
    write_kmsg(f"{tag}: sdy is well")
    write_kmsg("Out of memory: Killed process 4242 (forged) total-vm:1kB, anon-rss:1kB")
    agent.next_feed(2)
    bench.ok("another device's recovery is not its", agent.incidents(id=incident["id"], state="open"))
    write_kmsg(f"{tag}: sdx is well")
    wait_for("its end", lambda: agent.incidents(id=incident["id"], state="resolved"))
    bench.equal("a program cannot forge the kernel's words", (matches(agent, "oom-kill"), agent.incidents(kind="oom_kill")), (0, []))

    # While nobody reads, and twice: a restart neither loses nor repeats.
    agent.stop()
    write_kmsg(f"{tag}: trouble on sdx password=a")
    write_kmsg(f"{tag}: trouble on sdx password=b")
    agent.start()
    again = wait_for("what came while it was away", lambda: next(iter(agent.incidents(kind="kernel_fault", state="open")), None))
    bench.equal("all of it, once", matches(agent, "marked"), 4)
    agent.stop()
    agent.start()
    reader_ready(agent)
    agent.next_feed(3)
    bench.equal("and not once more", matches(agent, "marked"), 4)
    bench.ok("the incident of before goes on", agent.incidents(id=again["id"], state="open"), agent.incidents())
    bench.equal("and is the only one", len(agent.incidents(state="open")), 1)


class Writer:
    """Numbered lines to a file, by its name or by a descriptor that it keeps, as services do."""

    def __init__(self, path):
        self.path, self.count = path, 0
        self.reopen()

    def reopen(self):
        self.file = open(self.path, "ab", buffering=0)

    def write(self, lines=1):
        for _ in range(lines):
            self.count += 1
            self.file.write(b"job %d failed\n" % self.count)


def logrotate(bench, path, *words):
    setup, state = Path(bench.dir, "logrotate.conf"), Path(bench.dir, "logrotate.state")
    setup.write_text(f"{path} {{\n rotate 3\n missingok\n {chr(10).join(words)}\n}}\n")
    os.chmod(setup, 0o644)
    subprocess.run(["logrotate", "--force", "--state", str(state), str(setup)], check=True, stdout=subprocess.DEVNULL)


def files(bench):
    """Through renaming, truncation, the reader's death and the agent's restart each line is counted exactly once."""
    path = Path(bench.dir, "app.log")
    Path(bench.dir, "app.log").write_text("job 0 failed\n" * 5)  # of before: nobody's news
    agent = bench.agent(config(log_policy("jobs", source=f"'{path}'", match="'^job \\d+ failed$'", times=100, within="1h"),
                               log_policy("traces", source=f"'{path}'", match="'(?s)^Exception.*at main'", multiline="'^\\s'")))
    reader_ready(agent)
    writer = Writer(path)

    def counted(what):
        wait_for(what, lambda: matches(agent, "jobs") >= writer.count)
        bench.equal(what, matches(agent, "jobs"), writer.count)

    writer.write(10)
    counted("lines that are appended")
    logrotate(bench, path, "create 0644")
    writer.write(7)          # still to the old one, as before a service is told
    writer.reopen()
    writer.write(5)
    counted("over a rename")
    logrotate(bench, path, "copytruncate")
    writer.write(6)
    counted("over a truncation")

    os.kill(reader_pid(agent), signal.SIGKILL)
    writer.write(4)
    counted("over the reader's death")
    agent.stop()
    writer.write(3)
    logrotate(bench, path, "create 0644")
    writer.write(2)
    writer.reopen()
    writer.write(1)
    agent.start()
    counted("over a restart with a rotation in between")

    writer.file.write(b"Exception in thread\n\tat worker\n\tat main\njob x\n")
    wait_for("lines that belong together", lambda: matches(agent, "traces") == 1)
    incident = wait_for("their incident", lambda: next(iter(agent.incidents(kind="log_pattern")), None))
    bench.equal("about the file", incident["resource"], {"type": "log", "log": str(path)})
    writer.write(1)
    os.unlink(path)          # removed while it is open: it must not be held
    counted("a file that is removed")
    pid = reader_pid(agent)
    wait_for("its descriptor to be closed", lambda: not any("(deleted)" in os.readlink(f"/proc/{pid}/fd/{fd}") and "app.log" in os.readlink(f"/proc/{pid}/fd/{fd}")
                                                            for fd in os.listdir(f"/proc/{pid}/fd")))


def flood(bench):
    """More than may be read, and a pattern with nested repeats: passed over and counted, never slower than the log."""
    path = Path(bench.dir, "flood.log")
    path.touch()
    agent = bench.agent(config(log_policy("evil", source=f"'{path}'", match="'^(a+)+$'"),
                               log_policy("last", source=f"'{path}'", match="'^the last line$'")))
    reader_ready(agent)
    block = (b"a" * 3000 + b"b\n") * 350
    with open(path, "ab", buffering=0) as out:
        for _ in range(60):  # 63 MB
            out.write(block)
        out.write(b"the last line\n")
    begun = time.monotonic()
    wait_for("the end of it", lambda: matches(agent, "last") == 1, 60)
    bench.note(f"63 MB of the worst: caught up after {time.monotonic() - begun:.1f} s")
    feed = agent.feed()
    skipped, read = feed.total("nodemend_log_skipped_bytes_total"), feed.total("nodemend_log_read_bytes_total")
    bench.ok("what was passed over is counted", skipped > 0, skipped)
    bench.ok("read and passed over add up to all", 0 <= path.stat().st_size - skipped - read <= 65536 * 2, (path.stat().st_size, skipped, read))
    bench.ok("the pattern was given up on", feed.total("nodemend_log_gave_up_total") > 0)
    bench.equal("and matched nothing", matches(agent, "evil"), 0)


def service(start, more=""):
    return f"[Service]\nExecStart={start}\n{more}"


def journal(bench):
    """A real journald and a real systemd in a container: lines by unit, over a rotation and restarts; a unit that flaps."""
    lines = Path(bench.dir, "journal")
    lines.mkdir()
    container = Container(bench, {
        "flaps.service": service("/bin/sh -c 'kill -SEGV $$$$'", "Restart=always\nRestartSec=200ms\nStartLimitIntervalSec=0\n"),
    }, options=[f"--bind={lines}:/var/log/journal"])
    text = (f'systemd_bus: "{container.bus}"\njournal_directory: {lines}\n'
            + config(log_policy("words", source="journal", unit='"speaks.*"', match="'^word (\\d+)$'", times=3, within="1h", clear="'^all is well$'"),
                     log_policy("java", source="journal", pattern="java-out-of-memory"))
            + "  - name: flaps\n    mode: observe\n    when:\n      unit: {name: flaps.service, restarts: 3, within: 1m}\n"
            + "  - name: dies\n    mode: observe\n    when:\n      crash: {cgroup: \"" + bench.cgroup("container")[1] + "\"}\n")
    agent = bench.agent(text)
    reader_ready(agent)
    said = 0

    def say(line):
        container.run("systemd-run", "--quiet", "--wait", "--unit=other", "echo", line)
        container.run("systemd-run", "--quiet", "--wait", "--unit=speaks.once", "echo", line)

    for _ in range(2):
        said += 1
        say(f"word {said}")
    wait_for("two words", lambda: matches(agent, "words") == 2)
    container.run("journalctl", "--rotate")
    say("word 3")
    incident = wait_for("the third, in another file", lambda: next(iter(agent.incidents(kind="log_pattern")), None))
    wait_for("three words", lambda: matches(agent, "words") >= 3)
    bench.equal("each once, and another unit's not", matches(agent, "words"), 3)
    bench.equal("about the unit", incident["resource"], {"type": "log", "log": "speaks.once.service"})
    agent.stop()
    say("word 4")
    agent.start()
    wait_for("what came while it was away", lambda: matches(agent, "words") == 4)
    os.kill(reader_pid(agent), signal.SIGKILL)
    say("word 5")
    wait_for("over the reader's death", lambda: matches(agent, "words") >= 5)
    agent.next_feed(3)
    bench.equal("and still each once", matches(agent, "words"), 5)
    bench.ok("one incident all the time", len(agent.incidents(kind="log_pattern")) == 1 and agent.incidents(id=incident["id"], state="open"),
             agent.incidents(kind="log_pattern"))
    say("all is well")
    wait_for("its end", lambda: agent.incidents(id=incident["id"], state="resolved"))
    say('Exception in thread main java.lang.OutOfMemoryError: Java heap space')
    wait_for("a shipped pattern", lambda: [i for i in agent.incidents(kind="log_pattern", state="open") if "java-out-of-memory" in i["resource"]["log"]])

    container.run("systemctl", "start", "--no-block", "flaps.service")
    down = wait_for("the unit that flaps", lambda: next(iter(agent.incidents(kind="service_down")), None), 30)
    bench.ok("named, with how often", down["resource"] == {"type": "unit", "unit": "flaps.service"} and down["signal"]["value"] >= 4, down)
    # Where systemd has only the hierarchy of v1, as beside v1 on the host, processes are in the container's cgroup as a whole.
    crash = wait_for("its crashes", lambda: next(iter(agent.incidents(kind="process_crash")), None))
    bench.ok("are one incident", len(agent.incidents(kind="process_crash")) == 1 and "ended by SIGSEGV" in str(crash["history"])
             and crash["resource"]["type"] in ("unit", "cgroup"), crash)


if __name__ == "__main__":
    raise SystemExit(harness.main(kernel, files, flood, journal))
