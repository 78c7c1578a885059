#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# In the guest: trials of one family under one peer, each with the peer started anew and all of its tenants gone afterwards.
#   run.sh FAMILY PEER SWAP_MIB SEED TRIAL...
# Says a line an observation, between `@trial NAME` and `@end`; tests/duel/score.py reads them. The peer's own log comes with `| ` before it.
family=$1 peer=$2 swap=$3 seed=$4
shift 4
here=/duel
out=/run/trial

say() { printf '%s\n' "$*"; }

# Milliseconds since boot, as the referee counts them.
stamp() {
	read -r up _ </proc/uptime
	say "$1 ${up%.*}${up#*.}0"
}

# One of 0 to N-1 in $picked, the same for the same seed.
pick() {
	seed=$(((seed * 1103515245 + 12345) % 2147483648))
	picked=$((seed / 65536 % $1))
}

await() { # SECONDS COMMAND...
	tries=$(($1 * 5))
	shift
	while ! "$@"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.2
	done
}

has_line() { grep -q "^$2" "$out/$1" 2>/dev/null; }

# A tenant is a unit in tenants.slice; what it prints is in $out/UNIT.
tenant() { # UNIT PROPERTY... -- COMMAND...
	unit=$1 properties=
	shift
	while [ "$1" != -- ]; do
		properties="$properties -p $1"
		shift
	done
	shift
	systemd-run -q --slice=tenants.slice --unit="$unit" $properties -p "StandardOutput=file:$out/$unit" -p KillMode=mixed -- "$@" || say "broken tenant $unit"
}

ready() { await 60 has_line "$1" ready || say "broken $1 was never ready"; }

unit_of() {
	case $peer in
	kernel | systemd) ;;
	monit-*) echo monit ;;
	*) echo "$peer" ;;
	esac
}

begin_peer() {
	service=$(unit_of)
	[ -n "$service" ] || return 0
	rm -rf /var/lib/nodemend /run/nodemend /var/lib/monit
	mkdir -p /var/lib/monit/events
	rm -f /var/log/monit.log
	case $peer in
	monit-*)
		mkdir -p /etc/monit/conf.d
		cp /etc/monit/duel/"$family" /etc/monit/conf.d/duel
		sed -i "s/^set daemon .*/set daemon ${peer#monit-}/" /etc/monit/monitrc
		;;
	esac
	timeout 180 systemctl start "$service" || say "broken $service did not start"
}

end_peer() {
	service=$(unit_of)
	[ -n "$service" ] || return 0
	[ "$(systemctl is-active "$service")" = active ] || say "died $service"
	if [ "$peer" = nodemend ]; then
		tr -d '\0' </var/lib/nodemend/journal.jsonl 2>/dev/null | grep . | tail -n 30 | sed 's/^/journal /'
		nodemend incidents --all 2>&1 | head -n 30 | sed 's/^/| /'
		nodemend status 2>&1 | head -n 30 | sed 's/^/| /'
	fi
	[ "$service" != monit ] || tail -n 30 /var/log/monit.log | sed 's/^/| /'
	timeout 180 systemctl stop "$service" || say "broken $service did not stop"
	journalctl -q -u "$service" -n 30 -o short-monotonic --no-pager | cut -c1-300 | sed 's/^/| /'
	systemctl reset-failed "$service" 2>/dev/null
	journalctl -q --rotate --vacuum-time=1s 2>/dev/null
}

end_tenants() {
	timeout 180 systemctl stop tenants.slice
	systemctl reset-failed
	sync
	echo 3 >/proc/sys/vm/drop_caches
}

# The referee watches from before the fault to the end. The bystander's last words are asked for while the peer still runs.
watched() { # SECONDS QUIET_SECONDS [DISK HIGH LOW] FAULT
	seconds=$1 quiet=$2
	shift 2
	disk=
	if [ $# -gt 1 ]; then
		disk="$1 $2 $3"
		shift 3
	fi
	$here/referee "$seconds" "$quiet" $disk >$out/referee 2>&1 &
	referee=$!
	await 60 has_line referee ready || say "broken referee: $(cat $out/referee)"
	sleep 1
	say "clock $(date +%s%3N)"
	stamp begun
	"$1"
	wait $referee || say 'broken referee ended badly'
	cat $out/referee
	stamp ended
	systemctl stop bystander 2>/dev/null
	for file in "$out"/*; do
		[ "$file" = $out/referee ] || sed -n "s/^done/tenant $(basename "$file") done/p" "$file"
	done
}

mkdir -p $out
. $here/$family.sh
swapoff -a
if [ "$swap" -gt 0 ]; then
	fallocate -l "${swap}M" /swap && chmod 600 /swap && mkswap -q /swap && swapon /swap || say "broken no swap"
fi
say "@guest $(uname -r) $(sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo) $swap"
for trial; do
	say "@trial $trial"
	rm -f $out/*
	"trial_$trial"
	end_tenants
	say '@end'
done
say '@done'
