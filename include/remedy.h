/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A remedy: what it needs, what it would do, does, and did. Remedies run in a hands worker (agent/decide/hands.c), a
 * process forked at start that knows nothing of policies; a request and its answer are fixed-size messages, so there is
 * nothing to allocate between a verdict and an act. One file a remedy in remedies/, one row in remedies/registry.c.
 */
#ifndef NODEMEND_REMEDY_H
#define NODEMEND_REMEDY_H

#include "probing.h"
#include "record.h"

enum { MAX_TASK_STEPS = 6, TASK_TEXT_LEN = 160 };
enum { MAX_HOOK_WORDS = 6, HOOK_USER_LEN = 32 };
enum { MAX_MATCH = 16, MAX_CANDIDATES = 8, MAX_PROTECT = 32 };

enum remedy_id {
	REMEDY_CLEAN_FILES,
	REMEDY_RESTART_UNIT,
	REMEDY_TERMINATE,
	REMEDY_LIMIT_CPU,
	REMEDY_HOOK,
	REMEDY_NOTIFY,
	REMEDY_MANUAL_TASK,
	REMEDY_EVICT_POD,
	REMEDY_TRUNCATE_OPEN,
	REMEDY_VACUUM_JOURNAL,
	REMEDY_ROTATE_LOGS,
	REMEDY_PRUNE_COREDUMPS,
	REMEDY_TRIM_TMP,
	REMEDY_PRUNE_PACKAGES,
	REMEDY_RELEASE_BALLAST,
	REMEDY_PRUNE_IMAGES,
	REMEDY_RESTART_CONTAINER,
	REMEDY_KILL_CONTAINER,
	REMEDY_RENICE,
	REMEDY_CPU_WEIGHT,
	REMEDY_ISOLATE,
	REMEDY_LIMIT_MEMORY,
	REMEDY_THROTTLE_WRITER,
	REMEDY_STOP_WRITER,
	REMEDY_START_UNIT,
	REMEDY_RELOAD_UNIT,
	REMEDY_RESET_FAILED,
	REMEDY_RAISE_CONNTRACK,
	REMEDY_RAISE_NEIGHBOURS,
	REMEDY_RESTART_INTERFACE,
	REMEDY_RECLAIM,
	REMEDY_KILL_CGROUP,
	REMEDY_KILL_FORK_BOMB,
	REMEDY_REAP,
	REMEDY_RAISE_LIMITS,
	REMEDY_DROP_CACHES,
	REMEDY_COMPACT,
	REMEDY_ADD_SWAPFILE,
	REMEDY_ADD_ZRAM,
	REMEDY_COUNT,
};

/* A slow clean-up must not stand before a kill, nor before a throttle whose time is over: each lane is a process of its own and does one
 * thing at a time. */
enum lane { LANE_KILL, LANE_SLOW, LANE_LEASE, LANE_COUNT };

struct clean_files_args {
	char root[PATH_LEN];
	uint32_t match_count;
	char match[MAX_MATCH][NAME_LEN];  /* fnmatch on the file's name; at least one */
	uint64_t min_age_ns;              /* by mtime and by ctime, which cannot be set back */
	uint32_t keep_newest;             /* of all matching files, by mtime, per directory */
	uint64_t max_bytes;
	uint32_t max_files;
	uint32_t max_depth;               /* 1: the root itself only */
	bool empty;                       /* files without blocks, too: each is an inode */
};

struct budget { uint32_t count; uint64_t per_ns; }; /* at most `count` acts in any `per_ns` */

/* UNSAID: STUCK where the policy is about a service that does not answer, else ANY. */
enum restart_if { RESTART_IF_UNSAID, RESTART_IF_ANY, RESTART_IF_STUCK, RESTART_IF_COUNT };

struct unit_args { /* of all remedies on units; each takes what its table names */
	char unit[NAME_LEN];
	uint64_t job_timeout_ns;
	uint64_t stop_within_ns;          /* 0: as long as its unit file says */
	uint64_t ready_within_ns;
	struct probe ready;               /* PROBE_TYPE_NONE: active is ready */
	bool ready_said;                  /* else the policy's own probe of the unit is meant */
	enum restart_if only_if;
	uint64_t patience_ns;             /* stuck: how long one last answer is waited for */
	bool start_needed;
	struct budget crash_loop;
	uint64_t back_off_ns;
};

