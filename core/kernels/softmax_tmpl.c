/* The sweep of the fused cross-entropy, compiled once for each instruction set. SPDX-License-Identifier: MIT
 *
 * One loop works on two rows: exponentials and sums of this one, gradient of the one before. Exponentials go through one buffer of a row, read
 * and then written at the same place, so that logits are read once and gradients written once and never read. Logits within
 * ±44 need no maximum taken off: such rows are read from memory once only; others are done again, shifted, while they are near.
 * Stores past the cache go to whole lines: the gradient's loop runs ahead of the other by what is missing to the next line, and the line that two rows
 * share is kept until both are known. (Stored in two parts, through the cache, it is read from memory first, and all stores behind it wait: 1000 classes
 * took 1.7 times as long as 1008 on a Zen 5. Asking for the line ahead did not help. By vectors of half a line, slower by themselves, it gained nothing and cost 3 to 6 %: they store it in parts.)
 * Lanes are LANES everywhere, emptied into doubles every CHUNK numbers; products and sums are fused where it is said, and nowhere else: the same bits on every set. Tried and
 * dropped: the maximum of the next row in the same loop (8.2 ms for 8192x1000 where this takes 4.3: three rows do not fit
 * the window of instructions in flight); flags that gcc does not take for constants (it keeps the accumulators in memory). */
#include "core/kernels/kernels.h"
#include "core/kernels/vectors_tmpl.h"

/* Flags are constants in each use: gcc must not make one function of them. */
#define ALWAYS inline __attribute__((always_inline))

enum { CHUNK = 512, AHEAD = 1024 };

/* No vector; one of all rows; that and uniform mass beside it; the row's own dense target, whose mass and least number are wanted, too. */
enum { NO_V, SHARED_V, SHARED_AND_SPREAD, ROW_V };

typedef struct sums {
  vec sum[PARTS], shifted[PARTS], along[PARTS], mass[PARTS], least[PARTS];
  uvec seen; /* whether the row is near */
} sums;

typedef struct wide {
  double lane[LANES];
} wide;

typedef struct totals {
  wide sum, shifted, along, mass;
} totals;

static ALWAYS void empty(wide *to, const vec *lanes) {
  float x[LANES];
  for (int p = 0; p < PARTS; p++) store(x + p * WIDTH, lanes[p]);
  for (int l = 0; l < LANES; l++) to->lane[l] += (double)x[l];
}

/* By halves, in registers: the next row's gradient waits for it. */
static ALWAYS double across(const wide *w) {
  typedef double quad __attribute__((vector_size(32)));
  quad q[4];
  memcpy(q, w->lane, sizeof q);
  quad r = (q[0] + q[2]) + (q[1] + q[3]);
  return (r[0] + r[2]) + (r[1] + r[3]);
}

static ALWAYS float across_most(const vec *lanes) {
  float x[LANES];
  for (int p = 0; p < PARTS; p++) store(x + p * WIDTH, lanes[p]);
  for (int half = LANES / 2; half > 0; half /= 2)
    for (int l = 0; l < half; l++) x[l] = x[l] > x[l + half] ? x[l] : x[l + half];
  return x[0];
}

/* What a sweep has in registers; offset and v_scale with the other sign. */
typedef struct constants {
  vec shift, scale, offset, v_scale;
} constants;

static ALWAYS vec gradient(const constants *c, vec e, vec v, const int kind) {
  vec g = kind == SHARED_V ? e * c->scale : fma_of(e, c->scale, c->offset);
  return kind != NO_V ? fma_of(v, c->v_scale, g) : g;
}

/* Of the first n of WIDTH numbers; what v has beyond is not touched. */
static ALWAYS vec gradient_at(const constants *c, const float *e, const float *grad_v, int n, const int kind) {
  return gradient(c, load(e), kind == NO_V ? all_lanes(0.0f) : n >= WIDTH ? load(grad_v) : load_few(grad_v, n), kind);
}

/* LANES of the gradient of the row before, or the first n of them. */
static ALWAYS void gradients(const constants *c, const float *e, const float *grad_v, float *grad, int n, const int kind, const int stream) {
#pragma GCC unroll 4
  for (int p = 0; p < PARTS; p++) {
    int left = n - p * WIDTH;
    if (left <= 0) return; /* a store that is masked away is not free */
    vec g = gradient_at(c, e + p * WIDTH, grad_v + p * WIDTH, left, kind);
    if (left < WIDTH)
      store_few(grad + p * WIDTH, g, left);
    else if (stream)
      store_past_cache(grad + p * WIDTH, g);
    else
      store(grad + p * WIDTH, g);
  }
}

