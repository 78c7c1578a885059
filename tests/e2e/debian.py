# SPDX-License-Identifier: Apache-2.0
"""A program of another Debian release than the host's, unpacked and never installed: for peers that are younger than the host."""

import contextlib
import fcntl
import shutil
import subprocess
from pathlib import Path

import harness

KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


def mirror():
    """The first one this machine is configured for, in either format of its sources."""
    for path in (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list")):
        for line in path.read_text().splitlines() if path.exists() else []:
            words = [word for word in line.split() if not word.startswith("[")]
            if len(words) > 1 and words[0] in ("URIs:", "deb"):
                return words[1]
    return "http://deb.debian.org/debian"


def unpacked(suite, package):
    """The package's tree, downloaded once; None where that cannot be done."""
    home = harness.CACHE / f"debian-{suite}"
    tree = home / package
    if not shutil.which("apt-get"):
        return None
    home.mkdir(parents=True, exist_ok=True)
    with open(home / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if tree.exists():
            return tree
        for folder in ("lists/partial", "cache/archives/partial"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        (home / "status").touch()
        (home / "sources.list").write_text(f"deb [signed-by={KEYS}] {mirror()} {suite} main\n")
        apt = ["apt-get", "-qq", "-o", f"Dir::Etc::sourcelist={home}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null", "-o", f"Dir::State::lists={home}/lists",
               "-o", f"Dir::State::status={home}/status", "-o", f"Dir::Cache={home}/cache", "-o", "Acquire::Languages=none", "-o", "APT::Sandbox::User=root"]
        new = home / f"{package}.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        for words in (["update"], ["download", package]):
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(apt + words, cwd=new, stdin=subprocess.DEVNULL, capture_output=True, timeout=100, check=False)
        deb = next(new.glob("*.deb"), None)
        if not deb:
            return None
        subprocess.run(["dpkg-deb", "-x", deb, new / "tree"], check=True)
        (new / "tree").rename(tree)
        shutil.rmtree(new)
        shutil.rmtree(home / "lists", ignore_errors=True)
        return tree
