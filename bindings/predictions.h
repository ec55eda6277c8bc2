/* Predictions given by scripts. SPDX-License-Identifier: MIT */
#ifndef LSB_PREDICTIONS_H
#define LSB_PREDICTIONS_H

#include "bindings/lsb.h"

#include <lsengine/predictions.h>

/* Arguments 1 … 5 of every measure: logits or probabilities (N×K), labels, whether they are probabilities, temperature (nil: 1), ignored label
 * (nil: none). Raises where rows and labels differ in number. */
ls_predictions lsb_check_predictions(lua_State *L, const char *name);

void lsb_set_number(lua_State *L, const char *key, double value);   /* field of the table on top; nil for NaN */
void lsb_set_integer(lua_State *L, const char *key, int64_t value);

/* A table of finite numbers as doubles in scratch memory (pushed); at least `least`, at most `most` of them. */
double *lsb_check_numbers(lua_State *L, int index, const char *name, const char *argument, size_t least, size_t most, size_t *n);

/* Pushes a table of n numbers. */
void lsb_push_numbers(lua_State *L, size_t n, const double *x);

#endif