/* The last `count` numbers of a row, which the next one is to make a line of. Where a vector is a line. */
static ALWAYS void keep_line(ls_softmax_line *line, const constants *c, const float *e, const float *grad_v, float *grad, int count, const int kind) {
  line->to = grad;
  line->count = count;
  store(line->kept, gradient_at(c, e, grad_v, count, kind));
}

static void store_line(ls_softmax_line *line) {
  for (int i = 0; i < line->count; i++) line->to[i] = line->kept[i];
  line->count = 0;
}

/* What is kept and the first numbers of the row after it. Chosen in registers: a vector read where two were just written waits for all stores before them. */
static ALWAYS void complete_line(ls_softmax_line *line, const constants *c, const float *e, const float *grad_v, const int kind) {
  int count = line->count;
  ivec kept = lanes_before(count);
  vec g = gradient(c, load_after(e - count, count), kind == NO_V ? all_lanes(0.0f) : load_after(grad_v - count, count), kind);
  store_past_cache(line->to, (vec)(((ivec)g & ~kept) | ((ivec)load(line->kept) & kept)));
  line->count = 0;
}

/* LANES of this row, or the first n of them: what is missing adds nothing. */
static ALWAYS void exponentials(sums *s, const constants *c, const float *z, const float *v, float *e, int n, const int kind, const int far) {
#pragma GCC unroll 4
  for (int p = 0; p < PARTS; p++) {
    int left = n - p * WIDTH;
    if (left <= 0) return;
    bool few = left < WIDTH;
    vec d = few ? load_few(z + p * WIDTH, left) : load_once(z + p * WIDTH);
    if (far) d = few ? only_few(d - c->shift, left) : d - c->shift;
    vec x = far ? exp_below(d) : exp_near(d, &s->seen);
    if (few) x = only_few(x, left);
    s->sum[p] += x;
    if (kind != SHARED_V) s->shifted[p] += d;
    if (kind != NO_V) {
      vec q = few ? load_few(v + p * WIDTH, left) : load_once(v + p * WIDTH);
      s->along[p] = fma_of(q, d, s->along[p]);
      if (kind == ROW_V) {
        s->mass[p] += q;
        s->least[p] = smaller_of(q, s->least[p]);
      }
    }
    store(e + p * WIDTH, x);
  }
}

/* The gradient of the row before and this row at the same place, where both want the same numbers of v: read once. */
static ALWAYS void both(sums *s, const constants *c, const float *z, const float *v, float *e, float *grad, const int stream) {
#pragma GCC unroll 4
  for (int p = 0; p < PARTS; p++) {
    vec q = load_once(v + p * WIDTH), g = fma_of(q, c->v_scale, load(e + p * WIDTH) * c->scale), d = load_once(z + p * WIDTH);
    if (stream)
      store_past_cache(grad + p * WIDTH, g);
    else
      store(grad + p * WIDTH, g);
    vec x = exp_near(d, &s->seen);
    s->sum[p] += x;
    s->along[p] = fma_of(q, d, s->along[p]);
    store(e + p * WIDTH, x);
  }
}

