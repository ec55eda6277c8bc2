/* Targets as losses read them from Lua. SPDX-License-Identifier: MIT */
#ifndef LSB_TARGET_H
#define LSB_TARGET_H

#include "bindings/lsb.h"

#include <lsengine/loss.h>

enum { LSB_MOST_SOFTENINGS = 16, LSB_MOST_KEPT = 4 * LS_TARGET_TERMS + LSB_MOST_SOFTENINGS + 3 };

typedef struct lsb_target {
  ls_target target;
  ls_softening softening[LSB_MOST_SOFTENINGS];
  int kept, count; /* stack index of the table that keeps what the target refers to, and how much is in it */
} lsb_target;

/* The target at index. Pushes a table that keeps what it refers to: leave it there until the call returns. */
void lsb_check_target(lua_State *L, int index, const char *name, lsb_target *p);

/* The ignored label at index, or none for nil. */
ls_ignore lsb_check_ignore(lua_State *L, int index, const char *name);

#endif
