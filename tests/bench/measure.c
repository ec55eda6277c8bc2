/* Interleaved rounds and the machine's limits. SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "measure.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define WIDE __attribute__((target_clones("default", "arch=haswell", "avx512f")))
#else
#define WIDE
#endif

ls_err bench_err;

void bench_check(ls_status status) {
  if (status == LS_OK) return;
  fprintf(stderr, "%s\n", bench_err.message);
  exit(1);
}

float *bench_floats(size_t n) {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  float *x = aligned_alloc(64, (n * sizeof *x + 63) / 64 * 64 + 64);
  if (x == NULL) {
    fprintf(stderr, "no memory for %zu floats\n", n);
    exit(1);
  }
#ifdef MADV_HUGEPAGE
  const uintptr_t page = (uintptr_t)2 << 20;
  uintptr_t from = ((uintptr_t)x + page - 1) & ~(page - 1), to = (uintptr_t)(x + n) & ~(page - 1);
  if (n * sizeof *x > 4 << 20 && from < to) madvise((void *)from, to - from, MADV_HUGEPAGE);
#endif
  memset(x, 0, n * sizeof *x);
  return x;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

double *bench_run(int count, const bench_item *items, int rounds) {
  static double medians[64];
  double *times = malloc(sizeof *times * (size_t)count * (size_t)rounds);
  if (times == NULL || count > 64) exit(1);
  for (int i = 0; i < count; i++) items[i].run(items[i].argument);
  for (int r = 0; r < rounds; r++)
    for (int i = 0; i < count; i++) {
      double began = now();
      items[i].run(items[i].argument);
      times[i * rounds + r] = now() - began;
    }
  for (int i = 0; i < count; i++) {
    double *t = times + i * rounds;
    qsort(t, (size_t)rounds, sizeof *t, by_value);
    medians[i] = t[rounds / 2];
    printf("%s\t%.9g\t%.9g\t%.9g\t%.9g\n", items[i].name, t[rounds / 2], t[0], t[rounds / 4], t[rounds * 3 / 4]);
  }
  free(times);
  return medians;
}

void bench_peak(void) {
  char line[128];
  FILE *f = fopen("/proc/self/status", "r");
  long kilobytes;
  while (f != NULL && fgets(line, sizeof line, f) != NULL)
    if (sscanf(line, "VmHWM: %ld", &kilobytes) == 1) printf("=\tpeak memory, MB\t%.0f\n", (double)kilobytes / 1024);
  if (f != NULL) fclose(f);
}

/* gcc would make memcpy of it */
#pragma GCC push_options
#pragma GCC optimize("no-tree-loop-distribute-patterns")
WIDE static void copy_by_loop(void *argument) {
  const bench_copy *c = argument;
  const float *restrict from = c->from;
  float *restrict to = c->to;
  for (size_t i = 0; i < c->n; i++) to[i] = from[i];
}
#pragma GCC pop_options

static void copy_by_memcpy(void *argument) {
  const bench_copy *c = argument;
  memcpy(c->to, c->from, c->n * sizeof *c->to);
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static size_t stream_512(const float *from, float *to, size_t n) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    _mm_prefetch((const char *)(from + i + 256), _MM_HINT_T0);
    _mm512_stream_ps(to + i, _mm512_loadu_ps(from + i));
  }
  return i;
}

static size_t stream_128(const float *from, float *to, size_t n) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (size_t k = 0; k < 16; k += 4) {
      _mm_prefetch((const char *)(from + i + k + 256), _MM_HINT_T0);
      _mm_stream_ps(to + i + k, _mm_loadu_ps(from + i + k));
    }
  return i;
}
#endif

/* Whole lines at a time where the processor can: a third faster than in pieces of 16 bytes. */
static void copy_by_streams(void *argument) {
#if defined(__x86_64__)
  const bench_copy *c = argument;
  __builtin_cpu_init();
  size_t i = __builtin_cpu_supports("avx512f") ? stream_512(c->from, c->to, c->n) : stream_128(c->from, c->to, c->n);
  for (; i < c->n; i++) c->to[i] = c->from[i];
  _mm_sfence();
#else
  copy_by_memcpy(argument);
#endif
}

int bench_copies(bench_copy *c, bench_item *items) {
  items[0] = (bench_item){"copy by loop", copy_by_loop, c};
  items[1] = (bench_item){"copy by streams", copy_by_streams, c};
  items[2] = (bench_item){"copy by memcpy", copy_by_memcpy, c};
  return 3;
}

static volatile float kept;

WIDE void bench_read(void *argument) {
  const bench_copy *c = argument;
  float lanes[64] = {0}, total = 0;
  for (size_t i = 0; i + 64 <= c->n; i += 64)
    for (size_t k = 0; k < 64; k++) lanes[k] += c->from[i + k];
  for (size_t k = 0; k < 64; k++) total += lanes[k];
  kept = total;
}

WIDE void bench_scale(void *argument) {
  const bench_copy *c = argument;
  float by = 1.0000001f, *x = c->to;
  for (size_t i = 0; i < c->n; i++) x[i] *= by;
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static void multiply_add_256(void) {
  __m256 a[10], b = _mm256_set1_ps(0.999f), c = _mm256_set1_ps(0.001f);
  for (int k = 0; k < 10; k++) a[k] = _mm256_set1_ps((float)k);
  for (int i = 0; i < 2500000; i++)
#pragma GCC unroll 10
    for (int k = 0; k < 10; k++) a[k] = _mm256_fmadd_ps(a[k], b, c);
  for (int k = 1; k < 10; k++) a[0] = _mm256_add_ps(a[0], a[k]);
  kept = _mm256_cvtss_f32(a[0]);
}

__attribute__((target("avx512f"))) static void multiply_add_512(void) {
  __m512 a[10], b = _mm512_set1_ps(0.999f), c = _mm512_set1_ps(0.001f);
  for (int k = 0; k < 10; k++) a[k] = _mm512_set1_ps((float)k);
  for (int i = 0; i < 1250000; i++)
#pragma GCC unroll 10
    for (int k = 0; k < 10; k++) a[k] = _mm512_fmadd_ps(a[k], b, c);
  for (int k = 1; k < 10; k++) a[0] = _mm512_add_ps(a[0], a[k]);
  kept = _mm512_cvtss_f32(a[0]);
}
#endif

void bench_multiply_add(void *unused) {
  (void)unused;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) {
    multiply_add_512();
    return;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    multiply_add_256();
    return;
  }
#endif
  float a[40];
  for (int k = 0; k < 40; k++) a[k] = (float)k;
  for (int i = 0; i < 5000000; i++)
    for (int k = 0; k < 40; k++) a[k] = a[k] * 0.999f + 0.001f;
  for (int k = 1; k < 40; k++) a[0] += a[k];
  kept = a[0];
}
