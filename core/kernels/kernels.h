/* The table of hot loops, compiled once for each instruction set. SPDX-License-Identifier: MIT
 *
 * One plain C source, kernels_tmpl.c, makes every set; all give the same bits (tests/core/test_kernels.c compares them with
 * memcmp). How to add one: a slot here, a loop in kernels_tmpl.c, its name in the table at the end of that file. */
#ifndef LS_KERNELS_KERNELS_H
#define LS_KERNELS_KERNELS_H

#include "core/kernels/knn.h"

#include <lsengine/cpu.h>
#include <lsengine/random.h>
#include <lsengine/target.h>
#include <lsengine/tensor.h>
#include <stdbool.h>
#include <stddef.h>

#if defined(__x86_64__)
#define LS_X86 1
#endif

typedef void ls_unary_fn(size_t n, const float *x, ptrdiff_t x_step, float *out, ptrdiff_t out_step);
typedef void ls_binary_fn(size_t n, const float *a, ptrdiff_t a_step, const float *b, ptrdiff_t b_step, float *out,
                          ptrdiff_t out_step);

/* Direct convolution: tiles of `outputs` channels × `pixels` (the sets differ in these, and in rounding: FMA). */
#define LS_CONVOLVE_OUTPUTS 8
#define LS_CONVOLVE_PIXELS 64

typedef struct ls_convolution_kernels {
  int outputs, pixels, lanes;
  /* y[o · pixels + p] = sum over k < count of w[k · outputs + o] · x[offset[k] + p] */
  void (*convolve)(size_t count, const ptrdiff_t *offset, const float *x, const float *w, float *y);
  /* dw[o · dw_stride + s] += sum over p < pixels (a multiple of lanes) of dy[o · dy_stride + p] · x[shift[s] + p], s < shifts <= 3. */
  void (*correlate)(int shifts, size_t pixels, const ptrdiff_t *shift, const float *x, const float *dy, ptrdiff_t dy_stride, float *dw, ptrdiff_t dw_stride);
} ls_convolution_kernels;

extern const ls_convolution_kernels ls_convolution_kernels_ref, ls_convolution_kernels_avx2, ls_convolution_kernels_avx512;

/* Rows whose logits are all near, within ±44, are not shifted by their maximum: sums of 10^9 such exponentials are floats, and none is subnormal. This is what the kernels find near, to the bit: z · log2 e
 * rounds to -64 … 63. False for NaN. */
static inline bool ls_softmax_is_near(int32_t n, const float *z) {
  bool near = true;
  for (int32_t k = 0; k < n; k++) {
    double power = (double)z[k] * (double)1.44269504f; /* exact; halves go to even numbers */
    near &= power >= -64.5 && power < 63.5;
  }
  return near;
}

/* The end of a row's gradient that fills no whole line of the cache, until the row behind it does. Begins with count 0. */
typedef struct ls_softmax_line {
  float kept[16], *to;
  int count;
} ls_softmax_line;

/* One sweep of the fused cross-entropy over n classes. z == NULL: only the gradient; grad == NULL: no gradient. */
typedef struct ls_softmax_sweep {
  const float *z, *v; /* this row; a vector along which its logits are summed, or NULL */
  float *e;           /* in: the exponentials of the row before; out: this row's; room for n rounded up to 16, and 16 more */
  float *grad;        /* of the row before: e · scale - offset - grad_v · v_scale */
  const float *grad_v; /* given exactly where v is */
  float scale, offset, v_scale;
  float shift;         /* of `far` only: z's maximum; `sweep` does not shift */
  bool dense;          /* v is the row's own: its sum and least number are wanted */
  bool spread;         /* beside a shared v `offset` and `shifted` are wanted, too; otherwise `shifted` is 0 there */
  bool past_cache;     /* gradients will not be read soon: stored around the cache */
  ls_softmax_line *line; /* with past_cache: in and out of sweeps one after another, then of `finish`; or NULL. Only where a vector is a line of the cache */
  bool near;           /* out, of `sweep`: true where all logits are near, as of ls_softmax_is_near; where false, e and sums are not to be used */
  float least;         /* out: the smaller of 0 and the least v, NaN passed over */
  double sum, shifted, along, mass; /* out: sums of exp(z - shift), of z - shift, of v·(z - shift), of v; NaN in z or v makes shifted, along or mass NaN */
} ls_softmax_sweep;

