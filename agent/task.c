/* SPDX-License-Identifier: Apache-2.0 */
/* The list of what waits for a person: kept with the state, so that neither a restart nor a reboot forgets it. */
#include "agent.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"

static bool is_open(const struct task *task)
{
	return !task->closed_wall_ns;
}

uint32_t tasks_open(const struct saved_state *saved)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < saved->task_count; i++)
		count += is_open(&saved->tasks[i]);
	return count;
}

/* The same policy asking the same of the same thing: one person does it once. */
static struct task *find_same(struct saved_state *saved, const struct order *order)
{
	for (uint32_t i = 0; i < saved->task_count; i++) {
		struct task *task = &saved->tasks[i];
		if (is_open(task) && strcmp(task->policy, order->action.policy) == 0 && strcmp(task->target_key, order->key) == 0 &&
		    strcmp(task->title, order->request.args.manual_task.title) == 0)
			return task;
	}
	return NULL;
}

/* A free place, or that of the one that was closed first; NULL: all wait. */
static struct task *make_room(struct saved_state *saved)
{
	if (saved->task_count == MAX_TASKS) {
		uint32_t oldest = MAX_TASKS;
		for (uint32_t i = 0; i < MAX_TASKS; i++)
			if (!is_open(&saved->tasks[i]) && (oldest == MAX_TASKS || saved->tasks[i].closed_wall_ns < saved->tasks[oldest].closed_wall_ns))
				oldest = i;
		if (oldest == MAX_TASKS)
			return NULL;
		saved->task_count--;
		memmove(&saved->tasks[oldest], &saved->tasks[oldest + 1], (saved->task_count - oldest) * sizeof(saved->tasks[0]));
	}
	struct task *task = &saved->tasks[saved->task_count++];
	memset(task, 0, sizeof(*task));
	return task;
}

void task_take(struct agent *agent, const struct order *order, struct remedy_result *answer)
{
	const struct manual_task_args *args = &order->request.args.manual_task;
	if (order->remedy != REMEDY_MANUAL_TASK || answer->outcome != OUTCOME_TOLD || strcmp(answer->action_id, order->action.id) != 0)
		return;
	agent->changes->state_changed = true;
	struct task *task = find_same(agent->saved, order);
	if (task) {
		task->times++;
		return;
	}
	task = make_room(agent->saved);
	if (!task) {
		answer->outcome = OUTCOME_REFUSED;
		snprintf(answer->refused_by, sizeof(answer->refused_by), "task-list-full");
		snprintf(answer->why, sizeof(answer->why), "%d tasks wait already; close what is done", MAX_TASKS);
		return;
	}
	memcpy(task->id, order->action.id, sizeof(task->id));
	memcpy(task->incident, order->action.incident, sizeof(task->incident));
	memcpy(task->policy, order->action.policy, sizeof(task->policy));
	memcpy(task->target_key, order->key, sizeof(task->target_key));
	memcpy(task->title, args->title, sizeof(task->title));
	task->step_count = args->step_count;
	memcpy(task->steps, args->steps, sizeof(task->steps));
	task->times = 1;
	task->opened_wall_ns = clock_wall_ns();
	log_warning("task %s: a person is asked: %s", task->id, task->title);
}

int task_close(struct agent *agent, const char *id, char ret_id[ID_LEN])
{
	struct task *found = NULL;
	for (uint32_t i = 0; i < agent->saved->task_count; i++) {
		struct task *task = &agent->saved->tasks[i];
		if (!is_open(task) || strncmp(task->id, id, strlen(id)) != 0)
			continue;
		if (strcmp(task->id, id) == 0) {
			found = task;
			break;
		}
		if (found)
			return -EEXIST;
		found = task;
	}
	if (!found)
		return -ENOENT;
	found->closed_wall_ns = clock_wall_ns();
	memcpy(ret_id, found->id, ID_LEN);
	log_info("task %s: closed by hand: %s", found->id, found->title);
	agent->changes->state_changed = true; /* kept at the next turn */
	return 0;
}
