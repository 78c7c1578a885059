#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Scores `nodemend detect` on labelled data that lies beside the checkout, next to what others published, and writes the table of docs/detection.md.

DETECT_DATA names the folder (../shared/data); docs/detection.md says what it must hold. What is absent is said and skipped. DETECT_SETS=nab,smd
takes some only, and then writes nothing. NODEMEND_BUILD names the build folder."""
import csv
import glob
import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import score

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("NODEMEND_BUILD", ROOT / "build"))
DATA = Path(os.environ.get("DETECT_DATA", ROOT.parent / "shared" / "data"))
MARK = "<!-- written by make bench-detect -->"
table = []


def detect(names, rows):
    """Node scores, and those of each metric, by row."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["timestamp", *names])
    writer.writerows(rows)
    done = subprocess.run([BUILD / "nodemend", "detect", "-"], input=text.getvalue(), stdout=subprocess.PIPE, check=True, text=True)
    scores = [[float(field or 0) for field in row[1:]] for row in list(csv.reader(io.StringIO(done.stdout)))[1:]]
    return [row[0] for row in scores], [row[1:] for row in scores]


def read(path):
    return gzip.open(path, "rt").read()


def say(name, ours, halves, goal, peers):
    table.append((name, ours, halves, goal, peers))
    print(f"{name}: {ours} (halves {halves}; goal {goal}; others: {peers})", flush=True)


def halved(entities):
    return entities[::2], entities[1::2]


# --- NAB --------------------------------------------------------------------------------------------------------------------
NAB_PEERS = {"standard": "HTM 71.1, CAD OSE 72.6, ARTime 79.7 on these files; 70.1, 69.9, 74.9 on all; random cut forest 51.7, Twitter ADVec 47.1",
             "low FP": "HTM 63.1, CAD OSE 67.0, ARTime 65.2 on all", "low FN": "HTM 74.3, CAD OSE 73.2, ARTime 80.4 on all"}


def nab():
    labels = json.loads((DATA / "nab" / "labels" / "windows.json").read_text())
    files = []
    for name in sorted(labels):
        rows = list(csv.reader((DATA / "nab" / "data" / name).open()))[1:]
        first = {}
        for at, row in enumerate(rows):
            first.setdefault(row[0], at)
        windows = [(first[a.split(".")[0]], first[b.split(".")[0]]) for a, b in labels[name]]
        files.append(score.NabFile(detect(["value"], [[row[0], row[1]] for row in rows])[0], windows))
    for profile, peers in NAB_PEERS.items():
        halves = [score.nab(half, profile)[0] for half in halved(files)]
        say(f"NAB {profile}", f"{score.nab(files, profile)[0]:.1f}", " ".join(f"{half:.1f}" for half in halves), "70" if profile == "standard" else "-", peers)
    ours, theirs = halved(files)
    crossed = [score.nab(a, threshold=score.nab(b)[1])[0] for a, b in ((ours, theirs), (theirs, ours))]
    say("NAB standard, threshold from the other half", f"{sum(crossed) / 2:.1f}", " ".join(f"{value:.1f}" for value in crossed), "-",
        "published on all files, threshold from half of them: HTM 67.4, ARTime 67.9, CAD OSE 66.0")


# --- nodes ------------------------------------------------------------------------------------------------------------------
NODES = {"smd": ("SMD", 60, (0.35, 0.70, 0.88)), "asd": ("ASD", 300, (0.72, 0.88, 0.85)), "jumpstarter2": ("JumpStarter D2", 300, (0.85, 0.94, None))}
NODE_PEERS = {"smd": ("k-means consensus as in netdata .09, DSPOT .24, half-space trees .22", ".40, .53, .43", "KS test of differences .44, volume .87, chance .30"),
              "asd": ("k-means consensus as in netdata .59, DSPOT .52, half-space trees .20", ".76, .63, .46", "KS test of differences .60, volume .68, chance .45"),
              "jumpstarter2": ("k-means consensus as in netdata .81, DSPOT .62, half-space trees .56", ".88, .88, .69", "")}


def events_of(path, before):
    for line in path.read_text().splitlines():
        if ":" in line:
            span, truth = line.strip().split(":")
            first, last = (int(row) + before for row in span.split("-"))
            yield first, last, {int(metric) - 1 for metric in truth.split(",") if metric}


