/* SPDX-License-Identifier: MIT */
#include <lsengine/csv.h>

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_NUMBER = 127, SHOWN = 40 };

typedef enum cell_end { END_CELL, END_RECORD, END_FILE } cell_end;

static bool is_blank(uint8_t c, char separator) { return (c == ' ' || c == '\t') && c != (uint8_t)separator; }

/* Bytes of the line end at p: 1, 2, or 0 where there is none. */
static size_t line_end(const uint8_t *p, const uint8_t *end) {
  if (p < end && *p == '\n') return 1;
  return end - p >= 2 && p[0] == '\r' && p[1] == '\n' ? 2 : 0;
}

/* Past lines that hold blanks alone. */
static void skip_blank_lines(ls_csv_reader *r) {
  const uint8_t *bytes = r->csv->bytes, *end = bytes + r->csv->size;
  for (;;) {
    const uint8_t *p = bytes + r->at;
    while (p < end && is_blank(*p, r->csv->separator)) p++;
    size_t n = line_end(p, end);
    if (n == 0 && p < end) return;
    r->at = (size_t)(p - bytes) + n;
    if (n == 0) return;
    r->line++;
  }
}

/* The cell at r->at, which is within a record. Moves past the separator or line end behind it. */
static ls_status take_cell(ls_csv_reader *r, ls_csv_cell *cell, cell_end *how, ls_err *err) {
  const ls_csv *csv = r->csv;
  const uint8_t *p = csv->bytes + r->at, *end = csv->bytes + csv->size;
  while (p < end && is_blank(*p, csv->separator)) p++;
  *cell = (ls_csv_cell){.text = p, .quoted = p < end && *p == '"', .column = r->column, .line = r->line};
  if (cell->quoted) {
    cell->text = ++p;
    for (; p < end && (*p != '"' || (end - p > 1 && p[1] == '"')); p++) {
      if (*p == '"') p++;
      if (*p == '\n') r->line++;
      if (*p == '\0') return ls_fail(err, LS_EFORMAT, "line %zu holds a zero byte: this is no text", r->line);
    }
    if (p == end) return ls_fail(err, LS_EFORMAT, "line %zu, column %d: the quote is not closed", cell->line, r->column + 1);
    cell->size = (size_t)(p - cell->text);
    p++;
    while (p < end && is_blank(*p, csv->separator)) p++;
  } else {
    while (p < end && *p != (uint8_t)csv->separator && line_end(p, end) == 0) {
      if (*p == '"') return ls_fail(err, LS_EFORMAT, "line %zu, column %d: a quote within a cell that does not begin with one", r->line, r->column + 1);
      if (*p == '\0') return ls_fail(err, LS_EFORMAT, "line %zu holds a zero byte: this is no text", r->line);
      p++;
    }
    const uint8_t *last = p;
    while (last > cell->text && is_blank(last[-1], csv->separator)) last--;
    cell->size = (size_t)(last - cell->text);
  }
  size_t n = line_end(p, end);
  if (p < end && *p == (uint8_t)csv->separator) {
    *how = END_CELL;
    p++;
  } else if (n > 0) {
    *how = END_RECORD;
    r->line++;
    p += n;
  } else if (p == end) {
    *how = END_FILE;
  } else {
    return ls_fail(err, LS_EFORMAT, "line %zu, column %d: a quoted cell is followed by something else than a separator", r->line, r->column + 1);
  }
  r->at = (size_t)(p - csv->bytes);
  return LS_OK;
}

static char guess_separator(const uint8_t *p, const uint8_t *end) {
  static const char candidates[] = {',', ';', '\t'};
  size_t count[3] = {0}, best = 0;
  bool quoted = false;
  for (; p < end && (quoted || line_end(p, end) == 0); p++) {
    if (*p == '"') quoted = !quoted;
    for (size_t i = 0; i < 3; i++) count[i] += !quoted && *p == (uint8_t)candidates[i];
  }
  for (size_t i = 1; i < 3; i++)
    if (count[i] > count[best]) best = i;
  return candidates[best];
}

