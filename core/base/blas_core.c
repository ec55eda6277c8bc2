/* OpenBLAS's kernel. SPDX-License-Identifier: MIT
 *
 * OpenBLAS knows processors by their model number. One that is newer than the library (0.3.21 and an Emerald Rapids, model 207) gets the
 * kernel of 2004, Prescott: products of 5 times the time (a step of 784-1200-1200-10 at batch 128: 92 against 19 ms). So where the
 * processor has AVX2 and the library's choice does not use it, the choice is made again by features, through the two functions that a
 * library built with DYNAMIC_ARCH has. A kernel named by OPENBLAS_CORETYPE stays. */
#define _POSIX_C_SOURCE 200809L
#include "core/base/blas.h"

#include <lsengine/cpu.h>

#include <cblas.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
void gotoblas_dynamic_quit(void) __attribute__((weak));
void gotoblas_dynamic_init(void) __attribute__((weak));

static const char variable[] = "OPENBLAS_CORETYPE";

static bool is_old(const char *core) {
  static const char *const old[] = {"Katmai", "Coppermine", "Northwood", "Prescott", "Banias", "Core2", "Penryn", "Dunnington", "Nehalem", "Sandybridge",
                                    "Atom", "Nano", "Athlon", "Opteron", "Opteron_SSE3", "Barcelona", "Bobcat", "Bulldozer", "Piledriver", "Steamroller",
                                    "Unknown"};
  for (size_t i = 0; i < sizeof old / sizeof old[0]; i++)
    if (strcmp(core, old[i]) == 0) return true;
  return false;
}

static const char *by_features(void) {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return NULL;
  bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd");
  return avx512 ? "SkylakeX" : "Haswell";
}

void ls_blas_start(void) {
  const char *better = by_features();
  if (better == NULL || gotoblas_dynamic_quit == NULL || gotoblas_dynamic_init == NULL || getenv(variable) != NULL || !is_old(openblas_get_corename())) return;
  if (setenv(variable, better, 0) != 0) return;
  gotoblas_dynamic_quit();
  gotoblas_dynamic_init();
  unsetenv(variable);
}
#else
void ls_blas_start(void) {}
#endif
