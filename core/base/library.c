/* SPDX-License-Identifier: MIT */
#include "core/base/library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

ls_status ls_library_open(const char *const *files, const ls_symbol *symbols, size_t count, void *functions, ls_err *err) {
  char reason[256] = "";
  void *library = NULL;
  for (size_t i = 0; files[i] != NULL && library == NULL; i++) {
    library = dlopen(files[i], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL && i == 0) snprintf(reason, sizeof reason, "%s", dlerror());
  }
  if (library == NULL) return ls_fail(err, LS_ELIBRARY, "%s cannot be loaded: %s", files[0], reason);
  for (size_t i = 0; i < count; i++) {
    void *address = dlsym(library, symbols[i].name);
    if (address == NULL && !symbols[i].optional) {
      dlclose(library);
      return ls_fail(err, LS_ELIBRARY, "%s has no function %s", files[0], symbols[i].name);
    }
    memcpy((char *)functions + symbols[i].place, &address, sizeof address);
  }
  return LS_OK;
}