static ls_status check_separator(char c, ls_err *err) {
  bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  if (alphanumeric || strchr("\"\r\n.+-", c) != NULL)
    return ls_fail(err, LS_ERANGE, "the separator is %s, a character that is no part of numbers, words, quotes and line ends is required",
                   c == '\n' || c == '\r' ? "a line end" : (char[]){'"', c, '"', '\0'});
  return LS_OK;
}

ls_status ls_csv_open(const uint8_t *bytes, size_t size, char separator, int header, ls_csv *out, ls_err *err) {
  ls_csv csv = {.bytes = bytes, .size = size, .separator = separator != '\0' ? separator : ','};
  ls_csv_reader r = {.csv = &csv, .line = 1};
  ls_csv_cell cell;
  size_t records = 0;
  if (separator != '\0' && check_separator(separator, err) != LS_OK) return LS_ERANGE;
  if (size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) r.at = 3;
  skip_blank_lines(&r);
  csv.start = r.at;
  if (separator == '\0') csv.separator = guess_separator(bytes + r.at, bytes + size);
  bool numbers = false;
  while (r.at < size) {
    cell_end how = END_CELL;
    size_t line = r.line;
    double value;
    for (r.column = 0; how == END_CELL; r.column++) {
      if (r.column == INT32_MAX) return ls_fail(err, LS_ESHAPE, "line %zu has more than 2^31-1 cells", line);
      if (take_cell(&r, &cell, &how, err) != LS_OK) return LS_EFORMAT;
      if (records == 0) numbers = numbers || ls_csv_number(&cell, &value);
    }
    if (records == 0) csv.columns = r.column;
    if (r.column != csv.columns)
      return ls_fail(err, LS_EFORMAT, "line %zu has %d cells, the first has %d (separator %s)", line, r.column, csv.columns,
                     csv.separator == '\t' ? "tab" : (char[]){csv.separator, '\0'});
    if (++records > INT32_MAX) return ls_fail(err, LS_ESHAPE, "there are more than 2^31-1 rows");
    skip_blank_lines(&r);
  }
  if (records == 0) return ls_fail(err, LS_EFORMAT, "there is no line with anything in it");
  csv.header = header == LS_CSV_GUESS ? !numbers : header != 0;
  csv.rows = (int32_t)records - csv.header;
  *out = csv;
  return LS_OK;
}

void ls_csv_begin(const ls_csv *csv, bool with_header, ls_csv_reader *r) {
  ls_csv_cell cell;
  *r = (ls_csv_reader){.csv = csv, .at = csv->start, .line = 1};
  for (size_t i = 0; i < csv->start; i++) r->line += csv->bytes[i] == '\n';
  if (csv->header && !with_header)
    for (int32_t i = 0; i < csv->columns; i++) ls_csv_next(r, &cell);
}

bool ls_csv_next(ls_csv_reader *r, ls_csv_cell *cell) {
  cell_end how;
  if (r->column == 0) {
    skip_blank_lines(r);
    if (r->at >= r->csv->size) return false;
  }
  if (take_cell(r, cell, &how, NULL) != LS_OK) return false; /* never of an opened one */
  r->column = how == END_CELL ? r->column + 1 : 0;
  return true;
}

size_t ls_csv_text(const ls_csv_cell *cell, char *out) {
  size_t n = 0;
  for (size_t i = 0; i < cell->size; i++) {
    out[n++] = (char)cell->text[i];
    if (cell->quoted && cell->text[i] == '"') i++;
  }
  return n;
}

static size_t digits(const char *p) {
  size_t n = 0;
  while (p[n] >= '0' && p[n] <= '9') n++;
  return n;
}

