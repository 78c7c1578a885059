/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a policy: conditions, remedies' arguments, expectations, limits. policy.c reads policies by them. */
#ifndef NODEMEND_CORE_POLICY_TABLE_H
#define NODEMEND_CORE_POLICY_TABLE_H

#include "core/value.h"
#include "policy.h"

extern const struct section policy_section;                             /* into struct policy */
extern const struct section limits_section, blocked_by_section, victims_section; /* into struct policy */
extern const struct section predicate_section;                          /* the words that may stand in `when`; reads nothing by itself */
extern const struct section condition_sections[CONDITION_KIND_COUNT];   /* into struct condition */
extern const struct section probe_section;                              /* into struct probe */
extern const struct section ready_section;                              /* into struct probe */
extern const struct section step_section;                               /* into struct remedy_step; beside its words stand the remedies' names */
extern const struct section expect_section;                             /* into struct effect; tag: its EFFECT_ bit */

/* Appends the policies of a list to the configuration; for the `policies` key. `shipped`: they are the embedded ones. */
void policies_read(struct reader *reader, const struct yaml_item *list, struct config *config, bool shipped);

/* policy.c and policy_check.c: custom readers that the tables name. */
void policy_read_when(struct reader *reader, const struct yaml_item *item, void *policy);
void policy_read_do(struct reader *reader, const struct yaml_item *item, void *policy);
void policy_read_remedy(struct reader *reader, const struct yaml_item *item, void *step);
void policy_read_expect(struct reader *reader, const struct yaml_item *item, void *step);
void policy_read_probe(struct reader *reader, const struct yaml_item *item, void *condition);
void policy_read_command(struct reader *reader, const struct yaml_item *item, void *probe);
/* policy_liveness.c: into struct condition. */
void policy_read_condition_command(struct reader *reader, const struct yaml_item *item, void *condition);
void policy_read_log_patterns(struct reader *reader, const struct yaml_item *item, void *condition);
void policy_read_signals(struct reader *reader, const struct yaml_item *item, void *condition);
void policy_read_exit_codes(struct reader *reader, const struct yaml_item *item, void *condition);
void policy_read_status(struct reader *reader, const struct yaml_item *item, void *condition);
/* What follows from what was given, and rules between values, of the kinds log, crash, hung and probe. */
void policy_finish_liveness(struct reader *reader, const struct yaml_item *item, struct condition *condition);

/* policy_step.c: `ready` into union remedy_args; what the steps take from the condition where they do not say; and what they need of it. */
void policy_read_ready(struct reader *reader, const struct yaml_item *item, void *args);
void policy_finish_steps(struct policy *policy);
void policy_check_aims(struct reader *reader, const struct yaml_item *steps, const struct policy *policy);
/* policy_check.c: what no single value shows. `item` is the mapping that the value was read from. */
void policy_check(struct reader *reader, const struct yaml_item *item, const struct policy *policy);
void policies_check_alerts(const struct config *config, struct config_faults *faults);
/* Over all policies up to this one, which is the last. */
void policy_check_logs(struct reader *reader, const struct yaml_item *item, const struct config *config, const struct policy *policy);
void policy_check_condition(struct reader *reader, const struct yaml_item *item, const struct condition *condition);
void policy_check_step(struct reader *reader, const struct yaml_item *item, const struct remedy_step *step, uint64_t given);

/*
 * One remedy's arguments without a policy, for `apply`: fill in the defaults, then set them by their names (a list grows by one at
 * each call), which marks the bit in `given`. 0; or -EINVAL and in `why` what would be right. remedy_args_check: the rules that hold for
 * the whole.
 */
void remedy_args_defaults(enum remedy_id remedy, union remedy_args *ret);
int remedy_args_set(enum remedy_id remedy, const char *name, const char *text, union remedy_args *args, uint64_t *given, char why[VALUE_WHY_LEN]);
int remedy_args_check(enum remedy_id remedy, const union remedy_args *args, uint64_t given, char why[VALUE_WHY_LEN]);

#endif
