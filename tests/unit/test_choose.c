/* SPDX-License-Identifier: Apache-2.0 */
/* Whom an act is aimed at: the evidence first, then each weight, and what the record says of it. */
#include "engine_bench.h"

#include "decide/choose.h"

struct table {
	struct snapshot *snap;
	struct policy policy;
	struct finding finding;
	struct cause causes[MAX_CAUSES];
	uint32_t count;
	bool kills;
	struct selection said;
};

static int lay(void **state)
{
	struct table *table = calloc(1, sizeof(*table));
	assert_non_null(table);
	table->snap = scene_new();
	table->kills = true;
	table->finding.kind = KIND_MEMORY_EXHAUSTION;
	table->finding.target.type = TARGET_NODE;
	*state = table;
	return 0;
}

static int clear(void **state)
{
	struct table *table = *state;
	free(table->snap);
	free(table);
	return 0;
}

static struct cause *add(struct table *table, const char *comm, uint32_t share_permille)
{
	struct cause *cause = &table->causes[table->count++];
	*cause = (struct cause){ .rank = table->count, .pid = 100 + (int32_t)table->count, .start_ns = 1, .share_permille = share_permille };
	snprintf(cause->comm, sizeof(cause->comm), "%s", comm);
	return cause;
}

static struct cgroup *group_of(struct table *table, struct cause *cause, uint64_t id, const char *path)
{
	cause->cgroup_id = id;
	snprintf(cause->cgroup, sizeof(cause->cgroup), "%s", path);
	struct cgroup *group = scene_cgroup(table->snap, id, path, MIB(100));
	group->memory_low = UNKNOWN;
	return group;
}

static uint32_t run(struct table *table)
{
	const struct choosing choosing = { .policy = &table->policy, .snap = table->snap, .finding = &table->finding, .ends_processes = table->kills };
	return choose(&choosing, table->causes, table->count, &table->said);
}

static void the_evidence_decides(void **state)
{
	struct table *table = *state;
	add(table, "small", 200);
	add(table, "hog", 700);
	assert_int_equal(run(table), 2);
	assert_string_equal(table->causes[0].comm, "hog");
	assert_int_equal(table->causes[0].rank, 1);
	assert_int_equal(table->causes[1].rank, 2);
}

static void a_preference_weighs_and_does_not_decide_alone(void **state)
{
	struct table *table = *state;
	struct preferences *victims = &table->policy.victims;
	victims->prefer_count = 1;
	strcpy(victims->prefer[0], "batch*");
	add(table, "web", 500);
	add(table, "batch-7", 200);
	assert_int_equal(run(table), 2);
	assert_string_equal(table->causes[0].comm, "batch-7"); /* 200 times 4 */

	table->count = 0;
	add(table, "web", 900);
	add(table, "batch-7", 60);
	run(table);
	assert_string_equal(table->causes[0].comm, "web");
}

static void who_is_to_be_avoided_needs_eight_times_the_evidence(void **state)
{
	struct table *table = *state;
	struct preferences *victims = &table->policy.victims;
	victims->avoid_count = 2;
	strcpy(victims->avoid[0], "/machine.slice/*");
	strcpy(victims->avoid[1], "db.service");
	strcpy(add(table, "postgres", 600)->unit, "db.service");
	add(table, "other", 100);
	run(table);
	assert_string_equal(table->causes[0].comm, "other");

	table->count = 0;
	group_of(table, add(table, "guest", 600), 7, "/machine.slice/vm-1/emulator");
	add(table, "other", 100);
	run(table);
	assert_string_equal(table->causes[0].comm, "other");

	table->count = 0;
	group_of(table, add(table, "guest", 890), 8, "/machine.slice/vm-1");
	add(table, "other", 100);
	run(table);
	assert_string_equal(table->causes[0].comm, "guest");
}

