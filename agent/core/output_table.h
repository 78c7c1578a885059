/* SPDX-License-Identifier: Apache-2.0 */
/* The words of outputs and routes: tables into include/output.h's structs. output.c reads by them. */
#ifndef NODEMEND_CORE_OUTPUT_TABLE_H
#define NODEMEND_CORE_OUTPUT_TABLE_H

#include "core/value.h"
#include "output.h"

extern const struct section output_sections[OUTPUT_KIND_COUNT]; /* what one kind alone has; into struct output */
extern const struct section delivery_section;                   /* what all kinds have; likewise */
extern const struct section route_section;                      /* into struct route */

/* output.c: the readers that the tables name. `outputs`, `routes` and `labels` read into struct config. */
void config_read_outputs(struct reader *reader, const struct yaml_item *item, void *config);
void config_read_routes(struct reader *reader, const struct yaml_item *item, void *config);
void config_read_labels(struct reader *reader, const struct yaml_item *item, void *config);
void output_read_url(struct reader *reader, const struct yaml_item *item, void *output);
void output_read_headers(struct reader *reader, const struct yaml_item *item, void *output);
void output_read_header_files(struct reader *reader, const struct yaml_item *item, void *output);

/* When all files are read: the labels that are always there; and whether routes lead somewhere. */
void outputs_finish(struct config *config);
void routes_resolve(struct config *config, struct config_faults *faults);
/* Whether each `notify` names an output that tells people. */
void notices_resolve(const struct config *config, struct config_faults *faults);

/* output_check.c: what no single value shows. `item` is the mapping that the output was read from. */
void output_check(struct reader *reader, const struct yaml_item *item, const struct output *output);
/* Why this is no address that `kind` can be sent to; NULL when it is. */
const char *output_url_problem(enum output_kind kind, const char *url);

#endif
