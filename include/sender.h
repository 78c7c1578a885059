/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wall between the agent and the sender, nm-sender, the one process with a way out to the network. Numbers reach it in the
 * same sealed ring as the publisher, incidents and actions as the same messages; its configuration is a sealed memfd that holds a
 * struct outputs, and a new configuration is a new sender. It is a program of its own, so that the network's libraries are mapped
 * nowhere else.
 */
#ifndef NODEMEND_SENDER_H
#define NODEMEND_SENDER_H

#include "output.h"
#include "publisher.h"

/* The descriptors that it is started with, from 3 on. */
enum sender_fd { SENDER_RING_FD = 3, SENDER_EVENT_FD, SENDER_OUTPUTS_FD, SENDER_PAGE_FD, SENDER_PUBLISHER_FD, SENDER_SPOOL_FD, SENDER_STATSD_FD, SENDER_FD_END };

/* Until SENDER_EVENT_FD closes. An exit code. */
int sender_run(const char *user, const char *boot_id);

#endif
