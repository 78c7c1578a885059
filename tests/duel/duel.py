#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Side by side with others in virtual machines: the same faults by the same seeds under each peer, raw data into docs/duel, tables into docs/duel.md.

    duel.py [--family memory|disk|services]... [--seeds 1-3] [--peer NAME]... [--trial NAME]... [--swap MIB]... [--jobs N] [--no-write]
    duel.py --rescore        what the guests' words of build/duel say, without running any

A guest is one family under one peer with one seed; its words stay in build/duel. Rows of docs/duel that are run again are replaced.
"""

import argparse
import concurrent.futures
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
import image  # noqa: E402
import score  # noqa: E402

ROOT = image.ROOT
BUILD = Path(os.environ.get("NODEMEND_BUILD", ROOT / "build")).resolve()
CACHE = Path(os.environ.get("NODEMEND_TEST_CACHE", BUILD / "cache"))
WORK = BUILD / "duel"
PAGE, DATA = ROOT / "docs/duel.md", ROOT / "docs/duel"
KERNEL = os.environ.get("DUEL_KERNEL", "bookworm/linux-image-cloud-amd64")
MARK = "<!-- written by make duel -->"
BOOT_SECONDS, TRIAL_SECONDS = 240, 300  # limits; under emulation beside other work

FAMILIES = {
    "memory": {"peers": ["kernel", "earlyoom", "nohang", "oomd", "systemd-oomd", "nodemend"], "trials": score.MEMORY_TRIALS, "swaps": [0, 512],
               "memory": 768, "row": score.memory_row, "fields": score.MEMORY_FIELDS, "tables": score.memory_tables},
    "disk": {"peers": ["kernel", "monit-5", "monit-120", "nodemend"], "trials": score.DISK_TRIALS, "swaps": [0],
             "memory": 768, "row": score.disk_row, "fields": score.DISK_FIELDS, "tables": score.disk_tables},
    "services": {"peers": ["systemd", "monit-5", "monit-120", "nodemend"], "trials": score.SERVICE_TRIALS, "swaps": [0],
                 "memory": 768, "row": score.service_row, "fields": score.SERVICE_FIELDS, "tables": score.service_tables},
}


def numbers(text):
    """`1-3,7` is [1, 2, 3, 7]."""
    found = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def run_guest(disk, family, peer, swap, seed, names):
    """The guest's words, kept in a file; (its exit code, the file)."""
    log = WORK / f"{family}-{peer}-{swap}-{seed}.log"
    limit = BOOT_SECONDS + TRIAL_SECONDS * len(names)
    argv = ["scripts/vm.sh", "-d", str(disk), "-c", "2", "-M", str(FAMILIES[family]["memory"]), "-m", "loop", "-t", str(limit), KERNEL,
            f"sh /duel/run.sh {family} {peer} {swap} {seed} {' '.join(names)}"]
    begun = time.monotonic()
    with open(log, "wb") as out:
        code = subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, check=False).returncode
    print(f"# {log.name}: {len(names)} trials, {time.monotonic() - begun:.0f} s, exit {code}", flush=True)
    return code, log


def rows_of(log, family, peer, seed):
    row = FAMILIES[family]["row"]
    return [row(name, guest, lines, peer, seed) for name, guest, lines in score.trials(log.read_text(errors="replace"))]


def write_down(family, rows):
    """Several runs may bring their rows at once."""
    DATA.mkdir(exist_ok=True)
    path = DATA / f"{family}.csv"
    with open(WORK / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        every = score.merged(score.read_rows(path.read_text()) if path.exists() else [], rows)
        path.write_text(score.written(every, FAMILIES[family]["fields"]))
    print(f"# wrote {path.relative_to(ROOT)}: {len(every)} trials")


def write_page():
    """All above the mark is prose and stays; all below it is written anew."""
    text = PAGE.read_text()
    parts = []
    for family, what in FAMILIES.items():
        path = DATA / f"{family}.csv"
        if path.exists():
            parts += [f"## {family.capitalize()}", what["tables"](score.read_rows(path.read_text()), what["peers"])]
    PAGE.write_text(text[:text.index(MARK) + len(MARK)] + "\n\n" + "\n\n".join(parts) + "\n")
    print(f"# wrote {PAGE.relative_to(ROOT)}")


def rescore():
    for family in FAMILIES:
        rows = []
        for log in sorted(WORK.glob(f"{family}-*.log"), key=lambda path: path.stat().st_mtime):
            peer, _, seed = log.stem.removeprefix(f"{family}-").rsplit("-", 2)
            rows += rows_of(log, family, peer, int(seed))
        if rows:
            write_down(family, rows)
    write_page()
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", action="append", choices=sorted(FAMILIES))
    parser.add_argument("--seeds", type=numbers, default=[1])
    parser.add_argument("--peer", action="append")
    parser.add_argument("--trial", action="append")
    parser.add_argument("--swap", action="append", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--no-write", action="store_true", help="leave docs alone")
    parser.add_argument("--rescore", action="store_true", help="read the guests' words that are there, and run none")
    parser.add_argument("--keep-image", action="store_true", help="use the image of the last run")
    options = parser.parse_args()

    WORK.mkdir(parents=True, exist_ok=True)
    if options.rescore:
        return rescore()
    disk = WORK / "root.ext4"
    try:
        disk = disk if options.keep_image and disk.exists() else image.build_image(CACHE, BUILD, WORK)
    except image.Missing as why:
        print(f"SKIP duel: {why}")
        return 0
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for family in options.family or list(FAMILIES):
            what = FAMILIES[family]
            names = [name for name in what["trials"] if not options.trial or name in options.trial]
            jobs = {}
            for seed in options.seeds:
                for swap in options.swap if options.swap is not None else what["swaps"]:
                    for peer in options.peer or what["peers"]:
                        jobs[pool.submit(run_guest, disk, family, peer, swap, seed, names)] = (peer, seed)
            rows = []
            for job in concurrent.futures.as_completed(jobs):
                peer, seed = jobs[job]
                code, log = job.result()
                new = rows_of(log, family, peer, seed)
                rows += new
                bad += code != 0 or len(new) < len(names)
                for row in new:
                    print("  " + ", ".join(f"{key} {value}" for key, value in row.items() if value is not None and key != "kernel"), flush=True)
                if not options.no_write:
                    write_down(family, new)
            if not rows:
                print(f"not ok duel {family}: no guest brought a trial to its end")
    if not options.no_write:
        write_page()
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
