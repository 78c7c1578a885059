/* SPDX-License-Identifier: Apache-2.0 */
/* NFS, client and server: /proc/net/rpc/nfs and nfsd, lines of a keyword and its numbers. */
#include "collect/host.h"

#include <errno.h>
#include <string.h>

enum { MOST_NUMBERS = 96 };

/* In the kernel's order of procedures; NULL is not shown. */
static const char *const methods2[] = {
	"Null", "GetAttr", "SetAttr", "Root", "Lookup", "ReadLink", "Read", "WrCache", "Write", "Create", "Remove", "Rename", "Link",
	"SymLink", "MkDir", "RmDir", "ReadDir", "FsStat",
};
static const char *const methods3[] = {
	"Null", "GetAttr", "SetAttr", "Lookup", "Access", "ReadLink", "Read", "Write", "Create", "MkDir", "SymLink", "MkNod", "Remove",
	"RmDir", "Rename", "Link", "ReadDir", "ReadDirPlus", "FsStat", "FsInfo", "PathConf", "Commit",
};
static const char *const methods4[] = {
	"Null", "Read", "Write", "Commit", "Open", "OpenConfirm", "OpenNoattr", "OpenDowngrade", "Close", "Setattr", "FsInfo", "Renew",
	"SetClientID", "SetClientIDConfirm", "Lock", "Lockt", "Locku", "Access", "Getattr", "Lookup", "LookupRoot", "Remove", "Rename",
	"Link", "Symlink", "Create", "Pathconf", "StatFs", "ReadLink", "ReadDir", "ServerCaps", "DelegReturn", "GetACL", "SetACL",
	"FsLocations", "ReleaseLockowner", "Secinfo", "FsidPresent", "ExchangeID", "CreateSession", "DestroySession", "Sequence",
	"GetLeaseTime", "ReclaimComplete", "LayoutGet", "GetDeviceInfo", "LayoutCommit", "LayoutReturn", "SecinfoNoName", "TestStateID",
	"FreeStateID", "GetDeviceList", "BindConnToSession", "DestroyClientID", "Seek", "Allocate", "DeAllocate", "LayoutStats", "Clone",
};
static const char *const operations4[] = {
	NULL, NULL, NULL, "Access", "Close", "Commit", "Create", "DelegPurge", "DelegReturn", "GetAttr", "GetFH", "Link", "Lock", "Lockt",
	"Locku", "Lookup", "LookupRoot", "Nverify", "Open", "OpenAttr", "OpenConfirm", "OpenDgrd", "PutFH", NULL, NULL, "Read", "ReadDir",
	"ReadLink", "Remove", "Rename", "Renew", "RestoreFH", "SaveFH", "SecInfo", "SetAttr", NULL, NULL, "Verify", "Write",
	"RelLockOwner",
};

/* One number of a line by its place. */
struct figure {
	const char *keyword, *family;
	uint32_t place;
	enum series_type type;
	struct host_label label;
};

static const struct figure client_figures[] = {
	{ "net", "node_nfs_packets_total", 1, SERIES_COUNTER, { "protocol", "udp" } },
	{ "net", "node_nfs_packets_total", 2, SERIES_COUNTER, { "protocol", "tcp" } },
	{ "net", "node_nfs_connections_total", 3, SERIES_COUNTER, { 0 } },
	{ "rpc", "node_nfs_rpcs_total", 0, SERIES_COUNTER, { 0 } },
	{ "rpc", "node_nfs_rpc_retransmissions_total", 1, SERIES_COUNTER, { 0 } },
	{ "rpc", "node_nfs_rpc_authentication_refreshes_total", 2, SERIES_COUNTER, { 0 } },
};

