/* SPDX-License-Identifier: Apache-2.0 */
/* Our node as the API server has it: whether pods are put on it, and whose lease that is. The lease stands on the node itself, so that it
 * is taken and given back in one request each, outlives agent and host, and is to be seen by everybody. */
#ifndef NODEMEND_REMEDIES_KUBE_NODE_H
#define NODEMEND_REMEDIES_KUBE_NODE_H

#include "remedies/kube.h"
#include "remedy.h"

#define NODE_BY "nodemend.io/cordoned-by"
#define NODE_UNTIL "nodemend.io/cordoned-until"
#define NODE_CONDITION "NodemendPressure"

struct node {
	char name[NAME_LEN];
	char version[48];              /* resourceVersion: what was read is what is changed */
	bool unschedulable;
	bool condition;                /* NODE_CONDITION is True */
	char by[ID_LEN];               /* the act that cordoned it; "" = it was not us */
	int64_t until_wall_ns;         /* where `by`; 0: not to be read */
};

/* Each: 0; or -errno, and `why`. -EAGAIN: another has changed the node meanwhile; -EPERM: we may not; -ESRCH: there is no such node; -EPROTO: whether it was done is not known. */
int kube_node_read(uint64_t deadline_boot_ns, struct node *ret, char *why, size_t why_size);
int kube_node_cordon(const struct node *node, const char *action_id, int64_t until_wall_ns, uint64_t deadline_boot_ns, char *why, size_t why_size);
/* Takes the lease off; `schedulable`: and lets pods come again. */
int kube_node_release(const struct node *node, bool schedulable, uint64_t deadline_boot_ns, char *why, size_t why_size);
int kube_node_set_condition(const char *name, bool is_true, const char *message, int64_t now_wall_ns, uint64_t deadline_boot_ns, char *why, size_t why_size);
/* How many nodes are cordoned beside this one, as far as `most`. */
int kube_node_count_others(const char *name, uint32_t most, uint32_t *ret, uint64_t deadline_boot_ns, char *why, size_t why_size);

#endif
