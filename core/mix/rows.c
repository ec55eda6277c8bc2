/* Blending and pasting rows, in place too. SPDX-License-Identifier: MIT
 *
 * In place, row i wants its partner as it was. The rows are therefore taken in the order of the partners' cycles, i, partner[i],
 * partner[partner[i]], …: a row is changed after the one that wanted it, and what was read as a partner is in the cache when it
 * is written. Work is cut into parts of PART rows and more in that order, four for each thread where there are several, and into columns. Of what a part wants and cannot find unchanged
 * (the first row of the next part, the first of a cycle that closes) a copy is made before: at most three rows a part. */
#include <lsengine/mix.h>
#include <lsengine/pool.h>

#include "core/kernels/kernels.h"

#include <stdbool.h>
#include <string.h>

enum { PART = 32, SHARES = 4, COLUMNS = 3072, LONG = 32768, LARGE = 8 << 20 };

enum { NEXT, CLOSING, OPENING, COPIES }; /* wanted by the part's last row; by the end of an earlier cycle; by the end of one begun here */

typedef struct mix_job {
  const ls_kernels *kernels;
  ls_cmat x;
  ls_mat out;
  const int32_t *partner, *order, *opens; /* order: rows by cycles; opens[k]: where in order the cycle of order[k] begins */
  float *copies;                          /* (parts, COPIES, d) */
  const float *a, *b;
  const ls_box *box;
  int32_t channels, height, width, length, step; /* length: of a part; step: columns of a block, or channels */
  size_t across;
} mix_job;

static int32_t ceil_div(int32_t a, int32_t b) { return a / b + (a % b != 0); }

/* Rows of a part. A copy is a thirtieth of a short one's time. */
static int32_t part_of(int32_t n) {
  int32_t threads = ls_pool_threads(), length = threads == 1 ? n : ceil_div(n, SHARES * threads);
  return length < PART ? PART : length;
}

static int32_t parts_of(int32_t n) { return ceil_div(n, part_of(n)); }

size_t ls_mix_scratch(int32_t n, int32_t d) {
  size_t numbers = 3 * (size_t)n * sizeof(int32_t);
  return (numbers + 63) / 64 * 64 + (size_t)parts_of(n) * COPIES * (size_t)d * sizeof(float);
}

static void follow_cycles(int32_t n, const int32_t *partner, int32_t *order, int32_t *opens, int32_t *seen) {
  int32_t at = 0;
  memset(seen, 0, (size_t)n * sizeof *seen);
  for (int32_t first = 0; first < n; first++) {
    int32_t begin = at;
    for (int32_t i = first; !seen[i]; i = partner[i]) {
      seen[i] = 1;
      opens[at] = begin;
      order[at++] = i;
    }
  }
}

static float *copy_of(const mix_job *j, size_t part, int which) {
  return j->copies + (part * COPIES + (size_t)which) * (size_t)j->x.cols;
}

static int32_t lowest(int32_t a, int32_t b) { return a < b ? a : b; }

static int32_t limit_of(const mix_job *j) { return j->box == NULL ? j->x.cols : j->channels; }

/* Columns of a block. COLUMNS of two rows stay in the first cache, LONG in the second. A batch of more than LARGE numbers comes from memory, which hands out long pieces faster
 * (mixup of 256×3×224×224 5.0 ms, 5.6 by COLUMNS, Zen 5); a smaller one may lie in the third cache (128×3×64×64 66 µs, 99 by LONG). */
static int32_t step_of(const mix_job *j) {
  int32_t threads = ls_pool_threads(), plane = j->height * j->width;
  if (j->box != NULL) return plane >= COLUMNS ? 1 : COLUMNS / (plane < 1 ? 1 : plane);
  bool shared = threads == 1 || parts_of(j->x.rows) * ceil_div(j->x.cols, LONG) >= SHARES * threads; /* blocks for all threads */
  return shared && (int64_t)j->x.rows * j->x.cols > LARGE ? LONG : COLUMNS;
}

/* The columns of a box: two runs where it wraps. */
typedef struct run {
  int32_t column, length;
} run;

static int runs_of(const ls_box *b, int32_t width, run runs[2]) {
  int32_t first = lowest(b->width, width - b->x);
  runs[0] = (run){b->x, first};
  runs[1] = (run){0, b->width - first};
  return b->width > first ? 2 : 1;
}

/* next: where the box of the next row will be read. */
static void copy_box(const mix_job *j, const ls_box *b, const float *source, const float *next, float *target, int32_t from, int32_t to) {
  run runs[2];
  if (b->height == 0 || b->width == 0) return;
  int count = runs_of(b, j->width, runs);
  size_t above = (size_t)lowest(b->height, j->height - b->y), below = (size_t)b->height - above, stride = (size_t)j->width; /* lines before the box wraps, and after */
  size_t plane = (size_t)j->height * stride, first = (size_t)b->y * stride;
  for (int r = 0; r < count; r++)
    for (size_t at = (size_t)from * plane + (size_t)runs[r].column, end = (size_t)to * plane; at < end; at += plane) {
      size_t length = (size_t)runs[r].length;
      j->kernels->mix->copy_lines(above, length, stride, source + at + first, next + at + first, target + at + first);
      if (below > 0) j->kernels->mix->copy_lines(below, length, stride, source + at, next + at, target + at);
    }
}

