/* Augmentation of images. SPDX-License-Identifier: MIT */
#include <lsengine/augment.h>
#include <lsengine/pool.h>

#include <math.h>
#include <stddef.h>
#include <string.h>

enum { BLOCK = 32768, TRIES = 100 }; /* elements of a block at least; sizes drawn for one image at most */

/* ---- draws ---- */

void ls_draw_shifts(ls_rng *r, int32_t pixels, int32_t n, ls_window *out) {
  for (int32_t i = 0; i < n; i++) {
    int32_t down = (int32_t)ls_rng_integer(r, -(int64_t)pixels, pixels), right = (int32_t)ls_rng_integer(r, -(int64_t)pixels, pixels);
    out[i] = (ls_window){-down, -right};
  }
}

ls_status ls_draw_crops(ls_rng *r, const ls_images *images, int32_t padding, int32_t height, int32_t width, ls_window *out, ls_err *err) {
  int64_t rows = images->height + 2 * (int64_t)padding - height, columns = images->width + 2 * (int64_t)padding - width;
  if (rows < 0 || columns < 0)
    return ls_fail(err, LS_ESHAPE, "parts of %dx%d do not fit into images of %dx%d with a padding of %d", height, width, images->height, images->width, padding);
  for (int32_t i = 0; i < images->n; i++) {
    int64_t top = ls_rng_integer(r, 0, rows), left = ls_rng_integer(r, 0, columns);
    out[i] = (ls_window){(int32_t)(top - padding), (int32_t)(left - padding)};
  }
  return LS_OK;
}

void ls_draw_flips(ls_rng *r, double horizontal, double vertical, int32_t n, ls_flip *out) {
  for (int32_t i = 0; i < n; i++) {
    bool first = ls_rng_double(r) < horizontal, second = ls_rng_double(r) < vertical;
    out[i] = (ls_flip){first, second};
  }
}

ls_status ls_draw_erasings(ls_rng *r, const ls_erasing *o, const ls_images *images, ls_rectangle *out, ls_err *err) {
  if (!(o->probability >= 0.0 && o->probability <= 1.0)) return ls_fail(err, LS_ERANGE, "probability is %g, allowed is 0 to 1", o->probability);
  if (!(o->area_low >= 0.0 && o->area_low <= o->area_high && o->area_high <= 1.0))
    return ls_fail(err, LS_ERANGE, "area is %g to %g, allowed is 0 to 1, the first not above the second", o->area_low, o->area_high);
  if (!(o->aspect > 0.0 && o->aspect <= 1.0)) return ls_fail(err, LS_ERANGE, "aspect is %g, allowed is above 0, at most 1", o->aspect);
  double pixels = (double)images->height * images->width;
  for (int32_t i = 0; i < images->n; i++) {
    out[i] = (ls_rectangle){0};
    if (ls_rng_double(r) >= o->probability) continue;
    for (int attempt = 0; attempt < TRIES; attempt++) {
      double area = pixels * (o->area_low + (o->area_high - o->area_low) * ls_rng_double(r));
      double aspect = o->aspect + (1.0 / o->aspect - o->aspect) * ls_rng_double(r);
      double height = nearbyint(sqrt(area * aspect)), width = nearbyint(sqrt(area / aspect));
      if (!(height >= 1.0 && width >= 1.0 && height < images->height && width < images->width)) continue;
      int32_t rows = (int32_t)height, columns = (int32_t)width;
      int64_t top = ls_rng_integer(r, 0, images->height - rows), left = ls_rng_integer(r, 0, images->width - columns);
      out[i] = (ls_rectangle){(int32_t)top, (int32_t)left, rows, columns};
      break;
    }
  }
  return LS_OK;
}

/* ---- copies ---- */

typedef struct augment_job {
  ls_images images;
  const float *x;
  const ls_window *windows;
  const ls_flip *flips;
  const ls_rectangle *rectangles;
  int32_t height, width; /* of out */
  float value, *out;
  int32_t images_a_block;
} augment_job;

