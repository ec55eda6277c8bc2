/* The parsers of formats, for libFuzzer: SPDX-License-Identifier: MIT
 *   clang -O1 -g -fsanitize=fuzzer,address,undefined -Icore/include -I. tests/fuzz/parsers.c core/data/array.c core/data/cifar.c core/data/csv.c core/data/idx.c core/data/npy.c core/base/view.c core/base/status.c -o parsers
 *   ./parsers -max_len=512 -runs=10000000 -seed=1 CORPUS
 * The first byte chooses the parser; -DLS_FUZZ_PARSER=0 (IDX), 1 (NPY), 2 (CIFAR) or 3 (CSV) builds one for that alone. tests/fuzz/corpus is
 * replayed by every test run (tests/fuzz/replay.c). tests/core/test_data.c and test_csv.c try truncations and mutations in every test run. */
#include <lsengine/csv.h>
#include <lsengine/data.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Every cell as text, number and integer; all columns as numbers. The upper bits of `how` choose separator and header. */
static int csv(const uint8_t *bytes, size_t size, uint8_t how) {
  ls_csv table;
  ls_csv_reader r;
  ls_csv_cell cell;
  ls_err err;
  size_t cells = 0;
  char where[64];
  double number;
  int64_t integer;
  if (ls_csv_open(bytes, size, "\0,;\t"[how >> 2 & 3], (how >> 4) % 3 - 1, &table, &err) != LS_OK) return 0;
  char *text = malloc(size + 1);
  int32_t *place = calloc((size_t)table.columns, sizeof *place);
  float *out = malloc(((size_t)table.rows + 1) * sizeof *out);
  ls_csv_begin(&table, true, &r);
  while (text != NULL && ls_csv_next(&r, &cell)) {
    cells++;
    if (ls_csv_text(&cell, text) > cell.size) abort();
    (void)ls_csv_number(&cell, &number);
    (void)ls_csv_integer(&cell, &integer);
    (void)ls_csv_where(&table, &cell, where, sizeof where);
  }
  if (text != NULL && cells != ((size_t)table.rows + table.header) * (size_t)table.columns) abort();
  if (place != NULL && out != NULL) (void)ls_csv_numbers(&table, place, 1, out, &err);
  free(out);
  free(place);
  free(text);
  return 0;
}

/* One record needs 3073 or 3074 bytes: -max_len=7000 reaches it. */
static int cifar(const uint8_t *bytes, size_t size, uint8_t how) {
  ls_cifar c;
  ls_err err;
  int32_t label_bytes = 1 + (how >> 2 & 1);
  if (ls_cifar_open(bytes, size, label_bytes, &c, &err) != LS_OK) return 0;
  float *images = malloc((size_t)c.rows * LS_CIFAR_PIXELS * sizeof *images);
  int64_t *labels = malloc((size_t)c.rows * sizeof *labels);
  if (images != NULL) ls_cifar_images(&c, images);
  if (labels != NULL) ls_cifar_labels(&c, label_bytes - 1, labels);
  free(images);
  free(labels);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  ls_array a;
  ls_err err;
  if (size == 0) return 0;
#ifdef LS_FUZZ_PARSER
  if (bytes[0] % 4 != LS_FUZZ_PARSER) return -1; /* not kept */
#endif
  if (bytes[0] % 4 == 3) return csv(bytes + 1, size - 1, bytes[0]);
  if (bytes[0] % 4 == 2) return cifar(bytes + 1, size - 1, bytes[0]);
  ls_promise promise;
  bool promised = (bytes[0] & 1 ? ls_npy_promise : ls_idx_promise)(bytes + 1, size - 1, &promise, &err) == LS_OK;
  ls_status status = bytes[0] & 1 ? ls_npy_open(bytes + 1, size - 1, &a, &err) : ls_idx_open(bytes + 1, size - 1, &a, &err);
  if (status == LS_OK && !(promised && promise.whole && promise.needed == size - 1)) abort();
  if (status != LS_OK || a.count > 4096) return 0;
  float *floats = malloc((a.count + 1) * sizeof *floats);
  int64_t *integers = malloc((a.count + 1) * sizeof *integers);
  if (floats != NULL && integers != NULL) {
    ls_array_to_float(&a, floats);
    if (ls_element_is_integer(a.type)) (void)ls_array_to_int64(&a, integers, &err);
  }
  free(floats);
  free(integers);
  return 0;
}
