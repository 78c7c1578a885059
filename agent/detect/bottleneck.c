/* SPDX-License-Identifier: Apache-2.0 */
/* See bottleneck.h: measuring each resource, choosing one, and the sentence with its evidence. */
#include "detect/bottleneck.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *const resource_kind_names[RESOURCE_KIND_COUNT] = {
	[RESOURCE_CPU] = "cpu", [RESOURCE_MEMORY] = "memory", [RESOURCE_DISK] = "disk", [RESOURCE_NETWORK] = "network",
};

/*
 * From which use and which waiting on a resource limits the node. Waiting decides: a share of a tenth to a fifth of the time is what people
 * notice, and an idle node stays below a hundredth. The use keeps apart from it what waits for something else: a
 * throttled cgroup waits for a processor on an idle node, a disk that sleeps between two requests limits nobody. Memory has no such floor:
 * a node that thrashes may well have an eighth of it "available".
 */
static const struct {
	double utilisation, saturation;
} limits_from[RESOURCE_KIND_COUNT] = {
	[RESOURCE_CPU] = { 0.8, 0.2 },
	[RESOURCE_MEMORY] = { 0.5, 0.1 },
	[RESOURCE_DISK] = { 0.8, 1.5 },
	[RESOURCE_NETWORK] = { 0.85, -1 },  /* a full link limits whoever sends, dropped packets or not */
};

static double psi_some(const struct snapshot *snap, enum psi_resource resource)
{
	return snapshot_is_fresh(snap, snap->psi.measured_ns) ? snap->psi.some[resource].avg10_centi / 1e4 : -1;
}

/* --- measuring --------------------------------------------------------------------------------------------------------- */

static struct resource_use *add(struct bottleneck_section *section, enum resource_kind kind, const char *name)
{
	if (section->count == MAX_RESOURCES) {
		section->cut++;
		return NULL;
	}
	struct resource_use *use = &section->each[section->count++];
	*use = (struct resource_use){ .kind = kind, .utilisation = -1, .saturation = -1, .errors = UNKNOWN };
	snprintf(use->name, sizeof(use->name), "%.31s", name);
	return use;
}

static void measure_cpu(const struct snapshot *snap, struct bottleneck_section *section)
{
	struct resource_use *use = add(section, RESOURCE_CPU, "");
	if (!snapshot_is_fresh(snap, snap->cpu.measured_ns) || snap->cpu.used_permille == UINT32_MAX)
		return;
	use->utilisation = snap->cpu.used_permille / 1e3;
	use->saturation = psi_some(snap, PSI_CPU);
	/* A kernel without pressure figures still counts who is runnable. */
	if (use->saturation < 0 && snap->cpu.online)
		use->saturation = snap->cpu.running > snap->cpu.online ? 1.0 - (double)snap->cpu.online / snap->cpu.running : 0;
}

static void measure_memory(const struct snapshot *snap, struct bottleneck_section *section)
{
	struct resource_use *use = add(section, RESOURCE_MEMORY, "");
	const struct memory_section *memory = &snap->memory;
	if (!snapshot_is_fresh(snap, memory->measured_ns) || memory->total == UNKNOWN || memory->available == UNKNOWN || !memory->total)
		return;
	use->utilisation = 1 - (double)memory->available / (double)memory->total;
	use->saturation = psi_some(snap, PSI_MEMORY);
	use->errors = memory->oom_kill;
}

static uint64_t disk_errors(const struct snapshot *snap, uint32_t dev)
{
	uint64_t errors = UNKNOWN;
	for (uint32_t i = 0; i < snap->block_stats.count && snapshot_is_fresh(snap, snap->block_stats.measured_ns); i++) {
		const struct block_stat *stat = &snap->block_stats.each[i];
		for (int e = 0; stat->dev == dev && e < BLOCK_ERROR_COUNT; e++)
			errors = (errors == UNKNOWN ? 0 : errors) + stat->counts.errors[e];
	}
	return errors;
}

static double disk_queue(const struct snapshot *snap, const struct disk *disk)
{
	for (uint32_t i = 0; i < snap->block_devices.count && snapshot_is_fresh(snap, snap->block_devices.measured_ns); i++)
		if (snap->block_devices.each[i].dev == disk->dev && snap->block_devices.each[i].mean_in_flight_milli != UINT32_MAX)
			return snap->block_devices.each[i].mean_in_flight_milli / 1e3;
	return (double)disk->in_flight;
}

