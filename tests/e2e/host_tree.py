# SPDX-License-Identifier: Apache-2.0
"""A host with everything: arrays, caches, bonds, sensors, adapters, filesystems with books of their own. All made up, every number
another, so that two that are mixed up show. build(root) writes it as root/proc, root/sys, root/etc and root/run.
"""

import itertools
import os
from pathlib import Path

_next = itertools.count(1001)


def numbers(count):
    return " ".join(str(next(_next)) for _ in range(count))


def files(folder, **each):
    return {f"{folder}/{name}": f"{value}\n" for name, value in each.items()}


def kstat(*rows):
    return "7 1 0x01 2 544 1000 2000\nname                            type data\n" + "".join(f"{n:<31} {t}    {v}\n" for n, t, v in rows)


def network(name, index, **more):
    each = dict(addr_assign_type=3, address=f"02:00:00:00:00:{index:02x}", broadcast="ff:ff:ff:ff:ff:ff", carrier=1, carrier_changes=7 + index,
                carrier_down_count=3 + index, carrier_up_count=4 + index, dev_id=f"0x{0x20 + index:x}", dev_port=0, dormant=1, duplex="full", flags="0x1303",
                ifalias="", ifindex=index, iflink=index + 40, link_mode=1, mtu=1400 + index, name_assign_type=2, netdev_group=index + 10,
                operstate="up", phys_port_id="", phys_port_name="", phys_switch_id="", speed=1000 * index, tx_queue_len=500 + index, type=1)
    return files(f"sys/class/net/{name}", **(each | more)) | files(f"sys/class/net/{name}/statistics", rx_nohandler=90 + index)


