/* CSV: what RFC 4180 allows, what it does not, and bytes that are no table at all. SPDX-License-Identifier: MIT */
#include "test.h"

#include <lsengine/csv.h>
#include <lsengine/random.h>

#include <float.h>
#include <locale.h>

static ls_status open_text(const char *text, char separator, int header, ls_csv *csv, ls_err *err) {
  return ls_csv_open((const uint8_t *)text, strlen(text), separator, header, csv, err);
}

/* All cells, the header's too, each within brackets, a line for each record. */
static const char *cells_of(const ls_csv *csv) {
  static char out[4096];
  size_t n = 0;
  ls_csv_reader r;
  ls_csv_cell cell;
  ls_csv_begin(csv, true, &r);
  while (ls_csv_next(&r, &cell)) {
    assert_true(n + cell.size + 3 < sizeof out);
    out[n++] = '[';
    n += ls_csv_text(&cell, out + n);
    out[n++] = ']';
    if (cell.column == csv->columns - 1) out[n++] = '\n';
  }
  out[n] = '\0';
  return out;
}

static void cells_are_those_of_the_rfc(void **state) {
  (void)state;
  static const struct {
    const char *text, *cells;
    int rows, columns, header;
    char separator;
  } cases[] = {
      {"a,b\n1,2\n", "[a][b]\n[1][2]\n", 1, 2, 1, ','},
      {"a,b\r\n1,2\r\n3,4", "[a][b]\n[1][2]\n[3][4]\n", 2, 2, 1, ','},
      {"1;2\n3;4\n", "[1][2]\n[3][4]\n", 2, 2, 0, ';'},
      {"1\t2,5\t3\n4\t5\t6\n", "[1][2,5][3]\n[4][5][6]\n", 2, 3, 0, '\t'},
      {"\"a,b;c;d\",\"x\"\"y\"\n1,\"2\n3\"\n", "[a,b;c;d][x\"y]\n[1][2\n3]\n", 1, 2, 1, ','},
      {"\xef\xbb\xbf x , y\n\n \t\n 1 , \"2\" \n\n", "[x][y]\n[1][2]\n", 1, 2, 1, ','},
      {",\n,", "[][]\n[][]\n", 1, 2, 1, ','},
      {"1,\n2,\n", "[1][]\n[2][]\n", 2, 2, 0, ','},
      {"1,\"\"", "[1][]\n", 1, 2, 0, ','},
      {"7", "[7]\n", 1, 1, 0, ','},
      {"\"\"\"\"", "[\"]\n", 0, 1, 1, ','},
      {"name", "[name]\n", 0, 1, 1, ','},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    ls_csv csv;
    assert_ok(open_text(cases[i].text, 0, LS_CSV_GUESS, &csv, err));
    assert_string_equal(cells_of(&csv), cases[i].cells);
    assert_int_equal(csv.rows, cases[i].rows);
    assert_int_equal(csv.columns, cases[i].columns);
    assert_int_equal(csv.header, cases[i].header);
    assert_int_equal(csv.separator, cases[i].separator);
  }
  ls_csv csv;
  assert_ok(open_text("1|2\n3|4\n", '|', 1, &csv, err));
  assert_string_equal(cells_of(&csv), "[1][2]\n[3][4]\n");
  assert_true(csv.rows == 1 && csv.header);
}

static void what_is_no_table_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *text, *message;
  } cases[] = {
      {"", "there is no line with anything in it"},
      {"\n \r\n\n", "there is no line with anything in it"},
      {"a,b\n\n1,2,3\n", "line 3 has 3 cells, the first has 2 (separator ,)"},
      {"a\tb\n1\n", "line 2 has 1 cells, the first has 2 (separator tab)"},
      {"a,\"b\nc,d\n", "line 1, column 2: the quote is not closed"},
      {"a,b\n1,\"2\"3\n", "line 2, column 2: a quoted cell is followed by something else"},
      {"a,b\n1,2\"3\"\n", "line 2, column 2: a quote within a cell"},
      {"a,b\n\"x\ny\"z,1\n", "line 3, column 1: a quoted cell"},
  };
  ls_csv csv;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    assert_fails(open_text(cases[i].text, 0, LS_CSV_GUESS, &csv, err), LS_EFORMAT, cases[i].message);
  assert_fails(ls_csv_open((const uint8_t *)"1,2\n3,\0\n", 8, 0, 0, &csv, err), LS_EFORMAT, "line 2 holds a zero byte");
  assert_fails(ls_csv_open((const uint8_t *)"1,\"\0\"\n", 6, 0, 0, &csv, err), LS_EFORMAT, "line 1 holds a zero byte");
  for (const char *c = "\"\n\r.+-0e"; *c != '\0'; c++) assert_fails(open_text("1,2", *c, 0, &csv, err), LS_ERANGE, "the separator is ");
}

