/* The parsers of formats, for libFuzzer: SPDX-License-Identifier: MIT
 *   clang -O1 -g -fsanitize=fuzzer,address,undefined -Icore/include -I. tests/fuzz/parsers.c core/data/array.c core/data/idx.c core/data/npy.c core/base/view.c core/base/status.c -o parsers
 *   ./parsers -max_len=512 -max_total_time=120
 * The first byte chooses the parser. tests/core/test_data.c tries truncations and mutations in every test run. */
#include <lsengine/data.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  ls_array a;
  ls_err err;
  if (size == 0) return 0;
  ls_status status = bytes[0] & 1 ? ls_npy_open(bytes + 1, size - 1, &a, &err) : ls_idx_open(bytes + 1, size - 1, &a, &err);
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
