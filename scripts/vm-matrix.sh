#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The BPF tests and the agent as they were built here, on Debian's kernels in virtual machines: all tests of one kernel in one boot.
#   scripts/vm-matrix.sh [--small] [TEST...]     --small: the oldest and the newest kernel; a TEST is a path as in tests/Kbuild
# Says `ok`, `not ok`, `SKIP` or `ladder` a test (docs/testing.md) and writes build/vm-matrix.md; exit 1 when one failed. After a
# whole run of all tests, docs/kernels.md gets the table. NODEMEND_VM_REQUIRED=1: a guest that cannot be had is a failure, no SKIP.
set -eu

cd "$(dirname "$0")/.."
build=build
work=$build/vm
jobs=${NODEMEND_VM_JOBS:-2}   # guests at once
limit=900                    # seconds a guest; a test may take half of them
kernels='bullseye bookworm bookworm-backports trixie-backports'
scale=20 cpus=2
whole=1
case ${1:-} in
--small)
	kernels='bullseye trixie-backports'
	scale=100 cpus=1 limit=600
	whole=
	shift
	;;
esac
[ $# -eq 0 ] || whole=
tests=${*:-$(sed -n 's/^test-y *+= *\(bpf\/.*\)/\1/p' tests/Kbuild)}

# --- what a guest gets: laid out like the checkout, without what only debuggers read -------------------------------------------

stage() {
	rm -rf $work
	mkdir -p $work/tree/$build/tests/bpf $work/tree/$build/tests/programs $work/tree/tests/vm
	strip -g -o $work/tree/$build/nodemend $build/nodemend
	for test in $tests; do strip -g -o $work/tree/$build/tests/"$test" $build/tests/"$test"; done
	for program in $(sed -n 's/^program-y *+= *//p' tests/Kbuild); do cp $build/tests/"$program" $work/tree/$build/tests/programs/; done
	cp tests/vm/guest.sh tests/vm/agent.sh $work/tree/tests/vm/
}

# Tools that tests call by name; busybox has the rest. One that is not here is missed by its test, there as here. The shell is this
# machine's, too: Debian's busybox runs its own `ip` and `tc` from its own shell, whatever PATH says.
tool_options() {
	for tool in bpftool curl mkfs.ext4 mkfs.xfs mkfs.btrfs ip tc; do
		path=$(PATH=$PATH:/usr/sbin:/sbin command -v $tool) || continue
		printf ' -f %s:/usr/sbin/%s' "$(realpath "$path")" $tool
	done
	printf ' -f %s:/bin/sh' "$(realpath /bin/sh)"
}

run_guest() { # SUITE: its output in $work/SUITE.log, vm.sh's exit code in $work/SUITE.code
	code=0
	programs=
	for test in $tests; do programs="$programs $build/tests/$test"; done
	scripts/vm.sh -c $cpus -M 1024 -t "$limit" -m 'loop veth dummy xfs btrfs zram' $tools -f $work/tree/$build:/vm/$build -f $work/tree/tests:/vm/tests \
		"$1/linux-image-cloud-amd64" "NODEMEND_TEST_SCALE=$scale tests/vm/guest.sh $((limit / 2)) tests/vm/agent.sh$programs" >"$work/$1.log" 2>&1 || code=$?
	echo $code >"$work/$1.code"
}

# --- what it said --------------------------------------------------------------------------------------------------------------

series_of() { sed -n 's/^@kernel \([0-9]*\.[0-9]*\).*/\1/p' "$work/$1.log"; }

# Each collector below its first rung stands in tests/vm/ladder, or on another one that gives as much, and each that stands there does so.
compare_ladder() { # SUITE KERNEL
	expected=$(sed -n "s/^$2 //p" tests/vm/ladder | tr ' ' '\n' | sort)
	below=$(jq -r '.collectors[] | ((.source // "") | split(",")[0]) as $source |
		if .state == "degraded" or .state == "down" then .name elif $source | test("fentry|fexit|kprobe") then "\(.name)=\($source)" else empty end' \
		"$work/$1.doctor" | sort)
	if [ "$expected" = "$below" ]; then
		echo "ok $2 doctor: not on their first rung are: $(echo "${below:-none}" | tr '\n' ' ')"
	else
		echo "not ok $2 doctor: not on their first rung are: $(echo "${below:-none}" | tr '\n' ' ')- but tests/vm/ladder says: $(echo "${expected:-none}" | tr '\n' ' ')"
		jq -r '.collectors[] | select(.state != "up") | "    \(.name): \(.state), \(.source // "no source"): \(.why)"' "$work/$1.doctor"
	fi
}

tell() { # SUITE
	code=$(cat "$work/$1.code")
	if [ "$code" = 126 ]; then
		word=SKIP
		[ -z "${NODEMEND_VM_REQUIRED:-}" ] || word='not ok'
		echo "$word kernel of $1: $(tail -n 1 "$work/$1.log")"
		return
	fi
	awk -f tests/vm/results.awk "$work/$1.log"
	if [ "$code" = 124 ] || [ "$code" = 125 ]; then
		tail -n 45 "$work/$1.log" | sed 's/^/    /'
	fi
	kernel=$(series_of "$1")
	sed -n '/^@doctor/,/^@/p' "$work/$1.log" | grep '^{' >"$work/$1.doctor" || { echo "not ok ${kernel:-$1} doctor: said nothing"; return; }
	compare_ladder "$1" "$kernel"
}

# --- the table -----------------------------------------------------------------------------------------------------------------

column() { # NAME RESULTS DOCTOR: one line a cell, `COLLECTOR<tab>TEXT`
	printf 'kernel\t%s\n' "$1"
	jq -r '.collectors[] | [.name, (.source // "") as $source | if .state == "down" then "down ▾" elif .state == "degraded" then "\($source) ▾" else $source end] | @tsv' "$3"
	printf 'tests\t%s\n' "$(awk '/^ok/ { ok++ } /^not ok/ { bad++ } /^SKIP/ { skip++ } /^ladder/ { below++ }
		END { printf "%d ok", ok; if (below) printf ", %d ▾", below; if (skip) printf ", %d skipped", skip; if (bad) printf ", %d FAILED", bad }' "$2")"
}

table() {
	for suite in $kernels; do
		[ -s "$work/$suite.doctor" ] || continue
		column "$(series_of "$suite")" "$work/$suite.results" "$work/$suite.doctor"
	done | awk -F '\t' '
		$1 == "kernel" { columns++; head[columns] = $2; next }
		!($1 in row) { row[$1] = ++rows; name[rows] = $1 }
		{ cell[row[$1], columns] = $2 }
		END {
			printf "| |"; for (c = 1; c <= columns; c++) printf " %s |", head[c]
			printf "\n|---|"; for (c = 1; c <= columns; c++) printf "---|"
			for (r = 1; r <= rows; r++)
				if (name[r] != "tests") line(r)
			line(row["tests"])
			print ""
		}
		function line(r,   c) {
			printf "\n| %s |", name[r] == "tests" ? name[r] : "`" name[r] "`"
			for (c = 1; c <= columns; c++) printf " %s |", cell[r, c]
		}'
	for suite in $kernels; do
		[ -s "$work/$suite.doctor" ] || continue
		jq -r --arg kernel "$(series_of "$suite")" '.collectors[] | select(.state == "degraded" or .state == "down") |
			"\n▾ \($kernel) `\(.name)`: \(.why)"' "$work/$suite.doctor"
	done
}

# All above the mark is prose and stays; all below it is written anew.
document() {
	mark='<!-- written by make check-vm -->'
	{
		sed "/^$mark\$/q" docs/kernels.md
		echo
		cat $build/vm-matrix.md
	} >$work/kernels.md
	cp $work/kernels.md docs/kernels.md
	echo '# wrote docs/kernels.md'
}

[ "$(uname -m)" = x86_64 ] || { echo "SKIP virtual machines: only for x86_64"; exit 0; }
stage
tools=$(tool_options)
running=0
for suite in $kernels; do
	run_guest "$suite" &
	running=$((running + 1))
	[ $((running % jobs)) -ne 0 ] || wait
done
wait
for suite in $kernels; do tell "$suite" >"$work/$suite.results"; done
for suite in $kernels; do cat "$work/$suite.results"; done
table >$build/vm-matrix.md
! grep -q '^not ok' $work/*.results || exit 1
[ -z "$whole" ] || document
