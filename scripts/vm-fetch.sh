#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What scripts/vm.sh runs, out of Debian's packages: downloaded and unpacked once into NODEMEND_VM_CACHE (build/cache/vm). apt is
# given a state of its own for it: nothing is installed, and no source of this machine is changed.
#   scripts/vm-fetch.sh kernel SUITE/PACKAGE    prints a folder with vmlinuz, vmlinux where it can be had, and lib/modules/RELEASE
#   scripts/vm-fetch.sh qemu                    prints the emulator's command with the options that choose its firmware and processor
# NODEMEND_VM_MIRROR names another mirror than this machine's; NODEMEND_VM_UPDATE=1 looks for newer packages than the cached ones.
set -eu

cd "$(dirname "$0")/.."
cache=$(realpath -m "${NODEMEND_VM_CACHE:-build/cache/vm}")
qemu_suite=bookworm-backports
NL='
'

die() { echo "vm-fetch.sh: $*" >&2; exit 1; }

# --- apt ----------------------------------------------------------------------------------------------------------------

apt_of() { # SUITE TOOL ARGUMENT...: a tool of apt that knows this suite, and nothing of what is installed here
	state=$cache/apt/$1
	tool=$2
	shift 2
	"$tool" -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferences=/dev/null \
		-o Dir::Etc::preferencesparts=/dev/null -o Dir::State::lists="$state/lists" -o Dir::State::status="$state/status" \
		-o Dir::Cache="$state/cache" -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Sandbox::User=root "$@"
}

# The first mirror this machine is configured for, in either format of its sources.
mirror() {
	cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null |
		sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb  *\(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/p' | head -n 1
}

know_suite() { # SUITE
	state=$cache/apt/$1
	mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
	: >"$state/status"
	base=${NODEMEND_VM_MIRROR:-$(mirror)}
	[ -n "$base" ] || die 'no Debian mirror is configured here: set NODEMEND_VM_MIRROR'
	case $1 in *-security) base=${base%/}-security ;; esac
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $base $1 main" >"$state/sources.list"
	apt_of "$1" apt-get -qq update >&2
}

download() { # SUITE NAME[=VERSION]: into deb/
	(cd "$cache/deb" && apt_of "$1" apt-get -qq download "$2") >&2
}

newest() { # NAME[=VERSION]: the package of that name that was downloaded last
	(cd "$cache/deb" && ls -t "${1%%=*}"_*.deb | head -n 1)
}

# --- a kernel -----------------------------------------------------------------------------------------------------------

kernel_depends() { # SUITE PACKAGE: the kernel's packages it depends on, NAME=VERSION a line
	apt_of "$1" apt-cache show --no-all-versions "$2" 2>/dev/null | sed -n 's/^Depends: *//p' | tr ',' '\n' |
		sed -n 's/^ *\(linux-\(image\|binary\|modules\|base\)-[^ ]*\) (= \([^)]*\)).*/\1=\3/p'
}

fetch_kernel() { # SUITE/PACKAGE: prints the packages (in deb/) that make up the kernel, the one with its name first
	suite=${1%%/*} package=${1#*/} list=$cache/deb/$(echo "$1" | tr / ,).list
	if [ -s "$list" ] && [ -z "${NODEMEND_VM_UPDATE:-}" ]; then
		cat "$list"
		return
	fi
	know_suite "$suite" || die "cannot read the suite $suite"
	image=$(kernel_depends "$suite" "$package" | sed -n '/^linux-image-[0-9]/p' | head -n 1) # what a metapackage stands for
	image=${image:-$package}
	download "$suite" "$image" || die "cannot download $image of $suite"
	packages=$(newest "$image")
	# Since 6.19 the image package is empty and names binary, base and modules.
	if [ "$(stat -c %s "$cache/deb/$packages")" -lt 1000000 ]; then
		for part in $(kernel_depends "$suite" "${image%%=*}" | grep -v '^linux-image'); do
			if download "$suite" "$part"; then
				packages=$packages$NL$(newest "$part")
			else
				echo "vm-fetch.sh: $part is gone from $suite: going on without it" >&2
			fi
		done
	fi
	echo "$packages" >"$list.new"
	mv "$list.new" "$list"
	cat "$list"
}