def tree():
    t = {}
    # --- /proc ---------------------------------------------------------------------------------------------------------------
    t["proc/meminfo"] = "MemTotal:       3742148 kB\nMemFree:         225472 kB\nActive(anon):       1234 kB\nHugePages_Total:       5\nHugepagesize:       2048 kB\n"
    t["proc/vmstat"] = "".join(f"{n} {next(_next)}\n" for n in ("nr_free_pages", "pgpgin", "pgpgout", "pswpin", "pswpout", "pgalloc_dma", "pgfault",
                                                              "pgmajfault", "thp_fault_alloc", "oom_kill", "pgfault_more"))
    t["proc/stat"] = "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\nintr 8885917 17\nctxt 38014093\nbtime 1418183276\nprocesses 26442\nprocs_running 2\nprocs_blocked 1\nsoftirq 65 1 2 3 4 5 6 7 8 9 10\n"
    t["proc/loadavg"] = "0.21 0.37 0.39 1/719 19737\n"
    t["proc/diskstats"] = (f"   1       0 ram0 {numbers(11)}\n   8       0 sda {numbers(17)}\n   8       1 sda1 {numbers(17)}\n  65     160 sdaa1 {numbers(15)}\n"
                           f" 252       0 dm-0 {numbers(11)}\n 259       0 nvme0n1 {numbers(17)}\n 259       1 nvme0n1p1 {numbers(17)}\n   7       0 loop0 {numbers(11)}\n"
                           f" 253       0 zram0 {numbers(15)}\n 179       0 mmcblk0 {numbers(11)}\n 179       1 mmcblk0p1 {numbers(11)}\n")
    t["run/udev/data/b8:0"] = ("S:disk/by-id/x\nE:ID_ATA=1\nE:ID_ATA_ROTATION_RATE_RPM=7200\nE:ID_ATA_WRITE_CACHE=1\nE:ID_ATA_WRITE_CACHE_ENABLED=0\nE:ID_MODEL=M1\n"
                               "E:ID_PATH=pci-0000:00:17.0-ata-1\nE:ID_REVISION=R2\nE:ID_SERIAL=M1_LONG\nE:ID_SERIAL_SHORT=SHORT\nE:ID_WWN=0x50\n")
    t["run/udev/data/b252:0"] = ("E:DM_NAME=vg-lv\nE:DM_UUID=LVM-abc\nE:DM_VG_NAME=vg\nE:DM_LV_NAME=lv\nE:DM_LV_LAYER=\nE:ID_FS_TYPE=ext4\nE:ID_FS_USAGE=filesystem\n"
                                 "E:ID_FS_UUID=1-2\nE:ID_FS_VERSION=1.0\n")
    t["run/udev/data/b259:0"] = "E:ID_SERIAL=only\nE:SCSI_IDENT_SERIAL=scsi\n"
    t["proc/mdstat"] = """Personalities : [linear] [raid0] [raid1] [raid6] [raid5] [raid4] [raid10]
md3 : active raid6 sda1[8] sdh1[7] sdg1[6] sdf1[5] sde1[11] sdd1[3] sdc1[10] sdb1[9](S) sdi1[2](F)
      5853468288 blocks super 1.2 level 6, 64k chunk, algorithm 2 [8/7] [UUUUUUU_]

md127 : active raid1 sdi2[0] sdj2[1]
      312319552 blocks [2/2] [UU]

md0 : active raid1 sdk[2](S) sdi1[0] sdj1[1]
      248896 blocks [2/2] [UU]

md4 : inactive raid1 sda3[0](F) sdb3[1](S)
      4883648 blocks [2/2] [UU]

md6 : active raid1 sdb2[2](F) sdc[1](S) sda2[0]
      195310144 blocks [2/1] [U_]
      [=>...................]  recovery =  8.5% (16775552/195310144) finish=17.0min speed=259783K/sec

md8 : active raid1 sdb1[1] sda1[0] sdc[2](S) sde[3](S)
      195310144 blocks [2/2] [UU]
      [=>...................]  resync =  8.5% (16775553/195310144) finish=17.0min speed=259783K/sec

md7 : active raid6 sdb1[0] sde1[3] sdd1[2] sdc1[1](F)
      7813735424 blocks super 1.2 level 6, 512k chunk, algorithm 2 [4/3] [U_UU]
      bitmap: 0/30 pages [0KB], 65536KB chunk

md9 : active raid1 sdc2[2] sdd2[3] sdb2[1] sda2[0]
      523968 blocks super 1.2 [4/4] [UUUU]
      resync=DELAYED

md10 : active raid0 sda1[0] sdb1[1]
      314159265 blocks 64k chunks

md11 : active (auto-read-only) raid1 sdb2[0] sdc2[1] sdc3[2](F) hda[4](S) ssdc2[3](S)
      4190208 blocks super 1.2 [2/2] [UU]
      resync=PENDING

md12 : active raid0 sdc2[0] sdd2[1]
      3886394368 blocks super 1.2 512k chunks

md101 : active (read-only) raid0 sdb[2] sdd[1] sdc[0]
      322560 blocks super 1.2 512k chunks

md201 : active raid1 sda3[0] sdb3[1]
      1993728 blocks super 1.2 [2/2] [UU]
      [=>...................]  check =  5.7% (114176/1993728) finish=0.2min speed=114176K/sec

unused devices: <none>
"""
    t["proc/schedstat"] = f"version 15\ntimestamp 15819019232\ncpu0 {numbers(6)} 2045936778163039 343796328169361 4767485306\ndomain0 03 {numbers(4)}\ncpu1 {numbers(6)} 1904686152592476 364107263788241 5145567945\n"
    t["proc/sys/fs/file-nr"] = "1024\t0\t9223372036854775807\n"
    t["proc/sys/kernel/random/entropy_avail"] = "1337\n"
    t["proc/sys/kernel/random/poolsize"] = "4096\n"
    t["proc/sys/net/netfilter/nf_conntrack_count"] = "123\n"
    t["proc/sys/net/netfilter/nf_conntrack_max"] = "65536\n"
    head = "entries  searched found new invalid ignore delete delete_list insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart\n"
    t["proc/net/stat/nf_conntrack"] = head + "".join(" ".join(f"{next(_next):08x}" for _ in range(17)) + "\n" for _ in range(3))
    t["proc/net/arp"] = ("IP address       HW type     Flags       HW address            Mask     Device\n192.168.1.1      0x1         0x2         cc:aa:dd:ee:aa:bb     *        eth0\n"
                         "192.168.1.2      0x1         0x0         00:00:00:00:00:00     *        eth0\n192.168.2.1      0x1         0x2         bb:cc:dd:ee:ff:07     *        eth1\n")
    names = [f"eth{i}" for i in range(3)] + ["lo", "bond0", "veth:1"]
    t["proc/net/dev"] = ("Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"
                         + "".join(f"{n:>6}: {numbers(16)}\n" for n in names[:5]))
    t["proc/net/sockstat"] = "sockets: used 229\nTCP: inuse 4 orphan 6 tw 5 alloc 17 mem 1\nUDP: inuse 7 mem 2\nUDPLITE: inuse 8\nRAW: inuse 9\nFRAG: inuse 10 memory 11\n"
    t["proc/net/sockstat6"] = "TCP6: inuse 17\nUDP6: inuse 9\nUDPLITE6: inuse 10\nRAW6: inuse 1\nFRAG6: inuse 12 memory 13\n"
    t["proc/net/softnet_stat"] = "".join(" ".join(f"{next(_next):08x}" for _ in range(13)) + "\n" for _ in range(4))
    udp = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"
    t["proc/net/udp"] = udp + "    0: 00000000:0016 00000000:0000 0A 00000015:0000002a 00:00000000 00000000     0        0 2740 1 ffff88003d3af3c0 0\n    1: 00000000:0017 00000000:0000 0A 00000001:00000002 00:00000000 00000000     0        0 2741 1 ffff88003d3af3c1 0\n"
    t["proc/net/udp6"] = udp + "    0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 07 00000003:00000004 00:00000000 00000000     0        0 2742 2 ffff88003d3af3c2 0\n"
    snmp = {"Ip": "Forwarding DefaultTTL InReceives", "Icmp": "InMsgs InErrors InCsumErrors OutMsgs OutErrors", "IcmpMsg": "InType3 OutType3",
            "Tcp": "RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors",
            "Udp": "InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors", "UdpLite": "InDatagrams NoPorts InErrors OutDatagrams"}
    netstat = {"TcpExt": "SyncookiesSent SyncookiesRecv SyncookiesFailed EmbryonicRsts ListenOverflows ListenDrops TCPTimeouts TCPSynRetrans TCPOFOQueue",
               "IpExt": "InNoRoutes InTruncatedPkts InOctets OutOctets InMcastOctets"}
    t["proc/net/snmp"] = "".join(f"{p}: {f}\n{p}: {numbers(len(f.split()))}\n" for p, f in snmp.items()).replace("Tcp: 10", "Tcp: 10", 1)
    t["proc/net/netstat"] = "".join(f"{p}: {f}\n{p}: {numbers(len(f.split()))}\n" for p, f in netstat.items())
    t["proc/net/snmp6"] = "".join(f"{n:<32}\t{next(_next)}\n" for n in ("Ip6InReceives", "Ip6InOctets", "Ip6OutOctets", "Icmp6InMsgs", "Icmp6InErrors", "Icmp6OutMsgs",
                                                                        "Udp6InDatagrams", "Udp6NoPorts", "Udp6InErrors", "Udp6OutDatagrams", "Udp6RcvbufErrors",
                                                                        "Udp6SndbufErrors", "UdpLite6InErrors"))
    t["proc/net/ip_vs_stats"] = "   Total Incoming Outgoing         Incoming         Outgoing\n   Conns  Packets  Packets            Bytes            Bytes\n 16AA370 E33656E5        0     51D8C8883AB3        7\n\n Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n       4    1FB3C        0          1282A8F                0\n"
    t["proc/net/ip_vs"] = """IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  C0A80016:0CEA wlc
  -> C0A85216:0CEA      Tunnel  100    248        2
  -> C0A85318:0CEA      Tunnel  100    249        3
TCP  [20010DB8000000000000000000000001]:0050 rr
FWM  10001000 wlc
  -> C0A8321A:0CEA      Tunnel  21     64         5
""".replace("TCP  [20010DB8000000000000000000000001]:0050 rr\n", "")
    t["proc/net/rpc/nfs"] = f"net {numbers(4)}\nrpc {numbers(3)}\nproc2 18 {numbers(18)}\nproc3 22 {numbers(22)}\nproc4 59 {numbers(59)}\n"
    t["proc/net/rpc/nfsd"] = (f"rc {numbers(3)}\nfh {numbers(5)}\nio {numbers(2)}\nth 8 {numbers(1)} 0.000 0.000 0.000 0.000 0.000 0.000 0.000 0.000 0.000 0.000\nra {numbers(12)}\n"
                              f"net {numbers(4)}\nrpc {numbers(5)}\nproc2 18 {numbers(18)}\nproc3 22 {numbers(22)}\nproc4 2 {numbers(2)}\nproc4ops 72 {numbers(72)}\n")
    t["proc/spl/kstat/zfs/arcstats"] = kstat(("hits", 4, next(_next)), ("misses", 4, next(_next)), ("anon-evictable", 4, next(_next)), ("signed", 3, next(_next)), ("words", 7, "text"))
    for name in ("abdstats", "dbufstats", "dmu_tx", "dnodestats", "fm", "vdev_cache_stats", "vdev_mirror_stats", "xuio_stats", "zfetchstats", "zil"):
        t[f"proc/spl/kstat/zfs/{name}"] = kstat(("first", 4, next(_next)), ("second", 4, next(_next)))
    t["proc/spl/kstat/zfs/pool1/io"] = f"12 3 0x00 1 80 79205351707403 395818011156865\nnread    nwritten reads    writes   wtime    wlentime wupdate  rtime    rlentime rupdate  wcnt     rcnt\n{numbers(12)}\n"
    t["proc/spl/kstat/zfs/pool1/objset-1"] = kstat(("dataset_name", 7, "pool1/data"), ("writes", 4, next(_next)), ("nwritten", 4, next(_next)))
    t["proc/spl/kstat/zfs/pool1/state"] = "DEGRADED\n"
    for name in ("cpu", "memory", "io"):
        t[f"proc/pressure/{name}"] = f"some avg10=0.10 avg60=2.00 avg300=3.85 total={next(_next)}\nfull avg10=0.20 avg60=3.00 avg300=4.95 total={next(_next)}\n"
    t["proc/1/mounts"] = "/dev/sda3 /none/such ext4 rw,relatime 0 0\nproc /proc proc rw 0 0\n"
    t["proc/1/mountinfo"] = "22 1 8:3 / /none/such rw,relatime shared:1 - ext4 /dev/sda3 rw\n23 22 0:4 / /proc rw - proc proc rw\n"

    # --- /sys ----------------------------------------------------------------------------------------------------------------
    for i, name in enumerate(names[:3]):
        t |= network(name, i + 1)
    t |= network("lo", 4, operstate="unknown", duplex="", address="00:00:00:00:00:00", type=772, flags="0x9", ifalias="an alias")
    t |= network("bond0", 5, speed=20000)
    t["sys/class/net/bonding_masters"] = "bond0 bond1\n"
    t["sys/class/net/bond0/bonding/slaves"] = "eth0 eth1\n"
    t["sys/class/net/bond0/lower_eth0/bonding_slave/mii_status"] = "up\n"
    t["sys/class/net/bond0/lower_eth1/bonding_slave/mii_status"] = "down\n"
    t["sys/class/net/bond1/bonding/slaves"] = "eth2\n"
    t["sys/class/net/bond1/lower_eth2/bonding_slave/mii_status"] = "up\n"
    t |= network("bond1", 6, operstate="down")
    for cpu, (package, core) in enumerate(((0, 0), (0, 0), (0, 1), (1, 0))):
        folder = f"sys/devices/system/cpu/cpu{cpu}"
        t |= files(f"{folder}/topology", physical_package_id=package, core_id=core)
        t |= files(f"{folder}/thermal_throttle", core_throttle_count=10 * package + core + 5, package_throttle_count=30 + package)
        t |= files(f"{folder}/cpufreq", **{n: 100000 + next(_next) for n in ("cpuinfo_cur_freq", "cpuinfo_max_freq", "cpuinfo_min_freq", "scaling_cur_freq",
                                                                               "scaling_max_freq", "scaling_min_freq")})
        t |= files(f"{folder}/cpufreq", cpuinfo_transition_latency=0, related_cpus=cpu, scaling_available_governors="performance", scaling_driver="x", scaling_governor="performance",
                   scaling_setspeed="<unsupported>")
    for mc in range(2):
        folder = f"sys/devices/system/edac/mc/mc{mc}"
        t |= files(folder, ce_count=next(_next), ce_noinfo_count=next(_next), ue_count=next(_next), ue_noinfo_count=next(_next))
        t |= files(f"{folder}/csrow0", ce_count=next(_next), ue_count=next(_next))
        t |= files(f"{folder}/csrow12", ce_count=next(_next), ue_count=next(_next))
    for folder, name in (("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "core"), ("intel-rapl:1", "package-1"), ("intel-rapl:1:0", "core"), ("intel-rapl:2", "dram-extra x")):
        t |= files(f"sys/class/powercap/{folder}", name=name, energy_uj=next(_next) * 1000003, max_energy_range_uj=262143328850)
    t["sys/class/powercap/enabled"] = "1\n"
    t |= files("sys/class/thermal/thermal_zone0", type="bcm2835_thermal", policy="step_wise", temp=49925)
    t |= files("sys/class/thermal/thermal_zone12", type="acpitz", policy="step_wise", temp=-1500, mode="enabled", passive=0)
    t |= files("sys/class/thermal/cooling_device0", type="Processor", cur_state=3, max_state=7)
    t |= files("sys/class/power_supply/AC", type="Mains", online=1)
    t |= files("sys/class/power_supply/BAT0", type="Battery", status="Discharging", capacity=81, capacity_level="Normal", present=1, cycle_count=37, energy_full=50060000,
               energy_full_design=47520000, energy_now=49450000, power_now=4830000, voltage_now=11884000, voltage_min_design=10800000, temp=312, alarm=2002000,
               manufacturer="LGC", model_name="LNV-45N1", serial_number="38109", technology="Li-ion", charge_full=4000000, charge_now=3900000, current_now=-1200000,
               time_to_empty_now=5400, health="Good", voltage_max=12000000)
    # hwmon: one chip whose files stand in it, one older whose files stand in its device
    dev = "sys/devices/platform/coretemp.0"
    t |= files(f"{dev}/hwmon/hwmon0", name="coretemp", temp1_input=55000, temp1_crit=100000, temp1_crit_alarm=0, temp1_label="Physical id 0", temp1_max=84000, temp2_input=54000,
               temp2_label="Core 0", temp2_fault=1, temp2_type=4, in0_input=1234, in0_min=-12, in0_label="Vcore", fan1_input=2030, fan1_min=600, fan1_div=2, fan1_target=700,
               fan1_alarm=0, pwm1=120, pwm1_enable=2, curr1_input=1500, power1_average=5500000, power1_accuracy=1000000, power1_average_interval=1000, energy1_input=7654321,
               humidity1_input=40000, intrusion0_alarm=1, intrusion0_beep=0, beep_enable=1, update_interval=1500, cpu0_vid=1250, vrm=9.1, freq1_input=5)
    t[f"sys/class/hwmon/hwmon0"] = ("link", f"../../devices/platform/coretemp.0/hwmon/hwmon0")
    t[f"{dev}/hwmon/hwmon0/device"] = ("link", "../../../coretemp.0")
    old = "sys/devices/platform/nct6775.656"
    t |= files(old, name="nct6779", fan2_input=1098, fan2_beep=0, in1_input=3000, temp7_input=37000, beep_enable=0)
    t[f"{old}/hwmon/hwmon1/power"] = ("dir", "")
    t["sys/class/hwmon/hwmon1"] = ("link", "../../devices/platform/nct6775.656/hwmon/hwmon1")
    t[f"{old}/hwmon/hwmon1/device"] = ("link", "../../../nct6775.656")
    t |= files("sys/class/hwmon/hwmon2", name="hw bare.1", temp1_input=1000)
    t |= files("sys/class/nvme/nvme0", firmware_rev="1B2QEXP7", model="Samsung SSD 970 PRO 512GB", serial="S680HF8N190894I", state="live")
    t |= files("sys/class/scsi_tape/st0/stats", **{n: next(_next) * 1000 for n in ("in_flight", "io_ns", "other_cnt", "read_byte_cnt", "read_cnt", "read_ns", "resid_cnt",
                                                                             "write_byte_cnt", "write_cnt", "write_ns")})
    t |= files("sys/class/scsi_tape/nst0/stats", in_flight=1)
    t |= files("sys/class/fc_host/host1", speed="16 Gbit", port_state="Online", port_type="Point-To-Point (direct nport connection)", node_name="0x2000e0071bce95f2",
               port_id="0x000002", port_name="0x1000e0071bce95f2", fabric_name="0x0", symbolic_name="Emulex SN1100E2P", supported_classes="Class 3",
               supported_speeds="4 Gbit, 8 Gbit, 16 Gbit", dev_loss_tmo=30)
    t |= files("sys/class/fc_host/host1/statistics", **{n: hex(next(_next)) for n in ("error_frames", "invalid_crc_count", "rx_frames", "rx_words", "tx_frames",
               "tx_words", "seconds_since_last_reset", "invalid_tx_word_count", "link_failure_count", "loss_of_sync_count", "loss_of_signal_count", "nos_count", "fcp_packet_aborts")},
               dumped_frames="0xffffffffffffffff")
    for port in (1, 2):
        folder = f"sys/class/infiniband/mlx4_0/ports/{port}"
        t |= files(folder, state="4: ACTIVE", phys_state="5: LinkUp", rate="40 Gb/sec (4X QDR)", link_layer="InfiniBand")
        t |= files(f"{folder}/counters", **{n: next(_next) for n in ("excessive_buffer_overrun_errors", "link_downed", "link_error_recovery", "local_link_integrity_errors",
                   "multicast_rcv_packets", "multicast_xmit_packets", "port_rcv_constraint_errors", "port_rcv_data", "port_rcv_discards", "port_rcv_errors", "port_rcv_packets",
                   "port_rcv_remote_physical_errors", "port_rcv_switch_relay_errors", "port_xmit_constraint_errors", "port_xmit_data", "port_xmit_discards", "port_xmit_packets",
                   "port_xmit_wait", "symbol_error", "unicast_rcv_packets", "unicast_xmit_packets", "VL15_dropped")})
        t |= files(f"{folder}/counters_ext", **{n: next(_next) for n in ("port_multicast_rcv_packets", "port_multicast_xmit_packets", "port_rcv_data_64", "port_rcv_packets_64",
                   "port_unicast_rcv_packets", "port_unicast_xmit_packets", "port_xmit_data_64", "port_xmit_packets_64")})
    t |= files("sys/class/infiniband/mlx4_0", board_id="SM_1141000001000", fw_ver="2.31.5050", hca_type="MT4099")
    t |= files("sys/class/dmi/id", bios_date="04/12/2021", bios_release="2.2", bios_vendor="Dell Inc.", bios_version="2.2.4", board_name="07PXPY", board_serial=".7N62AI2.",
               board_vendor="Dell Inc.", board_version="A01", chassis_asset_tag="", chassis_serial="7N62AI2", chassis_type=23, chassis_vendor="Dell Inc.", chassis_version="",
               product_family="PowerEdge", product_name="PowerEdge R6515", product_serial="7N62AI2", product_sku="SKU=NotProvided", product_uuid="83340ca8", product_version="",
               sys_vendor="Dell Inc.")
    t |= files("sys/devices/system/clocksource/clocksource0", available_clocksource="tsc hpet acpi_pm", current_clocksource="tsc")
    uuid = "deaddd54-c735-46d5-868e-f331c5fd7c74"
    b = f"sys/fs/bcache/{uuid}"
    t |= files(b, average_key_size=0, btree_cache_size="1.5M", cache_available_percent=99, congested=2, root_usage_percent=3, tree_depth=4)
    t |= files(f"{b}/internal", active_journal_entries=5, btree_nodes=6, btree_read_average_duration_us=1305, cache_read_races=7)
    t |= files(f"{b}/bdev0", dirty_data="1.2k")
    t |= files(f"{b}/bdev0/stats_total", bypassed="20.1M", cache_bypass_hits=11, cache_bypass_misses=12, cache_hit_ratio=13, cache_hits=546, cache_miss_collisions=14, cache_misses=15,
               cache_readaheads=16)
    for period in ("five_minute", "hour", "day"):
        t |= files(f"{b}/bdev0/stats_{period}", bypassed="2M", cache_bypass_hits=1, cache_bypass_misses=2, cache_hits=3, cache_miss_collisions=4, cache_misses=5, cache_readaheads=6)
    t[f"{b}/bdev0/writeback_rate_debug"] = "rate:\t\t1.1M/sec\ndirty:\t\t20.4G\ntarget:\t\t20.5G\nproportional:\t427.5k\nintegral:\t790.0k\nchange:\t\t321.5k/sec\nnext io:\t17ms\n"
    t |= files(f"{b}/cache0", io_errors=21, metadata_written="512", written="7.5k")
    t[f"{b}/cache0/priority_stats"] = "Unused:\t\t99%\nMetadata:\t5%\nAverage:\t10473\nSectors per Q:\t64\nQuantiles:\t[0 0]\n"
    u = "sys/fs/btrfs/0abb23a9-579b-43e6-ad30-227ef47fcb9d"
    t |= files(u, label="fixture", nodesize=16384, sectorsize=4096, clone_alignment=4096, metadata_uuid="x", quota_override=0)
    t |= files(f"{u}/allocation", global_rsv_reserved=16777216, global_rsv_size=16777217)
    for kind, layout in (("data", "raid5"), ("metadata", "raid1"), ("system", "single")):
        t |= files(f"{u}/allocation/{kind}", **{n: next(_next) for n in ("bytes_may_use", "bytes_pinned", "bytes_readonly", "bytes_reserved", "bytes_used", "disk_total", "disk_used",
                                                                           "flags", "total_bytes", "total_bytes_pinned")})
        t |= files(f"{u}/allocation/{kind}/{layout}", total_bytes=next(_next), used_bytes=next(_next))
    for i in range(3):
        t[f"{u}/devices/loop2{i}/size"] = f"{20971520 + i}\n"
    t[f"{u}/features/raid56"] = "1\n"
    t["sys/fs/btrfs/features/raid56"] = "0\n"
    t["sys/fs/xfs/sda1/stats/stats"] = (f"extent_alloc {numbers(4)}\nabt {numbers(4)}\nblk_map {numbers(7)}\nbmbt {numbers(4)}\ndir {numbers(4)}\ntrans {numbers(3)}\nig {numbers(7)}\n"
                                        f"log {numbers(5)}\npush_ail {numbers(10)}\nxstrat {numbers(2)}\nrw {numbers(2)}\nattr {numbers(4)}\nicluster {numbers(3)}\nvnodes {numbers(8)}\n"
                                        f"buf {numbers(9)}\nxpc {numbers(3)}\ndebug 0\n")
    t |= files("sys/fs/selinux", enforce=1, policyvers=31)
    t["etc/selinux/config"] = "SELINUX=permissive\n"
    t["etc/os-release"] = ('NAME="Ubuntu"\nVERSION="20.04.2 LTS (Focal Fossa)"\nID=ubuntu\nID_LIKE=debian\nPRETTY_NAME="Ubuntu 20.04.2 LTS"\nVERSION_ID="20.04"\n'
                           'VERSION_CODENAME=focal\nVARIANT=\'Server "x"\'\n# comment\nIMAGE_ID=img\n')
    return t


def build(root):
    for name, content in tree().items():
        path = Path(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, tuple) and content[0] == "link":
            path.symlink_to(content[1])
        elif isinstance(content, tuple):
            path.mkdir(exist_ok=True)
        else:
            path.write_text(content)
    os.chmod(Path(root) / "sys/class/dmi/id/product_serial", 0o400)
