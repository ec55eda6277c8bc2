/* Augmentation of images: what is drawn for each, and the copies that follow from it. SPDX-License-Identifier: MIT
 *
 * Images are (n, channels, height, width), contiguous. Draws are made image by image from one stream before anything is copied;
 * copies are cut into blocks of images. So results do not depend on threads. */
#ifndef LSENGINE_AUGMENT_H
#define LSENGINE_AUGMENT_H

#include <lsengine/random.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ls_images {
  int32_t n, channels, height, width;
} ls_images;

/* The part of an image that is copied: `out`'s element (y, x) is the input's (top + y, left + x), `value` outside of it. */
typedef struct ls_window {
  int32_t top, left;
} ls_window;

typedef struct ls_flip {
  bool horizontal, vertical;
} ls_flip;

/* Rows top … top+height-1, columns left … left+width-1; of height 0: none. */
typedef struct ls_rectangle {
  int32_t top, left, height, width;
} ls_rectangle;

/* Windows for shifts by -pixels … pixels, first down, then to the right, each uniform. pixels >= 0. */
void ls_draw_shifts(ls_rng *r, int32_t pixels, int32_t n, ls_window *out);

/* Windows for parts of height × width out of images with `padding` on all sides: top, then left, each uniform over the places where
 * the part lies within the padded image. LS_ESHAPE where it is larger than that. */
ls_status ls_draw_crops(ls_rng *r, const ls_images *images, int32_t padding, int32_t height, int32_t width, ls_window *out, ls_err *err);

/* Flips with the given probabilities: horizontal, then vertical; each image takes two numbers. */
void ls_draw_flips(ls_rng *r, double horizontal, double vertical, int32_t n, ls_flip *out);

typedef struct ls_erasing {
  double probability, area_low, area_high, aspect; /* 0 <= low <= high <= 1; 0 < aspect <= 1 */
} ls_erasing;

/* Random erasing (Zhong et al. 2017, algorithm 1, in the details as the authors' program): with the probability, up to 100 times: an area
 * (share of the image) uniform in area_low … area_high, a ratio of height to width uniform in aspect … 1/aspect, the sides rounded to
 * whole pixels, until both are at least 1 and below the image's; then the place, top, then left, uniform. LS_ERANGE. */
ls_status ls_draw_erasings(ls_rng *r, const ls_erasing *o, const ls_images *images, ls_rectangle *out, ls_err *err);

/* out (n, channels, height, width) = the windows of x. out does not overlap x. O(elements). */
void ls_copy_windows(const ls_images *images, const float *x, const ls_window *windows, int32_t height, int32_t width, float value, float *out);

/* out = x with images flipped; no overlap. */
void ls_copy_flipped(const ls_images *images, const float *x, const ls_flip *flips, float *out);

/* out = x with the rectangles filled, in all channels; no overlap. */
void ls_copy_erased(const ls_images *images, const float *x, const ls_rectangle *rectangles, float value, float *out);

#ifdef __cplusplus
}
#endif
#endif