# The ELF inside a bzImage, entered through PVH: boots 1 to 4 s sooner than the bzImage, which unpacks itself under emulation.
# Documentation/arch/x86/boot.rst: setup_sects at 0x1f1, payload_offset at 0x248, payload_length at 0x24c.
extract_vmlinux() { # VMLINUZ VMLINUX
	sectors=$(od -An -tu1 -j497 -N1 "$1") offset=$(od -An -tu4 -j584 -N4 "$1") length=$(od -An -tu4 -j588 -N4 "$1")
	at=$(((sectors + 1) * 512 + offset + 1))
	case $(tail -c +$at "$1" | head -c 4 | od -An -tx1 | tr -d ' ') in
	1f8b*) tail -c +$at "$1" | head -c $((length)) | gzip -dc ;;
	fd377a58) tail -c +$at "$1" | head -c $((length - 4)) | xz -dc ;;
	28b52ffd) tail -c +$at "$1" | head -c $((length - 4)) | zstd -dc ;;
	02214c18) tail -c +$at "$1" | head -c $((length - 4)) | lz4 -dc ;;
	*) return 1 ;;
	esac >"$2" 2>/dev/null
	[ "$(head -c 4 "$2" | od -An -tx1 | tr -d ' ')" = 7f454c46 ]
}

unpack_kernel() { # FOLDER PACKAGE...
	folder=$1 new=$1.new
	shift
	rm -rf "$folder" "$new"
	mkdir -p "$new/all" "$new/lib/modules"
	for package; do
		dpkg-deb -x "$cache/deb/$package" "$new/all" || die "cannot unpack $package"
	done
	for file in "$new"/all/boot/vmlinuz-* "$new"/all/usr/lib/modules/*/vmlinuz; do
		[ ! -f "$file" ] || mv "$file" "$new/vmlinuz"
	done
	for file in "$new"/all/boot/config-* "$new"/all/usr/lib/modules/*/config; do
		[ ! -f "$file" ] || mv "$file" "$new/config"
	done
	for modules in "$new"/all/lib/modules/* "$new"/all/usr/lib/modules/*; do
		[ ! -d "$modules/kernel" ] || mv "$modules" "$new/lib/modules/"
	done
	[ -f "$new/vmlinuz" ] || die "no kernel image in $*"
	rm -rf "$new/all"
	release=$(ls "$new/lib/modules" | head -n 1)
	[ -n "$release" ] || die "no modules in $*"
	depmod -b "$new" "$release" 2>/dev/null || die "depmod refuses the modules of $release"
	if grep -q '^# CONFIG_PVH is not set' "$new/config" 2>/dev/null || ! extract_vmlinux "$new/vmlinuz" "$new/vmlinux"; then
		rm -f "$new/vmlinux"
	fi
	mv "$new" "$folder"
}

give_kernel() { # SUITE/PACKAGE
	packages=$(fetch_kernel "$1") || exit 1
	folder=$cache/kernel/$(basename "$(echo "$packages" | head -n 1)" .deb)
	[ -d "$folder" ] || unpack_kernel "$folder" $packages
	echo "$folder"
}

# --- QEMU ---------------------------------------------------------------------------------------------------------------

# TCG of QEMU 7.2 gets cmpxchg16b wrong: the guest's slab allocator corrupts itself, and one boot in three panics. So one installed
# that old only lends its libraries and its firmware to a newer one. Where that cannot be had the guest goes without the instruction:
# sound, but since 6.18 some of BPF's own allocations need it.
unpack_qemu() {
	new=$cache/qemu.new
	rm -rf "$new"
	mkdir -p "$new"
	know_suite $qemu_suite || return 1
	for package in qemu-system-x86 qemu-system-common qemu-system-data; do
		download $qemu_suite $package && dpkg-deb -x "$cache/deb/$(newest $package)" "$new" || return 1
	done
	"$new/usr/bin/qemu-system-x86_64" --version >/dev/null 2>&1 || return 1
	mv "$new" "$cache/qemu"
}

give_qemu() {
	command -v qemu-system-x86_64 >/dev/null || die 'qemu-system-x86_64 is not installed (scripts/deps.sh vm)'
	major=$(qemu-system-x86_64 --version | sed -n 's/.*version \([0-9]*\)\..*/\1/p')
	if [ "$major" -ge 10 ]; then
		echo 'qemu-system-x86_64 -cpu max'
	elif [ -d "$cache/qemu" ] || unpack_qemu; then
		echo "$cache/qemu/usr/bin/qemu-system-x86_64 -L $cache/qemu/usr/share/qemu -L /usr/share/seabios -cpu max"
	else
		echo "vm-fetch.sh: QEMU $major is too old and no newer one can be had: the guest goes without cmpxchg16b" >&2
		echo 'qemu-system-x86_64 -cpu max,cx16=off'
	fi
}

for tool in apt-get dpkg-deb depmod xz zstd lz4 flock; do
	command -v "$tool" >/dev/null || die "$tool is not installed (scripts/deps.sh vm)"
done
mkdir -p "$cache/deb" "$cache/kernel"
exec 9>"$cache/lock"
flock 9
case "${1:-} ${2:-}" in
'kernel '*/*) give_kernel "$2" ;;
'qemu ') give_qemu ;;
*) die 'usage: vm-fetch.sh kernel SUITE/PACKAGE | vm-fetch.sh qemu' ;;
esac
