#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What monit is told to run when the disk fills: the usual line for it.
find /data/app/logs -type f -name '*.log.*' -mmin +10 -delete
