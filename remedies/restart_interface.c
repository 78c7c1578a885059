/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes a network interface down and up again that has a carrier, sends, and hears nothing at all: drivers and their hardware come out of that
 * anew. What goes with it (addresses of IPv6, routes) is kept and put back. That it is down is on lease for that moment, so that it comes up
 * again whatever becomes of us.
 */
#include "remedy.h"

#include <errno.h>
#include <inttypes.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/value.h"
#include "lease.h"
#include "remedies/act.h"
#include "remedies/link.h"
#include "remedies/link_keep.h"
#include "remedies/registry.h"

#define LOOK_NS (100 * NSEC_PER_MSEC)
/* Longer than it is ever down for on purpose, and short enough for who waits for this node. */
#define LEASE_NS (15 * NSEC_PER_SEC)
#define PUT_BACK_NS (10 * NSEC_PER_SEC)
/* At least, where the deadline comes sooner; and with what is put back no longer than the hands are given beyond it. */
#define LISTEN_NS (3 * NSEC_PER_SEC)
enum { SHOWN_LEN = 64 };

struct wake {
	const struct remedy_request *request;
	const struct restart_interface_args *args;
	struct remedy_result *result;
	const char *name;
	char shown[SHOWN_LEN];
	struct nl_sock *socket;
	struct link_facts facts;
};

/* 64 KiB, and one at a time: a request is handled by one process. */
static struct link_kept kept;

/* --- whether -------------------------------------------------------------------------------------------------------------- */

static bool refuse(struct wake *wake, bool when, const char *by, const char *why)
{
	if (when && wake->result->outcome != OUTCOME_REFUSED)
		act_refuse(wake->result, by, "%s %s", wake->shown, why);
	return when;
}

/* 0; 1: refused; -errno. */
static int look(struct wake *wake)
{
	int error = link_look(wake->socket, wake->name, &wake->facts);
	if (error == -ENODEV) {
		act_refuse(wake->result, "target-changed", "%s is not there any more", wake->shown);
		return 1;
	}
	if (error == 0)
		error = link_keep(wake->socket, wake->facts.index, &kept);
	if (error)
		return error;
	const struct link_facts *facts = &wake->facts;
	refuse(wake, facts->loopback, "loopback", "is the node's own loopback");
	refuse(wake, facts->members, "has-members", "is a bridge, a bond or a VRF, and others would go down with it");
	refuse(wake, facts->carried, "carries-others", "carries other interfaces (VLANs and the like), which would go down with it");
	refuse(wake, facts->master, "is-member", "is a part of a bridge, a bond or a VRF: whether it is heard is for that one to say");
	refuse(wake, !facts->up, "not-up", "is down as somebody wants it");
	refuse(wake, !facts->carrier, "no-carrier", "has no carrier: that is a cable, or the other side");
	refuse(wake, kept.default_route && !wake->args->even_default_route, "default-route", "is the way out of this node, and maybe the way to it");
	refuse(wake, kept.shared, "shared-route", "is one of several ways of a route, or of a nexthop object: what would be lost could not be put back");
	refuse(wake, kept.cut, "too-many-routes", "has more addresses and routes than could be kept");
	return wake->result->outcome == OUTCOME_REFUSED;
}

static void pause_ns(uint64_t ns)
{
	struct timespec time = { .tv_sec = (time_t)(ns / NSEC_PER_SEC), .tv_nsec = (long)(ns % NSEC_PER_SEC) };
	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		;
}

/* As soon as it hears anything there is an answer. 0: it sends and hears nothing; 1: refused; -errno. */
static int watch(struct wake *wake)
{
	struct link_facts now = wake->facts;
	const struct link_facts first = wake->facts;
	uint64_t begun = clock_boot_ns(), until = begun + wake->args->watch_ns;
	if (until >= wake->request->deadline_boot_ns) {
		act_refuse(wake->result, "deadline", "no time to watch %s for %llu s: give it a longer within", wake->shown,
			   (unsigned long long)(wake->args->watch_ns / NSEC_PER_SEC));
		return 1;
	}
	while (clock_boot_ns() < until) {
		pause_ns(LOOK_NS);
		int error = link_look(wake->socket, wake->name, &now);
		if (error == -ENODEV || (error == 0 && now.index != first.index)) {
			act_refuse(wake->result, "target-changed", "%s is not the one that was looked at any more", wake->shown);
			return 1;
		}
		if (error)
			return error;
		if (now.rx_packets != first.rx_packets) {
			act_refuse(wake->result, "alive", "%s receives: %" PRIu64 " packets in %llu ms", wake->shown, now.rx_packets - first.rx_packets,
				   (unsigned long long)((clock_boot_ns() - begun) / NSEC_PER_MSEC));
			return 1;
		}
	}
	uint64_t sent = now.tx_packets - first.tx_packets, errors = now.tx_errors - first.tx_errors + now.rx_errors - first.rx_errors;
	if (!sent && !errors) {
		act_refuse(wake->result, "idle", "nobody sent anything on %s either: that it hears nothing says nothing", wake->shown);
		return 1;
	}
	result_plan(wake->result, "%s has a carrier, sent %" PRIu64 " packets with %" PRIu64 " errors in %llu s, and received none", wake->shown, sent, errors,
		    (unsigned long long)(wake->args->watch_ns / NSEC_PER_SEC));
	return 0;
}

