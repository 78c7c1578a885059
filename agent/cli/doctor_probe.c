/* SPDX-License-Identifier: Apache-2.0 */
/* Without an agent: each collector is opened and closed again, and each remedy asked whether it would work here. */
#include "cli/doctor.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector.h"
#include "core/clock.h"
#include "decide/hands.h"

static cJSON *collector_row(const struct collector *collector, const char *state, const struct collector_status *status, int error)
{
	cJSON *row = cJSON_CreateObject();
	cJSON_AddStringToObject(row, "name", collector->name);
	cJSON_AddStringToObject(row, "state", state);
	if (status->source[0])
		cJSON_AddStringToObject(row, "source", status->source);
	if (status->why[0] || error < 0)
		cJSON_AddStringToObject(row, "why", status->why[0] ? status->why : strerror(-error));
	return row;
}

static cJSON *probe_collector(const struct collector *collector, const struct collector_env *env)
{
	struct collector_status status = { .state = COLLECTOR_UP };
	void *state = NULL;
	if (!env->config->collectors[collector->id])
		return collector_row(collector, "off", &status, 0);
	int error = collector->open(env, &status, &state);
	if (error < 0)
		return collector_row(collector, "down", &status, error);
	collector->close(state);
	return collector_row(collector, status.state == COLLECTOR_DEGRADED ? "degraded" : "up", &status, 0);
}

static cJSON *probe_remedy(const struct remedy *remedy, const struct config *config, struct remedy_result *result)
{
	struct remedy_request request = { .verb = REMEDY_VERB_CHECK, .remedy = remedy->id, .protect = config->protect };
	request.deadline_boot_ns = clock_boot_ns() + 5 * NSEC_PER_SEC;
	effect_clear(&request.expect);
	memcpy(request.systemd_bus, config->systemd_bus, sizeof(request.systemd_bus));
	hands_run(&request, result);

	cJSON *row = cJSON_CreateObject();
	cJSON_AddStringToObject(row, "name", remedy->name);
	cJSON_AddBoolToObject(row, "armed", result->armed);
	if (result->why[0])
		cJSON_AddStringToObject(row, "why", result->why);
	return row;
}

static void probe_all(cJSON *document, const struct config *config, struct remedy_result *result)
{
	struct collector_env env = { .config = config, .proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC),
				     .sys_fd = open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC) };
	cJSON *list = cJSON_AddArrayToObject(document, "collectors");
	for (uint32_t i = 0; i < COLLECTOR_COUNT; i++)
		cJSON_AddItemToArray(list, probe_collector(collectors[i], &env));
	if (env.proc_fd >= 0)
		close(env.proc_fd);
	if (env.sys_fd >= 0)
		close(env.sys_fd);

	list = cJSON_AddArrayToObject(document, "remedies");
	for (uint32_t i = 0; i < REMEDY_COUNT; i++)
		cJSON_AddItemToArray(list, probe_remedy(remedies[i], config, result));
}

void doctor_probe(cJSON *document)
{
	struct config *config = calloc(1, sizeof(*config));
	struct config_faults *faults = calloc(1, sizeof(*faults));
	struct remedy_result *result = calloc(1, sizeof(*result));
	if (config && faults && result) {
		/* With faults it is the defaults, and the faults are told. */
		if (config_load(NULL, config, faults) < 0)
			config_print_faults(faults, stderr);
		cJSON_AddNumberToObject(document, "configuration_faults", faults->count + faults->cut);
		probe_all(document, config, result);
	}
	free(result);
	free(faults);
	free(config);
}
