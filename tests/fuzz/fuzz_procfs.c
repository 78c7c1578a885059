/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parsers of /proc texts. The first byte chooses one, the rest is its text; what a parser accepts must keep its promises:
 * bounded counts, terminated strings, and no figure that contradicts another.
 */
#include <stdlib.h>
#include <string.h>

#include "collect/mount.h"
#include "collect/procfs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool so)
{
	if (!so)
		abort();
}

static bool terminated(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static void fuzz_cpu(const char *text, size_t size)
{
	static struct cpu_section section;
	uint32_t cut;
	if (cpu_parse_stat(text, size, &section, &cut) == 0)
		require(section.online > 0 && section.possible <= MAX_CPUS && cut <= section.online);
	(void)cpu_parse_loadavg(text, size, &section);
}

static void fuzz_memory(const char *text, size_t size)
{
	struct memory_section section = { 0 };
	if (memory_parse_meminfo(text, size, &section) == 0)
		require(section.total && section.total != UNKNOWN && (section.available == UNKNOWN || section.available <= section.total));
	(void)memory_parse_vmstat(text, size, &section);
}

static void fuzz_psi(const char *text, size_t size)
{
	struct psi_line some, full;
	bool has_full;
	if (psi_parse(text, size, &some, &full, &has_full) == 0)
		require(some.avg10_centi <= 10000 && full.avg300_centi <= 10000);
}

static void fuzz_disk(const char *text, size_t size)
{
	static struct disk_section section;
	if (disk_parse(text, size, &section) < 0)
		return;
	require(section.count <= MAX_DISKS);
	for (uint32_t i = 0; i < section.count; i++)
		require(terminated(section.each[i].name, NAME_LEN) && section.each[i].name[0]);
}

static void fuzz_mounts(const char *text, size_t size)
{
	static struct config config;
	static struct mount_list list;
	if (mount_select(text, size, &config, &list) < 0)
		return;
	require(list.count <= MAX_FILESYSTEMS);
	for (uint32_t i = 0; i < list.count; i++) {
		const struct mount *mount = &list.each[i];
		require(terminated(mount->mountpoint, PATH_LEN) && terminated(mount->device, PATH_LEN) &&
			terminated(mount->type, NAME_LEN));
		require(mount->mountpoint[0] == '/');
		for (uint32_t j = 0; j < i; j++)
			require(strcmp(mount->mountpoint, list.each[j].mountpoint) != 0);
	}
}

static void fuzz_interfaces(const char *text, size_t size)
{
	static struct interface_section section;
	if (interface_parse(text, size, &section) == 0)
		require(section.count <= MAX_INTERFACES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parsers[])(const char *, size_t) = {
		fuzz_cpu, fuzz_memory, fuzz_psi, fuzz_disk, fuzz_mounts, fuzz_interfaces,
	};
	if (size == 0)
		return 0;

	/* A block of its own, so that a read past the end is seen. */
	char *text = malloc(size > 1 ? size - 1 : 1);
	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	parsers[data[0] % (sizeof(parsers) / sizeof(parsers[0]))](text, size - 1);
	free(text);
	return 0;
}
