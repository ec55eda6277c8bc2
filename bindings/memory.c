/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "bindings/memory.h"

#include <malloc.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LARGE = 4 << 20 };

/* Asks for pages of 2 MiB where a block covers some: fewer first uses that wait for the kernel, and fewer translations to be looked up. Where it is refused, all goes on. */
static void use_large_pages(void *block, size_t size) {
#ifdef MADV_HUGEPAGE
  const uintptr_t page = (uintptr_t)2 << 20;
  uintptr_t from = ((uintptr_t)block + page - 1) & ~(page - 1), to = ((uintptr_t)block + size) & ~(page - 1);
  if (from < to) madvise((void *)from, to - from, MADV_HUGEPAGE);
#else
  (void)block, (void)size;
#endif
}

void *lsb_allocate(void *context, void *block, size_t old_size, size_t new_size) {
  lsb_memory *m = context;
  if (block == NULL) old_size = 0; /* Lua passes a type tag then */
  if (new_size == 0) {
    free(block);
    m->used -= old_size;
    return NULL;
  }
  if (new_size > old_size) {
    if (m->limit != 0 && m->used + (new_size - old_size) > m->limit) return NULL;
    m->allocations++; /* Lua collects and asks once more: the second request is refused, too */
    if (m->fail_at != 0 && m->allocations - m->fail_at < 2) return NULL;
  }
  void *result = realloc(block, new_size);
  if (result == NULL) return NULL;
  if (new_size > LARGE && new_size > old_size) use_large_pages(result, new_size);
  m->used += new_size - old_size;
  if (m->used > m->peak) m->peak = m->used;
  return result;
}

static size_t number_in(const char *path) {
  unsigned long long value = 0;
  FILE *f = fopen(path, "r");
  if (f == NULL) return 0;
  if (fscanf(f, "%llu", &value) != 1) value = 0; /* "max" */
  fclose(f);
  return (size_t)value;
}

size_t lsb_machine_memory(void) {
  static const char *const groups[] = {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
  long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  size_t least = pages > 0 && size > 0 ? (size_t)pages * (size_t)size : 0;
  for (int i = 0; i < 2; i++) {
    size_t limit = number_in(groups[i]);
    if (limit != 0 && (least == 0 || limit < least)) least = limit;
  }
  return least;
}

void lsb_keep_freed_memory(void) {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 0x7fffffff);
  mallopt(M_TOP_PAD, 64 << 20);
}
