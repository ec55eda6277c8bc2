/* SORD: soft labels for ordinal classes by distance. SPDX-License-Identifier: MIT */
#include "core/target/schemes/schemes.h"

static const ls_parameter parameters[] = {
    {"epsilon", "number", 1.0, 0.0, 1.0, false, false, "mass that goes by the scheme; the rest stays on the label"},
    {"alpha", "number", 1.0, 0.0, 1000.0, true, false, "how fast mass falls with distance; large: one-hot, near 0: uniform"},
    {"power", "number", 1.0, 0.0, 10.0, true, false, "of the distance: 1 absolute, 2 squared"},
};

static ls_status row(const ls_scheme_call *c, int32_t y, double *q, ls_err *err) {
  const double *p = c->numbers;
  int32_t classes = c->classes;
  double sum = 0.0;
  (void)err;
  for (int32_t k = 0; k < classes; k++) sum += q[k] = exp(-p[1] * pow(fabs((double)(k - y)), p[2]));
  for (int32_t k = 0; k < classes; k++) q[k] /= sum;
  return LS_OK;
}

const ls_scheme ls_scheme_sord = {.abi = LS_SCHEME_ABI,
    .form = LS_FORM_ROW,
    .promises = LS_ONE_HOT_AT_ZERO | LS_ORDER_KEPT,
    .row = row,
    .entry = {"sord", "Soft ordinal labels (SORD)", "Díaz & Marathe 2019, Soft labels for ordinal regression (CVPR)", "q_k = exp(-alpha·|k - y|^power) / sum over j of exp(-alpha·|j - y|^power)",
     "the true class is the most probable, mass falls with the distance from it, equal distances share equally but for the ends' normalisation",
     "classes that are ordered (ages, grades, stages): a near miss costs less than a far one", "classes without an order; where only the exact class counts",
     "mixing and uniform smoothing: all are linear, so the order makes no difference, but softness adds up",
     "local target = ls.target.sord{ alpha = 2 }(labels)\nprint(target:rows(10))", parameters, 3}};
