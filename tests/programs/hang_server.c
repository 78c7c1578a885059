/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault program: a small HTTP service that answers 200 until SIGUSR1; then it goes on living and listening, and answers
 * nobody: hung, not dead. SIGUSR2 closes its listening socket: alive, but no longer reachable.
 *
 *   hang_server PORT
 *
 * Listens on 127.0.0.1 and prints `ready PID`.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t hung, deaf;

static void on_signal(int signal)
{
	if (signal == SIGUSR1)
		hung = 1;
	else
		deaf = 1;
}

static void answer(int fd)
{
	static const char text[] = "HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
	char request[1024];
	struct pollfd readable = { .fd = fd, .events = POLLIN };

	if (poll(&readable, 1, 500) == 1 && read(fd, request, sizeof(request)) > 0 && write(fd, text, sizeof(text) - 1) < 0)
		fprintf(stderr, "hang_server: could not answer: %s\n", strerror(errno));
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	unsigned long port = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	bool listening = true;

	if (!port || port > 65535) {
		fprintf(stderr, "usage: hang_server PORT\n");
		return 2;
	}
	address.sin_port = htons((uint16_t)port);
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = on_signal }, NULL);
	sigaction(SIGUSR2, &(struct sigaction){ .sa_handler = on_signal }, NULL);

	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 64) < 0) {
		perror("hang_server");
		return 1;
	}
	printf("ready %d\n", getpid());
	fflush(stdout);
	for (;;) {
		if (deaf && listening) {
			close(fd);
			listening = false;
		}
		if (!listening || hung) {
			pause();
			continue;
		}
		int peer = accept(fd, NULL, NULL);

		if (peer < 0)
			continue;
		if (hung)
			continue; /* this one stays open; those that follow wait in the backlog */
		answer(peer);
		close(peer);
	}
}
