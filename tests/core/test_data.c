/* NPY, IDX and CIFAR: what NumPy writes, and what nobody should. SPDX-License-Identifier: MIT */
#include "test.h"

#include <lsengine/data.h>
#include <lsengine/random.h>

#include "tests/golden/npy.inc"

enum { CASES = sizeof npy_cases / sizeof npy_cases[0], MOST = 4096 };
static float floats[MOST];
static int64_t integers[MOST];

typedef ls_status opener(const uint8_t *bytes, size_t size, ls_array *out, ls_err *err);

/* Opens a copy that ends where its memory ends, so that a sanitizer sees a read beyond, and reads all elements. */
static ls_status open_exactly(opener *open, const uint8_t *bytes, size_t size, ls_err *err) {
  uint8_t *copy = malloc(size > 0 ? size : 1);
  ls_array a;
  memcpy(copy, bytes, size);
  ls_status status = open(copy, size, &a, err);
  if (status == LS_OK && a.count <= MOST) {
    ls_array_to_float(&a, floats);
    ls_err ignored;
    if (ls_element_is_integer(a.type)) (void)ls_array_to_int64(&a, integers, &ignored);
  }
  free(copy);
  return status;
}

static void what_numpy_writes_is_read(void **state) {
  (void)state;
  int read = 0, refused = 0;
  for (int i = 0; i < CASES; i++) {
    const npy_case *c = &npy_cases[i];
    ls_array a;
    if (c->refused != NULL) {
      assert_fails(ls_npy_open(c->bytes, c->size, &a, err), LS_EFORMAT, c->refused);
      refused++;
      continue;
    }
    assert_ok(ls_npy_open(c->bytes, c->size, &a, err));
    assert_int_equal(a.rank, c->rank);
    assert_int_equal(a.count, c->count);
    for (int k = 0; k < a.rank; k++) assert_int_equal(a.shape[k], c->shape[k]);
    ls_array_to_float(&a, floats);
    for (int k = 0; k < c->count; k++) {
      float want = (float)c->values[k];
      if (isnan(want) ? !isnan(floats[k]) : floats[k] != want) fail_msg("%s: element %d is %g, want %g", c->name, k, (double)floats[k], (double)want);
    }
    if (ls_element_is_integer(a.type)) {
      assert_ok(ls_array_to_int64(&a, integers, err));
      for (int k = 0; k < c->count; k++) assert_true((double)integers[k] == c->values[k]);
    } else {
      assert_fails(ls_array_to_int64(&a, integers, err), LS_EFORMAT, "float");
    }
    read++;
  }
  assert_true(read >= 30 && refused == 5);
}

static void what_we_write_is_read(void **state) {
  (void)state;
  static const int32_t shapes[][8] = {{0}, {5}, {0}, {2, 3}, {1, 2, 3, 4, 5, 6, 1, 2147483647}};
  static const int32_t ranks[] = {0, 1, 1, 2, 8};
  static const ls_element types[] = {LS_F32, LS_F64, LS_I64};
  for (int s = 0; s < 4; s++)
    for (int t = 0; t < 3; t++) {
      uint8_t file[LS_NPY_HEADER_SIZE + 64] = {0};
      size_t header = ls_npy_header(types[t], ranks[s], shapes[s], file), count = 1;
      for (int k = 0; k < ranks[s]; k++) count *= (size_t)shapes[s][k];
      ls_array a;
      assert_true(header % 64 == 0 && header <= LS_NPY_HEADER_SIZE);
      assert_ok(ls_npy_open(file, header + count * ls_element_size(types[t]), &a, err));
      assert_int_equal(a.type, types[t]);
      assert_int_equal(a.count, count);
    }
  uint8_t longest[LS_NPY_HEADER_SIZE];
  static const int32_t wide[8] = {2147483647, 2147483647, 2147483647, 2147483647, 2147483647, 2147483647, 2147483647, 2147483647};
  assert_true(ls_npy_header(LS_I64, 8, wide, longest) <= LS_NPY_HEADER_SIZE);
  ls_array a;
  assert_fails(ls_npy_open(longest, sizeof longest, &a, err), LS_ESHAPE, "elements");
}

/* Makes an IDX file of these sizes; returns its length. */
static size_t make_idx(uint8_t type, int rank, const uint32_t *shape, size_t data, uint8_t *file) {
  file[0] = file[1] = 0;
  file[2] = type;
  file[3] = (uint8_t)rank;
  for (int k = 0; k < rank; k++)
    for (int b = 0; b < 4; b++) file[4 + 4 * k + b] = (uint8_t)(shape[k] >> (24 - 8 * b));
  for (size_t i = 0; i < data; i++) file[4 + 4 * rank + i] = (uint8_t)(i + 1);
  return 4 + 4 * (size_t)rank + data;
}