static ALWAYS void sweep(size_t n, ls_softmax_sweep *s, const int kind, const int exps, const int grads, const int stream, const int far) {
  sums t;
  totals all = {0};
  constants c = {all_lanes(s->shift), all_lanes(s->scale), all_lanes(-s->offset), all_lanes(-s->v_scale)};
  const float *z = s->z, *v = s->v;
  float *restrict e = s->e, *restrict grad = s->grad;
  size_t missing = grads && stream ? (LANES - ((uintptr_t)grad / sizeof(float)) % LANES) % LANES : 0, lead = missing < n ? missing : n;
  size_t at = 0, whole = (grads ? n - lead : n) / LANES * LANES; /* steps that are whole for both */
  const float *grad_v = s->grad_v;
  t.seen = (uvec){0} + EXP_NEAR_BITS;
  for (int p = 0; p < PARTS; p++) t.least[p] = all_lanes(0.0f);
  ls_softmax_line *line = grads && stream && PARTS == 1 ? s->line : NULL;
  bool shared = line != NULL && line->count > 0 && line->to + line->count == grad && lead == missing;
  if (line != NULL && !shared) store_line(line);
  if (lead > 0) {
    if (shared)
      complete_line(line, &c, e, grad_v, kind);
    else
      gradients(&c, e, grad_v, grad, (int)lead, kind, 0);
    grad += lead;
    grad_v = kind != NO_V ? grad_v + lead : NULL;
  }
  const float *before = e + lead;
  do {
    size_t end = whole - at < CHUNK ? whole : at + CHUNK;
    for (int p = 0; p < PARTS; p++) t.sum[p] = t.shifted[p] = t.along[p] = t.mass[p] = all_lanes(0.0f);
    for (; kind == SHARED_V && exps && grads && !far && lead == 0 && grad_v == v && at < end; at += LANES) {
      __builtin_prefetch(z + at + AHEAD);
      both(&t, &c, z + at, v + at, e + at, grad + at, stream);
    }
    for (; at < end; at += LANES) {
      if (exps && !far) __builtin_prefetch(z + at + AHEAD);
      if (exps && !far && kind == ROW_V) __builtin_prefetch(v + at + AHEAD);
      if (grads) gradients(&c, before + at, grad_v + at, grad + at, LANES, kind, stream);
      if (exps) exponentials(&t, &c, z + at, v + at, e + at, LANES, kind, far);
    }
    if (at == whole) {
      int left = grads ? (int)(n - lead - at) : 0;
      if (left > 0 && line != NULL)
        keep_line(line, &c, before + at, grad_v + at, grad + at, left, kind);
      else if (left > 0)
        gradients(&c, before + at, grad_v + at, grad + at, left, kind, 0);
      for (size_t k = at; exps && k < n; k += LANES) exponentials(&t, &c, z + k, v + k, e + k, n - k < LANES ? (int)(n - k) : LANES, kind, far);
    }
    if (exps) {
      empty(&all.sum, t.sum);
      if (kind != SHARED_V) empty(&all.shifted, t.shifted);
      if (kind != NO_V) empty(&all.along, t.along);
      if (kind == ROW_V) empty(&all.mass, t.mass);
    }
  } while (at < whole);
  if (!exps) return;
  s->sum = across(&all.sum);
  s->shifted = across(&all.shifted);
  s->along = kind != NO_V ? across(&all.along) : 0.0;
  if (!far) s->near = stays_near(t.seen);
  if (kind != ROW_V) return;
  for (int p = 0; p < PARTS; p++) t.least[p] = -t.least[p];
  s->least = -across_most(t.least);
  s->mass = across(&all.mass);
}

#define SWEEP(name, exps, grads, stream, far)                           \
  static void name(size_t n, ls_softmax_sweep *s) {                     \
    if (s->v == NULL)                                                   \
      sweep(n, s, NO_V, exps, grads, stream, far);                      \
    else if (!s->dense && !s->spread)                                   \
      sweep(n, s, SHARED_V, exps, grads, stream, far);                  \
    else if (!s->dense)                                                 \
      sweep(n, s, SHARED_AND_SPREAD, exps, grads, stream, far);         \
    else                                                                \
      sweep(n, s, ROW_V, exps, grads, stream, far);                     \
  }
SWEEP(first, 1, 0, 0, 0)
SWEEP(whole, 1, 1, 0, 0)
SWEEP(last, 0, 1, 0, 0)
SWEEP(whole_past_cache, 1, 1, 1, 0)
SWEEP(last_past_cache, 0, 1, 1, 0)
SWEEP(far, 1, 0, 0, 1)

static void sweep_kernel(size_t n, ls_softmax_sweep *s) {
  if (s->grad == NULL)
    first(n, s);
  else if (s->z == NULL)
    (s->past_cache ? last_past_cache : last)(n, s);
  else
    (s->past_cache ? whole_past_cache : whole)(n, s);
}

static void exp_kernel(size_t n, const float *z, float *e) {
  size_t at = 0;
  for (; n - at >= WIDTH; at += WIDTH) store(e + at, exp_below(load(z + at)));
  if (at < n) store_few(e + at, exp_below(load_few(z + at, (int)(n - at))), (int)(n - at));
}

static void finish(ls_softmax_line *line) {
  if (line != NULL) store_line(line);
  fence();
}

const ls_softmax_kernels LS_PASTE(ls_softmax_kernels_, LS_ISA) = {.sweep = sweep_kernel, .far = far, .exp = exp_kernel, .finish = finish};
