/* NumPy's array format. SPDX-License-Identifier: MIT
 *
 * "\x93NUMPY", two version bytes, the header's length (2 bytes in 1.0, 4 later, little-endian), a Python dictionary with the
 * keys descr, fortran_order and shape, the elements (numpy.lib.format). */
#include <lsengine/data.h>

#include <assert.h>
#include <stdio.h>
#include <string.h>

typedef struct reader {
  const char *at, *end;
} reader;

static void skip_blanks(reader *r) {
  while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t')) r->at++;
}

static bool take(reader *r, char c) {
  skip_blanks(r);
  if (r->at == r->end || *r->at != c) return false;
  r->at++;
  return true;
}

/* A string in quotes of either kind, without escapes. */
static bool take_string(reader *r, char *out, size_t size) {
  skip_blanks(r);
  if (r->at == r->end || (*r->at != '\'' && *r->at != '"')) return false;
  char quote = *r->at++;
  size_t n = 0;
  while (r->at < r->end && *r->at != quote) {
    if (n + 1 >= size || *r->at == '\\') return false;
    out[n++] = *r->at++;
  }
  out[n] = '\0';
  return take(r, quote);
}

static bool take_word(reader *r, const char *word) {
  size_t n = strlen(word);
  skip_blanks(r);
  if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0) return false;
  r->at += n;
  return true;
}

static bool take_shape(reader *r, ls_array *a) {
  if (!take(r, '(')) return false;
  for (a->rank = 0; !take(r, ')'); a->rank++) {
    int64_t n = 0;
    int digits = 0;
    if (a->rank == LS_MAX_RANK) return false;
    skip_blanks(r);
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9' && digits < 12; digits++) n = 10 * n + (*r->at++ - '0');
    if (digits == 0 || n > INT32_MAX) return false;
    a->shape[a->rank] = (int32_t)n;
    if (!take(r, ',')) {
      a->rank++;
      return take(r, ')');
    }
  }
  return true;
}

static ls_status element_of(const char *descr, ls_array *a, ls_err *err) {
  static const struct {
    const char *code;
    ls_element type;
  } types[] = {{"u1", LS_U8},  {"i1", LS_I8},  {"u2", LS_U16}, {"i2", LS_I16}, {"u4", LS_U32}, {"i4", LS_I32},
               {"u8", LS_U64}, {"i8", LS_I64}, {"f2", LS_F16}, {"f4", LS_F32}, {"f8", LS_F64}, {"b1", LS_BOOL}};
  char order = descr[0];
  for (size_t i = 0; i < sizeof types / sizeof types[0] && (order == '<' || order == '>' || order == '|'); i++)
    if (strcmp(descr + 1, types[i].code) == 0) {
      a->type = types[i].type;
      a->big_endian = order == '>';
      return LS_OK;
    }
  return ls_fail(err, LS_EFORMAT, "NPY elements of type \"%.40s\" are not read; bool, integers, float16, float32, float64 are", descr);
}

static ls_status parse_header(reader *r, ls_array *a, ls_err *err) {
  char key[32], descr[64] = "";
  int seen = 0;
  bool ok = take(r, '{');
  while (ok && !take(r, '}')) {
    ok = take_string(r, key, sizeof key) && take(r, ':');
    if (!ok) break;
    if (strcmp(key, "descr") == 0) {
      skip_blanks(r);
      if (r->at < r->end && *r->at == '[')
        return ls_fail(err, LS_EFORMAT, "NPY elements are structures; bool, integers, float16, float32, float64 are read");
      ok = take_string(r, descr, sizeof descr);
      seen |= 1;
    } else if (strcmp(key, "fortran_order") == 0) {
      a->fortran_order = take_word(r, "True");
      ok = a->fortran_order || take_word(r, "False");
      seen |= 2;
    } else if (strcmp(key, "shape") == 0) {
      ok = take_shape(r, a);
      seen |= 4;
    } else {
      ok = false;
    }
    if (ok && !take(r, ',')) {
      ok = take(r, '}');
      break;
    }
  }
  if (!ok || seen != 7) return ls_fail(err, LS_EFORMAT, "the NPY header is not a dictionary of descr, fortran_order and shape (at most 8 dimensions)");
  return element_of(descr, a, err);
}

