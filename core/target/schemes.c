/* The table of schemes, and what is common to them. SPDX-License-Identifier: MIT
 *
 * To add one: a file in core/target/schemes, its name in schemes.h, in meson.build and here. The library's function, the manual's entry, `lsengine schemes` and the
 * property tests (tests/lua/test_schemes.lua) follow by themselves. */
#include "core/target/schemes/schemes.h"

#include <string.h>

const ls_scheme *const ls_schemes[] = {
    &ls_scheme_annealed, &ls_scheme_binomial, &ls_scheme_confusion,         &ls_scheme_disturb,    &ls_scheme_hierarchy, &ls_scheme_matrix,
    &ls_scheme_online,   &ls_scheme_prior,    &ls_scheme_self_distillation, &ls_scheme_similarity, &ls_scheme_sord,      &ls_scheme_structural,
    &ls_scheme_triangular, &ls_scheme_uniform, &ls_scheme_wrong_classes,    NULL};

static bool is_number(const ls_parameter *p) { return strcmp(p->type, "vector") != 0 && strcmp(p->type, "matrix") != 0; }

ls_status ls_entry_check(const ls_entry *e, const double *numbers, ls_err *err) {
  for (int32_t i = 0; i < e->parameter_count; i++) {
    const ls_parameter *p = &e->parameters[i];
    double x = numbers[i];
    bool low = p->above_minimum ? x > p->minimum : x >= p->minimum, high = p->below_maximum ? x < p->maximum : x <= p->maximum;
    if (is_number(p) && (!(low && high) || !isfinite(x)))
      return ls_fail(err, LS_ERANGE, "%s is %g, allowed is %s %g to %s%g", p->name, x, p->above_minimum ? "above" : "from", p->minimum, p->below_maximum ? "below " : "", p->maximum);
  }
  return LS_OK;
}

static bool is_name(const char *s) {
  if (s == NULL || !((*s >= 'a' && *s <= 'z') || *s == '_')) return false;
  for (; *s != '\0'; s++)
    if (!((*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9') || *s == '_')) return false;
  return true;
}

static const char *missing_function(const ls_scheme *s) {
  if (s->form == LS_FORM_ROW && s->row == NULL) return "row";
  if (s->form == LS_FORM_EPSILON && s->epsilon == NULL) return "epsilon";
  if (s->form == LS_FORM_TERMS && s->label == NULL) return "label";
  if (s->form == LS_FORM_DENSE && s->dense == NULL) return "dense";
  if (s->state_size != NULL && s->start == NULL) return "start";
  return NULL;
}

ls_status ls_scheme_valid(const ls_scheme *s, ls_err *err) {
  if (s == NULL) return ls_fail(err, LS_EVALUE, "there is no scheme");
  if (s->abi != LS_SCHEME_ABI)
    return ls_fail(err, LS_EVALUE, "the scheme was built for version %u of <lsengine/scheme.h>, this program has version %u: build it anew", s->abi, LS_SCHEME_ABI);
  const ls_entry *e = &s->entry;
  if (!is_name(e->name)) return ls_fail(err, LS_EVALUE, "the scheme's name is %s, small letters, digits and _ are required", e->name == NULL ? "missing" : e->name);
  if ((int)s->form < LS_FORM_LINEAR || s->form > LS_FORM_DENSE) return ls_fail(err, LS_EVALUE, "%s: form is %d, which is none", e->name, (int)s->form);
  const char *missing = missing_function(s);
  if (missing != NULL) return ls_fail(err, LS_EVALUE, "%s: the function %s is missing", e->name, missing);
  if (s->form == LS_FORM_TERMS && (s->terms < 1 || s->terms > LS_TARGET_TERMS))
    return ls_fail(err, LS_EVALUE, "%s: terms is %d, allowed is 1 to %d", e->name, s->terms, LS_TARGET_TERMS);
  if (e->parameter_count < 0 || e->parameter_count > LS_SCHEME_PARAMETERS || (e->parameter_count > 0 && e->parameters == NULL))
    return ls_fail(err, LS_EVALUE, "%s: there are %d parameters, allowed is 0 to %d", e->name, e->parameter_count, LS_SCHEME_PARAMETERS);
  for (int32_t i = 0; i < e->parameter_count; i++) {
    const ls_parameter *p = &e->parameters[i];
    static const char *const types[] = {"number", "integer", "boolean", "vector", "matrix"};
    bool known = false;
    for (size_t k = 0; k < sizeof types / sizeof *types && p->type != NULL; k++) known = known || strcmp(p->type, types[k]) == 0;
    if (!is_name(p->name) || !known) return ls_fail(err, LS_EVALUE, "%s: parameter %d has no name, or a type that is none of number, integer, boolean, vector, matrix", e->name, i + 1);
  }
  if (s->form == LS_FORM_LINEAR) {
    bool array = s->kind == LS_SOFTEN_PRIOR || s->kind == LS_SOFTEN_MATRIX;
    if ((int)s->kind < 0 || s->kind > LS_SOFTEN_MATRIX) return ls_fail(err, LS_EVALUE, "%s: kind is %d, which is none", e->name, (int)s->kind);
    if ((s->mass == NULL && (e->parameter_count < 1 || !is_number(&e->parameters[0]))) || (array && (e->parameter_count < 2 || is_number(&e->parameters[1]))))
      return ls_fail(err, LS_EVALUE, "%s: its first parameter must be its mass (or there be a function mass), the second its prior or matrix", e->name);
  }
  return LS_OK;
}

ls_status ls_check_class_matrix(const ls_cmat *m, const char *what, int32_t classes, ls_err *err) {
  if (m->rows != classes || m->cols != classes) return ls_fail(err, LS_ESHAPE, "%s is %dx%d but logits have %d classes", what, m->rows, m->cols, classes);
  for (int32_t y = 0; y < classes; y++)
    for (int32_t k = 0; k < classes; k++)
      if (!isfinite(m->data[y * m->stride + k])) return ls_fail(err, LS_EVALUE, "%s of classes %d and %d is %g, a finite number is required", what, y, k, (double)m->data[y * m->stride + k]);
  return LS_OK;
}

ls_status ls_scheme_rows(const ls_scheme *s, const ls_scheme_call *c, double *row, ls_mat matrix, ls_err *err) {
  for (int32_t y = 0; y < matrix.rows; y++) {
    double sum = 0.0;
    ls_status status = s->row(c, y, row, err);
    if (status != LS_OK) return status;
    for (int32_t k = 0; k < matrix.cols; k++) {
      if (!(row[k] >= 0.0)) return ls_fail(err, LS_EVALUE, "the distribution of class %d has %g for class %d, allowed is from 0", y, row[k], k);
      sum += row[k];
      matrix.data[y * matrix.stride + k] = (float)row[k];
    }
    if (!(fabs(sum - 1.0) <= LS_TARGET_TOLERANCE)) return ls_fail(err, LS_EVALUE, "the distribution of class %d sums to %g, must be 1 within 1e-4", y, sum);
  }
  return LS_OK;
}