static void idx_files_are_read(void **state) {
  (void)state;
  uint8_t file[512];
  ls_array a;
  const uint32_t shape[] = {2, 3}, negative[] = {0x80000000u}, huge[9] = {0x7fffffff, 0x7fffffff, 0x7fffffff};
  assert_ok(ls_idx_open(file, make_idx(0x08, 2, shape, 6, file), &a, err));
  ls_array_to_float(&a, floats);
  for (int i = 0; i < 6; i++) assert_true(floats[i] == (float)(i + 1));
  assert_ok(ls_idx_open(file, make_idx(0x0B, 2, shape, 12, file), &a, err)); /* big-endian 16 bits */
  assert_ok(ls_array_to_int64(&a, integers, err));
  for (int i = 0; i < 6; i++) assert_int_equal(integers[i], (2 * i + 1) * 256 + 2 * i + 2);
  uint8_t one[] = {0, 0, 0x0D, 1, 0, 0, 0, 1, 0xC0, 0x49, 0x0F, 0xDB};
  assert_ok(ls_idx_open(one, sizeof one, &a, err));
  ls_array_to_float(&a, floats);
  assert_close(floats[0], -3.14159274, 1e-7, 0);
  assert_fails(ls_idx_open(file, make_idx(0x08, 2, shape, 5, file), &a, err), LS_EFORMAT, "truncated");
  assert_fails(ls_idx_open(file, make_idx(0x08, 2, shape, 7, file), &a, err), LS_EFORMAT, "followed by something else");
  assert_fails(ls_idx_open(file, make_idx(0x07, 2, shape, 6, file), &a, err), LS_EFORMAT, "0x07");
  assert_fails(ls_idx_open(file, make_idx(0x08, 1, negative, 0, file), &a, err), LS_EFORMAT, "2147483648");
  assert_fails(ls_idx_open(file, make_idx(0x08, 3, huge, 6, file), &a, err), LS_ESHAPE, "elements");
  assert_fails(ls_idx_open(file, make_idx(0x08, 9, huge, 6, file) * 0 + 4, &a, err), LS_EFORMAT, "9 dimensions");
}

static void every_truncation_is_an_error(void **state) {
  (void)state;
  uint8_t file[512];
  const uint32_t shape[] = {2, 3, 2};
  size_t idx = make_idx(0x0C, 3, shape, 48, file), errors = 0, lengths = 0;
  ls_err err;
  for (size_t n = 0; n < idx; n++, lengths++) errors += open_exactly(ls_idx_open, file, n, &err) != LS_OK;
  for (int i = 0; i < CASES; i++)
    if (npy_cases[i].count > 0) /* an empty array's file is its header alone */
      for (size_t n = 0; n < npy_cases[i].size; n++, lengths++) errors += open_exactly(ls_npy_open, npy_cases[i].bytes, n, &err) != LS_OK;
  assert_true(errors == lengths && lengths > 3000);
}

/* One byte of the header, each value; and three at random: any answer will do, as long as nothing is read that is not there. */
static void mutations_do_no_harm(void **state) {
  (void)state;
  uint8_t file[2048];
  ls_err err;
  ls_rng r;
  size_t errors = 0, tried = 0;
  ls_rng_seed(&r, 1);
  for (int i = 0; i < CASES; i++) {
    const npy_case *c = &npy_cases[i];
    assert_true(c->size <= sizeof file);
    for (size_t place = 0; place < c->size && place < 128; place++)
      for (int value = 0; value < 256; value += i == 0 ? 1 : 17, tried++) {
        memcpy(file, c->bytes, c->size);
        file[place] = (uint8_t)value;
        errors += open_exactly(ls_npy_open, file, c->size, &err) != LS_OK;
      }
    for (int k = 0; k < 300; k++, tried++) {
      memcpy(file, c->bytes, c->size);
      for (int m = 0; m < 3; m++) file[ls_rng_integer(&r, 0, (int64_t)c->size - 1)] = (uint8_t)ls_rng_integer(&r, 0, 255);
      errors += open_exactly(ls_npy_open, file, c->size, &err) != LS_OK;
    }
  }
  assert_true(tried > 50000 && errors > tried / 4 && errors < tried);
}

static void integers_above_63_bits_are_refused(void **state) {
  (void)state;
  uint8_t data[16] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80};
  ls_array a = {.type = LS_U64, .rank = 1, .shape = {2}, .count = 2, .data = data};
  assert_fails(ls_array_to_int64(&a, integers, err), LS_ERANGE, "2");
  data[15] = 0x7f;
  assert_ok(ls_array_to_int64(&a, integers, err));
  assert_true(integers[0] == 1 && integers[1] == 0x7f00000000000000);
}

typedef ls_status promiser(const uint8_t *bytes, size_t size, ls_promise *out, ls_err *err);