enum terminate_scope { TERMINATE_PROCESS, TERMINATE_CGROUP };
struct terminate_args {
	enum terminate_scope scope;
	uint64_t term_wait_ns;            /* between TERM and KILL; 0: KILL at once */
};

struct limit_cpu_args {
	uint32_t percent;                 /* of one processor */
	uint64_t for_ns;
};

struct hook_args {
	uint32_t word_count;
	char command[MAX_HOOK_WORDS][PATH_LEN]; /* the program and its arguments; no shell */
	uint64_t timeout_ns;
	char user[HOOK_USER_LEN];
	uint64_t memory_bytes;            /* of all it starts together */
	uint32_t tasks;
	bool dry_run;                     /* it understands the mode plan, and changes nothing in it */
};

struct evict_pod_args {
	char namespace[NAMESPACE_LEN], pod[POD_LEN]; /* "": of the first cause that has one */
};

struct notify_args {
	char to[NAME_LEN];                /* the output's name */
};

struct manual_task_args {
	char title[TASK_TEXT_LEN];
	uint32_t step_count;
	char steps[MAX_TASK_STEPS][TASK_TEXT_LEN];
};

enum truncate_how { TRUNCATE_BY_SIGNAL, TRUNCATE_CONTENT };
struct truncate_open_args {
	uint32_t match_count;
	char match[MAX_MATCH][NAME_LEN];  /* fnmatch on the file's name; at least one */
	enum truncate_how how;
	uint32_t signal;                  /* index: HUP, USR1, USR2 */
	char below[PATH_LEN];             /* "" = anywhere on the filesystem */
	bool deleted;                     /* only files without a name */
	bool sparse;                      /* also where a writer does not append */
	uint64_t min_size;                /* of blocks */
	uint32_t max_files;
};

struct stale_files_args { /* of vacuum-journal, prune-coredumps and prune-packages */
	char root[PATH_LEN];              /* "" = the usual place on the filesystem */
	uint64_t min_age_ns;
	uint64_t keep_bytes;              /* of all that is there so much stays; 0: nothing for that alone */
	uint32_t keep_newest;
	uint64_t max_bytes;
	uint32_t max_files;
};

struct rotate_logs_args {
	char file[PATH_LEN];              /* "" = what is largest there */
	char config[PATH_LEN];
	char state[PATH_LEN];             /* "" = logrotate's own */
	uint64_t min_size;
};

enum { MAX_TRIM_PREFIXES = 8 };
struct trim_tmp_args {
	uint32_t prefix_count;            /* 0: /tmp and /var/tmp */
	char prefixes[MAX_TRIM_PREFIXES][PATH_LEN];
	char root[PATH_LEN];              /* "" = this system */
};

struct release_ballast_args {
	char path[PATH_LEN];
	uint64_t size;
	uint32_t remake_below;            /* percent in use */
	uint64_t remake_after_ns;
};

enum prune_what { PRUNE_IMAGES, PRUNE_BOTH };
struct prune_images_args {
	uint32_t runtime;                 /* enum engine_kind */
	char socket[PATH_LEN];            /* "": where it is by default */
	enum prune_what what;             /* unused images, and before them the dead containers that use them */
	uint32_t keep_count;
	char keep[MAX_MATCH][NAME_LEN];   /* fnmatch on the image's or the container's name */
	uint64_t min_age_ns;              /* since the image came to this node, or the container ended */
	uint64_t max_bytes;
	uint32_t max_count;
};

struct container_args {
	char socket[PATH_LEN];            /* "": where the container's runtime has it by default */
	uint64_t grace_ns;                /* between asking it to end and making it end */
};

/* Whether a throttle is for the process that is the first cause, or for all of its cgroup. */
enum throttle_scope { THROTTLE_PROCESS, THROTTLE_CGROUP };

struct renice_args {
	enum throttle_scope scope;
	uint32_t nice;                    /* 1 to 19; never below what a process has */
	uint64_t for_ns;
};

struct cpu_weight_args {
	uint32_t weight;                  /* as cpu.weight has it: 100 is the default of a cgroup */
	uint64_t for_ns;
};

