/* Smoothing by a hierarchy of classes. SPDX-License-Identifier: MIT */
#include "core/target/schemes/schemes.h"

static const ls_parameter parameters[] = {
    {"epsilon", "number", 1, 0, 1, false, false, "mass that goes by the hierarchy; the rest stays on the label"},
    {"beta", "number", 10, 0, INFINITY, true, false, "how fast mass falls with distance; the paper tries 4 to 30, and infinity is one-hot"},
    {"distance", "matrix", NAN, 0, INFINITY, false, false, "K×K finite numbers from 0, 0 on the diagonal: heights of the lowest common ancestor (ls.target.tree_distance), or another distance"},
};

static ls_status check(const ls_scheme_call *c, ls_err *err) {
  const ls_cmat *d = &c->arrays[2];
  ls_status status = ls_check_class_matrix(d, "distance", c->classes, err);
  double largest = 0.0;
  for (int32_t y = 0; y < c->classes && status == LS_OK; y++)
    for (int32_t k = 0; k < c->classes; k++) {
      double x = (double)d->data[y * d->stride + k];
      if (x < 0.0 || (k == y && x != 0.0)) return ls_fail(err, LS_ERANGE, "distance of classes %d and %d is %g, allowed is from 0, and 0 of a class from itself", y, k, x);
      largest = fmax(largest, x);
    }
  if (status == LS_OK && c->classes > 1 && largest == 0.0) return ls_fail(err, LS_ERANGE, "distance is 0 everywhere: the hierarchy tells no classes apart");
  return status;
}

static ls_status row(const ls_scheme_call *c, int32_t y, double *q, ls_err *err) {
  const ls_cmat *d = &c->arrays[2];
  double largest = 0.0, sum = 0.0;
  (void)err;
  for (int32_t i = 0; i < c->classes; i++)
    for (int32_t k = 0; k < c->classes; k++) largest = fmax(largest, (double)d->data[i * d->stride + k]);
  for (int32_t k = 0; k < c->classes; k++) sum += q[k] = largest == 0.0 ? 1.0 : exp(-c->numbers[1] * (double)d->data[y * d->stride + k] / largest);
  for (int32_t k = 0; k < c->classes; k++) q[k] /= sum;
  return LS_OK;
}

const ls_scheme ls_scheme_hierarchy = {
    .abi = LS_SCHEME_ABI,
    .form = LS_FORM_ROW,
    .promises = LS_ONE_HOT_AT_ZERO | LS_ORDER_KEPT,
    .check = check,
    .row = row,
    .entry = {.name = "hierarchy",
              .title = "Soft labels by a hierarchy of classes",
              .paper = "Bertinetto et al. 2020, Making better mistakes: leveraging class hierarchies with deep networks, arXiv:1912.09393",
              .formula = "q_k = exp(-beta·d(y, k)/d_max) / sum over j of exp(-beta·d(y, j)/d_max), d: height of the lowest common ancestor",
              .property = "the label is the most probable; classes at the same height share alike; one-hot at epsilon 0 and for large beta",
              .use = "classes with a taxonomy, where a near miss is a better mistake",
              .avoid = "where only the exact class counts: top-1 accuracy falls with beta below about 10 (the paper's figures)",
              .stacking = "mixing, a teacher, itself: softness adds up",
              .example = "local d = ls.target.tree_distance{ { 0, 1 }, { 2, { 3, 4 } } }\nprint(ls.target.hierarchy{ distance = d, beta = 10 }({ 0, 2, 4 }):rows(5))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)}};
