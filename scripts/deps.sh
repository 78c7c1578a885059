#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The one list of packages: for building, for testing, for virtual machines, for benches. Installs what is missing, and only that.
#   scripts/deps.sh build [test] [vm] [bench]      install        scripts/deps.sh --list build test vm bench      print
set -eu

build='gcc make clang pkg-config libc6-dev libbpf-dev libelf-dev zlib1g-dev bpftool libnl-3-dev libnl-genl-3-dev libnl-route-3-dev
libcjson-dev libyaml-dev libsystemd-dev libmicrohttpd-dev libcap-dev libseccomp-dev nettle-dev libprotobuf-c-dev protobuf-c-compiler
protobuf-compiler libcurl4-openssl-dev libsnappy-dev libgnutls28-dev libcrypt-dev libpcre2-dev libnghttp2-dev'
test='libcmocka-dev gcc-multilib clang-tidy cppcheck libclang-rt-14-dev llvm git curl jq python3 python3-jsonschema python3-yaml prometheus
prometheus-node-exporter mmdebstrap systemd-container dbus systemd procps util-linux e2fsprogs iproute2 podman runc busybox-static openssl
fio iperf3 stress-ng nodejs npm prometheus-alertmanager python3-aiosmtpd logrotate collectd-core libyajl2 libcurl3-gnutls'
vm='qemu-system-x86 busybox-static kmod zstd lz4 xz-utils xfsprogs btrfs-progs'
bench='libbpf-tools bpftrace prometheus-process-exporter netdata-core netdata-plugins-bash atop'

list=
print=
for word in "$@"; do
	case $word in
	--list) print=1 ;;
	build) list="$list $build" ;;
	test) list="$list $test" ;;
	vm) list="$list $vm" ;;
	bench) list="$list $bench" ;;
	*) echo "deps.sh: unknown set '$word'; known: build test vm bench" >&2; exit 2 ;;
	esac
done

# Ubuntu carries bpftool in linux-tools, and its clang is newer than Debian 12's.
if [ -r /etc/os-release ] && grep -q '^ID=ubuntu' /etc/os-release; then
	list=$(echo "$list" | sed 's/\bbpftool\b/linux-tools-generic linux-tools-common/; s/libclang-rt-14-dev//')
fi
[ -z "$print" ] || { echo $list; exit 0; }

missing=
for package in $list; do
	case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true) in
	installed) ;;
	*)
		# NodeSource's nodejs brings npm along and conflicts with Debian's.
		[ "$package" = npm ] && command -v npm >/dev/null 2>&1 || missing="$missing $package"
		;;
	esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "missing packages:$missing" >&2
	echo "install them as root: apt-get install$missing" >&2
	exit 1
fi
echo "installing:$missing"
# Debian starts what it installs; test peers must not run as services here.
policy=/usr/sbin/policy-rc.d
made=
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' > "$policy"
	chmod 755 "$policy"
	made=1
fi
trap '[ -z "$made" ] || rm -f "$policy"' EXIT
log=$(mktemp)
for attempt in 1 2 3; do
	if { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
		rm -f "$log"
		exit 0
	fi
	sleep $((attempt * 5))
done
cat "$log" >&2
echo "deps.sh: could not install:$missing" >&2
exit 1