struct isolate_args {
	char cpus[NAME_LEN];              /* a count, or a list as the kernel writes one: "2", "0,2-3" */
	uint64_t for_ns;
};

struct limit_memory_args {
	uint64_t high;                    /* bytes; 0: as low as at_least_percent allows */
	uint32_t at_least_percent;        /* of what it uses now: no lower than that */
	uint32_t stall_percent;           /* of a second: where all of it waits for longer, it is turned back */
	uint64_t watch_ns, for_ns;
};

struct throttle_writer_args {
	uint64_t bytes_per_second;
	char path[PATH_LEN];              /* on the filesystem that is meant; "" = the one that the incident is about */
	uint64_t for_ns;
};

struct stop_writer_args {
	enum throttle_scope scope;
	uint64_t for_ns;
};

struct raise_limit_args {
	double times, memory_percent, full_percent;
	uint64_t for_ns;
};

struct restart_interface_args {
	uint64_t watch_ns;                /* how long it is watched first */
	uint64_t down_ns;
	bool even_default_route;
};

struct reclaim_args {
	uint64_t step_bytes, max_bytes;
	uint64_t step_timeout_ns;
	uint32_t max_stalled_percent;     /* of a step's time that its members waited for memory, as PSI's `some` has it */
	uint32_t max_returned_percent;    /* of what a step took that was fetched again at once */
};

struct kill_cgroup_args {
	uint64_t term_wait_ns;            /* as terminate's; 0: KILL at once */
};

struct kill_fork_bomb_args {
	uint32_t max_processes;
	uint32_t min_born;                /* of its living, began within born_within_ns */
	uint64_t born_within_ns;
};

struct reap_args {
	uint32_t min_zombies;             /* of one parent */
	bool end_parent;                  /* where it does not wait for them when asked to */
	uint64_t wait_ns, term_wait_ns;
};

struct raise_limits_args {
	bool act;                         /* else it only says what could be done */
	uint32_t percent;                 /* of what the limit is now */
	uint32_t most;
	uint64_t for_ns;
};

struct drop_caches_args {
	uint32_t what;                    /* bits as /proc/sys/vm/drop_caches has them: 1 page cache, 2 slabs */
	uint32_t min_cached_percent;      /* of all memory */
	uint32_t max_available_percent;
	uint64_t watch_ns, every_ns;
};

struct compact_args {
	uint32_t order;                   /* blocks of so many pages, as a power of two, are what is missing */
	uint32_t min_free_percent;        /* of all memory, in smaller blocks */
	uint64_t watch_ns, every_ns;
};

struct add_swapfile_args {
	char path[PATH_LEN];
	uint64_t size_bytes, keep_free_bytes;
	uint32_t priority;
	uint64_t for_ns;
};

struct add_zram_args {
	uint64_t size_bytes;
	uint32_t algorithm;               /* by its place among the choices; 0: the kernel's own */
	uint32_t priority;
	uint64_t for_ns;
};

union remedy_args {
	struct clean_files_args clean_files;
	struct unit_args unit;
	struct terminate_args terminate;
	struct limit_cpu_args limit_cpu;
	struct hook_args hook;
	struct notify_args notify;
	struct manual_task_args manual_task;
	struct evict_pod_args evict_pod;
	struct truncate_open_args truncate_open;
	struct stale_files_args vacuum_journal;
	struct rotate_logs_args rotate_logs;
	struct stale_files_args prune_coredumps;
	struct trim_tmp_args trim_tmp;
	struct stale_files_args prune_packages;
	struct release_ballast_args release_ballast;
	struct prune_images_args prune_images;
	struct container_args restart_container, kill_container;
	struct renice_args renice;
	struct cpu_weight_args cpu_weight;
	struct isolate_args isolate;
	struct limit_memory_args limit_memory;
	struct throttle_writer_args throttle_writer;
	struct stop_writer_args stop_writer;
	struct raise_limit_args raise_limit;
	struct restart_interface_args restart_interface;
	struct reclaim_args reclaim;
	struct kill_cgroup_args kill_cgroup;
	struct kill_fork_bomb_args kill_fork_bomb;
	struct reap_args reap;
	struct raise_limits_args raise_limits;
	struct drop_caches_args drop_caches;
	struct compact_args compact;
	struct add_swapfile_args add_swapfile;
	struct add_zram_args add_zram;
};

