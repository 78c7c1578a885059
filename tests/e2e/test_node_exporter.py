#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Beside the real node_exporter: what it serves of this node, of a made-up host with everything, and of a directory of text files is
served here, too, with the same names, labels, types and values. What differs stands in LEFT_OUT and OTHERWISE with its reason, and
docs/node_exporter.md holds the same lists.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import harness
import host_tree
from harness import wait_for

# Families of theirs that are not here.
LEFT_OUT = {
    "go_.*": "of their Go runtime",
    "promhttp_.*": "of their HTTP library",
    "process_.*": "of their process; nodemend_self_* are ours",
    "node_exporter_build_info": "of their build; nodemend_build_info is ours",
    "node_systemd_.*": "the systemd collector: units that a policy names are nodemend's",
}
# Series of theirs that are not here, or with another value: name, then what labels it must have.
OTHERWISE = [
    ("node_network_speed_bytes", {}, "-1 means unknown: absent here, -125000 there"),
    ("node_scrape_collector_success", {"collector": "systemd"}, "left out"),
    ("node_scrape_collector_duration_seconds", {}, "each has its own"),
    ("node_textfile_mtime_seconds", {}, "files of refused content have none, in both; their directory's name differs in this test"),
]
# Of the made-up host alone.
TREE_OTHERWISE = OTHERWISE + [
    ("node_dmi_info", {}, "what only root may read is no label here"),
    ("node_nfsd_requests_total", {"method": "Verify"}, "their library counts SETCLIENTID for it"),
    ("node_nfsd_requests_total", {"method": "Write", "proto": "4"}, "their library counts SETCLIENTID_CONFIRM for it"),
    ("node_nfsd_requests_total", {"method": "RelLockOwner"}, "their library counts VERIFY for it"),
    ("node_selinux_.*", {}, "theirs asks the running kernel, not the tree"),
    ("node_textfile_scrape_error", {}, "no directory here"),
    ("node_scrape_collector_success", {"collector": "loadavg"}, "not of this collector"),
    ("node_scrape_collector_success", {"collector": "pressure"}, "not of this collector"),
    ("node_scrape_collector_success", {"collector": "stat"}, "not of this collector"),
]
# Served by other collectors, so not by the program that prints the made-up host; and what no tree holds.
NOT_OF_TREE = re.compile(r"node_(boot_time_seconds|context_switches_total|cpu_(guest_)?seconds_total|forks_total|intr_total|load\d+|pressure_.*|procs_.*|"
                         r"time_seconds|timex_.*|uname_info|filesystem_.*|time_zone_offset_seconds|"
                         r"network_receive_nohandler_total)")
# Of later versions than Debian's.
LATER = re.compile(r"node_zfs_(dbuf_.*|arc_signed)|node_zfs_zpool_state|node_netstat_.*")
# Those that count, but are not called so.
UNTYPED_COUNTERS = re.compile(r"node_(vmstat_.*|netstat_(?!Tcp_CurrEstab|Ip_Forwarding).*)")
# What changes from one moment to the next, so that no two scrapes agree.
GAUGES = re.compile(r"node_(memory_|load|procs_|filefd_allocated|filesystem_(avail|free|files)|sockstat_|netstat_Tcp_CurrEstab|nf_conntrack_|entropy_|time_seconds|timex_|"
                    r"udp_queues|disk_io_now|arp_entries|network_(info|up|carrier))|node_cpu_.*hertz")