typedef struct ls_softmax_kernels {
  void (*sweep)(size_t n, ls_softmax_sweep *s);
  void (*far)(size_t n, ls_softmax_sweep *s); /* exponentials and sums of a row again, shifted; grad is left alone */
  void (*exp)(size_t n, const float *z, float *e); /* exp(z) for -87 … 88, at most 2 ulp; 0 below */
  void (*finish)(ls_softmax_line *line); /* after sweeps past the cache, before another thread reads; NULL where none was kept */
} ls_softmax_kernels;

extern const ls_softmax_kernels ls_softmax_kernels_ref, ls_softmax_kernels_avx2, ls_softmax_kernels_avx512;

/* Cross-entropy and gradient of up to LS_FEW_ROWS rows of at most LS_FEW_CLASSES classes: labelled ones, maybe beside a shared distribution, or dense ones. */
#define LS_FEW_ROWS 64
#define LS_FEW_CLASSES 32

typedef struct ls_softmax_few {
  size_t n;
  int32_t rows, terms;
  const float *z;    /* (rows, n), contiguous, as grad */
  float *e, *grad;   /* e: room for rows · n rounded up to 16, and 16 more; grad or NULL */
  const int64_t *labels[LS_TARGET_TERMS];
  const float *weights[LS_TARGET_TERMS]; /* or NULL: weight */
  double weight[LS_TARGET_TERMS];
  const int32_t *row_of;      /* k / n for k < 16 n */
  const float *v;             /* the rows' dense targets (rows, n), with no terms; or a shared vector, 16 times in a row; or NULL */
  bool dense;
  float *products;            /* room as for e; used where v is given */
  double v_sum;               /* of the shared vector */
  const float *own;           /* each row's own uniform mass, or NULL */
  const double *row_weights;  /* or NULL: 1 */
  double a, u, scale;         /* of the resolved softenings; what gradients are multiplied with */
  bool near;                  /* out: as of a sweep, of all rows; where false, those with a logit that is not near are not to be used */
  bool sound;                 /* out: false where a dense row may be out of its range: none is to be used */
  double loss[LS_FEW_ROWS], soft[LS_FEW_ROWS], loss_sum, soft_sum; /* out: of rows; their weighted sums */
} ls_softmax_few;

typedef struct ls_few_kernels {
  void (*few)(ls_softmax_few *s);
  /* Of any number of rows with one label of a fixed weight, or two labels with weights, all that weigh 1: gradients, as of `few` to the bit, and the sums of losses. Returns how many are done, from the
   * first: before one that is far, or that `few` must take; 0 for all else. *loss is not finite where a row is NaN: then none counts as done. */
  int32_t (*together)(const ls_softmax_few *s, double *loss, double *soft);
  /* True only where all labels are 0 … classes-1 and all weights >= 0 and sum to 1: terms and the rows' own uniform mass. Origins are not looked at. */
  bool (*fit)(const ls_target *t, int32_t classes);
} ls_few_kernels;

extern const ls_few_kernels ls_few_kernels_ref, ls_few_kernels_avx2, ls_few_kernels_avx512;

/* Up to LS_FEW_ROWS rows of at most LS_FEW_CLASSES classes, a label each: what a label has and what the others have, and gradients of what is made of these two. */
typedef struct ls_few_labels {
  size_t n;
  int32_t rows;
  const float *z;        /* (rows, n), contiguous, as grad */
  float *e, *grad;       /* e: room as of ls_softmax_few; grad or NULL */
  const int64_t *labels; /* all 0 … n-1 */
  const int32_t *row_of; /* k / n for k < 16 n */
  float own[LS_FEW_ROWS], rest[LS_FEW_ROWS]; /* out of `begin`: exp z_y, and the sum of the others' exponentials; of rows with NaN one is NaN */
  float scale[LS_FEW_ROWS];                  /* in of `finish`: the gradient is scale · (exp(z_k) - 1[k = y] (own + rest)) */
  bool near;                                 /* as of ls_softmax_few */
} ls_few_labels;

/* Of each row p_y, 1 - p_y, their logarithms, and the inverse of own + rest. */
typedef struct ls_label_shares {
  double p[LS_FEW_ROWS], rest[LS_FEW_ROWS], log_p[LS_FEW_ROWS], log_rest[LS_FEW_ROWS], inverse[LS_FEW_ROWS];
} ls_label_shares;

