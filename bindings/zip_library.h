/* What is called of libzip. SPDX-License-Identifier: MIT */
#ifndef LSB_ZIP_LIBRARY_H
#define LSB_ZIP_LIBRARY_H

#include "bindings/lsb.h"

#include <zip.h>

#define LSB_ZIP_FUNCTIONS(X)                                                                                                               \
  X(zip_close) X(zip_discard) X(zip_error_fini) X(zip_error_init) X(zip_error_init_with_code) X(zip_error_strerror) X(zip_fclose)          \
  X(zip_file_add) X(zip_file_set_dostime) X(zip_file_strerror) X(zip_fopen_index) X(zip_fread) X(zip_get_archive_comment)                  \
  X(zip_get_num_entries) X(zip_libzip_version) X(zip_open) X(zip_open_from_source) X(zip_set_archive_comment) X(zip_set_file_compression)  \
  X(zip_source_buffer) X(zip_source_buffer_create) X(zip_source_close) X(zip_source_free) X(zip_source_keep) X(zip_source_open)            \
  X(zip_source_read) X(zip_source_stat) X(zip_stat_index) X(zip_strerror)

typedef struct lsb_zip {
#define LSB_ZIP_POINTER(name) __typeof__(name) *name;
  LSB_ZIP_FUNCTIONS(LSB_ZIP_POINTER)
#undef LSB_ZIP_POINTER
} lsb_zip;

/* The functions; the first time libzip is loaded. NULL, and the reason in *err, where it cannot be. */
const lsb_zip *lsb_find_zip(ls_err *err);

/* The same; raises. */
const lsb_zip *lsb_need_zip(lua_State *L, const char *who);

#endif
