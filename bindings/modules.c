/* The list of the bindings' modules. SPDX-License-Identifier: MIT */
#include "bindings/lsb.h"

const luaL_Reg lsb_modules[] = {
    {"lsengine.c.augment", lsb_open_augment},
    {"lsengine.c.autograd", lsb_open_autograd},
    {"lsengine.c.calibration", lsb_open_calibration},
    {"lsengine.c.calibrators", lsb_open_calibrators},
    {"lsengine.c.checkpoint", lsb_open_checkpoint},
    {"lsengine.c.classification", lsb_open_classification},
    {"lsengine.c.data", lsb_open_data},
    {"lsengine.c.eval", lsb_open_eval},
    {"lsengine.c.files", lsb_open_files},
    {"lsengine.c.json", lsb_open_json},
    {"lsengine.c.labels", lsb_open_labels},
    {"lsengine.c.layers", lsb_open_layers},
    {"lsengine.c.loss", lsb_open_loss},
    {"lsengine.c.mix", lsb_open_mix},
    {"lsengine.c.nn", lsb_open_nn},
    {"lsengine.c.penalties", lsb_open_penalties},
    {"lsengine.c.process", lsb_open_process},
    {"lsengine.c.program", lsb_open_program},
    {"lsengine.c.random", lsb_open_random},
    {"lsengine.c.schemes", lsb_open_schemes},
    {"lsengine.c.selective", lsb_open_selective},
    {"lsengine.c.system", lsb_open_system},
    {"lsengine.c.tensor", lsb_open_tensor},
    {NULL, NULL},
};
