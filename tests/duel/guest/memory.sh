# SPDX-License-Identifier: Apache-2.0
# Memory: who is ended, by whom and when. Beside each fault stand a large innocent one, which is not growing, and one that measures how late it is.
MIB=1048576

beside() {
	pick 40
	tenant innocent -- $here/steady $(((100 + picked) * MIB))
	tenant bystander -- $here/latency /var/tmp/latency
	ready innocent
	ready bystander
	begin_peer
}

# MB a second, give or take a third.
rate_near() {
	pick $(($1 * 2 / 3 + 1))
	rate=$((($1 * 2 / 3 + picked) * 1000000))
}

hog() { tenant hog -- $here/hog "$@"; }

trouble() { # FAULT
	beside
	watched 120 4 "$1"
	end_peer
}

calm() { # FAULT
	beside
	watched 25 60 "$1"
	end_peer
}

fault_anon() { rate_near 60; hog anon --rate $rate; }
fault_shmem() { rate_near 60; hog shmem --rate $rate; }
fault_file() { rate_near 60; hog file --rate $rate --limit $((900 * MIB)); }
fault_bomb() { rate_near 60; hog bomb --rate $rate --count 100; }
fault_slow() { hog anon --start $((250 * MIB)) --rate 5000000; }
fault_fast() { hog anon --rate 0; }
trial_anon() { trouble fault_anon; }
trial_shmem() { trouble fault_shmem; }
trial_file() { trouble fault_file; }
trial_bomb() { trouble fault_bomb; }
trial_slow() { trouble fault_slow; }
trial_fast() { trouble fault_fast; }

# Small and idle, but the kernel is told to prefer them as victims; what leaks is not.
trial_adj() {
	for adj in 300 600 1000; do
		tenant idle-$adj OOMScoreAdjust=$adj -- $here/steady $((12 * MIB))
		ready idle-$adj
	done
	trouble fault_anon
}

# One of many in one cgroup, as in a login session.
fault_session() { rate_near 60; hog session --count 30 --rate $rate; }
trial_session() { trouble fault_session; }

# At its own limit, reclaiming without end, while half of the node is free.
fault_limit() { tenant busy MemoryMax=96M -- $here/unruly squeeze 24 96 /var/tmp; }
trial_limit() { calm fault_limit; }

fault_quota() { tenant busy CPUQuota=10% -- $here/spinner --threads 4 --seconds 24; }
trial_quota() { calm fault_quota; }

# As a package manager does: many files unpacked, synced, removed, and many short processes.
fault_burst() { tenant busy -- /bin/sh $here/burst.sh 20; }
trial_burst() { calm fault_burst; }

# Read once, from end to end, more than there is memory for.
fault_scan() { tenant busy -- /bin/sh -c 'head -c 900M /dev/zero >/var/tmp/big; cat /var/tmp/big /var/tmp/big >/dev/null; rm /var/tmp/big'; }
trial_scan() { calm fault_scan; }

fault_clock() {
	for step in '+1 hour' '-2 hours' '+1 hour'; do
		date -s "$step" >/dev/null
		sleep 4
	done
}
trial_clock() { calm fault_clock; }
