/* SPDX-License-Identifier: Apache-2.0 */
/* See people.h. */
#include "push/people.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/log.h"
#include "push/memory.h"
#include "push/outlet.h"
#include "remedy.h"
#include "push/rules.h"

static struct notice *seen_of(struct people *people, const char *id)
{
	uint32_t held = people->seen_count < PEOPLE_SEEN ? people->seen_count : PEOPLE_SEEN;
	for (uint32_t i = 0; i < held; i++)
		if (strcmp(people->seen[i].id, id) == 0)
			return &people->seen[i];
	return NULL;
}

void people_on_incident(void *state, const struct incident *incident, struct moment now)
{
	struct people *people = state;
	struct notice notice;
	notice_make(&people->home, incident, deeds_of(&people->deeds, incident->id), &notice);
	struct notice *seen = seen_of(people, notice.id);
	*(seen ? seen : &people->seen[people->seen_count++ % PEOPLE_SEEN]) = notice;
	if (router_note(people->router, &notice, (int64_t)now.boot_ns) && !people->unsaved_ns)
		people->unsaved_ns = now.boot_ns;
}

/* A notify names its output by its step: see remedies/notify.c. */
static void tell_if_asked(struct people *people, const struct action *action, struct moment now)
{
	bool ours = action->outcome == OUTCOME_TOLD && action->mode == MODE_ENFORCE && strcmp(action->remedy, remedy_names[REMEDY_NOTIFY]) == 0 &&
		    action->step_count && strcmp(action->steps[0].name, people->output->name) == 0;
	struct notice *seen = ours ? seen_of(people, action->incident) : NULL;
	if (!seen)
		return;
	const char *deed = deeds_of(&people->deeds, action->incident);
	if (deed)
		notice_take(seen->action, sizeof(seen->action), deed);
	if (router_tell(people->router, seen, action->ended_wall_ns, (int64_t)now.boot_ns) && !people->unsaved_ns)
		people->unsaved_ns = now.boot_ns;
}

void people_on_action(void *state, const struct action *action, struct moment now)
{
	struct people *people = state;
	const char *incident = deeds_note(&people->deeds, action);
	if (incident)
		router_deed(people->router, incident, deeds_of(&people->deeds, incident));
	tell_if_asked(people, action, now);
}

void people_put(struct people *people, uint32_t items)
{
	const struct parcel parcel = { .made_wall_ns = people->message.wall_ns, .items = items, .body = people->body.data, .size = people->body.length };
	if (people->body.failed)
		outlet_drop(people->outlet, DROP_QUEUE_FULL, items);
	else
		(void)outlet_put(people->outlet, &parcel); /* counted where it is dropped */
	text_reset(&people->body);
}

bool people_write_template(struct people *people, const struct message *message, struct text *out)
{
	const char *path = people->output->template_file;
	if (!path[0])
		return false;
	struct config_faults *faults = calloc(1, sizeof(*faults));
	const char *content = delivery_secret(people->delivery, path);
	struct template template = { 0 };
	int error = !faults ? -ENOMEM : !content ? -ENOENT : template_read(people->form->template_form, path, content, strlen(content), &template, faults);
	if (!error)
		template_write(&template, message, out);
	else if (!people->template_failed)
		log_warning("output %s: the template %s cannot be used, the built-in form is: %s", people->output->name, path,
			    faults && faults->count ? faults->each[0].text : strerror(-error));
	people->template_failed = error != 0;
	template_free(&template);
	free(faults);
	return !error;
}

/* What is remembered as told must be delivered, or on its way through the spool: so while a message is under way it waits for as long as a
 * request may take. Who is killed in between tells once more rather than never. */
static bool may_save(const struct people *people, uint64_t now_ns)
{
	return outlet_is_idle(people->outlet) || now_ns >= people->unsaved_ns + people->output->timeout_ns;
}

static void save(struct people *people, struct moment now)
{
	struct text saved = { 0 };
	int error = router_save(people->router, (int64_t)now.boot_ns, now.wall_ns, &saved);
	if (!error && people->spool_dir_fd >= 0)
		error = memory_write(people->spool_dir_fd, people->output->name, saved.data, saved.length);
	if (error < 0)
		log_warning("output %s: what was told cannot be remembered, a restart may tell it again: %s", people->output->name, strerror(-error));
	text_free(&saved);
	people->unsaved_ns = 0;
}

uint64_t people_on_turn(void *state, struct moment now)
{
	struct people *people = state;
	people->last = now;
	while (router_next(people->router, (int64_t)now.boot_ns, now.wall_ns, &people->message)) {
		people->form->send(people, &people->message);
		people->unsaved_ns = now.boot_ns;
	}
	outlet_drop(people->outlet, DROP_QUEUE_FULL, people->router->lost - people->lost_before);
	people->lost_before = people->router->lost;
	if (people->unsaved_ns && may_save(people, now.boot_ns))
		save(people, now);

	int64_t due = router_due(people->router);
	uint64_t next = due == INT64_MAX ? UINT64_MAX : due < 0 ? 0 : (uint64_t)due;
	uint64_t saving = people->unsaved_ns ? now.boot_ns + NSEC_PER_SEC : UINT64_MAX;
	return saving < next ? saving : next;
}

static void recall(struct people *people, struct moment now)
{
	struct text saved = { 0 };
	int error = people->spool_dir_fd < 0 ? -ENOENT : memory_read(people->spool_dir_fd, people->output->name, &saved);
	if (!error)
		error = router_load(people->router, saved.data, saved.length, (int64_t)now.boot_ns, now.wall_ns);
	if (error < 0 && error != -ENOENT)
		log_warning("output %s: what was told before is not known, it may be told again: %s", people->output->name, strerror(-error));
	text_free(&saved);
}

void people_close(void *state)
{
	struct people *people = state;
	if (!people)
		return;
	if (people->unsaved_ns) /* all that was told is on disk by now, as far as that takes it */
		save(people, people->last);
	free(people->own);
	free(people->router);
	text_free(&people->body);
	free(people);
}

int people_open(const struct exporter_env *env, const struct people_form *form, struct people **ret)
{
	struct people *people = calloc(1, sizeof(*people));
	struct rule rules[ROUTER_RULES];
	if (people)
		people->router = calloc(1, sizeof(*people->router));
	if (!people || !people->router) {
		free(people);
		return -ENOMEM;
	}
	people->form = form;
	people->output = &env->outputs->each[env->output];
	people->delivery = env->delivery;
	people->spool_dir_fd = env->spool_dir_fd;
	rules_home(env->outputs, env->output, &people->home);
	people->last = env->now;
	router_init(people->router, rules, rules_of(env->outputs, env->output, rules), env->now.wall_ns);
	recall(people, env->now);
	people->lost_before = people->router->lost;
	int error = delivery_add(env->delivery, env->outputs, env->output, 0, form->family, people, &people->outlet);
	if (error < 0) {
		people_close(people);
		return error;
	}
	*ret = people;
	return 0;
}
