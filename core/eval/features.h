/* What the measures of representations share. SPDX-License-Identifier: MIT */
#ifndef LS_EVAL_FEATURES_H
#define LS_EVAL_FEATURES_H

#include <lsengine/view.h>

enum { LS_FEATURE_ROWS = 256, LS_FEATURE_COLS = 32 }; /* of a block */

/* At least one row and one column, all numbers finite; `what` names the matrix. */
ls_status ls_check_features(ls_cmat x, const char *what, ls_err *err);

/* 1/|x_i| of each row. LS_EVALUE names a row of zeros. */
ls_status ls_inverse_norms(ls_cmat x, const char *what, double *inverse, ls_err *err);

/* Means (K,d) of the rows of each class, each row times scale[i] (NULL: 1), and the sizes (K) of the classes. group NULL: all rows are of class 0. */
void ls_class_means(ls_cmat x, const double *scale, const int32_t *group, int32_t classes, double *means, int64_t *sizes);

/* Mean (d) of K rows of doubles. */
void ls_mean_of_rows(const double *rows, int32_t count, int32_t d, double *mean);

/* Of each row |scale_i x_i - mean of its class|², in parallel. */
void ls_row_deviations(ls_cmat x, const double *scale, const int32_t *group, const double *means, double *out);

/* `rows` rows from `first` on less their class's mean (group NULL: row 0 of means), times scale, as doubles (rows, d). */
void ls_deviating_rows(ls_cmat x, const double *scale, const int32_t *group, const double *means, int32_t first, int32_t rows, double *out);

/* What a …_scratch() answers where the bytes would overflow: more than any machine has. */
#define LS_TOO_MUCH ((size_t)1 << 46)

double ls_square_distance(const double *a, const double *b, int32_t d);
double ls_dot(const double *a, const double *b, int32_t d);

#endif
