/* Neural collapse. SPDX-License-Identifier: MIT
 *
 * Papyan, Han and Donoho 2020 (PNAS), their four measures. With C the centred class means as rows, Sb = C'C/K; from C = U S V' follows
 * pinv(Sb) = K V S^-2 V', so that tr(Sw pinv(Sb)) = K sum_j v_j' Sw v_j / s_j²: no d×d matrix is made, and no square of a singular value loses digits. The
 * centre is the mean of the class means: only then is the rank K-1 where classes differ in size. */
#include <lsengine/geometry.h>
#include <lsengine/pool.h>

#include "core/base/blas.h"
#include "core/eval/features.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { PANEL = 4096 }; /* rows that are made double at a time */

static int32_t panel_rows(ls_cmat x) { return x.rows < PANEL ? x.rows : PANEL; }

/* means (K,d), centred means or weights (2K,d), right vectors (r,d), singular values (r), centre (d), norms (K), panel (P,d), products (P,max(K,r)), sizes
 * (K), LAPACK's */
size_t ls_collapse_scratch(ls_cmat x, int32_t classes) {
  size_t d = (size_t)x.cols, k = (size_t)classes, r = k < d ? k : d, p = (size_t)panel_rows(x);
  if (80.0 * (double)k * (double)d > 0x1p46) return LS_TOO_MUCH;
  return (3 * k * d + r * d + r + d + 2 * k + p * d + p * k) * sizeof(double) + k * sizeof(int64_t) + ls_singular_scratch(classes, x.cols, true);
}

/* Spread of the lengths of K rows, and of their angles around those of a simplex. LS_ERANGE names a row without direction. */
static ls_status simplex(const double *rows, int32_t classes, int32_t d, double *norms, const char *what, double *spread, double *angles, ls_err *err) {
  double mean = 0.0, square = 0.0, sum = 0.0, k = (double)classes;
  for (int32_t c = 0; c < classes; c++) {
    const double *row = rows + (size_t)c * (size_t)d;
    norms[c] = sqrt(ls_dot(row, row, d));
    if (norms[c] == 0.0) return ls_fail(err, LS_ERANGE, "%s %d of %d: it has no direction", what, c + 1, classes);
    mean += norms[c] / k;
  }
  for (int32_t c = 0; c < classes; c++) {
    square += (norms[c] - mean) * (norms[c] - mean) / k;
    for (int32_t l = 0; l < c; l++)
      sum += 2.0 * fabs(ls_dot(rows + (size_t)c * (size_t)d, rows + (size_t)l * (size_t)d, d) / (norms[c] * norms[l]) + 1.0 / (k - 1.0));
  }
  *spread = sqrt(square) / mean;
  *angles = sum / (k * (k - 1.0));
  return LS_OK;
}

static double frobenius(const double *x, size_t count) {
  double sum = 0.0;
  for (size_t i = 0; i < count; i++) sum += x[i] * x[i];
  return sqrt(sum);
}

static int32_t first_largest(const double *values, int32_t count) {
  int32_t best = 0;
  for (int32_t k = 1; k < count; k++)
    if (values[k] > values[best]) best = k;
  return best;
}

typedef struct collapse_space {
  double *means, *centred, *weights, *right, *singular, *centre, *norms, *offset, *panel, *products;
  int64_t *sizes;
  void *lapack;
} collapse_space;

static collapse_space lay_out(ls_cmat x, int32_t classes, void *scratch) {
  size_t d = (size_t)x.cols, k = (size_t)classes, r = k < d ? k : d, p = (size_t)panel_rows(x);
  collapse_space s;
  s.means = scratch;
  s.centred = s.means + k * d;
  s.weights = s.centred + k * d;
  s.right = s.weights + k * d;
  s.singular = s.right + r * d;
  s.centre = s.singular + r;
  s.norms = s.centre + d;
  s.offset = s.norms + k;
  s.panel = s.offset + k;
  s.products = s.panel + p * d;
  s.sizes = (int64_t *)(s.products + p * k);
  s.lapack = s.sizes + k;
  return s;
}

/* sum_j v_j' Sw v_j / s_j² over the first `rank` directions; the panels in their order. */
static double within_over_between(ls_cmat x, const int32_t *group, const collapse_space *s, int32_t rank, int32_t classes) {
  double total = 0.0;
  for (int32_t first = 0; first < x.rows; first += PANEL) {
    int32_t rows = x.rows - first < PANEL ? x.rows - first : PANEL;
    ls_deviating_rows(x, NULL, group, s->means, first, rows, s->panel);
    ls_gemm_double(false, true, rows, rank, x.cols, s->panel, x.cols, s->right, x.cols, 0.0, s->products, classes);
    for (int32_t i = 0; i < rows; i++)
      for (int32_t j = 0; j < rank; j++) {
        double along = s->products[(size_t)i * (size_t)classes + (size_t)j] / s->singular[j];
        total += along * along;
      }
  }
  return total / (double)x.rows;
}

