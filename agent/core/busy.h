/* SPDX-License-Identifier: Apache-2.0 */
/* Whether somebody is at work on the node whom an act would get in the way of. Who cannot be told is there. */
#ifndef NODEMEND_CORE_BUSY_H
#define NODEMEND_CORE_BUSY_H

#include <stdbool.h>

/* Holds dpkg's, apt's, rpm's, dnf's or pacman's lock. `root_fd`: of the host's root; nothing below it is changed. */
bool package_manager_at_work(int root_fd);
/* By logind's sessions of class user, else by utmp; true where neither is there. */
bool person_logged_in(int root_fd);

#endif
