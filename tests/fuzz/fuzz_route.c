/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as the HTTP library hands them on: path, Accept and parameters are the client's, whatever they are. */
#include <stdlib.h>

#include "publish/publish.h"
#include "publish/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Parts are separated by newlines: path, Accept, then name and value in turn. */
static char *next_part(char **rest)
{
	char *part = *rest ? *rest : (char *)"";
	char *end = *rest ? strchr(*rest, '\n') : NULL;
	if (end)
		*end++ = 0;
	*rest = end;
	return part;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct snapshot snap;
	static struct shown shown;
	static struct records records;
	struct ring_writer writer;
	struct publisher publisher = { .snap = &snap, .shown = &shown, .records = &records };
	static const struct ring *ring;
	if (!ring && (ring_create(&writer) < 0 || ring_open(writer.fd, &ring) < 0))
		abort();
	publisher.ring = ring;

	char *text = malloc(size + 1), *rest = text;
	memcpy(text, data, size);
	text[size] = 0;
	struct request request = { .path = next_part(&rest), .accept = next_part(&rest) };
	while (rest && request.parameter_count < MAX_PARAMETERS) {
		request.parameters[request.parameter_count].name = next_part(&rest);
		request.parameters[request.parameter_count++].value = next_part(&rest);
	}

	struct reply reply;
	route(&publisher, &request, 1, INT64_MAX / 2, &reply);
	if (reply.status < 200 || reply.status > 503 || !reply.content_type || reply.body->failed)
		abort();
	if (reply.page && accept_weight(request.accept, "gzip") > 0)
		(void)page_pack(reply.page);
	(void)stream_format(request.accept);
	page_release(reply.page);
	page_release(publisher.feed);
	renderings_free(&publisher.renderings);
	text_free(&publisher.page);
	if (publisher.pages.bytes)
		abort();
	free(text);
	return 0;
}
