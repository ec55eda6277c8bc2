/* Tables as text: CSV, on byte ranges. SPDX-License-Identifier: MIT
 *
 * RFC 4180 with LF or CRLF: cells in double quotes may hold separators, line ends and doubled quotes. Beyond it: a UTF-8 mark at the
 * beginning, blank lines and blanks around cells are passed over. Every record must have as many cells as the first. Bytes are
 * untrusted; errors name line and column, both from 1. */
#ifndef LSENGINE_CSV_H
#define LSENGINE_CSV_H

#include <lsengine/view.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { LS_CSV_GUESS = -1 };

/* A table inside a range of bytes, which it borrows. */
typedef struct ls_csv {
  const uint8_t *bytes;
  size_t size;
  char separator;
  bool header;     /* the first record names the columns */
  int32_t rows;    /* records, the header not counted */
  int32_t columns;
  size_t start;    /* of the first record */
} ls_csv;

/* Reads the whole range once and checks it. separator: a byte, or 0 to guess: whichever of , ; and tab is most frequent in the first
 * record outside quotes. header: 0, 1 or LS_CSV_GUESS: the first record is one if none of its cells is a number.
 * LS_EFORMAT for a record of another length, a quote that is not closed or stands where none may, a zero byte, no record at all;
 * LS_ERANGE for a separator that may be part of a number or a quote; LS_ESHAPE for more than 2^31-1 rows or columns. */
ls_status ls_csv_open(const uint8_t *bytes, size_t size, char separator, int header, ls_csv *out, ls_err *err);

typedef struct ls_csv_cell {
  const uint8_t *text; /* without its quotes; without the blanks around it */
  size_t size;
  bool quoted;    /* doubled quotes within stand for one */
  int32_t column; /* from 0 */
  size_t line;    /* where it begins, from 1 */
} ls_csv_cell;

typedef struct ls_csv_reader {
  const ls_csv *csv;
  size_t at, line;
  int32_t column;
} ls_csv_reader;

/* Cells in their order, from the header or from the first row on. `csv` is one that ls_csv_open has filled. */
void ls_csv_begin(const ls_csv *csv, bool with_header, ls_csv_reader *r);
bool ls_csv_next(ls_csv_reader *r, ls_csv_cell *cell);

/* What the cell says, doubled quotes made one: writes at most cell->size bytes, returns their number. */
size_t ls_csv_text(const ls_csv_cell *cell, char *out);

/* A decimal number of at most 127 characters in C's notation with a point, whatever the locale; "nan", "inf" and hexadecimals are none. */
bool ls_csv_number(const ls_csv_cell *cell, double *value);

/* A whole number within 64 bits, without point or exponent. */
bool ls_csv_integer(const ls_csv_cell *cell, int64_t *value);

/* `line 3, column 2 (age)`: where a cell is, with the header's name for its column. Returns buffer. */
const char *ls_csv_where(const ls_csv *csv, const ls_csv_cell *cell, char *buffer, size_t size);

/* Columns as float32: place[c] is the column of out (rows, count) that column c goes to, or -1 for none.
 * LS_EFORMAT for a cell that is empty or no number, LS_ERANGE for one beyond the range of float32. */
ls_status ls_csv_numbers(const ls_csv *csv, const int32_t *place, int32_t count, float *out, ls_err *err);

#ifdef __cplusplus
}
#endif
#endif
