/* The pool: every block once, whoever calls, however many threads. SPDX-License-Identifier: MIT */
#include "test.h"

#include <lsengine/pool.h>

#include <pthread.h>
#include <stdatomic.h>

enum { MOST = 10000 };
static atomic_int ran[MOST];

static void count(void *argument, size_t block) {
  (void)argument;
  atomic_fetch_add(&ran[block], 1);
}

static void all_ran(size_t blocks, int times) {
  for (size_t i = 0; i < MOST; i++) {
    assert_int_equal(atomic_load(&ran[i]), i < blocks ? times : 0);
    atomic_store(&ran[i], 0);
  }
}

static void every_block_runs_once(void **state) {
  (void)state;
  static const int threads[] = {1, 2, 3, 5};
  static const size_t blocks[] = {0, 1, 2, 3, 17, MOST};
  for (int t = 0; t < 4; t++) {
    assert_ok(ls_pool_start(threads[t], err));
    assert_int_equal(ls_pool_threads(), threads[t]);
    for (int repeat = 0; repeat < 20; repeat++)
      for (int b = 0; b < 6; b++) {
        uint64_t before = ls_pool_blocks(LS_SITE_GATHER);
        ls_parallel(LS_SITE_GATHER, blocks[b], count, NULL);
        all_ran(blocks[b], 1);
        assert_int_equal(ls_pool_blocks(LS_SITE_GATHER) - before, blocks[b] > 1 ? blocks[b] : 0);
      }
    ls_pool_stop();
  }
  ls_parallel(LS_SITE_GATHER, 5, count, NULL); /* without a pool: the caller runs them */
  all_ran(5, 1);
  count(NULL, 3); /* and a block that ran twice would be seen */
  assert_int_equal(atomic_load(&ran[3]), 1);
  atomic_store(&ran[3], 0);
}

static void inner(void *argument, size_t block) {
  (void)argument;
  (void)block;
  ls_parallel(LS_SITE_REDUCE, 50, count, NULL);
}

static void blocks_may_share_out_work_themselves(void **state) {
  (void)state;
  assert_ok(ls_pool_start(3, err));
  ls_parallel(LS_SITE_GATHER, 40, inner, NULL);
  all_ran(50, 40);
  ls_pool_stop();
}

static void *another_thread(void *unused) {
  for (int i = 0; i < 200; i++) ls_parallel(LS_SITE_REDUCE, 100, count, NULL);
  return unused;
}

static void several_threads_may_call(void **state) {
  (void)state;
  pthread_t others[4];
  assert_ok(ls_pool_start(2, err));
  for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&others[i], NULL, another_thread, NULL), 0);
  another_thread(NULL);
  for (int i = 0; i < 4; i++) pthread_join(others[i], NULL);
  all_ran(100, 1000);
  ls_pool_stop();
}

static void numbers_of_threads_are_checked(void **state) {
  (void)state;
  assert_fails(ls_pool_start(-1, err), LS_ERANGE, "-1");
  assert_fails(ls_pool_start(LS_MAX_THREADS + 1, err), LS_ERANGE, "257");
  assert_ok(ls_pool_start(0, err));
  assert_true(ls_pool_threads() == ls_pool_processors() && ls_pool_processors() >= 1);
  ls_pool_stop();
  for (int i = 0; i < LS_SITE_COUNT; i++) assert_true(strlen(ls_site_name((ls_site)i)) > 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_block_runs_once),
      cmocka_unit_test(blocks_may_share_out_work_themselves),
      cmocka_unit_test(several_threads_may_call),
      cmocka_unit_test(numbers_of_threads_are_checked),
  };
  return run_suite(tests);
}