static void numbers_are_decimal_and_exact(void **state) {
  (void)state;
  static const struct {
    const char *text;
    double value;
  } good[] = {{"0", 0}, {"-1.5", -1.5}, {"+.5", 0.5}, {"2.", 2}, {"1e3", 1000}, {"1E-3", 0.001}, {"0.1", 0.1}, {"1e400", (double)INFINITY},
              {"179769313486231570814527423731704356798070e267", DBL_MAX}, {"4.9406564584124654e-324", 4.9406564584124654e-324}};
  static const char *const bad[] = {"", ".", "-", "+", "1e", "1e+", "e5", "nan", "inf", "0x10", "1,5", "1 2", "1.2.3", "--1", "1-", "?", "NA"};
  double value;
  for (int round = 0; round < 2; round++) {
    /* with a locale that writes a comma for the point, where there is one */
    if (round == 1 && setlocale(LC_NUMERIC, "de_DE.UTF-8") == NULL) break;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
      ls_csv_cell cell = {.text = (const uint8_t *)good[i].text, .size = strlen(good[i].text)};
      assert_true(ls_csv_number(&cell, &value));
      assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
      ls_csv_cell cell = {.text = (const uint8_t *)bad[i], .size = strlen(bad[i])};
      assert_false(ls_csv_number(&cell, &value));
    }
  }
  setlocale(LC_NUMERIC, "C");
  char longest[129];
  memset(longest, '1', sizeof longest);
  ls_csv_cell cell = {.text = (const uint8_t *)longest, .size = 127};
  assert_true(ls_csv_number(&cell, &value));
  cell.size = 128;
  assert_false(ls_csv_number(&cell, &value));
}

static void integers_are_exact_to_their_ends(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t value;
  } good[] = {{"0", 0}, {"-7", -7}, {"+12", 12}, {"007", 7}, {"9223372036854775807", INT64_MAX}, {"-9223372036854775808", INT64_MIN}};
  static const char *const bad[] = {"", "-", "+", "1.0", "1e3", "9223372036854775808", "-9223372036854775809", "99999999999999999999", "a", "1a"};
  int64_t value;
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    ls_csv_cell cell = {.text = (const uint8_t *)good[i].text, .size = strlen(good[i].text)};
    assert_true(ls_csv_integer(&cell, &value) && value == good[i].value);
  }
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    ls_csv_cell cell = {.text = (const uint8_t *)bad[i], .size = strlen(bad[i])};
    assert_false(ls_csv_integer(&cell, &value));
  }
}