# The series that the rules and dashboards of node-mixin and "Node Exporter Full" ask for.
ASKED_FOR = """
node_arp_entries node_boot_time_seconds node_bonding_active node_bonding_slaves node_context_switches_total node_cooling_device_cur_state node_cooling_device_max_state
node_cpu_core_throttles_total node_cpu_guest_seconds_total node_cpu_scaling_frequency_hertz node_cpu_scaling_frequency_max_hertz node_cpu_scaling_frequency_min_hertz
node_cpu_seconds_total node_disk_discard_time_seconds_total node_disk_discards_completed_total node_disk_discards_merged_total node_disk_io_now
node_disk_io_time_seconds_total node_disk_io_time_weighted_seconds_total node_disk_read_bytes_total node_disk_read_time_seconds_total node_disk_reads_completed_total
node_disk_reads_merged_total node_disk_write_time_seconds_total node_disk_writes_completed_total node_disk_writes_merged_total node_disk_written_bytes_total
node_entropy_available_bits node_filefd_allocated node_filefd_maximum node_filesystem_avail_bytes node_filesystem_device_error node_filesystem_files
node_filesystem_files_free node_filesystem_free_bytes node_filesystem_readonly node_filesystem_size_bytes node_forks_total node_hwmon_chip_names node_hwmon_fan_rpm
node_hwmon_temp_celsius node_hwmon_temp_crit_alarm_celsius node_hwmon_temp_crit_celsius node_hwmon_temp_crit_hyst_celsius node_hwmon_temp_max_celsius node_intr_total
node_load1 node_load15 node_load5 node_md_disks node_md_disks_required node_memory_Active_anon_bytes node_memory_Active_bytes node_memory_Active_file_bytes
node_memory_AnonHugePages_bytes node_memory_AnonPages_bytes node_memory_Bounce_bytes node_memory_Buffers_bytes node_memory_Cached_bytes node_memory_CommitLimit_bytes
node_memory_Committed_AS_bytes node_memory_DirectMap1G_bytes node_memory_DirectMap2M_bytes node_memory_DirectMap4k_bytes node_memory_Dirty_bytes
node_memory_HardwareCorrupted_bytes node_memory_HugePages_Free node_memory_HugePages_Rsvd node_memory_HugePages_Surp node_memory_HugePages_Total
node_memory_Hugepagesize_bytes node_memory_Inactive_anon_bytes node_memory_Inactive_bytes node_memory_Inactive_file_bytes node_memory_KernelStack_bytes
node_memory_Mapped_bytes node_memory_MemAvailable_bytes node_memory_MemFree_bytes node_memory_MemTotal_bytes node_memory_Mlocked_bytes node_memory_NFS_Unstable_bytes
node_memory_PageTables_bytes node_memory_Percpu_bytes node_memory_SReclaimable_bytes node_memory_SUnreclaim_bytes node_memory_ShmemHugePages_bytes
node_memory_ShmemPmdMapped_bytes node_memory_Shmem_bytes node_memory_Slab_bytes node_memory_SwapCached_bytes node_memory_SwapFree_bytes node_memory_SwapTotal_bytes
node_memory_Unevictable_bytes node_memory_VmallocChunk_bytes node_memory_VmallocTotal_bytes node_memory_VmallocUsed_bytes node_memory_WritebackTmp_bytes
node_memory_Writeback_bytes node_netstat_Icmp_InErrors node_netstat_Icmp_InMsgs node_netstat_Icmp_OutMsgs node_netstat_IpExt_InOctets node_netstat_IpExt_OutOctets
node_netstat_Ip_Forwarding node_netstat_TcpExt_ListenDrops node_netstat_TcpExt_ListenOverflows node_netstat_TcpExt_SyncookiesFailed node_netstat_TcpExt_SyncookiesRecv
node_netstat_TcpExt_SyncookiesSent node_netstat_TcpExt_TCPSynRetrans node_netstat_Tcp_ActiveOpens node_netstat_Tcp_CurrEstab node_netstat_Tcp_InErrs
node_netstat_Tcp_InSegs node_netstat_Tcp_OutRsts node_netstat_Tcp_OutSegs node_netstat_Tcp_PassiveOpens node_netstat_Tcp_RetransSegs node_netstat_UdpLite_InErrors
node_netstat_Udp_InDatagrams node_netstat_Udp_InErrors node_netstat_Udp_NoPorts node_netstat_Udp_OutDatagrams node_netstat_Udp_RcvbufErrors
node_netstat_Udp_SndbufErrors node_network_carrier node_network_info node_network_mtu_bytes node_network_receive_bytes_total node_network_receive_compressed_total
node_network_receive_drop_total node_network_receive_errs_total node_network_receive_fifo_total node_network_receive_frame_total node_network_receive_multicast_total
node_network_receive_packets_total node_network_speed_bytes node_network_transmit_bytes_total node_network_transmit_carrier_total node_network_transmit_colls_total
node_network_transmit_compressed_total node_network_transmit_drop_total node_network_transmit_errs_total node_network_transmit_fifo_total
node_network_transmit_packets_total node_network_transmit_queue_length node_network_up node_nf_conntrack_entries node_nf_conntrack_entries_limit
node_power_supply_online node_pressure_cpu_waiting_seconds_total node_pressure_io_stalled_seconds_total node_pressure_io_waiting_seconds_total
node_pressure_memory_stalled_seconds_total node_pressure_memory_waiting_seconds_total node_procs_blocked node_procs_running node_schedstat_running_seconds_total
node_schedstat_timeslices_total node_schedstat_waiting_seconds_total node_scrape_collector_duration_seconds node_scrape_collector_success
node_sockstat_FRAG_inuse node_sockstat_FRAG_memory node_sockstat_RAW_inuse node_sockstat_TCP_alloc node_sockstat_TCP_inuse node_sockstat_TCP_mem
node_sockstat_TCP_mem_bytes node_sockstat_TCP_orphan node_sockstat_TCP_tw node_sockstat_UDPLITE_inuse node_sockstat_UDP_inuse node_sockstat_UDP_mem
node_sockstat_UDP_mem_bytes node_sockstat_sockets_used node_softnet_dropped_total node_softnet_processed_total node_softnet_times_squeezed_total
node_textfile_scrape_error node_thermal_zone_temp node_time_seconds node_time_zone_offset_seconds node_timex_estimated_error_seconds
node_timex_frequency_adjustment_ratio node_timex_loop_time_constant node_timex_maxerror_seconds node_timex_offset_seconds node_timex_sync_status
node_timex_tai_offset_seconds node_timex_tick_seconds node_uname_info node_vmstat_oom_kill node_vmstat_pgfault node_vmstat_pgmajfault node_vmstat_pgpgin
node_vmstat_pgpgout node_vmstat_pswpin node_vmstat_pswpout
""".split()


