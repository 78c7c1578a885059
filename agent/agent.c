/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening, running and closing the agent. The order matters: what forks comes before what must not be inherited (BPF objects,
 * the event loop's descriptors), and what tells comes before the first tick, so that nothing is missed.
 */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/clock.h"
#include "core/control.h"
#include "core/log.h"
#include "core/privilege.h"
#include "decide/ledger.h"
#include "keep/journal.h"
#include "keep/scribe.h"
#include "push/template_check.h"

/* --- places ------------------------------------------------------------------------------------------------------------ */

static int make_dir(const char *path, mode_t mode, const char *what)
{
	char part[PATH_LEN];
	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			break; /* the last one says it */
		*slash = '/';
	}
	if (mkdir(path, mode) < 0 && errno != EEXIST) {
		log_error("%s directory %s: cannot be made: %s", what, path, strerror(errno));
		return -errno;
	}
	struct stat status;
	if (stat(path, &status) < 0 || !S_ISDIR(status.st_mode)) {
		log_error("%s directory %s: is not a directory", what, path);
		return -ENOTDIR;
	}
	if (access(path, W_OK | X_OK) < 0) {
		log_error("%s directory %s: not writable: %s", what, path, strerror(errno));
		return -errno;
	}
	return 0;
}

static void read_boot_id(char boot_id[40])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, boot_id, 36);
	boot_id[got > 0 ? got : 0] = '\0';
	if (fd >= 0)
		close(fd);
}

/* --- protecting ourselves ---------------------------------------------------------------------------------------------- */

static void write_proc(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		log_info("%s: cannot be set to %s, going on without: %s", path, text, strerror(errno));
	if (fd >= 0)
		close(fd);
}

/*
 * Not the kernel's victim, and first at the processor when it must act: the workers inherit both, the publisher gives both back. Not -1000,
 * so that a runaway agent can die. Beside six busy processes on two cores, nice 0 took 700 ms from crossing to signal, nice -20 takes 50.
 */
static void stand_firm(void)
{
	write_proc("/proc/self/oom_score_adj", "-999");
	if (setpriority(PRIO_PROCESS, 0, -20) < 0)
		log_info("priority: cannot be raised, the agent may be slow on a busy node: %s", strerror(errno));
}

/* Under memory pressure the agent must not wait for its own pages. */
static void lock_memory(void)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
		log_info("memory: cannot be locked, the agent may be slow under pressure: %s", strerror(errno));
}

/* --- events ------------------------------------------------------------------------------------------------------------ */

static int on_full(sd_event_source *source, uint64_t usec, void *context)
{
	struct agent *agent = context;
	wheel_turn(agent, true);
	web_look(agent, clock_boot_ns());
	if (agent->reload_pending && agent_reload(agent, NULL) != -EBUSY)
		agent->reload_pending = false;

	/* On a fixed grid; ticks that were missed (a suspended host, a stopped process) are not made up for. */
	uint64_t interval = agent->config->interval_ns, next = usec * NSEC_PER_USEC + interval, now = clock_boot_ns();
	if (next <= now)
		next = now + interval;
	sd_event_source_set_time(source, next / NSEC_PER_USEC);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

static int on_fast(sd_event_source *source, uint64_t usec, void *context)
{
	wheel_turn(context, false);
	return 0;
}

static int on_scribe(sd_event_source *source, int fd, uint32_t events, void *context);

/* The scribe's descriptor changes when it was started anew. */
static void watch_scribe(struct agent *agent)
{
	int fd = scribe_fd(agent->scribe);
	if (fd < 0 || (agent->scribe_source && sd_event_source_get_io_fd(agent->scribe_source) == fd))
		return;
	agent->scribe_source = sd_event_source_unref(agent->scribe_source);
	sd_event_add_io(agent->event, &agent->scribe_source, fd, EPOLLIN, on_scribe, agent);
}

static int on_scribe(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct agent *agent = context;
	scribe_dispatch(agent->scribe);
	watch_scribe(agent);
	act_pump(agent);
	return 0;
}

static int on_child(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
	for (int pid; (pid = waitpid(-1, NULL, WNOHANG)) > 0;)
		tell_child_ended(context, pid);
	return 0;
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
	struct agent *agent = context;
	sd_notify(0, "STOPPING=1");
	return sd_event_exit(agent->event, 0);
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
	struct agent *agent = context;
	agent->reload_pending = agent_reload(agent, NULL) == -EBUSY;
	return 0;
}

static int on_pause(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
	agent_pause(context, 0, "SIGUSR1");
	return 0;
}

static int listen_to_signals(struct agent *agent)
{
	static const struct {
		int number;
		sd_event_signal_handler_t handler;
	} signals[] = { { SIGCHLD, on_child }, { SIGTERM, on_stop }, { SIGINT, on_stop }, { SIGHUP, on_reload }, { SIGUSR1, on_pause } };

	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i].number);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		int error = sd_event_add_signal(agent->event, NULL, signals[i].number, signals[i].handler, agent);
		if (error < 0)
			return error;
	}
	return 0;
}

