/* SPDX-License-Identifier: MIT */
#include <lsengine/cpu.h>

#include "core/base/blas.h"
#include "core/kernels/kernels.h"

#include <string.h>

static const struct {
  const char *name;
  const ls_kernels *kernels;
} sets[] = {
    {"ref", &ls_kernels_ref},
#ifdef LS_X86
    {"avx2", &ls_kernels_avx2},
    {"avx512", &ls_kernels_avx512},
#endif
};
enum { SETS = sizeof sets / sizeof sets[0] };

static ls_isa current = LS_ISA_REF;

const char *ls_isa_name(ls_isa isa) {
  static const char *const names[] = {"ref", "avx2", "avx512"};
  return names[isa];
}

int ls_cpu_has(ls_isa isa) {
  if ((int)isa >= SETS) return 0;
#ifdef LS_X86
  __builtin_cpu_init();
  if (isa == LS_ISA_AVX2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == LS_ISA_AVX512) return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma");
#endif
  return 1;
}

ls_status ls_cpu_start(const char *cap, ls_err *err) {
  int limit = SETS - 1;
  if (cap != NULL) {
    for (limit = 0; limit <= LS_ISA_AVX512; limit++)
      if (strcmp(cap, ls_isa_name((ls_isa)limit)) == 0) break;
    if (limit > LS_ISA_AVX512)
      return ls_fail(err, LS_ERANGE, "instruction set is \"%.40s\", allowed are ref, avx2, avx512", cap);
  }
  if (limit > SETS - 1) limit = SETS - 1;
  while (!ls_cpu_has((ls_isa)limit)) limit--;
  current = (ls_isa)limit;
  ls_blas_start();
  return LS_OK;
}

ls_isa ls_cpu_isa(void) { return current; }

const ls_kernels *ls_kernels_now(void) { return sets[current].kernels; }

const ls_kernels *ls_kernels_of(ls_isa isa) { return ls_cpu_has(isa) ? sets[isa].kernels : NULL; }
