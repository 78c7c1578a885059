/* SPDX-License-Identifier: Apache-2.0 */
/* See otlp_node.h. */
#include "push/otlp_node.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MACHINE_ID_DIGITS = 32 };

/* "" where it cannot be read, or is "uninitialized" as in an image that has not booted yet. */
static void read_machine_id(char ret[NAME_LEN])
{
	char content[MACHINE_ID_DIGITS + 1] = "";
	int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, content, MACHINE_ID_DIGITS);

	if (fd >= 0)
		close(fd);
	content[size > 0 ? size : 0] = '\0';
	snprintf(ret, NAME_LEN, "%s", strspn(content, "0123456789abcdef") == MACHINE_ID_DIGITS ? content : "");
}

void otlp_node_know(const char *name, struct otlp_node *ret)
{
	const char *k8s_node = getenv("K8S_NODE_NAME"); /* as OpenTelemetry's own detector has it, from the downward API */

	snprintf(ret->name, sizeof(ret->name), "%s", name);
	snprintf(ret->k8s_node, sizeof(ret->k8s_node), "%s", k8s_node ? k8s_node : "");
	read_machine_id(ret->host_id);
}
