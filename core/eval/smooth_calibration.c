/* Smooth calibration error. SPDX-License-Identifier: MIT
 *
 * Blasiok and Nakkiran 2023, in the discretisation of their package (relplot 1.0.3): numbers are put on a grid of m = max(2000, 20/s)/2 + 1 points
 * by linear splitting, extended by reflection, smoothed by a Gaussian that is cut at ±1/2, and read at max(200, 10/s) points. We leave away what
 * the Gaussian has beyond nine widths (3e-18 of its top). Where m is even their kernel lies half a cell to the left; so does ours. */
#include "core/eval/order.h"
#include "core/kernels/kernels.h"

#include <lsengine/pool.h>

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define PI 3.14159265358979323846

enum { CHUNKS = 64, CHUNK_ROWS = 16384, MOST_GRID = 10241, MESH = 200, STEPS = 10 };

typedef struct grid_job {
  size_t n, rows, cells;
  const double *c;
  const uint8_t *a;
  double *grids; /* (chunks, 2, cells): residuals c - a, and counts */
} grid_job;

static size_t chunk_rows(size_t n) {
  size_t rows = (n + CHUNKS - 1) / CHUNKS;
  return rows < CHUNK_ROWS ? CHUNK_ROWS : rows;
}

static void grid_chunk(void *argument, size_t chunk) {
  const grid_job *j = argument;
  double *residuals = j->grids + chunk * 2 * j->cells, *counts = residuals + j->cells, last = (double)(j->cells - 1);
  size_t begin = chunk * j->rows, end = j->n - begin < j->rows ? j->n : begin + j->rows;
  memset(residuals, 0, 2 * j->cells * sizeof *residuals);
  for (size_t i = begin; i < end; i++) {
    double place = j->c[i] * last, r = j->c[i] - (double)j->a[i];
    size_t cell = (size_t)place < j->cells - 2 ? (size_t)place : j->cells - 2;
    double part = place - (double)cell;
    residuals[cell] += (1.0 - part) * r;
    residuals[cell + 1] += part * r;
    counts[cell] += 1.0 - part;
    counts[cell + 1] += part;
  }
}

/* The grid put between its two reflections, m - 1 more at each end: 3m - 2 numbers. */
static void reflect(size_t m, const double *x, double *out) {
  memcpy(out + m - 1, x, m * sizeof *x);
  for (size_t i = 1; i < m; i++) {
    out[m - 1 - i] = x[i];
    out[m - 1 + m - 1 + i] = x[m - 1 - i];
  }
}

/* The Gaussian's values at i/(m-1) - 1/2; which of them are not nothing, from `first` on, is returned. */
static size_t weights_of(size_t m, double width, double *weights, size_t *first) {
  const double scale = 1.0 / (sqrt(2.0 * PI) * width), most = 40.5;
  size_t count = 0;
  for (size_t i = 0; i < m; i++) {
    double t = (double)i / (double)(m - 1) - 0.5, exponent = t * t / (2.0 * width * width);
    if (exponent > most) continue;
    if (count == 0) *first = i;
    weights[count++] = exp(-exponent) * scale;
  }
  return count;
}

static double at(const double *grid, size_t m, double t) {
  double bucket = 1.0 / (double)(m - 1);
  size_t cell = (size_t)(t * (double)(m - 1));
  if (cell > m - 2) cell = m - 2;
  double part = (t - (double)cell * bucket) / bucket;
  return grid[cell] * (1.0 - part) + grid[cell + 1] * part;
}

typedef struct smooth_job {
  size_t n, chunks;
  grid_job grid;
  double *extended, *smoothed, *weights; /* (2, 3 MOST_GRID), (2, MOST_GRID), (MOST_GRID) */
  size_t first, taps;
  bool fresh; /* the grid is not that of the width before */
} smooth_job;

static void smooth_block(void *argument, size_t which) {
  const smooth_job *j = argument;
  size_t m = j->grid.cells;
  double *sum = j->grid.grids + which * m, *extended = j->extended + which * 3 * MOST_GRID;
  for (size_t k = 1; j->fresh && k < j->chunks; k++) {
    const double *from = j->grid.grids + k * 2 * m + which * m;
    for (size_t i = 0; i < m; i++) sum[i] += from[i];
  }
  if (j->fresh) reflect(m, sum, extended);
  ls_kernels_now()->evaluation->convolve(j->taps, j->weights, m, extended + m / 2 + j->first, j->smoothed + which * MOST_GRID);
}

static double error_at(smooth_job *j, double width) {
  double wanted = nearbyint(20.0 / width), mesh_wanted = nearbyint(10.0 / width);
  size_t m = (size_t)(wanted > 2000.0 ? wanted : 2000.0) / 2 + 1, mesh = mesh_wanted > MESH ? (size_t)mesh_wanted : MESH;
  j->fresh = m != j->grid.cells; /* all widths from 1/100 on share theirs */
  j->grid.cells = m;
  j->taps = weights_of(m, width, j->weights, &j->first);
  if (j->fresh) ls_parallel(LS_SITE_EVALUATE, j->chunks, grid_chunk, &j->grid);
  ls_parallel(LS_SITE_EVALUATE, 2, smooth_block, j);
  double residuals = 0.0, counts = 0.0, step = 1.0 / (double)(mesh - 1);
  for (size_t i = 0; i < mesh; i++) {
    double t = i + 1 == mesh ? 1.0 : (double)i * step;
    residuals += fabs(at(j->smoothed, m, t));
    counts += at(j->smoothed + MOST_GRID, m, t) + 1e-4; /* theirs: keeps empty places from dividing by 0 */
  }
  return residuals / counts;
}

size_t ls_smooth_calibration_scratch(size_t n) {
  return (2 * (n / chunk_rows(n) + 1) + 9) * MOST_GRID * sizeof(double);
}

ls_status ls_smooth_calibration(size_t n, const double *c, const uint8_t *a, double width, void *scratch, double *error, double *found, ls_err *err) {
  const double least = 0.001;
  ls_status status = ls_confidences_check(n, c, err);
  if (status != LS_OK) return status;
  if (width != 0.0 && !(width >= least && width <= 1.0)) return ls_fail(err, LS_ERANGE, "width is %g, allowed is %g to 1, or 0 to find it", width, least);
  smooth_job j = {.n = n, .extended = scratch};
  j.smoothed = j.extended + 6 * MOST_GRID;
  j.weights = j.smoothed + 2 * MOST_GRID;
  j.grid = (grid_job){n, chunk_rows(n), 0, c, a, j.weights + MOST_GRID};
  j.chunks = (n + j.grid.rows - 1) / j.grid.rows;
  double high = 1.0, low = 0.0, at_high = error_at(&j, width > 0.0 ? width : high);
  if (width > 0.0) high = width;
  for (int i = 0; width == 0.0 && i < STEPS; i++) {
    double middle = 0.5 * (low + high), value = middle < least ? 0.0 : error_at(&j, middle);
    if (middle < least || middle < value)
      low = middle;
    else
      high = middle, at_high = value;
  }
  *error = at_high;
  *found = high;
  return LS_OK;
}
