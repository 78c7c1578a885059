/* SPDX-License-Identifier: Apache-2.0 */
/* The arguments of clean-files, for its row in the registry. */
#ifndef NODEMEND_REMEDIES_CLEAN_FILES_H
#define NODEMEND_REMEDIES_CLEAN_FILES_H

#include "core/value.h"
#include "remedy.h"

extern const struct section clean_files_arguments;
void clean_files_vet(const union remedy_args *args, uint64_t given, argument_fault *fault, void *context);
const char *clean_files_problem(const union remedy_args *args);

#endif
