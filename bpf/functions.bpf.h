/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* For programs at functions, which stay attached while their collector is off: agent/collect/hooks.h says why. */
#ifndef NODEMEND_FUNCTIONS_BPF_H
#define NODEMEND_FUNCTIONS_BPF_H

#include "core.bpf.h"

volatile bool functions_on SEC(".data") = true;

#endif
