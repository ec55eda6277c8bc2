/* Smoothing by a confusion matrix. SPDX-License-Identifier: MIT */
#include "core/target/schemes/schemes.h"

static const ls_parameter parameters[] = {
    {"epsilon", "number", 0.1, 0, 1, false, false, "mass that goes to the classes that the label was confused with; the rest stays on it"},
    {"confusion", "matrix", NAN, 0, INFINITY, false, false, "K×K counts or rates from 0: how often rows of class y were taken for class k; its diagonal is not read"},
};

static ls_status check(const ls_scheme_call *c, ls_err *err) {
  const ls_cmat *m = &c->arrays[1];
  ls_status status = ls_check_class_matrix(m, "confusion", c->classes, err);
  for (int32_t y = 0; y < c->classes && status == LS_OK; y++)
    for (int32_t k = 0; k < c->classes; k++)
      if (m->data[y * m->stride + k] < 0.0f)
        return ls_fail(err, LS_ERANGE, "confusion of class %d with %d is %g, allowed is any finite number from 0", y, k, (double)m->data[y * m->stride + k]);
  return status;
}

static ls_status row(const ls_scheme_call *c, int32_t y, double *q, ls_err *err) {
  const float *m = c->arrays[1].data + y * c->arrays[1].stride;
  double sum = 0.0;
  (void)err;
  for (int32_t k = 0; k < c->classes; k++) sum += q[k] = k == y ? 0.0 : (double)m[k];
  for (int32_t k = 0; k < c->classes; k++) q[k] = sum > 0.0 ? q[k] / sum : k == y ? 1.0 : 0.0;
  return LS_OK;
}

const ls_scheme ls_scheme_confusion = {
    .abi = LS_SCHEME_ABI,
    .form = LS_FORM_ROW,
    .promises = LS_ONE_HOT_AT_ZERO,
    .check = check,
    .row = row,
    .entry = {.name = "confusion",
              .title = "Smoothing by a confusion matrix",
              .paper = "no paper that defines it was found; the natural rule, as for transition matrices of label noise (Patrini et al. 2017, arXiv:1609.03683)",
              .formula = "q = (1 - epsilon) 1[k = y] + epsilon·C[y, k]/sum over j != y of C[y, j], k != y; a class that was never confused stays one-hot",
              .property = "one-hot at epsilon 0; the label keeps 1 - epsilon, or all where the class was never confused",
              .use = "known mistakes: of annotators, or of an earlier model on validation rows",
              .avoid = "a matrix counted on the rows that are judged, or trained on",
              .stacking = "mixing, a teacher, itself: softness adds up",
              .example = "local seen = ls.tensor{ {90, 8, 2}, {5, 95, 0}, {0, 0, 100} }\nprint(ls.target.confusion{ confusion = seen, epsilon = 0.1 }({ 0, 1, 2 }):rows(3))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)}};