/* Disks that do nothing would only push others out of the list. */
static void measure_disks(const struct snapshot *snap, struct bottleneck_section *section)
{
	for (uint32_t i = 0; i < snap->disks.count && snapshot_is_fresh(snap, snap->disks.measured_ns); i++) {
		const struct disk *disk = &snap->disks.each[i];
		if (!disk->reads && !disk->writes)
			continue;
		struct resource_use *use = add(section, RESOURCE_DISK, disk->name);
		if (!use)
			continue;
		use->utilisation = disk->busy_permille / 1e3;
		use->saturation = disk_queue(snap, disk);
		use->errors = disk_errors(snap, disk->dev);
	}
}

static const struct resource_use *find(const struct bottleneck_section *section, enum resource_kind kind, const char *name)
{
	for (uint32_t i = 0; i < section->count; i++)
		if (section->each[i].kind == kind && strncmp(section->each[i].name, name, RESOURCE_NAME_LEN - 1) == 0)
			return &section->each[i];
	return NULL;
}

static void measure_links(const struct snapshot *snap, const struct bottleneck_section *last, struct bottleneck_section *section)
{
	double seconds = (double)snap->elapsed_ns / 1e9;
	for (uint32_t i = 0; i < snap->interfaces.count && snapshot_is_fresh(snap, snap->interfaces.measured_ns); i++) {
		const struct interface *link = &snap->interfaces.each[i];
		if (!link->up || !(link->rx_packets || link->tx_packets) || strcmp(link->name, "lo") == 0)
			continue;
		struct resource_use *use = add(section, RESOURCE_NETWORK, link->name);
		if (!use)
			continue;
		uint64_t bytes = link->rx_delta_bytes > link->tx_delta_bytes ? link->rx_delta_bytes : link->tx_delta_bytes;
		if (link->speed_bits != UNKNOWN && link->speed_bits && seconds > 0)
			use->utilisation = (double)bytes * 8 / seconds / (double)link->speed_bits;
		const struct resource_use *before = find(last, RESOURCE_NETWORK, link->name);
		use->drops = link->rx_dropped + link->tx_dropped;
		if (before && seconds > 0)
			use->saturation = use->drops > before->drops ? (double)(use->drops - before->drops) / seconds : 0;
		use->errors = link->rx_errors + link->tx_errors;
	}
}

/* --- choosing ---------------------------------------------------------------------------------------------------------- */

static bool limits(const struct resource_use *use)
{
	return use->utilisation >= limits_from[use->kind].utilisation && use->saturation >= limits_from[use->kind].saturation;
}

/*
 * By the share of time that is lost to it. Memory counts twice: a node that is short of it waits for its disks and its processors, too,
 * and more of either would not help.
 */
static double weight(const struct snapshot *snap, const struct resource_use *use)
{
	double io = psi_some(snap, PSI_IO);
	switch (use->kind) {
	case RESOURCE_MEMORY:
		return 2 * use->saturation;
	case RESOURCE_CPU:
		return use->saturation;
	case RESOURCE_DISK:
		return (io < 0 ? 0.5 : io) * use->utilisation;
	default:
		return use->utilisation / 2; /* nobody counts who waits for a link */
	}
}

static int32_t choose(const struct snapshot *snap, const struct bottleneck_section *section)
{
	int32_t best = NOTHING_LIMITS;
	for (uint32_t i = 0; i < section->count; i++)
		if (limits(&section->each[i]) && (best < 0 || weight(snap, &section->each[i]) > weight(snap, &section->each[best])))
			best = (int32_t)i;
	return best;
}

/* --- saying ------------------------------------------------------------------------------------------------------------ */

struct consumer {
	uint64_t most, all, cgroup_id;
};

static void consume(struct consumer *consumer, uint64_t cgroup_id, uint64_t amount)
{
	consumer->all += amount;
	if (amount <= consumer->most)
		return;
	consumer->most = amount;
	consumer->cgroup_id = cgroup_id;
}

static void consumers_of_disk(const struct snapshot *snap, const char *name, struct consumer *consumer)
{
	uint32_t dev = UINT32_MAX;
	for (uint32_t i = 0; i < snap->disks.count; i++)
		if (strncmp(snap->disks.each[i].name, name, RESOURCE_NAME_LEN - 1) == 0)
			dev = snap->disks.each[i].dev;
	const struct block_group_section *groups = &snap->block_groups;
	/* A cgroup has a row for each operation and each way it is known by: they are added up. Few have done anything of late. */
	for (uint32_t i = 0; i < groups->count && snapshot_is_fresh(snap, groups->measured_ns); i++) {
		uint64_t bytes = 0;
		if (groups->each[i].dev != dev || !groups->each[i].recent_bytes)
			continue;
		for (uint32_t j = 0; j < groups->count; j++)
			if (groups->each[j].dev == dev && groups->each[j].cgroup_id == groups->each[i].cgroup_id)
				bytes += groups->each[j].recent_bytes;
		consumer->all += groups->each[i].recent_bytes;
		if (bytes > consumer->most && groups->each[i].cgroup_id) {
			consumer->most = bytes;
			consumer->cgroup_id = groups->each[i].cgroup_id;
		}
	}
}

