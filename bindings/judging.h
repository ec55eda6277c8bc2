/* The parts of judge: for each, what is wanted is read from its table before the sweep, and its results become fields of the table on top after it.
 * SPDX-License-Identifier: MIT */
#ifndef LSB_JUDGING_H
#define LSB_JUDGING_H

#include "bindings/predictions.h"

#include <lsengine/judging.h>

typedef struct lsb_classification {
  ls_classification r;
  double share[LS_MOST_TOP];
  int32_t top[LS_MOST_TOP];
  int matrix; /* where the confusion matrix is on the stack */
} lsb_classification;

typedef struct lsb_calibration {
  ls_binning binnings[64];
  size_t count;
  double level, smooth, mmce; /* widths below 0: not wanted */
  bool wilson;
} lsb_calibration;

typedef struct lsb_classwise {
  ls_binning binning;
  ls_classwise r;
} lsb_classwise;

typedef struct lsb_selective {
  ls_selective_wants wants;
  int own; /* where the scores of one's own are on the stack, 0 for none */
} lsb_selective;

/* `at`: the part's table. What is allocated stays on the stack. */
void lsb_want_classification(lua_State *L, const char *name, int at, const ls_predictions *p, ls_judging *j, lsb_classification *c);
void lsb_want_calibration(lua_State *L, const char *name, int at, const ls_predictions *p, ls_judging *j, lsb_calibration *c);
void lsb_want_classwise(lua_State *L, const char *name, int at, const ls_predictions *p, ls_judging *j, lsb_classwise *c);
void lsb_want_selective(lua_State *L, const char *name, int at, const ls_predictions *p, ls_judging *j, lsb_selective *s);

/* The order of confidences, and that of doubts where it is the same, for the measures that sort: where MMCE is wanted, with which bins of equal mass and areas under risk share it. */
void lsb_order_confidences(lua_State *L, const char *name, size_t kept, const ls_judging *j, const lsb_calibration *wants, ls_order *order);

void lsb_give_classification(lua_State *L, const ls_predictions *p, const ls_judging *j, const lsb_classification *c);
void lsb_give_calibration(lua_State *L, const char *name, size_t kept, const ls_judging *j, const lsb_calibration *wants, const ls_order *order);
void lsb_give_classwise(lua_State *L, const ls_predictions *p, const ls_judging *j);
void lsb_give_selective(lua_State *L, const char *name, const ls_predictions *p, size_t kept, const ls_judging *j, const ls_order *order, lsb_selective *s);

#endif
