/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of `nodemend doctor`: what the host has, and what collectors and remedies say when no agent is there to be asked. */
#ifndef NODEMEND_CLI_DOCTOR_H
#define NODEMEND_CLI_DOCTOR_H

#include <stdbool.h>

struct cJSON;

/* Appends {"name":…,"ok":…,"text":…} rows: kernel, BTF, PSI, cgroups, systemd, D-Bus, container runtimes, capabilities. */
void doctor_host(struct cJSON *rows);
/* Appends a row that says whether files can be made in `path`, or it can be made itself. */
void doctor_directory(struct cJSON *rows, const char *name, const char *path);
/* Opens each enabled collector and closes it again, and asks each remedy; fills "collectors" and "remedies" as the agent's answer does. */
void doctor_probe(struct cJSON *document);

#endif
