# SPDX-License-Identifier: Apache-2.0
"""The programs that nodemend is measured beside, from Debian's packages, each started as its own documents say for an interval of
one second, on the loopback, and ended with the bench.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402
from harness import wait_for  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids):
    """From schedstat where the kernel keeps it: /proc/PID/stat counts in ticks of 10 ms."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                with suppress(OSError, ValueError):
                    total += int((task / "schedstat").read_text().split()[0]) / 1e9
                    continue
                with suppress(OSError):
                    fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
                    total += (int(fields[11]) + int(fields[12])) / TICK
    return total


def rollup(pids, what):
    total = 0
    for pid in pids:
        with suppress(OSError, AttributeError):
            total += int(re.search(rf"^{what}:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1]) * 1024
    return total


class Peer:
    """A program that runs until the bench ends or it is stopped."""

    def __init__(self, bench, name, argv, folder=None):
        self.name = name
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
                                        env=dict(os.environ, DO_NOT_TRACK="1"), start_new_session=True)
        bench.stack.callback(self.stop)

    def pids(self):
        return [self.process.pid, *harness.children_of(self.process.pid)]

    def stop(self):
        if self.process.returncode is not None:
            return
        for pid in reversed(self.pids()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


class Exporter(Peer):
    """One that serves /metrics, and measures when it is asked."""

    OPTIONS = {"prometheus-node-exporter": "--web.listen-address=127.0.0.1:{port}",
               "prometheus-process-exporter": "-web.listen-address=127.0.0.1:{port}"}

    def __init__(self, bench, name):
        self.port = harness.free_port()
        super().__init__(bench, name, [name, self.OPTIONS[name].format(port=self.port)])
        wait_for(name, self.scrape, 20)

    def scrape(self):
        with suppress(OSError):
            return harness.Agent.get(self, "/metrics")[2]


def netdata(bench):
    """netdata with its apps plugin, in memory; no cloud, no machine learning, no statistics sent anywhere."""
    folder = Path(bench.dir, "netdata")
    for name in ("cache", "lib", "log"):
        (folder / name).mkdir(parents=True)
    port = harness.free_port()
    config = folder / "netdata.conf"
    config.write_text(
        "[global]\n\trun as user = root\n[db]\n\tmode = ram\n\tupdate every = 1\n[registry]\n\tenabled = no\n[ml]\n\tenabled = no\n"
        f"[directories]\n\tcache = {folder}/cache\n\tlib = {folder}/lib\n\tlog = {folder}/log\n"
        f"[web]\n\tbind to = 127.0.0.1:{port}\n[logs]\n\tdebug = none\n\terror = none\n\taccess = none\n")
    return Peer(bench, "netdata with apps.plugin", ["netdata", "-D", "-c", str(config)])


def atop(bench):
    return Peer(bench, "atop -w", ["atop", "-w", str(Path(bench.dir, "atop.raw")), "1"])


def collectd(bench):
    plugins = "cpu memory disk interface load df processes contextswitch vmem irq tcpconns".split()
    config = Path(bench.dir, "collectd.conf")
    config.write_text(f'Interval 1\nBaseDir "{bench.dir}"\nPIDFile "{bench.dir}/collectd.pid"\n' + "".join(f"LoadPlugin {p}\n" for p in plugins))
    return Peer(bench, f"collectd with {len(plugins)} plugins", ["collectd", "-f", "-C", str(config)])


SAMPLERS = {"netdata": netdata, "atop": atop, "collectd": collectd}


def exporters(bench):
    return [Exporter(bench, name) for name in Exporter.OPTIONS if shutil.which(name)]


def samplers(bench):
    return [start(bench) for program, start in SAMPLERS.items() if shutil.which(program)]


def bpf_programs(pids):
    """(name, run time in ns, runs) of the programs that these processes have loaded, while the kernel counts them."""
    out = subprocess.run(["/usr/sbin/bpftool", "-j", "prog", "show"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
    with suppress(ValueError):
        return [(row.get("name", "?"), row.get("run_time_ns", 0), row.get("run_cnt", 0)) for row in json.loads(out)
                if any(pid.get("pid") in pids for pid in row.get("pids", []))]
    return []


@contextlib.contextmanager
def counted_runs():
    """The kernel counts what BPF programs cost, for as long as this is open; a reading of an empty program is the counting itself."""
    switch = Path("/proc/sys/kernel/bpf_stats_enabled")
    before = switch.read_text()
    switch.write_text("1")
    try:
        yield
    finally:
        switch.write_text(before)