/* Reads as a reader of a stream does; returns how many bytes were asked for in all. Each answer must lead on. */
static size_t follow(promiser *ask, const uint8_t *bytes, size_t first) {
  ls_promise p = {.needed = first};
  for (int i = 0; i < 8 && !p.whole; i++) {
    size_t had = p.needed;
    uint8_t *copy = malloc(had);
    memcpy(copy, bytes, had);
    assert_ok(ask(copy, had, &p, err));
    free(copy);
    assert_true(p.whole || p.needed > had);
  }
  assert_true(p.whole);
  return p.needed;
}

static void headers_promise_what_files_hold(void **state) {
  (void)state;
  uint8_t file[512];
  const uint32_t shape[] = {2, 3};
  ls_promise p;
  int followed = 0;
  for (int i = 0; i < CASES; i++)
    if (npy_cases[i].refused == NULL) {
      assert_int_equal(follow(ls_npy_promise, npy_cases[i].bytes, 10), npy_cases[i].size);
      followed++;
    }
  assert_true(followed >= 30);
  size_t size = make_idx(0x0C, 2, shape, 24, file);
  assert_int_equal(follow(ls_idx_promise, file, 4), size);
  assert_fails(ls_idx_promise(file, 3, &p, err), LS_EFORMAT, "not an IDX file");
  assert_fails(ls_npy_promise(npy_cases[0].bytes, 9, &p, err), LS_EFORMAT, "not an NPY file");
  const uint8_t long_header[] = "\x93NUMPY\2\0\1\0\1\0", edge[] = "\x93NUMPY\2\0\0\0\1\0";
  assert_fails(ls_npy_promise(long_header, 12, &p, err), LS_EFORMAT, "NPY header of 65537 bytes, at most 65536 are read");
  assert_ok(ls_npy_promise(edge, 12, &p, err));
  assert_true(!p.whole && p.needed == 12 + 65536);
}

static void cifar_records_are_read(void **state) {
  (void)state;
  enum { PLANE = 1024, ROWS = 3 };
  static uint8_t file[ROWS * (2 + LS_CIFAR_PIXELS) + 1];
  static float images[ROWS * LS_CIFAR_PIXELS];
  int64_t labels[ROWS];
  ls_cifar c;
  for (int32_t bytes = 1; bytes <= 2; bytes++) {
    size_t record = (size_t)bytes + LS_CIFAR_PIXELS, size = ROWS * record;
    for (size_t i = 0; i < size; i++) file[i] = (uint8_t)(7 * i + i / record);
    for (size_t i = 0; i < ROWS; i++) {
      file[i * record] = (uint8_t)(9 - i);
      if (bytes == 2) file[i * record + 1] = (uint8_t)(99 - i);
    }
    assert_ok(ls_cifar_open(file, size, bytes, &c, err));
    assert_int_equal(c.rows, ROWS);
    ls_cifar_images(&c, images);
    for (size_t i = 0; i < ROWS; i++) /* record, then red, green, blue */
      for (size_t k = 0; k < LS_CIFAR_PIXELS; k++) assert_true(images[i * LS_CIFAR_PIXELS + k] == (float)file[i * record + (size_t)bytes + k]);
    assert_true(images[PLANE] == (float)file[(size_t)bytes + 32 * 32]);
    ls_cifar_labels(&c, 0, labels);
    assert_true(labels[0] == 9 && labels[2] == 7);
    if (bytes == 2) ls_cifar_labels(&c, 1, labels);
    if (bytes == 2) assert_true(labels[0] == 99 && labels[2] == 97);
    for (size_t n = 0; n <= size + 1; n++) {
      ls_err err;
      bool whole = n > 0 && n % record == 0;
      assert_int_equal(ls_cifar_open(file, n, bytes, &c, &err), whole ? LS_OK : LS_EFORMAT);
    }
    file[record] = bytes == 1 ? 10 : 20;
    assert_fails(ls_cifar_open(file, size, bytes, &c, err), LS_ERANGE, bytes == 1 ? "the label of image 2 is 10, allowed is 0 to 9" : "the coarse label of image 2 is 20, allowed is 0 to 19");
    file[record] = 0;
    if (bytes == 2) {
      file[2 * record + 1] = 100;
      assert_fails(ls_cifar_open(file, size, bytes, &c, err), LS_ERANGE, "the fine label of image 3 is 100, allowed is 0 to 99");
    }
  }
  assert_fails(ls_cifar_open(file, 5000, 1, &c, err), LS_EFORMAT, "CIFAR file has 5000 bytes, a multiple of 3073 is required");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_numpy_writes_is_read), cmocka_unit_test(what_we_write_is_read),
      cmocka_unit_test(idx_files_are_read),        cmocka_unit_test(every_truncation_is_an_error),
      cmocka_unit_test(mutations_do_no_harm),      cmocka_unit_test(integers_above_63_bits_are_refused),
      cmocka_unit_test(headers_promise_what_files_hold),   cmocka_unit_test(cifar_records_are_read),
  };
  return run_suite(tests);
}
