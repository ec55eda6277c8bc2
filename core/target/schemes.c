/* The table of schemes, and what is common to them. SPDX-License-Identifier: MIT
 *
 * To add one: a file in core/target/schemes, its name in <lsengine/scheme.h> and here. The library's function, the manual's entry, `lsengine schemes` and the
 * property tests (tests/lua/test_schemes.lua) follow by themselves. */
#include <lsengine/scheme.h>

#include <math.h>
#include <string.h>

const ls_scheme *const ls_schemes[] = {&ls_scheme_sord, &ls_scheme_binomial, &ls_scheme_triangular, NULL};

const ls_scheme *ls_scheme_named(const char *name) {
  for (int i = 0; ls_schemes[i] != NULL; i++)
    if (strcmp(ls_schemes[i]->entry.name, name) == 0) return ls_schemes[i];
  return NULL;
}

ls_status ls_entry_check(const ls_entry *e, const double *parameters, ls_err *err) {
  for (int32_t i = 0; i < e->parameter_count; i++) {
    const ls_parameter *p = &e->parameters[i];
    double x = parameters[i];
    bool low = p->above_minimum ? x > p->minimum : x >= p->minimum, high = p->below_maximum ? x < p->maximum : x <= p->maximum;
    if (!(low && high) || !isfinite(x))
      return ls_fail(err, LS_ERANGE, "%s is %g, allowed is %s %g to %s%g", p->name, x, p->above_minimum ? "above" : "from", p->minimum, p->below_maximum ? "below " : "", p->maximum);
  }
  return LS_OK;
}

ls_status ls_scheme_matrix(const ls_scheme *s, const double *parameters, double *row, ls_mat matrix, ls_err *err) {
  ls_status status = ls_entry_check(&s->entry, parameters, err);
  for (int32_t y = 0; y < matrix.rows && status == LS_OK; y++) {
    status = s->row(parameters, matrix.cols, y, row, err);
    for (int32_t k = 0; k < matrix.cols && status == LS_OK; k++) matrix.data[y * matrix.stride + k] = (float)row[k];
  }
  return status;
}
