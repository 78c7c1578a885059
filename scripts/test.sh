#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the tests and counts them. The last line is always `N passed, N failed, N skipped`; exit 1 when any failed.
#   scripts/test.sh [PHASE...]     build clang unit bpf san e2e vm fuzz lint tree; all of them, in this order, where none is named
# Each test's output is kept in build/test-logs and shown only when it fails. docs/testing.md says more.
set -u

cd "$(dirname "$0")/.." || exit 2
out=build
logs=$out/test-logs
export PYTHONDONTWRITEBYTECODE=1
# On this kernel every collector must reach its first rung; NODEMEND_TEST_FULL= (empty) is for a machine whose kernel gives less.
export NODEMEND_TEST_FULL="${NODEMEND_TEST_FULL-1}"
jobs=$(nproc 2>/dev/null || echo 2)
passed=0
failed=0
skipped=0
unsteady=0       # how many were run twice, since they had failed
first=$(date +%s)

unit_limit=180   # seconds; a test that needs longer hangs
e2e_limit=420
vm_limit=700
phases=${*:-build clang unit bpf san e2e vm fuzz lint tree}

mkdir -p "$logs"
failures=$logs/failures.txt # told once more at the end, where it is looked for first
: >"$failures"

# --- telling -----------------------------------------------------------------------------------------------------------

# report NAME SECONDS PASSED FAILED SKIPPED LOG: counts one program's results and says them in a line.
report() {
	passed=$((passed + $3))
	failed=$((failed + $4))
	skipped=$((skipped + $5))
	if [ "$4" -gt 0 ]; then word=FAIL; elif [ "$3" -gt 0 ]; then word=ok; else word=SKIP; fi
	printf '  %-5s %-44s %3d passed' "$word" "$1" "$3"
	[ "$4" -eq 0 ] || printf ', %d failed' "$4"
	[ "$5" -eq 0 ] || printf ', %d skipped' "$5"
	printf '  (%ds)\n' "$2"
	if [ "$4" -gt 0 ]; then
		echo "  --- $6 (its last 80 lines)"
		tail -n 80 "$6" | sed 's/^/  | /'
		{ echo "  $1"; grep -a -B 3 -A 6 '^not ok' "$6" | grep -av '^ok ' | head -n 40 | cut -c1-300; tail -n 5 "$6" | cut -c1-300; } >>"$failures"
	elif [ "$5" -gt 0 ]; then
		grep -E '^SKIP |# SKIP' "$6" | sed 's/^/        /'
	fi
}

# skip NAME WHY
skip() {
	skipped=$((skipped + 1))
	printf '  %-5s %-44s %s\n' SKIP "$1" "$2"
}

# one NAME COMMAND...: a check that is one test: its exit code is its verdict.
one() {
	name=$1
	shift
	log=$logs/$(echo "$name" | tr ' /:' '---').log
	begun=$(date +%s)
	if "$@" >"$log" 2>&1 </dev/null; then
		report "$name" $(($(date +%s) - begun)) 1 0 0 "$log"
	else
		report "$name" $(($(date +%s) - begun)) 0 1 0 "$log"
	fi
}

log_of() { # NAME
	echo "$logs/$(echo "$1" | tr ' /:' '---').log"
}

# sums CODE LOG: what a program said, `ok …`, `not ok …` and `SKIP …`, one a line (TAP does too), as `PASSED FAILED SKIPPED`. One that ends badly without
# saying what failed, says nothing at all, or says less than it planned, has failed once more.
sums() {
	awk -v code="$1" '
		/^(not )?ok .*# SKIP/ { skip++; seen++; next } # cmocka says "not ok" of what it skipped
		/^not ok/            { bad++; seen++; next }
		/^SKIP /             { skip++; next }
		/^ok /               { good++; seen++ }
		/^1\.\.[0-9]+$/      { planned += substr($0, 4) }
		END {
			if (code && !bad) bad = 1
			if (planned && seen < planned && !bad) bad = 1
			if (!code && !good && !bad && !skip) bad = 1
			print good + 0, bad + 0, skip + 0
		}' "$2"
}

tally() { # NAME SECONDS CODE LOG
	report "$1" "$2" $(sums "$3" "$4") "$4"
}

has_failed() { # CODE LOG
	[ "$(sums "$1" "$2" | cut -d' ' -f2)" -gt 0 ]
}

