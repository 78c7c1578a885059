/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What we cost and how deep we look: measures in short windows, hears of pressure, asks the governor and turns the collectors'
 * depth as it says. What is decided and why stands in govern/governor.c.
 */
#include "agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "collect/bpf.h"
#include "collect/meter.h"
#include "core/clock.h"
#include "core/log.h"
#include "govern/governor.h"
#include "govern/pressure.h"

/*
 * A hundredth of the time at the usual period: long enough for some thousand runs of what is hot, and what the counting itself adds
 * to every BPF program of the node (36 ns a run, measured) is then below a nanosecond a run on the whole.
 */
#define WINDOW_NS (100 * NSEC_PER_MSEC)
/* The first one comes when the bustle of the start is over. */
#define FIRST_WINDOW_NS (2 * NSEC_PER_SEC)

struct steering {
	struct governor governor;
	struct meter *meter;                   /* NULL: this kernel does not count, and only our own processes are known */
	struct sd_event_source *window, *pressure[PSI_RESOURCE_COUNT];
	uint64_t grid_ns, every_ns;            /* where the row of windows began, and their distance */
	uint32_t turn;                         /* windows since then */
	uint64_t user_ns[COLLECTOR_COUNT], user_since_ns; /* of collect(), since the last window */
	uint64_t self_ns, agent_cpu_ns, publisher_cpu_ns; /* as they were at the last window */
	uint64_t newest_finding_ns;
	bool said_exhausted, said_memory, said_failed[COLLECTOR_COUNT];
};

static double percent(uint64_t rate)
{
	return rate == UNKNOWN ? 0 : 100.0 * (double)rate / (double)NSEC_PER_SEC;
}

static uint64_t spent_rate(const struct governor_section *cost)
{
	uint64_t rates[] = { cost->kernel_rate, cost->agent_rate, cost->publisher_rate }, sum = 0;
	for (size_t i = 0; i < 3; i++)
		sum += rates[i] == UNKNOWN ? 0 : rates[i];
	return sum;
}

static double percent_of_node(const struct governor_section *cost, uint64_t rate)
{
	return percent(rate) / (cost->processors ? cost->processors : 1);
}

/* --- windows ---------------------------------------------------------------------------------------------------------- */

/*
 * One a period, each at another point of it: our own ticks and much of what a node does come once a second, and a window at a fixed
 * distance would see them always or never. Multiples of the golden ratio spread evenly however many there are.
 */
static void schedule_window(struct agent *agent)
{
	struct steering *steering = agent->steering;
	uint64_t now = clock_boot_ns(), every = agent->config->measure_every_ns;

	if (steering->every_ns != every || steering->grid_ns + steering->turn * every + every < now) {
		steering->grid_ns = now;
		steering->every_ns = every;
		steering->turn = 0;
	}
	uint32_t phase = ++steering->turn * 2654435769U;
	uint64_t at = steering->grid_ns + steering->turn * every + (uint64_t)((double)phase / 4294967296.0 * (double)(every - WINDOW_NS));
	sd_event_source_set_time(steering->window, at / NSEC_PER_USEC);
	sd_event_source_set_enabled(steering->window, SD_EVENT_ONESHOT);
}

static uint64_t rate_of(uint64_t before_ns, uint64_t after_ns, uint64_t elapsed_ns)
{
	if (!after_ns || !elapsed_ns)
		return UNKNOWN;
	/* A worker that was replaced took its time with it. */
	return after_ns < before_ns ? 0 : (uint64_t)((double)(after_ns - before_ns) * (double)NSEC_PER_SEC / (double)elapsed_ns);
}

