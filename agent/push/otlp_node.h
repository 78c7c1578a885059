/* SPDX-License-Identifier: Apache-2.0 */
/* Which node speaks, as OpenTelemetry's resource has it and as ids are derived from it. */
#ifndef NODEMEND_PUSH_OTLP_NODE_H
#define NODEMEND_PUSH_OTLP_NODE_H

#include "snapshot.h"

/* Empty strings are unknown and left out. */
struct otlp_node {
	char name[NAME_LEN];        /* host.name */
	char host_id[NAME_LEN];     /* the machine-id */
	char k8s_node[NAME_LEN];    /* k8s.node.name */
};

/* Looked up once, when an exporter is opened. */
void otlp_node_know(const char *name, struct otlp_node *ret);

#endif
