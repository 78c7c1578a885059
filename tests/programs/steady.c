/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bystander: holds a fixed amount of memory, touched and steady, until it is ended. Often the largest process of all, and
 * never the one to blame.
 *
 *   steady BYTES
 *
 * Prints `ready PID` once all of it is resident.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	size_t size = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;

	if (!size) {
		fprintf(stderr, "usage: steady BYTES\n");
		return 2;
	}
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	memset(memory, 's', size);
	printf("ready %d\n", getpid());
	fflush(stdout);
	for (;;)
		pause();
}
