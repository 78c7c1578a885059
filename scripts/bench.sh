#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Measures what the agent costs, beside peers in the same run, and writes the table of docs/performance.md. Never fails for
# being slow; run it as root on an otherwise idle machine. BENCH_SECONDS (60) is the length of the idle measurement.
set -eu

cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo 'bench.sh: loading BPF needs root' >&2; exit 1; }
[ -x build/nodemend ] || { echo 'bench.sh: build/nodemend is not built: make' >&2; exit 1; }

table=build/bench.md
document=docs/performance.md
rm -f "$table"
began=$(cut -d" " -f1-3 /proc/loadavg)
BENCH_TABLE=$table PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 tests/bench/costs.py
[ -s "$table" ] || { echo 'bench.sh: the measurement came to no end' >&2; exit 1; }

# All above the mark is prose and stays; all below it is written anew.
mark='<!-- written by make bench -->'
{
	sed "/^$mark\$/q" "$document"
	echo
	echo "Kernel $(uname -r | cut -d- -f1), $(nproc) processors ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)), $(date -u +%Y-%m-%d)."
	echo
	cat "$table"
	echo
	echo "Beside it: a load of $began when it began and of $(cut -d" " -f1-3 /proc/loadavg) at its end (averages over 1, 5 and 15 minutes; a quiet machine has less than 0.5)."
} >"$document.new"
mv "$document.new" "$document"
echo "wrote $document"