class Exposition:
    def __init__(self, text):
        self.values, self.types = {}, {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, self.types[name] = line.split()
            elif line and not line.startswith("#"):
                match = re.match(r"([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)$", line)
                labels = frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
                key = (match[1], labels)
                if key in self.values and key[0].startswith("node_"):
                    raise AssertionError(f"twice: {line}")
                self.values[key] = float(match[3])


class Peer:
    """The real one, with these options."""

    def __init__(self, bench, *options):
        self.port = harness.free_port()
        program = shutil.which("prometheus-node-exporter")
        process = subprocess.Popen([program, f"--web.listen-address=127.0.0.1:{self.port}", *options], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        bench.stack.callback(process.wait)
        bench.stack.callback(process.kill)
        wait_for("node_exporter", self.answers, 20)

    def get(self, path="/metrics"):
        agent = harness.Agent.__new__(harness.Agent)
        agent.port = self.port
        return agent.get(path)[2].decode()

    def answers(self):
        try:
            return self.get()
        except OSError:
            return None

    def scrape(self):
        return Exposition(self.get())


def missing_peer(bench):
    if shutil.which("prometheus-node-exporter"):
        return False
    bench.skip("beside node_exporter", "prometheus-node-exporter is not installed (scripts/deps.sh test)")
    return True


def is_left_out(name):
    return any(re.fullmatch(pattern, name) for pattern in LEFT_OUT)


def is_otherwise(key, reasons):
    name, labels = key
    return any(re.fullmatch(pattern, name) and frozenset(wanted.items()) <= labels for pattern, wanted, _ in reasons)


def shown(keys):
    return [f"{name}{dict(sorted(labels))}" for name, labels in sorted(keys, key=lambda key: (key[0], sorted(key[1])))][:6]


def near(one, other, tolerance=1e-9):
    return one == other or (one != one and other != other) or abs(one - other) <= tolerance * max(abs(one), abs(other))


def passing(name, difference):
    """Pages under way: there in the moment between two moments without any."""
    return name.endswith("_bytes") and abs(difference) <= 1 << 20


def beside(bench):
    """This node: theirs, ours, theirs again."""
    if missing_peer(bench):
        return
    agent = bench.agent("interval: 1s\ncollectors: {unit: false}\npolicies: []\n")
    peer = Peer(bench)
    wait_for("the worker's first answer", lambda: 'node_scrape_collector_success{collector="uname"}' in agent.get("/metrics")[2].decode(), 20)
    before = peer.scrape()
    # Ours is of one of the ticks behind that: the slowest readings come every ten seconds.
    since = agent.feed().document["seq"]
    wait_for("eleven ticks", lambda: agent.feed().document["seq"] >= since + 12, 60, step=0.2)
    ours = Exposition(agent.get("/metrics")[2].decode())
    after = peer.scrape()

    families = {name for name in after.types if not is_left_out(name)}
    absent = sorted(name for name in families - set(ours.types) if not is_otherwise((name, frozenset()), OTHERWISE) and name in before.types)
    bench.ok("every family is here", not absent, absent[:10])
    bench.ok("of the same type", not [name for name in families & set(ours.types) if ours.types[name] != after.types[name]],
             [(name, ours.types[name], after.types[name]) for name in families & set(ours.types) if ours.types[name] != after.types[name]])
    stable = set(before.values) & set(after.values)
    wanted = {key for key in stable if not is_left_out(key[0]) and not is_otherwise(key, OTHERWISE)}
    bench.ok(f"all {len(wanted)} series are here", not wanted - set(ours.values), shown(wanted - set(ours.values)))
    known = set(before.values) | set(after.values)
    more = {key for key in ours.values if key[0] in families and key not in known}
    bench.ok("and no others of these families", not more, shown(more))

    counters, constants, gauges = [], [], []
    for key in wanted & set(ours.values):
        low, mine, high = before.values[key], ours.values[key], after.values[key]
        if after.types.get(key[0]) == "counter" or UNTYPED_COUNTERS.fullmatch(key[0]):
            # Theirs reads some CPU times in hundredths; both round them down.
            if not low - 1e-6 <= mine <= high + 1e-6:
                counters.append((key[0], dict(key[1]), low, mine, high))
        elif low == high and not GAUGES.match(key[0]):
            if not near(mine, low):
                constants.append((key[0], dict(key[1]), low, mine))
        elif key[0].startswith(("node_memory_", "node_filesystem_")) and low == high and not near(mine, low, 0.25) and not passing(key[0], mine - low):
            gauges.append((key[0], dict(key[1]), low, mine))
    bench.ok("each counter lies between theirs before and theirs after", not counters, counters[:5])
    bench.ok("what stands still is equal", not constants, constants[:5])
    bench.ok("what moves is near", not gauges, gauges[:5])
    bench.ok("the clocks agree", before.values[("node_time_seconds", frozenset())] <= ours.values[("node_time_seconds", frozenset())] + 2
             and ours.values[("node_time_seconds", frozenset())] <= after.values[("node_time_seconds", frozenset())])

    unanswered = [name for name in ASKED_FOR if name not in ours.types and name in after.types and not is_otherwise((name, frozenset()), OTHERWISE)]
    bench.ok("rules and dashboards find what they ask for", not unanswered, unanswered)

    body = agent.get("/metrics", {"Accept": "application/openmetrics-text; version=1.0.0"})[2].decode()
    types = re.findall(r"^# TYPE (\S+) (\S+)$", body, re.M)
    bench.ok("OpenMetrics has each family once, and all of them", len({name for name, _ in types}) == len(types) >= len(families), len(types))

    # As a job that names collectors asks both.
    for names in (["meminfo", "netdev"], ["loadavg", "stat", "time"], ["diskstats", "filesystem", "cpu", "pressure"], ["textfile", "netclass"]):
        query = "/metrics?" + "&".join(f"collect[]={name}" for name in names)
        theirs, mine = Exposition(peer.get(query)), Exposition(agent.get(query)[2].decode())
        lost = {name for name in theirs.types if not is_left_out(name)} - set(mine.types) - {"node_network_speed_bytes"}
        bench.ok(f"collect[] of {names}", not lost, sorted(lost)[:6])
    bench.equal("an unknown collector is refused", agent.get("/metrics?collect[]=nonsense")[0], 400)


def tree(bench):
    """The made-up host, given to both."""
    if missing_peer(bench):
        return
    root = Path(bench.dir, "host")
    host_tree.build(root)
    peer = Peer(bench, f"--path.procfs={root}/proc", f"--path.sysfs={root}/sys", f"--path.rootfs={root}", f"--path.udev.data={root}/run/udev/data",
                "--no-collector.netdev.netlink", f"--collector.textfile.directory={root}/none")
    theirs = peer.scrape()
    done = subprocess.run([harness.BUILD / "tests/unit/test_host", "print", root], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=60, check=True)
    ours = Exposition(done.stdout.decode())

    wanted = {key for key in theirs.values if not is_left_out(key[0]) and not NOT_OF_TREE.fullmatch(key[0])}
    bench.need("the real one found the whole host", len(wanted) > 800, len(wanted))
    absent = {key for key in wanted - set(ours.values) if not is_otherwise(key, TREE_OTHERWISE)}
    bench.ok(f"all {len(wanted)} series are here", not absent, shown(absent))
    more = {key for key in ours.values if key not in theirs.values and not is_otherwise(key, TREE_OTHERWISE) and not NOT_OF_TREE.fullmatch(key[0])
            and not LATER.fullmatch(key[0])}
    bench.ok("and no others", not more, shown(more))
    types = [(name, ours.types[name], kind) for name, kind in theirs.types.items() if name in ours.types and ours.types[name] != kind]
    bench.ok("of the same types", not types, types)
    wrong = []
    for key in wanted & set(ours.values):
        # The kernel writes 1.5M for 1.45 to 1.55: their library and ours fill in the rest in different ways.
        tolerance = 0.01 if key[0].startswith("node_bcache_") else 1e-9
        if not is_otherwise(key, TREE_OTHERWISE) and not near(theirs.values[key], ours.values[key], tolerance):
            wrong.append((key[0], dict(key[1]), theirs.values[key], ours.values[key]))
    bench.ok("with the same values", not wrong, wrong[:6])
    for name in sorted(host_tree_sources()):
        failed = ("node_scrape_collector_success", frozenset({("collector", name)}))
        if theirs.values.get(failed) != 1:
            bench.ok(f"the made-up host has {name}", False)


def btrfs(bench):
    """A real one, mounted: both ask it by ioctl for its devices."""
    if missing_peer(bench):
        return
    if not shutil.which("mkfs.btrfs"):
        bench.skip("a mounted Btrfs", "btrfs-progs is not installed")
        return
    root, image = Path(bench.dir, "root"), Path(bench.dir, "image")
    (root / "proc/1").mkdir(parents=True)
    (root / "sys").symlink_to("/sys")
    (root / "place").mkdir()
    image.touch()
    os.truncate(image, 128 << 20)
    subprocess.run(["mkfs.btrfs", "-q", image], stdout=subprocess.DEVNULL, check=True)
    if subprocess.run(["mount", "-o", "loop", image, root / "place"], stderr=subprocess.DEVNULL, check=False).returncode:
        bench.skip("a mounted Btrfs", "this kernel has none")
        return
    bench.stack.callback(subprocess.run, ["umount", "-l", root / "place"], check=False)
    line = next(line for line in Path("/proc/self/mountinfo").read_text().splitlines() if line.split()[4] == str(root / "place"))
    device = line.split(" - ")[1].split()[1]
    (root / "proc/1/mountinfo").write_text(line.replace(str(root / "place"), "/place") + "\n")
    (root / "proc/1/mounts").write_text(f"{device} /place btrfs rw 0 0\n")
    peer = Peer(bench, "--collector.disable-defaults", "--collector.btrfs", f"--path.procfs={root}/proc", f"--path.rootfs={root}")
    theirs = peer.scrape()
    done = subprocess.run([harness.BUILD / "tests/unit/test_host", "print", root], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=60, check=True)
    ours = Exposition(done.stdout.decode())
    wanted = {key for key in theirs.values if key[0].startswith("node_btrfs_")}
    bench.ok("it says errors by device", any(name == "node_btrfs_device_errors_total" for name, _ in wanted), shown(wanted))
    bench.ok("the same series", wanted == {key for key in ours.values if key[0].startswith("node_btrfs_")},
             shown(wanted ^ {key for key in ours.values if key[0].startswith("node_btrfs_")}))
    wrong = [(key[0], dict(key[1]), theirs.values[key], ours.values[key]) for key in wanted & set(ours.values) if not near(theirs.values[key], ours.values[key])]
    bench.ok("with the same values", not wrong, wrong[:4])


def host_tree_sources():
    return {"arp", "bcache", "bonding", "btrfs", "conntrack", "cpu", "cpufreq", "diskstats", "dmi", "edac", "entropy", "fibrechannel", "filefd", "hwmon", "infiniband",
            "ipvs", "mdadm", "meminfo", "netclass", "netdev", "netstat", "nfs", "nfsd", "nvme", "os", "powersupplyclass", "rapl", "schedstat", "sockstat", "softnet",
            "tapestats", "thermal_zone", "udp_queues", "vmstat", "xfs", "zfs"}


GOOD = r"""# HELP jobs_total Jobs that ended, with a \\ and a \n in it.
# TYPE jobs_total counter
jobs_total{queue="a",result="ok"} 12
jobs_total{result="failed", queue="a \"quoted\" \\ name"} 3
# TYPE temperature gauge
temperature -4.25e-1
plain_number 1e9
# TYPE wait histogram
wait_bucket{le="0.5"} 1
wait_bucket{le="+Inf"} 4
wait_sum 7.5
wait_count 4
# TYPE size summary
size{quantile="0.5"} 10
size_sum 100
size_count 9
# a remark
not_a_number NaN
"""


def textfiles(bench):
    """One directory, read by both: good files, and such as are refused."""
    if missing_peer(bench):
        return
    folder = Path(bench.dir, "textfiles")
    folder.mkdir()
    (folder / "good.prom").write_text(GOOD)
    (folder / "ignored.txt").write_text("other 1\n")
    agent = bench.agent(f"interval: 1s\ncollectors: {{unit: false, syscall: false}}\ntextfile: {{directory: \"{folder}\"}}\npolicies: []\n")
    peer = Peer(bench, f"--collector.textfile.directory={folder}")
    query = "/metrics?collect[]=textfile"
    wait_for("the first reading", lambda: "jobs_total" in agent.get(query)[2].decode(), 30)
    theirs, ours = Exposition(peer.get(query)), Exposition(agent.get(query)[2].decode())
    wanted = {key for key in theirs.values if not is_left_out(key[0]) and not key[0].startswith("node_scrape")}
    bench.ok("the same series", wanted <= set(ours.values), shown(wanted - set(ours.values)))
    wrong = [(key, theirs.values[key], ours.values[key]) for key in wanted & set(ours.values) if not near(theirs.values[key], ours.values[key])]
    bench.ok("with the same values", not wrong, wrong[:3])
    bench.ok("and types", all(ours.types.get(name) == theirs.types[name] for name in {name for name, _ in wanted} & set(theirs.types)))

    body = agent.get(query, {"Accept": "application/openmetrics-text; version=1.0.0"})[2].decode()
    bench.ok("OpenMetrics has them", 'jobs_total{queue="a",result="ok"} 12' in body and 'wait_bucket{le="0.5"} 1' in body and "# TYPE wait_bucket unknown" in body)
    rows = {metric["name"]: metric for metric in agent.get_json("/v1/metrics")["metrics"]}
    bench.ok("JSON has them, and no NaN", rows["temperature"]["samples"][0]["value"] == -0.425 and "not_a_number" not in rows, sorted(rows)[-5:])

    faults = {
        "timestamp": "a 1 1395066363000\n", "no end": "a 1", "bad name": "1a 1\n", "bad label": 'a{1b="c"} 1\n', "bad UTF-8": b'a{b="\xff"} 1\n',
        "type behind its samples": "a 1\n# TYPE a gauge\n", "two types": "# TYPE a gauge\n# TYPE a counter\n", "an unknown type": "# TYPE a strange\na 1\n",
        "not a number": "a one\n", "no quotes": "a{b=c} 1\n", "a label twice": 'a{b="1",b="2"} 1\n', "of another type elsewhere": "# TYPE temperature counter\ntemperature 1\n",
    }
    for what, text in faults.items():
        (folder / "zbad.prom").write_bytes(text if isinstance(text, bytes) else text.encode())
        bench.ok(f"{what}: refused by the real one", '\nnode_textfile_scrape_error 1\n' in peer.get(query) or what == "of another type elsewhere", what)
    wait_for("the refusal", lambda: "\nnode_textfile_scrape_error 1\n" in agent.get(query)[2].decode(), 30)
    bench.ok("the others stay", 'jobs_total{queue="a",result="ok"} 12' in agent.get(query)[2].decode())
    bench.ok("it says file and line", f"{folder}/zbad.prom:2: not taken: " in agent.log_tail(60), agent.log_tail(3))
    (folder / "zbad.prom").unlink()
    wait_for("all is well again", lambda: "\nnode_textfile_scrape_error 0\n" in agent.get(query)[2].decode(), 30)


if __name__ == "__main__":
    raise SystemExit(harness.main(beside, textfiles, tree, btrfs, together=2))