static int start_timers(struct agent *agent)
{
	uint64_t now = clock_boot_ns() / NSEC_PER_USEC;
	int error = sd_event_add_time(agent->event, &agent->full_timer, CLOCK_BOOTTIME, now, 1000, on_full, agent);
	if (error < 0)
		return error;
	error = sd_event_add_time(agent->event, &agent->fast_timer, CLOCK_BOOTTIME, now, 1000, on_fast, agent);
	if (error < 0)
		return error;
	return sd_event_source_set_enabled(agent->fast_timer, SD_EVENT_OFF);
}

/* --- configuration ----------------------------------------------------------------------------------------------------- */

static void log_faults(const struct config_faults *faults)
{
	for (uint32_t i = 0; i < faults->count; i++)
		log_error("%s:%u:%u: %s", faults->each[i].file, faults->each[i].line, faults->each[i].column, faults->each[i].text);
}

static void apply_overrides(const struct agent *agent, struct config *config)
{
	if (agent->mode_override != MODE_COUNT)
		config->mode = agent->mode_override;
	if (!agent->listen_override)
		return;
	snprintf(config->listen, sizeof(config->listen), "%s", agent->listen_override);
	outputs_set_listen(&config->outputs, config->listen);
}

int agent_load_config(const struct agent *agent, struct config **ret, struct config_faults *faults)
{
	struct config *config = calloc(1, sizeof(*config));
	if (!config)
		return -ENOMEM;
	int error = config_load(agent->config_path, config, faults);
	if (!error)
		error = templates_check(&config->outputs, faults);
	if (error < 0) {
		free(config);
		return error;
	}
	apply_overrides(agent, config);
	*ret = config;
	return 0;
}

/* Incidents and machines of before are watched from the first tick on, so that they can end. */
static void track_what_is_open(struct agent *agent)
{
	for (uint32_t i = 0; i < agent->saved->incident_count; i++) {
		const struct incident *incident = &agent->saved->incidents[i];
		for (uint32_t p = 0; p < agent->config->policy_count; p++)
			if (strcmp(agent->config->policies[p].name, incident->policy) == 0)
				detector_track(agent->detector, p, &incident->resource, incident->kind);
	}
}

static void forget_policies(struct agent *agent)
{
	struct circumstances now;
	wheel_circumstances(agent, &now);
	engine_forget_policies(&agent->engine, agent->config, &now, agent->changes);
	act_take_changes(agent);
}

