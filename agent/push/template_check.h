/* SPDX-License-Identifier: Apache-2.0 */
/* The templates that a configuration names, read and checked with it: a fault in one is found by `check`, not by the first incident. */
#ifndef NODEMEND_PUSH_TEMPLATE_CHECK_H
#define NODEMEND_PUSH_TEMPLATE_CHECK_H

#include "config.h"

/* 0; or -EINVAL with at least one fault more. */
int templates_check(const struct outputs *outputs, struct config_faults *faults);

#endif