static void classes_of_service_weigh(void **state)
{
	struct table *table = *state;
	group_of(table, add(table, "paid", 400), 7, "/kubepods.slice/kubepods-pod1.slice/cri-containerd-a.scope");
	group_of(table, add(table, "free", 300), 8, "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod2.slice/cri-containerd-b.scope");
	group_of(table, add(table, "some", 250), 9, "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod3.slice/cri-containerd-c.scope");
	run(table);
	assert_string_equal(table->causes[0].comm, "free"); /* 450, 250, 200 */
	assert_string_equal(table->causes[1].comm, "some");
}

static void what_the_kernel_was_told_counts_for_kills_only(void **state)
{
	struct table *table = *state;
	add(table, "shy", 600)->oom_score_adj = -900;
	add(table, "other", 200);
	run(table);
	assert_string_equal(table->causes[0].comm, "other");

	table->count = 0;
	table->kills = false;
	add(table, "shy", 600)->oom_score_adj = -900;
	add(table, "other", 200);
	run(table);
	assert_string_equal(table->causes[0].comm, "shy");
}

static void the_kernels_never_is_ours(void **state)
{
	struct table *table = *state;
	add(table, "sacred", 1000)->oom_score_adj = -1000;
	assert_int_equal(run(table), 0);
	/* Where the policy is about it, there is nobody else. */
	table->finding.target.type = TARGET_PROCESS;
	assert_int_equal(run(table), 1);
}

static void who_is_within_its_promise_is_not_what_the_node_lacks(void **state)
{
	struct table *table = *state;
	struct cgroup *group = group_of(table, add(table, "promised", 600), 7, "/a");
	group->memory_low = MIB(200);
	group->memory_current = MIB(150);
	add(table, "other", 200);
	run(table);
	assert_string_equal(table->causes[0].comm, "other");

	group->memory_current = MIB(250); /* beyond it */
	table->count = 0;
	struct cause *cause = add(table, "promised", 600);
	cause->cgroup_id = 7;
	add(table, "other", 200);
	run(table);
	assert_string_equal(table->causes[0].comm, "promised");
}

/* A cgroup at its own limit: what it does to itself is no trouble of the node. */
static void who_does_it_to_itself_is_not_punished_for_the_node(void **state)
{
	struct table *table = *state;
	add(table, "limited", 1000)->self_inflicted = true;
	assert_int_equal(run(table), 0);
	assert_int_equal(table->said.count, 0);
	table->finding.target.type = TARGET_CGROUP; /* where the policy is about that very cgroup it may */
	assert_int_equal(run(table), 1);
}

/* Its own pressure is what a cgroup suffers, and no reason to choose it. */
static void suffering_is_no_evidence(void **state)
{
	struct table *table = *state;
	struct cgroup *sufferer = group_of(table, add(table, "sufferer", 300), 7, "/sufferer");
	sufferer->some_avg10_centi[PSI_MEMORY] = sufferer->full_avg10_centi[PSI_MEMORY] = 9000;
	group_of(table, add(table, "inflictor", 400), 8, "/inflictor");
	run(table);
	assert_string_equal(table->causes[0].comm, "inflictor");
}

static void the_record_says_scores_margin_and_what_would_have_changed_it(void **state)
{
	struct table *table = *state;
	table->policy.victims.avoid_count = 1;
	strcpy(table->policy.victims.avoid[0], "db");
	add(table, "hog", 500);
	add(table, "db", 400);
	add(table, "third", 100);
	run(table);
	assert_int_equal(table->said.count, 3);
	assert_string_equal(table->said.each[0].comm, "hog");
	assert_int_equal(table->said.each[0].score, 500);
	assert_string_equal(table->said.each[1].comm, "third");
	assert_int_equal(table->said.each[2].score, 50);
	assert_non_null(strstr(table->said.each[2].why, "avoided: times 0.125"));
	assert_string_equal(table->said.each[0].why, "");
	assert_int_equal(table->said.margin_permille, 800);
	assert_string_equal(table->said.otherwise, "third would have been chosen from a share of 50.0 % on, and had 10.0 %");

	table->count = 0;
	add(table, "alone", 900);
	run(table);
	assert_string_equal(table->said.otherwise, "nobody else was to be had");
	assert_int_equal(table->said.margin_permille, 1000);
}

