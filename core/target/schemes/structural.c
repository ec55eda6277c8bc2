/* Label smoothing with a mass for each row or class. SPDX-License-Identifier: MIT
 *
 * The paper clusters the training rows and gives a cluster more mass the larger its overlap of classes (its Bayes error), the mean held fixed. Its exact rule could not
 * be read: here the masses are the user's, by class or by training row (a cluster's mass for each of its rows), and `mean` scales them. The rule is ours. */
#include "core/target/schemes/schemes.h"

static const ls_parameter parameters[] = {
    {"epsilon", "vector", NAN, 0, 1, false, false, "masses from 0: one for each class, or with rows = true one for each training row"},
    {"rows", "boolean", 0, 0, 1, false, false, "epsilon has one number for each row of the training data"},
    {"mean", "number", 0, 0, 1, false, false, "scales the masses so that they have this mean (over the numbers given); 0: as they are"},
};
enum { EPSILON, ROWS, MEAN };

static double factor(const ls_scheme_call *c) {
  double sum = 0.0;
  if (c->numbers[MEAN] == 0.0) return 1.0;
  for (int32_t i = 0; i < c->arrays[EPSILON].cols; i++) sum += (double)c->arrays[EPSILON].data[i];
  return sum > 0.0 ? c->numbers[MEAN] * c->arrays[EPSILON].cols / sum : 0.0;
}

static ls_status check(const ls_scheme_call *c, ls_err *err) {
  const ls_cmat *e = &c->arrays[EPSILON];
  double largest = factor(c);
  if (c->numbers[ROWS] == 0.0 && e->cols != c->classes) return ls_fail(err, LS_ESHAPE, "epsilon has %d numbers, one for each of %d classes is required", e->cols, c->classes);
  if (c->numbers[ROWS] != 0.0 && c->examples > 0 && e->cols != c->examples)
    return ls_fail(err, LS_ESHAPE, "epsilon has %d numbers, one for each of %lld training rows is required", e->cols, (long long)c->examples);
  if (c->numbers[ROWS] != 0.0 && c->labels != NULL && c->positions == NULL)
    return ls_fail(err, LS_EVALUE, "epsilon is one number for each training row: which rows these are must be said, scheme(labels, { rows = positions }); ls.train does");
  for (int32_t i = 0; i < e->cols; i++) {
    double x = (double)e->data[i] * largest;
    if (!(x >= 0.0 && x <= 1.0)) return ls_fail(err, LS_ERANGE, "epsilon[%d] is %g%s, allowed is 0 to 1", i + 1, x, largest == 1.0 ? "" : " after scaling to the mean");
  }
  return LS_OK;
}

static ls_status epsilon(const ls_scheme_call *c, float *out, ls_err *err) {
  const ls_cmat *e = &c->arrays[EPSILON];
  double by = factor(c);
  for (int32_t i = 0; i < c->rows; i++) {
    int64_t at = c->numbers[ROWS] != 0.0 ? c->positions[i] : c->labels[i];
    if (at >= e->cols) return ls_fail(err, LS_ERANGE, "row %lld was asked for, epsilon has %d numbers", (long long)at + 1, e->cols);
    out[i] = (float)((double)e->data[at] * by);
  }
  return LS_OK;
}

const ls_scheme ls_scheme_structural = {
    .abi = LS_SCHEME_ABI,
    .form = LS_FORM_EPSILON,
    .needs = LS_NEEDS_POSITIONS,
    .promises = LS_ORDER_KEPT,
    .check = check,
    .epsilon = epsilon,
    .entry = {.name = "structural",
              .title = "Structural label smoothing",
              .paper = "Li et al. 2020, Regularization via structural label smoothing, arXiv:2001.01900; how masses are scaled to a mean is ours",
              .formula = "q = (1 - e_i) 1[k = y] + e_i/K, e_i of the row's class, or of the training row",
              .property = "with equal masses it is uniform(e)",
              .use = "data whose classes overlap in some regions: cluster the rows, give each row its cluster's mass",
              .avoid = "masses chosen on the rows that are judged",
              .stacking = "mixing, a teacher, itself: softness adds up. Not after smoothing by a prior or a matrix, whose result depends on the order",
              .example = "local scheme = ls.target.structural{ epsilon = { 0.02, 0.2, 0.05 }, mean = 0.1 }\nprint(scheme({ 0, 1, 2 }):rows(3))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)}};