typedef struct ls_few_label_kernels {
  void (*begin)(ls_few_labels *s);
  /* Of LS_FEW_ROWS rows, whatever `rows`; own and rest within 1e-30 and 1e30 of each other. At most 4 ulp of own's and rest's exact shares. */
  void (*shares)(const ls_few_labels *s, ls_label_shares *out);
  void (*finish)(ls_few_labels *s);
} ls_few_label_kernels;

extern const ls_few_label_kernels ls_few_label_kernels_ref, ls_few_label_kernels_avx2, ls_few_label_kernels_avx512;

/* Penalties and losses whose rows are made by vectors of doubles. */
typedef enum ls_penalty_form {
  LS_FORM_NONE,
  LS_FORM_ACLS,
  LS_FORM_BOOTSTRAP_HARD,
  LS_FORM_BOOTSTRAP_SOFT,
  LS_FORM_CONFIDENCE_PENALTY,
  LS_FORM_ENTROPY_REGULARISATION,
  LS_FORM_GENERALISED_SMOOTHING,
  LS_FORM_LOGIT_NORM,
  LS_FORM_LOGIT_PENALTY,
  LS_FORM_MARGIN_SMOOTHING,
  LS_FORM_MAX_SUP,
  LS_FORM_COUNT
} ls_penalty_form;

/* Up to LS_FEW_ROWS rows of at most LS_FEW_CLASSES classes, or one of more. Arrays of rows have room for rows rounded up to 16: of those behind the last z can be read. */
typedef struct ls_penalty_rows {
  int32_t classes, rows;
  const float *const *z;
  const double *q;          /* targets, where the form wants them: of row i and class k at q[k · LS_FEW_ROWS + i]; of a single row at q[k], zeros up to the next 16 */
  const double *parameters; /* as the entry has them */
  const double *scale;      /* what each row's gradient is multiplied with */
  float *const *grad;       /* or NULL */
  bool adds;                /* to what is in grad */
  double *value;            /* out: NaN where a logit is not finite, or where the plain twin must say: there grad is left alone */
  double *work;             /* of a single row: 3 · classes rounded up to 16 */
} ls_penalty_rows;

typedef void ls_penalty_rows_fn(const ls_penalty_rows *s);

typedef struct ls_penalty_kernels {
  ls_penalty_rows_fn *rows[LS_FORM_COUNT];
} ls_penalty_kernels;

extern const ls_penalty_kernels ls_penalty_kernels_ref, ls_penalty_kernels_avx2, ls_penalty_kernels_avx512;

typedef struct ls_random_kernels {
  void (*numbers)(ls_rng *r, size_t n, uint64_t *out);                  /* as ls_rng_next */
  void (*doubles)(size_t n, const uint64_t *raw, double *out);          /* as ls_rng_double */
  /* Standard normals of the ziggurat's ordinary case, a number each; returns how many come before the first that is not. out has room for n. */
  size_t (*normals)(size_t n, const uint64_t *raw, const double *layer_x, double *out);
  /* Candidates for Beta(a, b), a, b <= 1, two numbers each; sum <= 1 where one is accepted. NaN where both logarithms overflow. */
  void (*betas)(size_t pairs, const uint64_t *raw, double a, double b, double *value, double *sum);
} ls_random_kernels;

extern const ls_random_kernels ls_random_kernels_ref, ls_random_kernels_avx2, ls_random_kernels_avx512;

typedef struct ls_mix_kernels {
  /* out = a·x + b·y; out may be x. next: n numbers that will be wanted soon, or any that may be read. */
  void (*blend)(size_t n, float a, const float *x, float b, const float *y, const float *next, float *out);
  void (*copy_lines)(size_t lines, size_t n, size_t stride, const float *from, const float *next, float *to);
} ls_mix_kernels;

extern const ls_mix_kernels ls_mix_kernels_ref, ls_mix_kernels_avx2, ls_mix_kernels_avx512;

/* Softmax in double for the measures of predictions (the sets differ in the last bits: FMA). */
#define LS_JUDGED_CLASSES 64
#define LS_JUDGED_ROWS 32

