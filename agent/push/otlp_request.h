/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What metrics, logs and traces have in common: Export…ServiceRequest is the same three shells around their items, and the resource in
 * them is this node. Between otlp_request_begin() and _end() the items are appended, each as a value of OTLP_ITEM.
 */
#ifndef NODEMEND_PUSH_OTLP_REQUEST_H
#define NODEMEND_PUSH_OTLP_REQUEST_H

#include "output.h"
#include "push/otlp_node.h"
#include "push/otlp_wire.h"

enum { OTLP_ITEM = 2 };

/* The resource, packed once. `outputs` gives the external labels; NULL = none. */
struct otlp_resource { struct text packed; };
/* 0 or -ENOMEM. */
int otlp_resource_make(const struct otlp_node *node, const struct outputs *outputs, struct otlp_resource *ret);
void otlp_resource_free(struct otlp_resource *resource);

/* Where the open request's shells begin. */
struct otlp_shells { size_t items, scope; };
void otlp_request_begin(struct text *out, const struct otlp_resource *resource, struct otlp_shells *ret);
void otlp_request_end(struct text *out, const struct otlp_shells *shells);

/* gzip, as a Content-Encoding. 0, or -ENOMEM with `out` emptied. */
int otlp_compress(const struct text *plain, struct text *out);

#endif