struct remedy_step { /* one entry of a policy's `do` */
	enum remedy_id remedy;
	union remedy_args args;
	struct effect expect;
	uint32_t line;
};

/* What must never be touched beside the built-in list (decide/protect.h); globs. */
struct protection {
	uint32_t unit_count, comm_count, cgroup_count, container_count;
	char units[MAX_PROTECT][NAME_LEN], comms[MAX_PROTECT][NAME_LEN], cgroups[MAX_PROTECT][PATH_LEN];
	char containers[MAX_PROTECT][NAME_LEN];
};

enum remedy_verb {
	REMEDY_VERB_CHECK,    /* could it work on this host? no target needed: armed or why not */
	REMEDY_VERB_PLAN,     /* dry run: what it would do and what that would bring, touching nothing */
	REMEDY_VERB_APPLY,    /* re-check, act, verify, and undo what did not verify where it can be undone */
	REMEDY_VERB_REVERT,   /* turns back what the act `action_id` has on lease (lease.h) */
	REMEDY_VERB_SWEEP,    /* turns back whatever is on lease beyond its time, whoever took it; no remedy, no target */
	REMEDY_VERB_PREPARE,  /* has ready what an act of it will need, while there is no trouble; only of a remedy with `prepare` */
	REMEDY_VERB_COUNT,
};

/* Of the book of leases, after a REVERT or a SWEEP: what is still held, what was turned back, and when the next one ends. */
struct lease_report {
	uint32_t held, returned, foreign, gone, failed;
	uint32_t taken_over;                       /* REVERT: a later act has it, and turns it back */
	uint32_t unreadable;                       /* places that hold something else: left alone, and not tried again */
	uint64_t next_boot_ns;                     /* UNKNOWN: none is held */
};

/* What it is about, for those who tell others: a hook, a person. Empty where it is asked for by hand. */
struct remedy_story {
	char policy[NAME_LEN], incident[ID_LEN];
	enum incident_kind kind;
	enum severity severity;
	struct signal_value signal;
};

struct remedy_request {
	enum remedy_verb verb;
	enum remedy_id remedy;
	char action_id[ID_LEN];
	struct target target;
	struct remedy_story story;
	union remedy_args args;
	struct effect expect;
	uint64_t deadline_boot_ns;                 /* no new work is begun after it */
	char lease_book[PATH_LEN];                 /* the file in the run directory; "" = nothing may be taken on lease */
	char kill_switch[PATH_LEN];                /* this file's existence stops everything; read right before each act */
	uint32_t candidate_count;                  /* terminate: victims in order, best first; only the first eligible one is ended */
	struct cause candidates[MAX_CANDIDATES];
	struct protection protect;
	char systemd_bus[PATH_LEN];                /* "" = the system bus */
	char scratch[PATH_LEN];                    /* CHECK: a directory of our own on a disk, for the canary (remedies/canary.h); "" = there is none */
};

/* Whom an act ended, as it was right before: its memory must be back before another one is chosen. pid 0: a whole cgroup; both 0: nobody. */
struct ended_one {
	int32_t pid;
	uint64_t start_ns, cgroup_id, rss_bytes;
};

struct remedy_result {
	char action_id[ID_LEN];
	enum remedy_verb verb;
	bool armed;                                /* CHECK */
	char why[WHY_LEN];                         /* CHECK: why not; else the sentence for failed and refused */
	enum outcome outcome;                      /* APPLY: FIXED = the promised effect was seen; IMPROVED = a part of it */
	char refused_by[NAME_LEN];
	uint32_t plan_count, plan_cut;
	char plan[MAX_PLAN_LINES][PLAN_LINE_LEN];
	struct effect expected;                    /* PLAN and APPLY: what the plan promises, from its own measurement */
	struct effect observed;
	uint32_t step_count;
	struct action_step steps[MAX_ACTION_STEPS];
	struct lease_report leases;
	struct ended_one ended;                    /* APPLY of a remedy that ends processes */
};

/* What a step of a policy is aimed at. */
enum aim {
	AIM_FOUND,             /* where the trouble is: the finding's own target */
	AIM_CAUSE,             /* the process or cgroup that causes it: the request carries the candidates, best first */
	AIM_UNIT,              /* the unit that the argument `target_argument` names */
};

