/* Writes Lua files as C arrays: embed OUT NAME=FILE ... SPDX-License-Identifier: MIT
 *
 * The result holds `const lsb_script lsb_scripts[]`, sorted as given, ended by a NULL name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *what, const char *name) {
  fprintf(stderr, "embed: %s %s\n", what, name);
  return EXIT_FAILURE;
}

int main(int argc, char **argv) {
  if (argc < 2) return fail("usage:", "embed OUT NAME=FILE ...");
  FILE *out = fopen(argv[1], "w");
  if (out == NULL) return fail("cannot write", argv[1]);
  fputs("#include \"bindings/scripts.h\"\n", out);
  for (int i = 2; i < argc; i++) {
    char *path = strchr(argv[i], '=');
    if (path == NULL) return fail("no file in", argv[i]);
    *path++ = '\0';
    FILE *in = fopen(path, "rb");
    if (in == NULL) return fail("cannot read", path);
    fprintf(out, "static const unsigned char script_%d[] = {", i);
    int column = 0;
    for (int c = getc(in); c != EOF; c = getc(in)) fprintf(out, "%s%d,", column++ % 32 == 0 ? "\n" : "", c);
    fputs("0};\n", out);
    fclose(in);
  }
  fputs("const lsb_script lsb_scripts[] = {\n", out);
  for (int i = 2; i < argc; i++)
    fprintf(out, "  {\"%s\", (const char *)script_%d, sizeof script_%d - 1},\n", argv[i], i, i);
  fputs("  {NULL, NULL, 0}};\n", out);
  return fclose(out) == 0 ? EXIT_SUCCESS : fail("cannot write", argv[1]);
}
