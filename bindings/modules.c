/* The list of the bindings' modules. SPDX-License-Identifier: MIT */
#include "bindings/lsb.h"

const luaL_Reg lsb_modules[] = {
    {"lsengine.c.autograd", lsb_open_autograd},
    {"lsengine.c.labels", lsb_open_labels},
    {"lsengine.c.random", lsb_open_random},
    {"lsengine.c.system", lsb_open_system},
    {"lsengine.c.tensor", lsb_open_tensor},
    {NULL, NULL},
};