int agent_reload(struct agent *agent, struct config_faults *faults)
{
	for (uint32_t i = 0; i < MAX_ORDERS; i++)
		if (agent->engine.orders[i].phase != ORDER_FREE)
			return -EBUSY;

	struct config_faults *own = faults ? NULL : calloc(1, sizeof(*own));
	struct config_faults *found = faults ? faults : own;
	if (!found)
		return -ENOMEM;
	struct config *config = NULL;
	int error = agent_load_config(agent, &config, found);
	if (error < 0) {
		log_error("reload: refused, the old configuration stays: %u faults", found->count);
		log_faults(found);
		free(own);
		return error;
	}
	free(own);

	bool publish = strcmp(config->listen, agent->config->listen) != 0 || strcmp(config->node, agent->config->node) != 0 ||
		       config->log_format != agent->config->log_format || config->log_level != agent->config->log_level ||
		       memcmp(&config->mask, &agent->config->mask, sizeof(config->mask)) != 0;
	bool outputs = !outputs_equal(&config->outputs, &agent->config->outputs);
	struct config *old = agent->config;
	agent->config = config;
	mask_use(&config->mask);
	log_open(config->log_format, config->log_level);
	wheel_reopen_collectors(agent, old);
	web_reload(agent, old);
	if (input_reopen(agent, old))
		publish = outputs = true; /* both hold what the old one was read through */
	free(old);
	snprintf(agent->snap->node, sizeof(agent->snap->node), "%s", config->node);
	agent->snap->interval_ns = config->interval_ns;
	trigger_reload(agent);
	detector_reset(agent->detector);
	track_what_is_open(agent);
	forget_policies(agent);
	tell_reloaded(agent, publish, outputs);
	agent->next_check = agent->check_at = 0;
	log_info("reload: the new configuration is in use: %u policies", config->policy_count);
	return 0;
}

/* --- what others ask for ----------------------------------------------------------------------------------------------- */

void agent_pause(struct agent *agent, uint64_t for_ns, const char *reason)
{
	struct pause *pause = &agent->saved->pause;
	int64_t now = (int64_t)clock_boot_ns(), wall = clock_wall_ns();
	*pause = (struct pause){ .paused = true, .since_wall_ns = wall };
	if (for_ns) {
		pause->until_boot_ns = now + (int64_t)for_ns;
		pause->until_wall_ns = wall + (int64_t)for_ns;
	}
	snprintf(pause->reason, sizeof(pause->reason), "%s", reason);
	agent->changes->state_changed = true;
	act_take_changes(agent);
	log_warning("paused: nothing is acted on%s%s", reason[0] ? ": " : "", reason);
}

void agent_resume(struct agent *agent)
{
	struct circumstances now;
	wheel_circumstances(agent, &now);
	memset(&agent->saved->pause, 0, sizeof(agent->saved->pause));
	uint32_t lifted = engine_lift_quarantine(&agent->engine, &now, agent->changes);
	agent->changes->state_changed = true;
	act_take_changes(agent);
	log_warning("resumed; %u quarantines lifted", lifted);
}

int agent_apply(struct agent *agent, enum remedy_id remedy, const struct target *target, const union remedy_args *args, bool dry_run,
		char ret_id[ID_LEN], char *why, size_t why_size)
{
	struct circumstances now;
	wheel_circumstances(agent, &now);
	uint32_t slot;
	int error = engine_manual(&agent->engine, remedy, target, args, dry_run, agent->config, &now, &slot, why, why_size, agent->changes);
	if (error < 0)
		return error;

	/* One process by hand: the same evidence that the hands check for any candidate. */
	struct order *order = &agent->engine.orders[slot];
	const struct process *process = target->type == TARGET_PROCESS ? snapshot_process(agent->snap, target->pid) : NULL;
	if (process) {
		struct cause *candidate = &order->request.candidates[0];
		candidate->rank = 1;
		candidate->pid = process->pid;
		candidate->start_ns = process->start_ns;
		candidate->cgroup_id = process->cgroup_id;
		candidate->rss_bytes = process->rss_bytes;
		memcpy(candidate->comm, process->comm, sizeof(candidate->comm));
		order->request.candidate_count = 1;
	}
	snprintf(ret_id, ID_LEN, "%s", order->action.id);
	act_take_changes(agent);
	act_pump(agent);
	wheel_schedule_fast(agent);
	return 0;
}

