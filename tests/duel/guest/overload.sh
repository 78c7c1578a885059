# SPDX-License-Identifier: Apache-2.0
# overload.sh FILE: serves, and from when FILE is there has more to do than it is given time for.
(
	while [ ! -e "$1" ]; do sleep 0.2; done
	exec /duel/spinner --threads 3 --seconds 60 >/dev/null
) &
exec /duel/hang_server 8080
