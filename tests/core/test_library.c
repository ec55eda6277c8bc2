/* Libraries that are opened when they are used. SPDX-License-Identifier: MIT */
#include "test.h"

#include "core/base/blas.h"
#include "core/base/library.h"

#include <stdlib.h>

typedef struct functions {
  int (*get_threads)(void);
  void (*none)(void);
} functions;

static const char *const there[] = {"libnowhere.so.7", "libopenblas.so.0", NULL}, *const missing[] = {"libnowhere.so.7", "libnowhere.so", NULL};

static void the_first_file_that_opens_is_taken(void **state) {
  (void)state;
  static const ls_symbol symbols[] = {{"openblas_get_num_threads", offsetof(functions, get_threads), false}, {"no_such_function", offsetof(functions, none), true}};
  functions f;
  memset(&f, 1, sizeof f);
  assert_ok(ls_library_open(there, symbols, 2, &f, err));
  assert_non_null(f.get_threads);
  assert_null(f.none);
  assert_true(f.get_threads() >= 1);
}

static void what_is_missing_is_named(void **state) {
  (void)state;
  static const ls_symbol symbols[] = {{"no_such_function", offsetof(functions, none), false}};
  functions f;
  assert_fails(ls_library_open(missing, symbols, 1, &f, err), LS_ELIBRARY, "libnowhere.so.7 cannot be loaded: ");
  assert_fails(ls_library_open(there, symbols, 1, &f, err), LS_ELIBRARY, "no function no_such_function");
}

static void openblas_is_loaded_with_one_thread(void **state) {
  (void)state;
  static const ls_symbol symbols[] = {{"openblas_get_num_threads", offsetof(functions, get_threads), false}};
  functions f;
  assert_ok(ls_blas_need(err));
  assert_ok(ls_blas_need(err)); /* and again */
  assert_ok(ls_library_open(there, symbols, 1, &f, err));
  assert_int_equal(f.get_threads(), 1);
  assert_null(getenv("OPENBLAS_NUM_THREADS"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(openblas_is_loaded_with_one_thread), /* first: what is loaded stays */
      cmocka_unit_test(the_first_file_that_opens_is_taken),
      cmocka_unit_test(what_is_missing_is_named),
  };
  return run_suite(tests);
}
