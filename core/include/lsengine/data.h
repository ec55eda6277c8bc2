/* Formats of arrays, on byte ranges: IDX, NPY and CIFAR. SPDX-License-Identifier: MIT
 *
 * Bytes are untrusted: every size is checked against what is there. */
#ifndef LSENGINE_DATA_H
#define LSENGINE_DATA_H

#include <lsengine/view.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ls_element {
  LS_U8, LS_I8, LS_U16, LS_I16, LS_U32, LS_I32, LS_U64, LS_I64, LS_F16, LS_F32, LS_F64, LS_BOOL
} ls_element;

/* An array inside a range of bytes, which it borrows. */
typedef struct ls_array {
  ls_element type;
  bool big_endian, fortran_order;
  int32_t rank, shape[LS_MAX_RANK];
  size_t count; /* elements */
  const uint8_t *data;
} ls_array;

const char *ls_element_name(ls_element type);
size_t ls_element_size(ls_element type);
bool ls_element_is_integer(ls_element type); /* booleans count as integers */

/* IDX (LeCun's MNIST files): two zero bytes, type, rank, big-endian sizes, elements. The range must hold exactly that.
 * LS_EFORMAT says what was found and what is needed. */
ls_status ls_idx_open(const uint8_t *bytes, size_t size, ls_array *out, ls_err *err);

/* NPY 1.0, 2.0, 3.0: bool, integers, float16/32/64 of either byte order, C or Fortran order. Structures, strings and objects
 * are refused by name. LS_EFORMAT, LS_ESHAPE. */
ls_status ls_npy_open(const uint8_t *bytes, size_t size, ls_array *out, ls_err *err);

/* What the first bytes of an array's file promise (at least 4 of IDX, 10 of NPY): `needed` bytes are the whole file where `whole` is set,
 * else what must be read before more can be said. A reader asks again with that many, and so never unpacks more than a header promises.
 * Errors are those of opening; an NPY header of more than LS_NPY_LONGEST_HEADER bytes is one (LS_EFORMAT). */
typedef struct ls_promise {
  size_t needed;
  bool whole;
} ls_promise;

#define LS_NPY_LONGEST_HEADER 65536

ls_status ls_idx_promise(const uint8_t *bytes, size_t size, ls_promise *out, ls_err *err);
ls_status ls_npy_promise(const uint8_t *bytes, size_t size, ls_promise *out, ls_err *err);

/* Elements in row-major order as float32, rounded to nearest; float64 beyond its range becomes inf. out holds count. */
void ls_array_to_float(const ls_array *a, float *out);

/* Elements as exact integers. LS_EFORMAT for floats, LS_ERANGE names the place of a value above 2^63-1. */
ls_status ls_array_to_int64(const ls_array *a, int64_t *out, ls_err *err);

#define LS_NPY_HEADER_SIZE 256

/* The header of an NPY 1.0 file in C order and little-endian for LS_F32, LS_F64, LS_I64 or LS_U8 (asserted): a multiple of 64 bytes, at most
 * LS_NPY_HEADER_SIZE; returns its size. */
size_t ls_npy_header(ls_element type, int32_t rank, const int32_t *shape, uint8_t *buffer);

/* CIFAR's binary version (Krizhevsky 2009): records of the label, or the coarse and the fine label, and 3072 bytes of an image: channels
 * red, green, blue, each 32 rows of 32. */
#define LS_CIFAR_PIXELS 3072

typedef struct ls_cifar {
  int32_t rows, label_bytes;
  const uint8_t *bytes;
} ls_cifar;

/* label_bytes: 1 (CIFAR-10) or 2 (CIFAR-100; asserted). LS_EFORMAT where the range is no whole number of records, LS_ERANGE for a label that is
 * no class: 0 … 9, or 0 … 19 and 0 … 99. */
ls_status ls_cifar_open(const uint8_t *bytes, size_t size, int32_t label_bytes, ls_cifar *out, ls_err *err);

/* rows×3×32×32 numbers 0 … 255. */
void ls_cifar_images(const ls_cifar *c, float *out);

/* The label in byte `which` of each record: 0, or with two 0 (coarse) or 1 (fine). */
void ls_cifar_labels(const ls_cifar *c, int32_t which, int64_t *out);

#ifdef __cplusplus
}
#endif
#endif
