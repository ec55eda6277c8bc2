/* Minimising a smooth function of many numbers. SPDX-License-Identifier: MIT */
#ifndef LS_EVAL_LBFGS_H
#define LS_EVAL_LBFGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The value at x; the gradient goes to g. */
typedef double ls_value_fn(void *context, const double *x, double *g);

typedef struct ls_lbfgs_result {
  double value;
  int32_t steps;
  bool converged; /* the gradient's largest entry is at most the tolerance, or no step along it lowers the value any more */
} ls_lbfgs_result;

/* L-BFGS with 10 pairs (Nocedal 1980; Liu & Nocedal 1989) and a line search for Wolfe's weak conditions by bisection. x: start and result.
 * Deterministic where `value` is. */
size_t ls_lbfgs_scratch(size_t n);
ls_lbfgs_result ls_lbfgs(size_t n, double *x, ls_value_fn *value, void *context, double tolerance, int32_t most, void *scratch);

#endif
