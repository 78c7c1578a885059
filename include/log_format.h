/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NODEMEND_LOG_FORMAT_H
#define NODEMEND_LOG_FORMAT_H

/* In the order of the words for them. */
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON, LOG_FORMAT_JOURNALD, LOG_FORMAT_COUNT };

#endif
