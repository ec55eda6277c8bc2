/* The Lua library inside the program. SPDX-License-Identifier: MIT */
#ifndef LSB_SCRIPTS_H
#define LSB_SCRIPTS_H

#include <stddef.h>

typedef struct lsb_script {
  const char *name; /* "lsengine.tensor" */
  const char *text;
  size_t length;
} lsb_script;

extern const lsb_script lsb_scripts[];

#endif
