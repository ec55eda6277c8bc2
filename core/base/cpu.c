/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <lsengine/cpu.h>

#include "core/base/blas.h"
#include "core/kernels/kernels.h"

#include <string.h>
#if defined(LS_X86) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

static const struct {
  const char *name;
  const ls_kernels *kernels;
} sets[] = {
    {"ref", &ls_kernels_ref},
#ifdef LS_X86
    {"avx2", &ls_kernels_avx2},
    {"avx512", &ls_kernels_avx512},
    {"vnni", &ls_kernels_avx512},
    {"amx", &ls_kernels_avx512},
#endif
};
enum { SETS = sizeof sets / sizeof sets[0] };

static ls_isa current = LS_ISA_REF;

const char *ls_isa_name(ls_isa isa) {
  static const char *const names[] = {"ref", "avx2", "avx512", "vnni", "amx"};
  return names[isa];
}

#ifdef LS_X86
/* The processor has the tiles, the system saves them, and the process may use them: on Linux that is asked for once and kept. */
static int has_amx(void) {
#ifdef __linux__
  enum { REQUEST = 0x1023, TILE_DATA = 18 }; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
  unsigned a, b, c, d, low, high;
  if (!__get_cpuid_count(1, 0, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low >> 17 & 3) != 3) return 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 24 & 1) || !(d >> 22 & 1)) return 0;
  return syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
#else
  return 0;
#endif
}
#endif

int ls_cpu_has(ls_isa isa) {
  if ((int)isa >= SETS) return 0;
#ifdef LS_X86
  __builtin_cpu_init();
  if (isa == LS_ISA_AVX2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa >= LS_ISA_AVX512 && !(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma"))) return 0;
  if (isa >= LS_ISA_VNNI && !__builtin_cpu_supports("avx512vnni")) return 0;
  if (isa == LS_ISA_AMX) return __builtin_cpu_supports("avx512bw") && has_amx();
#endif
  return 1;
}

ls_status ls_cpu_start(const char *cap, ls_err *err) {
  int limit = SETS - 1;
  if (cap != NULL) {
    for (limit = 0; limit <= LS_ISA_AMX; limit++)
      if (strcmp(cap, ls_isa_name((ls_isa)limit)) == 0) break;
    if (limit > LS_ISA_AMX)
      return ls_fail(err, LS_ERANGE, "instruction set is \"%.40s\", allowed are ref, avx2, avx512, vnni, amx", cap);
  }
  if (limit > SETS - 1) limit = SETS - 1;
  while (!ls_cpu_has((ls_isa)limit)) limit--;
  current = (ls_isa)limit;
  return ls_gemm_start(err);
}

ls_isa ls_cpu_isa(void) { return current; }

const ls_kernels *ls_kernels_now(void) { return sets[current].kernels; }

const ls_kernels *ls_kernels_of(ls_isa isa) { return ls_cpu_has(isa) ? sets[isa].kernels : NULL; }

const ls_knn_wide_kernels *ls_knn_wide(void) {
#ifdef LS_X86
  if (current == LS_ISA_AMX) return &ls_knn_wide_amx;
#endif
  return NULL;
}

ls_knn_short_fn *ls_knn_short(void) {
#ifdef LS_X86
  if (current == LS_ISA_AVX2) return ls_knn_short_avx2;
  if (current >= LS_ISA_VNNI) return ls_knn_short_vnni;
#endif
  return NULL;
}