/* Columns of one number a row, but for p; what they are is said in core/eval/predictions.h. With nll NULL neither nll nor brier nor p is made. */
typedef struct ls_judged_rows {
  double *top, *second; /* unscaled; second is -inf for one class */
  double *confidence, *others, *nll, *brier;
  int32_t *predicted;
  double *p;     /* softmax: that of row i and class k at p[k · column + i]; or NULL */
  size_t column; /* at least rows */
} ls_judged_rows;

typedef struct ls_judged_row {
  int32_t best;
  float largest, second;
  double rest, squares; /* sums of e, e² over the others */
} ls_judged_row;

/* Confidences of rows to be added to cells of LS_BIN_CELL numbers, count, c, c², (c - a)²: that of bin i and verdict a begins at cells[LS_BIN_CELL · (2(i + 1) + a)],
 * and `copy` numbers further in each of LS_BIN_COPIES copies that rows take in turn. */
#define LS_BIN_CELL 4
#define LS_BIN_COPIES 4

typedef struct ls_bin_block {
  size_t rows, copy; /* copy: 0 for one copy only */
  int32_t classes, bins;
  const float *first;      /* the first row, where they lie `stride` apart from each other; else NULL */
  ptrdiff_t stride;
  const float *const *row; /* of each, where there is no first; row and label go on to a multiple of LS_JUDGED_ROWS with rows that could be judged, the first again where it is told */
  const int32_t *label;
  double *cells;
} ls_bin_block;

#define LS_CLASS_BLOCK 1024

/* What a class has in a bin. */
typedef struct ls_class_cell {
  double count, p, squares, unused; /* sums of 1, p, p² */
} ls_class_cell;

/* At most LS_CLASS_BLOCK probabilities p[i · row + k · class] and places[i · place_row + k · place_class]. */
typedef struct ls_class_block {
  size_t rows, classes, row, class, place_row, place_class;
  const double *p;
  const int32_t *places;
} ls_class_block;

/* Sums of c, a, c², c·a, (c - a)². */
typedef struct ls_sorted_sums {
  double c, a, squares, products, brier;
} ls_sorted_sums;

typedef struct ls_evaluation_kernels {
  void (*exp)(size_t n, double *x);                        /* in place, at most 2 ulp */
  void (*log1p)(size_t n, const double *x, double *out);   /* x >= 0, at most 3 ulp; out may be x */
  void (*expm1)(size_t n, const double *x, double *out);   /* e^x - 1 of x <= 0, at most 3 ulp; out may be x */
  /* Softmax of z · inverse for rows of at most LS_JUDGED_CLASSES classes, rows a multiple of LS_JUDGED_ROWS. False where a
   * row holds NaN or +inf, or its label is masked. */
  bool (*judge)(size_t rows, int32_t classes, const float *const *row, double inverse, const int32_t *label, const ls_judged_rows *out);
  /* One row of any length: e[k] = exp((z[k] - largest) · inverse); room for n rounded up to 8. */
  void (*judge_long)(int32_t n, const float *z, double inverse, double *e, ls_judged_row *out);
  /* Softmax of z · inverse (1e-3 … 1e3), 2 to LS_JUDGED_CLASSES classes, in float32: a confidence is off by (classes + 17) / 4 · 2^-24 at most. Where that could change its bin,
   * min(floor(c · bins), bins - 1), it is made in double. False as of judge. */
  bool (*bin)(const ls_bin_block *b, double inverse);
  /* places[i] = 1 + min(floor(p[i] · bins), bins - 1), of numbers in 0 … 1; all sets agree. */
  void (*places)(size_t n, const double *p, int32_t bins, int32_t *places);
  /* Adds each number to the cell of its place; class k has the cells from k · cells_each on. */
  void (*add_cells)(const ls_class_block *b, size_t cells_each, ls_class_cell *cells);
  /* Keys of rows that rise with confidence, a below, whole where true: each c is in 0 … 1, and of it and its doubt the larger is 1 less the other to the bit. take_apart makes of sorted
   * ones those of the confidences and, in the order of doubt, those of the doubts with 1 - a below. All sets agree. */
  bool (*common_keys)(size_t n, const double *c, const double *doubt, const uint8_t *a, uint64_t *keys);
  void (*take_apart)(size_t n, uint64_t *keys, uint64_t *doubts);
  /* Sums over sorted confidences, as of core/eval/order.h, from the first on by eights; of one more than n there are keys. With `apart` before the first eight of which one is as large as the
   * next. Returns how many were taken: of none no sums are made. */
  size_t (*add_sorted)(size_t n, const uint64_t *keys, bool apart, ls_sorted_sums *sums);
  /* The least and the largest of n numbers. */
  void (*range)(size_t n, const uint64_t *x, uint64_t *least, uint64_t *most);
  /* Labels as 32-bit numbers; false where one is not in 0 … classes - 1. */
  bool (*labels)(size_t n, const int64_t *labels, int32_t classes, int32_t *out);
  /* out[q] = sum over i of weights[i] · x[q + i], in order; x has n + taps - 1 numbers. */
  void (*convolve)(size_t taps, const double *weights, size_t n, const double *x, double *out);
} ls_evaluation_kernels;

