/* SPDX-License-Identifier: Apache-2.0 */
/* Where the control socket is, for its two sides. */
#ifndef NODEMEND_CORE_CONTROL_SOCKET_H
#define NODEMEND_CORE_CONTROL_SOCKET_H

#include <sys/un.h>

#define CONTROL_SOCKET "control.sock"

/* sun_path holds 108 bytes; a longer run directory is reached through its open descriptor `dir_fd`. */
void control_address(const char *run_dir, int dir_fd, struct sockaddr_un *ret);

#endif