static void a_preferred_one_is_said_to_be_so(void **state)
{
	struct table *table = *state;
	table->policy.victims.prefer_count = 1;
	strcpy(table->policy.victims.prefer[0], "batch");
	add(table, "web", 500);
	add(table, "batch", 400);
	run(table);
	assert_string_equal(table->causes[0].comm, "batch");
	assert_non_null(strstr(table->said.otherwise, "with equal weights batch"));
}

/* --- in the engine ------------------------------------------------------------------------------------------------------- */

static const char of_node[] =
	"policies:\n"
	"  - name: node\n"
	"    mode: enforce\n"
	"    when: {all: [{memory: {available_percent: {below: 5}}}, {psi: {resource: memory, some: 20, window: interval}}]}\n"
	"    do:\n"
	"      - terminate: {scope: process}\n"
	"        expect: {exited: 1, within: 5s}\n"
	"    victims: {avoid: [hog]}\n"
	"    limits: {cooldown: 60s, per_target: 3/1h, per_node: 5/1d}\n";

static void of_the_node(struct bench *bench)
{
	struct finding *finding = &bench->findings->each[0];
	*finding = (struct finding){ .kind = KIND_MEMORY_EXHAUSTION, .verdict = VERDICT_TRUE, .target = { .type = TARGET_NODE, .name = "memory" } };
	snprintf(finding->key, sizeof(finding->key), "node:memory");
	bench->findings->count = 1;
}

static void the_order_carries_the_choice(void **state)
{
	(void)state;
	struct bench bench = set_up(of_node);
	of_the_node(&bench);
	assert_int_equal(tick(&bench, 1), 1);
	const struct order *order = &bench.engine->orders[bench.changes->orders[0]];
	assert_int_equal(order->request.candidate_count, 2);
	assert_string_equal(order->request.candidates[0].comm, "pig"); /* as large, and not to be avoided */
	assert_int_equal(order->action.choice.count, 2);
	assert_string_equal(order->action.choice.each[0].comm, "pig");
	assert_int_equal(order->request.args.terminate.scope, TERMINATE_PROCESS);
	tear_down(&bench);
}

/* memory.oom.group: a process of it is no use without the others. */
static void one_of_an_oom_group_ends_with_all_of_it(void **state)
{
	(void)state;
	struct bench bench = set_up(of_node);
	bench.snap->processes.each[1].cgroup_id = 9;
	scene_cgroup(bench.snap, 9, "/pod", MIB(200))->oom_group = true;
	of_the_node(&bench);
	assert_int_equal(tick(&bench, 1), 1);
	assert_int_equal(bench.engine->orders[bench.changes->orders[0]].request.args.terminate.scope, TERMINATE_CGROUP);
	tear_down(&bench);
}

#define AT_A_TABLE(test_) cmocka_unit_test_setup_teardown(test_, lay, clear)

int main(void)
{
	const struct CMUnitTest tests[] = {
		AT_A_TABLE(the_evidence_decides),
		AT_A_TABLE(a_preference_weighs_and_does_not_decide_alone),
		AT_A_TABLE(who_is_to_be_avoided_needs_eight_times_the_evidence),
		AT_A_TABLE(classes_of_service_weigh),
		AT_A_TABLE(what_the_kernel_was_told_counts_for_kills_only),
		AT_A_TABLE(the_kernels_never_is_ours),
		AT_A_TABLE(who_is_within_its_promise_is_not_what_the_node_lacks),
		AT_A_TABLE(who_does_it_to_itself_is_not_punished_for_the_node),
		AT_A_TABLE(suffering_is_no_evidence),
		AT_A_TABLE(the_record_says_scores_margin_and_what_would_have_changed_it),
		AT_A_TABLE(a_preferred_one_is_said_to_be_so),
		cmocka_unit_test(the_order_carries_the_choice),
		cmocka_unit_test(one_of_an_oom_group_ends_with_all_of_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
