/* Rows of few classes and one label each, for losses of the label's probability alone; compiled once for each instruction set. SPDX-License-Identifier: MIT
 *
 * The label's exponential is taken out before a row is summed, so that 1 - p_y is right however small it is: taken off the whole sum it would leave little but rounding. The
 * same bits on every set. */
#include "core/kernels/doubles_tmpl.h"
#include "core/kernels/few_tmpl.h"

static void begin(ls_few_labels *s) {
  int rows = s->rows, n = (int)s->n;
  s->near = stays_near(exponentials((size_t)rows * s->n, s->z, s->e, s->grad == NULL ? s->e : s->grad, NULL));
  for (int i = 0; i < rows; i++) {
    float *own = s->e + i * n + s->labels[i];
    s->own[i] = *own;
    *own = 0.0f;
  }
  sums_of(rows, n, s->e, s->rest);
}

/* With m the smaller of the two over the larger, the larger one's share is 1 / (1 + m), the other's m / (1 + m). */
static void shares(const ls_few_labels *s, ls_label_shares *out) {
  for (int i = 0; i < LS_FEW_ROWS; i += HALF) {
    dvec own = widen_from(s->own + i), rest = widen_from(s->rest + i), inverse = 1.0 / (own + rest);
    mask less = below(own, rest);
    dvec m = pick(less, own, rest) / pick(less, rest, own), u = m + 1.0;
    dvec larger = all_doubles(0.0) - (log_of(u) + (m - (u - 1.0))), smaller = log_of(m) + larger; /* what is lost in rounding u matters where m is small */
    store_doubles(out->inverse + i, inverse);
    store_doubles(out->p + i, own * inverse);
    store_doubles(out->rest + i, rest * inverse);
    store_doubles(out->log_p + i, pick(less, smaller, larger));
    store_doubles(out->log_rest + i, pick(less, larger, smaller));
  }
}

static void finish(ls_few_labels *s) {
  int rows = s->rows, n = (int)s->n;
  for (int i = 0; i < rows; i++) s->e[i * n + s->labels[i]] = -s->rest[i]; /* p_y - 1, times the sum */
  for (int i = 0; i < rows; i += WIDTH) {
    vec scale = load(s->scale + i);
    const float *e = s->e + i * n;
    float *grad = s->grad + i * n;
    int count = (rows - i < WIDTH ? rows - i : WIDTH) * n, k = 0;
    for (; k + WIDTH <= count; k += WIDTH) store(grad + k, load(e + k) * picked(scale, (ivec)load((const float *)(s->row_of + k))));
    if (k < count) store_few(grad + k, load(e + k) * picked(scale, (ivec)load((const float *)(s->row_of + k))), count - k);
  }
}

const ls_few_label_kernels LS_PASTE(ls_few_label_kernels_, LS_ISA) = {.begin = begin, .shares = shares, .finish = finish};
