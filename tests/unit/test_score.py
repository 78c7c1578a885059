#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The scorer of make bench-detect on truths that are known without it, and `nodemend detect` as a command: what it prints, what it refuses, and
that no score looks ahead. NODEMEND_BUILD names the build folder."""
import math
import os
import random
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests" / "bench"))
import score  # noqa: E402

PROGRAM = Path(os.environ.get("NODEMEND_BUILD", ROOT / "build")) / "nodemend"
failed = 0


def check(name, so, why=""):
    global failed
    failed += not so
    print(f"ok {name}" if so else f"not ok {name}: {why or 'it is not so'}")


def near(a, b):
    return abs(a - b) < 1e-9


# --- the scorer -------------------------------------------------------------------------------------------------------------
rows, windows = 4000, [(1000, 1099), (2500, 2599)]
silent = score.NabFile([0.0] * rows, windows)
right = score.NabFile([1.0 if row in (1000, 2500) else 0.0 for row in range(rows)], windows)
late = score.NabFile([1.0 if row in (1099, 2599) else 0.0 for row in range(rows)], windows)
early = score.NabFile([1.0 if row in (999, 2499) else 0.0 for row in range(rows)], windows)
half = score.NabFile([1.0 if row == 1000 else 0.0 for row in range(rows)], windows)
for profile in score.NAB_PROFILES:
    check(f"nab-{profile}-null-is-0", near(score.nab([silent], profile, threshold=1)[0], 0))
    check(f"nab-{profile}-perfect-is-100", near(score.nab([right], profile)[0], 100), score.nab([right], profile))
    check(f"nab-{profile}-half-is-50", near(score.nab([half], profile)[0], 50))
check("nab-later-is-less", 45 < score.nab([late], threshold=1)[0] < 60, score.nab([late], threshold=1))
check("nab-beside-is-below-null", score.nab([early], threshold=1)[0] < 0)
# One false record far from any window costs 0.11 of a window: 100 * 0.11 / (2 + 2).
noisy = score.NabFile([1.0 if row in (800, 1000, 2500) else 0.0 for row in range(rows)], windows)
check("nab-a-false-record-costs", near(score.nab([noisy], threshold=1)[0], 100 - 2.75), score.nab([noisy], threshold=1))
check("nab-probation-is-free", near(score.nab([score.NabFile([1.0 if row in (10, 1000, 2500) else 0.0 for row in range(rows)], windows)])[0], 100))
check("nab-one-threshold-for-all", score.nab([right, noisy])[0] < 100)

alarms = [0.0] * 100
alarms[10], alarms[50], alarms[70] = 3, 2, 1
check("recall", score.recall([(alarms, [(48, 52), (69, 71)])], (0, 1), 1, 0) == {0: 0.0, 1: 1.0})
check("recall-within-grace", score.recall([(alarms, [(5, 8)])], (0,), 1, 2) == {0: 1.0})
check("segments", score.segments([0, 1, 1, 0, 1, 0, 0, 1]) == [(1, 2), (4, 4), (7, 7)] and score.segments([1, 0, 0, 1], join=5) == [(0, 3)])
check("hold", score.hold([5, 4, 8, 0, 0, 0, 6], 2) == [5, 0, 8, 0, 0, 0, 6])
check("top-metric", score.top_metric([[0, 1], [9, 2]], 1, 1, {0}) and not score.top_metric([[0, 1], [9, 2]], 1, 1, {1}))


# --- the command ------------------------------------------------------------------------------------------------------------
def detect(text, *words):
    done = subprocess.run([PROGRAM, "detect", *(words or ["-"])], input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


random.seed(7)
table = ["timestamp,\"cpu, used\",b"]
for at in range(1500):
    a = "" if at % 97 == 5 else f"{50 + random.gauss(0, 1) + (40 if at == 1400 else 0):.4f}"
    table.append(f"{1700000000 + 60 * at + (86400 if at > 700 else 0)},{a},{'nan' if at % 89 == 3 else 7}")
code, whole, _ = detect("\n".join(table) + "\n")
lines = whole.splitlines()
check("detect-header-is-kept", code == 0 and lines[0] == 'timestamp,node,"cpu, used",b', lines[:1])
check("detect-a-row-a-row", len(lines) == len(table) and all(a.split(",")[0] == b.split(",")[0] for a, b in zip(lines[1:], table[1:])))
scores = [float(line.split(",")[1] or "nan") for line in lines[1:]]
check("detect-warms-up-unknown", all(math.isnan(value) for value in scores[:99]) and not math.isnan(scores[200]))
check("detect-finds-the-spike", max(range(200, 1500), key=lambda at: scores[at] if scores[at] == scores[at] else -1) in (1400, 1401))
check("detect-a-gap-is-no-anomaly", max(scores[701:703]) < max(scores[1400:1402]) / 3, scores[700:704])
code, crlf, _ = detect("\r\n".join(table) + "\r\n")
check("detect-crlf-is-the-same", code == 0 and crlf == whole)
for length in (1, 2, 150, 1401):
    code, part, _ = detect("\n".join(table[:length + 1]) + "\n")
    check(f"detect-prefix-{length}-has-the-same-scores", code == 0 and whole.startswith(part) and part.count("\n") == length + 1)
wide = "timestamp," + ",".join(f"m{i}" for i in range(100)) + "\n" + "".join(f"2026-01-01T{h:02}:00:00Z" + ",1" * 100 + "\n" for h in range(24))
code, out, _ = detect(wide)
check("detect-a-hundred-metrics", code == 0 and out.count("\n") == 25 and out.splitlines()[1].count(",") == 101)
code, out, error = detect("timestamp,a\n1,2\n2,x\n")
check("detect-a-bad-row-is-2", code == 2 and error == "stdin:3: 'x' in column 2 (a) is no number; an absent value is an empty field or nan\n" and
      out == "timestamp,node,a\n1,,\n", (code, out, error))
code, _, error = detect("", "/nonexistent.csv")
check("detect-no-file-is-2", code == 2 and "No such file" in error, (code, error))
check("detect-no-word-is-2", subprocess.run([PROGRAM, "detect"], stderr=subprocess.DEVNULL, timeout=60).returncode == 2)
sys.exit(1 if failed else 0)
