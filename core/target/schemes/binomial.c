/* Binomial soft labels for ordinal classes. SPDX-License-Identifier: MIT */
#include "core/target/schemes/schemes.h"

static const ls_parameter parameters[] = {
    {"epsilon", "number", 1.0, 0.0, 1.0, false, false, "mass that goes by the scheme; the rest stays on the label"},
    {"low", "number", 0.1, 0.0, 1.0, true, true, "probability of success for the first class"},
    {"high", "number", 0.9, 0.0, 1.0, true, true, "for the last class; between them in equal steps"},
};

/* log of the binomial probability of k among n: by lgamma, so that many classes do not overflow. */
static ls_status row(const ls_scheme_call *c, int32_t y, double *q, ls_err *err) {
  const double *p = c->numbers;
  int32_t classes = c->classes;
  if (classes < 2) return ls_fail(err, LS_ERANGE, "binomial orders classes: at least 2 are required, there is %d", classes);
  if (!(p[1] < p[2])) return ls_fail(err, LS_ERANGE, "low is %g and high %g: low must be below high", p[1], p[2]);
  double n = classes - 1.0, success = p[1] + (p[2] - p[1]) * y / n, sum = 0.0;
  for (int32_t k = 0; k < classes; k++)
    sum += q[k] = exp(lgamma(n + 1.0) - lgamma(k + 1.0) - lgamma(n - k + 1.0) + k * log(success) + (n - k) * log1p(-success));
  for (int32_t k = 0; k < classes; k++) q[k] /= sum; /* 1 but for rounding */
  return LS_OK;
}

const ls_scheme ls_scheme_binomial = {.abi = LS_SCHEME_ABI,
    .form = LS_FORM_ROW,
    .promises = LS_ONE_HOT_AT_ZERO,
    .row = row,
    .entry = {"binomial", "Binomial soft labels", "Liu et al. 2020, Unimodal regularized neuron stick-breaking for ordinal classification (Neurocomputing); parameters of dlordinal",
     "q_k = C(K-1, k) pi_y^k (1 - pi_y)^(K-1-k), pi_y from low to high in equal steps",
     "one peak, in expectation at (K-1)·pi_y; not always at the true class: with many classes the outer ones lean inwards", "ordered classes, few of them",
     "many classes: the spread grows with their number, and labels at the ends are pulled towards the middle", "mixing and uniform smoothing: softness adds up",
     "local target = ls.target.binomial{ epsilon = 0.5 }(labels)\nprint(target:rows(10))", parameters, 3}};
