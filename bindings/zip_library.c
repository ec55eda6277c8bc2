/* SPDX-License-Identifier: MIT */
#include "bindings/zip_library.h"

#include "core/base/library.h"

#include <threads.h>

static const char *const files[] = {"libzip.so.4", "libzip.so.5", LSB_ZIP_FOLDER "/libzip.so", "libzip.dylib", LSB_ZIP_FOLDER "/libzip.dylib", NULL};

static const ls_symbol symbols[] = {
#define LSB_ZIP_SYMBOL(name) {#name, offsetof(lsb_zip, name), false},
    LSB_ZIP_FUNCTIONS(LSB_ZIP_SYMBOL)
#undef LSB_ZIP_SYMBOL
};

static struct {
  once_flag once;
  ls_status status;
  ls_err err;
  lsb_zip functions;
} library = {.once = ONCE_FLAG_INIT};

static void load(void) { library.status = ls_library_open(files, symbols, sizeof symbols / sizeof symbols[0], &library.functions, &library.err); }

const lsb_zip *lsb_find_zip(ls_err *err) {
  call_once(&library.once, load);
  if (library.status == LS_OK) return &library.functions;
  if (err != NULL) *err = library.err;
  return NULL;
}

const lsb_zip *lsb_need_zip(lua_State *L, const char *who) {
  ls_err err;
  const lsb_zip *zip = lsb_find_zip(&err);
  if (zip == NULL) lsb_fail(L, who, "libzip is needed here: %s", err.message);
  return zip;
}
