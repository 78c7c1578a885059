# SPDX-License-Identifier: Apache-2.0
"""Figures of applications, of every kind that comes in: StatsD lines and a text file. Who pushes or serves must have them, too."""

import socket
from pathlib import Path

from harness import wait_for

TEXT = """# HELP backup_seconds How long backups took.
# TYPE backup_seconds histogram
backup_seconds_bucket{le="1"} 2
backup_seconds_bucket{le="+Inf"} 3
backup_seconds_sum 9.5
backup_seconds_count 3
# TYPE backup_last_bytes gauge
backup_last_bytes{disk="a"} 1.5e9
# TYPE report_seconds summary
report_seconds{quantile="0.5"} 0.25
report_seconds_sum 2
report_seconds_count 7
"""
DATAGRAMS = (b"shop.orders:1|c|#country:de\nshop.orders:4|c|@0.5|#country:de", b"queue.depth:7.5|g", b"pay.took:250|ms\npay.took:0.75:1.5:2|h",
             b"visitors:a:b:c|s")
# What is to be seen of it, where a histogram is its parts.
SERIES = {'shop_orders_total{country="de"}': 9, "queue_depth": 7.5, "visitors": 3, 'pay_took_bucket{le="0.25"}': 1, "pay_took_count": 4, "pay_took_sum": 4.5,
          'backup_seconds_bucket{le="1"}': 2, 'backup_seconds_bucket{le="+Inf"}': 3, "backup_seconds_sum": 9.5, "backup_seconds_count": 3,
          'backup_last_bytes{disk="a"}': 1.5e9, 'report_seconds{quantile="0.5"}': 0.25, "report_seconds_count": 7}


def config(bench):
    """What to add to a configuration."""
    folder = Path(bench.dir, "text")
    folder.mkdir(exist_ok=True)
    (folder / "backup.prom").write_text(TEXT)
    return f"inputs:\n  statsd: {{socket: {bench.dir}/statsd.sock}}\ntextfile: {{directory: {folder}}}\n"


def send(bench, agent):
    """All of it, and until the feed has it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(f"{bench.dir}/statsd.sock")
        for datagram in DATAGRAMS:
            sock.send(datagram)
    wait_for("what applications sent", lambda: {"visitors", "backup_last_bytes"} <= set(agent.feed().metrics), 30)