static void columns_become_floats_where_they_are_sent(void **state) {
  (void)state;
  static const int32_t all[] = {0, 1, 2}, two[] = {1, -1, 0};
  float out[6];
  ls_csv csv;
  assert_ok(open_text("a,b,\"c,d\"\n1,x,3\n-4,y,6.5\n", 0, LS_CSV_GUESS, &csv, err));
  assert_ok(ls_csv_numbers(&csv, two, 2, out, err));
  assert_true(out[0] == 3 && out[1] == 1 && out[2] == 6.5f && out[3] == -4);
  assert_fails(ls_csv_numbers(&csv, all, 3, out, err), LS_EFORMAT, "line 2, column 2 (b) holds \"x\", a number is required");
  assert_ok(open_text("1,2,3\n\n4,5, \n", 0, LS_CSV_GUESS, &csv, err));
  assert_fails(ls_csv_numbers(&csv, all, 3, out, err), LS_EFORMAT, "line 3, column 3 is empty, a number is required");
  assert_ok(open_text("a,b,c\n1,2,\"1\n2\"\n", 0, LS_CSV_GUESS, &csv, err));
  assert_fails(ls_csv_numbers(&csv, all, 3, out, err), LS_EFORMAT, "line 2, column 3 (c) holds \"1?2\"");
  assert_ok(open_text("x,y,z\n1,2,-1e39\n", 0, LS_CSV_GUESS, &csv, err));
  assert_fails(ls_csv_numbers(&csv, all, 3, out, err), LS_ERANGE, "line 2, column 3 (z) holds -1e39, beyond the range of float32");
  assert_ok(open_text("x,y,z\n1,2,"
                      "\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd"
                      "\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd\n", 0, 1, &csv, err));
  assert_fails(ls_csv_numbers(&csv, all, 3, out, err), LS_EFORMAT, "\xe4\xbd\xa0...\""); /* cut after a whole character */
}

/* Reads everything of a copy that ends where its memory ends, so that a sanitizer sees a read beyond. */
static bool read_exactly(const uint8_t *bytes, size_t size, char separator, size_t *cells) {
  static const int32_t place[64] = {0};
  uint8_t *copy = malloc(size > 0 ? size : 1);
  ls_csv csv;
  ls_err err;
  memcpy(copy, bytes, size);
  bool ok = ls_csv_open(copy, size, separator, LS_CSV_GUESS, &csv, &err) == LS_OK;
  *cells = 0;
  if (ok) {
    char text[512];
    float out[512];
    ls_csv_reader r;
    ls_csv_cell cell;
    ls_csv_begin(&csv, true, &r);
    while (ls_csv_next(&r, &cell)) {
      (*cells)++;
      assert_true(cell.size <= size && ls_csv_text(&cell, text) <= cell.size);
    }
    assert_int_equal(*cells, ((size_t)csv.rows + csv.header) * (size_t)csv.columns);
    if (csv.columns <= 64 && csv.rows <= 512) (void)ls_csv_numbers(&csv, place, 1, out, &err);
  }
  free(copy);
  return ok;
}

static void truncations_and_mutations_do_no_harm(void **state) {
  (void)state;
  static const char file[] = "\xef\xbb\xbfname,\"a \"\"b\"\"\",c\r\n\"x,\r\ny\",1.5,-2e3\r\n\r\nz , 3,\"\"\"\"\r\n";
  static const char alphabet[] = "\",;\t\r\n 1e-.x\0";
  uint8_t bytes[sizeof file];
  size_t cells, opened = 0, tried = 0;
  ls_rng r;
  for (size_t n = 0; n < sizeof file; n++) (void)read_exactly((const uint8_t *)file, n, 0, &cells);
  assert_true(read_exactly((const uint8_t *)file, sizeof file - 1, 0, &cells) && cells == 9);
  ls_rng_seed(&r, 1);
  for (; tried < 50000; tried++) {
    memcpy(bytes, file, sizeof file);
    for (int64_t m = ls_rng_integer(&r, 1, 4); m > 0; m--)
      bytes[ls_rng_integer(&r, 0, (int64_t)sizeof file - 2)] =
          tried % 2 ? (uint8_t)alphabet[ls_rng_integer(&r, 0, (int64_t)sizeof alphabet - 2)] : (uint8_t)ls_rng_integer(&r, 0, 255);
    opened += read_exactly(bytes, sizeof file - 1, tried % 3 == 0 ? ';' : 0, &cells);
  }
  assert_true(opened > 500 && opened < tried - 500);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(cells_are_those_of_the_rfc),       cmocka_unit_test(what_is_no_table_is_refused),
      cmocka_unit_test(numbers_are_decimal_and_exact),    cmocka_unit_test(integers_are_exact_to_their_ends),
      cmocka_unit_test(columns_become_floats_where_they_are_sent), cmocka_unit_test(truncations_and_mutations_do_no_harm),
  };
  return run_suite(tests);
}
