# SPDX-License-Identifier: Apache-2.0
# burst.sh SECONDS: what an upgrade of packages does to a node.
end=$(($(cut -d. -f1 /proc/uptime) + $1))
while [ "$(cut -d. -f1 /proc/uptime)" -lt "$end" ]; do
	mkdir -p /var/tmp/burst
	tar -C / -cf - usr/share/perl5 usr/share/zoneinfo usr/lib/python3 2>/dev/null | tar -C /var/tmp/burst -xf -
	sync
	find /var/tmp/burst -type f | sort | head -n 200 | xargs -n 4 sha1sum >/dev/null
	rm -rf /var/tmp/burst
done
rm -rf /var/tmp/burst
