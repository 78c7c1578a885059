/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of nodemend.yaml. */
#ifndef NODEMEND_CORE_CONFIG_TABLE_H
#define NODEMEND_CORE_CONFIG_TABLE_H

#include "core/value.h"

extern const struct section config_section;                                              /* into struct config */
extern const struct section act_limits_section, http_section, http_tls_section, http_auth_section, budget_section, usage_record_section, collectors_section,
	inputs_section, log_section, mask_section, protect_section, statsd_section, textfile_section; /* likewise */

/* config.c: the reader that `policies` names. */
void config_read_policies(struct reader *reader, const struct yaml_item *item, void *config);
/* config_http.c: those of http. */
void config_read_http_tls(struct reader *reader, const struct yaml_item *item, void *config);
void config_read_http_auth(struct reader *reader, const struct yaml_item *item, void *config);
void config_read_http_users(struct reader *reader, const struct yaml_item *item, void *config);

#endif
