/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom the HTTP side answers: the publisher may open no file, so the agent reads certificates and tokens for it, tells it, and
 * looks every few seconds whether somebody has replaced one.
 */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "core/clock.h"
#include "core/log.h"

#define LOOK_NS (5 * NSEC_PER_SEC)

/* Changes whenever one of the files is replaced or written to, whatever its clock says. */
static uint64_t fingerprint(const struct config *config)
{
	const char *const paths[] = { config->tls.cert_file, config->tls.key_file, config->tls.client_ca_file, config->auth.bearer_token_file };
	uint64_t sum = 0;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct statx file;
		const uint64_t prime = 0x100000001b3; /* FNV's */
		/* Not asking a file server: one that hangs must not hang the agent. */
		if (!*paths[i] || statx(AT_FDCWD, paths[i], AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &file) < 0)
			continue;
		const uint64_t parts[] = { i + 1, file.stx_dev_major, file.stx_dev_minor, file.stx_ino, file.stx_size, (uint64_t)file.stx_mtime.tv_sec,
					   file.stx_mtime.tv_nsec, (uint64_t)file.stx_ctime.tv_sec, file.stx_ctime.tv_nsec };
		for (size_t j = 0; j < sizeof(parts) / sizeof(parts[0]); j++)
			sum = (sum ^ parts[j]) * prime;
	}
	return sum;
}

/* Reads the files and tells the publisher. Where they cannot be had, one that serves goes on with what it has. */
void web_tell(struct agent *agent)
{
	struct publisher_config *message = calloc(1, sizeof(*message));
	char why[PATH_LEN + 200];
	agent->web_fingerprint = fingerprint(agent->config);
	agent->web_look_ns = clock_boot_ns() + LOOK_NS;
	if (!message)
		return;

	message->type = PUBLISHER_CONFIG;
	message->max_processes_shown = agent->config->max_processes_shown;
	if (publisher_access_read(agent->config, &message->access, why, sizeof(why)) < 0)
		log_error("http: %s; the publisher goes on with what it was told before, and answers nobody if it was told nothing", why);
	else if (agent->publisher.fd >= 0 && send(agent->publisher.fd, message, sizeof(*message), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		agent->web_fingerprint = ~agent->web_fingerprint; /* its socket is full: looked at again, it has changed */
	explicit_bzero(message, sizeof(*message));
	free(message);
}

void web_reload(struct agent *agent, const struct config *old)
{
	const struct config *config = agent->config;
	web_warn(config);
	if (memcmp(&config->tls, &old->tls, sizeof(old->tls)) != 0 || memcmp(&config->auth, &old->auth, sizeof(old->auth)) != 0 ||
	    config->max_processes_shown != old->max_processes_shown || fingerprint(config) != agent->web_fingerprint)
		web_tell(agent);
}

void web_look(struct agent *agent, uint64_t now_ns)
{
	if (now_ns < agent->web_look_ns)
		return;
	agent->web_look_ns = now_ns + LOOK_NS;
	if (agent->publisher.fd < 0 || fingerprint(agent->config) == agent->web_fingerprint)
		return;
	log_info("http: a certificate, key or token has changed on disk, taken anew");
	web_tell(agent);
}

static bool is_loopback(const char *listen)
{
	return strncmp(listen, "127.", 4) == 0 || strncmp(listen, "localhost:", 10) == 0 || strncmp(listen, "[::1]:", 6) == 0;
}

void web_warn(const struct config *config)
{
	bool asks = *config->auth.bearer_token_file || config->auth.user_count || config->tls.client_auth == CLIENT_VERIFY;
	if (!*config->listen || is_loopback(config->listen))
		return;
	if (!asks)
		log_warning("http: %s can be reached from other hosts and everybody who does is answered; set http.auth, or listen on 127.0.0.1",
			    config->listen);
	else if (!*config->tls.cert_file)
		log_warning("http: %s can be reached from other hosts and what they send to say who they are is not encrypted; set http.tls",
			    config->listen);
}
