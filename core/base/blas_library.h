/* What is called of OpenBLAS. SPDX-License-Identifier: MIT */
#ifndef LS_BASE_BLAS_LIBRARY_H
#define LS_BASE_BLAS_LIBRARY_H

#include <cblas.h>

typedef struct ls_blas {
  __typeof__(cblas_sgemm) *sgemm;
  __typeof__(cblas_dgemm) *dgemm;
  /* Fortran's LAPACK, which OpenBLAS holds: matrices by columns, so that our rows are its columns. The lengths of strings come last. */
  void (*dgesdd)(const char *job, const int *m, const int *n, double *a, const int *lda, double *s, double *u, const int *ldu, double *vt, const int *ldvt,
                 double *work, const int *lwork, int *iwork, int *info, size_t job_length);
  void (*dgelqf)(const int *m, const int *n, double *a, const int *lda, double *tau, double *work, const int *lwork, int *info);
  int (*get_threads)(void);
  void (*set_threads)(int);
  char *(*core)(void);
  char *(*version)(void);
  void (*dynamic_quit)(void); /* this and the next: NULL but in a library built with DYNAMIC_ARCH */
  void (*dynamic_init)(void);
} ls_blas;

/* After ls_blas_need has succeeded. */
const ls_blas *ls_blas_functions(void);

/* Gives OpenBLAS a kernel that uses what the processor has where it chose one that does not: when it is loaded. */
void ls_blas_choose(void);

#endif
