/* A row's target among masked classes: what the losses of categories share. SPDX-License-Identifier: MIT
 *
 * Where classes are masked (-inf logits), uniform mass spreads over the classes left, a prior's or matrix's moves to them in proportion. */
#ifndef LS_LOSS_TARGET_ROW_H
#define LS_LOSS_TARGET_ROW_H

#include <lsengine/target.h>

typedef struct ls_target_row {
  double classes_left, v_factor, mean_factor, mass, matrix_factor[LS_TARGET_TERMS];
} ls_target_row;

static inline double ls_term_weight(const ls_term *term, int32_t row) {
  return term->weights == NULL ? term->weight : (double)term->weights[row];
}

ls_target_row ls_target_row_of(ls_cmat z, const ls_target *t, const ls_resolved *r, int32_t row);

/* q_ik for a class that is not masked, and its part that does not come from the labels themselves. */
double ls_target_row_at(const ls_target *t, const ls_resolved *r, const ls_target_row *m, int32_t row, int32_t k, double *soft);

/* W_i: the class weight of a row, from the rows before softening (1 without weights), times its own weight where the target has them. */
double ls_target_row_weight(const ls_target *t, const float *class_weights, int32_t row);

ls_status ls_class_weights_check(const float *class_weights, int32_t classes, ls_err *err);

/* Why a row has no loss: NaN and +inf logits, nothing but -inf, mass on a masked class. LS_OK where none of these is the case. */
ls_status ls_target_row_diagnose(ls_cmat z, const ls_target *t, const ls_resolved *r, int32_t row, ls_err *err);

#endif