static void fill(size_t n, float value, float *out) {
  for (size_t i = 0; i < n; i++) out[i] = value;
}

/* Columns from … to-1 of out lie within the image. */
static void window(const augment_job *j, const float *x, ls_window w, float *out) {
  int64_t from = -(int64_t)w.left, to = (int64_t)j->images.width - w.left;
  if (from < 0) from = 0;
  if (to > j->width) to = j->width;
  if (to < from) from = to = j->width;
  for (int32_t y = 0; y < j->height; y++, out += j->width) {
    int64_t row = (int64_t)w.top + y;
    if (row < 0 || row >= j->images.height) {
      fill((size_t)j->width, j->value, out);
      continue;
    }
    fill((size_t)from, j->value, out);
    if (to > from) memcpy(out + from, x + row * j->images.width + from + w.left, (size_t)(to - from) * sizeof *out);
    fill((size_t)(j->width - to), j->value, out + to);
  }
}

static void flipped(const augment_job *j, const float *x, ls_flip flip, float *out) {
  int32_t height = j->images.height, width = j->images.width;
  for (int32_t y = 0; y < height; y++, out += width) {
    const float *row = x + (ptrdiff_t)(flip.vertical ? height - 1 - y : y) * width;
    if (!flip.horizontal)
      memcpy(out, row, (size_t)width * sizeof *out);
    else
      for (int32_t c = 0; c < width; c++) out[c] = row[width - 1 - c];
  }
}

static void erased(const augment_job *j, const float *x, const ls_rectangle *r, float *out) {
  memcpy(out, x, (size_t)j->images.height * (size_t)j->images.width * sizeof *out);
  for (int32_t y = 0; y < r->height; y++) fill((size_t)r->width, j->value, out + (ptrdiff_t)(r->top + y) * j->images.width + r->left);
}

static void augment_block(void *argument, size_t block) {
  const augment_job *j = argument;
  int32_t i = (int32_t)block * j->images_a_block, end = j->images.n - i > j->images_a_block ? i + j->images_a_block : j->images.n;
  size_t in_size = (size_t)j->images.height * (size_t)j->images.width, out_size = (size_t)j->height * (size_t)j->width;
  for (; i < end; i++)
    for (int32_t c = 0; c < j->images.channels; c++) {
      size_t plane = (size_t)i * (size_t)j->images.channels + (size_t)c;
      const float *x = j->x + plane * in_size;
      float *out = j->out + plane * out_size;
      if (j->windows != NULL)
        window(j, x, j->windows[i], out);
      else if (j->flips != NULL)
        flipped(j, x, j->flips[i], out);
      else
        erased(j, x, &j->rectangles[i], out);
    }
}

static void run(augment_job *j) {
  size_t image = (size_t)j->images.channels * (size_t)j->height * (size_t)j->width;
  if (image == 0 || j->images.n == 0) return;
  j->images_a_block = (int32_t)((BLOCK + image - 1) / image);
  ls_parallel(LS_SITE_AUGMENT, ((size_t)j->images.n + (size_t)j->images_a_block - 1) / (size_t)j->images_a_block, augment_block, j);
}

void ls_copy_windows(const ls_images *images, const float *x, const ls_window *windows, int32_t height, int32_t width, float value, float *out) {
  augment_job j = {.images = *images, .x = x, .windows = windows, .height = height, .width = width, .value = value, .out = out};
  run(&j);
}

void ls_copy_flipped(const ls_images *images, const float *x, const ls_flip *flips, float *out) {
  augment_job j = {.images = *images, .x = x, .flips = flips, .height = images->height, .width = images->width, .out = out};
  run(&j);
}

void ls_copy_erased(const ls_images *images, const float *x, const ls_rectangle *rectangles, float value, float *out) {
  augment_job j = {.images = *images, .x = x, .rectangles = rectangles, .height = images->height, .width = images->width, .value = value, .out = out};
  run(&j);
}