bool ls_csv_number(const ls_csv_cell *cell, double *value) {
  char text[LONGEST_NUMBER + 1], local[LONGEST_NUMBER + 16];
  if (cell->size == 0 || cell->size > LONGEST_NUMBER) return false;
  memcpy(text, cell->text, cell->size);
  text[cell->size] = '\0';
  const char *p = text + (text[0] == '+' || text[0] == '-');
  size_t whole = digits(p), fraction = 0;
  const char *point = p += whole;
  if (*p == '.') fraction = digits(++p);
  p += fraction;
  if (whole + fraction == 0) return false;
  if (*p == 'e' || *p == 'E') {
    p += 1 + (p[1] == '+' || p[1] == '-');
    size_t exponent = digits(p);
    if (exponent == 0) return false;
    p += exponent;
  }
  if ((size_t)(p - text) != cell->size) return false;
  if (*point != '.') {
    *value = strtod(text, NULL);
    return true;
  }
  /* strtod wants the point of the process's locale */
  const char *local_point = localeconv()->decimal_point;
  int n = snprintf(local, sizeof local, "%.*s%s%s", (int)(point - text), text, local_point, point + 1);
  if (n < 0 || (size_t)n >= sizeof local) return false;
  *value = strtod(local, NULL);
  return true;
}

bool ls_csv_integer(const ls_csv_cell *cell, int64_t *value) {
  bool negative = cell->size > 0 && cell->text[0] == '-';
  size_t i = cell->size > 0 && (cell->text[0] == '-' || cell->text[0] == '+');
  uint64_t sum = 0, most = (uint64_t)INT64_MAX + negative;
  if (i == cell->size) return false;
  for (; i < cell->size; i++) {
    uint8_t c = cell->text[i];
    if (c < '0' || c > '9' || sum > (most - (uint64_t)(c - '0')) / 10) return false;
    sum = 10 * sum + (uint64_t)(c - '0');
  }
  *value = negative ? (int64_t)(0 - sum) : (int64_t)sum;
  return true;
}

/* Bytes as they may stand in a message: cut after SHOWN, control characters replaced. */
static void show(const ls_csv_cell *cell, char out[SHOWN + 4]) {
  size_t n = cell->size > SHOWN ? SHOWN : cell->size;
  while (n < cell->size && n > 0 && (cell->text[n] & 0xC0) == 0x80) n--; /* not within a character of UTF-8 */
  for (size_t i = 0; i < n; i++) out[i] = (char)(cell->text[i] < 32 || cell->text[i] == 127 ? '?' : cell->text[i]);
  strcpy(out + n, n < cell->size ? "..." : "");
}

const char *ls_csv_where(const ls_csv *csv, const ls_csv_cell *cell, char *buffer, size_t size) {
  ls_csv_reader r;
  ls_csv_cell name;
  char shown[SHOWN + 4] = "";
  if (csv->header) {
    ls_csv_begin(csv, true, &r);
    while (ls_csv_next(&r, &name) && name.column < cell->column) continue;
    show(&name, shown);
  }
  int n = snprintf(buffer, size, "line %zu, column %d", cell->line, cell->column + 1);
  if (*shown != '\0' && n > 0 && (size_t)n < size) snprintf(buffer + n, size - (size_t)n, " (%s)", shown);
  return buffer;
}

/* What is wrong with a cell that should be a number. */
static ls_status refuse_number(const ls_csv *csv, const ls_csv_cell *cell, bool number, ls_err *err) {
  char where[128], shown[SHOWN + 4];
  ls_csv_where(csv, cell, where, sizeof where);
  show(cell, shown);
  if (cell->size == 0) return ls_fail(err, LS_EFORMAT, "%s is empty, a number is required", where);
  if (!number) return ls_fail(err, LS_EFORMAT, "%s holds \"%s\", a number is required", where, shown);
  return ls_fail(err, LS_ERANGE, "%s holds %s, beyond the range of float32", where, shown);
}

ls_status ls_csv_numbers(const ls_csv *csv, const int32_t *place, int32_t count, float *out, ls_err *err) {
  ls_csv_reader r;
  ls_csv_cell cell;
  ls_csv_begin(csv, false, &r);
  for (size_t row = 0; row < (size_t)csv->rows; row++)
    for (int32_t c = 0; c < csv->columns; c++) {
      double value = 0.0;
      if (!ls_csv_next(&r, &cell) || place[c] < 0) continue;
      bool number = ls_csv_number(&cell, &value);
      if (!number || !(fabs(value) <= (double)FLT_MAX)) return refuse_number(csv, &cell, number, err);
      out[row * (size_t)count + (size_t)place[c]] = (float)value;
    }
  return LS_OK;
}
