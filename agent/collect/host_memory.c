/* SPDX-License-Identifier: Apache-2.0 */
/* Every line of /proc/meminfo, and of /proc/vmstat those that node_exporter takes by default. */
#include "collect/host.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

/* "Active(anon)" is node_memory_Active_anon_bytes, "HugePages_Total", which has no unit, node_memory_HugePages_Total. */
static bool memory_name(const struct span *word, const char *unit, char *ret, size_t size)
{
	char name[64];
	size_t length = span_copy(word, name, sizeof(name)), to = 0;
	if (length < 2 || length >= sizeof(name) || name[length - 1] != ':')
		return false;
	name[length - 1] = '\0';
	for (size_t from = 0; name[from]; from++) {
		if (name[from] == ')')
			continue;
		name[to++] = name[from] == '(' ? '_' : name[from];
	}
	name[to] = '\0';
	snprintf(ret, size, "node_memory_%s%s", name, unit);
	return true;
}

int host_read_meminfo(struct host *host)
{
	struct span text, line, word;
	int error = host_lines(host, host->proc_fd, "meminfo", &text);
	if (error)
		return error;

	while (span_line(&text, &line)) {
		char family[96];
		uint64_t value;
		struct span name, unit;
		if (!span_word(&line, &name) || !span_word(&line, &word) || !span_number(&word, &value))
			continue;
		bool in_kib = span_word(&line, &unit) && span_is(&unit, "kB");
		if (memory_name(&name, in_kib ? "_bytes" : "", family, sizeof(family)))
			host_put(host, family, SERIES_GAUGE, (double)value * (in_kib ? 1024 : 1), HOST_NONE);
	}
	return 0;
}

/* ^(oom_kill|pgpg|pswp|pg.*fault).* */
static bool is_wanted(const char *name)
{
	static const char *const wanted[] = { "oom_kill*", "pgpg*", "pswp*", "pg*fault*" };

	if (name[0] != 'o' && name[0] != 'p')
		return false;
	for (size_t i = 0; i < HOST_COUNT(wanted); i++)
		if (fnmatch(wanted[i], name, 0) == 0)
			return true;
	return false;
}

int host_read_vmstat(struct host *host)
{
	struct span text, line, word;
	int error = host_lines(host, host->proc_fd, "vmstat", &text);
	if (error)
		return error;

	while (span_line(&text, &line)) {
		char name[64], family[96];
		uint64_t value;
		if (!span_word(&line, &word) || span_copy(&word, name, sizeof(name)) >= sizeof(name) || !is_wanted(name) ||
		    !span_next_number(&line, &value))
			continue;
		snprintf(family, sizeof(family), "node_vmstat_%s", name);
		host_put(host, family, SERIES_UNTYPED, (double)value, HOST_NONE);
	}
	return 0;
}
