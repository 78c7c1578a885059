#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs in a guest of scripts/vm.sh, from a folder laid out like the checkout: what each named test says, between two marks that
# scripts/vm-matrix.sh reads. The tests find what a machine has: an ext4 under /var/tmp, whose writes are accounted, and their tools.
#   guest.sh SECONDS TEST...    SECONDS: the limit of each
limit=$1
shift

export NODEMEND_TEST_OWN_MACHINE=1 # what is the node's own may be turned, since nobody else lives here

truncate -s 512M /run/var.img
mkfs.ext4 -q -E lazy_itable_init=1,lazy_journal_init=1 /run/var.img && mount -o loop /run/var.img /var/tmp || echo "not ok guest: no ext4 on /var/tmp"
chmod 1777 /var/tmp

echo "@kernel $(uname -r)"
echo '@doctor'
build/nodemend doctor --json
echo
for test; do
	begun=$(cut -d. -f1 /proc/uptime)
	echo "@test $test"
	CMOCKA_MESSAGE_OUTPUT=TAP timeout -k 5 "$limit" "./$test" 2>&1
	code=$?
	echo
	echo "@end $code $(($(cut -d. -f1 /proc/uptime) - begun))"
done
# What the kernel found wrong with itself while the tests ran; lockups and stalls are those of an emulator that waits for its turn.
dmesg | grep -E 'BUG:|WARNING:|Oops|KASAN' | grep -v 'lockup' | sed 's/^/@complaint /'
echo '@done'
