/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a cgroup is. Its path alone tells systemd's unit and slice, the user, the container's id and the pod's uid; that is
 * identity_of_path(), pure and cheap, and whoever has a path may ask. The names of pod and container stand in the state of the
 * runtimes; the identity collector reads them into rows of their own. What is not known is empty, and never guessed.
 */
#ifndef NODEMEND_IDENTITY_H
#define NODEMEND_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#define NO_UID UINT32_MAX

enum {
	MAX_IDENTITIES = 1024,
	CONTAINER_ID_LEN = 96,       /* 64 hexadecimal digits, or the name where a runtime has nothing else */
	CONTAINER_NAME_LEN = 96,     /* 63 in Kubernetes; Docker and Podman know no bound, and a longer one is unknown */
	NAMESPACE_LEN = 64,          /* a DNS label */
	POD_LEN = 254,               /* a DNS subdomain */
	POD_UID_LEN = 40,            /* a UUID, or the 32 digits of a static pod's hash */
	SESSION_LEN = 32,
	UNIT_NAME_LEN = 96,
};

enum runtime { RUNTIME_UNKNOWN, RUNTIME_CONTAINERD, RUNTIME_CRIO, RUNTIME_DOCKER, RUNTIME_GARDEN, RUNTIME_LXC, RUNTIME_NOMAD, RUNTIME_NSPAWN,
	       RUNTIME_PODMAN, RUNTIME_COUNT };
enum qos { QOS_UNKNOWN, QOS_GUARANTEED, QOS_BURSTABLE, QOS_BEST_EFFORT, QOS_COUNT };
/* For outputs; "" for unknown. */
extern const char *const runtime_names[RUNTIME_COUNT], *const qos_names[QOS_COUNT];

/* What a path says. */
struct path_identity {
	char unit[UNIT_NAME_LEN];             /* the service or scope, else the innermost slice */
	char slice[UNIT_NAME_LEN];            /* the innermost slice above the unit */
	char session[SESSION_LEN];            /* of logind: "3" of session-3.scope */
	uint32_t user;                        /* whose slice it is in; NO_UID: nobody's */
	enum runtime runtime;
	char container_id[CONTAINER_ID_LEN];
	char container[CONTAINER_NAME_LEN];   /* where the path has the name, too: LXC, nspawn, Nomad */
	char pod_uid[POD_UID_LEN];
	enum qos qos;
	bool claimed;                         /* below what a user's own manager was given: nobody else vouches for the container's id */
};

void identity_of_path(const char *path, struct path_identity *ret);

/* What the runtimes' state says of a cgroup that is in a container. */
struct cgroup_identity {
	uint64_t id;                          /* the cgroup's */
	enum runtime runtime;
	bool sandbox;                         /* the pod's pause container */
	char pod_uid[POD_UID_LEN];            /* of the path, or as the runtime has it */
	char container[CONTAINER_NAME_LEN], namespace[NAMESPACE_LEN];
	char pod[POD_LEN];
};

struct identity_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct cgroup_identity each[MAX_IDENTITIES]; /* by cgroup id, ascending; only of cgroups that are in a container */
};

#endif
