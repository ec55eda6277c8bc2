/* Matrix products against a double-precision oracle; the same bits whoever runs them. SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "test.h"

#include "core/base/blas.h"
#include "core/base/blas_library.h"
#include "core/kernels/gemm.h"

#include <lsengine/cpu.h>
#include <lsengine/pool.h>
#include <lsengine/random.h>
#include <lsengine/tensor.h>

#include <cblas.h>
#include <stdlib.h>

#if defined(__x86_64__)
void gotoblas_dynamic_quit(void) __attribute__((weak));
void gotoblas_dynamic_init(void) __attribute__((weak));
#endif

enum { MOST = 1 << 21 };
static _Alignas(64) float a[MOST], b[MOST], c[MOST], first[MOST];

static void numbers(uint64_t seed, float *x) {
  ls_rng r;
  ls_rng_seed(&r, seed);
  ls_rng_fill_normal(&r, MOST, x, 0, 1);
}

static void product(bool ta, bool tb, int m, int n, int k, bool add) {
  ls_cmat x = ta ? (ls_cmat){a, k, m, m > 0 ? m : 1} : (ls_cmat){a, m, k, k > 0 ? k : 1};
  ls_cmat y = tb ? (ls_cmat){b, n, k, k > 0 ? k : 1} : (ls_cmat){b, k, n, n > 0 ? n : 1};
  assert_ok(ls_matmul(ta, tb, x, y, add, (ls_mat){c, m, n, n > 0 ? n : 1}, err));
}

/* Float sums of k products: within k/2 roundings of the sum of their magnitudes. */
static int close_to_oracle(bool ta, bool tb, int m, int n, int k, double start, int every) {
  for (int i = 0; i < m; i += every)
    for (int j = 0; j < n; j += every) {
      double sum = start, size = fabs(start);
      for (int l = 0; l < k; l++) {
        double term = (double)(ta ? a[l * m + i] : a[i * k + l]) * (double)(tb ? b[j * k + l] : b[l * n + j]);
        sum += term;
        size += fabs(term);
      }
      if (!(fabs((double)c[i * n + j] - sum) <= 6e-8 * (1 + 0.5 * k) * size)) return 0;
    }
  return 1;
}

static void products_are_the_oracles(void **state) {
  (void)state;
  static const int shapes[][3] = {{1, 1, 1}, {1, 7, 3}, {5, 1, 9}, {3, 4, 0}, {0, 3, 4}, {3, 0, 4}, {17, 33, 65}, {64, 10, 128}, {65, 64, 31}, {63, 65, 200},
                                  {127, 300, 84}, {128, 610, 90}, {513, 70, 130}, {600, 1220, 40}};
  assert_ok(ls_pool_start(2, err));
  for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
    for (int t = 0; t < 4; t++) {
      int m = shapes[s][0], n = shapes[s][1], k = shapes[s][2], every = m * n > 20000 ? 13 : 1;
      product(t & 1, t & 2, m, n, k, false);
      assert_true(close_to_oracle(t & 1, t & 2, m, n, k, 0, every));
      for (int i = 0; i < m * n; i++) c[i] = 2;
      product(t & 1, t & 2, m, n, k, true);
      assert_true(close_to_oracle(t & 1, t & 2, m, n, k, 2, every));
      if (m * n * k > 0) {
        c[0] += 1.0f;
        assert_false(close_to_oracle(t & 1, t & 2, m, n, k, 2, every)); /* an element that is wrong would be seen */
      }
    }
  ls_pool_stop();
}

static void bits_depend_on_the_shape_alone(void **state) {
  (void)state;
  static const int shapes[][3] = {{128, 1200, 784}, {127, 1200, 784}, {1200, 784, 127}, {128, 10, 1200}, {64, 128, 64}, {300, 300, 300}, {1000, 64, 512}};
  static const int threads[] = {1, 2, 3, 5};
  for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
    size_t size = (size_t)shapes[s][0] * (size_t)shapes[s][1] * sizeof *c;
    uint64_t shared = ls_pool_blocks(LS_SITE_MATMUL);
    for (int t = 0; t < 8; t++) {
      assert_ok(ls_pool_start(threads[t % 4], err));
      openblas_set_num_threads(t < 4 ? 1 : 2); /* a host that has set others changes nothing */
      product(false, true, shapes[s][0], shapes[s][1], shapes[s][2], false);
      if (t == 0) memcpy(first, c, size);
      assert_memory_equal(first, c, size);
      ls_pool_stop();
    }
    if (s < 4) assert_true(ls_pool_blocks(LS_SITE_MATMUL) >= shared + 12); /* at 2, 3 and 5 threads, twice */
  }
}