def nodes(folder):
    title, step, goals = NODES[folder]
    entities, lengths, asked, right = [], [], 0, 0
    for labels in sorted(glob.glob(str(DATA / folder / "*.test_label.csv.gz"))):
        stem = labels[:-len(".test_label.csv.gz")]
        train, test = (read(f"{stem}.{part}.csv.gz").split() for part in ("train", "test"))
        rows = [[1700000000 + at * step, *row.split(",")] for at, row in enumerate(train + test)]
        node, per_metric = detect([f"m{i}" for i in range(len(rows[0]) - 1)], rows)
        told = score.hold(node, 6 * 3600 / step)[len(train):]
        entities.append((told, score.segments([int(float(label)) for label in read(labels).split()])))
        lengths.append(len(told) * step / 86400)
        truth = Path(stem + ".interpretation.txt")
        for first, last, odd in events_of(truth, len(train)) if truth.exists() else []:
            asked += 1
            right += score.top_metric(per_metric, first, last, odd)
    budgets = (0.25, 1)
    whole = score.recall(entities, budgets, sum(lengths), 10)
    halves = [score.recall(half, budgets, sum(days), 10) for half, days in zip(halved(entities), halved(lengths))]
    for which, budget in enumerate(budgets):
        say(f"{title}, recall at {budget} false alarms a node-day", f"{whole[budget]:.2f}", " ".join(f"{half[budget]:.2f}" for half in halves),
            f"{goals[which]:.2f}", NODE_PEERS[folder][which])
    if asked:
        say(f"{title}, the first metric named is truly odd", f"{right / asked:.2f}", "-", f"{goals[2]:.2f}", NODE_PEERS[folder][2])


# --- single series ----------------------------------------------------------------------------------------------------------
SERIES = {"msft-cloud": ("Microsoft cloud monitoring", 0.62, "EWMA z .57, DSPOT .52, k-means consensus .36, half-space trees .30"),
          "donut": ("Donut", 0.85, "Holt-Winters .74, k-means consensus .65, EWMA z .52, half-space trees .09")}


def series(folder):
    title, goal, peers = SERIES[folder]
    entities, lengths = [], []
    for path in sorted(glob.glob(str(DATA / folder / "**" / "*.csv.gz"), recursive=True)):
        rows = [line.replace('"', "").split(",") for line in read(path).strip().split("\n")[1:]]
        step = 300 if folder == "donut" else 60 if len(rows) > 8000 else 3600
        node = detect(["value"], [[1700000000 + at * step, row[1] or "0"] for at, row in enumerate(rows)])[0]
        warm = min(int(0.15 * len(rows)), 750)
        found = score.segments([int(float(row[2])) for row in rows], join=5)
        entities.append((score.hold(node, 150 if len(rows) > 2000 else 24)[warm:], [(a - warm, b - warm) for a, b in found if a >= warm]))
        lengths.append(len(rows) - warm)
    whole = score.recall(entities, (1,), sum(lengths) / 1000, 3)[1]
    halves = [score.recall(half, (1,), sum(points) / 1000, 3)[1] for half, points in zip(halved(entities), halved(lengths))]
    say(f"{title}, recall at 1 false alarm a 1000 points", f"{whole:.2f}", " ".join(f"{half:.2f}" for half in halves), f"{goal:.2f}", peers)


def cost():
    plain, size, both, both_size = subprocess.run([BUILD / "tests" / "bench" / "bench_detect"], stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    say("ns a point, 1000 series in turn (with shapes)", f"{plain} ({both})", "-", "400", "k-means consensus 720, half-space trees 775, left discord 14 600")
    say("bytes a series (with shapes)", f"{size} ({both_size})", "-", "2048", "k-means consensus 2112, half-space trees 40 408, left discord 4524")


def write():
    document = ROOT / "docs" / "detection.md"
    text = document.read_text()
    begin = text.index(MARK) + len(MARK)
    end = text.index("<!-- end -->", begin)
    rows = ["| what | nodemend | halves of the data | goal | others |", "|---|---|---|---|---|"]
    rows += ["| " + " | ".join(row) + " |" for row in table]
    document.write_text(text[:begin] + "\n" + "\n".join(rows) + "\n" + text[end:])
    print(f"wrote {document.relative_to(ROOT)}")


def main():
    sets = {"nab": nab, "smd": lambda: nodes("smd"), "asd": lambda: nodes("asd"), "jumpstarter2": lambda: nodes("jumpstarter2"),
            "msft-cloud": lambda: series("msft-cloud"), "donut": lambda: series("donut")}
    wanted = os.environ.get("DETECT_SETS", ",".join(sets)).split(",")
    done = 0
    for name, run in sets.items():
        if name not in wanted:
            continue
        if (DATA / name).is_dir():
            run()
            done += 1
        else:
            print(f"SKIP bench-detect {name}: no {DATA / name}; DETECT_DATA names the folder of labelled data (docs/detection.md)")
    cost()
    if done == len(sets):
        write()


if __name__ == "__main__":
    sys.exit(main())
