/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The readers. What dashboards draw by the second is read at every full tick; the books of the kernel that it adds up over all
 * processors for each reader (netstat alone takes 180 us), at every other; what changes rarely or may wait for hardware, firmware
 * or a foreign disk, in the worker.
 */
#include "collect/host.h"

#define EVERY(seconds) ((seconds) * NSEC_PER_SEC)

/* clang-format off */
const struct host_reader host_readers[SERIES_SOURCE_COUNT] = {
	[SERIES_ARP] = { host_read_arp, EVERY(10), true, "Entries of the ARP table, by device" },
	[SERIES_BCACHE] = { host_read_bcache, EVERY(10), true, "From /sys/fs/bcache" },
	[SERIES_BONDING] = { host_read_bonding, EVERY(10), true, "Slaves of a bond, configured or active" },
	[SERIES_BTRFS] = { host_read_btrfs, EVERY(10), true, "From /sys/fs/btrfs and the filesystem's own books" },
	[SERIES_CONNTRACK] = { host_read_conntrack, EVERY(10), true, "Of connection tracking" },
	[SERIES_CPU] = { host_read_cpu, EVERY(10), true, "Times that it was throttled for heat" },
	[SERIES_CPUFREQ] = { host_read_cpufreq, EVERY(10), true, "From /sys/devices/system/cpu/cpu*/cpufreq" },
	[SERIES_DISKSTATS] = { host_read_diskstats, EVERY(1), false, "From /proc/diskstats and udev" },
	[SERIES_DMI] = { host_read_dmi, EVERY(10), true, "From /sys/class/dmi/id, always 1" },
	[SERIES_EDAC] = { host_read_edac, EVERY(10), true, "Memory errors that the controller saw" },
	[SERIES_ENTROPY] = { host_read_entropy, EVERY(10), true, "From /proc/sys/kernel/random" },
	[SERIES_FIBRECHANNEL] = { host_read_fibrechannel, EVERY(10), true, "From /sys/class/fc_host" },
	[SERIES_FILEFD] = { host_read_filefd, EVERY(2), false, "From /proc/sys/fs/file-nr" },
	[SERIES_FILESYSTEM] = { host_read_filesystem, EVERY(1), false, "Of a mounted filesystem" },
	[SERIES_HWMON] = { host_read_hwmon, EVERY(10), true, "From /sys/class/hwmon" },
	[SERIES_INFINIBAND] = { host_read_infiniband, EVERY(10), true, "From /sys/class/infiniband" },
	[SERIES_IPVS] = { host_read_ipvs, EVERY(10), true, "From /proc/net/ip_vs and ip_vs_stats" },
	[SERIES_MDADM] = { host_read_mdadm, EVERY(10), true, "From /proc/mdstat" },
	[SERIES_MEMINFO] = { host_read_meminfo, EVERY(1), false, "A line of /proc/meminfo" },
	[SERIES_NETCLASS] = { host_read_netclass, EVERY(10), true, "From /sys/class/net" },
	[SERIES_NETDEV] = { host_read_netdev, EVERY(1), false, "From /proc/net/dev" },
	[SERIES_NETSTAT] = { host_read_netstat, EVERY(2), false, "A field of /proc/net/netstat, snmp or snmp6" },
	[SERIES_NFS] = { host_read_nfs, EVERY(10), true, "Of the NFS client" },
	[SERIES_NFSD] = { host_read_nfsd, EVERY(10), true, "Of the NFS server" },
	[SERIES_NVME] = { host_read_nvme, EVERY(10), true, "From /sys/class/nvme, always 1" },
	[SERIES_OS] = { host_read_os, EVERY(10), true, "From os-release" },
	[SERIES_POWERSUPPLY] = { host_read_powersupply, EVERY(10), true, "From /sys/class/power_supply" },
	[SERIES_RAPL] = { host_read_rapl, EVERY(10), true, "Energy used, from /sys/class/powercap" },
	[SERIES_SCHEDSTAT] = { host_read_schedstat, EVERY(2), false, "From /proc/schedstat" },
	[SERIES_SELINUX] = { host_read_selinux, EVERY(10), true, "State of SELinux: 1 enforcing, 0 permissive, -1 disabled" },
	[SERIES_SOCKSTAT] = { host_read_sockstat, EVERY(2), false, "From /proc/net/sockstat or sockstat6" },
	[SERIES_SOFTNET] = { host_read_softnet, EVERY(2), false, "From /proc/net/softnet_stat" },
	[SERIES_TAPESTATS] = { host_read_tapestats, EVERY(10), true, "From /sys/class/scsi_tape" },
	[SERIES_TEXTFILE] = { host_read_textfile, EVERY(10), true, "Of the text files" },
	[SERIES_THERMAL_ZONE] = { host_read_thermal_zone, EVERY(10), true, "From /sys/class/thermal" },
	[SERIES_TIME] = { host_read_time, EVERY(10), true, "Of the clock" },
	[SERIES_TIMEX] = { host_read_timex, EVERY(2), false, "From adjtimex(2)" },
	[SERIES_UDP_QUEUES] = { host_read_udp_queues, EVERY(10), true, "Bytes in the queues of UDP sockets" },
	[SERIES_UNAME] = { host_read_uname, EVERY(10), true, "From uname(2), always 1" },
	[SERIES_VMSTAT] = { host_read_vmstat, EVERY(2), false, "A line of /proc/vmstat" },
	[SERIES_XFS] = { host_read_xfs, EVERY(10), true, "From /sys/fs/xfs" },
	[SERIES_ZFS] = { host_read_zfs, EVERY(10), true, "A kstat of ZFS" },
};
/* clang-format on */
