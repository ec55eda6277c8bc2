/* How rows are cut into blocks: by the shape alone, about 16384 elements a block. SPDX-License-Identifier: MIT */
#ifndef LS_LOSS_ROWS_H
#define LS_LOSS_ROWS_H

#include <stddef.h>
#include <stdint.h>

/* Gradients of more bytes than this go around the caches: nothing could keep them for whoever reads them next. */
#define LS_PAST_CACHE ((size_t)24 << 20)

typedef struct ls_row_range {
  int32_t row, end;
} ls_row_range;

static inline int32_t ls_rows_a_block(int32_t cols) { return cols >= 16384 ? 1 : 16384 / (cols < 1 ? 1 : cols); }

static inline size_t ls_row_blocks(int32_t rows, int32_t cols) {
  int32_t height = ls_rows_a_block(cols);
  return ((size_t)rows + (size_t)height - 1) / (size_t)height;
}

static inline ls_row_range ls_rows_of(size_t block, int32_t rows, int32_t cols) {
  int32_t height = ls_rows_a_block(cols), row = (int32_t)block * height;
  ls_row_range range = {row, rows - row < height ? rows : row + height};
  return range;
}

#endif
