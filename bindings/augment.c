/* Augmentation of images. SPDX-License-Identifier: MIT */
#include "bindings/random.h"

#include <lsengine/augment.h>

/* The images at index 1 (contiguous; a copy of others replaces them), and what one draw for each takes. */
static lsb_tensor *check_images(lua_State *L, const char *name, ls_images *images) {
  char text[128];
  lsb_tensor *x = lsb_check_contiguous(L, 1, name, "x");
  if (x->view.rank != 4)
    lsb_fail(L, name, "x has shape %s, images (N×C×H×W) are required", ls_shape_text(&x->view, text, sizeof text));
  *images = (ls_images){x->view.shape[0], x->view.shape[1], x->view.shape[2], x->view.shape[3]};
  return x;
}

static float check_value(lua_State *L, int index, const char *name) { return (float)lsb_check_number(L, index, name, "value"); }

static double check_share(lua_State *L, int index, const char *name, const char *argument) {
  double p = lsb_check_number(L, index, name, argument);
  if (!(p >= 0.0 && p <= 1.0)) lsb_fail(L, name, "%s is %g, allowed is 0 to 1", argument, p);
  return p;
}

enum { LARGEST = 1 << 20 }; /* pixels of a shift, a padding, or a side */

/* shift(x, rng, pixels, value) */
static int shift(lua_State *L) {
  ls_images images;
  lua_settop(L, 4);
  lsb_tensor *x = check_images(L, "shift", &images);
  ls_rng *r = lsb_check_rng(L, 2, "shift");
  int32_t pixels = lsb_check_int(L, 3, "shift", "pixels", 0, LARGEST);
  float value = check_value(L, 4, "shift");
  ls_window *windows = lsb_new_scratch(L, "shift", (size_t)images.n * sizeof *windows);
  lsb_tensor *out = lsb_new_tensor(L, "shift", 4, x->view.shape);
  ls_draw_shifts(r, pixels, images.n, windows);
  ls_copy_windows(&images, x->view.data, windows, images.height, images.width, value, out->view.data);
  return 1;
}

/* crop(x, rng, height, width, padding, value) */
static int crop(lua_State *L) {
  ls_images images;
  ls_err err;
  lua_settop(L, 6);
  lsb_tensor *x = check_images(L, "crop", &images);
  ls_rng *r = lsb_check_rng(L, 2, "crop");
  int32_t height = lsb_check_int(L, 3, "crop", "height", 1, LARGEST), width = lsb_check_int(L, 4, "crop", "width", 1, LARGEST);
  int32_t padding = lsb_check_int(L, 5, "crop", "padding", 0, LARGEST);
  float value = check_value(L, 6, "crop");
  int32_t shape[] = {images.n, images.channels, height, width};
  ls_window *windows = lsb_new_scratch(L, "crop", (size_t)images.n * sizeof *windows);
  lsb_tensor *out = lsb_new_tensor(L, "crop", 4, shape);
  if (ls_draw_crops(r, &images, padding, height, width, windows, &err) != LS_OK) return lsb_raise(L, "crop", &err);
  ls_copy_windows(&images, x->view.data, windows, height, width, value, out->view.data);
  return 1;
}

/* flip(x, rng, horizontal, vertical): probabilities */
static int flip(lua_State *L) {
  ls_images images;
  lua_settop(L, 4);
  lsb_tensor *x = check_images(L, "flip", &images);
  ls_rng *r = lsb_check_rng(L, 2, "flip");
  double horizontal = check_share(L, 3, "flip", "horizontal"), vertical = check_share(L, 4, "flip", "vertical");
  ls_flip *flips = lsb_new_scratch(L, "flip", (size_t)images.n * sizeof *flips);
  lsb_tensor *out = lsb_new_tensor(L, "flip", 4, x->view.shape);
  ls_draw_flips(r, horizontal, vertical, images.n, flips);
  ls_copy_flipped(&images, x->view.data, flips, out->view.data);
  return 1;
}

/* erase(x, rng, probability, area_low, area_high, aspect, value) */
static int erase(lua_State *L) {
  ls_images images;
  ls_err err;
  lua_settop(L, 7);
  lsb_tensor *x = check_images(L, "erase", &images);
  ls_rng *r = lsb_check_rng(L, 2, "erase");
  ls_erasing o = {lsb_check_number(L, 3, "erase", "probability"), lsb_check_number(L, 4, "erase", "area"), lsb_check_number(L, 5, "erase", "area"),
                  lsb_check_number(L, 6, "erase", "aspect")};
  float value = check_value(L, 7, "erase");
  ls_rectangle *rectangles = lsb_new_scratch(L, "erase", (size_t)images.n * sizeof *rectangles);
  lsb_tensor *out = lsb_new_tensor(L, "erase", 4, x->view.shape);
  if (ls_draw_erasings(r, &o, &images, rectangles, &err) != LS_OK) return lsb_raise(L, "erase", &err);
  ls_copy_erased(&images, x->view.data, rectangles, value, out->view.data);
  return 1;
}

int lsb_open_augment(lua_State *L) {
  static const luaL_Reg functions[] = {{"shift", shift}, {"crop", crop}, {"flip", flip}, {"erase", erase}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
