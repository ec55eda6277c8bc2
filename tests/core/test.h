/* What every core test includes. SPDX-License-Identifier: MIT */
#ifndef LS_TEST_H
#define LS_TEST_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <lsengine/status.h>

/* Equal, or both finite and within atol + rtol·|b|. False for NaN, by construction. */
#define assert_close(a, b, rtol, atol)                                                                                   \
  do {                                                                                                                   \
    double a_ = (double)(a), b_ = (double)(b);                                                                           \
    if (!(a_ == b_ || (isfinite(a_) && isfinite(b_) && fabs(a_ - b_) <= (atol) + (rtol)*fabs(b_))))                      \
      fail_msg("%s = %.17g, want %.17g", #a, a_, b_);                                                                    \
  } while (0)

#define assert_ok(call)                                                                                                  \
  do {                                                                                                                   \
    ls_err err_ = {0};                                                                                                   \
    ls_err *err = &err_;                                                                                                 \
    if ((call) != LS_OK) fail_msg("%s: %s", #call, err->message);                                                        \
  } while (0)

/* The call (which passes `err`) must fail with this code and a message that holds `text`. */
#define assert_fails(call, want, text)                                                                                   \
  do {                                                                                                                   \
    ls_err err_ = {0};                                                                                                   \
    ls_err *err = &err_;                                                                                                 \
    assert_int_equal((call), (want));                                                                                    \
    if (strstr(err->message, (text)) == NULL) fail_msg("message is \"%s\", want \"%s\"", err->message, (text));          \
  } while (0)

/* Runs the group and prints the tally that the test run adds up. */
#define run_suite(tests) run_suite_(cmocka_run_group_tests(tests, NULL, NULL), sizeof(tests) / sizeof((tests)[0]))

static int skipped_ __attribute__((unused));
#define skip_test()                                                                                                      \
  do {                                                                                                                   \
    skipped_++;                                                                                                          \
    skip();                                                                                                              \
  } while (0)

static inline int run_suite_(int failed, size_t count) {
  printf("tally: %d passed, %d failed, %d skipped\n", (int)count - failed - skipped_, failed, skipped_);
  return failed == 0 ? 0 : 1;
}

#endif
