/* Elements of arrays as float32 or exact integers. SPDX-License-Identifier: MIT */
#include <lsengine/data.h>

#include <math.h>
#include <string.h>

static const struct {
  const char *name;
  uint8_t size;
  bool integer;
} elements[] = {{"uint8", 1, true},  {"int8", 1, true},   {"uint16", 2, true}, {"int16", 2, true},
                {"uint32", 4, true}, {"int32", 4, true},  {"uint64", 8, true}, {"int64", 8, true},
                {"float16", 2, false}, {"float32", 4, false}, {"float64", 8, false}, {"bool", 1, true}};

const char *ls_element_name(ls_element type) { return elements[type].name; }
size_t ls_element_size(ls_element type) { return elements[type].size; }
bool ls_element_is_integer(ls_element type) { return elements[type].integer; }

static uint64_t bits_at(const ls_array *a, size_t i) {
  size_t size = elements[a->type].size;
  const uint8_t *p = a->data + i * size;
  uint64_t bits = 0;
  for (size_t b = 0; b < size; b++) bits |= (uint64_t)p[a->big_endian ? size - 1 - b : b] << 8 * b;
  return bits;
}

static double half(uint64_t bits) {
  int exponent = (int)(bits >> 10 & 31);
  double fraction = (double)(bits & 1023), sign = bits >> 15 ? -1.0 : 1.0;
  if (exponent == 31) return fraction == 0.0 ? sign * (double)INFINITY : (double)NAN;
  return sign * (exponent == 0 ? ldexp(fraction, -24) : ldexp(1024.0 + fraction, exponent - 25));
}

static float float_at(const ls_array *a, size_t i) {
  uint64_t bits = bits_at(a, i);
  uint32_t low = (uint32_t)bits;
  float f;
  double d;
  switch (a->type) {
    case LS_U8: case LS_U16: case LS_U32: case LS_U64: return (float)bits;
    case LS_BOOL: return bits != 0 ? 1.0f : 0.0f;
    case LS_I8: return (float)(int8_t)bits;
    case LS_I16: return (float)(int16_t)bits;
    case LS_I32: return (float)(int32_t)bits;
    case LS_I64: return (float)(int64_t)bits;
    case LS_F16: return (float)half(bits);
    case LS_F32: memcpy(&f, &low, sizeof f); return f;
    case LS_F64: break;
  }
  memcpy(&d, &bits, sizeof d);
  return (float)d;
}

/* Place in the file of the i-th element in row-major order. */
static size_t place(const ls_array *a, size_t i) {
  size_t at = 0, step = 1, position[LS_MAX_RANK];
  if (!a->fortran_order || a->rank < 2) return i;
  for (int32_t axis = a->rank - 1; axis >= 0; axis--) {
    position[axis] = i % (size_t)a->shape[axis];
    i /= (size_t)a->shape[axis];
  }
  for (int32_t axis = 0; axis < a->rank; axis++) {
    at += position[axis] * step;
    step *= (size_t)a->shape[axis];
  }
  return at;
}

void ls_array_to_float(const ls_array *a, float *out) {
  for (size_t i = 0; i < a->count; i++) out[i] = float_at(a, place(a, i));
}

ls_status ls_array_to_int64(const ls_array *a, int64_t *out, ls_err *err) {
  if (!elements[a->type].integer)
    return ls_fail(err, LS_EFORMAT, "the array holds %s, integers are required", elements[a->type].name);
  for (size_t i = 0; i < a->count && a->type == LS_U64; i++)
    if (bits_at(a, place(a, i)) > INT64_MAX)
      return ls_fail(err, LS_ERANGE, "element %zu is %llu, above 2^63-1", i + 1, (unsigned long long)bits_at(a, place(a, i)));
  for (size_t i = 0; i < a->count; i++) {
    uint64_t bits = bits_at(a, place(a, i));
    out[i] = a->type == LS_I8 ? (int8_t)bits : a->type == LS_I16 ? (int16_t)bits : a->type == LS_I32 ? (int32_t)bits
             : a->type == LS_BOOL ? bits != 0 : (int64_t)bits;
  }
  return LS_OK;
}