/* Our processes, between the last full ticks before this window and before the one before it. */
static void cost_processes(struct steering *steering, const struct self_section *self, struct governor_section *cost)
{
	if (self->measured_ns == steering->self_ns)
		return;
	if (steering->self_ns) {
		cost->agent_rate = rate_of(steering->agent_cpu_ns, self->cpu_ns, self->measured_ns - steering->self_ns);
		cost->publisher_rate = rate_of(steering->publisher_cpu_ns, self->publisher_cpu_ns, self->measured_ns - steering->self_ns);
	}
	steering->self_ns = self->measured_ns;
	steering->agent_cpu_ns = self->cpu_ns;
	steering->publisher_cpu_ns = self->publisher_cpu_ns;
}

static void cost_collectors(struct steering *steering, struct governor_section *cost, const uint64_t *kernel_rates, uint64_t now_ns)
{
	uint64_t elapsed_ns = now_ns - steering->user_since_ns;

	for (uint32_t id = 0; id < COLLECTOR_COUNT; id++) {
		cost->each[id].kernel_rate = kernel_rates ? kernel_rates[id] : UNKNOWN;
		cost->each[id].user_rate = elapsed_ns ? steering->user_ns[id] * NSEC_PER_SEC / elapsed_ns : 0;
		steering->user_ns[id] = 0;
	}
	steering->user_since_ns = now_ns;
}

static void end_window(struct agent *agent)
{
	struct steering *steering = agent->steering;
	struct governor_section *cost = &agent->snap->governor;
	uint64_t rates[COST_ROWS], own = 0, now = clock_awake_ns();
	bool counted = steering->meter && !meter_end(steering->meter, now, &agent->snap->programs, rates, &own);

	cost->kernel_rate = counted ? own : UNKNOWN;
	for (uint32_t id = 0; counted && id < COLLECTOR_COUNT; id++)
		cost->kernel_rate += rates[id];
	cost_collectors(steering, cost, counted ? rates : NULL, now);
	cost_processes(steering, &agent->snap->self, cost);
	cost->measured_ns = clock_boot_ns();
	if (counted)
		agent->snap->programs.measured_ns = cost->measured_ns;
	cost->windows++;
}

static int on_window(sd_event_source *source, uint64_t usec, void *context)
{
	struct agent *agent = context;
	struct steering *steering = agent->steering;

	(void)usec;
	if (steering->meter && !meter_is_counting(steering->meter)) {
		int error = meter_begin(steering->meter, clock_awake_ns());
		if (!error) {
			sd_event_source_set_time(source, (clock_boot_ns() + WINDOW_NS) / NSEC_PER_USEC);
			return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
		}
		log_debug("cost: no window this time: %s", strerror(-error));
	}
	end_window(agent);
	schedule_window(agent);
	return 0;
}

void steer_charge(struct agent *agent, enum collector_id id, uint64_t cpu_ns)
{
	if (agent->steering)
		agent->steering->user_ns[id] += cpu_ns;
}

/* --- depth ------------------------------------------------------------------------------------------------------------ */

static void say_step(const struct agent *agent, const struct governor_verdict *verdict)
{
	const struct governor_section *cost = &agent->snap->governor;
	const struct collector_cost *each = &cost->each[verdict->collector];
	bool down = verdict->to < verdict->from;
	const char *why = down ? "over budget" : verdict->forced ? "a policy now reads it" : "there is room again";
	char text[256];

	snprintf(text, sizeof(text), "budget: %s steps %s from %s to %s, %s: it costs %.2f%% of a processor; all of nodemend %.2f%% of the node, budget %.3g%%",
		 collector_names[verdict->collector], down ? "down" : "up", depth_names[verdict->from], depth_names[verdict->to], why,
		 percent(each->kernel_rate) + percent(each->user_rate), percent_of_node(cost, spent_rate(cost)), agent->config->budget_cpu_percent);
	if (down)
		log_warning("%s", text);
	else
		log_info("%s", text);
}

