/* SPDX-License-Identifier: Apache-2.0 */
/* A process that does one thing over and over while a remedy runs, as somebody who wants it to go wrong. */
#ifndef NODEMEND_TESTS_ATTACK_H
#define NODEMEND_TESTS_ATTACK_H

#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"

struct attack {
	pid_t pid;
	struct attack_shared {
		volatile uint64_t turns;      /* how often it did it */
		volatile uint64_t broken;     /* how often it saw what must never be */
		volatile bool stop;
	} *shared;
};

/* In CI a number of rounds that takes seconds; a campaign sets NODEMEND_ATTACK_ROUNDS to as many as it wants. */
static inline uint64_t attack_rounds(uint64_t fallback)
{
	const char *text = getenv("NODEMEND_ATTACK_ROUNDS");
	return text ? strtoull(text, NULL, 10) : fallback;
}

/*
 * Whether to go on: a slow machine does fewer rounds, unless it was told how many. A campaign may be told how many seconds an attack may
 * take at most (NODEMEND_ATTACK_SECONDS); how many rounds there were is said at its end.
 */
static inline bool attack_goes_on(uint64_t round, uint64_t rounds, uint64_t begun_ns)
{
	const char *seconds = getenv("NODEMEND_ATTACK_SECONDS");
	uint64_t most_ns = seconds ? strtoull(seconds, NULL, 10) * NSEC_PER_SEC : getenv("NODEMEND_ATTACK_ROUNDS") ? UINT64_MAX : 2500 * NSEC_PER_MSEC;

	return round < rounds && clock_boot_ns() - begun_ns < most_ns;
}

/* `turn` returns false for what must never be. It has no powers over others' files when `uid` is not 0. */
static inline void attack_start(struct attack *attack, uid_t uid, bool (*turn)(uint64_t count, void *context), void *context)
{
	attack->shared = mmap(NULL, sizeof(*attack->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	attack->pid = fork();
	if (attack->pid != 0)
		return;
	if (uid && (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0))
		_exit(1);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* after the change of user, which forgets it */
	while (getppid() != 1 && !attack->shared->stop) {
		if (!turn(attack->shared->turns, context))
			attack->shared->broken++;
		attack->shared->turns++;
	}
	_exit(0);
}

/* The number of turns; *ret_broken of them saw what must never be. It ends between two turns. */
static inline uint64_t attack_stop(struct attack *attack, uint64_t *ret_broken)
{
	attack->shared->stop = true;
	waitpid(attack->pid, NULL, 0);
	uint64_t turns = attack->shared->turns;
	*ret_broken = attack->shared->broken;
	munmap(attack->shared, sizeof(*attack->shared));
	return turns;
}

#endif