/* --- the past ---------------------------------------------------------------------------------------------------------- */

/* An intent without a result: the agent ended in the middle. It counts as failed, and is told so. */
static void close_dangling(const struct action *intent, void *context)
{
	struct agent *agent = context;
	struct action action = *intent;
	action.outcome = OUTCOME_FAILED;
	action.ended_wall_ns = clock_wall_ns();
	if (action.step_count < MAX_ACTION_STEPS) {
		struct action_step *step = &action.steps[action.step_count++];
		*step = (struct action_step){ .started_wall_ns = action.started_wall_ns, .ended_wall_ns = action.ended_wall_ns };
		snprintf(step->name, sizeof(step->name), "interrupted");
		snprintf(step->detail, sizeof(step->detail), "the agent ended before the result was known");
	}
	for (uint32_t i = 0; i < agent->saved->act_count; i++)
		if (strcmp(agent->saved->acts[i].action_id, action.id) == 0)
			agent->saved->acts[i].outcome = OUTCOME_FAILED;
	log_warning("journal: action %s (%s on %s) was interrupted by the agent's end; it counts as failed", action.id, action.remedy, action.target.name);
	if (agent->changes->action_count < MAX_CHANGES)
		agent->changes->actions[agent->changes->action_count++] = action;
}

static void remember_past_action(const struct action *action, void *context)
{
	struct agent *agent = context;
	action_remember(&agent->engine, action);
}