static void say_plan(struct wake *wake)
{
	result_plan(wake->result, "take it down for %llu ms and up again; put back %" PRIu32 " addresses and %" PRIu32 " routes that go with it",
		    (unsigned long long)(wake->args->down_ns / NSEC_PER_MSEC), kept.addresses, kept.routes);
	if (kept.default_route)
		result_plan(wake->result, "the way out of this node leads through it");
}

/* --- down and up ---------------------------------------------------------------------------------------------------------- */

/* Once it is down it comes up, whatever is halted. 0, or -errno with the result said. */
static int down_and_up(struct wake *wake)
{
	struct lease_report report;
	struct knob knob = { .kind = KNOB_LINK, .directory_inode = wake->facts.index };
	snprintf(knob.file, sizeof(knob.file), "%s", wake->name);
	int error = lease_take(wake->request, &knob, "down", LEASE_NS, wake->result);
	if (error) {
		if (error == -ENOSPC || error == -EBUSY || error == -ENOENT)
			act_refuse(wake->result, "lease-book", "the book of leases has no place or is held: nothing is turned that is not written down");
		else
			act_fail(wake->result, "%s could not be taken down: %s", wake->shown, strerror(-error));
		return error;
	}
	pause_ns(wake->args->down_ns);
	struct action_step *step = result_step(wake->result, "up");
	error = leases_return(wake->request->lease_book, LEASES_OF_ACTION, wake->request->action_id, clock_boot_ns(), NULL, NULL, &report);
	if (error || report.returned != 1)
		error = link_set(wake->name, wake->facts.index, true); /* no book is needed for that */
	step_end(step, error == 0, "%s%s", error ? "it could not be taken up: " : "up again", error ? strerror(-error) : "");
	if (error)
		act_fail(wake->result, "%s could not be taken up again: %s", wake->shown, strerror(-error));
	return error;
}

/* An address of IPv6 is on trial for a second or two, and what needs it has to wait for that. */
static bool put_back(struct wake *wake)
{
	struct action_step *step = result_step(wake->result, "put-back");
	uint64_t until = clock_boot_ns() + PUT_BACK_NS;
	for (;;) {
		link_put_back(wake->socket, &kept);
		if (!kept.missing || clock_boot_ns() >= until)
			break;
		pause_ns(LOOK_NS);
	}
	if (kept.missing)
		step_end(step, false, "%" PRIu32 " of %" PRIu32 " addresses and %" PRIu32 " routes could not be put back: %s", kept.missing, kept.addresses, kept.routes,
			 strerror(-kept.error));
	else
		step_end(step, true, "%" PRIu32 " addresses and %" PRIu32 " routes are there", kept.addresses, kept.routes);
	return !kept.missing;
}

/* Of some drivers the counters begin anew when they come up. */
static uint64_t heard_since(const struct link_facts *before, const struct link_facts *now)
{
	return now->rx_packets >= before->rx_packets ? now->rx_packets - before->rx_packets : now->rx_packets;
}

/* 1: it hears something again; 0: not in its time; -errno. */
static int listen_again(struct wake *wake)
{
	struct link_facts now;
	uint64_t until = clock_boot_ns() + LISTEN_NS, deadline = wake->request->deadline_boot_ns;
	struct action_step *step = result_step(wake->result, "listen");
	int error;
	until = until > deadline ? until : deadline; /* a link may take seconds to agree on its speed */
	for (;;) {
		error = link_look(wake->socket, wake->name, &now);
		bool hears = error == 0 && heard_since(&wake->facts, &now) > 0;
		if (error || hears || clock_boot_ns() >= until) {
			step_end(step, hears, error ? "%s" : "carrier %s, %" PRIu64 " packets received since", error ? strerror(-error) : now.carrier ? "there" : "lost",
				 error ? 0 : heard_since(&wake->facts, &now));
			return error ? error : hears;
		}
		pause_ns(LOOK_NS);
	}
}

