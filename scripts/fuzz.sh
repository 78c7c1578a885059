#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds every fuzz target with clang and runs each for some seconds on a copy of its corpus.
#   scripts/fuzz.sh [SECONDS] [TARGET...]     10 seconds and all targets where nothing is said
# Prints `ok fuzz NAME` or `not ok fuzz NAME: why` a target; the exit code is 1 when one failed. What crashed a target stays in build/fuzz/found.
set -eu
cd "$(dirname "$0")/.."

seconds=10
case ${1:-} in
[0-9]*) seconds=$1; shift ;;
esac
targets=${*:-$(sed -n 's|^fuzz-y += fuzz/||p' tests/Kbuild)}
[ -n "$targets" ] || { echo 'fuzz.sh: no targets in tests/Kbuild' >&2; exit 1; }

out=build/fuzz
if ! make O=$out CC=clang SAN=address,undefined CFLAGS=-fsanitize=fuzzer-no-link fuzz-programs; then
	for target in $targets; do
		echo "not ok fuzz $target: does not build"
	done
	exit 1
fi

failed=0
for target in $targets; do
	name=${target#fuzz_}
	corpus=$out/corpus/$name found=$out/found/$name log=$out/$target.log
	rm -rf "$corpus"
	mkdir -p "$corpus" "$found"
	if [ -d "tests/fuzz/corpus/$name" ]; then
		cp -R "tests/fuzz/corpus/$name/." "$corpus"
	fi
	words=tests/fuzz/$name.dict
	[ -r "$words" ] && words=-dict=$words || words=
	# A run that grows past 2 GiB or stays in one input for 10 s is a failure, too.
	if "$out/tests/fuzz/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$found/" $words "$corpus" \
		>"$log" 2>&1; then
		echo "ok fuzz $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs"
	else
		echo "not ok fuzz $target: see $log"
		tail -n 30 "$log" >&2
		failed=1
	fi
done
exit $failed
