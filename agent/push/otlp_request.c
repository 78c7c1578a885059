/* SPDX-License-Identifier: Apache-2.0 */
/* See otlp_request.h. */
#include "push/otlp_request.h"

#include <errno.h>
#include <stdio.h>
#include <zlib.h>

#include "otlp.pb-c.h"

/* The semantic conventions whose names the attributes of the resource have. */
#define SCHEMA_URL "https://opentelemetry.io/schemas/1.26.0"

enum { RESOURCE_ITEMS = 1, RESOURCE = 1, SCOPE_ITEMS = 2, SCOPE = 1, ATTRIBUTES = 1 };
/* 15 bits of window, and 16 more ask zlib for gzip's head and tail. Level 3: a scrape shrinks to a tenth for half the time of level 6. */
enum { GZIP_WINDOW = 15 + 16, GZIP_LEVEL = 3, GZIP_MEMORY = 8 };

static void put_labels(const struct otlp_attributes *to, const struct outputs *outputs)
{
	for (uint32_t i = 0; i < outputs->label_count; i++) {
		const struct output_field *label = &outputs->labels[i];

		if (strcmp(label->name, "instance") == 0)
			otlp_string(to, "service.instance.id", label->value);
		else if (strcmp(label->name, "job") != 0) /* Prometheus' word for service.name */
			otlp_string(to, label->name, label->value);
	}
}

int otlp_resource_make(const struct otlp_node *node, const struct outputs *outputs, struct otlp_resource *ret)
{
	struct text packed = { 0 }, scratch = { 0 };
	struct otlp_attributes to = { .out = &packed, .field = ATTRIBUTES, .scratch = &scratch };

	otlp_string(&to, "service.name", "nodemend");
	otlp_string(&to, "service.version", NODEMEND_VERSION);
	otlp_string(&to, "host.name", node->name);
	otlp_string(&to, "host.id", node->host_id);
	otlp_string(&to, "os.type", "linux");
	otlp_string(&to, "k8s.node.name", node->k8s_node);
	if (outputs)
		put_labels(&to, outputs);
	otlp_enclose(&packed, RESOURCE, 0);
	text_free(&scratch);
	if (packed.failed) {
		text_free(&packed);
		return -ENOMEM;
	}
	ret->packed = packed;
	return 0;
}

void otlp_resource_free(struct otlp_resource *resource)
{
	text_free(&resource->packed);
}

void otlp_request_begin(struct text *out, const struct otlp_resource *resource, struct otlp_shells *ret)
{
	Otlp__Scope scope = OTLP__SCOPE__INIT;

	scope.name = "nodemend";
	scope.version = NODEMEND_VERSION;
	ret->items = out->length;
	text_append(out, resource->packed.data, resource->packed.length);
	ret->scope = out->length;
	otlp_put(out, SCOPE, &scope.base);
}

void otlp_request_end(struct text *out, const struct otlp_shells *shells)
{
	Otlp__ResourceItems tail = OTLP__RESOURCE_ITEMS__INIT;

	otlp_enclose(out, SCOPE_ITEMS, shells->scope);
	tail.schema_url = SCHEMA_URL;
	otlp_pack(out, &tail.base);
	otlp_enclose(out, RESOURCE_ITEMS, shells->items);
}

int otlp_compress(const struct text *plain, struct text *out)
{
	z_stream stream = { .next_in = (Bytef *)plain->data, .avail_in = (uInt)plain->length };

	text_reset(out);
	if (plain->failed || deflateInit2(&stream, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	size_t most = deflateBound(&stream, plain->length);
	int done = Z_MEM_ERROR;
	if (text_reserve(out, most)) {
		stream.next_out = (Bytef *)out->data;
		stream.avail_out = (uInt)most;
		done = deflate(&stream, Z_FINISH);
	}
	(void)deflateEnd(&stream); /* says no more than deflate() did */
	if (done != Z_STREAM_END)
		return -ENOMEM;
	out->length = stream.total_out;
	return 0;
}
