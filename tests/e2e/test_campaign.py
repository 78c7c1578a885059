#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A few injected faults by a fixed seed: whatever this machine is busy with, the one who misbehaves is named and the large steady one is not.
`make campaign` does the long one, with every kind of fault many times.
"""

import campaign
import harness

# Faults that show on a busy machine as on an idle one; each needs some seconds.
SHORT = ("memory leak", "disk filling", "inode leak", "descriptor leak")


def short(bench):
    campaign.KINDS = tuple(kind for kind in campaign.KINDS if kind.name in SHORT)
    ground = campaign.Ground(bench, seed=5, warm=12)
    for kind, why in ground.unknown:
        bench.skip(kind.name, why)
    rows = campaign.run(ground, ground.kinds)
    for row in rows:
        if "disturbed" in row:
            bench.skip(row["kind"], f"others keep incidents open: {row['disturbed']}")
            continue
        bench.ok(f"{row['kind']}: detected", row["detected"], row)
        bench.ok(f"{row['kind']}: its cause is among the first three", row.get("top3"), row)
    bench.ok("the steady one is first of none", all(row.get("causes", [""])[:1] != [ground.parent + "/steady"] for row in rows), rows)


if __name__ == "__main__":
    raise SystemExit(harness.main(short, seconds=240))
