/* SPDX-License-Identifier: MIT */
#ifndef LSB_LIBRARY_H
#define LSB_LIBRARY_H

#include "bindings/lsb.h"

/* Adds lsengine to package.searchers. The standard libraries are open already; the pool and kernels have been started. */
void lsb_open_library(lua_State *L);

#endif
