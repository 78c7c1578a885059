/* SPDX-License-Identifier: Apache-2.0 */
/* The document of `tasks`: what waits for a person, what it is about, and since when. */
#include "view.h"

#include <cjson/cJSON.h>

#include "agent.h"
#include "core/control.h"

static void add_task(cJSON *list, const struct task *task)
{
	cJSON *row = cJSON_CreateObject();
	view_add_text(row, "id", task->id);
	view_add_text(row, "title", task->title);
	cJSON *steps = cJSON_AddArrayToObject(row, "steps");
	for (uint32_t i = 0; i < task->step_count && i < MAX_TASK_STEPS; i++)
		cJSON_AddItemToArray(steps, cJSON_CreateString(task->steps[i]));
	if (task->incident[0])
		view_add_text(row, "incident", task->incident);
	view_add_text(row, "policy", task->policy);
	view_add_text(row, "target", task->target_key);
	cJSON_AddNumberToObject(row, "times", task->times);
	view_add_time(row, "opened", task->opened_wall_ns);
	if (task->closed_wall_ns)
		view_add_time(row, "closed", task->closed_wall_ns);
	cJSON_AddItemToArray(list, row);
}

cJSON *view_tasks(const struct agent *agent, bool all)
{
	cJSON *document = view_document("tasks");
	view_add_time(document, "time", agent->snap->wall_ns);
	cJSON *list = cJSON_AddArrayToObject(document, "tasks");
	for (uint32_t i = 0; i < agent->saved->task_count; i++)
		if (all || !agent->saved->tasks[i].closed_wall_ns)
			add_task(list, &agent->saved->tasks[i]);
	return document;
}
