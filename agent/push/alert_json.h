/* SPDX-License-Identifier: Apache-2.0 */
/* One alert as Alertmanager's v2 API takes it. */
#ifndef NODEMEND_PUSH_ALERT_JSON_H
#define NODEMEND_PUSH_ALERT_JSON_H

#include "push/notice.h"

void alert_write_json(const struct notice *notice, int64_t ends_wall_ns, struct text *out);

#endif
