/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks the Kubernetes API server, as the agent's service account. The hands have no way out to the network: nm-kube is run for each question, as
 * nobody, and the token goes to it by its stdin. Where the server is and what it is shown is found anew each time, since tokens are rotated.
 */
#ifndef NODEMEND_REMEDIES_KUBE_H
#define NODEMEND_REMEDIES_KUBE_H

#include "kube/kube.h"

/* As a pod is given them; for an agent outside of a pod, from its unit's environment. */
#define KUBE_HOST_VARIABLE "KUBERNETES_SERVICE_HOST"
#define KUBE_PORT_VARIABLE "KUBERNETES_SERVICE_PORT"
#define KUBE_NODE_VARIABLE "NODE_NAME"                         /* by the downward API; else the host's name */
#define KUBE_FOLDER_VARIABLE "NODEMEND_KUBE_CREDENTIALS"       /* else KUBE_FOLDER */
#define KUBE_FOLDER "/var/run/secrets/kubernetes.io/serviceaccount" /* token, ca.crt, namespace */

struct kube_question {
	const char *method, *path;    /* such as "/api/v1/nodes/n1" */
	const char *content_type, *body; /* NULL: none */
	uint64_t deadline_boot_ns;
};

/*
 * 0 and the answer, whose body is good until the next question; -errno where it could not be asked, and why: -ENODEV no server is named,
 * -ENOENT no token or CA. A 401 is asked once more where the token has been rotated meanwhile.
 */
int kube_ask(const struct kube_question *question, struct kube_answer *ret, char *why, size_t why_size);
/* The node that we are; "" where that cannot be known. */
void kube_node(char *ret, size_t size);
/* Whether there is a server to ask, and what to show it; nothing is sent. 0 or -errno and why. */
int kube_ready(char *why, size_t why_size);

#endif
