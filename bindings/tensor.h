/* The parts of the tensor module, each a file. SPDX-License-Identifier: MIT */
#ifndef LSB_TENSOR_H
#define LSB_TENSOR_H

#include "bindings/lsb.h"

/* Each adds its functions to the table on top of the stack. */
void lsb_add_make(lua_State *L);       /* tensor_make.c: from tables and numbers, and back */
void lsb_add_shape(lua_State *L);      /* tensor_shape.c: views and rearrangements */
void lsb_add_arithmetic(lua_State *L); /* tensor_arithmetic.c: element by element, reductions, products, rows by number */

/* Copies the tensor at index into `to`, to whose shape it broadcasts; the two may overlap. */
void lsb_copy_into(lua_State *L, int index, const ls_view *to);

/* An axis given from 1, or from -1 backwards; 0-based in C. */
int32_t lsb_check_axis(lua_State *L, int index, const char *name, const ls_view *v);

/* A shape from arguments first … top (integers), or from one table. Returns the rank. A -1 is passed through where
 * `infer`. */
int32_t lsb_check_shape(lua_State *L, int first, const char *name, bool infer, int32_t shape[LS_MAX_RANK]);

#endif
