/* SPDX-License-Identifier: Apache-2.0 */
/* compat_calls COUNT: makes COUNT 32-bit getpid calls from a 64-bit program (int 0x80). Exit 77 where there are none. */
#include <stdlib.h>

int main(int argc, char **argv)
{
#if defined(__x86_64__)
	long count = argc > 1 ? atol(argv[1]) : 1000;

	for (long i = 0; i < count; i++) {
		long number = 20; /* getpid of the 32-bit table */

		__asm__ volatile("int $0x80" : "+a"(number) : : "memory", "r8", "r9", "r10", "r11");
		if (number <= 0)
			return 1;
	}
	return 0;
#else
	return 77;
#endif
}
