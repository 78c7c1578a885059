/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container engine, through its own interface: Docker's Engine API; Podman's, which serves Docker's and one of its own on the same socket; and for
 * images containerd's. What it answers is read into rows of fixed size; what does not fit or makes no sense is left out and counted, never guessed.
 */
#ifndef NODEMEND_REMEDIES_ENGINE_H
#define NODEMEND_REMEDIES_ENGINE_H

#include "identity.h"
#include "remedies/http_answer.h"
#include "remedy.h"

enum {
	MAX_IMAGES = 1024, MAX_CONTAINERS = 2048,
	MAX_IMAGE_NAMES = 4,
	IMAGE_ID_LEN = 72,           /* 64 digits; "sha256:" before them is left out */
	IMAGE_NAME_LEN = 256,
};

enum engine_kind { ENGINE_DOCKER, ENGINE_PODMAN, ENGINE_CONTAINERD, ENGINE_KIND_COUNT };
extern const char *const engine_names[ENGINE_KIND_COUNT];
/* Where it serves by default. */
extern const char *const engine_sockets[ENGINE_KIND_COUNT];

/* The largest answer. Of Docker, a list with 2000 containers takes 3 MiB. */
#define ENGINE_BODY_ROOM ((size_t)8 << 20)

struct engine {
	enum engine_kind kind;       /* what it said of itself: Podman often stands on Docker's socket */
	char socket[PATH_LEN];
	uint64_t deadline_boot_ns;   /* of every call; the caller may move it */
	char server[HTTP_SERVER_LEN]; /* of the last answer */
	char version[NAME_LEN], api[NAME_LEN];
	char root[PATH_LEN], driver[NAME_LEN]; /* after engine_info() */
	char *body;
	char why[WHY_LEN];           /* after a call that failed: the sentence */
};

struct engine_image {
	char id[IMAGE_ID_LEN], parent[IMAGE_ID_LEN];
	uint32_t name_count;
	bool names_cut;              /* it has more names than are kept, or one that is too long or odd */
	char names[MAX_IMAGE_NAMES][IMAGE_NAME_LEN]; /* its tags, else its digests */
	uint64_t bytes;              /* with what it shares with others */
	uint64_t own_bytes;          /* without; UNKNOWN where the engine does not say */
	int64_t arrived_wall_ns;     /* where its engine says when it came to this node; else 0 */
	bool pinned;                 /* the engine's own, never to be removed */
};

enum container_state { CONTAINER_RUNNING, CONTAINER_DEAD, CONTAINER_OTHER };
struct engine_container {
	char id[CONTAINER_ID_LEN], image_id[IMAGE_ID_LEN], name[CONTAINER_NAME_LEN];
	char image[IMAGE_NAME_LEN];  /* as it was named when it was made; "" = by id, or no image */
	enum container_state state;  /* dead: it has run and ended; other: created, paused, restarting, … */
	bool sandbox;                /* holds a pod's namespaces */
	bool of_pod;                 /* kubelet's, or in a pod of Podman's */
};

/* What only a look at one container tells. */
struct engine_facts {
	char id[CONTAINER_ID_LEN], name[CONTAINER_NAME_LEN], image[IMAGE_NAME_LEN];
	char status[NAME_LEN];       /* the engine's own word: "running", "exited" */
	char health[NAME_LEN];       /* of the image's own probe: "healthy", "starting", "unhealthy"; "" = it has none */
	bool running, sandbox, kubelet;
	bool restarts;               /* it is started again by the engine */
	int32_t pid;                 /* 0: none */
	int64_t exit_code;
	int64_t started_wall_ns, finished_wall_ns; /* 0: not known */
};

/* Asks who serves there. `path` "": the default of `kind`. 0 or -errno, and why. engine_close() in either case. */
int engine_open(struct engine *engine, enum engine_kind kind, const char *path, uint64_t deadline_boot_ns);
void engine_close(struct engine *engine);
int engine_info(struct engine *engine);

struct engine_images { uint32_t count, cut; struct engine_image each[MAX_IMAGES]; };
struct engine_containers { uint32_t count, cut; struct engine_container each[MAX_CONTAINERS]; };
int engine_list_images(struct engine *engine, struct engine_images *ret);
int engine_list_containers(struct engine *engine, struct engine_containers *ret);
int engine_look(struct engine *engine, const char *container_id, struct engine_facts *ret); /* -ENOENT: there is none */
/* 1: there is such an image, and when it got its last name, 0 = not known. 0: there is none. -errno. */
int engine_look_image(struct engine *engine, const char *image_id, int64_t *ret_tagged_wall_ns);

/* Never by force: what is in use by then stays. 0; -ENOENT: it is gone; -EBUSY: the engine says it is in use; -errno. */
int engine_remove_image(struct engine *engine, const char *name); /* containerd: by its id, with all of its names */
int engine_remove_container(struct engine *engine, const char *container_id);
/* The engine asks it to end, and makes it end after `grace_s`. */
int engine_stop(struct engine *engine, const char *container_id, uint64_t grace_s);
int engine_kill(struct engine *engine, const char *container_id);
int engine_restart(struct engine *engine, const char *container_id, uint64_t grace_s);

/* `check` of every remedy that goes through an engine: armed where one answers at its default place. */
int engines_check(const struct remedy_request *request, struct remedy_result *result);      /* any engine */
int engines_check_containers(const struct remedy_request *request, struct remedy_result *result); /* one whose containers may be acted on */

/* Written where the text is one, without "sha256:"; else "". */
bool engine_id(char *ret, size_t size, const char *text);
bool engine_name(char *ret, size_t size, const char *text);

/* The readers of its answers, for tests and fuzzing. 0 or -EPROTO. */
int engine_read_images(enum engine_kind kind, const char *text, size_t size, struct engine_images *ret);
int engine_read_containers(const char *text, size_t size, struct engine_containers *ret);
int engine_read_facts(const char *text, size_t size, struct engine_facts *ret);
int64_t engine_read_tagged(const char *text, size_t size);
/* JSON whose tree would not be larger than such an answer ever is; NULL: it is none, or too much. cJSON_Delete() frees it. */
struct cJSON *engine_parse(const char *text, size_t size);

#endif
