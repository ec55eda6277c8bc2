/* The one allocator of a Lua state: counts, limits, and fails on request. SPDX-License-Identifier: MIT */
#ifndef LSB_MEMORY_H
#define LSB_MEMORY_H

#include <stddef.h>
#include <stdint.h>

typedef struct lsb_memory {
  size_t used, peak, limit; /* bytes; limit 0: none */
  uint64_t allocations, fail_at; /* fail_at: the number of the request that is refused, with the next; 0 for none */
} lsb_memory;

/* A lua_Alloc; `context` is an lsb_memory. */
void *lsb_allocate(void *context, void *block, size_t old_size, size_t new_size);

/* Bytes that the process may use: physical memory or the control group's limit, whichever is less; 0 where unknown. */
size_t lsb_machine_memory(void);

/* Makes the C library keep freed memory: without it a training step spends a third of its time in page faults. */
void lsb_keep_freed_memory(void);

#endif