static const struct figure server_figures[] = {
	{ "rc", "node_nfsd_reply_cache_hits_total", 0, SERIES_COUNTER, { 0 } },
	{ "rc", "node_nfsd_reply_cache_misses_total", 1, SERIES_COUNTER, { 0 } },
	{ "rc", "node_nfsd_reply_cache_nocache_total", 2, SERIES_COUNTER, { 0 } },
	{ "fh", "node_nfsd_file_handles_stale_total", 0, SERIES_COUNTER, { 0 } },
	{ "io", "node_nfsd_disk_bytes_read_total", 0, SERIES_COUNTER, { 0 } },
	{ "io", "node_nfsd_disk_bytes_written_total", 1, SERIES_COUNTER, { 0 } },
	{ "th", "node_nfsd_server_threads", 0, SERIES_GAUGE, { 0 } },
	{ "ra", "node_nfsd_read_ahead_cache_size_blocks", 0, SERIES_GAUGE, { 0 } },
	{ "ra", "node_nfsd_read_ahead_cache_not_found_total", 11, SERIES_COUNTER, { 0 } },
	{ "net", "node_nfsd_packets_total", 1, SERIES_COUNTER, { "proto", "udp" } },
	{ "net", "node_nfsd_packets_total", 2, SERIES_COUNTER, { "proto", "tcp" } },
	{ "net", "node_nfsd_connections_total", 3, SERIES_COUNTER, { 0 } },
	{ "rpc", "node_nfsd_server_rpcs_total", 0, SERIES_COUNTER, { 0 } },
	{ "rpc", "node_nfsd_rpc_errors_total", 2, SERIES_COUNTER, { "error", "fmt" } },
	{ "rpc", "node_nfsd_rpc_errors_total", 3, SERIES_COUNTER, { "error", "auth" } },
	{ "rpc", "node_nfsd_rpc_errors_total", 4, SERIES_COUNTER, { "error", "cInt" } },
};

/* Behind the number of procedures stands a count for each. */
struct procedures {
	const char *keyword, *proto;
	const char *const *methods;
	size_t count, first;         /* the server's books leave Null out */
};

static const struct procedures client_procedures[] = {
	{ "proc2", "2", methods2, HOST_COUNT(methods2), 0 },
	{ "proc3", "3", methods3, HOST_COUNT(methods3), 0 },
	{ "proc4", "4", methods4, HOST_COUNT(methods4), 0 },
};

static const struct procedures server_procedures[] = {
	{ "proc2", "2", methods2, HOST_COUNT(methods2), 1 },
	{ "proc3", "3", methods3, HOST_COUNT(methods3), 1 },
	{ "proc4ops", "4", operations4, HOST_COUNT(operations4), 0 },
};

struct book {
	const char *path, *requests;
	const struct figure *figures;
	size_t figure_count;
	const struct procedures *procedures;
	size_t procedure_count;
};

static void put_line(struct host *host, const struct book *book, const struct span *keyword, const double *numbers, uint32_t count)
{
	for (size_t i = 0; i < book->figure_count; i++) {
		const struct figure *figure = &book->figures[i];
		if (span_is(keyword, figure->keyword) && figure->place < count)
			host_put(host, figure->family, figure->type, numbers[figure->place], &figure->label, figure->label.name != NULL);
	}
	for (size_t i = 0; i < book->procedure_count; i++) {
		const struct procedures *kind = &book->procedures[i];
		if (!span_is(keyword, kind->keyword))
			continue;
		/* A younger kernel counts more of them, an older one fewer, which node_exporter shows as 0. */
		for (size_t m = kind->first; m < kind->count; m++)
			if (kind->methods[m])
				host_put(host, book->requests, SERIES_COUNTER, m + 1 < count ? numbers[m + 1] : 0,
					HOST_LABELS({ "method", kind->methods[m] }, { "proto", kind->proto }));
	}
}

static int read_book(struct host *host, const struct book *book)
{
	struct span text, line, keyword, word;
	int error = host_lines(host, host->proc_fd, book->path, &text);
	if (error)
		return error;

	while (span_line(&text, &line)) {
		double numbers[MOST_NUMBERS];
		uint32_t count = 0;
		if (!span_word(&line, &keyword))
			continue;
		while (count < MOST_NUMBERS && span_word(&line, &word) && span_real(&word, &numbers[count]))
			count++;
		put_line(host, book, &keyword, numbers, count);
	}
	return 0;
}

int host_read_nfs(struct host *host)
{
	static const struct book book = {
		"net/rpc/nfs", "node_nfs_requests_total", client_figures, HOST_COUNT(client_figures), client_procedures,
		HOST_COUNT(client_procedures),
	};
	return read_book(host, &book);
}

int host_read_nfsd(struct host *host)
{
	static const struct book book = {
		"net/rpc/nfsd", "node_nfsd_requests_total", server_figures, HOST_COUNT(server_figures), server_procedures,
		HOST_COUNT(server_procedures),
	};
	return read_book(host, &book);
}