/* Columns (of boxes: channels) from … to-1 of a row: all, or the box that row `wanting` will paste. */
static void keep(const mix_job *j, int32_t row, int32_t wanting, int32_t from, int32_t to, float *copy) {
  const float *source = j->x.data + row * j->x.stride;
  if (j->box == NULL)
    memcpy(copy + from, source + from, (size_t)(to - from) * sizeof(float));
  else
    copy_box(j, &j->box[wanting], source, source, copy, from, to);
}

static void mix_one(const mix_job *j, int32_t row, const float *other, const float *next, int32_t from, int32_t to) {
  const float *x = j->x.data + row * j->x.stride;
  float *out = j->out.data + row * j->out.stride;
  if (j->box == NULL) {
    j->kernels->mix->blend((size_t)(to - from), j->a[row], x + from, j->b[row], other + from, next + from, out + from);
    return;
  }
  if (out != x) {
    size_t plane = (size_t)j->height * (size_t)j->width;
    memcpy(out + (size_t)from * plane, x + (size_t)from * plane, (size_t)(to - from) * plane * sizeof(float));
  }
  copy_box(j, &j->box[row], other, next, out, from, to);
}

/* Copies of what part `block` will want from other parts. */
static void copy_block(void *argument, size_t block) {
  const mix_job *j = argument;
  size_t part = block / j->across;
  int32_t from = (int32_t)(block % j->across) * j->step, to = lowest(from + j->step, limit_of(j));
  int32_t begin = (int32_t)part * j->length, end = j->x.rows - begin < j->length ? j->x.rows : begin + j->length;
  for (int32_t k = begin; k < end; k++) {
    bool closes = k + 1 == j->x.rows || j->opens[k + 1] != j->opens[k];
    if (closes && j->opens[k] < begin)
      keep(j, j->partner[j->order[k]], j->order[k], from, to, copy_of(j, part, CLOSING));
    else if (!closes && k + 1 == end)
      keep(j, j->partner[j->order[k]], j->order[k], from, to, copy_of(j, part, NEXT));
  }
}

static void mix_block(void *argument, size_t block) {
  const mix_job *j = argument;
  size_t part = block / j->across;
  int32_t from = (int32_t)(block % j->across) * j->step, to = lowest(from + j->step, limit_of(j));
  int32_t begin = (int32_t)part * j->length, end = j->x.rows - begin < j->length ? j->x.rows : begin + j->length;
  bool in_place = j->out.data == j->x.data;
  for (int32_t k = begin; k < end; k++) {
    bool closes = k + 1 == j->x.rows || j->opens[k + 1] != j->opens[k];
    int32_t row = j->order[k], partner = j->order[closes ? j->opens[k] : k + 1];
    const float *other = j->x.data + partner * j->x.stride;
    if (in_place) {
      if (j->opens[k] == k && !closes) { /* the first of a cycle: who closes it wants it unchanged */
        int32_t last = k;
        while (last + 1 < end && j->opens[last + 1] == k) last++;
        if (last + 1 == j->x.rows || j->opens[last + 1] != k) keep(j, row, j->order[last], from, to, copy_of(j, part, OPENING));
      }
      if (closes && j->opens[k] != k)
        other = copy_of(j, part, j->opens[k] < begin ? CLOSING : OPENING);
      else if (!closes && k + 1 == end)
        other = copy_of(j, part, NEXT);
    }
    mix_one(j, row, other, j->x.data + j->order[k + 2 < end ? k + 2 : k] * j->x.stride, from, to);
  }
}

static void mix(mix_job *j, void *scratch) {
  int32_t n = j->x.rows;
  int32_t *order = scratch, *opens = order + n;
  if (n == 0 || j->x.cols == 0) return;
  follow_cycles(n, j->partner, order, opens, opens + n);
  j->order = order;
  j->opens = opens;
  j->copies = (float *)((char *)scratch + (3 * (size_t)n * sizeof(int32_t) + 63) / 64 * 64);
  j->kernels = ls_kernels_now();
  j->length = part_of(n);
  j->step = step_of(j);
  j->across = (size_t)ceil_div(limit_of(j), j->step);
  size_t blocks = (size_t)parts_of(n) * j->across;
  if (j->out.data == j->x.data && n > j->length) ls_parallel(LS_SITE_MIX, blocks, copy_block, j);
  ls_parallel(LS_SITE_MIX, blocks, mix_block, j);
}

void ls_mix_rows(ls_cmat x, const int32_t *partner, const float *a, const float *b, ls_mat out, void *scratch) {
  mix_job job = {.x = x, .out = out, .partner = partner, .a = a, .b = b};
  mix(&job, scratch);
}

void ls_mix_paste(ls_cmat x, int32_t channels, int32_t height, int32_t width, const int32_t *partner, const ls_box *box, ls_mat out,
                  void *scratch) {
  mix_job job = {.x = x, .out = out, .partner = partner, .box = box, .channels = channels, .height = height, .width = width};
  mix(&job, scratch);
}
