#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a command on another Linux kernel, in QEMU and without KVM, whose root file system is busybox and what it is given.
#   scripts/vm.sh [-f PATH[:GUEST]]... [-d IMAGE] [-m "MODULE..."] [-c CPUS] [-M MIB] [-t SECONDS] [-r TRIES] [-a CMDLINE] [-k] KERNEL COMMAND
# KERNEL is SUITE/PACKAGE of Debian (scripts/vm-fetch.sh). -f copies a file or a folder into the guest (/vm/NAME) with the shared
# libraries its programs need; -m loads modules and what they depend on; -k prints the kernel's log, too. -d boots an image of ext4 that
# has a systemd, and the command is a unit of it; what is written to the image is thrown away, and only what is in /vm is copied to it.
# Exit code: the command's own; 124: over the time limit; 125: the guest died, and the tail of its log is printed; 126: cannot run.
set -eu

cd "$(dirname "$0")/.."
cpus=1 memory=512 limit=120 tries=3 modules= append= files= log= disk=
busybox=/bin/busybox
NL='
'

die() { echo "vm.sh: $*" >&2; exit 126; }

while getopts f:d:m:c:M:t:r:a:k option; do
	case $option in
	f) files=$files$OPTARG$NL ;;
	d) disk=$OPTARG modules="$modules virtio_pci virtio_blk" ;;
	m) modules="$modules $OPTARG" ;;
	c) cpus=$OPTARG ;;
	M) memory=$OPTARG ;;
	t) limit=$OPTARG ;;
	r) tries=$OPTARG ;;
	a) append=$OPTARG ;;
	k) log=1 ;;
	*) exit 126 ;;
	esac
done
shift $((OPTIND - 1))
[ $# -ge 2 ] || die 'usage: vm.sh [options] SUITE/PACKAGE COMMAND'
package=$1
shift
[ "$(uname -m)" = x86_64 ] || die "only x86_64 has guests here, not $(uname -m)"
[ -z "$disk" ] || [ -f "$disk" ] || die "no image $disk"
[ -x $busybox ] || die 'busybox-static is not installed (scripts/deps.sh vm)'

qemu=$(scripts/vm-fetch.sh qemu) || exit 126
kernel=$(scripts/vm-fetch.sh kernel "$package") || exit 126
release=$(ls "$kernel/lib/modules" | head -n 1)
image=$kernel/vmlinux
[ -f "$image" ] || image=$kernel/vmlinuz

work=$(mktemp -d "${TMPDIR:-/tmp}/nodemend-vm.XXXXXX")
pid=
clean() {
	[ -z "$pid" ] || kill "$pid" 2>/dev/null || :
	rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM HUP

# --- the guest's file system ----------------------------------------------------------------------------------------------

root=$work/root

copy_libraries() { # FILE: the shared libraries it needs, at their own paths
	ldd "$1" 2>/dev/null | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p' | while read -r library; do
		[ ! -e "$root$library" ] || continue
		mkdir -p "$root$(dirname "$library")"
		cp -L "$library" "$root$library"
	done
}

copy_in() { # PATH[:GUEST]
	path=${1%%:*}
	case $1 in
	*:*) guest=${1#*:} ;;
	*) guest=/vm/$(basename "$path") ;;
	esac
	[ -e "$path" ] || die "no file $path"
	mkdir -p "$root$(dirname "$guest")"
	cp -RL "$path" "$root$guest"
	find "$path" -type f -perm -100 | while read -r program; do copy_libraries "$program"; done
}

copy_modules() { # MODULE...: numbered in the order in which they must be loaded
	number=100
	for module; do
		modprobe -d "$kernel" -S "$release" --show-depends "$module" >"$work/depends" 2>/dev/null || die "kernel $release has no module $module"
		while read -r verb file _; do
			[ "$verb" = insmod ] || continue
			name=$(basename "$file")
			name=${name%%.ko*}
			! ls "$root/vm/modules/"*-"$name.ko" >/dev/null 2>&1 || continue
			number=$((number + 1))
			case $file in
			*.xz) xz -dc "$file" ;;
			*.zst) zstd -dc "$file" ;;
			*.gz) gzip -dc "$file" ;;
			*) cat "$file" ;;
			esac >"$root/vm/modules/$number-$name.ko"
		done <"$work/depends"
	done
}

