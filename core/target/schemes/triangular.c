/* Triangular soft labels for ordinal classes. SPDX-License-Identifier: MIT
 *
 * [0, 1] is cut into K equal intervals, a triangular density is laid over each, and q_k is what of label y's density lies in interval k. The triangle of an
 * inner class is symmetric about the interval's middle and leaves alpha outside at each side; those of the first and last class have their peaks at
 * the ends. Their widths follow from the paper's conditions, which make what leaks from the ends depend on alpha alone (first) and on K (last). */
#include "core/target/schemes/schemes.h"

static const ls_parameter parameters[] = {
    {"epsilon", "number", 1.0, 0.0, 1.0, false, false, "mass that goes by the scheme; the rest stays on the label"},
    {"alpha", "number", 0.05, 0.0, 0.12, true, false, "mass that an inner class gives to each of its neighbours"},
};

static double below(double x, double a, double b, double c) {
  if (x <= a) return 0.0;
  if (x >= b) return 1.0;
  return x <= c ? (x - a) * (x - a) / ((b - a) * (c - a)) : 1.0 - (b - x) * (b - x) / ((b - a) * (b - c));
}

/* The paper's share beyond the interval for an end class, from its constant. */
static double end_share(double constant) {
  double x = (1.0 - sqrt(1.0 - 4.0 * constant)) / 2.0;
  return x * x;
}

static ls_status row(const ls_scheme_call *call, int32_t y, double *q, ls_err *err) {
  const double *p = call->numbers;
  int32_t classes = call->classes;
  if (classes < 2) return ls_fail(err, LS_ERANGE, "triangular orders classes: at least 2 are required, there is %d", classes);
  double n = classes, alpha = p[1], root = sqrt(2.0 * alpha), a, b, c, sum = 0.0;
  if (y == 0) {
    a = c = 0.0;
    b = 1.0 / ((1.0 - sqrt(end_share((1.0 - 2.0 * alpha) * (2.0 * alpha - root)))) * n);
  } else if (y == classes - 1) {
    double ratio = (n - 1.0) / n;
    b = c = 1.0;
    a = 1.0 + 1.0 / (n * (sqrt(end_share(ratio * ratio * (1.0 - 2.0 * alpha) * root * (root - 1.0))) - 1.0));
  } else { /* half width w about the middle m: (1/(2n)) = w (1 - root), so that alpha lies beyond the interval at each side */
    double middle = (y + 0.5) / n, half = 0.5 / (n * (1.0 - root));
    a = middle - half, b = middle + half, c = middle;
  }
  for (int32_t k = 0; k < classes; k++) sum += q[k] = below((k + 1.0) / n, a, b, c) - below(k / n, a, b, c);
  for (int32_t k = 0; k < classes; k++) q[k] /= sum; /* a triangle may reach beyond [0, 1] */
  return LS_OK;
}

const ls_scheme ls_scheme_triangular = {.abi = LS_SCHEME_ABI,
    .form = LS_FORM_ROW,
    .promises = LS_ONE_HOT_AT_ZERO | LS_ORDER_KEPT,
    .row = row,
    .entry = {"triangular", "Triangular soft labels", "Vargas et al. 2023, Soft labelling based on triangular distributions for ordinal classification (Information Fusion)",
     "q_k = mass of a triangular density over [k/K, (k+1)/K]; inner classes: symmetric about the middle of their interval, alpha beyond it at each side",
     "the true class is the most probable, only neighbours get mass", "ordered classes whose confusions are between neighbours", "classes without an order",
     "mixing and uniform smoothing: softness adds up", "local target = ls.target.triangular{ alpha = 0.05 }(labels)\nprint(target:rows(10))", parameters, 2}};