/* The header, as far as it is there: *promise says how far that is. */
static ls_status read_header(const uint8_t *bytes, size_t size, ls_array *out, ls_promise *promise, ls_err *err) {
  ls_array a = {0};
  *promise = (ls_promise){.needed = 10};
  if (size < 10 || memcmp(bytes, "\x93NUMPY", 6) != 0) return ls_fail(err, LS_EFORMAT, "not an NPY file: it does not begin with \\x93NUMPY");
  int version = bytes[6];
  if (version < 1 || version > 3) return ls_fail(err, LS_EFORMAT, "NPY version %d.%d is unknown, 1 to 3 are read", version, bytes[7]);
  size_t start = version == 1 ? 10 : 12, length = 0;
  promise->needed = start;
  if (size < start) return LS_OK;
  for (size_t i = 8; i < start; i++) length |= (size_t)bytes[i] << 8 * (i - 8);
  if (length > LS_NPY_LONGEST_HEADER)
    return ls_fail(err, LS_EFORMAT, "NPY header of %zu bytes, at most %d are read", length, LS_NPY_LONGEST_HEADER);
  promise->needed = start + length;
  if (size < start + length) return LS_OK;
  reader r = {(const char *)bytes + start, (const char *)bytes + start + length};
  ls_status status = parse_header(&r, &a, err);
  if (status == LS_OK) status = ls_shape_count(a.rank, a.shape, &a.count, err);
  if (status != LS_OK) return status;
  *promise = (ls_promise){.needed = start + length + a.count * ls_element_size(a.type), .whole = true};
  a.data = bytes + start + length;
  *out = a;
  return LS_OK;
}

ls_status ls_npy_promise(const uint8_t *bytes, size_t size, ls_promise *out, ls_err *err) {
  ls_array a;
  return read_header(bytes, size, &a, out, err);
}

ls_status ls_npy_open(const uint8_t *bytes, size_t size, ls_array *out, ls_err *err) {
  ls_array a;
  ls_promise promise;
  ls_status status = read_header(bytes, size, &a, &promise, err);
  if (status != LS_OK) return status;
  if (!promise.whole) return ls_fail(err, LS_EFORMAT, "NPY file ends within its header: %zu bytes, %zu are needed", size, promise.needed);
  if (size != promise.needed)
    return ls_fail(err, LS_EFORMAT, "NPY file has %zu bytes, its header promises %zu: it is %s", size, promise.needed,
                   size < promise.needed ? "truncated" : "followed by something else");
  *out = a;
  return LS_OK;
}

size_t ls_npy_header(ls_element type, int32_t rank, const int32_t *shape, uint8_t *buffer) {
  assert(type == LS_F32 || type == LS_F64 || type == LS_I64 || type == LS_U8);
  char *text = (char *)buffer + 10, *end = (char *)buffer + LS_NPY_HEADER_SIZE;
  text += snprintf(text, (size_t)(end - text), "{'descr': '%s', 'fortran_order': False, 'shape': (",
                   type == LS_F32 ? "<f4" : type == LS_F64 ? "<f8" : type == LS_I64 ? "<i8" : "|u1");
  for (int32_t i = 0; i < rank; i++) text += snprintf(text, (size_t)(end - text), rank == 1 ? "%d," : i == 0 ? "%d" : ", %d", shape[i]);
  text += snprintf(text, (size_t)(end - text), "), }");
  size_t used = (size_t)(text - (char *)buffer), total = (used + 1 + 63) / 64 * 64;
  memset(text, ' ', total - used - 1);
  buffer[total - 1] = '\n';
  memcpy(buffer, "\x93NUMPY\x01\x00", 8);
  buffer[8] = (uint8_t)((total - 10) & 255);
  buffer[9] = (uint8_t)((total - 10) >> 8);
  return total;
}
