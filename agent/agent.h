/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent as a whole: the one place that knows all stages. agent.c opens and closes it and runs the loop, wheel.c turns one
 * tick (collect, detect, decide), act.c carries orders to the hands and their answers back, tell.c keeps publisher and sender, and
 * answer.c answers the control socket from what is here.
 */
#ifndef NODEMEND_AGENT_H
#define NODEMEND_AGENT_H

#include <sys/un.h>

#include "child.h"
#include "collector.h"
#include "config.h"
#include "core/worker.h"
#include "decide/decide.h"
#include "detect/bottleneck.h"
#include "detect/condition.h"
#include "detect/dependency.h"
#include "detect/forecast.h"
#include "detect/outlook.h"
#include "detect/watch.h"
#include "detect/life.h"
#include "publisher.h"
#include "push/share.h"

struct cJSON;
struct census;
struct control;
struct scribe;
struct sd_event;
struct sd_event_source;
struct steering;
struct wake;

/* An order whose intent is being written. */
struct dispatch {
	bool waiting;
	uint64_t ticket;               /* of the scribe; 0 = none needed */
	uint64_t written_by_ns;        /* after this the act no longer waits for the disk */
};

enum { PREPARE_WORD_LEN = 24 };
enum remembered { REMEMBERED_OUTLOOK, REMEMBERED_WATCH, REMEMBERED_COUNT };

struct agent {
	const char *config_path;       /* NULL = the default places */
	char run_dir[PATH_LEN], state_dir[PATH_LEN], kill_switch[PATH_LEN], lease_book[PATH_LEN];
	enum mode mode_override;       /* MODE_COUNT = none; `run --mode` */
	const char *listen_override;   /* NULL = none */
	struct config *config;
	char boot_id[40];
	uint64_t started_boot_ns;
	struct sd_event *event;

	/* collect */
	struct collector_env env;
	void *collector_state[COLLECTOR_COUNT];
	struct snapshot *snap;         /* the agent's own; const outside of collecting */
	struct census *census;         /* of BPF maps; NULL: none */
	struct steering *steering;     /* what we cost and how deep we look; NULL while there is no loop to measure in */
	struct forecaster *forecaster;
	struct triggers *triggers;
	struct dependencies *dependencies;
	struct outlook *outlook;
	uint64_t remember_ns[REMEMBERED_COUNT]; /* when what was learned is handed to the scribe next */
	struct watch *watch;           /* for anomalies */
	struct recorder *recorder;
	struct life_watch *life;       /* who moves, of those that hung conditions speak of */
	uint64_t last_full_ns, fast_cost_ns;
	struct sd_event_source *full_timer, *fast_timer;
	struct wake *wake;             /* what may call for a look between two ticks; NULL while there is no loop */

	int root_fd;                   /* of the host's root as we see it, for what holds an act back; negative: it cannot be opened */

	/* detect and decide */
	struct detector *detector;
	struct baseline *baseline;     /* what each process and cgroup is used to */
	struct findings *findings;     /* of the last tick */
	struct saved_state *saved;
	struct engine engine;
	struct changes *changes;

	/* act */
	struct worker hands[LANE_COUNT];
	struct sd_event_source *hands_source[LANE_COUNT];
	uint32_t lane_slot[LANE_COUNT];          /* the order it works on; UINT32_MAX = none */
	struct dispatch dispatch[MAX_ORDERS];
	uint32_t next_check;                     /* remedies before this one have been asked whether they would work */
	uint32_t check_at;                       /* the one that is asked next: once more, every day */
	uint64_t check_again_ns;                 /* 0: not yet set */
	struct lease_report leases;               /* as the last sweep found them */
	uint64_t sweep_at_ns;                     /* when the next one is due; 0: at once */
	struct {
		uint64_t at_ns;                  /* the next round */
		uint32_t step, asked;            /* over all policies' steps: the next, and the one that was asked for last */
		char said[MAX_POLICIES * MAX_STEPS][PREPARE_WORD_LEN];
	} prepare;
	uint64_t cordon_sweep_at_ns;              /* likewise, of the lease that stands at the API server */
	struct remedy_result armed[REMEDY_COUNT]; /* their answers; verb CHECK once it is there */
	struct remedy_result answer;
	uint64_t intents_late;
	/* How much of each incident's history has been logged; a new ranking of its causes alone is not worth a line. */
	struct {
		char id[ID_LEN];
		uint32_t entries;
	} logged[MAX_OPEN_INCIDENTS];
	uint32_t logged_next;

	/* keep and tell */
	struct scribe *scribe;
	struct sd_event_source *scribe_source;
	struct control *control;
	struct ring_writer ring;
	struct child publisher, sender;          /* of the second only where an output is configured */
	struct share sender_page, publisher_page; /* what each of them counts, for the other to read */
	struct output_page *page;                /* the sender's */
	int feed_fd;
	int statsd_fd;                           /* -1 = none */
	struct share statsd_page;                /* from who reads it to who pushes it; both -1 = none */
	char statsd_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	uint64_t records_dropped;
	bool reload_pending;
	uint64_t web_fingerprint, web_look_ns;   /* of the files that say whom the HTTP side answers */
};

struct agent_options {
	const char *config_path, *run_dir, *state_dir, *listen;
	enum mode mode;                /* MODE_COUNT = what the configuration says */
	bool once;                     /* one full interval, print the feed, end */
};
/* The whole life of the agent; an exit code. */
int agent_run(const struct agent_options *options);
/* once.c: `run --once`; needs no run or state directory. */
int agent_once(struct agent *agent);