static void recall(struct agent *agent)
{
	int dir_fd = open(agent->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return;
	journal_read(dir_fd, remember_past_action, agent);
	journal_dangling(dir_fd, close_dangling, agent);
	close(dir_fd);
}

static int open_keeping(struct agent *agent)
{
	char why[WHY_LEN * 2] = "";
	agent->saved = calloc(1, sizeof(*agent->saved));
	if (!agent->saved)
		return -ENOMEM;
	int error = scribe_start(agent->state_dir, agent->boot_id, &agent->scribe, agent->saved, why, sizeof(why));
	if (error < 0) {
		log_error("state directory %s: %s", agent->state_dir, why[0] ? why : strerror(-error));
		return error;
	}
	if (why[0])
		log_warning("state directory %s: %s", agent->state_dir, why);
	engine_init(&agent->engine, agent->saved);
	recall(agent);
	remember_open(agent);
	return 0;
}

/* --- the whole --------------------------------------------------------------------------------------------------------- */

static int open_all(struct agent *agent)
{
	stand_firm();
	int error = privilege_bound();
	if (error < 0)
		log_warning("privileges: cannot be bounded, going on with all of root's: %s", strerror(-error));
	error = wheel_allocate(agent);
	if (error < 0)
		return error;
	error = sd_event_default(&agent->event);
	if (error < 0)
		return error;
	error = listen_to_signals(agent);
	if (error < 0)
		return error;
	error = open_keeping(agent);
	if (error < 0)
		return error;
	error = control_listen(agent->event, agent->run_dir, agent_answer, agent, &agent->control);
	if (error < 0) {
		log_error("control socket in %s: %s", agent->run_dir, error == -EADDRINUSE ? "another agent is running" : strerror(-error));
		return error;
	}
	error = act_open(agent);
	if (error < 0) {
		log_error("hands: cannot be started: %s", strerror(-error));
		return error;
	}
	input_open(agent);
	error = tell_open(agent);
	if (error < 0) {
		log_error("publisher: cannot be started: %s", strerror(-error));
		return error;
	}

	wheel_open_collectors(agent);
	error = steer_open(agent);
	if (error >= 0)
		error = trigger_open(agent);
	if (error >= 0)
		error = wake_open(agent);
	if (error < 0)
		return error;
	lock_memory();
	track_what_is_open(agent);
	forget_policies(agent);
	watch_scribe(agent);
	return start_timers(agent);
}

static void close_all(struct agent *agent)
{
	agent->full_timer = sd_event_source_unref(agent->full_timer);
	agent->fast_timer = sd_event_source_unref(agent->fast_timer);
	agent->scribe_source = sd_event_source_unref(agent->scribe_source);
	control_close(agent->control);
	trigger_close(agent);
	steer_close(agent);
	wake_close(agent);
	wheel_close_collectors(agent);
	act_close(agent);
	if (agent->event)
		tell_close(agent);
	input_close(agent);
	remember_close(agent);
	scribe_stop(agent->scribe);
	sd_event_unref(agent->event);
	for (int status; waitpid(-1, &status, 0) > 0;)
		continue; /* the publisher ends by itself: its socket is closed */
	wheel_free(agent);
	free(agent->saved);
	free(agent->config);
}

static int exit_code_of(int error, int otherwise)
{
	if (error >= 0)
		return EXIT_DONE;
	return error == -EPERM || error == -EACCES || error == -EROFS ? EXIT_NOT_PERMITTED : otherwise;
}

static void greet(const struct agent *agent)
{
	const struct config *config = agent->config;
	uint32_t enforcing = 0;
	for (uint32_t i = 0; i < config->policy_count; i++)
		enforcing += config->policies[i].mode == MODE_ENFORCE && config->mode == MODE_ENFORCE;
	log_info("running on %s: %u policies, %u of them may act; the others only say what they would do", config->node, config->policy_count, enforcing);
	if (config->listen[0])
		log_info("metrics: %s://%s/metrics   JSON, incidents, actions beside it: /v1/metrics, /v1/incidents, /v1/actions",
			 *config->tls.cert_file ? "https" : "http", config->listen);
	web_warn(config);
	log_info("look at it with: nodemend status, nodemend incidents, nodemend doctor (--run-dir %s); stop all acting with: nodemend pause", agent->run_dir);
}

int agent_run(const struct agent_options *options)
{
	struct agent *agent = calloc(1, sizeof(*agent));
	struct config_faults *faults = calloc(1, sizeof(*faults));
	int code = EXIT_NO;
	if (!agent || !faults)
		goto out;

	agent->config_path = options->config_path;
	agent->mode_override = options->mode;
	agent->listen_override = options->listen;
	agent->started_boot_ns = clock_boot_ns();
	agent->publisher.fd = agent->sender.fd = agent->ring.fd = agent->statsd_fd = -1;
	agent->sender_page = agent->publisher_page = agent->statsd_page = (struct share){ -1, -1 };
	snprintf(agent->run_dir, sizeof(agent->run_dir), "%s", options->run_dir);
	snprintf(agent->state_dir, sizeof(agent->state_dir), "%s", options->state_dir);
	snprintf(agent->kill_switch, sizeof(agent->kill_switch), "%.240s/stop", options->run_dir);
	snprintf(agent->lease_book, sizeof(agent->lease_book), "%.240s/leases", options->run_dir);
	read_boot_id(agent->boot_id);

	int error = agent_load_config(agent, &agent->config, faults);
	if (error < 0) {
		config_print_faults(faults, stderr);
		code = EXIT_USAGE;
		goto out;
	}
	if (options->once) {
		code = agent_once(agent);
		goto out;
	}
	mask_use(&agent->config->mask);
	log_open(agent->config->log_format, agent->config->log_level);
	error = make_dir(agent->run_dir, 0755, "run");
	if (error == 0)
		error = make_dir(agent->state_dir, 0750, "state");
	if (error < 0) {
		code = exit_code_of(error, EXIT_USAGE);
		free(agent->config);
		goto out;
	}
	error = open_all(agent);
	if (error == 0) {
		greet(agent);
		sd_notify(0, "READY=1");
		(void)sd_event_set_watchdog(agent->event, true);
		error = sd_event_loop(agent->event);
	}
	close_all(agent);
	agent->config = NULL;
	code = exit_code_of(error, EXIT_NO);
out:
	free(faults);
	free(agent);
	return code;
}