static void consumers_of(const struct snapshot *snap, const struct resource_use *use, struct consumer *consumer)
{
	if (use->kind == RESOURCE_DISK)
		consumers_of_disk(snap, use->name, consumer);
	for (uint32_t i = 0; i < snap->cgroups.count; i++) {
		const struct cgroup *cgroup = &snap->cgroups.each[i];
		if (use->kind == RESOURCE_CPU)
			consume(consumer, cgroup->id, cgroup->cpu_recent_ns);
		else if (use->kind == RESOURCE_MEMORY)
			consume(consumer, cgroup->id, cgroup->rss_bytes);
	}
}

struct sentence {
	char *text;
	size_t used;
};

static void say(struct sentence *sentence, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct sentence *sentence, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(sentence->text + sentence->used, BOTTLENECK_SENTENCE_LEN - sentence->used, format, arguments);
	va_end(arguments);
	sentence->used += length > 0 ? (size_t)length : 0;
	if (sentence->used >= BOTTLENECK_SENTENCE_LEN)
		sentence->used = BOTTLENECK_SENTENCE_LEN - 1;
}

static void say_evidence(const struct snapshot *snap, const struct resource_use *use, struct sentence *sentence)
{
	double io = psi_some(snap, PSI_IO);
	switch (use->kind) {
	case RESOURCE_CPU:
		say(sentence, "cpu: %.0f %% used, %u runnable on %u processors, tasks waited for one %.0f %% of the last 10 s", 100 * use->utilisation,
		    snap->cpu.running, snap->cpu.online, 100 * use->saturation);
		break;
	case RESOURCE_MEMORY:
		say(sentence, "memory: %.0f %% used, tasks waited for it %.0f %% of the last 10 s", 100 * use->utilisation, 100 * use->saturation);
		break;
	case RESOURCE_DISK:
		say(sentence, "disk %s: %.0f %% busy, %.1f requests at it on average", use->name, 100 * use->utilisation, use->saturation);
		if (io >= 0)
			say(sentence, ", tasks waited for I/O %.0f %% of the last 10 s", 100 * io);
		break;
	default:
		say(sentence, "network %s: %.0f %% of its speed, %.0f packets dropped a second", use->name, 100 * use->utilisation,
		    use->saturation > 0 ? use->saturation : 0);
	}
}

static void say_consumer(const struct snapshot *snap, const struct resource_use *use, struct sentence *sentence)
{
	static const char *const does[RESOURCE_KIND_COUNT] = {
		[RESOURCE_CPU] = "uses", [RESOURCE_MEMORY] = "holds", [RESOURCE_DISK] = "reads and writes", [RESOURCE_NETWORK] = "",
	};
	struct consumer consumer = { 0 };
	consumers_of(snap, use, &consumer);
	const struct cgroup *cgroup = consumer.most ? snapshot_cgroup(snap, consumer.cgroup_id) : NULL;
	if (cgroup && cgroup->path[0])
		say(sentence, "; %.100s %s %.0f %% of what is %s", cgroup->path, does[use->kind], 100.0 * (double)consumer.most / (double)consumer.all,
		    use->kind == RESOURCE_DISK ? "transferred" : "used");
}

void bottleneck_find(const struct snapshot *snap, struct bottleneck_section *section)
{
	const struct bottleneck_section last = *section;
	struct sentence sentence = { section->sentence, 0 };

	section->count = section->cut = 0;
	measure_cpu(snap, section);
	measure_memory(snap, section);
	measure_disks(snap, section);
	measure_links(snap, &last, section);
	section->limiting = choose(snap, section);
	section->measured_ns = snap->boot_ns;

	if (section->limiting != NOTHING_LIMITS) {
		say_evidence(snap, &section->each[section->limiting], &sentence);
		say_consumer(snap, &section->each[section->limiting], &sentence);
	} else if (section->each[0].utilisation < 0 || section->each[1].utilisation < 0) {
		say(&sentence, "what limits the node is not known: %s is not measured", section->each[0].utilisation < 0 ? "cpu" : "memory");
	} else {
		say(&sentence, "nothing limits the node");
	}
}