/* answer.c: one control command (see docs/cli.md). `root`: the peer may change things. */
struct cJSON *agent_answer(void *agent, const struct cJSON *request, bool root);

/* agent.c, for answer.c and once.c. */
int agent_load_config(const struct agent *agent, struct config **ret, struct config_faults *faults);
int agent_reload(struct agent *agent, struct config_faults *faults);           /* 0; -EINVAL and the old stays; -EBUSY an act is under way */
void agent_pause(struct agent *agent, uint64_t for_ns, const char *reason);    /* 0 = until resume */
void agent_resume(struct agent *agent);                                        /* lifts quarantines, too */
/* Runs one remedy by hand under the guards and the journal; the answer is polled for by action id with {"command":"action","id":…}.
 * 0 and ret_id; -EPERM refused with why; -EBUSY. */
int agent_apply(struct agent *agent, enum remedy_id remedy, const struct target *target, const union remedy_args *args, bool dry_run,
		char ret_id[ID_LEN], char *why, size_t why_size);

/* wheel.c */
int wheel_allocate(struct agent *agent);                 /* what collecting and detecting need, before anything forks; 0 or -errno */
void wheel_free(struct agent *agent);
void wheel_open_collectors(struct agent *agent);         /* each by its own ladder; one that cannot is DOWN, said once */
void wheel_reopen_collectors(struct agent *agent, const struct config *old); /* those that the new configuration concerns; the others keep their counters */
void wheel_close_collectors(struct agent *agent);
void wheel_collect(struct agent *agent, bool full);
void wheel_turn(struct agent *agent, bool full);
void wheel_look_again(struct agent *agent);              /* fresh numbers and findings, right before an act */
void wheel_schedule_fast(struct agent *agent);
void wheel_circumstances(const struct agent *agent, struct circumstances *ret);

/* wake.c */
int wake_open(struct agent *agent);                      /* after the collectors; 0 or -errno */
void wake_watch(struct agent *agent);                    /* again after collectors were opened */
void wake_forget(struct agent *agent, enum collector_id id);
void wake_close(struct agent *agent);
/* When a wake-up at `now_ns` is served, after one that was at `served_ns` (0: none yet); `gap_ns` is kept between calls. */
uint64_t wake_next_ns(uint64_t now_ns, uint64_t served_ns, uint64_t *gap_ns);

/* trigger.c */
int trigger_open(struct agent *agent);                   /* the kernel's own word for psi conditions; 0 or -errno */
void trigger_close(struct agent *agent);
void trigger_reload(struct agent *agent);                /* after another configuration was taken */
void trigger_turn(struct agent *agent);                  /* at a full tick: asks again for cgroups that were not there */

/* steer.c */
int steer_open(struct agent *agent);                     /* after the collectors; 0 or -errno */
void steer_close(struct agent *agent);
void steer_turn(struct agent *agent);                    /* at a full tick, after detection: arms, asks the governor, turns the depths */
void steer_charge(struct agent *agent, enum collector_id id, uint64_t cpu_ns); /* what its collect() took */

/* act.c */
int act_open(struct agent *agent);
void act_close(struct agent *agent);
void act_take_changes(struct agent *agent);              /* tells, keeps and dispatches what agent->changes holds, and empties it */
/* prepare.c: what a remedy needs ahead of its act. */
void prepare_pump(struct agent *agent);                  /* asks for the next */
void prepare_take(struct agent *agent);                  /* `answer` is one */
void act_pump(struct agent *agent);                      /* sends what is ready, gives up what overstays */

/* task.c: what a manual-task asks a person to do. */
/* Opens one for an order whose act has just told so, or counts that it was asked for again. Where no place is left the answer becomes a refusal. */
void task_take(struct agent *agent, const struct order *order, struct remedy_result *answer);
uint32_t tasks_open(const struct saved_state *saved);
/* The one that is open and whose id begins so. 0 and its id; -ENOENT: none; -EEXIST: several. */
int task_close(struct agent *agent, const char *id, char ret_id[ID_LEN]);

/* remember.c */
void remember_open(struct agent *agent);                 /* before the first tick; what is damaged is said and dropped */
void remember_turn(struct agent *agent);                 /* at each full tick */
void remember_close(struct agent *agent);                /* before the scribe ends */

/* input.c: the StatsD socket; one that cannot be made is said and done without. */
void input_open(struct agent *agent);
void input_close(struct agent *agent);
bool input_reopen(struct agent *agent, const struct config *old); /* true: the descriptors or bounds of publisher and sender are not what they were */

/* tell.c */
int tell_open(struct agent *agent);
void tell_close(struct agent *agent);
void tell_child_ended(struct agent *agent, int pid);     /* SIGCHLD: starts publisher or sender again if it was that */
void tell_reloaded(struct agent *agent, bool publish, bool outputs); /* what the new configuration changes for them */
void tell_incident(struct agent *agent, const struct incident *incident);
void tell_action(struct agent *agent, const struct action *action);
void tell_everything(struct agent *agent, struct child *child); /* that was just started */

/* learnt.c */

/* web.c */
void web_tell(struct agent *agent);                                  /* whom the publisher is to answer */
void web_reload(struct agent *agent, const struct config *old);      /* the same, where it has changed */
void web_look(struct agent *agent, uint64_t now_ns);                 /* …and where a file has */
void web_warn(const struct config *config);                          /* says it where strangers are answered */

#endif
