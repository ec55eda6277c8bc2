/* SPDX-License-Identifier: MIT */
#include <lsengine/data.h>

#include <assert.h>

ls_status ls_cifar_open(const uint8_t *bytes, size_t size, int32_t label_bytes, ls_cifar *out, ls_err *err) {
  static const uint8_t classes[3][2] = {{0, 0}, {10, 0}, {20, 100}};
  assert(label_bytes == 1 || label_bytes == 2);
  size_t record = (size_t)label_bytes + LS_CIFAR_PIXELS, rows = size / record;
  if (size == 0 || size % record != 0)
    return ls_fail(err, LS_EFORMAT, "CIFAR file has %zu bytes, a multiple of %zu is required: it is truncated, or not of the binary version", size, record);
  if (rows > INT32_MAX) return ls_fail(err, LS_ESHAPE, "CIFAR file of %zu images, at most 2^31-1 are read", rows);
  for (size_t i = 0; i < rows; i++)
    for (int32_t b = 0; b < label_bytes; b++) {
      uint8_t label = bytes[i * record + (size_t)b], most = classes[label_bytes][b];
      if (label >= most)
        return ls_fail(err, LS_ERANGE, "the %slabel of image %zu is %d, allowed is 0 to %d", label_bytes == 1 ? "" : b == 0 ? "coarse " : "fine ",
                       i + 1, label, most - 1);
    }
  *out = (ls_cifar){.rows = (int32_t)rows, .label_bytes = label_bytes, .bytes = bytes};
  return LS_OK;
}

void ls_cifar_images(const ls_cifar *c, float *out) {
  for (size_t i = 0; i < (size_t)c->rows; i++) {
    const uint8_t *pixels = c->bytes + i * ((size_t)c->label_bytes + LS_CIFAR_PIXELS) + (size_t)c->label_bytes;
    for (size_t k = 0; k < LS_CIFAR_PIXELS; k++) out[i * LS_CIFAR_PIXELS + k] = (float)pixels[k];
  }
}

void ls_cifar_labels(const ls_cifar *c, int32_t which, int64_t *out) {
  for (size_t i = 0; i < (size_t)c->rows; i++) out[i] = c->bytes[i * ((size_t)c->label_bytes + LS_CIFAR_PIXELS) + (size_t)which];
}
