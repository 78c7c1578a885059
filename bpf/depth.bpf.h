/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The gate that the agent turns while a program runs: how deep to look (enum depth of include/collector.h). One word of the
 * object's .data, which the agent has mapped: `skel->data->depth = …`. DEPTH_OFF is no value here: what is off is detached.
 */
#ifndef NODEMEND_DEPTH_BPF_H
#define NODEMEND_DEPTH_BPF_H

#include "core.bpf.h"

enum { AT_COUNTS = 1, AT_HISTOGRAMS = 2, AT_DEEP = 3 };

volatile __u32 depth SEC(".data") = AT_HISTOGRAMS;

static __always_inline bool keeps_histograms(void)
{
	return depth >= AT_HISTOGRAMS;
}

static __always_inline bool looks_deep(void)
{
	return depth >= AT_DEEP;
}

#endif
