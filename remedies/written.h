/* SPDX-License-Identifier: Apache-2.0 */
/* How much processes write, and which disk a filesystem's writes go to. */
#ifndef NODEMEND_REMEDIES_WRITTEN_H
#define NODEMEND_REMEDIES_WRITTEN_H

#include "remedies/group.h"

enum { DISK_LEN = 16 };

/* What a process has made to be written so far, by system call or by mapping, whether it has reached the disk or not (write_bytes of proc_pid_io(5)). 0 or -errno. */
int written_by_process(int proc_fd, int32_t pid, uint64_t *ret);
/* The sum over all that are in it now. */
int written_by_group(int proc_fd, const struct group *group, uint64_t *ret);

/*
 * The whole disk, "MAJOR:MINOR", that a filesystem is on: what stands for it (a loop device, a volume of the device mapper) and not what is below,
 * where others write, too; of a partition its disk, since limits are for whole disks. `dev` as in snapshot.h; where it is no disk's (btrfs has numbers of
 * its own), the node `device`. 0; -ENODEV: it is on none; -errno.
 */
int disk_of_filesystem(uint32_t dev, const char *device, char ret[DISK_LEN]);
/* The same for the filesystem that a path is on, and for a disk by its name as the kernel has it. */
int disk_of_path(const char *path, char ret[DISK_LEN]);
int disk_of_name(const char *name, char ret[DISK_LEN]);

#endif
