# SPDX-License-Identifier: Apache-2.0
# A service goes wrong, or only looks so. Each start of it leaves its time behind, so nobody has to be trusted about them.
starts=$out/starts
server=$here/hang_server

service_is() { # COMMAND PROPERTY...
	command=$1
	shift
	{
		echo '[Service]'
		echo "ExecStartPre=/bin/sh -c 'cut -d\" \" -f1 /proc/uptime >>$starts'"
		echo "ExecStart=$command"
		[ "$peer" != systemd ] || printf 'Restart=always\nRestartSec=100ms\n'
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} >/run/systemd/system/app.service
	systemctl daemon-reload
	: >$starts
}

# Port 8080 has a listener.
listens() { grep -q ' 0100007F:1F90 [0-9A-F]*:0000 0A ' /proc/net/tcp; }

# The service runs and serves before the peer begins, and the peer has looked at it when the fault comes.
running() { # SECONDS FAULT
	systemctl start app.service
	await 60 listens || say 'broken the service does not listen'
	begin_peer
	sleep 6
	judged "$@"
}

judged() { # SECONDS FAULT
	watched "$1" 1000 "$2"
	sed 's/^/start /' $starts
	say "active $(systemctl is-active app.service)"
	case $peer in
	nodemend) nodemend incidents --all --json 2>/dev/null | sed 's/^/incidents /' ;;
	monit-*) monit summary 2>/dev/null | sed 's/^/summary /' ;;
	esac
	end_peer
	systemctl stop app.service
	systemctl reset-failed app.service 2>/dev/null
}

fault_kill() { systemctl kill --signal=KILL app.service; }
trial_crash() {
	service_is "$server 8080"
	running 40 fault_kill
}

# Ends half a second after each start.
fault_start() { systemctl start --no-block app.service; }
trial_loop() {
	service_is "/usr/bin/timeout 0.5 $server 8080"
	begin_peer
	judged 120 fault_start
}

# Alive and silent for ten seconds before it serves: nobody is to start it anew.
trial_slowstart() {
	service_is "/bin/sh -c 'sleep 10; exec $server 8080'"
	begin_peer
	judged 40 fault_start
}

fault_hang() { systemctl kill --signal=USR1 app.service; }
trial_hung() {
	service_is "$server 8080"
	running 60 fault_hang
}

# It answers, seconds late, since it is given a hundredth of a processor and has much to do: nobody is to start it anew.
fault_starve() {
	systemctl set-property --runtime app.service CPUQuota=1%
	touch $out/starve
}
trial_overload() {
	service_is "/bin/sh $here/overload.sh $out/starve"
	running 60 fault_starve
}