/* NC4. The nearest mean by |c_k|² - 2 (x - mu)·c_k, which is |x - mu_k|² less what is the same for all k. */
static double disagreement(ls_cmat x, int32_t classes, const collapse_space *s, ls_cmat weight, const float *bias) {
  int64_t differing = 0;
  size_t k = (size_t)classes;
  int32_t nearest[PANEL];
  ls_deviating_rows(weight, NULL, NULL, NULL, 0, classes, s->weights);
  for (int32_t c = 0; c < classes; c++) s->offset[c] = 0.5 * s->norms[c] * s->norms[c];
  for (int32_t first = 0; first < x.rows; first += PANEL) {
    int32_t rows = x.rows - first < PANEL ? x.rows - first : PANEL;
    ls_deviating_rows(x, NULL, NULL, s->centre, first, rows, s->panel);
    ls_gemm_double(false, true, rows, classes, x.cols, s->panel, x.cols, s->centred, x.cols, 0.0, s->products, classes);
    for (int32_t i = 0; i < rows; i++) {
      for (size_t c = 0; c < k; c++) s->products[(size_t)i * k + c] -= s->offset[c];
      nearest[i] = first_largest(s->products + (size_t)i * k, classes);
    }
    ls_deviating_rows(x, NULL, NULL, NULL, first, rows, s->panel);
    ls_gemm_double(false, true, rows, classes, x.cols, s->panel, x.cols, s->weights, x.cols, 0.0, s->products, classes);
    for (int32_t i = 0; i < rows; i++) {
      for (size_t c = 0; bias != NULL && c < k; c++) s->products[(size_t)i * k + c] += (double)bias[c];
      differing += first_largest(s->products + (size_t)i * k, classes) != nearest[i];
    }
  }
  return (double)differing / (double)x.rows;
}

static ls_status check_weight(ls_cmat x, int32_t classes, ls_cmat weight, const float *bias, ls_err *err) {
  if (weight.data == NULL) return LS_OK;
  if (weight.rows != classes || weight.cols != x.cols)
    return ls_fail(err, LS_ESHAPE, "weight is %dx%d but features have %d columns and there are %d classes", weight.rows, weight.cols, x.cols, classes);
  for (int32_t c = 0; bias != NULL && c < classes; c++)
    if (!isfinite(bias[c])) return ls_fail(err, LS_EVALUE, "bias[%d] is not a finite number", c + 1);
  return ls_check_features(weight, "weight", err);
}

ls_status ls_neural_collapse(ls_cmat x, const int32_t *group, int32_t classes, ls_cmat weight, const float *bias, void *scratch, ls_collapse *out, ls_err *err) {
  size_t d = (size_t)x.cols, count = (size_t)classes * d;
  int32_t least = classes < x.cols ? classes : x.cols;
  ls_collapse r = {0};
  ls_status status = ls_check_features(x, "features", err);
  if (status == LS_OK) status = check_weight(x, classes, weight, bias, err);
  if (status != LS_OK) return status;
  if (classes < 2) return ls_fail(err, LS_ERANGE, "there is one class, neural collapse needs at least 2");
  status = ls_blas_need(err);
  if (status != LS_OK) return status;
  collapse_space s = lay_out(x, classes, scratch);

  ls_class_means(x, NULL, group, classes, s.means, s.sizes);
  ls_mean_of_rows(s.means, classes, x.cols, s.centre);
  for (size_t i = 0; i < count; i++) s.centred[i] = s.means[i] - s.centre[i % d];
  if (weight.data != NULL) { /* first: the space serves the decomposition afterwards */
    ls_deviating_rows(weight, NULL, NULL, NULL, 0, classes, s.weights);
    status = simplex(s.weights, classes, x.cols, s.norms, "a row of zeros is weight", &r.nc2_weight_norms, &r.nc2_weight_angles, err);
    if (status != LS_OK) return status;
    double w = frobenius(s.weights, count), m = frobenius(s.centred, count), sum = 0.0;
    for (size_t i = 0; m > 0.0 && i < count; i++) sum += (s.weights[i] / w - s.centred[i] / m) * (s.weights[i] / w - s.centred[i] / m);
    r.nc3 = sum;
  }
  status = simplex(s.centred, classes, x.cols, s.norms, "the mean of all classes is that of class", &r.nc2_norms, &r.nc2_angles, err);
  if (status != LS_OK) return status;
  memcpy(s.weights, s.centred, count * sizeof(double));
  status = ls_singular_values(classes, x.cols, s.weights, s.singular, s.right, s.lapack, err);
  if (status != LS_OK) return status;
  double floor_ = DBL_EPSILON * (double)(classes > x.cols ? classes : x.cols) * s.singular[0];
  for (; r.rank < least && r.rank < classes - 1 && s.singular[r.rank] > floor_; r.rank++) {}
  r.nc1 = within_over_between(x, group, &s, r.rank, classes);
  if (weight.data != NULL) r.nc4 = disagreement(x, classes, &s, weight, bias);
  *out = r;
  return LS_OK;
}