extern const ls_evaluation_kernels ls_evaluation_kernels_ref, ls_evaluation_kernels_avx2, ls_evaluation_kernels_avx512;

typedef struct ls_kernels {
  ls_unary_fn *unary[LS_UNARY_COUNT]; /* out may be x */
  ls_binary_fn *binary[LS_BINARY_COUNT]; /* out may be a or b; a step of 0 repeats one number */

  /* Sum of n numbers: float lanes over 512 elements, then double. */
  double (*sum)(size_t n, const float *x);
  /* total[c] = sum over rows of x[row · step + c], in double, in order. */
  void (*sum_columns)(size_t rows, const float *x, ptrdiff_t step, size_t n, double *total);
  /* Sum of a·b. */
  double (*dot)(size_t n, const float *a, const float *b);
  /* Sum of (a - shift_a)·(b - shift_b). */
  double (*centred_dot)(size_t n, const float *a, float shift_a, const float *b, float shift_b);
  /* Maximum; NaN elements are passed over; -inf for n = 0. */
  float (*max)(size_t n, const float *x);
  /* out[k] = exp(z[k] - shift), at most 1 ulp from it; returns their sum and, in *shifted, the sum of z[k] - shift. out may
   * be NULL (nothing stored) or z. */
  double (*exp_sum)(size_t n, const float *z, float shift, float *out, double *shifted);
  /* out[k] = out[k] · scale - offset */
  void (*scale_subtract)(size_t n, float scale, float offset, float *out);
  /* out[k] += scale · x[k] */
  void (*axpy)(size_t n, float scale, const float *x, float *out);
  /* out[k] = a · x[k] + b · y[k]; out may be x. */
  void (*blend)(size_t n, float a, const float *x, float b, const float *y, float *out);
  /* out[k] = z[k] - shift */
  void (*subtract)(size_t n, const float *z, float shift, float *out);

  /* Maxima of 2×2 windows that do not overlap, of two rows of 2n numbers; and their gradient, which goes to the first of equal numbers. */
  void (*halve)(size_t n, const float *upper, const float *lower, float *y);
  void (*halve_back)(size_t n, const float *upper, const float *lower, const float *dy, float *to_upper, float *to_lower);
  /* y = relu(maximum) and which of the four it was; and from these the gradient, which goes there where y is above 0. */
  void (*halve_note)(size_t n, const float *upper, const float *lower, float *y, uint8_t *places);
  void (*halve_spread)(size_t n, const float *y, const uint8_t *places, const float *dy, float *to_upper, float *to_lower);

  const ls_convolution_kernels *convolution;
  const ls_softmax_kernels *softmax;
  const ls_few_kernels *few;
  const ls_few_label_kernels *few_labels;
  const ls_penalty_kernels *penalty;
  const ls_random_kernels *random;
  const ls_mix_kernels *mix;
  const ls_evaluation_kernels *evaluation;
  const ls_knn_kernels *knn;

  /* Optimizer updates; the formulas stand in <lsengine/nn.h>. */
  void (*sgd)(size_t n, float *w, const float *g, float *velocity, float lr, float momentum, float weight_decay,
              int nesterov, int first);
  void (*adam)(size_t n, float *w, const float *g, float *m, float *v, float step_size, float rate1, float beta2,
               float rate2, float eps, float correction2, float weight_decay, float decoupled);
} ls_kernels;

extern const ls_kernels ls_kernels_ref, ls_kernels_avx2, ls_kernels_avx512;

/* The set in use; a given set, or NULL where this processor cannot run it. */
const ls_kernels *ls_kernels_now(void);
const ls_kernels *ls_kernels_of(ls_isa isa);

#endif
