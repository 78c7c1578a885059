#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The agent itself on this kernel, with a shell and busybox alone: one round, then a run that serves, answers and leaves nothing.
dir=/var/tmp/agent-test.$$
port=19463
mkdir -p $dir
failed=0

verdict() { # NAME STATUS WHY...
	name=$1 status=$2
	shift 2
	if [ "$status" -eq 0 ]; then
		echo "ok $name"
	else
		echo "not ok $name: $*"
		failed=1
	fi
}

programs() { bpftool prog show | grep -c '^[0-9][0-9]*:'; }

metrics() { curl -sS -m 10 -o $dir/metrics http://127.0.0.1:$port/metrics 2>$dir/curl; }

await() { # SECONDS COMMAND...: until it succeeds
	tries=$(($1 * 5))
	shift
	while ! "$@"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.2
	done
}

before=$(programs)

once() { build/nodemend run --once --run-dir $dir/once --state-dir $dir/once-state >$dir/once.out 2>&1; }
measured() { grep -q '"schema":"nodemend.metrics/1".*"nodemend_syscalls_total"' $dir/once.out; }

once
verdict 'run --once ends well' $? "$(tail -n 3 $dir/once.out | tr '\n' ' ')"
measured || once # where the emulator waits for its turn, a round may be too old to be told
measured
verdict 'run --once says what it measured' $? "$(head -c 300 $dir/once.out)"

build/nodemend run --run-dir $dir/run --state-dir $dir/state --listen 127.0.0.1:$port >$dir/log 2>&1 &
agent=$!
await 60 metrics
verdict '/metrics is served' $? "$(cat $dir/curl $dir/log | tail -n 5 | tr '\n' ' ')"
ticked() { metrics && grep -q '^nodemend_cgroup_cpu_seconds_total' $dir/metrics && grep -q '^nodemend_syscalls_total' $dir/metrics; }
await 30 ticked
verdict 'cgroups and system calls are among the metrics' $? "$(grep -c . $dir/metrics) lines: $(grep -v '^#' $dir/metrics | cut -d'{' -f1 | sort -u | head -n 12 | tr '\n' ' ')"
build/nodemend status --run-dir $dir/run >$dir/status 2>&1
verdict 'status is answered' $? "$(tail -n 3 $dir/status | tr '\n' ' ')"
# A limit of the kernel itself, which nowhere but in a guest is ours to turn.
limit=/proc/sys/net/ipv4/neigh/default/gc_thresh3
was=$(cat $limit)
build/nodemend apply raise-neighbours node --arg full_percent=0 --yes --run-dir $dir/run >$dir/raise 2>&1 && [ "$(cat $limit)" -eq $((was * 2)) ]
verdict 'more neighbours are let in' $? "$(cat $limit), was $was: $(tail -n 3 $dir/raise | tr '\n' ' ')"
[ "$(programs)" -gt "$before" ]
verdict 'its programs are in the kernel' $? "$(programs), as before it came"

kill -TERM $agent
wait $agent
verdict 'SIGTERM ends it well' $? "exit $?; $(tail -n 3 $dir/log | tr '\n' ' ')"
[ "$(cat $limit)" -eq "$was" ]
verdict 'and no more of them afterwards' $? "$(cat $limit), was $was"
gone() { [ "$(programs)" -le "$before" ]; } # freed after a grace period
await 20 gone
verdict 'no program is left in the kernel' $? "$(bpftool prog show | grep '^[0-9]' | tr '\n' ' ')"
rm -rf $dir
exit $failed
