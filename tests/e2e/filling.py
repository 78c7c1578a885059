# SPDX-License-Identifier: Apache-2.0
"""Filesystems that fill and empty at a word: the shortest way to an incident that opens, gets worse and ends when a test says so."""

import subprocess
from pathlib import Path

from harness import MiB

POLICY = """
  - name: {name}
    when:
      filesystem: {{mountpoint: "{where}", used_percent: {{above: {above}, clear: {clear}}}}}
    severity: {severity}
    mode: observe
"""


class Filling:
    """A tmpfs of the bench's own, 16 MiB."""

    def __init__(self, bench, name, folder=None):
        self.name, self.where = name, Path(bench.dir, folder or name)
        self.where.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", self.where], check=True)
        bench.stack.callback(subprocess.run, ["umount", "-l", self.where], check=False)

    def fill(self, percent):
        (self.where / "filler").write_bytes(bytes(16 * MiB * percent // 100))

    def empty(self):
        (self.where / "filler").unlink()


def config(fillings, outputs, routes="[]"):
    """An agent's: a warning above half, critical above nine tenths; `outputs` and `routes` as YAML."""
    policies = "".join(
        POLICY.format(name=f"{filling.name}-{severity}", where=filling.where, above=above, clear=above - 10, severity=severity)
        for filling in fillings for severity, above in (("warning", 50), ("critical", 90)))
    return f"interval: 200ms\nstartup_grace: 0s\nhold_down: 0s\nnode: n1\ncollectors: {{unit: false}}\noutputs:\n{outputs}\nroutes: {routes}\npolicies:{policies}"
