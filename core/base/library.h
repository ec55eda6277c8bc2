/* Shared libraries that are opened when they are first used. SPDX-License-Identifier: MIT
 *
 * OpenBLAS and libzip (with the OpenSSL that it brings) have two thirds of a short run's instructions for being linked, and most runs call neither. */
#ifndef LS_BASE_LIBRARY_H
#define LS_BASE_LIBRARY_H

#include <lsengine/status.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct ls_symbol {
  const char *name;
  size_t place;  /* of the pointer to it, in bytes from the start of `functions` */
  bool optional; /* its pointer is NULL where the library lacks it */
} ls_symbol;

/* Opens the first of `files` (as dlopen looks for them; up to a NULL) that can be, and puts the addresses of all symbols into `functions`, a struct of
 * pointers. The library stays open. LS_ELIBRARY, with the reason of the first file, where there is none or a symbol is missing. */
ls_status ls_library_open(const char *const *files, const ls_symbol *symbols, size_t count, void *functions, ls_err *err);

#endif