static void judge(struct wake *wake, bool whole, int hears)
{
	struct remedy_result *result = wake->result;
	if (!whole) {
		act_fail(result, "%s is up, and some of its addresses or routes are missing", wake->shown);
		return;
	}
	if (hears < 0) {
		act_fail(result, "what became of %s is not known: %s", wake->shown, strerror(-hears));
		return;
	}
	result->outcome = hears ? OUTCOME_FIXED : OUTCOME_NO_EFFECT;
	if (!hears)
		snprintf(result->why, sizeof(result->why), "%s is up again and hears nothing", wake->shown);
}

static void act_now(struct wake *wake)
{
	const char *halted = act_halted(wake->request);
	/* Right before it goes: what came or changed while it was watched. */
	int error = halted ? 0 : look(wake);
	if (halted)
		act_refuse(wake->result, halted, "stopped by the %s", halted);
	else if (error < 0)
		act_fail(wake->result, "%s cannot be looked at: %s", wake->shown, strerror(-error));
	if (halted || error)
		return;
	if (down_and_up(wake) < 0)
		return;
	bool whole = put_back(wake);
	judge(wake, whole, listen_again(wake));
}

/* --- the remedy ----------------------------------------------------------------------------------------------------------- */

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	struct wake wake = { .request = request, .args = &request->args.restart_interface, .result = result, .name = request->target.name };
	act_shown(wake.shown, sizeof(wake.shown), wake.name);
	if (request->target.type != TARGET_INTERFACE || !wake.name[0]) {
		act_refuse(result, "no-interface", "the incident is about no interface");
		return 0;
	}
	int error = link_connect(&wake.socket);
	if (error)
		return error;
	error = look(&wake);
	if (error == 0)
		error = watch(&wake);
	if (error == 0) {
		say_plan(&wake);
		if (request->verb == REMEDY_VERB_APPLY)
			act_now(&wake);
	}
	nl_socket_free(wake.socket);
	return error < 0 ? error : 0;
}

static int check(const struct remedy_request *request, struct remedy_result *result)
{
	struct nl_sock *socket;
	struct link_facts facts;
	(void)request;
	int error = link_connect(&socket);
	if (error == 0) {
		error = link_look(socket, "lo", &facts);
		nl_socket_free(socket);
	}
	result->armed = error == 0;
	if (error)
		snprintf(result->why, sizeof(result->why), "the kernel does not tell of its interfaces: %s", strerror(-error));
	return 0;
}

#define ARGUMENT(member_) MEMBER(union remedy_args, member_)

static const struct setting restart_interface_settings[] = {
	{ .name = "watch", .type = VALUE_DURATION, ARGUMENT(restart_interface.watch_ns), .min = NSEC_PER_SEC, .max = 300.0 * NSEC_PER_SEC, .initial = "5s",
	  .help = "how long it is watched first: one packet that it receives, and it is left alone" },
	{ .name = "down", .type = VALUE_DURATION, ARGUMENT(restart_interface.down_ns), .min = 10 * NSEC_PER_MSEC, .max = 5.0 * NSEC_PER_SEC, .initial = "500ms",
	  .help = "how long it is down" },
	{ .name = "even_default_route", .type = VALUE_BOOL, ARGUMENT(restart_interface.even_default_route), .initial = "false",
	  .help = "also where the way out of this node leads through it" },
};
static const struct section arguments = SECTION("restart-interface", "Takes an interface down and up again that sends and hears nothing.", restart_interface_settings);

static const char *problem_of(const union remedy_args *all)
{
	const struct restart_interface_args *args = &all->restart_interface;
	if (args->watch_ns < 100 * NSEC_PER_MSEC || args->watch_ns > 300 * NSEC_PER_SEC)
		return "watch is out of its range";
	return args->down_ns > 5 * NSEC_PER_SEC ? "down is out of its range" : NULL;
}

const struct remedy restart_interface = {
	.name = "restart-interface",
	.id = REMEDY_RESTART_INTERFACE,
	.lane = LANE_SLOW,
	.help = "Takes a network interface down and up again that has a carrier, sends, and receives nothing.",
	.undo = "none is needed: it is up again, with its addresses and routes; what a program had bound to it may have to be started anew",
	.aim = AIM_FOUND,
	.applies_to = APPLIES_TO_INTERFACE,
	.effects = EFFECT_WITHIN,
	.expect_example = "{clears: true, within: 30s}",
	.arguments = &arguments,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
