/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the tcp collector: the kernel's rows by cgroup and by peer, ranked and pruned, and listeners by port. */
#ifndef NODEMEND_COLLECT_TCP_ROWS_H
#define NODEMEND_COLLECT_TCP_ROWS_H

#include "collect/bpf.h"

struct tcp_rows;
struct tcp_rows *tcp_rows_new(void); /* NULL without memory */
void tcp_rows_free(struct tcp_rows *rows);

/* Fills snap's peers and the rows of its tcp section from the two maps, and deletes there what nobody will miss. 0 or -errno. */
int tcp_rows_take(struct tcp_rows *rows, const struct object_walk *walk, int cgroups_fd, int peers_fd, struct snapshot *snap,
		  uint64_t elapsed_ns);

/* Adds one listening socket to the row of its cgroup and port; the rows are sorted by the second call. */
void tcp_rows_add_listener(struct listener_section *section, const struct listener_record *record);
void tcp_rows_sort_listeners(struct listener_section *section);

#endif