# to_repeat NAME LOG: says that it failed, and keeps what it said.
to_repeat() {
	unsteady=$((unsteady + 1))
	cp "$2" "$2.first"
	printf '  %-5s %-44s failed, and is run again by itself: %s\n' again "$1" "$(grep -a -m 1 '^not ok' "$2" | cut -c1-150)"
}

# logged NAME LIMIT COMMAND...: runs it and says `SECONDS CODE`.
logged() {
	log=$(log_of "$1")
	name=$1
	limit=$2
	shift 2
	begun=$(date +%s)
	timeout --kill-after=20 "$limit" "$@" >"$log" 2>&1 </dev/null
	code=$?
	[ $code -ne 124 ] || echo "not ok $name: still running after $limit s" >>"$log"
	echo "$(($(date +%s) - begun)) $code"
}

counted() { # NAME LIMIT COMMAND...
	name=$1
	tally "$name" $(logged "$@") "$(log_of "$name")"
}

# steady NAME LIMIT COMMAND...: a test that others on the node can disturb: it has failed when it fails twice. What came of the first try is told, too.
steady() {
	name=$1
	ended=$(logged "$@")
	if has_failed "${ended#* }" "$(log_of "$name")"; then
		to_repeat "$name" "$(log_of "$name")"
		ended=$(logged "$@")
	fi
	tally "$name" $ended "$(log_of "$name")"
}

# beside LIMIT LIST LIST: two lists of scripts side by side, each in its order; told as they end. Those that fail are run again, by themselves.
beside() {
	limit=$1
	fifo=$logs/beside.fifo
	rm -f "$fifo"
	mkfifo "$fifo"
	{
		for list in "$2" "$3"; do
			for script in $list; do
				name=e2e/$(basename "$script" .py)
				echo "$name $(logged "$name" "$limit" /usr/bin/python3 "$script")"
			done &
		done
		wait
	} >"$fifo" &
	again=
	while read -r name seconds code; do
		if has_failed "$code" "$(log_of "$name")"; then
			to_repeat "$name" "$(log_of "$name")"
			again="$again $name"
		else
			tally "$name" "$seconds" "$code" "$(log_of "$name")"
		fi
	done <"$fifo"
	wait
	rm -f "$fifo"
	for name in $again; do
		counted "$name" "$limit" /usr/bin/python3 "tests/$name.py"
	done
}

words_of() { # KIND: the names of tests/Kbuild
	sed -n "s/^$1-y *+= *//p" tests/Kbuild | tr -s ' \t' '\n\n' | sed '/^$/d'
}

is_root() { [ "$(id -u)" -eq 0 ]; }

# --- phases ------------------------------------------------------------------------------------------------------------

build_quietly() { # LOG-free of warnings as well as of errors
	make -j"$jobs" "$@" tests >"$logs/make.txt" 2>&1
	code=$?
	cat "$logs/make.txt"
	[ $code -eq 0 ] && ! grep -q 'warning:' "$logs/make.txt"
}

without_btf() { # says what to do, and does not build without knowing the kernel's types
	rm -rf $out/nobtf
	! make O=$out/nobtf BTF=/nonexistent $out/nobtf/gen/vmlinux.h >"$logs/nobtf.txt" 2>&1 && grep -q VMLINUX_H "$logs/nobtf.txt"
}

phase_build() {
	one "build with gcc" build_quietly
	one "no BTF and no VMLINUX_H is said" without_btf
}

# Another compiler, another folder, and a host without BTF, all at once.
phase_clang() {
	one "build with clang, O= and VMLINUX_H=" build_quietly O=$out/clang CC=clang BTF=/nonexistent VMLINUX_H="$PWD/$out/gen/vmlinux.h"
}

run_programs() { # FOLDER KIND LABEL
	missing=
	for word in $(words_of test | grep "^$2/"); do
		if [ -x "$1/tests/$word" ]; then
			CMOCKA_MESSAGE_OUTPUT=TAP steady "$3$word" $unit_limit "$1/tests/$word"
		else
			missing="$missing $word"
		fi
	done
	[ -z "$missing" ] || one "$3$2: every program is built" sh -c "echo 'not built, and so not run:$missing' >&2; exit 1"
}

phase_unit() {
	run_programs $out unit ""
	for script in tests/unit/test_*.py; do
		counted "unit/$(basename "$script")" $unit_limit /usr/bin/python3 "$script"
	done
}

phase_bpf() {
	if is_root; then
		run_programs $out bpf ""
	else
		for word in $(words_of test | grep '^bpf/'); do skip "$word" "loading BPF needs root"; done
	fi
}

