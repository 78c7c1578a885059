/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bystander: keeps files in use, each in its own way, until it is ended.
 *
 *   holder {read|write|mmap|flock}:FILE ...
 *
 * mmap: mapped and closed, so that no descriptor shows it. Prints `ready PID`.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

static int hold(const char *how, const char *path)
{
	int fd = open(path, (!strcmp(how, "write") ? O_WRONLY : O_RDONLY) | O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (!strcmp(how, "flock"))
		return flock(fd, LOCK_EX);
	if (!strcmp(how, "mmap")) {
		void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

		close(fd);
		return map == MAP_FAILED ? -1 : 0;
	}
	return 0;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		char *colon = strchr(argv[i], ':');

		if (!colon) {
			fprintf(stderr, "usage: holder {read|write|mmap|flock}:FILE ...\n");
			return 2;
		}
		*colon = '\0';
		if (hold(argv[i], colon + 1) < 0) {
			perror(colon + 1);
			return 1;
		}
	}
	printf("ready %d\n", getpid());
	fflush(stdout);
	for (;;)
		pause();
}
