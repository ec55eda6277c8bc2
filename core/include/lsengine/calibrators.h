/* Calibrators: maps from logits to calibrated probabilities, fitted on rows of their own. SPDX-License-Identifier: MIT */
#ifndef LSENGINE_CALIBRATORS_H
#define LSENGINE_CALIBRATORS_H

#include <lsengine/predictions.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LS_LOWEST_TEMPERATURE 0.05
#define LS_HIGHEST_TEMPERATURE 20.0

typedef struct ls_temperature {
  double temperature, nll, nll_before; /* nll never above nll_before, the one at T = 1 */
  bool at_bound;                       /* the minimum lies at or beyond 0.05 or 20 */
  int32_t sweeps;
} ls_temperature;

/* The temperature that minimises the mean one-hot NLL of z / T (Guo et al. 2017): Newton's steps on 1/T, in which the NLL is convex, kept between
 * bounds. About 8 sweeps of O(nK), fewer of all rows where there are many. Logits only; p->temperature is not looked at. */
size_t ls_fit_temperature_scratch(const ls_predictions *p);
ls_status ls_fit_temperature(const ls_predictions *p, void *scratch, ls_temperature *out, ls_err *err);

/* Vector scaling: softmax(w·z + b), w, b (K); matrix scaling: softmax(W z + b), W (K,K) (Guo et al. 2017, sec. 4.2). Minimises the mean NLL +
 * penalty/2 · (|w - 1|² + |b|²), of a matrix its distance from the identity, by L-BFGS in double from w = 1, b = 0. Where the penalty is 0 and classes can be
 * separated there is no minimum: stopped after `most` steps, `converged` says so. Masked classes stay masked; a matrix refuses them. */
typedef enum ls_affine_kind { LS_AFFINE_VECTOR, LS_AFFINE_MATRIX } ls_affine_kind;

typedef struct ls_affine {
  double nll, nll_before;
  int32_t steps;
  bool converged; /* the gradient's largest entry is below 1e-8 */
} ls_affine;

size_t ls_fit_affine_scratch(const ls_predictions *p, ls_affine_kind kind);
ls_status ls_fit_affine(const ls_predictions *p, ls_affine_kind kind, double penalty, int32_t most, void *scratch, double *w, double *b, ls_affine *out,
                        ls_err *err);

/* out (n,K) = w·z + b or W z + b, rounded to float32. LS_EVALUE for NaN and +inf. */
ls_status ls_apply_affine(ls_cmat z, ls_affine_kind kind, const double *w, const double *b, ls_mat out, ls_err *err);

/* Isotonic regression of y (0 or 1) on x (Zadrozny & Elkan 2002): pool adjacent violators; equal x are one point. The fit runs linearly between its
 * knots and is constant beyond them (as scikit-learn's, clipped). knot_x, knot_y have room for 2n; returns their number. x finite. */
size_t ls_isotonic_scratch(size_t n);
size_t ls_fit_isotonic(size_t n, const double *x, const uint8_t *y, void *scratch, double *knot_x, double *knot_y);
double ls_apply_isotonic(size_t knots, const double *knot_x, const double *knot_y, double x);

/* Histogram binning of y (0 or 1) on x in 0 … 1 (Zadrozny & Elkan 2001): bins of equal width, or of equal mass (edges midway between neighbouring x of
 * the array_split of the sorted ones; equal x stay together). `edges` receives the upper edge of each bin, `values` the share of y = 1 in it (of an empty
 * bin its middle), `counts` its rows. */
size_t ls_fit_bins_scratch(size_t n);
void ls_fit_bins(size_t n, const double *x, const uint8_t *y, int32_t bins, bool equal_mass, void *scratch, double *edges, double *values, double *counts);

/* The bin of x by upper edges: a number on an edge belongs to the bin above it, the last is closed. */
size_t ls_find_bin(size_t bins, const double *edges, double x);

#ifdef __cplusplus
}
#endif
#endif
