/* Status codes and messages. SPDX-License-Identifier: MIT
 *
 * Every core function that can be given wrong input returns an ls_status and fills an ls_err. Nothing is written to an
 * output before all that can be checked has been checked. */
#ifndef LSENGINE_STATUS_H
#define LSENGINE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/* What Lua C modules may call in the program that loads them. */
#define LS_API __attribute__((visibility("default")))

typedef enum ls_status {
  LS_OK = 0,
  LS_ESHAPE,  /* sizes that do not fit each other, or too large to be held */
  LS_ERANGE,  /* a number outside what is allowed: a label, an option, a probability */
  LS_EVALUE,  /* a value that cannot be computed with: NaN, +inf logits */
  LS_EFORMAT, /* bytes that are not the format they claim to be */
  LS_EPOOL,   /* threads that cannot be started */
  LS_ELIBRARY /* a shared library that cannot be loaded */
} ls_status;

#define LS_MESSAGE_SIZE 512

typedef struct ls_err {
  ls_status code;
  char message[LS_MESSAGE_SIZE]; /* lower case, names the argument and the values; no final newline */
} ls_err;

/* Records `code` and the formatted message in *err (which may be NULL) and returns `code`. Every error of the core is born
 * here: a breakpoint on this function catches them all. */
LS_API ls_status ls_fail(ls_err *err, ls_status code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif
#endif
