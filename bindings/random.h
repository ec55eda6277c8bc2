/* SPDX-License-Identifier: MIT */
#ifndef LSB_RANDOM_H
#define LSB_RANDOM_H

#include "bindings/tensor.h"

#include <lsengine/random.h>

ls_rng *lsb_test_rng(lua_State *L, int index);
ls_rng *lsb_check_rng(lua_State *L, int index, const char *name);

#endif