mkdir -p "$root/vm/modules"
for folder in bin sbin usr/bin usr/sbin proc sys dev tmp run root etc mnt var/lib var/log var/tmp; do mkdir -p "$root/$folder"; done
cp $busybox "$root/bin/busybox"
printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'nobody:x:65534:65534:nobody:/nonexistent:/bin/false' >"$root/etc/passwd"
printf '%s\n' 'root:x:0:' 'nogroup:x:65534:' >"$root/etc/group"
echo '127.0.0.1 localhost' >"$root/etc/hosts"
separator=$IFS
IFS=$NL
for file in $files; do copy_in "$file"; done
IFS=$separator
copy_modules $modules

# ttyS0 is the kernel's log, ttyS1 the command's output between two marks that it cannot make up.
nonce=vm-$(od -An -tx8 -N8 /dev/urandom | tr -d ' ')
printf '%s\n' "$*" >"$root/vm/command"
cat >"$root/vm/start" <<END
exec 3>/dev/ttyS1
stty raw -echo <>/dev/ttyS1
echo "$nonce up" >&3
cd /vm
setsid sh /vm/command </dev/null >&3 2>&1
code=\$?
printf '\n%s exit %d\n' "$nonce" "\$code" >&3
exec 3>&-
poweroff -f -f
END
cat >"$root/vm/insert" <<'END'
for module in /vm/modules/*.ko; do
	[ ! -e "$module" ] || insmod "$module" || echo "vm: cannot load $module" >/dev/kmsg
done
END

# Busybox is all there is: its shell is PID 1 and mounts what programs expect.
init_alone() {
	cat <<'END'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control; done
ifconfig lo 127.0.0.1 up
hostname vm
. /vm/insert
. /vm/start
END
}

# The image's own systemd is PID 1; the command comes when it has started everything else.
init_of_disk() {
	cat <<'END'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/sbin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
mount -t tmpfs tmpfs /run
. /vm/insert
mount -t ext4 -o noatime /dev/vda /mnt || exec poweroff -f
rm -r /vm/modules
cp -R /vm /mnt/
mkdir -p /run/systemd/system/multi-user.target.wants
cat >/run/systemd/system/vm-command.service <<UNIT
[Unit]
After=multi-user.target
[Service]
Environment=HOME=/root TERM=dumb
ExecStart=/bin/sh /vm/start
OOMScoreAdjust=-1000
UNIT
ln -s ../vm-command.service /run/systemd/system/multi-user.target.wants/
for mount in proc sys dev run; do mount --move /$mount /mnt/$mount; done
exec switch_root /mnt /sbin/init
END
}

if [ -n "$disk" ]; then init_of_disk; else init_alone; fi >"$root/init"
chmod +x "$root/init"
(cd "$root" && find . | $busybox cpio -o -H newc 2>/dev/null) >"$work/initrd"

# --- the run --------------------------------------------------------------------------------------------------------------

boot() { # leaves QEMU's status in `status`
	status=0
	: >"$work/out"
	: >"$work/klog"
	timeout -k 5 "$limit" $qemu -accel tcg,thread=multi -machine q35 -nodefaults -no-user-config -display none -monitor none \
		-no-reboot -smp "$cpus" -m "$memory" ${disk:+-drive "file=$disk,if=virtio,format=raw,snapshot=on,cache=unsafe"} -serial "file:$work/klog" -serial "file:$work/out" -kernel "$image" -initrd "$work/initrd" \
		-append "console=ttyS0 panic=-1 oops=panic mitigations=off psi=1 ${disk:+systemd.unit=multi-user.target systemd.getty_auto=0} $append" >"$work/qemu" 2>&1 </dev/null &
	pid=$!
	wait "$pid" || status=$?
	pid=
}

# A guest that never came to its init is the emulator's failure, not the command's: it is tried again.
try=1
boot
until grep -qa "^$nonce up" "$work/out" || [ $status = 124 ] || [ $try -ge "$tries" ]; do
	try=$((try + 1))
	boot
done

# What the command said, without our two marks and the newline put before the second.
awk -v nonce="$nonce" '
	$1 == nonce && $2 == "up" { next }
	$1 == nonce && $2 == "exit" { if (held && line != "") print line; held = 0; next }
	{ if (held) print line; line = $0; held = 1 }
	END { if (held) print line }' "$work/out"
[ -z "$log" ] || cat "$work/klog" >&2
code=$(sed -n "s/^$nonce exit \([0-9]*\).*/\1/p" "$work/out" | head -n 1)
[ -z "$code" ] || exit "$code"
echo "vm.sh: $release: the guest did not finish (QEMU's status $status); the end of its log:" >&2
cat "$work/qemu" >&2
[ -n "$log" ] || tail -n 40 "$work/klog" >&2
[ $status = 124 ] && exit 124
exit 125