/* What `nodemend apply` takes as a target, by bit. */
enum applies_to {
	APPLIES_TO_PATH = 1 << 0,    /* a directory, and so its filesystem */
	APPLIES_TO_UNIT = 1 << 1,
	APPLIES_TO_PROCESS = 1 << 2,
	APPLIES_TO_CGROUP = 1 << 3,
	APPLIES_TO_NODE = 1 << 4,
	APPLIES_TO_INTERFACE = 1 << 7,
};

/* The members of struct effect, by bit. */
enum {
	EFFECT_FREED = 1 << 0,
	EFFECT_FILES = 1 << 1,
	EFFECT_EXITED = 1 << 2,
	EFFECT_UNIT = 1 << 3,
	EFFECT_WITHIN = 1 << 4,
	EFFECT_USE = 1 << 5,
	EFFECT_CLEARS = 1 << 6,       /* of every remedy: it is the engine that sees it */
	EFFECT_AVAILABLE = 1 << 7,
};

struct section;                /* agent/core/value.h */
/* Says what is wrong with one argument, in a sentence; printf-like. May be called more than once. */
typedef void argument_fault(void *context, const char *argument, const char *format, ...) __attribute__((format(printf, 3, 4)));

struct remedy {
	const char *name;              /* as in policies and metrics */
	enum remedy_id id;
	enum lane lane;
	const char *help;              /* one sentence */
	const char *undo;              /* how it is undone, or why it cannot be */
	bool destructive;
	bool reversible;               /* what it turns is on lease: turned back when its time is over, or when it did not help */
	bool ends_processes;           /* one victim on the node at a time: its memory must be back before the next */
	bool tells;                    /* it mends nothing, so nothing is to be expected of it */
	bool wants_causes;             /* whatever it is aimed at, the request carries the candidates */
	enum aim aim;
	bool of_writers;               /* AIM_CAUSE: whoever fills a filesystem may be it */
	uint32_t applies_to;           /* enum applies_to */
	const char *target_argument;   /* the argument that the text of a path or a unit sets as well; NULL: none */
	uint32_t effects;              /* EFFECT_…: what may be expected of it */
	const char *expect_example;    /* as one would write it */
	const struct section *arguments;
	/* What no single argument shows, and what would be dangerous although it is well-formed. `given`: which arguments were written out, by
	 * their place in the section. NULL: nothing beyond the table. */
	void (*vet)(const union remedy_args *args, uint64_t given, argument_fault *fault, void *context);
	/* Why a request that crossed a process boundary makes no sense, as if a stranger had written it; NULL: it does. Not NULL itself. */
	const char *(*problem)(const union remedy_args *args);
	/* Each fills `result` whole (it arrives zeroed, effects cleared) and returns 0, or -errno when it could not even try. */
	int (*check)(const struct remedy_request *request, struct remedy_result *result);
	int (*plan)(const struct remedy_request *request, struct remedy_result *result);
	int (*apply)(const struct remedy_request *request, struct remedy_result *result);
	/* Asked now and then while a policy in enforce has it among its steps, with that step's arguments and the kill switch heeded. FIXED: something
	 * was made; NONE: all is ready; REFUSED: not now. NULL: nothing is needed ahead. */
	int (*prepare)(const struct remedy_request *request, struct remedy_result *result);
};

extern const struct remedy *const remedies[REMEDY_COUNT];
extern const char *const remedy_names[REMEDY_COUNT]; /* the same names, for those who are not linked to what acts */
const struct remedy *remedy_by_name(const char *name);
/* The unit that a remedy aimed at units is told to work on, out of its arguments; NULL for the others. */
const char *remedy_unit(enum remedy_id id, const union remedy_args *args);

/* Why nothing may be cleaned under `path` (absolute, normalised), whatever a policy says; NULL: nothing speaks against it. The configuration's
 * validator and the hands ask the same list. */
const char *protected_root(const char *path);

/* Appends a step or a plan line; what does not fit is counted in plan_cut. printf-like, never allocates. */
struct action_step *result_step(struct remedy_result *result, const char *name);
void step_end(struct action_step *step, bool ok, const char *format, ...) __attribute__((format(printf, 3, 4)));
void result_plan(struct remedy_result *result, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
