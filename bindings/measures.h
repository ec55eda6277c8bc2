/* What the bindings of measures share. SPDX-License-Identifier: MIT */
#ifndef LSB_MEASURES_H
#define LSB_MEASURES_H

#include "bindings/lsb.h"

typedef struct lsb_field {
  const char *name;
  double value;
} lsb_field;

/* Pushes a table of named numbers. */
void lsb_push_fields(lua_State *L, const lsb_field *fields, size_t count);
#define LSB_PUSH_FIELDS(L, fields) lsb_push_fields(L, fields, sizeof(fields) / sizeof((fields)[0]))

typedef struct lsb_groups {
  const int32_t *of_row; /* place of each row's class among those that occur, in the order of their labels */
  const int64_t *names;  /* their labels */
  int32_t count;
} lsb_groups;

/* The labels at index (as many as there are rows) as groups. Pushes what holds them: it stays on the stack until the call returns. */
lsb_groups lsb_check_groups(lua_State *L, int index, const char *name, const char *argument, int32_t rows, const char *rows_of);

/* A table of finite numbers as doubles in scratch memory, which is pushed. `what` names one of them. */
double *lsb_check_doubles(lua_State *L, int index, const char *name, const char *what, size_t least, size_t *n);

/* Pushes a table of n numbers. */
void lsb_push_doubles(lua_State *L, const double *x, size_t n);

#endif
