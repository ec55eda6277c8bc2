/* SPDX-License-Identifier: MIT */
#include <lsengine/status.h>

#include <stdarg.h>
#include <stdio.h>

ls_status ls_fail(ls_err *err, ls_status code, const char *format, ...) {
  if (err != NULL) {
    va_list arguments;
    err->code = code;
    va_start(arguments, format);
    vsnprintf(err->message, sizeof err->message, format, arguments);
    va_end(arguments);
  }
  return code;
}
