/* Processor features and the matrix-product library. SPDX-License-Identifier: MIT */
#ifndef LSENGINE_CPU_H
#define LSENGINE_CPU_H

#include <lsengine/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* VNNI is AVX-512 whose products of whole numbers add up, AMX is that with tiles of bfloat16: searches have a use for them, other kernels are those of AVX-512. */
typedef enum ls_isa { LS_ISA_REF, LS_ISA_AVX2, LS_ISA_AVX512, LS_ISA_VNNI, LS_ISA_AMX } ls_isa;

/* Chooses the kernels: the best set that this processor has and this build holds, or `cap` ("ref", "avx2", "avx512", "vnni", "amx"; NULL: no cap) where that is
 * lower. LS_ERANGE for another name. LS_ELIBRARY on a processor without FMA where OpenBLAS cannot be loaded; with FMA it is loaded when a product in double
 * or a decomposition first needs it. Called once, at the start; without it the reference kernels run. */
ls_status ls_cpu_start(const char *cap, ls_err *err);

/* The set in use, and its name. */
ls_isa ls_cpu_isa(void);
const char *ls_isa_name(ls_isa isa);

/* True where processor and build can run the set. */
int ls_cpu_has(ls_isa isa);

/* OpenBLAS's kernel ("Haswell", …) and its version string; "missing" where it cannot be loaded. */
const char *ls_blas_core(void);
const char *ls_blas_version(void);

#ifdef __cplusplus
}
#endif
#endif
