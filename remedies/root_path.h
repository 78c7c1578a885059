/* SPDX-License-Identifier: Apache-2.0 */
/* Opens a file or directory by an absolute path on which nobody but root can put another in its place: through no link, each part of it root's. */
#ifndef NODEMEND_REMEDIES_ROOT_PATH_H
#define NODEMEND_REMEDIES_ROOT_PATH_H

/* `flags` as open(2) takes them. A fd; -EPERM: others may change something of it, or it; -ELOOP: a link; other -errno. */
int root_path_open(const char *path, int flags);

#endif
