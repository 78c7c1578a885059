/* SPDX-License-Identifier: Apache-2.0 */
/* Root, and no more of it than the agent and its workers use. */
#ifndef NODEMEND_CORE_PRIVILEGE_H
#define NODEMEND_CORE_PRIVILEGE_H

/* Gives up every capability that is not on the list in privilege.c, for good and for all children. 0 or -errno; without root there is
 * nothing to give up. */
int privilege_bound(void);

/* All but these, for a worker that needs few, and no way back to the others (no_new_privs, the bounding set); without root there is nothing to
 * give up. Who is root remains so: what root owns stays his to write. 0 or -errno. */
int privilege_keep(const int *needed, unsigned int count);

/* The agent is spared by the OOM killer and served first; those of its children that only tell have no claim to either. Giving both back is
 * always allowed. */
void privilege_be_ordinary(void);

#endif
