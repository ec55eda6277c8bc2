/* The sweep of the fused cross-entropy, compiled once for each instruction set. SPDX-License-Identifier: MIT
 *
 * One loop works on three rows: the maximum of the next (which so comes out of memory while there is arithmetic to do),
 * exponentials and sums of this one, gradient of the one before. Exponentials go through one buffer of a row, read and then
 * written at the same place, so that the gradient is written once and never read.
 * Lanes are LANES everywhere, emptied into doubles every CHUNK numbers; no contraction: the same bits on every set. Tried and
 * dropped: flags that gcc does not take for constants (it keeps the accumulators in memory); FMA (bits that differ between sets). */
#include "core/kernels/kernels.h"
#include "core/kernels/vectors_tmpl.h"

/* Flags are constants in each use: gcc must not make one function of them. */
#define ALWAYS inline __attribute__((always_inline))

enum { CHUNK = 512, AHEAD = 512 };

typedef struct sums {
  vec most[PARTS], sum[PARTS], shifted[PARTS], along[PARTS];
} sums;

static ALWAYS void step(sums *s, const float *next, const float *z, vec shift, const float *v, float *e, float *grad, vec scale, vec offset, const float *grad_v,
                        vec v_scale, const int vectors, const int exps, const int grads, const int stream) {
#pragma GCC unroll 16
  for (int p = 0; p < PARTS; p++) {
    if (grads) {
      vec g = load(e + p * WIDTH) * scale - offset;
      if (vectors) g -= load(grad_v + p * WIDTH) * v_scale;
      if (stream)
        store_past_cache(grad + p * WIDTH, g);
      else
        store(grad + p * WIDTH, g);
    }
    if (exps) {
      vec d = load(z + p * WIDTH) - shift, x = exp_below(d);
      s->most[p] = larger_of(load(next + p * WIDTH), s->most[p]);
      s->sum[p] += x;
      s->shifted[p] += d;
      if (vectors) s->along[p] += load(v + p * WIDTH) * d;
      store(e + p * WIDTH, x);
    }
  }
}

static ALWAYS double total(const vec *lanes) {
  float x[LANES];
  double sum = 0.0;
  for (int p = 0; p < PARTS; p++) store(x + p * WIDTH, lanes[p]);
  for (int l = 0; l < LANES; l++) sum += (double)x[l];
  return sum;
}

static ALWAYS void copy_few(float *to, const float *from, size_t n) {
  for (size_t i = 0; i < n; i++) to[i] = from[i];
}

/* The row's last numbers, fewer than LANES: padded with what changes no sum. */
static ALWAYS void last_step(ls_softmax_sweep *s, sums *t, size_t at, size_t left, vec shift, vec scale, vec offset, vec v_scale, const int vectors, const int exps,
                             const int grads) {
  float next[LANES], z[LANES], v[LANES] = {0}, grad[LANES], grad_v[LANES] = {0};
  if (exps) {
    for (int l = 0; l < LANES; l++) next[l] = -INFINITY, z[l] = s->shift - 200.0f;
    copy_few(next, s->next + at, left);
    copy_few(z, s->z + at, left);
    if (vectors) copy_few(v, s->v + at, left);
  }
  if (grads && vectors) copy_few(grad_v, s->grad_v + at, left);
  vec before[PARTS];
  for (int p = 0; p < PARTS; p++) before[p] = t->shifted[p];
  step(t, next, z, shift, v, s->e + at, grad, scale, offset, grad_v, v_scale, vectors, exps, grads, 0);
  if (exps) { /* the padding's shifts taken back: by adding again, without it */
    float sum[LANES];
    for (int p = 0; p < PARTS; p++) store(sum + p * WIDTH, before[p]);
    for (size_t l = 0; l < left; l++) sum[l] += z[l] - s->shift;
    for (int p = 0; p < PARTS; p++) t->shifted[p] = load(sum + p * WIDTH);
  }
  if (grads) copy_few(s->grad + at, grad, left);
}

static ALWAYS void sweep(size_t n, ls_softmax_sweep *s, const int vectors, const int exps, const int grads, const int stream) {
  sums t;
  vec zero = all_lanes(0.0f), shift = all_lanes(s->shift), scale = all_lanes(s->scale), offset = all_lanes(s->offset), v_scale = all_lanes(s->v_scale);
  double sum = 0.0, shifted = 0.0, along = 0.0;
  const float *next = s->next, *z = s->z, *v = s->v, *grad_v = s->grad_v;
  float *restrict e = s->e, *restrict grad = s->grad;
  size_t whole = n / LANES * LANES, at = 0;
  for (int p = 0; p < PARTS; p++) t.most[p] = all_lanes(-INFINITY);
  do {
    size_t end = whole - at < CHUNK ? whole : at + CHUNK;
    for (int p = 0; p < PARTS; p++) t.sum[p] = t.shifted[p] = t.along[p] = zero;
    for (; at < end; at += LANES) {
      if (exps) __builtin_prefetch(next + at + AHEAD);
      step(&t, next + at, z + at, shift, v + at, e + at, grad + at, scale, offset, grad_v + at, v_scale, vectors, exps, grads, stream);
    }
    if (at == whole && whole < n) last_step(s, &t, at, n - whole, shift, scale, offset, v_scale, vectors, exps, grads);
    if (exps) {
      sum += total(t.sum);
      shifted += total(t.shifted);
      if (vectors) along += total(t.along);
    }
  } while (at < whole);
  if (!exps) return;
  float most[LANES], best = -INFINITY;
  for (int p = 0; p < PARTS; p++) store(most + p * WIDTH, t.most[p]);
  for (int l = 0; l < LANES; l++) best = most[l] > best ? most[l] : best;
  s->next_most = best;
  s->sum = sum;
  s->shifted = shifted;
  s->along = along;
}

#define SWEEP(name, exps, grads, stream)                                                                                 \
  static void name(size_t n, ls_softmax_sweep *s) {                                                                              \
    if (s->v != NULL)                                                                                                    \
      sweep(n, s, 1, exps, grads, stream);                                                                               \
    else                                                                                                                 \
      sweep(n, s, 0, exps, grads, stream);                                                                               \
  }
SWEEP(first, 1, 0, 0)
SWEEP(whole, 1, 1, 0)
SWEEP(last, 0, 1, 0)
SWEEP(whole_past_cache, 1, 1, 1)
SWEEP(last_past_cache, 0, 1, 1)

static void sweep_kernel(size_t n, ls_softmax_sweep *s) {
  bool stream = s->past_cache && (uintptr_t)s->grad % (WIDTH * sizeof(float)) == 0;
  if (s->grad == NULL)
    first(n, s);
  else if (s->z == NULL)
    (stream ? last_past_cache : last)(n, s);
  else
    (stream ? whole_past_cache : whole)(n, s);
}

static void exp_kernel(size_t n, const float *z, float *e) {
  size_t at = 0;
  for (; n - at >= WIDTH; at += WIDTH) store(e + at, exp_below(load(z + at)));
  if (at == n) return;
  float few[WIDTH] = {0};
  copy_few(few, z + at, n - at);
  store(few, exp_below(load(few)));
  copy_few(e + at, few, n - at);
}

const ls_softmax_kernels LS_PASTE(ls_softmax_kernels_, LS_ISA) = {.sweep = sweep_kernel, .exp = exp_kernel, .fence = fence};
