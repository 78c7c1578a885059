/* SPDX-License-Identifier: Apache-2.0 */
/* The directories that are never cleaned, by what they are and not by what they are called; remedy.h has the list by name. */
#ifndef NODEMEND_REMEDIES_PROTECTED_ROOT_H
#define NODEMEND_REMEDIES_PROTECTED_ROOT_H

#include "remedy.h"

struct stat;

/* Why this directory, which is the root of a clean-up or lies on the way to it, forbids the clean-up; NULL when it does not. */
const char *protected_directory(const struct stat *found, bool is_root);

#endif
