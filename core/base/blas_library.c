/* OpenBLAS: loaded when it is first needed, and its kernel. SPDX-License-Identifier: MIT
 *
 * OpenBLAS knows processors by their model number. One that is newer than the library (0.3.21 and an Emerald Rapids, model 207) gets the
 * kernel of 2004, Prescott: products of 5 times the time (a step of 784-1200-1200-10 at batch 128: 92 against 19 ms). So where the
 * processor has AVX2 and the library's choice does not use it, the choice is made again by features, through the two functions that a
 * library built with DYNAMIC_ARCH has. A kernel named by OPENBLAS_CORETYPE stays. */
#define _POSIX_C_SOURCE 200809L
#include "core/base/blas_library.h"

#include "core/base/blas.h"
#include "core/base/library.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

/* As the linker would look for it, then where it was at the build. */
static const char *const files[] = {"libopenblas.so.0", LS_BLAS_FOLDER "/libopenblas.so.0", "libopenblas.dylib", LS_BLAS_FOLDER "/libopenblas.dylib", NULL};

static const ls_symbol symbols[] = {
    {"cblas_sgemm", offsetof(ls_blas, sgemm), false},
    {"cblas_dgemm", offsetof(ls_blas, dgemm), false},
    {"dgesdd_", offsetof(ls_blas, dgesdd), false},
    {"dgelqf_", offsetof(ls_blas, dgelqf), false},
    {"openblas_get_num_threads", offsetof(ls_blas, get_threads), false},
    {"openblas_set_num_threads", offsetof(ls_blas, set_threads), false},
    {"openblas_get_corename", offsetof(ls_blas, core), false},
    {"openblas_get_config", offsetof(ls_blas, version), false},
    {"gotoblas_dynamic_quit", offsetof(ls_blas, dynamic_quit), true},
    {"gotoblas_dynamic_init", offsetof(ls_blas, dynamic_init), true},
};

static struct {
  once_flag once;
  ls_status status;
  ls_err err;
  ls_blas functions;
} library = {.once = ONCE_FLAG_INIT};

static void load(void) {
  static const char variable[] = "OPENBLAS_NUM_THREADS"; /* it makes a thread for each processor while it is loaded, which would never run */
  bool ours = getenv(variable) == NULL && setenv(variable, "1", 0) == 0;
  library.status = ls_library_open(files, symbols, sizeof symbols / sizeof symbols[0], &library.functions, &library.err);
  if (ours) unsetenv(variable);
  if (library.status == LS_OK) ls_blas_choose();
}

ls_status ls_blas_need(ls_err *err) {
  call_once(&library.once, load);
  return library.status == LS_OK ? LS_OK : ls_fail(err, library.status, "OpenBLAS is needed here: %.400s", library.err.message);
}

const ls_blas *ls_blas_functions(void) {
  assert(library.functions.sgemm != NULL);
  return &library.functions;
}

#if defined(__x86_64__)
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

void ls_blas_choose(void) {
  static const char variable[] = "OPENBLAS_CORETYPE";
  const ls_blas *blas = ls_blas_functions();
  const char *better = by_features();
  if (better == NULL || blas->dynamic_quit == NULL || blas->dynamic_init == NULL || getenv(variable) != NULL || !is_old(blas->core())) return;
  if (setenv(variable, better, 0) != 0) return;
  blas->dynamic_quit();
  blas->dynamic_init();
  unsetenv(variable);
}
#else
void ls_blas_choose(void) {}
#endif