phase_san() {
	one "build with sanitizers" build_quietly O=$out/san SAN=address,undefined
	ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1
	export ASAN_OPTIONS UBSAN_OPTIONS
	run_programs $out/san unit "san "
	unset ASAN_OPTIONS UBSAN_OPTIONS
}

# A test that loads the whole node, or counts what happens on it, runs by itself: its third line says `# alone: why`. Of the others, those about the
# wire run beside those about the node: both wait more than they work.
phase_e2e() {
	alone=$(grep -l '^# alone: ' tests/e2e/test_*.py)
	wire=$(grep -l '^# wire: ' tests/e2e/test_*.py)
	for script in $alone; do
		steady "e2e/$(basename "$script" .py)" $e2e_limit /usr/bin/python3 "$script"
	done
	beside $e2e_limit "$wire" "$(grep -L '^# \(alone\|wire\): ' tests/e2e/test_*.py)"
}

# Two kernels and what takes seconds under emulation here; `make check-vm` has all. One that asked for more than its kernel gives is a
# line `ladder`, which is not counted.
vm_tests='block cgroup deleted dns drop fsop irq kill mend_memory oom pagecache process reclaim socket states syscall task throttle'
phase_vm() {
	steady "vm" $vm_limit scripts/vm-matrix.sh --small $(printf 'bpf/test_%s ' $vm_tests)
	grep -E '^(# [0-9]|ladder )' "$logs/vm.log" | cut -c1-150 | sed 's/^/        /'
}

phase_fuzz() {
	counted "fuzz smoke" 1200 env FUZZ_SECONDS="${FUZZ_SECONDS:-5}" scripts/fuzz.sh "${FUZZ_SECONDS:-5}"
}

phase_lint() {
	counted "lint" 1200 scripts/lint.sh
}

build_is_quiet() {
	said=$(make 2>&1) || { echo "$said"; return 1; }
	[ -z "$said" ] || { echo "a build with nothing to do said: $said"; return 1; }
}

installs() {
	root=$(mktemp -d) && make install DESTDIR="$root" >/dev/null && installed_in "$root"
	code=$?
	rm -rf "$root"
	return $code
}

installed_in() {
	for file in usr/sbin/nodemend usr/sbin/nm-publisher usr/sbin/nm-sender usr/sbin/nm-kube lib/systemd/system/nodemend.service etc/nodemend/conf.d usr/share/nodemend/policy.d usr/share/nodemend/prometheus/nodemend.rules.yaml usr/share/doc/nodemend/README.md; do
		[ -e "$1/$file" ] || { echo "not installed: $file"; return 1; }
	done
	"$1/usr/sbin/nodemend" --version || return 1
	for policy in "$1"/usr/share/nodemend/policy.d/*.yaml "$1"/usr/share/nodemend/profiles/*.yaml; do
		"$1/usr/sbin/nodemend" check "$policy" || return 1
	done
}

compile_commands() {
	make compile_commands.json >/dev/null || return 1
	/usr/bin/python3 - <<'END'
import json, os, sys
rows = json.load(open("compile_commands.json"))
missing = [row["file"] for row in rows if not os.path.exists(row["file"])]
sys.exit(f"no such file: {missing}" if missing or not rows else 0)
END
}

clean_tree() { # what is built stays in build/: nothing that git does not know or ignore
	[ -d .git ] || return 0
	said=$(git status --porcelain --untracked-files=all | sed -n 's/^?? //p' | grep -E '\.(o|d|a|skel\.h|linked\.o)$|vmlinux\.h$')
	[ -z "$said" ] || { echo "built into the tree: $said"; return 1; }
}

phase_tree() {
	one "a build with nothing to do prints nothing" build_is_quiet
	one "make install DESTDIR=" installs
	one "make compile_commands.json" compile_commands
	one "the tree stays clean" clean_tree
}

# --- all ---------------------------------------------------------------------------------------------------------------

for phase in $phases; do
	case $phase in
	build | clang | unit | bpf | san | e2e | vm | fuzz | lint | tree)
		echo "$phase:"
		phase_$phase
		;;
	*)
		echo "test.sh: unknown phase '$phase'; known: build clang unit bpf san e2e vm fuzz lint tree" >&2
		exit 2
		;;
	esac
done
[ ! -s "$failures" ] || { echo "what failed:"; sed 's/^/  /' "$failures"; }
[ "$unsteady" -eq 0 ] || echo "run twice, since they had failed: $unsteady"
echo "logs: $logs; took $(($(date +%s) - first)) s"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
