# SPDX-License-Identifier: Apache-2.0
"""The guest's file system: Debian with its systemd and the peers as Debian packages them, every one of them off, and ours beside them.
Downloaded once into the cache of the tests; nothing is installed on this machine."""

import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests/duel"
RELEASE = "bookworm"
PACKAGES = ["systemd", "systemd-sysv", "systemd-oomd", "dbus", "procps", "util-linux", "e2fsprogs", "earlyoom", "nohang", "oomd", "monit"]
SERVICES = ["earlyoom", "nohang", "nohang-desktop", "oomd", "monit", "systemd-oomd"]
NOISE = ["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer", "systemd-timesyncd.service",
         "systemd-networkd.service", "systemd-networkd-wait-online.service"]
PROGRAMS = ["append_sync", "hang_server", "hog", "latency", "referee", "spinner", "steady", "unruly", "writer"]
SIZE = "3G"  # sparse: what a guest writes goes to a temporary file


class Missing(Exception):
    """What is needed cannot be had here."""


def base(cache):
    """The tree as mmdebstrap makes it."""
    tree = cache / f"duel-{RELEASE}"
    if tree.exists():
        return tree
    if not shutil.which("mmdebstrap"):
        raise Missing("mmdebstrap is not installed")
    cache.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f"duel-{RELEASE}.", dir=cache))
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}", RELEASE, str(new)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900, check=False)
    if done.returncode:
        shutil.rmtree(new, ignore_errors=True)
        raise Missing("mmdebstrap: " + done.stdout.decode(errors="replace")[-400:])
    new.chmod(0o755)
    new.rename(tree)
    return tree


def put(tree, path, text, mode=0o644):
    target = tree / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    target.chmod(mode)


def copy(tree, source, path, mode=0o755):
    target = tree / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def copy_libraries(tree, program):
    """Those that the guest's own packages do not bring; the release is the same, or newer, than the one that built them must be."""
    listed = subprocess.run(["ldd", program], stdout=subprocess.PIPE, check=True).stdout.decode()
    for line in listed.splitlines():
        words = line.split()
        if "=>" in words and len(words) > 2 and words[2].startswith("/"):
            library = Path(words[2])
            if not (tree / str(library).lstrip("/")).exists() and not (tree / "usr" / str(library).lstrip("/")).exists():
                copy(tree, library.resolve(), f"/usr/lib/x86_64-linux-gnu/{library.name}", 0o644)


def with_ours(tree, build):
    """nodemend as it is installed, with its shipped policies; only the one that may end processes is switched on."""
    for name in ("nodemend", "nm-publisher", "nm-sender"):
        if (build / name).exists():
            subprocess.run(["strip", "-g", "-o", tree / "usr/sbin" / name, build / name], check=True)
            copy_libraries(tree, build / name)
    for policy in (ROOT / "remedies/policy.d").iterdir():
        text = policy.read_text()
        put(tree, f"/etc/nodemend/conf.d/{policy.name}", text.replace("    mode: shadow\n", "    mode: enforce\n") if policy.name == "memory.yaml" else text)
    for unit in (ROOT / "deploy/systemd").iterdir():
        copy(tree, unit, f"/etc/systemd/system/{unit.name}", 0o644)
    for program in PROGRAMS:
        copy(tree, build / "tests/programs" / program, f"/duel/{program}")
    for script in (HERE / "guest").iterdir():
        copy(tree, script, f"/duel/{script.name}")


def quiet(tree):
    subprocess.run(["systemctl", f"--root={tree}", "disable", *SERVICES, *NOISE], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    subprocess.run(["systemctl", f"--root={tree}", "mask", *NOISE], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    put(tree, "/etc/systemd/journald.conf.d/duel.conf", "[Journal]\nStorage=volatile\nRuntimeMaxUse=8M\nForwardToConsole=no\n")
    put(tree, "/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    put(tree, "/etc/hostname", "duel\n")
    put(tree, "/etc/hosts", "127.0.0.1 localhost duel\n")
    (tree / "duel").mkdir(exist_ok=True)


def configured(tree):
    """peers/ holds what stands below /etc of the guest. oomd's example is for a desktop: it is given the tenants instead of the login sessions, and
    keeps its thresholds. The others are as their packages bring them."""
    rules = tree / "etc/oomd/oomd.json"
    text = rules.read_text().replace('"cgroup": "user.slice"', '"cgroup": "tenants.slice"').replace("user.slice/user-*.slice/session-*.scope,", "tenants.slice/*,")
    rules.write_text(text)
    for source in sorted((HERE / "peers").rglob("*")):
        if source.is_file():
            copy(tree, source, f"/etc/{source.relative_to(HERE / 'peers')}", 0o600 if source.name == "monitrc" else 0o644)


def build_image(cache, build, work):
    tree = Path(tempfile.mkdtemp(prefix="duel-tree.", dir=work))
    image = work / "root.ext4"
    try:
        subprocess.run(["cp", "-a", f"{base(cache)}/.", tree], check=True)
        tree.chmod(0o755)
        for folder in ("var/cache/apt", "usr/share/doc", "usr/share/locale", "usr/share/man"):
            shutil.rmtree(tree / folder, ignore_errors=True)
        quiet(tree)
        configured(tree)
        with_ours(tree, build)
        image.unlink(missing_ok=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-d", tree, image, SIZE], stdout=subprocess.DEVNULL, check=True)
    finally:
        shutil.rmtree(tree, ignore_errors=True)
    return image
