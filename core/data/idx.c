/* SPDX-License-Identifier: MIT */
#include <lsengine/data.h>

/* The header, as far as it is there: *promise says how far that is. */
static ls_status read_header(const uint8_t *bytes, size_t size, ls_array *out, ls_promise *promise, ls_err *err) {
  static const struct {
    uint8_t code;
    ls_element type;
  } types[] = {{0x08, LS_U8}, {0x09, LS_I8}, {0x0B, LS_I16}, {0x0C, LS_I32}, {0x0D, LS_F32}, {0x0E, LS_F64}};
  ls_array a = {.big_endian = true};
  size_t known = 0;
  *promise = (ls_promise){.needed = 4};
  if (size < 4 || bytes[0] != 0 || bytes[1] != 0) return ls_fail(err, LS_EFORMAT, "not an IDX file: it does not begin with two zero bytes and a type");
  while (known < sizeof types / sizeof types[0] && types[known].code != bytes[2]) known++;
  if (known == sizeof types / sizeof types[0]) return ls_fail(err, LS_EFORMAT, "IDX element type 0x%02x is unknown", bytes[2]);
  a.type = types[known].type;
  a.rank = bytes[3];
  if (a.rank > LS_MAX_RANK) return ls_fail(err, LS_EFORMAT, "IDX file of %d dimensions, at most %d are read", a.rank, LS_MAX_RANK);
  size_t header = 4 + 4 * (size_t)a.rank;
  promise->needed = header;
  if (size < header) return LS_OK;
  for (int32_t i = 0; i < a.rank; i++) {
    const uint8_t *p = bytes + 4 + 4 * i;
    uint32_t n = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    if (n > INT32_MAX) return ls_fail(err, LS_EFORMAT, "IDX dimension %d is %u, at most 2^31-1 is read", i + 1, n);
    a.shape[i] = (int32_t)n;
  }
  ls_status status = ls_shape_count(a.rank, a.shape, &a.count, err);
  if (status != LS_OK) return status;
  *promise = (ls_promise){.needed = header + a.count * ls_element_size(a.type), .whole = true};
  a.data = bytes + header;
  *out = a;
  return LS_OK;
}

ls_status ls_idx_promise(const uint8_t *bytes, size_t size, ls_promise *out, ls_err *err) {
  ls_array a;
  return read_header(bytes, size, &a, out, err);
}

ls_status ls_idx_open(const uint8_t *bytes, size_t size, ls_array *out, ls_err *err) {
  ls_array a;
  ls_promise promise;
  ls_status status = read_header(bytes, size, &a, &promise, err);
  if (status != LS_OK) return status;
  if (!promise.whole) return ls_fail(err, LS_EFORMAT, "IDX file ends within its header: %zu bytes, %zu are needed", size, promise.needed);
  if (size != promise.needed)
    return ls_fail(err, LS_EFORMAT, "IDX file has %zu bytes, its header promises %zu: it is %s", size, promise.needed,
                   size < promise.needed ? "truncated" : "followed by something else");
  *out = a;
  return LS_OK;
}
