/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of kernel addresses, from /proc/kallsyms. A look-up reads the whole file (some 50 ms), so names are kept, and whoever asks for new
 * ones too often goes without. Where the kernel hides its addresses there are no names at all.
 */
#ifndef NODEMEND_COLLECT_KERNEL_SYMBOL_H
#define NODEMEND_COLLECT_KERNEL_SYMBOL_H

#include <stddef.h>
#include <stdint.h>

struct kernel_symbols;
/* NULL without memory. */
struct kernel_symbols *kernel_symbols_new(int proc_fd);
void kernel_symbols_free(struct kernel_symbols *symbols); /* NULL is fine */

/* "io_schedule < folio_wait_bit < …", innermost first, as far as it fits; "" where there is no name. */
void kernel_symbols_stack(struct kernel_symbols *symbols, const uint64_t *frames, uint32_t count, uint64_t now_ns, char *ret, size_t size);

#endif
