/* SPDX-License-Identifier: Apache-2.0 */
/* What the host has, read without an agent and without changing anything. */
#include "cli/doctor.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <libgen.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "core/clock.h"
#include "engine_probe.h"

static void add_row(cJSON *rows, const char *name, bool ok, const char *format, ...) __attribute__((format(printf, 4, 5)));
static void add_row(cJSON *rows, const char *name, bool ok, const char *format, ...)
{
	char text[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);

	cJSON *row = cJSON_CreateObject();
	cJSON_AddStringToObject(row, "name", name);
	cJSON_AddBoolToObject(row, "ok", ok);
	cJSON_AddStringToObject(row, "text", text);
	cJSON_AddItemToArray(rows, row);
}

static void kernel(cJSON *rows)
{
	struct utsname name;
	if (uname(&name) < 0)
		return;
	char *end;
	unsigned long major = strtoul(name.release, &end, 10), minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
	bool old = major < 5 || (major == 5 && minor < 10);
	add_row(rows, "kernel", !old, "%s %s%s", name.release, name.machine, old ? ": older than 5.10, which is the oldest that is tried" : "");
}

static void btf(cJSON *rows)
{
	static const char path[] = "/sys/kernel/btf/vmlinux";
	if (access(path, R_OK) == 0)
		add_row(rows, "BTF", true, "%s", path);
	else
		add_row(rows, "BTF", false, "%s: %s: BPF programs cannot be fitted to this kernel, procfs is left", path, strerror(errno));
}

static void psi(cJSON *rows)
{
	static const char path[] = "/proc/pressure/memory";
	if (access(path, R_OK) == 0)
		add_row(rows, "PSI", true, "/proc/pressure");
	else
		add_row(rows, "PSI", false, "%s: %s (a kernel without CONFIG_PSI, or started with psi=0)", path, strerror(errno));
}

static bool is_cgroup2(const char *path)
{
	struct statfs status;
	return statfs(path, &status) == 0 && status.f_type == CGROUP2_SUPER_MAGIC;
}

static void cgroups(cJSON *rows)
{
	if (is_cgroup2("/sys/fs/cgroup"))
		add_row(rows, "cgroup", true, "v2, at /sys/fs/cgroup");
	else if (is_cgroup2("/sys/fs/cgroup/unified"))
		add_row(rows, "cgroup", true, "hybrid: v1 controllers, v2 at /sys/fs/cgroup/unified");
	else if (access("/sys/fs/cgroup/memory", F_OK) == 0 || access("/sys/fs/cgroup/cpu", F_OK) == 0)
		add_row(rows, "cgroup", true, "v1, at /sys/fs/cgroup: what v2 alone gives is absent");
	else
		add_row(rows, "cgroup", false, "none is mounted at /sys/fs/cgroup");
}

static void systemd(cJSON *rows)
{
	static const char bus[] = "/run/dbus/system_bus_socket";
	bool booted = sd_booted() > 0;
	add_row(rows, "systemd", booted, "%s", booted ? "is the service manager" : "is not the service manager here: units are unknown and cannot be restarted");
	if (access(bus, F_OK) == 0)
		add_row(rows, "D-Bus", true, "%s", bus);
	else
		add_row(rows, "D-Bus", false, "%s: %s", bus, strerror(errno));
}

static void runtimes(cJSON *rows)
{
	static const struct { const char *name, *path; } sockets[] = {
		{ "containerd", "/run/containerd/containerd.sock" }, { "cri-o", "/run/crio/crio.sock" }, { "docker", "/run/docker.sock" },
		{ "podman", "/run/podman/podman.sock" },
	};
	char found[128] = "";
	for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
		size_t length = strlen(found);
		if (access(sockets[i].path, F_OK) == 0)
			snprintf(found + length, sizeof(found) - length, "%s%s", length ? ", " : "", sockets[i].name);
	}
	add_row(rows, "containers", true, "%s", found[0] ? found : "no runtime's socket is there");
}

/* Those whose images can be pruned and whose containers can be restarted: that a socket is there says little. */
static void engines(cJSON *rows)
{
	struct engine_probe probe;
	int error = 0;
	for (uint32_t i = 0; error != -ERANGE; i++) {
		error = engine_probe(i, clock_boot_ns() + 2 * NSEC_PER_SEC, &probe);
		if (error == 0)
			add_row(rows, probe.name, probe.answers, "%s", probe.text);
	}
}

static void capabilities(cJSON *rows)
{
	static const struct { cap_value_t value; const char *name; } wanted[] = {
		{ CAP_BPF, "bpf" },			{ CAP_PERFMON, "perfmon" },	  { CAP_SYS_ADMIN, "sys_admin" },
		{ CAP_SYS_PTRACE, "sys_ptrace" },	{ CAP_SYS_RESOURCE, "sys_resource" }, { CAP_KILL, "kill" },
		{ CAP_DAC_READ_SEARCH, "dac_read_search" }, { CAP_DAC_OVERRIDE, "dac_override" }, { CAP_FOWNER, "fowner" },
		{ CAP_LEASE, "lease" },			{ CAP_SETUID, "setuid" },
	};
	char missing[256] = "";
	cap_t own = cap_get_proc();
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		cap_flag_value_t set = CAP_CLEAR;
		size_t length = strlen(missing);
		if (own && cap_get_flag(own, wanted[i].value, CAP_EFFECTIVE, &set) == 0 && set == CAP_SET)
			continue;
		snprintf(missing + length, sizeof(missing) - length, "%s%s", length ? ", " : "", wanted[i].name);
	}
	if (own)
		cap_free(own);
	if (missing[0])
		add_row(rows, "capabilities", false, "this user lacks %s", missing);
	else
		add_row(rows, "capabilities", true, "all that the agent uses");
}

void doctor_host(cJSON *rows)
{
	kernel(rows);
	btf(rows);
	psi(rows);
	cgroups(rows);
	systemd(rows);
	runtimes(rows);
	engines(rows);
	capabilities(rows);
}

void doctor_directory(cJSON *rows, const char *name, const char *path)
{
	if (access(path, W_OK | X_OK) == 0) {
		add_row(rows, name, true, "%s can be written", path);
		return;
	}
	int error = errno;
	char copy[512];
	bool fits = snprintf(copy, sizeof(copy), "%s", path) < (int)sizeof(copy);
	if (error == ENOENT && fits && access(dirname(copy), W_OK | X_OK) == 0)
		add_row(rows, name, true, "%s does not exist yet and can be made", path);
	else
		add_row(rows, name, false, "%s cannot be written: %s", path, strerror(error));
}