#if defined(__x86_64__)
/* What a number of c must be to the bit: by FMA in order, parts of the inner dimension added up. */
static float in_order(const ls_gemm_block *j, int i, int l) {
  int parts = (j->k + LS_GEMM_INNER - 1) / LS_GEMM_INNER;
  float total = j->add ? 2.0f : 0.0f;
  for (int part = 0; part < parts; part++) {
    float sum = 0.0f;
    for (int x = (int)((int64_t)j->k * part / parts); x < (int)((int64_t)j->k * (part + 1) / parts); x++)
      sum = fmaf(j->a.data[j->transpose_a ? x * j->a.stride + i : i * j->a.stride + x], j->b.data[j->transpose_b ? l * j->b.stride + x : x * j->b.stride + l], sum);
    total = part == 0 && !j->add ? sum : total + sum;
  }
  return total;
}
#endif

static void every_set_gives_the_bits_of_fma_in_order(void **state) {
  (void)state;
#if defined(__x86_64__)
  static _Alignas(64) float scratch[LS_GEMM_SCRATCH];
  static const int shapes[][3] = {{1, 1, 1}, {2, 3, 4}, {13, 31, 17}, {14, 32, 16}, {15, 33, 257}, {29, 16, 300}, {30, 47, 515}, {128, 10, 64}, {6, 8, 256}, {5, 100, 7}, {500, 18, 33},
                                {32, 64, 64}, {64, 77, 515}, {96, 65, 263}};
  static ls_gemm_fn *const sets[] = {ls_gemm_block_avx2, ls_gemm_block_avx512};
  int compared = 0;
  for (int set = 0; set < 2; set++)
    for (size_t s = 0; ls_cpu_has(set == 0 ? LS_ISA_AVX2 : LS_ISA_AVX512) && s < sizeof shapes / sizeof shapes[0]; s++)
      for (int flags = 0; flags < 16; flags++) {
        int m = shapes[s][0], n = shapes[s][1], k = shapes[s][2], wide = n + 3;
        bool ta = flags & 1, tb = flags & 2;
        int row = flags & 8 ? ((n + 15) / 16 | 1) * 16 : n + 7; /* of b: whole lines of the cache, an odd number of them, are read as they are */
        ls_gemm_block j = {ta, tb, ta ? (ls_cmat){a, k, m, m + 5} : (ls_cmat){a, m, k, k + 1}, tb ? (ls_cmat){b, n, k, k + 2} : (ls_cmat){b, k, n, row},
                           {c, m, n, wide}, k, 0, m, 0, n, (flags & 4) != 0, scratch, {NULL, NULL}};
        for (int i = 0; i < m * wide + 16; i++) c[i] = i % wide < n && i < m * wide ? 2.0f : -7.0f;
        for (int i = 0; i < LS_GEMM_SCRATCH; i++) scratch[i] = NAN;
        sets[set](&j);
        for (int i = 0; i < m * wide + 16; i++) {
          float want = i % wide < n && i < m * wide ? in_order(&j, i / wide, i % wide) : -7.0f;
          assert_memory_equal(&c[i], &want, sizeof want);
        }
        compared++;
      }
  if (compared == 0) skip();
#else
  skip();
#endif
}

static void shapes_that_do_not_fit_are_named(void **state) {
  (void)state;
  ls_mat out = {c, 2, 2, 2};
  assert_fails(ls_matmul(false, false, (ls_cmat){a, 2, 3, 3}, (ls_cmat){b, 2, 2, 2}, false, out, err), LS_ESHAPE, "2x3");
  assert_fails(ls_matmul(true, false, (ls_cmat){a, 2, 3, 3}, (ls_cmat){b, 2, 2, 2}, false, out, err), LS_ESHAPE, "2x2");
}

/* As where OpenBLAS does not know the processor's model. */
static void a_kernel_of_2004_is_replaced_unless_asked_for(void **state) {
  (void)state;
#if defined(__x86_64__)
  if (gotoblas_dynamic_init == NULL || !ls_cpu_has(LS_ISA_AVX2)) skip();
  const char *given = getenv("OPENBLAS_CORETYPE");
  char *before = given == NULL ? NULL : strdup(given);
  assert_ok(ls_blas_need(err));
  setenv("OPENBLAS_CORETYPE", "Prescott", 1);
  gotoblas_dynamic_quit();
  gotoblas_dynamic_init();
  assert_string_equal(ls_blas_core(), "Prescott");
  ls_blas_choose();
  assert_string_equal(ls_blas_core(), "Prescott");
  unsetenv("OPENBLAS_CORETYPE");
  ls_blas_choose();
  assert_true(strcmp(ls_blas_core(), "SkylakeX") == 0 || strcmp(ls_blas_core(), "Haswell") == 0);
  assert_null(getenv("OPENBLAS_CORETYPE"));
  if (before != NULL) setenv("OPENBLAS_CORETYPE", before, 1);
  free(before);
#else
  skip();
#endif
}

int main(void) {
  ls_err start;
  if (ls_cpu_start(NULL, &start) != LS_OK) return 1;
  numbers(1, a);
  numbers(2, b);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(products_are_the_oracles),
      cmocka_unit_test(bits_depend_on_the_shape_alone),
      cmocka_unit_test(a_kernel_of_2004_is_replaced_unless_asked_for),
      cmocka_unit_test(every_set_gives_the_bits_of_fma_in_order),
      cmocka_unit_test(shapes_that_do_not_fit_are_named),
  };
  return run_suite(tests);
}
