#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Fills real filesystems (ext4 and xfs on loop devices, tmpfs) with real writers, two weeks in some seconds a series, and records
how full they were: a share a line, as statvfs has it, for `bench_forecast recorded`. Needs root; all that it mounts is in a mount
namespace of its own. A writer does at each step what a service does in a minute, scaled to a small filesystem.

    record_fills.py DIRECTORY [SEED]
"""

import ctypes
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MINUTES = 17 * 1440  # the last three days are the truth of the end of the first fourteen
MIB = 1 << 20
SIZE = {"ext4": 192, "xfs": 320, "tmpfs": 128}
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000


def enter_own_mounts():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        raise OSError(ctypes.get_errno(), "no mount namespace of its own")


class Filesystem:
    def __init__(self, kind, scratch):
        self.mount = scratch / "mnt"
        self.mount.mkdir()
        if kind == "tmpfs":
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE[kind]}M", "tmpfs", self.mount], check=True)
        else:
            image = scratch / "image"
            with open(image, "wb") as file:
                file.truncate(SIZE[kind] * MIB)
            subprocess.run([f"mkfs.{kind}", "-q", image], check=True)
            subprocess.run(["mount", "-o", "loop", image, self.mount], check=True)
        self.room = os.statvfs(self.mount).f_bavail * os.statvfs(self.mount).f_frsize

    def level(self):
        stat = os.statvfs(self.mount)
        used = stat.f_blocks - stat.f_bfree
        return used / (used + stat.f_bavail)

    def close(self):
        subprocess.run(["umount", self.mount], check=True)


class Writer:
    """Appends to files and removes them; what does not fit is not written, as when a service gets ENOSPC."""

    def __init__(self, filesystem, dice):
        self.fs, self.dice, self.files = filesystem, dice, 0

    def append(self, name, size):
        try:
            with open(self.fs.mount / name, "ab") as file:
                file.write(b"x" * int(size))
        except OSError:
            pass

    def remove(self, name):
        (self.fs.mount / name).unlink(missing_ok=True)

    def many(self, folder, count, size):
        (self.fs.mount / folder).mkdir(exist_ok=True)
        for _ in range(count):
            self.append(f"{folder}/{self.files}", size)
            self.files += 1


# Each: what happens in this minute. `days` is how long the whole takes to fill.

def steady(w, minute, a_minute):
    w.append("data", a_minute * w.dice.uniform(0.5, 1.5))


def from_flat(w, minute, a_minute):
    if minute > 5 * 1440:
        w.append("data", 8 * a_minute * w.dice.uniform(0.5, 1.5))


def rotated(w, minute, a_minute):
    w.append("app.log", 5 * a_minute)
    if minute % 1440 == 0:
        w.remove("app.log.1")
        if (w.fs.mount / "app.log").exists():
            os.rename(w.fs.mount / "app.log", w.fs.mount / "app.log.1")


def rotation_stops(w, minute, a_minute):
    if minute < 6 * 1440:
        rotated(w, minute, a_minute)
    else:
        w.append("app.log", 5 * a_minute)


def small_files(w, minute, a_minute):
    if minute % 10 == 0:
        w.many("mail", max(1, int(a_minute * 10 / 4096)), 2000)


def temporary(w, minute, a_minute):
    if minute % 480 < 60:
        w.append("tmp", w.fs.room * 0.4 / 60)
    elif minute % 480 == 90:
        w.remove("tmp")


def bursts(w, minute, a_minute):
    if minute % 240 == 0:
        w.rate = a_minute * w.dice.lognormvariate(-0.3, 0.8)
    w.append("data", w.rate * w.dice.uniform(0.2, 1.8))


def backup(w, minute, a_minute):
    w.append("data", 0.5 * a_minute)
    if minute % 1440 < 60:
        w.append("dump", w.fs.room * 0.25 / 60)
    elif minute % 1440 == 200:
        w.remove("dump")


def working_day(w, minute, a_minute):
    if minute % 1440 < 600:
        w.append("data", 2.4 * a_minute)


COURSES = (steady, from_flat, rotated, rotation_stops, small_files, temporary, bursts, backup, working_day)
DAYS = {rotated: 40, temporary: 40, backup: 16}


def record(kind, course, seed, path):
    scratch = Path(tempfile.mkdtemp(prefix="nodemend-fills-", dir=os.environ.get("NODEMEND_TEST_DIR", "/var/tmp")))
    filesystem = Filesystem(kind, scratch)
    try:
        writer = Writer(filesystem, random.Random(f"{seed} {kind} {course.__name__}"))
        a_minute = filesystem.room / (DAYS.get(course, writer.dice.uniform(6, 13)) * 1440)
        with open(path, "w", encoding="ascii") as out:
            for minute in range(MINUTES):
                course(writer, minute, a_minute)
                level = filesystem.level()
                out.write(f"{level:.6f}\n")
                if level >= 0.999:
                    break
    finally:
        filesystem.close()
        shutil.rmtree(scratch)


def main():
    directory, seed = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "1"
    enter_own_mounts()
    directory.mkdir(parents=True, exist_ok=True)
    for kind in SIZE:
        for course in COURSES:
            record(kind, course, seed, directory / f"{kind}-{course.__name__}")


if __name__ == "__main__":
    main()