static void say_bounds(struct agent *agent)
{
	struct steering *steering = agent->steering;
	const struct governor_section *cost = &agent->snap->governor;

	if (steering->governor.exhausted && !steering->said_exhausted)
		log_warning("budget: %.2f%% of the node are over the budget of %.3g%%, and nothing is left to step down", percent_of_node(cost, spent_rate(cost)),
			    agent->config->budget_cpu_percent);
	steering->said_exhausted = steering->governor.exhausted;
	if (steering->governor.short_of_memory && !steering->said_memory)
		log_warning("budget: %.1f MiB of memory are over the budget of %.1f MiB; nothing looks deeper than usual until they are not",
			    (double)cost->memory_bytes / 1048576.0, (double)cost->memory_budget_bytes / 1048576.0);
	steering->said_memory = steering->governor.short_of_memory;
}

static void turn_depth(struct agent *agent, enum collector_id id, enum depth wanted)
{
	struct collector_status *status = &agent->snap->collectors[id];
	struct steering *steering = agent->steering;

	if (!agent->collector_state[id] || !status->adjustable || status->depth == wanted)
		return;
	object_owner(id);
	int error = collectors[id]->set_depth(agent->collector_state[id], wanted);
	if (!error)
		status->depth = (uint8_t)wanted;
	else if (!steering->said_failed[id])
		log_warning("%s: stays at %s, cannot go to %s: %s", status->name, depth_names[status->depth], depth_names[wanted], strerror(-error));
	steering->said_failed[id] = error != 0;
}

static void count_step(struct agent *agent, const struct governor_verdict *verdict)
{
	struct collector_cost *each = &agent->snap->governor.each[verdict->collector];

	if (verdict->to < verdict->from)
		each->steps_down++;
	else
		each->steps_up++;
	say_step(agent, verdict);
}

static void decide_depth(struct agent *agent)
{
	struct steering *steering = agent->steering;
	struct governor_section *cost = &agent->snap->governor;
	struct governor_verdict verdict;

	governor_decide(&steering->governor, agent->snap, agent->config, clock_boot_ns(), &verdict);
	if (verdict.stepped)
		count_step(agent, &verdict);
	if (verdict.disarmed)
		log_warning("depth: back to the usual, looking deep was over the budget");
	say_bounds(agent);
	for (enum collector_id id = 0; id < COLLECTOR_COUNT; id++)
		turn_depth(agent, id, verdict.wanted[id]);

	cost->shed_level = steering->governor.taken_count;
	cost->exhausted = steering->governor.exhausted;
	cost->short_of_memory = steering->governor.short_of_memory;
	cost->armed = verdict.armed_until_ns != 0;
	cost->armed_until_ns = verdict.armed_until_ns;
	cost->armed_by = verdict.armed_by;
}

/* --- arming ----------------------------------------------------------------------------------------------------------- */

static const enum arm_reason reason_of[PSI_RESOURCE_COUNT] = { [PSI_CPU] = ARM_CPU, [PSI_MEMORY] = ARM_MEMORY, [PSI_IO] = ARM_IO };

static void arm(struct agent *agent, enum arm_reason reason)
{
	if (!governor_arm(&agent->steering->governor, reason, agent->config, clock_boot_ns()))
		return;
	agent->snap->governor.arms[reason]++;
	log_info("depth: deep for %.0f s: %s%s", (double)agent->config->deep_for_ns / (double)NSEC_PER_SEC,
		 reason == ARM_FINDING ? "a policy's condition has come true" : "pressure on ", reason == ARM_FINDING ? "" : arm_reason_names[reason]);
}

static int on_pressure(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct agent *agent = context;
	struct steering *steering = agent->steering;

	(void)fd;
	for (int i = 0; i < PSI_RESOURCE_COUNT; i++) {
		if (steering->pressure[i] != source)
			continue;
		if (events & EPOLLPRI)
			arm(agent, reason_of[i]);
		else
			steering->pressure[i] = sd_event_source_unref(source); /* the kernel took the trigger back: polled from now on */
	}
	if (events & EPOLLPRI)
		decide_depth(agent);
	return 0;
}

