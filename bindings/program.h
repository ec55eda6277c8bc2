/* SPDX-License-Identifier: MIT */
#ifndef LSB_PROGRAM_H
#define LSB_PROGRAM_H

#include "bindings/lsb.h"
#include "bindings/memory.h"

enum { LSB_EXIT_OK = 0, LSB_EXIT_ERROR = 1, LSB_EXIT_USAGE = 2, LSB_EXIT_INTERRUPTED = 130 };

/* Field of the registry: a line that says where what is finished can be found, or nil. */
#define LSB_KEPT "lsengine kept"

/* The first Ctrl-C raises "interrupted" in L at its next instruction, and in recorded operations; the second ends the process. */
void lsb_catch_interrupts(lua_State *L);
void lsb_release_interrupts(lua_State *L);

#endif
