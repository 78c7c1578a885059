/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's files as seen from where the agent runs: below a folder (`host_root`, where a DaemonSet has the node mounted), whose
 * links lead nowhere outside of it. For the worker: these may hang.
 */
#ifndef NODEMEND_COLLECT_IDENTITY_FILES_H
#define NODEMEND_COLLECT_IDENTITY_FILES_H

#include <dirent.h>
#include <stddef.h>

/* O_PATH of the root, or -errno. */
int node_open(const char *root);
/* The whole of a regular file, terminated and freed by the caller. -EFBIG beyond `most`, -EINVAL where it is no file. */
int node_read(int root_fd, const char *path, size_t most, char **ret_text, size_t *ret_size);
/* NULL with errno. */
DIR *node_list(int root_fd, const char *path);

#endif
