/* Softening schemes that give each label a distribution over the classes. SPDX-License-Identifier: MIT
 *
 * Such a scheme is a matrix: row y is what a label y becomes. It is applied as a linear map of whatever the target holds (one label, a mixture,
 * soft rows), so that it commutes with mixing and costs a K×K matrix, not N×K rows. */
#ifndef LSENGINE_SCHEME_H
#define LSENGINE_SCHEME_H

#include <lsengine/catalogue.h>
#include <lsengine/view.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ls_scheme {
  ls_entry entry;
  /* The distribution of label y over the classes in q (classes), from `parameters` in the order of the entry. LS_ERANGE where the number of classes
   * does not fit. */
  ls_status (*row)(const double *parameters, int32_t classes, int32_t y, double *q, ls_err *err);
} ls_scheme;

extern const ls_scheme ls_scheme_sord, ls_scheme_binomial, ls_scheme_triangular;

/* All of them, ended by NULL. */
extern const ls_scheme *const ls_schemes[];

/* The scheme of a name, or NULL. */
const ls_scheme *ls_scheme_named(const char *name);

/* LS_ERANGE names the parameter, what it is and what is allowed. */
ls_status ls_entry_check(const ls_entry *e, const double *parameters, ls_err *err);

/* All rows: matrix (classes, classes); `row` holds classes doubles of scratch. Rows sum to 1 within rounding. O(K²). */
ls_status ls_scheme_matrix(const ls_scheme *s, const double *parameters, double *row, ls_mat matrix, ls_err *err);

#ifdef __cplusplus
}
#endif
#endif
