# SPDX-License-Identifier: Apache-2.0
# A disk fills: 256 MiB of ext4 with 100 MB of old logs on it, that may go. A bystander appends and syncs 1 MB a second beside the fault, and
# one of the old logs is still being read: it may not go. The mark is 90 percent, and it is over below 85.
MIB=1048576
data=/data
logs=$data/app/logs

old_log() { head -c "$2" /dev/zero >"$logs/$1"; }

# An hour ago by both of a file's times: the second one cannot be set back, so the clock is.
an_hour_ago() {
	date -s '-1 hour' >/dev/null
	"$@"
	sync
	date -s '+1 hour' >/dev/null
}

large_logs() { for i in $(seq 20); do old_log app.log.$i $((5 * MIB)); done; }
sparse_logs() {
	for i in $(seq 10); do
		old_log app.log.$i $((10 * MIB))
		truncate -s 1G $logs/app.log.sparse.$i
	done
}
linked_logs() {
	large_logs
	mkdir $data/keep
	for i in $(seq 20); do ln $logs/app.log.$i $data/keep/$i; done
}
many_logs() { for i in $(seq 3000); do echo >$logs/app.log.$i; done; }

new_disk() { # WHICH_LOGS
	mkdir -p $data
	rm -f /var/disk.img
	truncate -s 256M /var/disk.img
	mkfs.ext4 -q -m 0 -N 8192 -E lazy_itable_init=0,lazy_journal_init=1 /var/disk.img && mount -o loop /var/disk.img $data || say 'broken no disk'
	mkdir -p $logs $data/app/spool $data/other
	an_hour_ago "$1"
	an_hour_ago old_log app.log.held 100000
}

filling() { # WHICH_LOGS FAULT
	new_disk "$1"
	tenant holder -- /bin/sh -c "exec 9<$logs/app.log.held; echo ready; exec sleep 1000"
	ready holder
	begin_peer
	tenant bystander -- $here/append_sync $data/other/log 1000000
	ready bystander
	say "before $(find $logs -type f | wc -l) $(du -sk --apparent-size $logs | cut -f1)"
	watched 60 8 $data 90 85 "$2"
	say "after $(find $logs -type f | wc -l) $(du -sk --apparent-size $logs | cut -f1)"
	[ -e $logs/app.log.held ] && say 'held 1' || say 'held 0'
	[ "$peer" != nodemend ] || nodemend incidents --all --json 2>/dev/null | sed 's/^/incidents /'
	end_peer
	end_tenants
	umount $data || say 'broken disk stays busy'
}

fault_append() { tenant filler -- $here/writer $data/app/live --rate 8000000 --total 170000000; }
trial_append() { filling large_logs fault_append; }

fault_deleted() {
	tenant filler -- $here/writer $data/app/gone --rate 8000000 --total 170000000
	sleep 1
	rm $data/app/gone
}
trial_deleted() { filling large_logs fault_deleted; }

trial_sparse() { filling sparse_logs fault_append; }
trial_links() { filling linked_logs fault_append; }

fault_small() { tenant filler -- $here/unruly inodes 50 400 $data/app/spool; }
trial_small() { filling many_logs fault_small; }