static void watch_pressure(struct agent *agent)
{
	for (int i = 0; i < PSI_RESOURCE_COUNT; i++) {
		int fd = pressure_open(agent->env.proc_fd, i);
		if (fd >= 0 && sd_event_add_io(agent->event, &agent->steering->pressure[i], fd, EPOLLPRI, on_pressure, agent) < 0)
			close(fd);
		else if (fd >= 0)
			(void)sd_event_source_set_io_fd_own(agent->steering->pressure[i], true);
		else
			log_debug("pressure: no trigger for %s, it is polled: %s", arm_reason_names[reason_of[i]], strerror(-fd));
	}
}

static void poll_pressure(struct agent *agent)
{
	const struct snapshot *snap = agent->snap;

	for (int i = 0; i < PSI_RESOURCE_COUNT && snapshot_is_fresh(snap, snap->psi.measured_ns); i++)
		if (!agent->steering->pressure[i] && snap->psi.some[i].interval_permille >= PRESSURE_PERMILLE)
			arm(agent, reason_of[i]);
}

static void heed_findings(struct agent *agent)
{
	struct steering *steering = agent->steering;
	uint64_t newest = steering->newest_finding_ns;

	for (uint32_t i = 0; i < agent->findings->count; i++) {
		const struct finding *finding = &agent->findings->each[i];
		if (finding->verdict == VERDICT_TRUE && finding->since_boot_ns > newest)
			newest = finding->since_boot_ns;
	}
	if (newest != steering->newest_finding_ns)
		arm(agent, ARM_FINDING);
	steering->newest_finding_ns = newest;
}

/* --- the whole -------------------------------------------------------------------------------------------------------- */

static void fill_budget(struct agent *agent)
{
	const struct snapshot *snap = agent->snap;
	struct governor_section *cost = &agent->snap->governor;
	long online = snap->cpu.online ? (long)snap->cpu.online : sysconf(_SC_NPROCESSORS_ONLN);

	cost->processors = online > 0 ? (uint32_t)online : 1;
	cost->budget_rate = (uint64_t)(agent->config->budget_cpu_percent / 100 * cost->processors * (double)NSEC_PER_SEC);
	cost->memory_budget_bytes = agent->config->budget_memory_bytes;
	cost->memory_bytes = snap->self.held_bytes;
	for (uint32_t i = 0; i < snap->maps.count; i++)
		cost->memory_bytes += snap->maps.each[i].bytes;
}

void steer_turn(struct agent *agent)
{
	if (!agent->steering)
		return;
	fill_budget(agent);
	poll_pressure(agent);
	heed_findings(agent);
	decide_depth(agent);
	if (agent->steering->every_ns != agent->config->measure_every_ns && !meter_is_counting(agent->steering->meter))
		schedule_window(agent);
}

int steer_open(struct agent *agent)
{
	struct steering *steering = calloc(1, sizeof(*steering));
	if (!steering)
		return -ENOMEM;

	agent->steering = steering;
	governor_init(&steering->governor);
	steering->user_since_ns = clock_awake_ns();
	steering->every_ns = agent->config->measure_every_ns;
	steering->grid_ns = clock_boot_ns();
	int error = meter_new(&steering->meter);
	if (error)
		log_info("cost: the kernel does not tell what BPF programs cost, so the budget knows of our own processes only: %s", strerror(-error));
	watch_pressure(agent);
	return sd_event_add_time(agent->event, &steering->window, CLOCK_BOOTTIME, (steering->grid_ns + FIRST_WINDOW_NS) / NSEC_PER_USEC, 1000, on_window,
				 agent);
}

void steer_close(struct agent *agent)
{
	struct steering *steering = agent->steering;
	if (!steering)
		return;

	sd_event_source_unref(steering->window);
	for (int i = 0; i < PSI_RESOURCE_COUNT; i++)
		sd_event_source_unref(steering->pressure[i]);
	meter_free(steering->meter);
	free(steering);
	agent->steering = NULL;
}
